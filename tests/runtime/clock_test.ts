import assert from "node:assert/strict";
import test from "node:test";
import { type Micros, micros, millis, NEVER } from "../../lib/base/time.ts";
import { SystemClock } from "../../lib/runtime/mod.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";
import { pause } from "./udp_harness.ts";

test("the clock counts microseconds and does not go back", async () => {
  const clock = new SystemClock();
  const begun = clock.now();
  let last = begun;
  for (let i = 0; i < 1000; i++) {
    const now = clock.now();
    assert.ok(now >= last);
    last = now;
  }
  await pause(20);
  const elapsed = clock.now() - begun;
  assert.ok(elapsed >= millis(19), `20 ms were ${elapsed} µs`);
});

test("wake-ups come in order of their time and never early, cancelled ones not at all", async () => {
  const clock = new SystemClock();
  const random = new SeededRandom(testSeed);
  const begun = clock.now();
  const called: { number: number; at: Micros; now: Micros }[] = [];
  const expected: number[] = [];
  for (let number = 0; number < 300; number++) {
    const at = micros(begun + random.below(30_000));
    const cancel = clock.wakeAt(at, () => called.push({ number, at, now: clock.now() }));
    if (random.chance(0.6)) expected.push(number);
    else {
      cancel();
      cancel();
    }
  }
  for (let tries = 0; called.length < expected.length && tries < 500; tries++) await pause(5);
  await pause(35);
  assert.deepEqual(called.map(({ number }) => number).sort((a, b) => a - b), expected);
  for (const [i, { at, now }] of called.entries()) {
    assert.ok(now >= at, `${at - now} µs early`);
    assert.ok(i === 0 || called[i - 1].at <= at, "out of order");
  }
});

test("a wake-up that is moved again and again comes once, at its last time", async () => {
  const clock = new SystemClock();
  let called = 0, calledAt = 0;
  let cancel = (): void => {};
  let at = clock.now();
  for (let i = 0; i < 200; i++) {
    cancel();
    at = micros(clock.now() + (i % 2 === 0 ? 4_000 : 15_000));
    cancel = clock.wakeAt(at, () => {
      called++;
      calledAt = clock.now();
    });
  }
  await pause(40);
  assert.equal(called, 1);
  assert.ok(calledAt >= at);
});

test("an earlier wake-up overtakes the one that the timer was set for", async () => {
  const clock = new SystemClock();
  const order: string[] = [];
  const cancel = clock.wakeAt(micros(clock.now() + 60_000_000), () => order.push("late"));
  await new Promise<void>((resolve) => {
    clock.wakeAt(micros(clock.now() + 2_000), () => {
      order.push("early");
      resolve();
    });
  });
  cancel();
  assert.deepEqual(order, ["early"]);
});

test("a time that has passed calls back soon, but not inside the call", async () => {
  const clock = new SystemClock();
  let called = false;
  const woken = new Promise<void>((resolve) => {
    clock.wakeAt(micros(0), () => {
      called = true;
      resolve();
    });
  });
  assert.equal(called, false);
  await woken;
});

test("NEVER never comes, and what is no number is refused", async () => {
  const clock = new SystemClock();
  let called = false;
  clock.wakeAt(NEVER, () => called = true)();
  clock.wakeAt(NEVER, () => called = true);
  await pause(5);
  assert.equal(called, false);
  assert.throws(() => clock.wakeAt(micros(NaN), () => {}), RangeError);
});

test("a wake-up farther away than a timer reaches does not come at once", async () => {
  const clock = new SystemClock();
  let called = false;
  const cancel = clock.wakeAt(micros(clock.now() + 40 * 86_400 * 1e6), () => called = true);
  await pause(20);
  cancel();
  assert.equal(called, false);
});

test("a callback may ask for the next wake-up and cancel others that are due", async () => {
  const clock = new SystemClock();
  const order: string[] = [];
  const at = micros(clock.now() + 2_000);
  let cancelSecond = (): void => {};
  await new Promise<void>((resolve) => {
    clock.wakeAt(at, () => {
      order.push("first");
      cancelSecond();
      clock.wakeAt(at, () => {
        order.push("again");
        resolve();
      });
    });
    cancelSecond = clock.wakeAt(micros(at + 1), () => order.push("second"));
  });
  await pause(5);
  assert.deepEqual(order, ["first", "again"]);
});
