import assert from "node:assert/strict";
import { test } from "node:test";
import { hkdfExpand, hkdfExtract, noiseHkdf2, noiseHkdf3 } from "../../lib/crypto/hkdf.ts";
import { hashes } from "./implementations.ts";

for (const { name, value: hash } of hashes) {
  const key = new Uint8Array(32).fill(1), none = new Uint8Array(0);

  test(`HKDF over ${name}: a shorter output is the beginning of a longer one`, () => {
    const whole = hkdfExpand(hash, key, none, 100);
    for (const length of [0, 1, 31, 32, 33, 64, 65, 99]) {
      assert.deepEqual(hkdfExpand(hash, key, none, length), whole.slice(0, length));
    }
  });

  test(`HKDF over ${name}: a label is its ASCII bytes, and labels separate`, () => {
    assert.deepEqual(
      hkdfExpand(hash, key, "mxp1 iv", 12),
      hkdfExpand(hash, key, new TextEncoder().encode("mxp1 iv"), 12),
    );
    assert.notDeepEqual(hkdfExpand(hash, key, "mxp1 key", 32), hkdfExpand(hash, key, "mxp1 hp", 32));
    assert.throws(() => hkdfExpand(hash, key, "mxp1 clé", 32), RangeError);
  });

  test(`HKDF over ${name}: the longest output is 255 hashes, and other lengths are refused`, () => {
    assert.equal(hkdfExpand(hash, key, none, 255 * 32).length, 8160);
    for (const length of [8161, -1, 1.5, NaN]) assert.throws(() => hkdfExpand(hash, key, none, length), RangeError);
  });

  test(`HKDF over ${name}: Noise's outputs are those of RFC 5869 with an empty info`, () => {
    const chainingKey = new Uint8Array(32).fill(2), material = new Uint8Array(32).fill(3);
    const expanded = hkdfExpand(hash, hkdfExtract(hash, chainingKey, material), none, 96);
    const [a, b, c] = noiseHkdf3(hash, chainingKey, material);
    assert.deepEqual([a, b], noiseHkdf2(hash, chainingKey, material));
    assert.deepEqual([a, b, c], [expanded.slice(0, 32), expanded.slice(32, 64), expanded.slice(64)]);
  });

  test(`${name} hashes parts as their concatenation`, () => {
    const parts = [Uint8Array.of(1, 2), none, Uint8Array.of(3), new Uint8Array(200).fill(4)];
    const joined = Uint8Array.from(parts.flatMap((part) => [...part]));
    assert.deepEqual(hash.hash(...parts), hash.hash(joined));
    assert.deepEqual(hash.hmac(key, ...parts), hash.hmac(key, joined));
    assert.deepEqual(hash.hmac(none, joined), hash.hmac(new Uint8Array(64), joined));
    assert.equal(hash.hash().length, hash.hashLength);
  });
}
