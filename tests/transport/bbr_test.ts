import assert from "node:assert/strict";
import { test } from "node:test";
import { type Micros, micros, millis, seconds } from "../../lib/base/time.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { Bbr } from "../../lib/transport/congestion/bbr.ts";
import { RttEstimator } from "../../lib/transport/rtt.ts";
import { type SentPacket, SentPackets } from "../../lib/transport/sent_packets.ts";

const SIZE = 1200;
const STEP = 250;

interface UnderWay {
  readonly packet: SentPacket<unknown>;
  readonly at: number;
  readonly isLost: boolean;
}

/** One flow through a bottleneck, in steps of a quarter of a millisecond. Losses are noticed one RTT after the packet left. */
class Path {
  readonly bbr = new Bbr(SIZE);
  readonly rtt = new RttEstimator();
  /** Bytes per microsecond. */
  rate: number;
  readonly delay: number;
  /** Bytes that wait at most. */
  queue: number;
  loss = 0;
  /** Bytes per microsecond that the application has to send. */
  demand = Infinity;
  now = 0;
  inFlight = 0;
  delivered = 0;
  lost = 0;
  readonly states = new Set<string>();
  readonly #random = new SeededRandom(1);
  readonly #sent = new SentPackets<never>();
  readonly #underWay: UnderWay[] = [];
  #free = 0;
  #tokens = 0;
  #wanted = 0;

  constructor(mbits: number, rttMs: number, queueProducts = 1) {
    this.rate = mbits / 8;
    this.delay = rttMs * 1000;
    this.queue = queueProducts * this.product;
    this.rtt.update(millis(rttMs), micros(0), micros(0));
    this.bbr.onFirstRtt(millis(rttMs));
  }

  /** Bytes. */
  get product(): number {
    return this.rate * this.delay;
  }

  /** Lets time pass; returns what was delivered meanwhile, as a share of what the path could have carried. */
  run(duration: Micros): number {
    const from = this.delivered, end = this.now + duration;
    while (this.now < end) this.#step();
    return (this.delivered - from) / (this.rate * duration);
  }

  #step(): void {
    this.now += STEP;
    this.states.add(this.bbr.snapshot().state);
    this.#receive();
    this.#tokens = Math.min(this.#tokens + this.bbr.pacingRate(this.rtt) * STEP, 20 * SIZE);
    this.#wanted = this.demand === Infinity ? Infinity : this.#wanted + this.demand * STEP;
    while (this.#tokens >= SIZE && this.inFlight + SIZE <= this.bbr.window) {
      if (this.#wanted < SIZE) {
        this.bbr.onAppLimited(this.inFlight);
        break;
      }
      this.#send();
    }
  }

  #send(): void {
    this.#tokens -= SIZE;
    this.#wanted -= SIZE;
    this.inFlight += SIZE;
    const packet = { ...this.#sent.push(this.#sent.next, micros(this.now), SIZE, true, true, false, undefined, 0) };
    this.#sent.shift();
    this.bbr.onPacketSent(packet, this.inFlight);
    const waiting = Math.max(0, this.#free - this.now) * this.rate;
    const isLost = waiting + SIZE > this.queue || this.#random.chance(this.loss);
    if (!isLost) this.#free = Math.max(this.#free, this.now) + SIZE / this.rate;
    this.#underWay.push({ packet, at: Math.max(this.#free, this.now) + this.delay, isLost });
  }

  #receive(): void {
    let acked = 0;
    for (let first; (first = this.#underWay[0]) !== undefined && first.at <= this.now;) {
      this.#underWay.shift();
      this.inFlight -= SIZE;
      if (first.isLost) {
        this.lost++;
        this.bbr.onPacketLost(first.packet, micros(this.now));
        continue;
      }
      acked++;
      this.delivered += SIZE;
      this.rtt.update(micros(first.at - first.packet.timeSent), micros(0), micros(this.now));
      this.bbr.onPacketAcked(first.packet, micros(this.now), this.rtt, false);
    }
    if (acked > 0) this.bbr.onAckEnd(micros(this.now), this.rtt, this.inFlight);
  }
}

test("startup finds the bandwidth within a dozen round trips, drains its queue and begins to cycle", () => {
  const path = new Path(50, 40);
  path.run(millis(12 * 40));
  assert.notEqual(path.bbr.snapshot().state, "startup");
  assert.ok(Math.abs(path.bbr.bandwidth / path.rate - 1) < 0.1, `${path.bbr.bandwidth} of ${path.rate}`);
  assert.equal(path.bbr.inSlowStart, false);
  path.run(seconds(8));
  for (const state of ["drain", "probe_down", "cruise", "refill", "probe_up"]) assert.ok(path.states.has(state), state);
});

test("a path is used well with little more than one product of rate and delay in flight", () => {
  const path = new Path(50, 40);
  path.run(seconds(2));
  let most = 0, sum = 0, share = 0;
  for (let i = 0; i < 1000; i++) {
    share += path.run(millis(10)) / 1000;
    most = Math.max(most, path.inFlight);
    sum += path.inFlight / 1000;
  }
  assert.ok(share > 0.93, `${share} of the rate`);
  assert.ok(most < 1.6 * path.product, `${most / path.product} products`);
  assert.ok(sum < 1.2 * path.product, `${sum / path.product} products on average`);
});

test("a path that grows faster is noticed, and one that grows slower does not drown", () => {
  const path = new Path(20, 40, 4);
  path.run(seconds(5));
  path.rate *= 4;
  path.run(seconds(20));
  assert.ok(path.run(seconds(5)) > 0.9);
  path.rate /= 8;
  path.run(seconds(10));
  assert.ok(path.run(seconds(5)) > 0.9);
  assert.ok(path.inFlight < 3 * path.product, `${path.inFlight / path.product} products in flight`);
});

test("losses by chance of one in a hundred cost little more than themselves", () => {
  const path = new Path(50, 40);
  path.loss = 0.01;
  path.run(seconds(5));
  const share = path.run(seconds(20));
  assert.ok(share > 0.85, `${share} of the rate`);
});

test("a short queue bounds what is in flight once probing has found its end", () => {
  const path = new Path(50, 40, 0.1);
  path.run(seconds(10));
  const { lost } = path;
  const share = path.run(seconds(20));
  assert.ok(share > 0.85, `${share} of the rate`);
  const sent = path.rate * seconds(20) / SIZE;
  assert.ok(path.lost - lost < 0.03 * sent, `${path.lost - lost} of ${sent} packets lost`);
});

test("a flow that keeps a queue lies low now and then to see the path without it", () => {
  const path = new Path(20, 40, 4);
  path.run(seconds(3));
  // Others fill the queue: round trips are longer from now on.
  const before = path.bbr.minRtt;
  Object.assign(path, { delay: 60_000 });
  path.run(seconds(16));
  assert.ok(path.states.has("probe_rtt"));
  assert.ok(path.bbr.minRtt >= 59_000 && before < 42_000, `${before}, ${path.bbr.minRtt}`);
  assert.ok(path.run(seconds(5)) > 0.85, "and it recovers");
});

test("an application that sends little does not make the path look slow", () => {
  const path = new Path(50, 40);
  path.run(seconds(2));
  path.demand = path.rate / 20;
  path.run(seconds(10));
  assert.ok(path.bbr.bandwidth > 0.9 * path.rate, `${path.bbr.bandwidth} of ${path.rate}`);
  path.demand = Infinity;
  path.run(millis(200));
  assert.ok(path.run(seconds(2)) > 0.85);
});

test("nothing but four packets is in flight after persistent congestion, until acknowledgements return", () => {
  const path = new Path(50, 40);
  path.run(seconds(2));
  path.bbr.onPersistentCongestion(micros(path.now));
  assert.equal(path.bbr.window, 4 * SIZE);
  path.run(seconds(1));
  assert.ok(path.run(seconds(2)) > 0.85);
});

test("a bound that spurious losses have set is taken back", () => {
  const path = new Path(50, 40, 4);
  path.run(seconds(2));
  const at = micros(path.now), packets = new SentPackets<never>();
  const lost = [0, 1, 2].map((n) => packets.push(n, at, SIZE, true, true, false, undefined, 0));
  for (const packet of lost) path.bbr.onPacketLost(packet, at);
  path.run(millis(50));
  for (const _ of lost) path.bbr.onSpuriousLoss(micros(path.now), at);
  assert.equal(path.bbr.snapshot().undone, 1);
  assert.ok(path.run(seconds(2)) > 0.9);
});

test("a long round trip begins with a window that is larger in proportion, up to six times", () => {
  const windowAt = (rtt: number): number => {
    const bbr = new Bbr(SIZE);
    bbr.onFirstRtt(millis(rtt));
    return bbr.window / SIZE;
  };
  assert.deepEqual([10, 100, 300, 600, 3000].map(windowAt), [10, 10, 30, 60, 60]);
});
