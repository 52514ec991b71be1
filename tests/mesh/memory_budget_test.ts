import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBudget } from "../../lib/mesh/memory_budget.ts";

test("a budget grants up to its limit and not a byte more", () => {
  const budget = new MemoryBudget(100);
  assert.ok(budget.reserve(60));
  assert.ok(!budget.reserve(41));
  assert.ok(budget.reserve(40));
  assert.equal(budget.used, 100);
  budget.release(60);
  assert.equal(budget.used, 40);
  assert.equal(budget.peak, 100);
});

test("a share is bounded by its own limit and by what the others have left", () => {
  const budget = new MemoryBudget(100);
  const [a, b] = [budget.share(60), budget.share(60)];
  assert.ok(!a.reserve(61));
  assert.ok(a.reserve(60));
  assert.ok(!b.reserve(41));
  assert.equal(b.used, 0);
  assert.ok(b.reserve(40));
  a.release(60);
  assert.equal(budget.used, 40);
});

test("giving back more than was granted is a programming error", () => {
  const budget = new MemoryBudget(10);
  assert.throws(() => budget.release(1), RangeError);
  assert.throws(() => new MemoryBudget(0), RangeError);
});
