import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "../../lib/agent/turns.ts";

const nextTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

test("what a turn has room for is done at once, the rest in later turns and in order, and no more than may wait", async () => {
  const turns = new Turns({ perTurn: 3, maxWaiting: 5 });
  const done: number[] = [];
  const results = Array.from({ length: 10 }, (_, i) => turns.run(() => done.push(i)));
  assert.deepEqual(done, [0, 1, 2]);
  assert.deepEqual(results.map((result) => result instanceof Promise ? "later" : typeof result), [
    ...Array(3).fill("number"),
    ...Array(5).fill("later"),
    ...Array(2).fill("undefined"),
  ]);
  let most = 0;
  for (let before = done.length; turns.waiting > 0; before = done.length) {
    await nextTurn();
    most = Math.max(most, done.length - before);
  }
  await Promise.all(results);
  assert.deepEqual(done, [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.ok(most <= 6, `${most} in one turn`);
});

test("work that fails fails for who asked for it alone", async () => {
  const turns = new Turns({ perTurn: 1, maxWaiting: 5 });
  assert.throws(() =>
    turns.run(() => {
      throw new Error("now");
    }), /now/);
  const bad = turns.run(() => {
    throw new Error("later");
  });
  const good = turns.run(() => "good");
  await assert.rejects(bad as Promise<never>, /later/);
  assert.equal(await good, "good");
  assert.equal(turns.take(1), false);
  await nextTurn();
  await nextTurn();
  assert.equal(turns.take(1), true);
  assert.deepEqual([turns.take(1), turns.take(2), turns.take(2)], [false, true, false]);
});
