import assert from "node:assert/strict";
import { test } from "node:test";
import { nextStep, RetryBudget, type RetrySituation } from "../../lib/mesh/retry_policy.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";

const BUSY = { retryable: true, nothingDone: true };
const LOST = { retryable: true, nothingDone: false };
const FINAL = { retryable: false, nothingDone: true };
const LIMITS = { attempts: 3, firstPauseMs: 100, longestPauseMs: 1_000 };

function situation(change: Partial<RetrySituation>): RetrySituation {
  const budget = new RetryBudget();
  return {
    failure: BUSY,
    made: 1,
    limits: LIMITS,
    isRepeatable: false,
    leftMs: 30_000,
    budget,
    chance: 0.5,
    ...change,
  };
}

test("what would fail again is not made again, and what may have been done only if it may be done twice", () => {
  assert.deepEqual(nextStep(situation({ failure: FINAL })), { kind: "fail", why: "final" });
  assert.deepEqual(nextStep(situation({ failure: FINAL, isRepeatable: true })), { kind: "fail", why: "final" });
  assert.deepEqual(nextStep(situation({ failure: LOST })), { kind: "fail", why: "unsafe" });
  assert.deepEqual(nextStep(situation({ failure: LOST, isRepeatable: true })), { kind: "again", afterMs: 50 });
  assert.deepEqual(nextStep(situation({ failure: BUSY })), { kind: "again", afterMs: 50 });
});

test("pauses are drawn below a bound that doubles up to the longest, until there were enough attempts", () => {
  const pauses = (chance: number): unknown[] =>
    [1, 2, 3, 4].map((made) => {
      const step = nextStep(situation({ made, chance, limits: { ...LIMITS, longestPauseMs: 300 } }));
      return step.kind === "again" ? step.afterMs : step.why;
    });
  assert.deepEqual(pauses(0), [0, 0, 0, "attempts"]);
  assert.deepEqual(pauses(0.5), [50, 100, 150, "attempts"]);
  // So many that the bound is beyond all numbers.
  const step = nextStep(situation({ made: 2_000, limits: { ...LIMITS, attempts: 5_000 } }));
  assert.deepEqual(step, { kind: "again", afterMs: 500 });
});

test("an attempt that could begin only behind the deadline is not made, and costs the budget nothing", () => {
  const budget = new RetryBudget({ reserve: 1 });
  assert.deepEqual(nextStep(situation({ leftMs: 50, budget })), { kind: "fail", why: "late" });
  assert.deepEqual(nextStep(situation({ leftMs: 0, chance: 0, budget })), { kind: "fail", why: "late" });
  assert.deepEqual(nextStep(situation({ leftMs: 51, budget })), { kind: "again", afterMs: 50 });
  assert.deepEqual(nextStep(situation({ leftMs: Infinity, budget })), { kind: "fail", why: "budget" });
});

test("against a service that fails everything, repetitions are a tenth of the requests and a reserve", () => {
  const random = new SeededRandom(7);
  const budget = new RetryBudget();
  let made = 0;
  for (let request = 0; request < 1_000; request++) {
    budget.earn();
    for (let attempt = 1;; attempt++) {
      made++;
      const step = nextStep(situation({ made: attempt, budget, chance: random.next() }));
      if (step.kind === "fail") break;
    }
  }
  assert.ok(made >= 1_100 && made <= 1_110, `${made}`);
});

test("a budget saves up no more than its reserve, and one that cannot be is refused", () => {
  const budget = new RetryBudget({ share: 0.5, reserve: 2 });
  for (let i = 0; i < 100; i++) budget.earn();
  assert.deepEqual([budget.left, budget.spend(), budget.spend(), budget.spend(), budget.left], [
    2,
    true,
    true,
    false,
    0,
  ]);
  budget.earn();
  assert.equal(budget.spend(), false);
  budget.earn();
  assert.equal(budget.spend(), true);
  assert.throws(() => new RetryBudget({ share: -1 }), RangeError);
  assert.throws(() => new RetryBudget({ reserve: 0 }), RangeError);
  assert.throws(() => new RetryBudget({ share: NaN }), RangeError);
});
