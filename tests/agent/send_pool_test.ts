import assert from "node:assert/strict";
import { test } from "node:test";
import { SendPool } from "../../lib/agent/send_pool.ts";

test("a buffer that the socket holds is not handed out again before its flush has settled", async () => {
  const pool = new SendPool(8, 2);
  const first = pool.peek()!;
  assert.equal(pool.peek(), first, "peeking takes nothing");
  pool.take();
  const second = pool.peek()!;
  assert.notEqual(second, first);
  pool.take();
  assert.equal(pool.peek(), undefined);
  let settle = (): void => {};
  const freed = pool.flushed(new Promise((resolve) => settle = resolve));
  assert.equal(pool.peek(), undefined);
  assert.equal(pool.dirty, false);
  settle();
  await freed;
  assert.ok([first, second].includes(pool.peek()!));
});

test("a flush that is done at once frees its buffers at once", () => {
  const pool = new SendPool(8, 1);
  pool.peek();
  pool.take();
  assert.equal(pool.flushed(undefined), undefined);
  assert.notEqual(pool.peek(), undefined);
});
