import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { micros, millis, NEVER } from "../../lib/base/time.ts";
import { EventQueue } from "../../lib/testing/event_queue.ts";
import { ManualClock } from "../../lib/testing/manual_clock.ts";
import { property } from "../support/seed.ts";

test("an event queue gives its values out by time, and those of one time in the order of arrival", () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(20), { freq: 3 })), (steps) => {
      const queue = new EventQueue<number>();
      const naive: { at: number; value: number }[] = [];
      steps.forEach((at, value) => {
        if (at !== null) {
          queue.push(micros(at), value);
          naive.push({ at, value });
          return;
        }
        const next = naive.reduce<typeof naive[0] | undefined>(
          (a, b) => a === undefined || b.at < a.at ? b : a,
          undefined,
        );
        assert.equal(queue.nextTime, next === undefined ? NEVER : next.at);
        assert.equal(queue.pop(), next?.value);
        if (next !== undefined) naive.splice(naive.indexOf(next), 1);
      });
      assert.equal(queue.size, naive.length);
    }),
    property(500),
  );
});

test("a clock stands still until it is moved, and calls back on the way", () => {
  const clock = new ManualClock();
  const calls: string[] = [];
  clock.wakeAt(millis(2), () => calls.push(`second at ${clock.now()}`));
  clock.wakeAt(millis(1), () => calls.push(`first at ${clock.now()}`));
  clock.wakeAt(millis(9), () => calls.push("too late"));
  assert.deepEqual([clock.now(), calls], [0, []]);
  clock.advance(millis(5));
  assert.deepEqual([clock.now(), calls], [5000, ["first at 1000", "second at 2000"]]);
  assert.equal(clock.waiting, 1);
});

test("a wake-up that was called off does not come", () => {
  const clock = new ManualClock();
  let called = 0;
  const cancel = clock.wakeAt(millis(1), () => called++);
  cancel();
  cancel();
  clock.advance(millis(2));
  assert.deepEqual([called, clock.waiting], [0, 0]);
});

test("a wake-up in the past comes with the next step, one at NEVER not at all", () => {
  const clock = new ManualClock(millis(10));
  let called = 0;
  clock.wakeAt(millis(1), () => called++);
  clock.wakeAt(NEVER, () => called++);
  assert.deepEqual([clock.step(), called, clock.now()], [true, 1, 10_000]);
  assert.equal(clock.step(), false);
});

test("a wake-up may ask for another one, and for calling others off", () => {
  const clock = new ManualClock();
  const calls: number[] = [];
  const cancel = clock.wakeAt(millis(3), () => calls.push(3));
  clock.wakeAt(millis(1), () => {
    calls.push(1);
    cancel();
    clock.wakeAt(millis(2), () => calls.push(2));
  });
  clock.advance(millis(10));
  assert.deepEqual(calls, [1, 2]);
});

test("time does not run backwards", () => {
  const clock = new ManualClock(millis(10));
  assert.throws(() => clock.advance(millis(9)), RangeError);
});
