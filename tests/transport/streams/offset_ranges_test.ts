import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OffsetRanges } from "../../../lib/transport/streams/offset_ranges.ts";
import { property } from "../../support/seed.ts";

const SPAN = 40;

function assertSame(ranges: OffsetRanges, oracle: Set<number>): void {
  const values: number[] = [];
  let previousEnd = -1;
  for (let i = 0; i < ranges.count; i++) {
    assert.ok(ranges.startOf(i) > previousEnd, "ranges are sorted and do not touch");
    assert.ok(ranges.endOf(i) > ranges.startOf(i), "no range is empty");
    for (let value = ranges.startOf(i); value < ranges.endOf(i); value++) values.push(value);
    previousEnd = ranges.endOf(i);
  }
  assert.deepEqual(values, [...oracle].sort((a, b) => a - b));
  for (let value = 0; value <= SPAN; value++) assert.equal(ranges.has(value), oracle.has(value));
}

const operation = fc.record({
  kind: fc.constantFrom("add" as const, "remove" as const, "trim" as const, "drop" as const, "except" as const),
  start: fc.nat(SPAN),
  length: fc.nat(12),
  other: fc.array(fc.tuple(fc.nat(SPAN), fc.nat(6)), { maxLength: 5 }),
});

test("any sequence of additions and removals leaves the same values as a plain set", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
      const ranges = new OffsetRanges();
      const oracle = new Set<number>();
      for (const { kind, start, length, other } of operations) {
        const end = Math.min(start + length, SPAN);
        if (kind === "add") {
          ranges.add(start, end);
          for (let value = start; value < end; value++) oracle.add(value);
        } else if (kind === "remove") {
          ranges.remove(start, end);
          for (let value = start; value < end; value++) oracle.delete(value);
        } else if (kind === "except") {
          const skip = new OffsetRanges();
          const skipped = new Set<number>();
          for (const [from, count] of other) {
            skip.add(from, from + count);
            for (let value = from; value < from + count; value++) skipped.add(value);
          }
          ranges.addExcept(start, end, skip);
          for (let value = start; value < end; value++) if (!skipped.has(value)) oracle.add(value);
        } else if (!ranges.isEmpty) {
          const first = ranges.firstStart;
          const count = kind === "drop"
            ? ranges.firstEnd - first
            : Math.max(1, Math.min(length, ranges.firstEnd - first));
          for (let value = first; value < first + count; value++) oracle.delete(value);
          if (kind === "drop") ranges.dropFirst();
          else ranges.trimFirst(count);
        }
        assertSame(ranges, oracle);
      }
    }),
    property(),
  );
});

test("ranges above 32 bits work like small ones", () => {
  const ranges = new OffsetRanges();
  const top = Number.MAX_SAFE_INTEGER;
  ranges.add(top - 10, top);
  ranges.add(top - 30, top - 20);
  ranges.add(top - 20, top - 10);
  assert.equal(ranges.count, 1);
  assert.equal(ranges.firstStart, top - 30);
  assert.equal(ranges.firstEnd, top);
  ranges.remove(top - 15, top - 14);
  assert.equal(ranges.count, 2);
  assert.equal(ranges.has(top - 15), false);
  assert.equal(ranges.has(top - 14), true);
});
