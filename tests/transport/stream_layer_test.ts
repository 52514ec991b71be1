import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "../../lib/base/bytes.ts";
import { type Micros, micros, millis } from "../../lib/base/time.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import type { ConnectionEvent } from "../../lib/transport/events.ts";
import { handleFrames, type PathFrames, STOPPED } from "../../lib/transport/frame_handler.ts";
import type { SentCreditFrame, SentFrame } from "../../lib/transport/sent_frame.ts";
import { completeSettings, type TransportSettings } from "../../lib/transport/settings.ts";
import { StreamLayer } from "../../lib/transport/stream_layer.ts";
import { ZERO_CONNECTION_ID } from "../../lib/wire/connection_id.ts";
import { TransportError } from "../../lib/wire/error_codes.ts";
import { FrameReader } from "../../lib/wire/frame_reader.ts";
import { decodeFrames, encodeFrame, type Frame } from "../../lib/wire/frames.ts";
import { makeStreamId, type StreamId, StreamKind, StreamRole } from "../../lib/wire/stream_id.ts";
import { testSeed } from "../support/seed.ts";

const { BIDIRECTIONAL, UNIDIRECTIONAL } = StreamKind;
const ROOM = 1100;
/** Frames about paths are none of the stream layer's business. */
const NO_PATHS: PathFrames = {
  onChallenge: () => {},
  onResponse: () => {},
  onNewConnectionId: () => 0,
  onRetireConnectionId: () => 0,
};
const RTT = millis(50);

/** What one packet carried. */
interface Packet {
  readonly bytes: Uint8Array;
  readonly frames: readonly SentFrame[];
}

/** One side's streams, with what a connection would do around them. */
class Side {
  readonly layer: StreamLayer;
  readonly role: StreamRole;
  readonly events: ConnectionEvent[] = [];
  readonly settings: TransportSettings;
  now: Micros = micros(1_000_000);

  constructor(role: StreamRole, settings: Partial<TransportSettings> = {}) {
    this.role = role;
    this.settings = completeSettings(settings);
    this.layer = new StreamLayer(role, this.settings, (event) => this.events.push(event));
  }

  /** Learns the limits of the other side. */
  meet(settings: TransportSettings): void {
    this.layer.setPeerParameters({ ...settings, connectionId: ZERO_CONNECTION_ID, suites: [1] });
  }

  open(unidirectional = true): StreamId {
    const id = this.layer.open(unidirectional, 1);
    assert.notEqual(id, -1);
    return id as StreamId;
  }

  /** The next packet; undefined if there is nothing for it. */
  packet(room = ROOM): Packet | undefined {
    const out = new Uint8Array(room), frames: SentFrame[] = [];
    let end = this.layer.writeControl(out, 0, room, this.now, RTT, frames);
    end = this.layer.writeData(out, end, room, frames);
    return end === 0 ? undefined : { bytes: out.slice(0, end), frames };
  }

  /** All packets that there are now. */
  packets(): Packet[] {
    const all: Packet[] = [];
    for (let next; (next = this.packet()) !== undefined;) {
      all.push(next);
      assert.ok(all.length < 10_000, "packets without end");
    }
    assert.equal(this.layer.hasPending, false, "pending, but nothing to send");
    return all;
  }

  /** Takes a packet's frames; the code of the violation that they are, 0 if none. */
  receive(bytes: Uint8Array): number {
    const reader = new FrameReader();
    reader.reset(bytes, 0, bytes.length);
    let code = 0;
    const result = handleFrames(reader, this.layer, NO_PATHS, {
      onAck: () => true,
      onHandshakeDone: () => true,
      onAckFrequency: () => {},
      onTicket: () => true,
      onDatagram: () => 0,
      onClose: () => {},
      onViolation: (violation) => code = violation,
    });
    assert.equal(code !== 0, result === STOPPED);
    return code;
  }

  /** Takes frames as values. */
  frames(...frames: Frame[]): number {
    return this.receive(concatBytes(...frames.map(encodeFrame)));
  }

  /** Reads all that is there. */
  read(id: StreamId): number {
    let sum = 0;
    for (let piece; (piece = this.layer.read(id)) !== undefined;) sum += piece.length;
    return sum;
  }

  /** Takes its events as an owner would, and names them. */
  poll(): string[] {
    const names: string[] = [];
    for (const event of this.events.splice(0)) {
      names.push(event.type);
      if (event.type === "readable") this.layer.onReadablePolled(event.id);
      if (event.type === "stream_reset") this.layer.onResetPolled(event.id);
    }
    return names;
  }

  acked(packet: Packet): void {
    for (const frame of packet.frames) {
      if (frame.type === "stream") this.layer.onDataAcked(frame);
      else if (isStreamControl(frame)) this.layer.onControlAcked(frame);
    }
  }

  lost(packet: Packet): void {
    for (const frame of packet.frames) {
      if (frame.type === "stream") this.layer.onDataLost(frame);
      else if (isStreamControl(frame)) this.layer.onControlLost(frame);
      else if (isCredit(frame)) this.layer.onCreditLost(frame);
    }
  }
}

function isCredit(frame: SentFrame): frame is SentCreditFrame {
  return ["max_data", "max_streams", "data_blocked", "streams_blocked"].includes(frame.type);
}

type StreamControl = Extract<SentFrame, { type: "reset" | "stop_sending" | "stream_max_data" | "stream_blocked" }>;

function isStreamControl(frame: SentFrame): frame is StreamControl {
  return ["reset", "stop_sending", "stream_max_data", "stream_blocked"].includes(frame.type);
}

/** Two sides that know each other's limits. */
function sides(a: Partial<TransportSettings> = {}, b: Partial<TransportSettings> = {}): [Side, Side] {
  const initiator = new Side(StreamRole.INITIATOR, a), responder = new Side(StreamRole.RESPONDER, b);
  initiator.meet(responder.settings);
  responder.meet(initiator.settings);
  return [initiator, responder];
}

/** Everything that `from` has to send arrives and is acknowledged. */
function deliver(from: Side, to: Side): string[] {
  const names: string[] = [];
  for (const packet of from.packets()) {
    names.push(...decodeFrames(packet.bytes).frames.map(({ type }) => type));
    assert.equal(to.receive(packet.bytes), 0);
    from.acked(packet);
  }
  return names;
}

/** Both have said everything. */
function settle(a: Side, b: Side): void {
  for (let i = 0; i < 100; i++) if (deliver(a, b).length + deliver(b, a).length === 0) return;
  assert.fail("they never come to an end");
}

const peerStream = (index: number, kind: StreamKind = UNIDIRECTIONAL): StreamId =>
  makeStreamId(index, StreamRole.RESPONDER, kind);
const data = (streamId: StreamId, offset: number, length: number, fin = false): Frame => ({
  type: "stream_data",
  streamId,
  offset,
  data: new Uint8Array(length),
  fin,
  openClass: undefined,
});

test("a small message is one frame that opens the stream and ends it", () => {
  const [a, b] = sides();
  const id = a.open();
  assert.equal(a.layer.write(id, new Uint8Array(100), true), 100);
  const [packet] = a.packets();
  const [frame, ...more] = decodeFrames(packet.bytes).frames;
  assert.deepEqual(more, []);
  assert.ok(frame.type === "stream_data");
  assert.deepEqual([frame.openClass, frame.fin, frame.offset, frame.data.length], [1, true, 0, 100]);
  b.receive(packet.bytes);
  assert.deepEqual(b.poll(), ["readable"]);
  assert.equal(b.read(id), 100);
  assert.equal(b.layer.readFinished(id), true);
  a.acked(packet);
  assert.deepEqual([a.layer.openCount, b.layer.openCount], [0, 0]);
});

test("what is lost is sent again, counted, and arrives once", () => {
  const [a, b] = sides();
  const id = a.open();
  a.layer.write(id, new Uint8Array(5000), true);
  const packets = a.packets();
  packets.forEach((packet, i) => i % 2 === 0 ? a.lost(packet) : b.receive(packet.bytes));
  const again = a.packets();
  for (const packet of again) b.receive(packet.bytes);
  for (const packet of again) a.acked(packet);
  packets.forEach((packet, i) => i % 2 === 1 && a.acked(packet));
  assert.equal(b.read(id), 5000);
  assert.ok(a.layer.retransmittedBytes > 2000 && a.layer.retransmittedBytes < 5000);
  assert.equal(a.layer.openCount, 0);
});

test("a stream never sends beyond its credit, says so once, and goes on when there is more", () => {
  const [a, b] = sides({}, { maxStreamData: 4096, maxStreamWindow: 0 });
  const id = a.open();
  a.layer.write(id, new Uint8Array(10_000), true);
  const names = deliver(a, b);
  assert.equal(names.filter((name) => name === "stream_data_blocked").length, 1);
  assert.equal(b.read(id), 4096);
  assert.deepEqual(deliver(b, a), ["stream_max_data"]);
  settle(a, b);
  let sum = 0;
  for (let i = 0; i < 10; i++) {
    sum += b.read(id);
    settle(a, b);
  }
  assert.equal(sum, 10_000 - 4096);
  assert.equal(a.layer.openCount + b.layer.openCount, 0);
});

test("all streams together never send beyond the connection's credit, and all go on when there is more", () => {
  const [a, b] = sides({}, { maxData: 16_384, maxDataWindow: 0 });
  const ids = [a.open(), a.open(), a.open()];
  for (const id of ids) a.layer.write(id, new Uint8Array(10_000), true);
  settle(a, b);
  const first = ids.map((id) => b.read(id));
  assert.equal(first[0] + first[1] + first[2], 16_384);
  assert.ok(deliver(b, a).includes("connection_max_data"));
  settle(a, b);
  assert.deepEqual(ids.map((id, i) => first[i] + b.read(id)), [10_000, 10_000, 10_000]);
});

test("credit that was announced in a lost packet is announced again", () => {
  const [a, b] = sides({}, { maxData: 16_384, maxDataWindow: 0, maxStreamData: 8192, maxStreamWindow: 0 });
  const id = a.open();
  a.layer.write(id, new Uint8Array(40_000), true);
  let sum = 0;
  for (let i = 0; i < 20; i++) {
    deliver(a, b);
    sum += b.read(id);
    for (const packet of b.packets()) b.lost(packet);
    deliver(b, a);
  }
  assert.equal(sum, 40_000);
});

test("resetting gives the credit of what was not read back, and the peer hears of it before the stream counts as over", () => {
  const [a, b] = sides({}, { maxData: 16_384, maxDataWindow: 0 });
  for (let i = 0; i < 10; i++) {
    const id = a.open();
    a.layer.write(id, new Uint8Array(10_000), false);
    deliver(a, b);
    a.layer.reset(id, 7);
    deliver(a, b);
    assert.equal(b.layer.read(id), undefined);
    assert.equal(b.layer.readFinished(id), false, "not before its reset was reported");
    assert.deepEqual(b.poll(), ["readable", "stream_reset"]);
    assert.equal(b.layer.readFinished(id), true);
    settle(a, b);
    assert.deepEqual([a.layer.openCount, b.layer.openCount], [0, 0]);
  }
});

test("a reset that was lost is sent again, and nothing else of the stream", () => {
  const [a, b] = sides();
  const id = a.open();
  a.layer.write(id, new Uint8Array(3000), true);
  const sent = a.packets();
  a.layer.reset(id, 7);
  for (const packet of sent) a.lost(packet);
  const resets = a.packets();
  for (const packet of resets) a.lost(packet);
  const names = deliver(a, b);
  assert.deepEqual(names, ["reset_stream"]);
  assert.deepEqual(b.poll(), ["stream_reset"]);
});

test("streams that are reset faster than anybody looks are held to the limit", () => {
  const [a, b] = sides({}, { maxStreamsUni: 8 });
  let opened = 0;
  for (let i = 0; i < 1000; i++) {
    const id = a.layer.open(true, 1);
    if (id === -1) continue;
    opened++;
    a.layer.reset(id, 1);
    settle(a, b);
  }
  assert.equal(opened, 8);
  assert.equal(b.events.length, 8);
  b.poll();
  settle(a, b);
  assert.deepEqual(a.poll(), ["streams_available"]);
  assert.notEqual(a.layer.open(true, 1), -1);
});

test("STOP_SENDING is answered with a reset of the same code, and everything it cut off counts as read", () => {
  const [a, b] = sides({}, { maxData: 16_384, maxDataWindow: 0 });
  for (let i = 0; i < 5; i++) {
    const id = a.open();
    a.layer.write(id, new Uint8Array(16_384), false);
    const [first, ...rest] = a.packets();
    b.receive(first.bytes);
    b.layer.stopSending(id, 9);
    assert.deepEqual(deliver(b, a), ["stop_sending"]);
    assert.deepEqual(a.poll(), ["stop_sending"]);
    assert.equal(a.layer.write(id, new Uint8Array(1), true), 0);
    for (const packet of rest) b.receive(packet.bytes);
    const [reset] = a.packets();
    const frame = decodeFrames(reset.bytes).frames[0];
    assert.ok(frame.type === "reset_stream" && frame.code === 9 && frame.finalSize === 16_384);
    b.receive(reset.bytes);
    for (const packet of [first, ...rest, reset]) a.acked(packet);
    settle(a, b);
    assert.deepEqual(b.poll().filter((name) => name !== "readable"), [], "who stopped it need not be told");
    assert.deepEqual([a.layer.openCount, b.layer.openCount], [0, 0]);
  }
});

test("a flood of STOP_SENDING and RESET_STREAM makes one event and one answer", () => {
  const b = sides()[0];
  const id = peerStream(0, BIDIRECTIONAL);
  for (let i = 0; i < 1000; i++) {
    assert.equal(b.frames({ type: "stop_sending", streamId: id, code: i % 7 }), 0);
    assert.equal(b.frames({ type: "reset_stream", streamId: id, code: i % 7, finalSize: 0 }), 0);
  }
  assert.deepEqual(b.poll(), ["stop_sending", "stream_reset"]);
  const [packet, ...more] = b.packets();
  assert.deepEqual(more, []);
  assert.equal(packet.frames.length, 1);
});

test("a readable event waits once for each stream, however much arrives before it is polled", () => {
  const b = sides()[0];
  for (let i = 0; i < 100; i++) b.frames(data(peerStream(0), 10 * i, 10));
  assert.deepEqual(b.poll(), ["readable"]);
  b.frames(data(peerStream(0), 1000, 10, true));
  assert.deepEqual(b.poll(), ["readable"]);
  assert.equal(b.read(peerStream(0)), 1010);
});

test("a writer that was refused is told when there is room, once", () => {
  const [a, b] = sides({ sendBuffer: 4096 });
  const id = a.open();
  assert.equal(a.layer.write(id, new Uint8Array(6000), true), 4096);
  assert.equal(a.layer.write(id, new Uint8Array(10), true), 0);
  deliver(a, b);
  assert.deepEqual(a.poll(), ["writable"]);
  assert.equal(a.layer.writableBytes(id), 4096);
});

test("who was refused a stream is told when there may be more, once, and only then", () => {
  const [a, b] = sides({}, { maxStreamsBidi: 1 });
  assert.equal(b.frames({ type: "max_streams", kind: BIDIRECTIONAL, limit: 5000 }), 0);
  assert.deepEqual(b.poll(), [], "nobody had asked");
  a.open(false);
  assert.equal(a.layer.open(false, 1), -1);
  assert.equal(a.layer.open(false, 1), -1);
  for (let limit = 1; limit < 100; limit++) a.frames({ type: "max_streams", kind: BIDIRECTIONAL, limit });
  assert.deepEqual(a.poll(), ["streams_available"]);
  assert.equal(a.frames({ type: "max_streams", kind: BIDIRECTIONAL, limit: 1 }), 0, "a lower limit takes nothing back");
  for (let i = 0; i < 98; i++) a.open(false);
  assert.equal(a.layer.open(false, 1), -1);
});

test("the peer's streams are limited, and the limit follows the streams that have ended", () => {
  const [a, b] = sides({}, { maxStreamsUni: 4 });
  for (let round = 0; round < 20; round++) {
    const ids = [a.open(), a.open(), a.open(), a.open()];
    assert.equal(a.layer.open(true, 1), -1);
    for (const id of ids) a.layer.write(id, new Uint8Array(10), true);
    deliver(a, b);
    for (const id of ids) assert.equal(b.read(id), 10);
    settle(a, b);
    assert.deepEqual([a.layer.openCount, b.layer.openCount], [0, 0]);
  }
});

test("frames that break a rule of streams name the rule", () => {
  const own = makeStreamId(0, StreamRole.INITIATOR, UNIDIRECTIONAL);
  const limits = { maxStreamData: 4096, maxStreamWindow: 0, maxData: 16_384, maxDataWindow: 0, maxStreamsUni: 8 };
  const cases: [string, number, Frame[]][] = [
    ["data on a stream that only we send on", TransportError.STREAM_STATE, [data(own, 0, 1)]],
    ["credit for a stream that only the peer sends on", TransportError.STREAM_STATE, [
      { type: "stream_max_data", streamId: peerStream(0), limit: 1 },
    ]],
    ["a stop of a stream that only the peer sends on", TransportError.STREAM_STATE, [
      { type: "stop_sending", streamId: peerStream(0), code: 1 },
    ]],
    ["a stream of ours that was never opened", TransportError.STREAM_STATE, [
      { type: "stop_sending", streamId: makeStreamId(3, StreamRole.INITIATOR, BIDIRECTIONAL), code: 1 },
    ]],
    ["a stream beyond the limit", TransportError.STREAM_LIMIT, [data(peerStream(8), 0, 1)]],
    ["data beyond the stream's credit", TransportError.FLOW_CONTROL, [data(peerStream(0), 4000, 97)]],
    ["a reset beyond the stream's credit", TransportError.FLOW_CONTROL, [
      { type: "reset_stream", streamId: peerStream(0), code: 1, finalSize: 4097 },
    ]],
    [
      "data beyond the connection's credit",
      TransportError.FLOW_CONTROL,
      [0, 1, 2, 3, 4].map((i) => data(peerStream(i), 4000, 96)),
    ],
    ["data behind the end", TransportError.FINAL_SIZE, [data(peerStream(0), 0, 5, true), data(peerStream(0), 5, 1)]],
    ["another end", TransportError.FINAL_SIZE, [
      data(peerStream(0), 9, 5, true),
      { type: "stream_fin", streamId: peerStream(0), finalSize: 13 },
    ]],
    ["an end before data", TransportError.FINAL_SIZE, [
      data(peerStream(0), 9, 5),
      { type: "reset_stream", streamId: peerStream(0), code: 0, finalSize: 13 },
    ]],
    ["CRYPTO", TransportError.PROTOCOL_VIOLATION, [{ type: "crypto", offset: 0, data: new Uint8Array(3) }]],
  ];
  for (const [what, code, frames] of cases) {
    const [a] = sides(limits);
    assert.equal(a.frames(...frames), code, what);
  }
});

test("frames for streams that are over change nothing", () => {
  const [a, b] = sides();
  const id = a.open(false);
  a.layer.write(id, new Uint8Array(10), true);
  deliver(a, b);
  b.read(id);
  b.layer.write(id, new Uint8Array(10), true);
  deliver(b, a);
  a.read(id);
  assert.deepEqual([a.layer.openCount, b.layer.openCount], [0, 0]);
  a.poll();
  for (const side of [a, b]) {
    assert.equal(
      side.frames(
        data(id, 0, 10, true),
        data(id, 5000, 10),
        { type: "reset_stream", streamId: id, code: 0, finalSize: 3 },
        { type: "stop_sending", streamId: id, code: 0 },
        { type: "stream_max_data", streamId: id, limit: 1 << 30 },
      ),
      0,
    );
    assert.equal(side.layer.openCount, 0);
    assert.equal(side.layer.hasPending, false);
    assert.deepEqual(side.poll().filter((name) => name !== "readable"), []);
  }
});

test("a stream that was opened without data, or by its class alone, waits without a word", () => {
  const [a] = sides();
  a.frames({ type: "stream_open", streamId: peerStream(0), streamClass: 200 });
  a.frames({ type: "stream_open", streamId: peerStream(0), streamClass: 0 });
  a.frames({ type: "stream_max_data", streamId: peerStream(0, BIDIRECTIONAL), limit: 9 });
  assert.equal(a.layer.openCount, 2);
  assert.deepEqual(a.poll(), []);
  assert.equal(a.layer.hasPending, false);
  assert.equal(a.layer.writableBytes(peerStream(0, BIDIRECTIONAL)) > 0, true);
});

test("data with too many gaps ends the connection before it fills the memory", () => {
  const [a] = sides({ maxData: 1 << 30, maxStreamData: 1 << 30 });
  let code = 0, frames = 0;
  for (; code === 0 && frames < 100_000; frames++) {
    code = a.frames(data(peerStream(frames % 100), 2 * Math.floor(frames / 100) + 1, 1));
  }
  assert.equal(code, TransportError.PROTOCOL_VIOLATION);
  assert.ok(frames < 20_000);
});

test("commands for streams that nobody knows are harmless", () => {
  const { layer } = new Side(StreamRole.INITIATOR);
  const id = 4 as StreamId;
  assert.equal(layer.open(false, 1), -1, "the peer's limits are not known");
  assert.equal(layer.write(id, new Uint8Array(1), true), 0);
  assert.equal(layer.read(id), undefined);
  assert.equal(layer.readFinished(id), true);
  assert.equal(layer.writableBytes(id), 0);
  layer.reset(id, 1);
  layer.stopSending(id, 1);
  layer.setClass(id, 1);
  layer.onReadablePolled(id);
  layer.onResetPolled(id);
  assert.equal(layer.hasPending, false);
});

test("whatever is lost, reset or stopped, streams end, credit comes back, and nothing is left", () => {
  const random = new SeededRandom(testSeed);
  const small = { maxData: 16_384, maxStreamData: 4096, maxStreamsUni: 3, maxStreamsBidi: 3 };
  const settings = { ...small, maxDataWindow: 0, maxStreamWindow: 0, sendBuffer: 8192 };
  const [a, b] = sides(settings, settings);
  const open = new Map<StreamId, Side>();
  const wanted = new Map<Side, Map<StreamId, number>>([[a, new Map()], [b, new Map()]]);
  let begun = 0;

  const step = (side: Side, other: Side, calm: boolean): number => {
    for (let i = 0; i < 4 && begun < 300; i++) {
      const id = side.layer.open(random.chance(0.5), random.below(3));
      if (id === -1) break;
      open.set(id, side);
      wanted.get(side)!.set(id, random.below(20_000));
      begun++;
    }
    for (const [id, left] of wanted.get(side)!) {
      const length = Math.min(left, 1 + random.below(5000));
      const accepted = side.layer.write(id, new Uint8Array(length), length === left);
      if (accepted === left) wanted.get(side)!.delete(id);
      else wanted.get(side)!.set(id, left - accepted);
      if (!calm && random.chance(0.05)) {
        side.layer.reset(id, 3);
        wanted.get(side)!.delete(id);
      }
    }
    for (const event of side.events.splice(0)) {
      if (event.type === "readable") {
        side.layer.onReadablePolled(event.id);
        const isPeers = open.get(event.id) !== side;
        if (isPeers && (event.id & 1) === 0 && !seen.has(event.id)) {
          seen.add(event.id);
          wanted.get(side)!.set(event.id, random.below(5000));
        }
        if (!calm && random.chance(0.1)) side.layer.stopSending(event.id, 4);
        side.read(event.id);
      } else if (event.type === "stream_reset") {
        side.layer.onResetPolled(event.id);
        if (open.get(event.id) !== side && !seen.has(event.id)) side.layer.reset(event.id, 3);
      } else if (event.type === "stop_sending") wanted.get(side)!.delete(event.id);
    }
    const packets = side.packets();
    for (const packet of packets) {
      if (!calm && random.chance(0.3)) side.lost(packet);
      else {
        assert.equal(other.receive(packet.bytes), 0);
        if (random.chance(0.2)) assert.equal(other.receive(packet.bytes), 0);
        side.acked(packet);
      }
    }
    return packets.length;
  };
  const seen = new Set<StreamId>();
  for (let round = 0, quiet = 0; quiet < 3; round++) {
    assert.ok(round < 5000, "they never come to an end");
    const calm = round > 400;
    const sent = step(a, b, calm) + step(b, a, calm);
    quiet = calm && begun === 300 && sent === 0 ? quiet + 1 : 0;
  }
  assert.deepEqual([a.layer.openCount, b.layer.openCount], [0, 0]);
  // The credit is there again: at least the half that is below what makes an update due.
  for (const [from, to] of [[a, b], [b, a]]) {
    const ids = [from.open(), from.open(), from.open()];
    for (const id of ids) from.layer.write(id, new Uint8Array(4096), true);
    settle(from, to);
    const sums = ids.map((id) => to.read(id));
    assert.ok(sums[0] + sums[1] + sums[2] >= 8192);
    settle(from, to);
    assert.deepEqual(ids.map((id, i) => sums[i] + to.read(id)), [4096, 4096, 4096]);
  }
});

test("small messages are not cut to fill packets up", () => {
  const [a, b] = sides();
  const sizes = Array.from({ length: 40 }, (_, i) => 100 + 10 * i);
  for (const size of sizes) a.layer.write(a.open(), new Uint8Array(size), true);
  const arrived: number[] = [];
  for (const packet of a.packets()) {
    for (const frame of decodeFrames(packet.bytes).frames) {
      assert.ok(frame.type === "stream_data" && frame.offset === 0 && frame.fin);
      arrived.push(frame.data.length);
    }
    assert.equal(b.receive(packet.bytes), 0);
  }
  assert.deepEqual(arrived, sizes);
});

test("what is larger, or fits into no packet as a whole, is cut", () => {
  const [a, b] = sides();
  const pieces = (room: number): number[] => {
    const sizes: number[] = [];
    for (let packet; (packet = a.packet(room)) !== undefined;) {
      assert.equal(b.receive(packet.bytes), 0);
      for (const frame of decodeFrames(packet.bytes).frames) {
        if (frame.type === "stream_data") sizes.push(frame.data.length);
      }
    }
    return sizes;
  };
  a.layer.write(a.open(), new Uint8Array(700), true);
  a.layer.write(a.open(), new Uint8Array(700), true);
  assert.deepEqual(pieces(ROOM).length, 3);
  a.layer.write(a.open(), new Uint8Array(400), true);
  assert.deepEqual(pieces(320), [300, 100]);
});
