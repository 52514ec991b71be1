import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../lib/base/bytes.ts";
import { hkdf, hkdfExtract } from "../../lib/crypto/hkdf.ts";
import type { AeadAnswer } from "../../lib/crypto/known_answers.ts";
import { testAead, testDh, testSha256 } from "../../lib/crypto/self_check.ts";
import type { Aead, AeadKey, Hash } from "../../lib/crypto/types.ts";
import { aeads, chachas, dhs, hashes } from "./implementations.ts";

for (const { name, value } of aeads) {
  test(`${name} passes its self-test`, () => assert.equal(testAead(value), undefined));

  test(`${name}: the self-test notices one wrong bit, an opened forgery and a refused original`, () => {
    const wrap = (change: Partial<AeadKey>): Aead => ({
      ...value,
      key: (bytes) => {
        const key = value.key(bytes);
        return { seal: change.seal ?? key.seal, open: change.open ?? key.open };
      },
    });
    assert.match(testAead(wrap({ seal: (_nonce, _aad, _plain, out) => void (out[0] ^= 1) }))!, /sealed wrongly/);
    assert.match(testAead(wrap({ open: () => false }))!, /did not open/);
    // Opens what it should and, with the tag's last bit repaired, what it should not.
    assert.match(
      testAead({
        ...value,
        key: (bytes) => {
          const key = value.key(bytes);
          const open: AeadKey["open"] = (nonce, aad, sealed, out) =>
            key.open(nonce, aad, sealed, out) || key.open(nonce, aad, flipLast(sealed), out);
          return { seal: key.seal, open };
        },
      })!,
      /opened a forgery/,
    );
  });
}

function flipLast(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy[copy.length - 1] ^= 1;
  return copy;
}

/** Five blocks, the last one partial; too long to be worth its time at every start. */
const RFC_8439_A5: AeadAnswer = {
  source: "RFC 8439 appendix A.5",
  key: "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
  nonce: "000000000102030405060708",
  aad: "f33388860000000000004e91",
  plain:
    "496e7465726e65742d4472616674732061726520647261667420646f63756d656e74732076616c696420666f722061206d6178696d756d" +
    "206f6620736978206d6f6e74687320616e64206d617920626520757064617465642c207265706c616365642c206f72206f62736f6c6574" +
    "6564206279206f7468657220646f63756d656e747320617420616e792074696d652e20497420697320696e617070726f70726961746520" +
    "746f2075736520496e7465726e65742d447261667473206173207265666572656e6365206d6174657269616c206f7220746f2063697465" +
    "207468656d206f74686572207468616e206173202fe2809c776f726b20696e2070726f67726573732e2fe2809d",
  sealed:
    "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b01" +
    "00d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c186324e2b35" +
    "06383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f8" +
    "3fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a67276" +
    "27097a1049e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb223923" +
    "36fea1851f38",
};

for (const { name, value } of chachas) {
  test(`${name}: RFC 8439 A.5 comes out as printed`, () => assert.equal(testAead(value, [RFC_8439_A5]), undefined));
}

for (const { name, value } of dhs) {
  test(`${name} passes its self-test`, () => assert.equal(testDh(value), undefined));

  test(`${name}: the self-test notices a wrong public key and a wrong or missing secret`, () => {
    assert.match(testDh({ ...value, publicKey: () => new Uint8Array(32) })!, /wrong public key/);
    assert.match(testDh({ ...value, shared: () => new Uint8Array(32) })!, /wrong secret/);
    assert.match(testDh({ ...value, shared: () => undefined })!, /wrong secret/);
  });
}

for (const { name, value } of hashes) {
  test(`${name} passes its self-test`, () => assert.equal(testSha256(value), undefined));

  test(`${name}: the self-test notices a wrong hash and a wrong HMAC`, () => {
    assert.match(testSha256({ ...value, hash: () => new Uint8Array(32) })!, /wrong digest/);
    assert.match(testSha256({ ...value, hmac: () => new Uint8Array(32) })!, /wrong digest/);
    const forgetful: Hash = { ...value, hmac: (key, ...parts) => value.hmac(key, parts[parts.length - 1]) };
    assert.match(testSha256(forgetful)!, /wrong/);
  });

  test(`${name}: RFC 4231 §4.3, §4.4, §4.7 and RFC 5869 A.2 come out as printed`, () => {
    const text = (ascii: string): Uint8Array => new TextEncoder().encode(ascii);
    const hmac = (key: Uint8Array, message: Uint8Array): string => toHex(value.hmac(key, message));
    assert.equal(
      hmac(text("Jefe"), text("what do ya want for nothing?")),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
    assert.equal(
      hmac(new Uint8Array(20).fill(0xaa), new Uint8Array(50).fill(0xdd)),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    );
    assert.equal(
      hmac(new Uint8Array(131).fill(0xaa), text("Test Using Larger Than Block-Size Key - Hash Key First")),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    );
    const range = (from: number, count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => from + i);
    const salt = range(0x60, 80), material = range(0x00, 80), info = range(0xb0, 80);
    assert.equal(
      toHex(hkdfExtract(value, salt, material)),
      "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
    );
    assert.equal(
      toHex(hkdf(value, salt, material, info, 82)),
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8" +
        "367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    );
  });
}
