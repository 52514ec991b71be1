import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Micros, micros, NEVER } from "../../lib/base/time.ts";
import { DeadlineWheel, WHEEL_TICK, type WheelEntry } from "../../lib/mesh/deadline_wheel.ts";
import { property } from "../support/seed.ts";

class Entry implements WheelEntry {
  readonly deadline: Micros;
  expiredAt: Micros | undefined;
  wheelSlot = -1;
  wheelNext: WheelEntry | undefined;
  wheelPrevious: WheelEntry | undefined;
  onExpired: (() => void) | undefined;

  constructor(deadline: number) {
    this.deadline = micros(deadline);
  }

  expired(now: Micros): void {
    assert.equal(this.expiredAt, undefined, "expired twice");
    this.expiredAt = now;
    this.onExpired?.();
  }
}

test("an entry expires within a tick behind its deadline, and never before", () => {
  const wheel = new DeadlineWheel(micros(0));
  const entry = new Entry(50_000);
  wheel.add(entry);
  const next = wheel.next();
  assert.ok(next >= 50_000 && next <= 50_000 + WHEEL_TICK);
  wheel.expire(micros(49_999));
  assert.equal(entry.expiredAt, undefined);
  wheel.expire(next);
  assert.equal(entry.expiredAt, next);
  assert.equal(wheel.size, 0);
  assert.equal(wheel.next(), NEVER);
});

test("a deadline that has passed already expires at the next turn, one without an end never", () => {
  const wheel = new DeadlineWheel(micros(1_000_000));
  const late = new Entry(5);
  wheel.add(late);
  wheel.add(new Entry(NEVER));
  assert.equal(wheel.size, 1);
  wheel.expire(wheel.next());
  assert.notEqual(late.expiredAt, undefined);
});

test("an entry cannot be on the wheel twice, and removing it twice does nothing", () => {
  const wheel = new DeadlineWheel(micros(0));
  const entry = new Entry(10_000);
  wheel.add(entry);
  assert.throws(() => wheel.add(entry), RangeError);
  wheel.remove(entry);
  wheel.remove(entry);
  assert.equal(wheel.size, 0);
});

test("entries may be added and removed while others expire", () => {
  const wheel = new DeadlineWheel(micros(0));
  const [first, second, third] = [new Entry(1000), new Entry(1_000_000), new Entry(1_000_000)];
  for (const entry of [first, second]) wheel.add(entry);
  first.onExpired = () => {
    wheel.remove(second);
    wheel.add(third);
  };
  wheel.expire(micros(500_000));
  assert.equal(wheel.size, 1);
  wheel.expire(micros(1_100_000));
  assert.equal(second.expiredAt, undefined);
  assert.notEqual(third.expiredAt, undefined);
});

test("the wheel agrees with a plain list over any run of additions, removals and waits", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), delay: fc.oneof(fc.nat(10_000), fc.nat(20_000_000)) }),
    fc.record({ kind: fc.constant("remove" as const), index: fc.nat(1000) }),
    fc.record({ kind: fc.constant("wait" as const), delay: fc.oneof(fc.nat(5_000), fc.nat(10_000_000)) }),
    fc.record({ kind: fc.constant("next" as const) }),
  );
  fc.assert(
    fc.property(fc.nat(10_000_000), fc.array(step, { maxLength: 80 }), (start, steps) => {
      let now = start;
      const wheel = new DeadlineWheel(micros(now));
      let waiting: Entry[] = [];
      const advance = (to: number): void => {
        now = to;
        wheel.expire(micros(now));
        for (const entry of waiting) {
          if (entry.expiredAt !== undefined) assert.ok(entry.deadline <= now, "expired early");
          else assert.ok(entry.deadline > now - WHEEL_TICK, "expired late");
        }
        waiting = waiting.filter((entry) => entry.expiredAt === undefined);
      };
      for (const step of steps) {
        if (step.kind === "add") {
          const entry = new Entry(now + step.delay);
          wheel.add(entry);
          waiting.push(entry);
        } else if (step.kind === "remove") {
          if (waiting.length > 0) wheel.remove(waiting.splice(step.index % waiting.length, 1)[0]);
        } else if (step.kind === "wait") advance(now + step.delay);
        else if (wheel.next() !== NEVER) {
          const earliest = Math.min(...waiting.map((entry) => entry.deadline));
          assert.ok(wheel.next() <= Math.max(earliest, now) + 2 * WHEEL_TICK, "next() would miss the earliest one");
          advance(Math.max(now, wheel.next()));
        }
        assert.equal(wheel.size, waiting.length);
      }
    }),
    property(300),
  );
});
