import assert from "node:assert/strict";
import { test } from "node:test";
import { type Micros, micros, millis, seconds } from "../../lib/base/time.ts";
import { Cubic } from "../../lib/transport/congestion/cubic.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { RttEstimator } from "../../lib/transport/rtt.ts";
import { type SentPacket, SentPackets } from "../../lib/transport/sent_packets.ts";

const SIZE = 1200;
const RTT = millis(100);

/** An acknowledgement-clocked flow over a path without a queue: every packet is acknowledged one RTT after it was sent. */
class Flow {
  readonly cubic = new Cubic(SIZE);
  readonly rtt = new RttEstimator();
  now: Micros = micros(0);
  #next = 0;
  #inFlight: SentPacket<unknown>[] = [];

  constructor() {
    this.rtt.update(RTT, micros(0), this.now);
    this.#fill();
  }

  #fill(): void {
    while ((this.#inFlight.length + 1) * SIZE <= this.cubic.window) {
      const packet = new SentPackets<never>().push(0, this.now, SIZE, true, true, false, undefined, 0);
      packet.packetNumber = this.#next++;
      this.cubic.onPacketSent(packet, 0);
      this.#inFlight.push(packet);
    }
  }

  /** One round trip that takes `latest`. */
  round(latest: Micros | ((packet: number) => Micros) = RTT, appLimited = false): void {
    const packets = this.#inFlight;
    this.#inFlight = [];
    this.now = micros(this.now + (typeof latest === "number" ? latest : RTT));
    for (const [index, packet] of packets.entries()) {
      this.rtt.update(typeof latest === "number" ? latest : latest(index), micros(0), this.now);
      this.cubic.onPacketAcked(packet, this.now, this.rtt, appLimited);
      this.cubic.onAckEnd(this.now, this.rtt, 0);
      this.#fill();
    }
    this.#fill();
  }

  lose(): void {
    this.cubic.onCongestionEvent(this.now, this.now, 1, 0);
    this.now = micros(this.now + 1);
  }
}

test("slow start doubles the window each round trip while round trips stay short", () => {
  const flow = new Flow();
  flow.round();
  flow.round();
  assert.equal(flow.cubic.window, 4 * 12000);
  assert.equal(flow.cubic.snapshot().state, "slow_start");
});

test("a congestion event leaves 70 % of the window, once for a recovery period", () => {
  const flow = new Flow();
  for (let i = 0; i < 4; i++) flow.round();
  const before = flow.cubic.window;
  flow.cubic.onCongestionEvent(flow.now, flow.now, 1, 0);
  flow.cubic.onCongestionEvent(micros(flow.now + 5), flow.now, 3, 0);
  assert.ok(Math.abs(flow.cubic.window - 0.7 * before) < 1);
  assert.equal(flow.cubic.snapshot().congestionEvents, 1);
});

test("after an event the window follows W_cubic back to the old maximum in K seconds", () => {
  const flow = new Flow();
  for (let i = 0; i < 6; i++) flow.round();
  const maximum = flow.cubic.window;
  flow.lose();
  const start = flow.now;
  // RFC 9438 §4.2: K = cbrt(W_max (1 − β) / C), in seconds and segments.
  const k = Math.cbrt(maximum / SIZE * 0.3 / 0.4);
  while (flow.now - start < seconds(k)) flow.round();
  assert.ok(Math.abs(flow.cubic.window / maximum - 1) < 0.03, `${flow.cubic.window} of ${maximum} after ${k} s`);
  const atPlateau = flow.cubic.window;
  flow.round();
  assert.ok(flow.cubic.window - atPlateau < 0.02 * atPlateau, "the curve is flat there");
  for (let i = 0; i < 60; i++) flow.round();
  assert.ok(flow.cubic.window > 1.1 * maximum, "and rises beyond");
});

test("a small window on a short path grows at least as fast as Reno", () => {
  const flow = new Flow();
  flow.lose();
  const start = flow.cubic.window;
  const rounds = 20;
  for (let i = 0; i < rounds; i++) flow.round(millis(5));
  // α = 0.53 segments a round trip until the old window is reached, then one.
  assert.ok(flow.cubic.window >= start + 0.5 * rounds * SIZE, `${flow.cubic.window} from ${start}`);
});

test("a second event below the old maximum lowers the plateau further", () => {
  const flow = new Flow();
  for (let i = 0; i < 6; i++) flow.round();
  flow.lose();
  flow.round();
  const below = flow.cubic.window;
  flow.lose();
  // K from the window after the cut to W_max = below · (1 + β) / 2.
  const k = Math.cbrt((0.85 - 0.7) * below / SIZE / 0.4);
  const start = flow.now;
  while (flow.now - start < seconds(k)) flow.round();
  assert.ok(Math.abs(flow.cubic.window / (0.85 * below) - 1) < 0.05);
});

test("lengthening round trips end slow start before anything is lost", () => {
  const flow = new Flow();
  for (let i = 0; i < 3; i++) flow.round();
  flow.round(millis(112.5));
  flow.round(millis(112.5));
  assert.equal(flow.cubic.snapshot().state, "conservative_slow_start");
  for (let i = 0; i < 6; i++) flow.round(millis(112.5));
  assert.equal(flow.cubic.snapshot().state, "congestion_avoidance");
  assert.equal(flow.cubic.snapshot().congestionEvents, 0);
});

test("a queue that grows while a paced window is acknowledged ends slow start within the round trip", () => {
  const flow = new Flow();
  for (let i = 0; i < 4; i++) flow.round();
  assert.equal(flow.cubic.snapshot().state, "slow_start");
  const before = flow.cubic.window;
  flow.round((packet) => micros(RTT + packet * 500));
  assert.equal(flow.cubic.snapshot().state, "congestion_avoidance");
  assert.ok(flow.cubic.window < 1.7 * before, `${flow.cubic.window / before} times the window`);
});

test("round trips that vary, but do not lengthen, let slow start go on", () => {
  const flow = new Flow();
  const random = new SeededRandom(1);
  for (let i = 0; i < 8; i++) flow.round(() => micros(RTT + random.below(20_000)));
  assert.equal(flow.cubic.snapshot().state, "slow_start");
});

test("a round trip that shortens again resumes slow start", () => {
  const flow = new Flow();
  for (let i = 0; i < 3; i++) flow.round();
  flow.round(millis(112.5));
  flow.round(millis(112.5));
  assert.equal(flow.cubic.snapshot().state, "conservative_slow_start");
  flow.round(RTT);
  assert.equal(flow.cubic.snapshot().state, "slow_start");
});

test("an application that does not use its window does not make it grow, and does not gain by waiting", () => {
  const flow = new Flow();
  for (let i = 0; i < 6; i++) flow.round();
  flow.lose();
  flow.round();
  const before = flow.cubic.window;
  for (let i = 0; i < 100; i++) flow.round(RTT, true);
  assert.equal(flow.cubic.window, before);
  flow.round();
  assert.ok(flow.cubic.window < 1.1 * before, "the curve stood still meanwhile");
});

test("a cut is taken back when every loss behind it was spurious", () => {
  const flow = new Flow();
  for (let i = 0; i < 4; i++) flow.round();
  const before = flow.cubic.window;
  flow.cubic.onCongestionEvent(flow.now, flow.now, 2, 0);
  flow.cubic.onSpuriousLoss(flow.now, flow.now);
  assert.ok(flow.cubic.window < before);
  flow.cubic.onSpuriousLoss(flow.now, flow.now);
  assert.equal(flow.cubic.window, before);
  assert.equal(flow.cubic.snapshot().undone, 1);
});

test("persistent congestion leaves three datagrams", () => {
  const flow = new Flow();
  for (let i = 0; i < 4; i++) flow.round();
  flow.cubic.onPersistentCongestion(flow.now);
  assert.equal(flow.cubic.window, 3 * SIZE);
  assert.equal(flow.cubic.inSlowStart, true);
});

test("slow start goes on when the loss that had ended it was spurious", () => {
  const flow = new Flow();
  flow.round();
  const declaredAt = flow.now;
  flow.lose();
  flow.cubic.onSpuriousLoss(flow.now, declaredAt);
  for (let i = 0; i < 3; i++) flow.round();
  assert.deepEqual([flow.cubic.window, flow.cubic.snapshot().state], [16 * 12000, "slow_start"]);
});
