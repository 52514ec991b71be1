import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Micros, micros, millis } from "../../lib/base/time.ts";
import type { CongestionController } from "../../lib/transport/congestion/controller.ts";
import { LATE_TIME, Pacer, TIMER_GRANULARITY } from "../../lib/transport/pacer.ts";
import { RttEstimator } from "../../lib/transport/rtt.ts";
import { property } from "../support/seed.ts";
import { RecordingController } from "./recovery_harness.ts";

function controller(bytesPerMicro: number): CongestionController {
  const control = new RecordingController();
  control.pacingRate = () => bytesPerMicro;
  return control;
}

function rttOf(ms: number): RttEstimator {
  const rtt = new RttEstimator();
  rtt.update(millis(ms), micros(0), micros(0));
  return rtt;
}

function pacerAt(bytesPerMicro: number, rttMs = 50): Pacer {
  const pacer = new Pacer();
  pacer.update(micros(0), controller(bytesPerMicro), rttOf(rttMs));
  return pacer;
}

/** Sends packets of 1200 bytes until refused; returns the bytes. */
function drain(pacer: Pacer, now: Micros, most = 1e9): number {
  let bytes = 0;
  while (bytes < most && pacer.canSend(now, 1200)) {
    pacer.onSent(now, 1200);
    bytes += 1200;
  }
  return bytes;
}

test("nothing is held back before the pacer knows a rate", () => {
  const pacer = new Pacer();
  assert.equal(drain(pacer, micros(0), 1e6) >= 1e6, true);
});

test("at low rates ten packets and one on credit leave at once, then the pacer holds back", () => {
  const pacer = pacerAt(0.12); // a packet every 10 ms
  assert.equal(drain(pacer, micros(0)), 10 * 1200);
  assert.equal(pacer.canSend(micros(0), 1200), false);
  assert.equal(pacer.nextSendTime(), millis(10));
  assert.equal(pacer.canSend(millis(10), 1200), true);
});

test("at high rates two milliseconds and one on credit leave at once", () => {
  const pacer = pacerAt(120); // 100 packets a millisecond
  assert.equal(drain(pacer, micros(0)), 300 * 1200);
});

test("a refusal is never for less than the timer granularity", () => {
  for (const rate of [0.01, 0.5, 3, 120, 1500]) {
    const pacer = pacerAt(rate);
    drain(pacer, micros(0));
    assert.ok(pacer.nextSendTime() >= TIMER_GRANULARITY, `${pacer.nextSendTime()} at ${rate}`);
  }
});

test("one wake-up sends a millisecond's worth", () => {
  const pacer = pacerAt(12); // 10 packets a millisecond
  drain(pacer, micros(0));
  const wake = pacer.nextSendTime();
  const sent = drain(pacer, wake);
  assert.ok(sent >= 10 * 1200 && sent <= 12 * 1200, `${sent}`);
});

test("timers that come several milliseconds late do not lower the rate", () => {
  const pacer = pacerAt(12);
  let now = micros(0), sent = drain(pacer, now);
  while (now < millis(1000)) {
    now = micros(pacer.nextSendTime() + 6000);
    sent += drain(pacer, now);
  }
  assert.ok(sent >= 12 * 1_000_000, `${sent}`);
});

test("a pause while there was nothing to send earns no more than one burst", () => {
  const pacer = pacerAt(12);
  pacer.onSent(micros(0), 1200);
  assert.ok(drain(pacer, millis(60_000)) <= 12 * 3000 + 1200);
});

test("a late wake-up catches up for ten milliseconds at most", () => {
  const pacer = pacerAt(12);
  drain(pacer, micros(0));
  assert.ok(drain(pacer, millis(60_000)) <= 12 * (LATE_TIME + TIMER_GRANULARITY) + 1200);
});

test("with an RTT under a millisecond nothing is paced", () => {
  const pacer = pacerAt(0.001, 0.9);
  assert.equal(pacer.rate, 0);
  assert.ok(drain(pacer, micros(0), 1e7) >= 1e7);
  assert.ok(pacer.nextSendTime() <= 0);
});

test("a path whose RTT falls under a millisecond is released at once, and paced again when it rises", () => {
  const pacer = pacerAt(0.12);
  drain(pacer, micros(0));
  pacer.update(millis(1), controller(0.12), rttOf(0.5));
  assert.equal(pacer.canSend(millis(1), 1200), true);
  assert.ok(pacer.nextSendTime() <= millis(1));
  pacer.update(millis(2), controller(0.12), rttOf(50));
  assert.equal(drain(pacer, millis(2)), 10 * 1200);
});

test("probes that do not ask leave a bounded debt", () => {
  const pacer = pacerAt(0.12);
  for (let i = 0; i < 1000; i++) pacer.onSent(micros(0), 1200);
  assert.equal(pacer.canSend(micros(0), 1200), false);
  assert.ok(pacer.nextSendTime() <= millis(110 + 1e-6));
});

test("a new rate counts from the moment it is set", () => {
  const pacer = pacerAt(0.12);
  drain(pacer, micros(0));
  assert.equal(pacer.canSend(micros(0), 1200), false);
  pacer.update(millis(5), controller(1.2), rttOf(50));
  assert.equal(drain(pacer, millis(5)), 1200);
});

test("what a late wake-up left over, or an interrupted wait, earns nothing more during a pause", () => {
  const leftOver = pacerAt(12);
  drain(leftOver, micros(0));
  assert.equal(drain(leftOver, millis(20), 1), 1200);
  assert.ok(drain(leftOver, millis(60_000)) <= 12 * 3000 + 1200);
  const interrupted = pacerAt(12);
  drain(interrupted, micros(0));
  assert.equal(drain(interrupted, interrupted.nextSendTime(), 1), 1200);
  assert.ok(drain(interrupted, millis(60_000)) <= 12 * 3000 + 1200);
});

test("over any run the rate, the burst and the credit are kept to, and waking when told always lets the packet go", () => {
  const arbitrary = fc.record({
    rate: fc.double({ min: 0.01, max: 500, noNaN: true }),
    steps: fc.array(fc.record({ size: fc.integer({ min: 40, max: 1200 }), pause: fc.integer({ min: 0, max: 3000 }) }), {
      minLength: 1,
      maxLength: 200,
    }),
  });
  fc.assert(
    fc.property(arbitrary, ({ rate, steps }) => {
      const pacer = pacerAt(rate);
      let now = micros(0), sent = 0;
      for (const { size, pause } of steps) {
        now = micros(now + pause);
        if (!pacer.canSend(now, size)) {
          const wake = pacer.nextSendTime();
          assert.ok(wake >= now + TIMER_GRANULARITY - 1e-3);
          now = wake;
          assert.ok(pacer.canSend(now, size));
        }
        pacer.onSent(now, size);
        sent += size;
        const most = Math.max(12_000, rate * LATE_TIME) + rate * (now + TIMER_GRANULARITY);
        assert.ok(sent <= most + 1, `${sent} bytes after ${now} µs at ${rate}, at most ${most}`);
      }
    }),
    property(),
  );
});
