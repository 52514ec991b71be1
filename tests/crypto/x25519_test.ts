import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toHex } from "../../lib/base/bytes.ts";
import { generateKeyPair, keyPairFrom } from "../../lib/crypto/key_pair.ts";
import { nativeX25519 } from "../../lib/crypto/native_x25519.ts";
import { nobleX25519 } from "../../lib/crypto/noble.ts";
import { nodeCrypto } from "../../lib/crypto/node_crypto.ts";
import { isAcceptablePublicKey, isAllZero } from "../../lib/crypto/x25519_public_key.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { property, testSeed } from "../support/seed.ts";
import { dhs } from "./implementations.ts";
import { hex } from "./vectors.ts";

const P = 2n ** 255n - 19n;
const toLittleEndian = (value: bigint): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));

/** All 32-byte encodings of points with small order: the five values, the same plus p, and both with bit 255 set. */
const SMALL_ORDER_VALUES = [
  0n,
  1n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
  P - 1n,
];
const SMALL_ORDER = SMALL_ORDER_VALUES.flatMap((value) => [value, value + P])
  .filter((value) => value < 2n ** 255n)
  .flatMap((value) => [value, value + 2n ** 255n])
  .map(toLittleEndian);

test("a public key is acceptable when it is 32 bytes, below 2^255 − 19 and of large order", () => {
  for (const key of SMALL_ORDER) assert.equal(isAcceptablePublicKey(key), false, toHex(key));
  for (const value of [2n, 9n, P - 2n, 2n ** 254n, 2n ** 255n - 2n ** 240n]) {
    assert.equal(isAcceptablePublicKey(toLittleEndian(value)), true, String(value));
  }
  for (const value of [P, P + 2n, P + 18n, 2n ** 255n, 2n ** 255n + 9n, 2n ** 256n - 1n]) {
    assert.equal(isAcceptablePublicKey(toLittleEndian(value)), false, String(value));
  }
  for (const length of [0, 31, 33, 64]) assert.equal(isAcceptablePublicKey(new Uint8Array(length).fill(9)), false);
});

test("acceptability agrees with arithmetic near every boundary and anywhere else", () => {
  const near = fc.tuple(fc.constantFrom(P, 2n ** 255n, ...SMALL_ORDER_VALUES), fc.bigInt(-40n, 40n))
    .map(([value, offset]) => value + offset).filter((value) => value >= 0n);
  fc.assert(
    fc.property(fc.oneof(near, fc.bigInt(0n, 2n ** 256n - 1n)), (value) => {
      assert.equal(
        isAcceptablePublicKey(toLittleEndian(value)),
        value < P && !SMALL_ORDER_VALUES.includes(value),
      );
    }),
    property(500),
  );
});

test("all zero means every byte", () => {
  assert.equal(isAllZero(new Uint8Array(32)), true);
  for (let i = 0; i < 32; i++) {
    assert.equal(isAllZero(Uint8Array.from({ length: 32 }, (_, j) => i === j ? 128 : 0)), false);
  }
});

for (const { name, value: dh } of dhs) {
  test(`${name}: RFC 7748 §5.2 first vector, and the second is refused because it sets bit 255`, () => {
    const secret = dh.shared(
      hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
      hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
    );
    assert.equal(toHex(secret!), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    const privateKey = hex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d");
    const publicKey = hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493");
    assert.equal(dh.shared(privateKey, publicKey), undefined);
    publicKey[31] &= 0x7f;
    assert.equal(
      toHex(dh.shared(privateKey, publicKey)!),
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    );
  });

  test(`${name}: RFC 7748 §5.2 iterated, once and 1 000 times`, () => {
    let k = new Uint8Array(32), u = new Uint8Array(32);
    k[0] = u[0] = 9;
    for (let i = 1; i <= 1000; i++) {
      const secret = new Uint8Array(dh.shared(k, u)!);
      u = k;
      k = secret;
      if (i === 1) assert.equal(toHex(k), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
    assert.equal(toHex(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
  });

  test(`${name}: RFC 7748 §6.1 agrees from both sides`, () => {
    const alice = keyPairFrom(dh, hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    const bob = keyPairFrom(dh, hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    assert.equal(toHex(alice.publicKey), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert.equal(toHex(bob.publicKey), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    const secret = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    assert.equal(toHex(dh.shared(alice.privateKey, bob.publicKey)!), secret);
    assert.equal(toHex(dh.shared(bob.privateKey, alice.publicKey)!), secret);
  });

  test(`${name} gives no secret for any encoding of a point of small order, nor for other lengths`, () => {
    const privateKey = generateKeyPair(dh, new SeededRandom(testSeed)).privateKey;
    for (const key of SMALL_ORDER) assert.equal(dh.shared(privateKey, key), undefined, toHex(key));
    for (const length of [0, 31, 33]) assert.equal(dh.shared(privateKey, new Uint8Array(length).fill(9)), undefined);
  });

  test(`${name} gives what the reference gives for random keys`, () => {
    const random = new SeededRandom(testSeed);
    for (let i = 0; i < 12; i++) {
      const ours = generateKeyPair(dh, random), theirs = generateKeyPair(dh, random);
      assert.deepEqual(ours.publicKey, nobleX25519.publicKey(ours.privateKey));
      assert.deepEqual(
        dh.shared(ours.privateKey, theirs.publicKey),
        nobleX25519.shared(theirs.privateKey, ours.publicKey),
      );
    }
  });

  test(`${name} notices that an array it has seen holds another private key now`, () => {
    const random = new SeededRandom(testSeed);
    const peer = generateKeyPair(dh, random).publicKey;
    const array = generateKeyPair(dh, random).privateKey;
    const before = dh.shared(array, peer), publicBefore = dh.publicKey(array);
    array[5] ^= 0x10;
    assert.deepEqual(dh.shared(array, peer), nobleX25519.shared(array.slice(), peer));
    assert.deepEqual(dh.publicKey(array), nobleX25519.publicKey(array.slice()));
    assert.notDeepEqual(dh.shared(array, peer), before);
    array[5] ^= 0x10;
    assert.deepEqual(dh.shared(array, peer), before);
    assert.deepEqual(dh.publicKey(array), publicBefore);
  });

  test(`${name} returns plain arrays that the caller may keep`, () => {
    const { privateKey, publicKey } = generateKeyPair(dh, new SeededRandom(testSeed));
    const secret = dh.shared(privateKey, publicKey)!;
    assert.equal(Object.getPrototypeOf(publicKey), Uint8Array.prototype);
    assert.equal(Object.getPrototypeOf(secret), Uint8Array.prototype);
    assert.equal(secret.buffer.byteLength, 32);
    secret.fill(0);
    assert.notDeepEqual(dh.shared(privateKey, publicKey), secret);
  });

  test(`${name} refuses a private key of the wrong length with a RangeError`, () => {
    const publicKey = toLittleEndian(9n);
    for (const length of [0, 31, 33]) {
      assert.throws(() => dh.publicKey(new Uint8Array(length)), RangeError);
      assert.throws(() => dh.shared(new Uint8Array(length), publicKey), RangeError);
    }
  });
}

test("a native key agreement that yields zeros or throws gives no secret", () => {
  const publicKey = toLittleEndian(9n), privateKey = new Uint8Array(32).fill(1);
  const zeros = nativeX25519({ ...nodeCrypto, diffieHellman: () => new Uint8Array(32) })!;
  assert.equal(zeros.shared(privateKey, publicKey), undefined);
  const throwing = nativeX25519({
    ...nodeCrypto,
    diffieHellman: () => {
      throw new Error("no");
    },
  })!;
  assert.equal(throwing.shared(privateKey, publicKey), undefined);
});

test("a key pair takes exactly 32 secret bytes, and a given private key is copied", () => {
  const asked: number[] = [];
  generateKeyPair(nobleX25519, {
    fillSecret: (out) => {
      asked.push(out.length);
      out.fill(3);
    },
  });
  assert.deepEqual(asked, [32]);
  const bytes = new Uint8Array(32).fill(5);
  const pair = keyPairFrom(nobleX25519, bytes);
  bytes.fill(0);
  assert.deepEqual(pair.privateKey, new Uint8Array(32).fill(5));
});
