import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { type Micros, millis, NEVER, seconds } from "../../lib/base/time.ts";
import { HostilePeer } from "../../lib/testing/hostile_peer.ts";
import { SimulatedNetwork } from "../../lib/testing/simulated_network.ts";
import { SimulatedNode } from "../../lib/testing/simulated_node.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import type { TransportSettings } from "../../lib/transport/settings.ts";
import { PACKET_HEADER_SIZE, WIRE_VERSION } from "../../lib/wire/constants.ts";
import { RejectCode, TransportError } from "../../lib/wire/error_codes.ts";
import type { Frame } from "../../lib/wire/frames.ts";
import { encodeReject } from "../../lib/wire/handshake_message.ts";
import { writeHandshakePacket } from "../../lib/wire/packet_header.ts";
import { makeStreamId, type StreamId, StreamKind, StreamRole } from "../../lib/wire/stream_id.ts";
import { answers, crypto, ELSEWHERE, events, eventTypes, HERE, transmit, TwoEndpoints } from "./two_endpoints.ts";

/** A Reject for the connection that sent `hello`, as anybody on the path could make it. */
function forgedReject(connection: Connection, hello: Uint8Array, code: number): Uint8Array {
  const message = encodeReject(code, crypto.sha256.hash(hello.subarray(PACKET_HEADER_SIZE)));
  const packet = new Uint8Array(PACKET_HEADER_SIZE + message.length);
  writeHandshakePacket(packet, 0, connection.localId, 0, connection.localId, WIRE_VERSION, message);
  return packet;
}

/** A stream that is there for sure. */
function open(connection: Connection, unidirectional = true): StreamId {
  const id = connection.openStream(unidirectional, 1);
  assert.notEqual(id, -1);
  return id as StreamId;
}

/** A victim and a peer without scruples that has shaken hands with it. */
class Attack {
  readonly network = new SimulatedNetwork({ seed: 1 });
  readonly victim: SimulatedNode;
  readonly peer: HostilePeer;

  constructor(settings: Partial<TransportSettings> = {}, acknowledges = true) {
    const there = address("10.0.0.1", 1);
    this.victim = new SimulatedNode(this.network, { address: there, crypto, settings });
    this.peer = new HostilePeer(this.network, { address: address("10.6.6.6", 6), crypto, acknowledges });
    this.peer.connect(there, this.victim.identity.publicKey);
    this.advance(1000);
    assert.equal(this.connection.state, "established");
    this.peer.frames.length = 0;
    this.peer.receivedDatagrams = 0;
  }

  get connection(): Connection {
    return this.victim.connections[0];
  }

  advance(milliseconds: number): void {
    this.network.advance(millis(milliseconds));
  }

  /** Sends frames and lets the victim answer. */
  send(...frames: Frame[]): void {
    this.peer.send(...frames);
    this.advance(100);
  }

  /** How many frames of a type came back. */
  count(type: Frame["type"]): number {
    return this.peer.frames.filter((frame) => frame.type === type).length;
  }
}

for (const pattern of ["IK", "XX"] as const) {
  test(`${pattern}: both sides end up with each other's key, one suite and one event for each step`, () => {
    const pair = new TwoEndpoints();
    const client = pair.connect(pattern);
    assert.equal(client.openStream(true, 1), -1, "not yet");
    const server = pair.toServer(transmit(client, pair.now))!;
    pair.exchange(client, server);
    for (const side of [client, server]) {
      assert.equal(side.state, "established");
      assert.equal(side.pattern, pattern);
      assert.deepEqual(eventTypes(side), ["established", "confirmed"]);
      assert.ok(side.confirmed && side.isProven);
    }
    assert.deepEqual(client.peerKey, pair.serverIdentity.publicKey);
    assert.equal(client.suite, server.suite);
    assert.deepEqual(client.remoteId, server.localId);
    assert.deepEqual(server.remoteId, client.localId);
  });

  test(`${pattern}: handshake datagrams that come twice, late and in the wrong order make one connection`, () => {
    const pair = new TwoEndpoints();
    const client = pair.connect(pattern);
    const first = transmit(client, pair.now);
    const server = pair.toServer(first)!;
    const second = transmit(server, pair.now);
    pair.wait(10);
    pair.toClient([...second, ...second]);
    const id = open(client);
    client.write(id, new Uint8Array(5000), true);
    const third = transmit(client, pair.now);
    pair.wait(10);
    pair.toServer([...third.toReversed(), ...first, ...third]);
    pair.toClient([...second, ...transmit(server, pair.now)]);
    pair.toServer(third);
    pair.exchange(client, server);
    assert.deepEqual(eventTypes(client), ["established", "delivered", "confirmed"]);
    assert.deepEqual(eventTypes(server), ["established", "confirmed", "readable"]);
    let sum = 0;
    for (let piece; (piece = server.read(id)) !== undefined;) sum += piece.length;
    assert.equal(sum, 5000);
    assert.equal(pair.server.connectionCount, 1);
    assert.equal(client.stats().packetsLost, 0);
  });

  test(`${pattern}: every message of the handshake may be lost, and timers bring it about again`, () => {
    for (let lost = 0; lost < 6; lost++) {
      const pair = new TwoEndpoints();
      const client = pair.connect(pattern);
      let server: Connection | undefined, index = 0;
      const survivors = (datagrams: Uint8Array[]) => datagrams.filter(() => index++ !== lost);
      for (let i = 0; i < 400 && !(client.confirmed && server?.confirmed); i++) {
        pair.wait(5);
        server = pair.toServer(survivors(transmit(client, pair.now))) ?? server;
        if (server !== undefined) pair.toClient(survivors(transmit(server, pair.now)));
        for (const side of [client, server]) if (side !== undefined) side.handleTimeout(pair.now);
      }
      assert.ok(client.confirmed && server?.confirmed, `datagram ${lost}`);
      assert.equal(pair.server.connectionCount, 1);
    }
  });
}

test("the responder repeats its hello only when it is asked to, and the initiator its own at a bounded pace", () => {
  const pair = new TwoEndpoints();
  const client = pair.connect();
  const server = pair.toServer(transmit(client, pair.now))!;
  transmit(server, pair.now);
  const sentAt: number[] = [];
  const begin = pair.now;
  for (; client.state === "handshake"; pair.wait(10)) {
    client.handleTimeout(pair.now);
    server.handleTimeout(pair.now);
    assert.deepEqual(transmit(server, pair.now), []);
    if (transmit(client, pair.now).length > 0) sentAt.push((pair.now - begin) / 1000);
  }
  assert.deepEqual(sentAt.slice(0, 4), [300, 800, 1300, 1800]);
  assert.equal(sentAt.length, 60);
  assert.equal(client.closeReason?.by, "handshake_timeout");
});

test("a reject shortens the wait, but the responder's own answer takes the threat away", () => {
  const pair = new TwoEndpoints();
  const rejected = pair.connect(), answered = pair.connect();
  const [first] = transmit(rejected, pair.now), [second] = transmit(answered, pair.now);
  const server = pair.toServer([second.slice()])!;
  const code = RejectCode.UNDECRYPTABLE;
  pair.toClient([forgedReject(rejected, first, code), forgedReject(answered, second, code)]);
  pair.toClient(transmit(server, pair.now));
  assert.equal(answered.state, "established");
  // Its finish is lost, and it has to be confirmed later than the reject would have allowed.
  transmit(answered, pair.now);
  pair.wait(1001);
  rejected.handleTimeout(pair.now);
  answered.handleTimeout(pair.now);
  assert.equal(rejected.closeReason?.hint, "rejected_key");
  assert.equal(answered.state, "established");
  pair.wait(31_000);
  answered.handleTimeout(pair.now);
  assert.equal(answered.closeReason?.by, "handshake_timeout");
  assert.equal(answered.closeReason?.hint, undefined, "the responder had the right key");
});

test("a reject of a damaged copy of the hello changes nothing", () => {
  const pair = new TwoEndpoints();
  const client = pair.connect();
  const [hello] = transmit(client, pair.now);
  const damaged = hello.slice();
  damaged[600] ^= 1;
  pair.toServer([damaged.slice()]);
  const [reject] = answers(pair.server);
  pair.toClient([reject]);
  pair.wait(1001);
  client.handleTimeout(pair.now);
  assert.equal(client.state, "handshake");
  pair.toClient([forgedReject(client, hello, RejectCode.UNDECRYPTABLE)]);
  pair.wait(1001);
  client.handleTimeout(pair.now);
  assert.equal(client.closeReason?.hint, "rejected_key");
});

test("a keep-alive comes in time for the idle timeout that both sides agreed on", () => {
  const pair = new TwoEndpoints({
    client: { settings: { keepAlive: millis(10_000) } },
    server: { settings: { idleTimeout: millis(3_000) } },
  });
  const { client, server } = pair.establish();
  for (let i = 0; i < 40; i++) {
    pair.wait(250);
    client.handleTimeout(pair.now);
    server.handleTimeout(pair.now);
    pair.toServer(transmit(client, pair.now));
    pair.toClient(transmit(server, pair.now));
  }
  assert.deepEqual([client.state, server.state], ["established", "established"]);
});

test("a reject for another reason does not blame the key", () => {
  for (
    const [code, hint] of [[RejectCode.OVERLOADED, "overloaded"], [RejectCode.UNKNOWN_PATTERN, undefined], [
      99,
      undefined,
    ]] as const
  ) {
    const pair = new TwoEndpoints();
    const client = pair.connect();
    const [hello] = transmit(client, pair.now);
    pair.toClient([forgedReject(client, hello, code)]);
    pair.wait(1001);
    client.handleTimeout(pair.now);
    assert.equal(client.closeReason?.hint, hint);
  }
});

test("who is not welcome is told so, and never becomes a connection", () => {
  const pair = new TwoEndpoints({ server: { authorize: () => false } });
  const client = pair.connect("XX");
  const server = pair.toServer(transmit(client, pair.now))!;
  pair.exchange(client, server);
  assert.deepEqual(events(server).map((event) => event.type), ["closed"]);
  assert.equal(client.closeReason?.by, "peer");
  assert.equal(client.closeReason?.code, TransportError.NOT_ALLOWED);
  assert.equal(pair.server.halfOpenCount, 0);
});

test("closing before there are keys ends at once and sends nothing", () => {
  const pair = new TwoEndpoints();
  const client = pair.connect();
  const server = pair.toServer(transmit(client, pair.now))!;
  client.close(pair.now, 5, "changed my mind");
  server.close(pair.now, 5, "so did I");
  for (const side of [client, server]) {
    assert.equal(side.state, "closed");
    assert.deepEqual(eventTypes(side), ["closed"]);
    assert.deepEqual(transmit(side, pair.now), []);
    assert.equal(side.pollTimeout(), NEVER);
    assert.equal(side.openStream(true, 1), -1);
  }
});

test("an IK initiator that closes at once is believed all the same", () => {
  const pair = new TwoEndpoints();
  const client = pair.connect();
  const server = pair.toServer(transmit(client, pair.now))!;
  pair.toClient(transmit(server, pair.now));
  client.close(pair.now, 0x105, "done");
  pair.toServer(transmit(client, pair.now));
  assert.deepEqual(eventTypes(server), ["established", "confirmed", "closed"]);
  assert.equal(server.closeReason?.code, 0x105);
  assert.equal(server.state, "draining");
  assert.deepEqual(transmit(server, pair.now), []);
});

test("when both sides close at once, a few datagrams later there is silence, and both end", () => {
  const pair = new TwoEndpoints();
  const { client, server } = pair.establish();
  client.close(pair.now, 1, "here");
  server.close(pair.now, 2, "there");
  assert.ok(pair.exchange(client, server) <= 8);
  for (const side of [client, server]) {
    assert.equal(side.closeReason?.by, "local");
    side.handleTimeout(side.pollTimeout());
    assert.equal(side.state, "closed");
    assert.deepEqual(eventTypes(side), ["closed"]);
  }
});

test("what arrives while closing, or afterwards, is counted, and answered less and less", () => {
  const pair = new TwoEndpoints();
  const { client, server } = pair.establish();
  server.close(pair.now, 1, "");
  transmit(server, pair.now);
  let answers = 0;
  for (let i = 0; i < 1000; i++) {
    client.ping();
    pair.toServer(transmit(client, pair.now));
    answers += transmit(server, pair.now).length;
    pair.wait(1);
    client.handleTimeout(pair.now);
  }
  assert.ok(answers > 3 && answers <= 8, `${answers} answers`);
  assert.ok(server.stats().dropped.late > answers);
});

test("two idle peers fall silent after a transfer: acknowledgements do not acknowledge each other", () => {
  const pair = new TwoEndpoints();
  const { client, server } = pair.establish();
  for (const [from, to] of [[client, server], [server, client]]) {
    const id = open(from);
    from.write(id, new Uint8Array(1_000_000), true);
    for (let i = 0; i < 100 && !to.readFinished(id) || i === 0; i++) {
      pair.exchange(client, server);
      for (const side of [client, server]) while (side.pollTimeout() <= pair.now) side.handleTimeout(pair.now);
      while (to.read(id) !== undefined);
    }
    assert.ok(to.readFinished(id));
  }
  let datagrams = 0;
  for (let i = 0; i < 20; i++) {
    pair.wait(1000);
    for (const side of [client, server]) side.handleTimeout(pair.now);
    datagrams += pair.exchange(client, server);
  }
  assert.ok(datagrams <= 4, `${datagrams} datagrams of two idle peers`);
  assert.deepEqual([client.stats().openStreams, server.stats().openStreams], [0, 0]);
});

test("timers move on when they are served", () => {
  const pair = new TwoEndpoints({ client: { settings: { keepAlive: seconds(5) } } });
  const { client } = pair.establish();
  const id = open(client);
  client.write(id, new Uint8Array(100_000), false);
  const deadlines: Micros[] = [];
  while (client.state !== "closed") {
    transmit(client, pair.now);
    const next = client.pollTimeout();
    assert.ok(next > pair.now, `a timer for ${next} at ${pair.now}`);
    deadlines.push(next);
    pair.now = next;
    client.handleTimeout(pair.now);
    assert.ok(deadlines.length < 200);
  }
  assert.equal(client.closeReason?.by, "idle_timeout");
});

test("handling a timeout early, late or twice does no harm", () => {
  const pair = new TwoEndpoints();
  const { client, server } = pair.establish();
  const before = client.pollTimeout();
  client.handleTimeout(pair.now);
  client.handleTimeout(pair.now);
  assert.equal(client.pollTimeout(), before);
  pair.wait(3_600_000);
  client.handleTimeout(pair.now);
  client.handleTimeout(pair.now);
  assert.deepEqual(eventTypes(client), ["closed"]);
  assert.equal(client.closeReason?.by, "idle_timeout");
  assert.equal(server.state, "established");
});

test("a packet that was recorded and is played back is dropped and counted", () => {
  const pair = new TwoEndpoints();
  const { client, server } = pair.establish();
  const id = open(client);
  client.write(id, new Uint8Array(10), true);
  const datagrams = transmit(client, pair.now);
  for (let i = 0; i < 10; i++) pair.toServer(datagrams);
  assert.equal(server.stats().dropped.replayed, 9);
  assert.equal(server.read(id)?.length, 10);
});

test("a packet from another address counts, and is answered at the old one", () => {
  const pair = new TwoEndpoints();
  const { client, server } = pair.establish();
  client.ping();
  pair.toServer(transmit(client, pair.now), ELSEWHERE);
  assert.equal(server.stats().packetsFromElsewhere, 1);
  const to: string[] = [], out = new Uint8Array(1200);
  while (server.pollTransmit(pair.now, out) > 0) to.push(server.transmitRemote.key);
  assert.deepEqual(to, [HERE.key, ELSEWHERE.key, HERE.key], "a challenge for each address, and the acknowledgement");
  assert.equal(server.remote.key, HERE.key);
});

test("a ping is answered with its token and the round trip", () => {
  const pair = new TwoEndpoints();
  const { client, server } = pair.establish();
  const token = client.ping();
  const ping = transmit(client, pair.now);
  pair.wait(15);
  pair.toServer(ping);
  const pong = transmit(server, pair.now);
  pair.wait(15);
  pair.toClient(pong);
  assert.deepEqual(events(client), [{ type: "pong", token, rtt: millis(30) }]);
});

test("a stream that is reset before anybody read it never looks finished", () => {
  const pair = new TwoEndpoints();
  const { client, server } = pair.establish();
  const id = open(client);
  client.write(id, new Uint8Array(100), false);
  pair.toServer(transmit(client, pair.now));
  client.resetStream(id, 9);
  pair.toServer(transmit(client, pair.now));
  assert.deepEqual(server.pollEvent(), { type: "readable", id });
  assert.equal(server.read(id), undefined);
  assert.equal(server.readFinished(id), false);
  assert.deepEqual(server.pollEvent(), { type: "stream_reset", id, code: 9 });
  assert.equal(server.readFinished(id), true);
  pair.exchange(client, server);
  assert.deepEqual([client.stats().openStreams, server.stats().openStreams], [0, 0]);
});

test("after the end commands are refused without a word", () => {
  const pair = new TwoEndpoints();
  const { client } = pair.establish();
  const id = open(client);
  client.close(pair.now, 0, "");
  assert.equal(client.write(id, new Uint8Array(1), true), 0);
  assert.equal(client.openStream(true, 1), -1);
  client.resetStream(id, 1);
  client.stopSending(id, 1);
  client.ping();
  client.close(pair.now, 9, "again");
  assert.equal(client.closeReason?.code, 0);
  assert.equal(transmit(client, pair.now).length, 1);
  assert.deepEqual(eventTypes(client), ["closed"]);
});

test("a peer that breaks a rule is told which one", () => {
  const ours = makeStreamId(0, StreamRole.RESPONDER, StreamKind.UNIDIRECTIONAL);
  const ack = (largest: number): Frame => ({
    type: "ack",
    largest,
    delay: 0,
    ranges: [{ start: largest, end: largest }],
  });
  const cases: [number, Frame | Uint8Array][] = [
    [TransportError.PROTOCOL_VIOLATION, ack(1_000_000)],
    [TransportError.PROTOCOL_VIOLATION, ack(Number.MAX_SAFE_INTEGER)],
    [TransportError.PROTOCOL_VIOLATION, { type: "handshake_done" }],
    [TransportError.PROTOCOL_VIOLATION, { type: "crypto", offset: 0, data: new Uint8Array(1) }],
    [TransportError.STREAM_STATE, { type: "stream_fin", streamId: ours, finalSize: 0 }],
    [TransportError.FRAME_ENCODING, Uint8Array.of(0x0f)],
    [TransportError.FRAME_ENCODING, Uint8Array.of(0x05)],
    [TransportError.FRAME_ENCODING, Uint8Array.of(0x11)],
  ];
  for (const [code, broken] of cases) {
    const attack = new Attack();
    if (broken instanceof Uint8Array) attack.peer.sendPlaintext(broken);
    else attack.peer.send(broken);
    attack.advance(100);
    assert.equal(attack.peer.closed?.code, code);
    assert.equal(attack.connection.closeReason?.by, "local");
  }
});

test("a flood of pings, of path challenges or of unknown controls is answered with no more datagrams than it has", () => {
  const floods: Frame[] = [
    { type: "ping" },
    { type: "path_challenge", data: new Uint8Array(8) },
    { type: "control", op: 0x77, body: new Uint8Array(3) },
    { type: "datagram", data: new Uint8Array(3) },
    { type: "connection_max_data", limit: 1 << 30 },
  ];
  for (const frame of floods) {
    const attack = new Attack({}, false);
    for (let i = 0; i < 300; i++) attack.peer.send(...Array.from({ length: 40 }, () => frame));
    attack.advance(100);
    assert.ok(attack.peer.receivedDatagrams <= 320, `${attack.peer.receivedDatagrams} datagrams for ${frame.type}`);
    assert.equal(attack.connection.state, "established");
  }
});

test("packets that need no acknowledgement get none", () => {
  const attack = new Attack();
  for (let i = 0; i < 300; i++) attack.peer.send({ type: "padding", length: 20 });
  attack.advance(1000);
  assert.equal(attack.peer.receivedDatagrams, 0);
});

test("packet numbers may jump as far as they like", () => {
  const attack = new Attack();
  for (const packetNumber of [1 << 20, 2 ** 40, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER]) {
    attack.peer.sendPlaintext(Uint8Array.of(0x07, 0x01, 0, 0), packetNumber);
    attack.advance(100);
    const ack = attack.peer.frames.findLast(({ type }) => type === "ack");
    assert.ok(ack?.type === "ack" && ack.largest === packetNumber);
  }
  assert.equal(attack.connection.state, "established");
});

test("an acknowledgement that claims a huge delay does not bend the round trip", () => {
  const attack = new Attack({}, false);
  for (let i = 0; i < 20; i++) {
    attack.connection.ping();
    attack.victim.pump();
    attack.advance(10);
    const largest = attack.connection.stats().packetsSent - 1;
    attack.peer.send({ type: "ack", largest, delay: Number.MAX_SAFE_INTEGER, ranges: [{ start: 0, end: largest }] });
    attack.advance(50);
  }
  const { smoothedRtt, minRtt, rttVariation } = attack.connection.stats();
  assert.ok(smoothedRtt >= minRtt && smoothedRtt < millis(100) && rttVariation < millis(100));
});

test("a peer that acknowledges nothing makes neither probes nor memory grow without end", () => {
  const attack = new Attack({ sendBuffer: 65_536 }, false);
  const { connection } = attack;
  const id = open(connection);
  let accepted = 0;
  for (let i = 0; i < 100; i++) accepted += connection.write(id, new Uint8Array(10_000), false);
  assert.equal(accepted, 65_536);
  attack.victim.pump();
  const before = attack.peer.receivedDatagrams;
  for (let i = 0; i < 25; i++) attack.send({ type: "padding", length: 1 });
  attack.advance(20_000);
  assert.ok(attack.peer.receivedDatagrams - before < 40);
  assert.ok(connection.bytesInFlight <= connection.congestionWindow + 20 * 1200);
});

test("streams that are reset as soon as they are opened cost the victim no more than its limit allows", () => {
  const attack = new Attack({ maxStreamsUni: 16 });
  const reset = (index: number): Frame => ({
    type: "reset_stream",
    streamId: makeStreamId(index, StreamRole.INITIATOR, StreamKind.UNIDIRECTIONAL),
    code: 1,
    finalSize: 0,
  });
  for (let index = 0; index < 400; index += 4) {
    attack.send(reset(index), reset(index + 1), reset(index + 2), reset(index + 3));
  }
  // The victim's owner polls, so the limit moves on with the streams.
  assert.equal(attack.connection.state, "established");
  assert.ok(attack.connection.stats().openStreams <= 16);
  assert.ok(attack.count("max_streams") <= 100);
  attack.send(...Array.from({ length: 17 }, (_, i) => reset(400 + i)));
  assert.equal(attack.peer.closed?.code, TransportError.STREAM_LIMIT);
});

test("forged packets cost nothing but their counter", () => {
  const attack = new Attack();
  const packet = attack.peer.seal(Uint8Array.of(0x07, 0x01, 0, 0));
  const before = attack.peer.receivedBytes;
  for (let i = 0; i < packet.length; i++) {
    const forged = packet.slice();
    forged[i] ^= 0x10;
    attack.peer.sendBytes(forged);
  }
  attack.advance(100);
  // Those with another connection id are nobody's, which is said in a smaller packet.
  assert.deepEqual([attack.peer.receivedDatagrams, attack.victim.endpoint.counters.resetsSent], [8, 8]);
  assert.ok(attack.peer.receivedBytes - before < 8 * packet.length);
  assert.ok(attack.connection.stats().dropped.unauthentic > 30);
  attack.peer.sendBytes(packet);
  attack.advance(100);
  assert.equal(attack.count("ack"), 1);
});

test("a finish that is played back after its answer has arrived is not answered again", () => {
  const attack = new Attack();
  for (let i = 0; i < 50; i++) attack.peer.sendFinish();
  attack.advance(1000);
  assert.equal(attack.peer.receivedDatagrams, 0);
});

test("the finish is repeated until the responder is known to have believed it, and not after", () => {
  const pair = new TwoEndpoints();
  const client = pair.connect();
  const server = pair.toServer(transmit(client, pair.now))!;
  pair.toClient(transmit(server, pair.now));
  const isHandshake = (bytes: Uint8Array) => (bytes[16] & 1) === 1;
  assert.ok(transmit(client, pair.now).some(isHandshake));
  for (let i = 0; i < 5; i++) {
    pair.now = client.pollTimeout();
    client.handleTimeout(pair.now);
    const repeated = transmit(client, pair.now);
    assert.ok(repeated.some(isHandshake));
    if (i === 4) pair.toServer(repeated);
  }
  pair.toClient(transmit(server, pair.now));
  assert.ok(client.confirmed);
  client.ping();
  for (let i = 0; i < 5; i++) {
    assert.ok(!transmit(client, pair.now).some(isHandshake));
    pair.now = client.pollTimeout();
    client.handleTimeout(pair.now);
  }
});
