import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Micros, micros, NEVER } from "../../lib/base/time.ts";
import { DeadlineWheel } from "../../lib/mesh/deadline_wheel.ts";
import { type CallOutcome, PendingCall, PendingCalls } from "../../lib/mesh/pending_calls.ts";
import { property } from "../support/seed.ts";

class TestCall extends PendingCall {
  readonly outcomes: CallOutcome[] = [];
  table: PendingCalls<TestCall> | undefined;

  expired(_now: Micros): void {
    this.table!.settle(this, { kind: "deadline" });
  }

  settled(outcome: CallOutcome): void {
    this.outcomes.push(outcome);
  }
}

function filed(table: PendingCalls<TestCall>, key: number, deadline: Micros = NEVER): TestCall {
  const call = new TestCall(deadline);
  call.table = table;
  table.add(key, call);
  return call;
}

test("a call settles once, and whatever comes later changes nothing", () => {
  const table = new PendingCalls<TestCall>(new DeadlineWheel(micros(0)));
  const call = filed(table, 4);
  assert.equal(table.get(4), call);
  assert.ok(table.settle(call, { kind: "aborted" }));
  assert.ok(!table.settle(call, { kind: "deadline" }));
  table.close({ kind: "lost" });
  assert.deepEqual(call.outcomes, [{ kind: "aborted" }]);
  assert.equal(table.get(4), undefined);
});

test("a call whose deadline passes settles with it, one that is answered leaves the wheel", () => {
  const wheel = new DeadlineWheel(micros(0));
  const table = new PendingCalls<TestCall>(wheel);
  const late = filed(table, 0, micros(5_000));
  const answered = filed(table, 4, micros(5_000));
  table.settle(answered, { kind: "response", payload: new Uint8Array(1), packed: 0 });
  wheel.expire(micros(50_000));
  assert.deepEqual(late.outcomes, [{ kind: "deadline" }]);
  assert.equal(answered.outcomes.length, 1);
  assert.equal(wheel.size, 0);
});

test("closing settles everything in the order in which it was filed: streams first, then the queue", () => {
  const table = new PendingCalls<TestCall>(new DeadlineWheel(micros(0)));
  const settled: number[] = [];
  for (const key of [8, -2, 0, -3, 4]) {
    const call = filed(table, key);
    call.settled = () => settled.push(key);
  }
  table.close({ kind: "lost" });
  assert.equal(table.size, 0);
  assert.deepEqual(settled, [0, 4, 8, -2, -3]);
});

test("a key is taken by one call at a time, and a queued call can move to its stream", () => {
  const table = new PendingCalls<TestCall>(new DeadlineWheel(micros(0)));
  const queued = filed(table, -2);
  filed(table, 4);
  assert.throws(() => table.rekey(queued, 4), RangeError);
  assert.throws(() => table.add(8, queued), RangeError);
  table.rekey(queued, 8);
  assert.equal(table.get(8), queued);
  assert.equal(table.get(-2), undefined);
});

test("every call settles exactly once under any order of answers, aborts, deadlines and a close", () => {
  const action = fc.record({ kind: fc.constantFrom("add", "answer", "abort", "wait", "close"), pick: fc.nat(1000) });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      let now = 0;
      const wheel = new DeadlineWheel(micros(now));
      const table = new PendingCalls<TestCall>(wheel);
      const calls: TestCall[] = [];
      for (const { kind, pick } of actions) {
        const call = calls[pick % Math.max(1, calls.length)];
        if (kind === "add") calls.push(filed(table, calls.length * 4, micros(now + pick * 100)));
        else if (kind === "wait") wheel.expire(micros(now += pick * 50));
        else if (kind === "close") table.close({ kind: "lost" });
        else if (call !== undefined) {
          table.settle(
            call,
            kind === "abort" ? { kind: "aborted" } : { kind: "response", payload: new Uint8Array(0), packed: 0 },
          );
        }
      }
      table.close({ kind: "lost" });
      for (const call of calls) assert.equal(call.outcomes.length, 1);
      assert.equal(wheel.size, 0);
    }),
    property(),
  );
});
