import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SendBuffer } from "../../../lib/transport/streams/send_buffer.ts";
import { property } from "../../support/seed.ts";

test("any part that was not dropped can be copied, however it was written", () => {
  const step = fc.oneof(
    fc.record({ append: fc.integer({ min: 1, max: 700 }) }),
    fc.record({ append: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ drop: fc.nat(2000) }),
    fc.record({ from: fc.nat(), length: fc.nat(3000) }),
  );
  fc.assert(
    fc.property(fc.nat(1_000_000), fc.array(step, { minLength: 1, maxLength: 200 }), (start, steps) => {
      const byteAt = (offset: number): number => (offset * 7 + (offset >> 8)) & 255;
      const make = (from: number, length: number): Uint8Array =>
        Uint8Array.from({ length }, (_, i) => byteAt(from + i));
      const buffer = new SendBuffer(make(start, 3), start);
      let low = start;
      let end = start + 3;
      for (const step of steps) {
        if ("append" in step) {
          buffer.append(make(end, step.append));
          end += step.append;
        } else if ("drop" in step) {
          low = Math.min(low + step.drop, end - 1);
          buffer.dropBelow(low);
        } else {
          const from = low + step.from % (end - low);
          const length = Math.min(step.length, end - from);
          const out = new Uint8Array(length + 1);
          buffer.copy(from, length, out, 1);
          assert.deepEqual(out.subarray(1), make(from, length));
        }
      }
    }),
    property(),
  );
});

test("many tiny writes are kept in few pieces", () => {
  const buffer = new SendBuffer(new Uint8Array(1), 0);
  for (let i = 0; i < 100_000; i++) buffer.append(new Uint8Array(1));
  assert.ok(buffer.pieceCount <= 8 + Math.ceil(100_000 / 4096), `${buffer.pieceCount} pieces`);
  buffer.dropBelow(100_000);
  assert.equal(buffer.pieceCount, 1);
});

test("a piece goes as soon as everything in it is below the limit", () => {
  const buffer = new SendBuffer(new Uint8Array(1000), 0);
  buffer.append(new Uint8Array(1000));
  buffer.append(new Uint8Array(1000));
  buffer.dropBelow(999);
  assert.equal(buffer.pieceCount, 3);
  buffer.dropBelow(1000);
  assert.equal(buffer.pieceCount, 2);
  buffer.dropBelow(2000);
  assert.equal(buffer.pieceCount, 1);
});

test("large writes are kept as they are", () => {
  const buffer = new SendBuffer(new Uint8Array(1), 0);
  const pieces = Array.from({ length: 20 }, () => new Uint8Array(2000));
  for (const piece of pieces) buffer.append(piece);
  pieces[19][1999] = 7; // shows that the buffer holds the same bytes
  const out = new Uint8Array(1);
  buffer.copy(20 * 2000, 1, out, 0);
  assert.equal(out[0], 7);
});
