import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { UsedTickets } from "../../lib/transport/used_tickets.ts";
import { testSeed } from "../support/seed.ts";

test("a number is marked once, and nothing but what was marked is", () => {
  const used = new UsedTickets(10_000), model = new Set<number>(), random = new SeededRandom(testSeed);
  for (let i = 0; i < 8000; i++) {
    const number = random.below(10_000);
    assert.equal(used.has(number), model.has(number));
    assert.equal(used.mark(number), !model.has(number), `number ${number}`);
    model.add(number);
  }
  for (let number = 0; number < 10_000; number++) assert.equal(used.has(number), model.has(number));
});

test("numbers beyond the limit count as used, so that none of them is ever taken", () => {
  const used = new UsedTickets(100);
  for (const number of [100, 101, 2 ** 32 - 1, -1, NaN]) {
    assert.equal(used.has(number), true);
    assert.equal(used.mark(number), false);
  }
  assert.equal(used.mark(99), true);
});
