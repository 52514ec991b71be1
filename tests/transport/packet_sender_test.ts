import assert from "node:assert/strict";
import { test } from "node:test";
import { type Micros, micros, millis, NEVER, seconds } from "../../lib/base/time.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { CloseState } from "../../lib/transport/close_state.ts";
import { NewReno } from "../../lib/transport/congestion/new_reno.ts";
import { AckFrequency } from "../../lib/transport/ack_frequency.ts";
import { ConnectionIds } from "../../lib/transport/connection_ids.ts";
import { ControlQueue } from "../../lib/transport/control_queue.ts";
import { DatagramFrames } from "../../lib/transport/datagram_frames.ts";
import { FrameFate } from "../../lib/transport/frame_fate.ts";
import { IdleTimer } from "../../lib/transport/idle_timer.ts";
import { KeyPhases } from "../../lib/transport/key_phases.ts";
import { LossDetection } from "../../lib/transport/loss_detection.ts";
import { Pacer } from "../../lib/transport/pacer.ts";
import { PacketKeys } from "../../lib/transport/packet_protection.ts";
import { PacketSender } from "../../lib/transport/packet_sender.ts";
import { ReceivedPackets } from "../../lib/transport/received_packets.ts";
import type { SentFrame } from "../../lib/transport/sent_frame.ts";
import { completeSettings } from "../../lib/transport/settings.ts";
import { StreamLayer } from "../../lib/transport/stream_layer.ts";
import { ConnectionId } from "../../lib/wire/connection_id.ts";
import { PacketFlag } from "../../lib/wire/constants.ts";
import { decodeFrames, type Frame } from "../../lib/wire/frames.ts";
import { type StreamId, StreamRole } from "../../lib/wire/stream_id.ts";
import { DEFAULT_PARAMETERS } from "../../lib/wire/transport_parameters.ts";
import { crypto } from "./two_endpoints.ts";

const PEER_ID = new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
const SPARE_ID = new ConnectionId(new Uint8Array(8).fill(9));
const TOKEN = new Uint8Array(16).fill(10);
const SIZE = 1200;
const SECRET = new Uint8Array(32).fill(7);

/** What a packet turned out to hold. */
interface Sent {
  readonly number: number;
  readonly flags: number;
  readonly frames: readonly Frame[];
  readonly size: number;
}

/** A sender with real parts around it, and a receiver's keys to look into what it makes. */
class Bench {
  readonly received = new ReceivedPackets(millis(25), 2);
  readonly control = new ControlQueue();
  readonly ids = new ConnectionIds(
    { issue: () => ({ id: SPARE_ID, resetToken: TOKEN }), release: () => {} },
    4,
    { add: () => {}, remove: () => {} },
  );
  readonly streams: StreamLayer;
  readonly recovery: LossDetection<SentFrame>;
  readonly pacer = new Pacer();
  readonly datagrams: DatagramFrames;
  readonly keys: KeyPhases;
  readonly sender: PacketSender;
  readonly #opener = new PacketKeys(crypto.chacha20poly1305, crypto.sha256, SECRET);
  readonly #out = new Uint8Array(SIZE);
  now: Micros = micros(1_000_000);

  constructor() {
    this.streams = new StreamLayer(StreamRole.INITIATOR, completeSettings(), () => {});
    this.streams.setPeerParameters({
      ...DEFAULT_PARAMETERS,
      connectionId: PEER_ID,
      suites: [1],
      maxData: 1 << 20,
      maxStreamData: 1 << 20,
      maxStreamsBidi: 10,
      maxStreamsUni: 10,
    });
    this.keys = new KeyPhases(this.now, {
      aead: crypto.chacha20poly1305,
      hash: crypto.sha256,
      sendSecret: SECRET,
      receiveSecret: SECRET,
      updateInterval: seconds(60),
      updatePackets: 2 ** 20,
      pto: () => millis(50),
    });
    const settings = completeSettings(), frequency = new AckFrequency(this.control);
    this.datagrams = new DatagramFrames(this.streams.scheduler, settings, () => {});
    this.datagrams.setPeerLimit(65535);
    this.datagrams.setUdpPayload(SIZE);
    this.datagrams.open();
    const fate = new FrameFate(
      this.streams,
      this.control,
      this.received,
      frequency,
      this.datagrams,
      this.ids,
      () => {},
    );
    this.recovery = new LossDetection<SentFrame>({
      handler: fate,
      congestion: new NewReno(SIZE),
      maxAckDelay: millis(25),
    });
    const parts = {
      received: this.received,
      control: this.control,
      ids: this.ids,
      streams: this.streams,
      recovery: this.recovery,
      pacer: this.pacer,
      idle: new IdleTimer(this.now, micros(0), micros(0)),
      frames: [],
    };
    this.ids.remote.begin(PEER_ID);
    this.sender = new PacketSender(parts, this.keys, new SeededRandom(1));
  }

  /** The next packet, if there is one. */
  send(start = 0, limit = SIZE): Sent | undefined {
    const end = this.sender.send(this.now, this.#out, start, limit);
    return end === start ? undefined : this.#open(start, end);
  }

  /** Packets until there are none. */
  sendAll(): Sent[] {
    const all: Sent[] = [];
    for (let sent; (sent = this.send()) !== undefined;) all.push(sent);
    return all;
  }

  close(close: CloseState): Sent | undefined {
    const end = this.sender.sendClose(this.#out, SIZE, close);
    return end === 0 ? undefined : this.#open(0, end);
  }

  /** Fills a stream with so many bytes. */
  write(bytes: number): StreamId {
    const id = this.streams.open(true, 1);
    assert.notEqual(id, -1);
    this.streams.write(id as StreamId, new Uint8Array(bytes), true);
    return id as StreamId;
  }

  /** Receives a packet that wants to be acknowledged. */
  receive(packetNumber: number, ackEliciting = true): void {
    this.received.onPacket(packetNumber, this.now, ackEliciting, false);
  }

  #open(start: number, end: number): Sent {
    const plain = new Uint8Array(SIZE);
    assert.ok(this.#opener.open(this.#out.slice(0, end), start, end, plain));
    const { packetNumber: number, flags, plaintextEnd } = this.#opener;
    const { frames, error } = decodeFrames(plain.slice(0, plaintextEnd));
    assert.equal(error, undefined);
    return { number, flags, frames, size: end - start };
  }
}

const types = (sent: Sent | undefined): string[] => sent?.frames.map(({ type }) => type) ?? [];

test("nothing is sent when there is nothing to say", () => {
  const bench = new Bench();
  assert.equal(bench.send(), undefined);
  assert.equal(bench.sender.pacingUntil, NEVER);
});

test("an acknowledgement waits for its time, and rides along with data before that", () => {
  const bench = new Bench();
  bench.receive(0);
  assert.equal(bench.send(), undefined);
  bench.write(10);
  const sent = bench.send();
  assert.deepEqual(types(sent), ["ack", "stream_data"]);
  assert.equal(sent?.flags, PacketFlag.ACK | PacketFlag.ACK_ELICITING);
  bench.receive(1);
  bench.now = bench.received.ackDeadline;
  assert.deepEqual(types(bench.send()), ["ack"]);
  assert.equal(bench.received.ackDeadline, NEVER);
});

test("packet numbers count up from 0, one for each packet, CLOSE included", () => {
  const bench = new Bench();
  bench.write(3000);
  const numbers = bench.sendAll().map(({ number }) => number);
  numbers.push(bench.close(new CloseState(bench.now, millis(1), 0, "", true))!.number);
  assert.deepEqual(numbers, [0, 1, 2, 3]);
});

test("a packet begins where it is told to and keeps to its limit", () => {
  const bench = new Bench();
  bench.write(5000);
  const sent = bench.send(300, 700);
  assert.equal(sent?.size, 400);
});

test("too little room makes no packet and loses nothing", () => {
  const bench = new Bench();
  bench.write(10);
  bench.receive(0);
  bench.receive(1);
  assert.equal(bench.send(1150), undefined);
  assert.deepEqual(types(bench.send()), ["ack", "stream_data"]);
});

test("the congestion window holds data back, but neither acknowledgements nor probes", () => {
  const bench = new Bench();
  bench.write(100_000);
  const first = bench.sendAll();
  assert.equal(first.reduce((sum, { size }) => sum + size, 0), bench.recovery.bytesInFlight);
  assert.ok(bench.recovery.bytesInFlight <= bench.recovery.congestion.window);
  assert.equal(bench.sender.pacingUntil, NEVER);
  bench.receive(0);
  bench.receive(1);
  assert.deepEqual(types(bench.send()), ["ack"]);
  bench.sender.probes = 2;
  const probes = bench.sendAll();
  assert.equal(probes.length, 2);
  for (const probe of probes) {
    assert.deepEqual(types(probe), ["stream_data"]);
    assert.equal(probe.flags, PacketFlag.PROBE | PacketFlag.ACK_ELICITING);
  }
});

test("a probe with nothing to carry is a PING, also behind an acknowledgement", () => {
  const bench = new Bench();
  bench.sender.probes = 2;
  bench.receive(0);
  assert.deepEqual(types(bench.send()), ["ack", "ping"]);
  assert.deepEqual(types(bench.send()), ["ping"]);
  assert.equal(bench.send(), undefined);
});

test("the pacer holds data back until the time that it names, and no longer", () => {
  const bench = new Bench();
  bench.recovery.rtt.update(millis(100), micros(0), bench.now);
  bench.pacer.update(bench.now, bench.recovery.congestion, bench.recovery.rtt);
  bench.write(100_000);
  bench.sendAll();
  // The initial window is one burst: only what its acknowledgement makes room for is paced.
  bench.now = micros(bench.now + millis(10));
  bench.recovery.onAckReceived(bench.now, 9, micros(0), Float64Array.of(0, 9), 1);
  bench.pacer.update(bench.now, bench.recovery.congestion, bench.recovery.rtt);
  let rounds = 0;
  for (; bench.sender.pacingUntil !== NEVER || rounds === 0; rounds++) {
    bench.sendAll();
    const until = bench.sender.pacingUntil;
    if (until === NEVER) break;
    assert.ok(until > bench.now);
    bench.now = until;
    assert.ok(bench.send() !== undefined);
    assert.ok(rounds < 100);
  }
  assert.ok(rounds > 0);
});

test("one of many packets that need no acknowledgement asks for one", () => {
  const bench = new Bench();
  let pings = 0;
  for (let i = 0; i < 320; i++) {
    bench.receive(2 * i);
    bench.receive(2 * i + 1);
    const sent = bench.send();
    assert.equal(types(sent)[0], "ack");
    if (types(sent).includes("ping")) pings++;
  }
  assert.equal(pings, 10);
});

test("being asked in vain does not count as a packet that needs no acknowledgement", () => {
  const bench = new Bench();
  const id = bench.write(100);
  bench.sendAll();
  for (let i = 0; i < 100; i++) {
    // A stream that is marked, and has nothing to say when its turn comes.
    bench.streams.onControlLost({ type: "stream_blocked", stream: streamOf(bench, id), limit: 5 });
    assert.equal(bench.send(), undefined);
  }
  bench.receive(0);
  bench.receive(1);
  assert.deepEqual(types(bench.send()), ["ack"]);
});

/** The stream behind an id, as a sent frame names it. */
function streamOf(bench: Bench, id: StreamId): Extract<SentFrame, { type: "stream" }>["stream"] {
  const record = bench.recovery.sent.at(0);
  const frame = record.frames[0];
  assert.ok(frame?.type === "stream" && frame.stream.id === id);
  return frame.stream;
}

test("with many gaps the acknowledgement names the newest ranges and leaves room for data", () => {
  const bench = new Bench();
  for (let i = 0; i < 200; i++) bench.receive(2 * i);
  bench.write(2000);
  const ack = bench.send()?.frames[0];
  assert.ok(ack?.type === "ack");
  assert.equal(ack.largest, 398);
  assert.equal(ack.ranges.length, 32);
  assert.equal(ack.ranges[31].start, 336);
});

test("the largest DATAGRAM frame fills a packet, and acknowledgements go ahead of it on their own", () => {
  const bench = new Bench();
  const { maxSize } = bench.datagrams;
  bench.receive(0);
  bench.receive(1);
  bench.datagrams.send(new Uint8Array(maxSize));
  const sent = bench.sendAll();
  assert.deepEqual(sent.map(types), [["ack"], ["datagram"]]);
  assert.equal(sent[1].size, SIZE);
  assert.equal(sent[1].flags & PacketFlag.ACK_ELICITING, PacketFlag.ACK_ELICITING);
});

test("small DATAGRAM frames share a packet with each other, with acknowledgements and with streams", () => {
  const bench = new Bench();
  bench.receive(0);
  for (let i = 0; i < 3; i++) bench.datagrams.send(new Uint8Array(100).fill(i));
  bench.write(200);
  const sent = bench.sendAll();
  assert.deepEqual(sent.map(types), [["ack", "stream_data", "datagram", "datagram", "datagram"]]);
});

test("what a DATAGRAM frame leaves of a packet goes to streams, when the next frame does not fit", () => {
  const bench = new Bench();
  for (let i = 0; i < 2; i++) bench.datagrams.send(new Uint8Array(800), 1);
  bench.write(10_000);
  const [first, second, third] = bench.sendAll();
  assert.deepEqual(types(first), ["datagram", "stream_data"]);
  assert.equal(first.size, SIZE);
  assert.deepEqual(types(second), ["stream_data"]);
  assert.deepEqual(types(third), ["datagram", "stream_data"]);
});

test("a DATAGRAM frame that needs a packet for itself is not kept waiting by acknowledgements in every packet", () => {
  const bench = new Bench();
  bench.write(1_000_000);
  // A loss ends slow start: from then on each acknowledgement makes room for one packet.
  const count = bench.sendAll().length;
  bench.now = micros(bench.now + millis(10));
  bench.recovery.onAckReceived(bench.now, count - 1, micros(0), Float64Array.of(4, count - 1), 1);
  let acked = bench.recovery.sent.next;
  while (bench.recovery.canSend(SIZE)) bench.sendAll();
  for (let i = 0; i < 20; i++) bench.datagrams.send(new Uint8Array(bench.datagrams.maxSize), 1);
  let frames = 0, packets = 0;
  for (let i = 0; i < 12; i++) {
    bench.now = micros(bench.now + millis(10));
    bench.recovery.onAckReceived(bench.now, acked, micros(0), Float64Array.of(acked, acked), 1);
    acked++;
    bench.receive(2 * i);
    bench.receive(2 * i + 1);
    for (const sent of bench.sendAll()) {
      packets++;
      if (types(sent).includes("datagram")) frames++;
    }
  }
  assert.ok(frames >= 5, `${frames} of ${packets} packets`);
});

test("DATAGRAM frames wait for the congestion window and the pacer as everything else", () => {
  const bench = new Bench();
  for (let i = 0; i < 100; i++) bench.datagrams.send(new Uint8Array(1000));
  const sent = bench.sendAll();
  assert.ok(sent.length >= 10 && sent.length <= 12, `${sent.length} packets`);
  assert.ok(bench.recovery.bytesInFlight <= bench.recovery.congestion.window);
  assert.equal(bench.datagrams.queued, 100 - sent.length);
});

test("a key that is nearly used up leaves enough for CLOSE and all its repetitions", () => {
  const bench = new Bench();
  const { sendKeys } = bench.keys;
  sendKeys.sealedPackets = sendKeys.sealLimit - 100;
  bench.write(1_000_000);
  let packets = 0;
  while (!bench.sender.isUsedUp) {
    bench.sender.probes = 1;
    assert.ok(bench.send() !== undefined);
    assert.ok(++packets < 100);
  }
  const close = new CloseState(bench.now, millis(1), 14, "used up", true);
  let closes = 0;
  for (let i = 0; i < 10_000; i++) {
    if (close.due) {
      assert.deepEqual(types(bench.close(close)), ["close"]);
      close.onSent();
      closes++;
    }
    close.onReceived();
  }
  assert.equal(closes, 9);
});

test("CLOSE is neither tracked nor in need of an acknowledgement, and its reason is cut to what fits", () => {
  const bench = new Bench();
  const sent = bench.close(new CloseState(bench.now, millis(1), 0x105, "é".repeat(1000), true));
  assert.equal(sent?.flags, 0);
  const close = sent?.frames[0];
  assert.ok(close?.type === "close");
  assert.equal(close.code, 0x105);
  assert.equal(new TextDecoder().decode(close.reason), "é".repeat(128));
  assert.equal(bench.recovery.bytesInFlight, 0);
  assert.equal(bench.recovery.pollTimeout(), NEVER);
});
