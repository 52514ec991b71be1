import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { RangeSet } from "../../lib/base/range_set.ts";
import { property } from "../support/seed.ts";

const pairs = (set: RangeSet): number[][] => [...set].map(({ start, end }) => [start, end]);

/** The same set, slowly: every member on its own. */
class NaiveSet {
  members = new Set<number>();
  readonly maxRanges: number;

  constructor(maxRanges: number) {
    this.maxRanges = maxRanges;
  }

  insert(start: number, end: number): boolean {
    const before = this.members.size;
    for (let i = start; i <= end; i++) this.members.add(i);
    const grew = this.members.size > before;
    this.#bound();
    return grew;
  }

  remove(start: number, end: number): void {
    for (let i = start; i <= end; i++) this.members.delete(i);
    this.#bound();
  }

  removeBelow(limit: number): void {
    for (const member of this.members) if (member < limit) this.members.delete(member);
  }

  ranges(): number[][] {
    const ranges: number[][] = [];
    for (const member of [...this.members].sort((a, b) => a - b)) {
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === member - 1) last[1] = member;
      else ranges.push([member, member]);
    }
    return ranges;
  }

  #bound(): void {
    const ranges = this.ranges();
    if (ranges.length > this.maxRanges) this.removeBelow(ranges[ranges.length - this.maxRanges][0]);
  }
}

const start = fc.nat(60), length = fc.nat(8);
const operation = fc.oneof(
  fc.record({ kind: fc.constant("insert" as const), start, length }),
  fc.record({ kind: fc.constant("append" as const), start: fc.nat(3), length }),
  fc.record({ kind: fc.constant("remove" as const), start, length }),
  fc.record({ kind: fc.constant("removeBelow" as const), start, length }),
);

test("a range set behaves as a set of integers through any sequence of operations", () => {
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 40 }),
      fc.constantFrom(1, 2, 3, 5, Infinity),
      (operations, maxRanges) => {
        const set = new RangeSet(maxRanges), naive = new NaiveSet(maxRanges);
        for (const { kind, start, length } of operations) {
          if (kind === "insert") {
            assert.equal(set.insert(start, start + length), naive.insert(start, start + length));
          } else if (kind === "append") {
            const first = set.max + 1 + start;
            assert.equal(set.insert(first, first + length), naive.insert(first, first + length));
          } else if (kind === "remove") {
            set.remove(start, start + length);
            naive.remove(start, start + length);
          } else {
            set.removeBelow(start);
            naive.removeBelow(start);
          }
          const expected = naive.ranges();
          assert.deepEqual(pairs(set), expected);
          assert.deepEqual([...set.descending()].map(({ start, end }) => [start, end]), expected.toReversed());
          assert.equal(set.count, expected.length);
          assert.equal(set.isEmpty, expected.length === 0);
          assert.equal(set.min, expected[0]?.[0] ?? -1);
          assert.equal(set.max, expected.at(-1)?.[1] ?? -1);
          for (let value = 0; value < 80; value += 3) {
            const around = expected.find(([first, last]) => first <= value && value <= last);
            assert.equal(set.contains(value), around !== undefined, `contains ${value}`);
            assert.equal(set.endOfRun(value), around?.[1] ?? -1);
            assert.equal(set.containsRange(value, value + 2), around !== undefined && around[1] >= value + 2);
          }
        }
      },
    ),
    property(),
  );
});

test("ranges that touch become one", () => {
  const set = new RangeSet();
  set.insert(10, 19);
  set.insert(30, 39);
  set.insert(20, 29);
  assert.deepEqual(pairs(set), [[10, 39]]);
});

test("beyond its bound a range set forgets the lowest ranges, even the one just inserted", () => {
  const set = new RangeSet(2);
  set.insert(10);
  set.insert(20);
  set.insert(30);
  assert.deepEqual(pairs(set), [[20, 20], [30, 30]]);
  set.insert(5);
  assert.deepEqual(pairs(set), [[20, 20], [30, 30]]);
});

test("the largest safe integer is an ordinary member", () => {
  const max = Number.MAX_SAFE_INTEGER;
  const set = new RangeSet();
  set.insert(max - 5, max);
  set.insert(0, 3);
  set.insert(max);
  assert.deepEqual(pairs(set), [[0, 3], [max - 5, max]]);
  set.remove(max);
  assert.equal(set.max, max - 1);
});

test("what is not a range of integers is refused as the caller's mistake", () => {
  const set = new RangeSet();
  for (const [from, to] of [[2, 1], [0.5, 1], [0, 2 ** 53], [NaN, 1], [0, Infinity]]) {
    assert.throws(() => set.insert(from, to), RangeError);
    assert.throws(() => set.remove(from, to), RangeError);
  }
  assert.throws(() => new RangeSet(0), RangeError);
  assert.equal(set.isEmpty, true);
});

test("clearing empties the set for further use", () => {
  const set = new RangeSet();
  set.insert(1, 5);
  set.clear();
  assert.equal(set.isEmpty, true);
  set.insert(3);
  assert.deepEqual(pairs(set), [[3, 3]]);
});
