import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SmallCopies } from "../../../lib/transport/streams/small_copies.ts";
import { property } from "../../support/seed.ts";

test("every copy has the bytes of its source and stays as it is while others are made and changed", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(700), { maxLength: 60 }), (lengths) => {
      const copies = new SmallCopies();
      const source = new Uint8Array(800);
      const made: Uint8Array[] = [];
      lengths.forEach((length, i) => {
        for (let at = 0; at < source.length; at++) source[at] = i + at;
        const copy = copies.copy(source, 3, 3 + length);
        assert.deepEqual(copy, source.slice(3, 3 + length));
        source.fill(255);
        copy.fill(i);
        made.push(copy);
      });
      made.forEach((copy, i) => assert.deepEqual(copy, new Uint8Array(lengths[i]).fill(i)));
    }),
    property(),
  );
});

test("a small copy keeps at most 4 096 bytes alive, and a larger one only its own", () => {
  const copies = new SmallCopies();
  const source = new Uint8Array(10_000);
  for (const length of [1, 150, 512]) assert.ok(copies.copy(source, 0, length).buffer.byteLength <= 4096);
  for (const length of [513, 5000]) assert.equal(copies.copy(source, 0, length).buffer.byteLength, length);
});

test("a block whose buffer was transferred away is replaced", () => {
  const copies = new SmallCopies();
  structuredClone(0, { transfer: [copies.copy(new Uint8Array(10), 0, 10).buffer as ArrayBuffer] });
  assert.deepEqual([...copies.copy(new Uint8Array([1, 2, 3]), 0, 3)], [1, 2, 3]);
});
