import assert from "node:assert/strict";
import test from "node:test";
import { toHex } from "../../lib/base/bytes.ts";
import { SystemRandom } from "../../lib/runtime/mod.ts";

test("random bytes of both kinds fill every length", () => {
  const random = new SystemRandom();
  for (const fill of [random.fillPublic.bind(random), random.fillSecret.bind(random)]) {
    for (const length of [0, 1, 8, 255, 256, 257, 4096, 5000, 65_536, 65_537, 200_000]) {
      const padded = new Uint8Array(length + 2);
      fill(padded.subarray(1, length + 1));
      assert.equal(padded[0] | padded[length + 1], 0, "bytes outside were written");
      if (length < 32) continue;
      // 32 zero bytes in a row come once in 2^256 times.
      for (let at = 1; at + 32 <= length; at += 32) {
        assert.ok(padded.subarray(at, at + 32).some((byte) => byte !== 0), `zeros at ${at} of ${length}`);
      }
    }
  }
});

test("the pool behind public bytes never gives the same bytes twice", () => {
  const random = new SystemRandom();
  const seen = new Set<string>();
  const id = new Uint8Array(16), odd = new Uint8Array(7);
  for (let i = 0; i < 5000; i++) {
    random.fillPublic(id);
    seen.add(toHex(id));
    if (i % 3 === 0) random.fillPublic(odd);
  }
  assert.equal(seen.size, 5000);
});

test("two sources are independent", () => {
  const one = new Uint8Array(32), other = new Uint8Array(32);
  new SystemRandom().fillPublic(one);
  new SystemRandom().fillPublic(other);
  assert.notEqual(toHex(one), toHex(other));
});
