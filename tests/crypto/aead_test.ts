import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SUITE_CHACHA20_POLY1305, TAG_LENGTH } from "../../lib/crypto/types.ts";
import { nobleAes256Gcm, nobleChaCha20Poly1305 } from "../../lib/crypto/noble.ts";
import { property } from "../support/seed.ts";
import { aeads } from "./implementations.ts";

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const sealing = fc.record({
  key: bytes(32),
  nonce: bytes(12),
  aad: fc.uint8Array({ maxLength: 80 }),
  plain: fc.uint8Array({ maxLength: 700 }),
  /** Where in a larger buffer the data lies, and how much of `out` is left behind it. */
  before: fc.nat(9),
  after: fc.nat(40),
});

for (const { name, value: aead } of aeads) {
  const reference = aead.suite === SUITE_CHACHA20_POLY1305 ? nobleChaCha20Poly1305 : nobleAes256Gcm;

  test(`${name} seals and opens in place and elsewhere, and leaves every other byte alone`, () => {
    fc.assert(
      fc.property(sealing, ({ key: keyBytes, nonce, aad, plain, before, after }) => {
        const key = aead.key(keyBytes);
        const expected = new Uint8Array(plain.length + TAG_LENGTH);
        reference.key(keyBytes).seal(nonce, aad, plain, expected);

        const buffer = new Uint8Array(before + plain.length + TAG_LENGTH + after).fill(0xa5);
        const around = buffer.slice();
        buffer.set(plain, before);
        const out = buffer.subarray(before);
        key.seal(nonce, aad, buffer.subarray(before, before + plain.length), out);
        around.set(expected, before);
        assert.deepEqual(buffer, around, "sealed in place");

        const sealed = buffer.subarray(before, before + expected.length);
        const elsewhere = new Uint8Array(plain.length + after).fill(0xa5);
        assert.equal(key.open(nonce, aad, sealed, elsewhere), true);
        assert.deepEqual(elsewhere.subarray(0, plain.length), plain, "opened elsewhere");
        assert.ok(elsewhere.subarray(plain.length).every((byte) => byte === 0xa5));
        assert.deepEqual(buffer, around, "opening elsewhere does not touch what is opened");

        assert.equal(key.open(nonce, aad, sealed, out), true);
        assert.deepEqual(out.subarray(0, plain.length), plain, "opened in place");
        assert.ok(out.subarray(expected.length).every((byte) => byte === 0xa5));

        const apart = new Uint8Array(expected.length + after).fill(0xa5);
        key.seal(nonce, aad, plain, apart);
        assert.deepEqual(apart.subarray(0, expected.length), expected, "sealed elsewhere");
        assert.ok(apart.subarray(expected.length).every((byte) => byte === 0xa5));
      }),
      property(60),
    );
  });

  test(`${name} opens nothing of which any part was changed or cut`, () => {
    fc.assert(
      fc.property(sealing, fc.nat(), ({ key: keyBytes, nonce, aad, plain }, where) => {
        const key = aead.key(keyBytes);
        const sealed = new Uint8Array(plain.length + TAG_LENGTH);
        key.seal(nonce, aad, plain, sealed);
        const out = new Uint8Array(sealed.length);
        const flipped = (input: Uint8Array): Uint8Array => {
          const copy = input.slice();
          copy[where % copy.length] ^= 1 << (where % 8);
          return copy;
        };
        assert.equal(key.open(nonce, aad, flipped(sealed), out), false, "ciphertext or tag");
        assert.equal(key.open(flipped(nonce), aad, sealed, out), false, "nonce");
        if (aad.length > 0) assert.equal(key.open(nonce, flipped(aad), sealed, out), false, "associated data");
        assert.equal(aead.key(flipped(keyBytes)).open(nonce, aad, sealed, out), false, "key");
        assert.equal(key.open(nonce, aad, sealed.subarray(0, where % sealed.length), out), false, "cut");
        assert.equal(key.open(nonce, aad, sealed, out), true);
      }),
      property(40),
    );
  });

  test(`${name} says false to what is shorter than a tag, even with no room in the output`, () => {
    const key = aead.key(new Uint8Array(32));
    for (let length = 0; length < TAG_LENGTH; length++) {
      assert.equal(
        key.open(new Uint8Array(12), new Uint8Array(0), new Uint8Array(length), new Uint8Array(0)),
        false,
      );
    }
  });

  test(`${name} refuses keys, nonces and outputs of the wrong length with a RangeError`, () => {
    const none = new Uint8Array(0), nonce = new Uint8Array(12);
    for (const length of [0, 16, 24, 31, 33]) assert.throws(() => aead.key(new Uint8Array(length)), RangeError);
    const key = aead.key(new Uint8Array(32));
    for (const length of [0, 8, 11, 13, 16]) {
      const wrong = new Uint8Array(length);
      assert.throws(() => key.seal(wrong, none, none, new Uint8Array(16)), RangeError);
      assert.throws(() => key.open(wrong, none, new Uint8Array(16), none), RangeError);
    }
    assert.throws(() => key.seal(nonce, none, new Uint8Array(5), new Uint8Array(20)), RangeError);
    assert.throws(() => key.open(nonce, none, new Uint8Array(21), new Uint8Array(4)), RangeError);
  });

  test(`${name} copies its key`, () => {
    const bytes = new Uint8Array(32).fill(7);
    const key = aead.key(bytes);
    bytes.fill(0);
    const sealed = new Uint8Array(TAG_LENGTH), expected = new Uint8Array(TAG_LENGTH);
    const none = new Uint8Array(0), nonce = new Uint8Array(12);
    key.seal(nonce, none, none, sealed);
    reference.key(new Uint8Array(32).fill(7)).seal(nonce, none, none, expected);
    assert.deepEqual(sealed, expected);
  });

  test(`${name} agrees with the reference on long inputs`, () => {
    const plain = Uint8Array.from({ length: 65_000 }, (_, i) => i * 7);
    const nonce = new Uint8Array(12).fill(9), aad = new Uint8Array(32).fill(1), keyBytes = new Uint8Array(32).fill(2);
    const sealed = new Uint8Array(plain.length + TAG_LENGTH), expected = new Uint8Array(plain.length + TAG_LENGTH);
    aead.key(keyBytes).seal(nonce, aad, plain, sealed);
    reference.key(keyBytes).seal(nonce, aad, plain, expected);
    assert.deepEqual(sealed, expected);
    assert.equal(aead.key(keyBytes).open(nonce, aad, sealed, sealed), true);
    assert.deepEqual(sealed.subarray(0, plain.length), plain);
  });
}
