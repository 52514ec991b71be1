import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../../lib/testing/seeded_random.ts";
import { GapBudget, Reassembler } from "../../../lib/transport/streams/reassembler.ts";
import { property } from "../../support/seed.ts";

/** Gaps of one stream at most, as in the source. */
const MAX_GAPS = 4096;

/** One cell for each offset: the obvious way to do it. */
class NaiveReassembler {
  readonly cells: (number | undefined)[] = [];
  readOffset = 0;

  insert(bytes: Uint8Array, from: number, to: number, offset: number): void {
    for (let i = from; i < to; i++, offset++) {
      if (offset >= this.readOffset) this.cells[offset] ??= bytes[i];
    }
  }

  get contiguousEnd(): number {
    let end = this.readOffset;
    while (this.cells[end] !== undefined) end++;
    return end;
  }

  get gaps(): number {
    let count = 0;
    for (let i = this.readOffset; i < this.cells.length; i++) {
      if (this.cells[i] === undefined && (i === this.readOffset || this.cells[i - 1] !== undefined)) count++;
    }
    return count;
  }

  get received(): number {
    return this.cells.slice(this.readOffset).filter((cell) => cell !== undefined).length;
  }
}

function readAll(reassembler: Reassembler): number[] {
  const all: number[] = [];
  for (let block; (block = reassembler.read()) !== undefined;) {
    assert.ok(block.length > 0);
    assert.ok(2 * block.length >= block.buffer.byteLength, "a block that is handed out is at most half room");
    all.push(...block);
  }
  return all;
}

/** Whether memory is in proportion to what is there: three bytes for each, and a small block for each gap. */
function assertFrugal(reassembler: Reassembler, received: number): void {
  assert.ok(
    reassembler.retainedBytes <= 3 * received,
    `${reassembler.retainedBytes} bytes of memory for ${received} bytes`,
  );
  assert.ok(
    reassembler.segmentCount <= reassembler.gaps + 2 + received / 1024,
    `${reassembler.segmentCount} segments for ${reassembler.gaps} gaps and ${received} bytes`,
  );
}

const operation = fc.oneof(
  { weight: 8, arbitrary: fc.record({ offset: fc.nat(300), length: fc.integer({ min: 0, max: 40 }) }) },
  { weight: 4, arbitrary: fc.record({ offset: fc.nat(60), length: fc.integer({ min: 0, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ offset: fc.nat(300), length: fc.integer({ min: 0, max: 300 }) }) },
  { weight: 2, arbitrary: fc.constant("read" as const) },
);

test("any order, duplicates and conflicting overlaps give what one cell for each byte gives, first write first", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const budget = new GapBudget(1000);
      const pieces = new Reassembler(0, budget);
      const oracle = new NaiveReassembler();
      let fill = 0;
      for (const operation of operations) {
        if (operation === "read") {
          const end = oracle.contiguousEnd;
          assert.deepEqual(readAll(pieces), oracle.cells.slice(oracle.readOffset, end));
          oracle.readOffset = end;
        } else {
          // Every frame has bytes of its own, so that it shows which one won; the margins show whether the limits hold.
          const bytes = new Uint8Array(operation.length + 2).fill(++fill);
          bytes[0] = bytes[operation.length + 1] = 255;
          assert.equal(pieces.insert(bytes, 1, operation.length + 1, operation.offset), true);
          oracle.insert(bytes, 1, operation.length + 1, operation.offset);
          bytes.fill(254); // what is kept must be a copy
        }
        assert.equal(pieces.readOffset, oracle.readOffset);
        assert.equal(pieces.contiguousEnd, oracle.contiguousEnd);
        assert.equal(pieces.gaps, oracle.gaps);
        assert.equal(budget.used, oracle.gaps);
        assertFrugal(pieces, oracle.received);
      }
      assert.deepEqual(readAll(pieces), oracle.cells.slice(oracle.readOffset, oracle.contiguousEnd));
    }),
    property(500),
  );
});

test("large frames that overlap blocks of any size agree with one cell for each byte", () => {
  const frame = fc.record({ offset: fc.nat(16_000), length: fc.integer({ min: 1, max: 5000 }) });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 14 }), (frames) => {
      const budget = new GapBudget(100);
      const pieces = new Reassembler(0, budget);
      const oracle = new NaiveReassembler();
      let fill = 0;
      for (const { offset, length } of frames) {
        const bytes = new Uint8Array(length).fill(++fill);
        assert.ok(pieces.insert(bytes, 0, length, offset));
        oracle.insert(bytes, 0, length, offset);
        assert.equal(pieces.gaps, oracle.gaps);
        assertFrugal(pieces, oracle.received);
      }
      const expected = Uint8Array.from({ length: 21_000 }, (_, i) => oracle.cells[i] ?? 99);
      pieces.insert(new Uint8Array(21_000).fill(99), 0, 21_000, 0);
      assert.equal(budget.used, 0);
      assert.deepEqual(Uint8Array.from(readAll(pieces)), expected);
    }),
    property(100),
  );
});

test("large streams in random order, in pieces of packet size, come out whole", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 60_000 }), (seed, total) => {
      const random = new SeededRandom(seed);
      const expected = new Uint8Array(total);
      random.fill(expected);
      const size = 1 + random.below(3000);
      const starts = Array.from({ length: Math.ceil(total / size) }, (_, i) => i * size);
      // From nearly in order to shuffled.
      const distance = 1 + random.below(random.chance(0.5) ? 4 : starts.length);
      for (let i = 0; i < starts.length; i++) {
        const j = Math.min(starts.length - 1, i + random.below(distance));
        [starts[i], starts[j]] = [starts[j], starts[i]];
      }
      const pieces = new Reassembler(0, new GapBudget(MAX_GAPS * 16));
      const out: number[] = [];
      let received = 0;
      for (const start of starts) {
        const end = Math.min(total, start + size);
        pieces.insert(expected, start, end, start);
        received += end - start;
        assertFrugal(pieces, received - out.length);
        if (random.chance(0.2)) out.push(...readAll(pieces));
      }
      out.push(...readAll(pieces));
      assert.deepEqual(Uint8Array.from(out), expected);
      assert.equal(pieces.retainedBytes, 0);
    }),
    property(50),
  );
});

test("one byte at every second offset is refused when there are too many gaps, and until then costs a small block each", () => {
  const budget = new GapBudget(1 << 20);
  const pieces = new Reassembler(0, budget);
  const one = new Uint8Array(1);
  let offset = 1;
  while (pieces.insert(one, 0, 1, offset)) offset += 2;
  assert.equal(pieces.gaps, MAX_GAPS);
  assert.equal(pieces.segmentCount, MAX_GAPS);
  assert.equal(pieces.retainedBytes, MAX_GAPS);
  assert.equal(pieces.insert(one, 0, 1, offset), false, "it stays refused");
  assert.equal(pieces.gaps, MAX_GAPS);
  assert.equal(budget.used, MAX_GAPS);
  assert.equal(pieces.insert(one, 0, 1, 0), true, "bytes that make no gap are still welcome");
  assert.equal(pieces.insert(one, 0, 1, offset), true, "the gap that was filled may be made elsewhere");
});

test("one large frame over thousands of single bytes makes one block of them", () => {
  const pieces = new Reassembler(0, new GapBudget(1 << 20));
  for (let i = 0; i < 4000; i++) pieces.insert(new Uint8Array([7]), 0, 1, 2 * i + 1);
  pieces.insert(new Uint8Array(8001).fill(9), 0, 8001, 0);
  assert.equal(pieces.gaps, 0);
  assert.equal(pieces.segmentCount, 1);
  const block = pieces.read()!;
  assert.equal(block.length, 8001);
  assert.deepEqual([...block.subarray(0, 4)], [9, 7, 9, 7]);
  assert.equal(block[8000], 9);
});

test("single bytes from the last to the first are copied together", () => {
  const pieces = new Reassembler(0, new GapBudget(16));
  const total = 20_000;
  for (let offset = total - 1; offset > 0; offset--) {
    assert.ok(pieces.insert(new Uint8Array([offset]), 0, 1, offset));
    if (offset % 500 === 0) assertFrugal(pieces, total - offset);
  }
  pieces.insert(new Uint8Array([0]), 0, 1, 0);
  const out = readAll(pieces);
  assert.equal(out.length, total);
  assert.ok(out.every((value, offset) => value === (offset & 255)));
});

test("single bytes in order that nobody reads are copied together", () => {
  const pieces = new Reassembler(0, new GapBudget(16));
  const total = 200_000;
  for (let offset = 0; offset < total; offset++) pieces.insert(new Uint8Array([offset]), 0, 1, offset);
  assertFrugal(pieces, total);
  assert.ok(pieces.segmentCount < 20);
  const out = readAll(pieces);
  assert.ok(out.length === total && out.every((value, offset) => value === (offset & 255)));
});

test("one byte at the largest offset costs one byte", () => {
  const pieces = new Reassembler(0, new GapBudget(16));
  pieces.insert(new Uint8Array([1]), 0, 1, Number.MAX_SAFE_INTEGER - 1);
  assert.equal(pieces.retainedBytes, 1);
  assert.equal(pieces.gaps, 1);
  assert.equal(pieces.contiguousEnd, 0);
  assert.equal(pieces.read(), undefined);
});

test("all streams of a connection share one limit of gaps, and give back what they used", () => {
  const budget = new GapBudget(10);
  const one = new Uint8Array(1);
  const first = new Reassembler(0, budget);
  const second = new Reassembler(0, budget);
  for (let i = 0; i < 6; i++) assert.ok(first.insert(one, 0, 1, 2 * i + 1));
  for (let i = 0; i < 4; i++) assert.ok(second.insert(one, 0, 1, 2 * i + 1));
  assert.equal(second.insert(one, 0, 1, 100), false);
  first.clear();
  assert.equal(budget.used, 4);
  assert.equal(second.insert(one, 0, 1, 100), true);
});

test("a small frame behind a large block does not keep a large block alive once it is read", () => {
  const pieces = new Reassembler(0, new GapBudget(16));
  pieces.insert(new Uint8Array(40_000), 0, 40_000, 0);
  pieces.insert(new Uint8Array(10), 0, 10, 40_000);
  assert.equal(pieces.read()!.length, 40_000);
  assert.equal(pieces.read()!.buffer.byteLength, 10);
});
