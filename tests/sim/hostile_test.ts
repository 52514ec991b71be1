import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { concatBytes, writeSafeU64, writeU16 } from "../../lib/base/bytes.ts";
import { seconds } from "../../lib/base/time.ts";
import { HostilePeer, type HostilePeerOptions } from "../../lib/testing/hostile_peer.ts";
import { Invariants } from "../../lib/testing/invariants.ts";
import { PatternTraffic } from "../../lib/testing/pattern_traffic.ts";
import { SimulatedNetwork } from "../../lib/testing/simulated_network.ts";
import { SimulatedNode } from "../../lib/testing/simulated_node.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import { ControlOp, FrameType } from "../../lib/wire/constants.ts";
import { TransportError, transportErrorName } from "../../lib/wire/error_codes.ts";
import { encodeFrame, type Frame } from "../../lib/wire/frames.ts";
import { makeStreamId, type StreamId, StreamKind, StreamRole } from "../../lib/wire/stream_id.ts";
import { crypto, millis } from "./shared.ts";

/** A victim, and a peer that has just finished an honest handshake with it. */
interface Scene {
  readonly network: SimulatedNetwork;
  readonly victim: SimulatedNode;
  readonly traffic: PatternTraffic;
  readonly connection: Connection;
  readonly peer: HostilePeer;
  /** Role of the hostile peer. */
  readonly role: StreamRole;
}

const VICTIM = address("10.0.0.1", 1);
const PEER = address("10.6.6.6", 6);
const ROLES = [["initiator", StreamRole.INITIATOR], ["responder", StreamRole.RESPONDER]] as const;
const WINDOWS = { maxData: 1 << 16, maxStreamData: 1 << 14, maxDataWindow: 0, maxStreamWindow: 0 };

function setUp(role: StreamRole, options: Partial<HostilePeerOptions> = {}): Scene {
  const network = new SimulatedNetwork({ seed: 3 });
  const invariants = new Invariants(() => network.now);
  const traffic = new PatternTraffic();
  const settings = { ...WINDOWS, maxStreamsBidi: 10, maxStreamsUni: 10 };
  const victim = new SimulatedNode(network, { address: VICTIM, crypto, settings, application: traffic, invariants });
  const peer = new HostilePeer(network, { address: PEER, crypto, ...options });
  if (role === StreamRole.INITIATOR) peer.connect(VICTIM, victim.identity.publicKey);
  else victim.connect(PEER, { peerKey: peer.identity.publicKey });
  const isReady = (): boolean => victim.connections[0]?.confirmed === true && peer.isEstablished;
  assert.ok(network.run(isReady, seconds(5)), "the handshake");
  return { network, victim, traffic, connection: victim.connections[0], peer, role };
}

/** A stream that the peer opens. */
function theirs(role: StreamRole, index: number, kind: StreamKind = StreamKind.BIDIRECTIONAL): StreamId {
  return makeStreamId(index, role, kind);
}

/** A stream that the victim opens. */
function ours(role: StreamRole, index: number, kind: StreamKind = StreamKind.BIDIRECTIONAL): StreamId {
  return makeStreamId(index, role === 0 ? StreamRole.RESPONDER : StreamRole.INITIATOR, kind);
}

function data(streamId: StreamId, offset: number, length: number, fin = false): Frame {
  return { type: "stream_data", streamId, offset, data: new Uint8Array(length), fin, openClass: undefined };
}

/** A frame's bytes with its first byte changed. */
function flagged(frame: Frame, flags: number): Uint8Array {
  const bytes = encodeFrame(frame);
  bytes[0] |= flags;
  return bytes;
}

function control(op: number, body: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(FrameType.CONTROL, op, body.length & 0xff, body.length >> 8), body);
}

/** An ACK with any ranges, also impossible ones. */
function ack(largest: number, ranges: readonly (readonly [number, number])[]): Uint8Array {
  const bytes = new Uint8Array(19 + 16 * ranges.length);
  bytes[0] = FrameType.ACK;
  writeSafeU64(bytes, 1, largest);
  writeU16(bytes, 17, ranges.length);
  ranges.forEach(([start, end], i) => {
    writeSafeU64(bytes, 19 + 16 * i, start);
    writeSafeU64(bytes, 27 + 16 * i, end);
  });
  return bytes;
}

/** Bytes of a u64 field that a safe integer cannot hold. */
function unsafe(frame: Frame, at: number): Uint8Array {
  const bytes = encodeFrame(frame);
  bytes.fill(0xff, at, at + 8);
  return bytes;
}

const { FLOW_CONTROL, FINAL_SIZE, FRAME_ENCODING, PROTOCOL_VIOLATION, STREAM_LIMIT, STREAM_STATE } = TransportError;

/** What a peer sends, frames or bytes, each in a packet of its own, and the code that the connection is closed with. */
type Packets = readonly (Frame | Uint8Array)[];
const VIOLATIONS: readonly (readonly [string, number, (role: StreamRole) => Packets])[] = [
  ["more data on a stream than its limit", FLOW_CONTROL, (r) => [data(theirs(r, 0), WINDOWS.maxStreamData, 1)]],
  [
    "more data on all streams than the connection's limit",
    FLOW_CONTROL,
    (r) => [0, 1, 2, 3, 4].map((i) => data(theirs(r, i), WINDOWS.maxStreamData - 1, 1)),
  ],
  ["data at the end of the number range", FLOW_CONTROL, (r) => [data(theirs(r, 0), 2 ** 53 - 2, 1)]],
  [
    "a reset that claims more than the limit",
    FLOW_CONTROL,
    (r) => [{ type: "reset_stream", streamId: theirs(r, 0), code: 0, finalSize: WINDOWS.maxStreamData + 1 }],
  ],
  ["a two-way stream beyond the limit", STREAM_LIMIT, (r) => [data(theirs(r, 10), 0, 1)]],
  ["a one-way stream beyond the limit", STREAM_LIMIT, (r) => [data(theirs(r, 10, StreamKind.UNIDIRECTIONAL), 0, 1)]],
  ["the highest stream there is", STREAM_LIMIT, (r) => [data(theirs(r, 2 ** 51 - 1), 0, 1)]],
  [
    "STREAM_OPEN beyond the limit",
    STREAM_LIMIT,
    (r) => [{ type: "stream_open", streamId: theirs(r, 10), streamClass: 1 }],
  ],
  ["data on a stream of ours that we never opened", STREAM_STATE, (r) => [data(ours(r, 0), 0, 1)]],
  ["data on a one-way stream of ours", STREAM_STATE, (r) => [data(ours(r, 0, StreamKind.UNIDIRECTIONAL), 0, 1)]],
  [
    "opening a stream that is ours to open",
    STREAM_STATE,
    (r) => [{ type: "stream_open", streamId: ours(r, 0), streamClass: 1 }],
  ],
  [
    "credit for a stream of ours that we never opened",
    STREAM_STATE,
    (r) => [{ type: "stream_max_data", streamId: ours(r, 0), limit: 1 }],
  ],
  [
    "credit for a one-way stream of its own",
    STREAM_STATE,
    (r) => [{ type: "stream_max_data", streamId: theirs(r, 0, StreamKind.UNIDIRECTIONAL), limit: 1 }],
  ],
  [
    "STOP_SENDING for a stream of ours that we never opened",
    STREAM_STATE,
    (r) => [{ type: "stop_sending", streamId: ours(r, 0), code: 0 }],
  ],
  [
    "STOP_SENDING for a one-way stream of its own",
    STREAM_STATE,
    (r) => [{ type: "stop_sending", streamId: theirs(r, 0, StreamKind.UNIDIRECTIONAL), code: 0 }],
  ],
  [
    "RESET_STREAM for a one-way stream of ours",
    STREAM_STATE,
    (r) => [{ type: "reset_stream", streamId: ours(r, 0, StreamKind.UNIDIRECTIONAL), code: 0, finalSize: 0 }],
  ],
  ["data beyond the end of a stream", FINAL_SIZE, (r) => [data(theirs(r, 0), 10, 0, true), data(theirs(r, 0), 10, 1)]],
  [
    "an end that moves forward",
    FINAL_SIZE,
    (r) => [data(theirs(r, 0), 10, 0, true), { type: "stream_fin", streamId: theirs(r, 0), finalSize: 11 }],
  ],
  [
    "an end that moves back",
    FINAL_SIZE,
    (r) => [data(theirs(r, 0), 10, 0, true), { type: "stream_fin", streamId: theirs(r, 0), finalSize: 9 }],
  ],
  [
    "an end below data that was sent",
    FINAL_SIZE,
    (r) => [data(theirs(r, 0), 10, 5), { type: "stream_fin", streamId: theirs(r, 0), finalSize: 14 }],
  ],
  [
    "a reset below data that was sent",
    FINAL_SIZE,
    (r) => [data(theirs(r, 0), 10, 5), { type: "reset_stream", streamId: theirs(r, 0), code: 0, finalSize: 14 }],
  ],
  ["an acknowledgement of a packet that was never sent", PROTOCOL_VIOLATION, () => [ack(1000, [[1000, 1000]])]],
  ["an acknowledgement of everything there could be", PROTOCOL_VIOLATION, () => [ack(2 ** 53 - 1, [[0, 2 ** 53 - 1]])]],
  ["CRYPTO frames", PROTOCOL_VIOLATION, () => [{ type: "crypto", offset: 0, data: new Uint8Array(5) }]],
  ["an ACK without ranges", FRAME_ENCODING, () => [ack(0, [])]],
  ["an ACK whose first range is not the largest", FRAME_ENCODING, () => [ack(1, [[0, 0]])]],
  ["an ACK with a range that runs backwards", FRAME_ENCODING, () => [ack(0, [[1, 0]])]],
  ["an ACK with ranges that touch", FRAME_ENCODING, () => [ack(2, [[2, 2], [0, 1]])]],
  ["an ACK with ranges in rising order", FRAME_ENCODING, () => [ack(0, [[0, 0], [4, 4]])]],
  ["an ACK with fewer ranges than it says", FRAME_ENCODING, () => [ack(9, [[9, 9], [0, 0]]).slice(0, -1)]],
  ["an unknown frame type", FRAME_ENCODING, () => [Uint8Array.of(0x0a)]],
  ["an unknown flag on a PING", FRAME_ENCODING, () => [flagged({ type: "ping" }, 0x10)]],
  ["an unknown flag on STREAM_DATA", FRAME_ENCODING, (r) => [flagged(data(theirs(r, 0), 0, 1), 0x40)]],
  ["a frame that runs past the end", FRAME_ENCODING, (r) => [encodeFrame(data(theirs(r, 0), 0, 10)).slice(0, -1)]],
  ["half of a frame's fixed part", FRAME_ENCODING, () => [Uint8Array.of(FrameType.STREAM_DATA, 0, 0)]],
  ["a stream id above 2^53", FRAME_ENCODING, (r) => [unsafe(data(theirs(r, 0), 0, 1), 1)]],
  ["an offset above 2^53", FRAME_ENCODING, (r) => [unsafe(data(theirs(r, 0), 0, 1), 9)]],
  ["an offset that passes 2^53 with its data", FRAME_ENCODING, (r) => [data(theirs(r, 0), 2 ** 53 - 1, 1)]],
  ["a limit above 2^53", FRAME_ENCODING, () => [unsafe({ type: "connection_max_data", limit: 1 }, 1)]],
  ["a PING with a body", FRAME_ENCODING, () => [control(ControlOp.PING, new Uint8Array(1))]],
  ["a MAX_STREAMS of the wrong length", FRAME_ENCODING, () => [control(ControlOp.MAX_STREAMS, new Uint8Array(8))]],
  ["a CLOSE with too long a reason", FRAME_ENCODING, () => [control(ControlOp.CLOSE, new Uint8Array(2 + 257))]],
];

for (const [roleName, role] of ROLES) {
  for (const [what, code, packets] of VIOLATIONS) {
    test(`${what} from the ${roleName} closes with ${transportErrorName(code)}`, () => {
      const { network, victim, peer } = setUp(role);
      for (const packet of packets(role)) {
        peer.sendPlaintext(packet instanceof Uint8Array ? packet : encodeFrame(packet));
      }
      assert.ok(network.run(() => peer.closed !== undefined, seconds(5)), "there was no CLOSE");
      assert.equal(transportErrorName(peer.closed!.code), transportErrorName(code), peer.closed!.reason);
      assert.deepEqual([victim.ended.length, victim.ended[0].reason.by], [1, "local"]);
    });
  }

  test(`what a ${roleName} may say without meaning anything is tolerated`, () => {
    const { network, victim, peer, connection } = setUp(role);
    peer.send({ type: "padding", length: 100 });
    peer.send({ type: "datagram", data: new Uint8Array(100) });
    peer.send({ type: "path_response", data: new Uint8Array(8) });
    peer.send({ type: "connection_max_data", limit: 0 }, { type: "max_streams", kind: 0, limit: 0 });
    peer.send({ type: "data_blocked", limit: 0 }, { type: "streams_blocked", kind: 1, limit: 0 });
    peer.send({ type: "stream_data_blocked", streamId: theirs(role, 0), limit: 0 });
    peer.sendPlaintext(control(0x77, new Uint8Array(50)));
    peer.sendPlaintext(new Uint8Array(1));
    network.run(() => false, seconds(1));
    assert.deepEqual([connection.state, victim.ended.length, peer.closed], ["established", 0, undefined]);
  });

  test(`a jump of a ${roleName}'s packet numbers to their end changes nothing for others`, () => {
    const { network, connection, peer } = setUp(role, { acknowledges: false });
    peer.sendPlaintext(encodeFrame({ type: "ping" }), 2 ** 53 - 1);
    network.run(() => false, millis(100));
    const acknowledged = peer.frames.findLast((frame) => frame.type === "ack");
    assert.ok(acknowledged?.type === "ack" && acknowledged.largest === 2 ** 53 - 1);
    // Everything below is too old now.
    peer.sendPlaintext(encodeFrame({ type: "ping" }), 5000);
    network.run(() => false, millis(100));
    assert.deepEqual([connection.state, connection.stats().dropped.replayed], ["established", 1]);
  });

  test(`a ${roleName} that leaves gaps between all its packets is acknowledged in bounded frames`, () => {
    const { network, connection, peer } = setUp(role, { acknowledges: false });
    for (let i = 0; i < 1000; i++) peer.sendPlaintext(encodeFrame({ type: "ping" }), 10 + 2 * i);
    network.run(() => false, millis(100));
    const ranges = peer.frames.map((frame) => frame.type === "ack" ? frame.ranges.length : 0);
    assert.ok(Math.max(...ranges) <= 64, `${Math.max(...ranges)} ranges`);
    assert.equal(connection.state, "established");
  });

  test(`a ${roleName} that replays its own packets is heard once`, () => {
    const { network, connection, traffic, peer } = setUp(role);
    const packet = peer.seal(encodeFrame({ type: "stream_open", streamId: theirs(role, 0), streamClass: 1 }));
    for (let i = 0; i < 50; i++) peer.sendBytes(packet);
    network.run(() => false, millis(100));
    assert.equal(connection.stats().dropped.replayed, 49);
    assert.ok(traffic.incoming.length <= 1);
  });

  test(`a flood of path challenges from the ${roleName} gets few answers`, () => {
    const { network, connection, peer } = setUp(role);
    const challenge: Frame = { type: "path_challenge", data: new Uint8Array(8) };
    const before = peer.receivedBytes;
    let sent = 0;
    for (let i = 0; i < 100; i++) {
      peer.send(...Array.from({ length: 90 }, () => challenge));
      sent += 90 * 12;
    }
    network.run(() => false, seconds(2));
    assert.equal(connection.state, "established");
    assert.ok(peer.receivedBytes - before < sent, `${peer.receivedBytes - before} bytes for ${sent}`);
  });

  test(`a ${roleName} that opens and resets streams as fast as it can keeps no memory busy`, () => {
    const { network, connection, victim, traffic, peer } = setUp(role);
    let index = 0, limit = 10;
    while (index < 2000) {
      for (; index < limit && index < 2000; index++) {
        const streamId = theirs(role, index, StreamKind.UNIDIRECTIONAL);
        peer.send(data(streamId, 0, 1), { type: "reset_stream", streamId, code: 7, finalSize: 1 });
      }
      network.run(() => false, millis(50));
      for (const frame of peer.frames.splice(0)) {
        if (frame.type === "max_streams" && frame.kind === StreamKind.UNIDIRECTIONAL) limit = frame.limit;
      }
    }
    network.run(() => false, seconds(1));
    assert.equal(connection.stats().openStreams, 0);
    assert.equal(traffic.incoming.length, 2000);
    assert.equal(victim.ended.length, 0);
  });

  test(`a ${roleName} that sends every second byte only is held to its credit, and cut off when it asks for too much`, () => {
    const { network, victim, peer } = setUp(role);
    const size = WINDOWS.maxStreamData;
    for (let i = 0; i < 4; i++) {
      for (let offset = 1; offset < size; offset += 2) peer.send(data(theirs(role, i), offset, 1));
    }
    network.run(() => false, seconds(5));
    const code = peer.closed?.code ?? TransportError.NO_ERROR;
    assert.ok(code === TransportError.NO_ERROR || code === PROTOCOL_VIOLATION, transportErrorName(code));
    assert.equal(victim.connections.length, 1);
  });

  test(`acknowledgements that a ${roleName} claims to have held back for ages do not stretch timers`, () => {
    const { network, connection, traffic, victim, peer } = setUp(role, { acknowledges: false });
    traffic.send(victim, connection, 5000);
    network.run(() => false, millis(50));
    const before = connection.stats();
    const delayed = ack(before.packetsSent - 1, [[0, before.packetsSent - 1]]);
    writeSafeU64(delayed, 9, 2 ** 52);
    peer.sendPlaintext(delayed);
    network.run(() => false, millis(50));
    const { smoothedRtt } = connection.stats();
    assert.ok(smoothedRtt > 0 && smoothedRtt < seconds(1), `${smoothedRtt} µs`);
  });

  test(`a ${roleName} that closes is not answered`, () => {
    const { network, victim, connection, peer } = setUp(role);
    network.run(() => false, seconds(1));
    const before = peer.receivedDatagrams;
    peer.send({ type: "close", code: 0x1234, reason: new TextEncoder().encode("bye\u001b[31m") });
    for (let i = 0; i < 10; i++) peer.send({ type: "ping" });
    network.run(() => false, seconds(2));
    assert.equal(peer.receivedDatagrams, before);
    assert.deepEqual([victim.ended[0].reason.by, victim.ended[0].reason.code], ["peer", 0x1234]);
    assert.equal(connection.state, "closed");
  });
}

test("HANDSHAKE_DONE from an initiator closes with PROTOCOL_VIOLATION", () => {
  const { network, peer } = setUp(StreamRole.INITIATOR);
  peer.send({ type: "handshake_done" });
  network.run(() => peer.closed !== undefined, seconds(5));
  assert.equal(peer.closed?.code, PROTOCOL_VIOLATION);
});

test("an optimistic acknowledgement of a number that was skipped or not sent yet is found out", () => {
  const { network, connection, traffic, victim, peer } = setUp(StreamRole.RESPONDER, { acknowledges: false });
  traffic.send(victim, connection, 10_000);
  network.run(() => false, millis(50));
  const sent = connection.stats().packetsSent;
  peer.sendPlaintext(ack(sent, [[0, sent]]));
  network.run(() => peer.closed !== undefined, seconds(5));
  assert.equal(peer.closed?.code, PROTOCOL_VIOLATION);
});

test("a peer that never acknowledges cannot make the victim send without end", () => {
  const { network, connection, traffic, victim, peer } = setUp(StreamRole.RESPONDER, { acknowledges: false });
  traffic.send(victim, connection, 1_000_000);
  network.run(() => false, seconds(60));
  assert.ok(peer.receivedBytes < 200_000, `${peer.receivedBytes} bytes`);
  assert.ok(connection.stats().bytesInFlight < 100_000);
});
