import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, toHex } from "../../lib/base/bytes.ts";
import { hkdf } from "../../lib/crypto/hkdf.ts";
import type { Aead } from "../../lib/crypto/types.ts";
import { aeses, chachas, dhs, hashes, type Named } from "./implementations.ts";
import { hex, readVectors } from "./vectors.ts";

interface Suite<Group> {
  readonly numberOfTests: number;
  readonly testGroups: Group[];
}
interface Case {
  readonly tcId: number;
  readonly result: "valid" | "invalid" | "acceptable";
  readonly flags: string[];
}
type DhGroup = { tests: (Case & { public: string; private: string; shared: string })[] };
type AeadGroup = {
  ivSize: number;
  keySize: number;
  tagSize: number;
  tests: (Case & { key: string; iv: string; aad: string; msg: string; ct: string; tag: string })[];
};
type HkdfGroup = { tests: (Case & { ikm: string; salt: string; info: string; size: number; okm: string })[] };
type MacGroup = { tagSize: number; tests: (Case & { key: string; msg: string; tag: string })[] };

const x25519 = readVectors<Suite<DhGroup>>("wycheproof/x25519_test.json");
const chacha = readVectors<Suite<AeadGroup>>("wycheproof/chacha20_poly1305_test.json");
const aes = readVectors<Suite<AeadGroup>>("wycheproof/aes_gcm_test.json");
const hkdfSuite = readVectors<Suite<HkdfGroup>>("wycheproof/hkdf_sha256_test.json");
const hmacSuite = readVectors<Suite<MacGroup>>("wycheproof/hmac_sha256_test.json");

for (const { name, value: dh } of dhs) {
  test(
    `Wycheproof ${name}: secrets agree, and zero secrets and non-canonical keys are refused`,
    { skip: !x25519 },
    () => {
      let agreed = 0, refused = 0;
      for (const one of x25519!.testGroups.flatMap((group) => group.tests)) {
        const publicKey = hex(one.public);
        // Not every key with bit 255 set carries the flag.
        const refuse = one.flags.includes("ZeroSharedSecret") || one.flags.includes("NonCanonicalPublic") ||
          publicKey[31] > 0x7f;
        const secret = dh.shared(hex(one.private), publicKey);
        assert.equal(secret && toHex(secret), refuse ? undefined : one.shared, `test ${one.tcId}`);
        if (refuse) refused++;
        else agreed++;
      }
      console.error(`Wycheproof ${name}: ${agreed} agreed, ${refused} refused, of ${x25519!.numberOfTests}`);
      assert.equal(agreed + refused, x25519!.numberOfTests);
      assert.ok(agreed > 0 && refused > 0);
    },
  );
}

function runAead({ name, value: aead }: Named<Aead>, suite: Suite<AeadGroup>): void {
  let passed = 0, refused = 0;
  for (const group of suite.testGroups) {
    for (const one of group.tests) {
      const key = hex(one.key), nonce = hex(one.iv), aad = hex(one.aad), plain = hex(one.msg);
      const sealed = concatBytes(hex(one.ct), hex(one.tag));
      const out = new Uint8Array(plain.length + 16);
      const label = `test ${one.tcId}`;
      if (group.keySize !== 256) {
        assert.throws(() => aead.key(key), RangeError, label);
        refused++;
      } else if (group.ivSize !== 96 || group.tagSize !== 128) {
        assert.throws(() => aead.key(key).seal(nonce, aad, plain, out), RangeError, label);
        assert.throws(() => aead.key(key).open(nonce, aad, sealed, out), RangeError, label);
        refused++;
      } else {
        const ready = aead.key(key);
        ready.seal(nonce, aad, plain, out);
        assert.equal(toHex(out) === toHex(sealed), one.result === "valid", label);
        assert.equal(ready.open(nonce, aad, sealed, out), one.result === "valid", label);
        if (one.result === "valid") assert.deepEqual(out.subarray(0, plain.length), plain, label);
        passed++;
      }
    }
  }
  console.error(`Wycheproof ${name}: ${passed} passed, ${refused} of other sizes refused, of ${suite.numberOfTests}`);
  assert.equal(passed + refused, suite.numberOfTests);
  assert.ok(passed > 60);
}

for (const one of chachas) {
  test(`Wycheproof ${one.name}: valid ones open, invalid ones do not`, { skip: !chacha }, () => runAead(one, chacha!));
}

for (const one of aeses) {
  test(`Wycheproof ${one.name}: valid ones open, invalid ones do not`, { skip: !aes }, () => runAead(one, aes!));
}

for (const { name, value: hash } of hashes) {
  test(`Wycheproof HKDF over ${name}: outputs agree, and too long ones are refused`, { skip: !hkdfSuite }, () => {
    let count = 0;
    for (const one of hkdfSuite!.testGroups.flatMap((group) => group.tests)) {
      const derive = (): Uint8Array => hkdf(hash, hex(one.salt), hex(one.ikm), hex(one.info), one.size);
      if (one.result === "valid") assert.equal(toHex(derive()), one.okm, `test ${one.tcId}`);
      else assert.throws(derive, RangeError, `test ${one.tcId}`);
      count++;
    }
    console.error(`Wycheproof HKDF over ${name}: ${count} of ${hkdfSuite!.numberOfTests} passed`);
    assert.equal(count, hkdfSuite!.numberOfTests);
  });

  test(
    `Wycheproof HMAC over ${name}: valid tags are the HMAC's beginning, invalid ones are not`,
    { skip: !hmacSuite },
    () => {
      let count = 0;
      for (const group of hmacSuite!.testGroups) {
        for (const one of group.tests) {
          const tag = toHex(hash.hmac(hex(one.key), hex(one.msg)).subarray(0, group.tagSize / 8));
          assert.equal(tag === one.tag, one.result === "valid", `test ${one.tcId}`);
          count++;
        }
      }
      console.error(`Wycheproof HMAC over ${name}: ${count} of ${hmacSuite!.numberOfTests} passed`);
      assert.equal(count, hmacSuite!.numberOfTests);
    },
  );
}
