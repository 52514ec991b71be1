import { test } from "node:test";
import assert from "node:assert/strict";
import { micros } from "../../lib/base/time.ts";
import { LostPackets } from "../../lib/transport/lost_packets.ts";

function numbers(lost: LostPackets): number[] {
  return Array.from({ length: lost.size }, (_, i) => lost.numberAt(i));
}

test("lost packets are found by number with their times", () => {
  const lost = new LostPackets();
  for (const n of [2, 5, 9]) lost.add(n, micros(n * 10), micros(n * 100));
  assert.deepEqual([0, 2, 3, 5, 6, 9, 10].map((n) => lost.indexFrom(n)), [0, 0, 1, 1, 2, 2, 3]);
  assert.deepEqual([lost.sentAt(1), lost.lostAt(1)], [50, 500]);
});

test("removing a stretch keeps the others and their times", () => {
  const lost = new LostPackets();
  for (let n = 0; n < 6; n++) lost.add(n, micros(n * 10), micros(n * 100));
  lost.remove(1, 4);
  assert.deepEqual(numbers(lost), [0, 4, 5]);
  assert.deepEqual([lost.sentAt(1), lost.lostAt(2)], [40, 500]);
});

test("the memory is bounded and forgets the oldest first", () => {
  const lost = new LostPackets(8);
  for (let n = 0; n < 9; n++) lost.add(n, micros(0), micros(0));
  assert.deepEqual(numbers(lost), [4, 5, 6, 7, 8]);
  for (let n = 9; n < 1000; n++) lost.add(n, micros(0), micros(0));
  assert.ok(lost.size <= 8);
  assert.equal(lost.numberAt(lost.size - 1), 999);
});
