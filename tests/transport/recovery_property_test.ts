import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { micros, millis } from "../../lib/base/time.ts";
import { NewReno } from "../../lib/transport/congestion/new_reno.ts";
import { LossDetection } from "../../lib/transport/loss_detection.ts";
import { property } from "../support/seed.ts";

const KINDS = ["data", "data", "data", "ack", "padding", "mtu_probe"] as const;

type Step =
  | { readonly do: "send"; readonly count: number; readonly kind: typeof KINDS[number]; readonly size: number }
  | { readonly do: "wait"; readonly micros: number }
  | { readonly do: "timer" }
  | { readonly do: "ack"; readonly drops: number[]; readonly delay: number }
  | { readonly do: "path" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("send" as const),
      count: fc.integer({ min: 1, max: 40 }),
      kind: fc.constantFrom(...KINDS),
      size: fc.integer({ min: 60, max: 1200 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("wait" as const), micros: fc.integer({ min: 0, max: 400_000 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("timer" as const) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("ack" as const),
      drops: fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 12 }),
      delay: fc.integer({ min: 0, max: 1_000_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("path" as const) }) },
);

/** What a plain map of packets says must hold; the slow and obvious account of the same history. */
class Model {
  readonly recovery: LossDetection<number>;
  readonly open = new Map<number, { size: number; eliciting: boolean; inFlight: boolean }>();
  readonly settled = new Map<number, "acked" | "lost">();
  /** What the peer says that it received. */
  readonly received = new Set<number>();
  now = 0;
  sent = 0;

  constructor(maxTracked: number) {
    const settle = (frame: number, how: "acked" | "lost"): void => {
      const n = Math.floor(frame / 2);
      assert.ok(!this.settled.has(frame), `frame ${frame} is settled twice`);
      this.settled.set(frame, how);
      if (how === "acked") assert.ok(this.received.has(n), `packet ${n} was never acknowledged`);
      if (frame % 2 === 1) assert.ok(this.open.delete(n), `packet ${n} is not open`);
    };
    this.recovery = new LossDetection<number>({
      handler: {
        onFrameAcked: (frame, packet) => {
          assert.equal(packet.packetNumber, Math.floor(frame / 2));
          settle(frame, "acked");
        },
        onFrameLost: (frame, packet) => {
          assert.equal(packet.packetNumber, Math.floor(frame / 2));
          settle(frame, "lost");
        },
      },
      congestion: new NewReno(1200),
      maxAckDelay: millis(25),
      maxTracked,
    });
  }

  run(what: Step): void {
    switch (what.do) {
      case "send":
        for (let i = 0; i < what.count; i++) this.#send(what.kind, what.size);
        return;
      case "wait":
        this.now += what.micros;
        return;
      case "timer":
        this.#timer();
        return;
      case "ack":
        this.#ack(what.drops, what.delay);
        return;
      case "path":
        this.recovery.resetPath(micros(this.now), new NewReno(1200));
        for (const packet of this.open.values()) packet.inFlight = false;
        return;
    }
  }

  #send(kind: typeof KINDS[number], size: number): void {
    const eliciting = kind === "data" || kind === "mtu_probe";
    if (eliciting && !this.recovery.canSend(size)) return;
    const n = this.sent++;
    this.open.set(n, { size, eliciting, inFlight: kind !== "ack" });
    const frames = [2 * n, 2 * n + 1];
    this.recovery.onPacketSent(n, micros(this.now), size, eliciting, kind !== "ack", frames, 2, kind === "mtu_probe");
  }

  #timer(): void {
    const at = this.recovery.pollTimeout();
    if (at === Infinity) return;
    this.now = Math.max(this.now, at);
    const probes = this.recovery.onTimeout(micros(this.now));
    if (probes === 0 && this.recovery.pollTimeout() <= this.now) {
      assert.ok(
        this.recovery.onTimeout(micros(this.now)) > 0,
        "behind a loss timer, only the PTO can be overdue as well",
      );
    }
    assert.ok(this.recovery.pollTimeout() > this.now, "timers that were handled are not due again");
  }

  /** The peer has received all but some of the newest packets; it acknowledges everything it ever received. */
  #ack(drops: number[], delay: number): void {
    if (this.sent === 0) return;
    for (let back = 0; back < 80 && back < this.sent; back++) {
      if (!drops.includes(back)) this.received.add(this.sent - 1 - back);
    }
    const numbers = [...this.received].sort((a, b) => b - a);
    if (numbers.length === 0) return;
    const ranges: number[] = [];
    for (const n of numbers) {
      if (ranges.length > 0 && ranges[ranges.length - 2] === n + 1) ranges[ranges.length - 2] = n;
      else ranges.push(n, n);
    }
    const count = ranges.length / 2;
    const result = this.recovery.onAckReceived(
      micros(this.now),
      numbers[0],
      micros(delay),
      new Float64Array(ranges),
      count,
    );
    assert.equal(result, "ok");
    this.#forget();
  }

  /** Packets that need no acknowledgement may be forgotten without a report. */
  #forget(): void {
    for (const [n, packet] of this.open) {
      if (!packet.eliciting && n < this.recovery.sent.first) this.open.delete(n);
    }
  }

  check(): void {
    this.#forget();
    let inFlight = 0, eliciting = 0;
    for (const [n, packet] of this.open) {
      assert.equal(this.recovery.sent.get(n)?.packetNumber, n, `open packet ${n} is tracked`);
      if (packet.inFlight) inFlight += packet.size;
      if (packet.eliciting) eliciting++;
    }
    assert.equal(this.recovery.bytesInFlight, inFlight);
    assert.equal(this.recovery.outstanding, eliciting);
    assert.equal(
      this.recovery.pollTimeout() !== Infinity,
      eliciting > 0,
      "a timer is armed exactly while data is open",
    );
    assert.ok(this.recovery.sent.size <= this.recovery.sent.next);
    const { congestion, rtt, stats } = this.recovery;
    assert.ok(congestion.window >= 2400);
    assert.ok(rtt.smoothed > 0 && rtt.variation >= 0 && rtt.min > 0);
    const openNow = stats.packetsSent - stats.packetsAcked - stats.packetsLost - stats.forgotten;
    assert.equal(openNow, this.open.size, "every packet is open, acknowledged, lost or forgotten");
    assert.equal(
      this.settled.size,
      2 * (stats.packetsAcked + stats.packetsLost),
      "every frame is settled with its packet",
    );
  }
}

test("whatever is sent, lost and acknowledged, bytes in flight, timers and reports agree with a plain account", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), fc.constantFrom(64, 65536), (steps, maxTracked) => {
      const model = new Model(maxTracked);
      for (const what of steps) {
        model.run(what);
        model.check();
      }
    }),
    property(300),
  );
});

test("after enough acknowledgements and timeouts every frame that had to be acknowledged is settled exactly once", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
      const model = new Model(65536);
      for (const what of steps) model.run(what);
      model.run({ do: "send", count: 4, kind: "data", size: 60 });
      // The window may refuse those; whatever is the newest is acknowledged, and the loss timer settles the rest.
      model.run({ do: "ack", drops: [], delay: 0 });
      for (let i = 0; i < 4 && model.recovery.outstanding > 0; i++) model.run({ do: "timer" });
      model.check();
      assert.equal(model.recovery.outstanding, 0);
      assert.equal(model.recovery.pollTimeout(), Infinity);
    }),
    property(200),
  );
});
