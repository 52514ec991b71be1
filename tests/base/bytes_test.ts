import { test } from "node:test";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import {
  bytesEqual,
  concatBytes,
  constantTimeEqual,
  fromBase64Url,
  fromHex,
  readSafeU64,
  readU16,
  readU32,
  toBase64Url,
  toHex,
  writeSafeU64,
  writeU16,
  writeU32,
} from "../../lib/base/bytes.ts";
import { property } from "../support/seed.ts";

const MAX = Number.MAX_SAFE_INTEGER;
const bytesUpTo = (maxLength: number) => fc.uint8Array({ maxLength });

test("integers are little-endian at any position, and writing says where they end", () => {
  fc.assert(
    fc.property(
      fc.nat(9),
      fc.nat(0xffff),
      fc.nat({ max: 0xffff_ffff }),
      fc.maxSafeNat(),
      (at, small, middle, large) => {
        const out = new Uint8Array(32), view = new DataView(out.buffer);
        assert.equal(writeU16(out, at, small), at + 2);
        assert.equal(view.getUint16(at, true), small);
        assert.equal(readU16(out, at), small);
        assert.equal(writeU32(out, at, middle), at + 4);
        assert.equal(view.getUint32(at, true), middle);
        assert.equal(readU32(out, at), middle);
        assert.equal(writeSafeU64(out, at, large), at + 8);
        assert.equal(view.getBigUint64(at, true), BigInt(large));
        assert.equal(readSafeU64(out, at), large);
      },
    ),
    property(),
  );
});

test("u64 values around each 32-bit and safe-integer border survive, and 2^53 is refused as -1", () => {
  const out = new Uint8Array(8), view = new DataView(out.buffer);
  for (const value of [0, 1, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, MAX - 1, MAX]) {
    writeSafeU64(out, 0, value);
    assert.equal(readSafeU64(out, 0), value);
  }
  for (const value of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
    view.setBigUint64(0, value, true);
    assert.equal(readSafeU64(out, 0), -1, `${value}`);
  }
});

test("two byte strings are equal exactly when length and every byte agree, in both comparisons", () => {
  fc.assert(
    fc.property(bytesUpTo(20), fc.nat(), fc.integer({ min: 1, max: 255 }), (bytes, position, flip) => {
      for (const equal of [bytesEqual, constantTimeEqual]) {
        assert.equal(equal(bytes, bytes.slice()), true);
        assert.equal(equal(bytes, concatBytes(bytes, new Uint8Array(1))), false);
        if (bytes.length === 0) continue;
        const other = bytes.slice();
        other[position % bytes.length] ^= flip;
        assert.equal(equal(bytes, other), false);
      }
    }),
    property(),
  );
});

test("joining keeps the order and copies", () => {
  const first = Uint8Array.of(1, 2);
  const joined = concatBytes(first, new Uint8Array(0), Uint8Array.of(3));
  first[0] = 9;
  assert.deepEqual([...joined], [1, 2, 3]);
  assert.equal(concatBytes().length, 0);
});

test("hex agrees with the runtime's own and reads either case back", () => {
  fc.assert(
    fc.property(bytesUpTo(40), (bytes) => {
      const text = toHex(bytes);
      assert.equal(text, Buffer.from(bytes).toString("hex"));
      assert.deepEqual(fromHex(text), bytes);
      assert.deepEqual(fromHex(text.toUpperCase()), bytes);
    }),
    property(),
  );
});

test("what is not hex is undefined", () => {
  for (const text of ["0", "0g", "0x", " 00", "00 ", "0-", "1e1", "ａａ"]) assert.equal(fromHex(text), undefined, text);
});

test("base64url agrees with the runtime's own and reads back", () => {
  fc.assert(
    fc.property(bytesUpTo(70), (bytes) => {
      const text = toBase64Url(bytes);
      assert.equal(text, Buffer.from(bytes).toString("base64url"));
      assert.deepEqual(fromBase64Url(text), bytes);
    }),
    property(),
  );
});

test("base64url is canonical: at most one text stands for a byte string", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12, unit: fc.constantFrom(..."ABCZaz059-_+/= ") }), (text) => {
      const bytes = fromBase64Url(text);
      if (bytes !== undefined) assert.equal(toBase64Url(bytes), text);
    }),
    property(1000),
  );
  // Stray low bits in the last character, padding, the other alphabet, an impossible length.
  for (const text of ["AB", "AAB", "AA==", "+A", "/A", "A", "AAAAA", "A A", "AA\n"]) {
    assert.equal(fromBase64Url(text), undefined, JSON.stringify(text));
  }
});
