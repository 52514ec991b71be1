import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type HeapEntry, TimerHeap } from "../../lib/agent/timer_heap.ts";
import { property } from "../support/seed.ts";

test("the heap's first entry is the earliest one after any run of updates", () => {
  const update = fc.tuple(fc.nat(20), fc.oneof(fc.nat(50), fc.constant(Infinity)));
  fc.assert(
    fc.property(fc.array(update, { maxLength: 200 }), (updates) => {
      const heap = new TimerHeap<HeapEntry>();
      const entries: HeapEntry[] = Array.from({ length: 21 }, () => ({ deadline: Infinity, heapIndex: -1 }));
      for (const [index, deadline] of updates) {
        heap.update(entries[index], deadline);
        const finite = entries.filter((entry) => entry.deadline !== Infinity);
        assert.equal(heap.size, finite.length);
        assert.equal(
          heap.peek()?.deadline,
          finite.length === 0 ? undefined : Math.min(...finite.map((e) => e.deadline)),
        );
        for (const entry of entries) assert.equal(entry.heapIndex >= 0, entry.deadline !== Infinity);
      }
    }),
    property(),
  );
});
