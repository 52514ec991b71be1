import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import { hedged } from "../../lib/agent/calls/hedge.ts";
import type { OutgoingCall } from "../../lib/agent/calls/outgoing_calls.ts";
import type { Reply } from "../../lib/agent/calls/reply.ts";
import { millis } from "../../lib/base/time.ts";
import { RetryBudget } from "../../lib/mesh/retry_policy.ts";
import { ManualClock } from "../../lib/testing/manual_clock.ts";

/** Attempts that end when the test says so. */
function bench(max: number, reserve = 10) {
  const clock = new ManualClock();
  const counters = { hedged: 0, hedgesWon: 0, overBudget: 0 };
  const attempts: { answer: (name: string) => void; fail: (text: string) => void; begin(): void; aborted: boolean }[] =
    [];
  const result = hedged({
    afterMs: 50,
    max,
    clock,
    counters,
    budget: new RetryBudget({ reserve }),
    attempt: (signal, onCall) => {
      const end = deferred<Reply>();
      const call = { firstByteAt: 0 };
      onCall(call as OutgoingCall);
      const attempt = {
        answer: (name: string) => end.resolve(name as unknown as Reply),
        fail: (text: string) => end.reject(new Error(text)),
        begin: () => void (call.firstByteAt = 1),
        aborted: false,
      };
      signal.addEventListener("abort", () => attempt.aborted = true);
      attempts.push(attempt);
      return end.promise;
    },
  });
  return { clock, counters, attempts, result: result as unknown as Promise<string> };
}

test("an attempt that takes long gets company, the first answer counts, and the others are given up", async () => {
  const { clock, counters, attempts, result } = bench(2);
  clock.advance(millis(49));
  assert.equal(attempts.length, 1);
  clock.advance(millis(50));
  clock.advance(millis(1_000));
  assert.equal(attempts.length, 3, "so many and no more");
  attempts[1].answer("second");
  assert.equal(await result, "second");
  assert.deepEqual(attempts.map(({ aborted }) => aborted), [true, false, true]);
  assert.deepEqual(counters, { hedged: 2, hedgesWon: 1, overBudget: 0 });
  assert.equal(clock.waiting, 0);
});

test("a quick answer, one that has begun, and an empty budget bring no further attempt", async () => {
  const quick = bench(1);
  quick.attempts[0].answer("first");
  assert.equal(await quick.result, "first");
  assert.equal(quick.clock.waiting, 0);

  const begun = bench(1);
  begun.attempts[0].begin();
  begun.clock.advance(millis(1_000));
  assert.equal(begun.attempts.length, 1);

  const poor = bench(5, 1);
  poor.clock.advance(millis(1_000));
  assert.deepEqual([poor.attempts.length, poor.counters.overBudget], [2, 1]);
});

test("it has failed when every attempt has, with the reason of the first", async () => {
  const { clock, attempts, result } = bench(1);
  clock.advance(millis(50));
  const failing = assert.rejects(result, /first/);
  attempts[1].fail("second");
  await Promise.resolve();
  attempts[0].fail("first");
  await failing;
  const other = bench(1);
  const early = assert.rejects(other.result, /at once/);
  other.attempts[0].fail("at once");
  await early;
  other.clock.advance(millis(1_000));
  assert.equal(other.attempts.length, 1);
});
