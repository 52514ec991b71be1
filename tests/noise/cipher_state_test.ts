import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../lib/base/bytes.ts";
import { nobleAes256Gcm, nobleChaCha20Poly1305 } from "../../lib/crypto/noble.ts";
import { type Aead, TAG_LENGTH } from "../../lib/crypto/types.ts";
import { CipherState } from "../../lib/noise/cipher_state.ts";

const NOTHING = new Uint8Array(0);

/** An AEAD that records its nonces instead of encrypting. */
function recorder(noiseName: Aead["noiseName"], nonces: string[]): Aead {
  const record = (nonce: Uint8Array): true => {
    nonces.push(toHex(nonce));
    return true;
  };
  return { suite: 0, noiseName, key: () => ({ seal: record, open: record }) };
}

test("nonces count up from 0, little-endian for ChaChaPoly and big-endian for AESGCM", () => {
  for (const noiseName of ["ChaChaPoly", "AESGCM"] as const) {
    const nonces: string[] = [];
    const state = new CipherState(recorder(noiseName, nonces), new Uint8Array(32));
    for (let i = 0; i < 258; i++) state.encryptWithAd(NOTHING, NOTHING, new Uint8Array(16));
    const little = noiseName === "ChaChaPoly";
    assert.equal(nonces[0], "000000000000000000000000");
    assert.equal(nonces[1], little ? "000000000100000000000000" : "000000000000000000000001");
    assert.equal(nonces[257], little ? "000000000101000000000000" : "000000000000000000000101");
    assert.equal(new Set(nonces).size, 258);
  }
});

test("a failed opening does not step the counter, a successful one does", () => {
  for (const aead of [nobleChaCha20Poly1305, nobleAes256Gcm]) {
    const key = new Uint8Array(32).fill(3);
    const sender = new CipherState(aead, key), receiver = new CipherState(aead, key);
    const sealed = [1, 2].map((byte) => {
      const out = new Uint8Array(1 + TAG_LENGTH);
      assert.equal(sender.encryptWithAd(NOTHING, Uint8Array.of(byte), out), out.length);
      return out;
    });
    assert.equal(receiver.decryptWithAd(NOTHING, sealed[1]), undefined, "not its turn");
    assert.equal(receiver.decryptWithAd(Uint8Array.of(1), sealed[0]), undefined, "other data");
    assert.equal(receiver.decryptWithAd(NOTHING, sealed[0].subarray(0, 15)), undefined, "shorter than a tag");
    assert.deepEqual(receiver.decryptWithAd(NOTHING, sealed[0]), Uint8Array.of(1));
    assert.equal(receiver.decryptWithAd(NOTHING, sealed[0]), undefined, "replayed");
    assert.deepEqual(receiver.decryptWithAd(NOTHING, sealed[1]), Uint8Array.of(2));
  }
});

test("without a key plaintext passes through, copied", () => {
  const state = new CipherState(nobleChaCha20Poly1305);
  assert.deepEqual([state.hasKey, state.overhead], [false, 0]);
  const plain = Uint8Array.of(1, 2, 3), out = new Uint8Array(5);
  assert.equal(state.encryptWithAd(NOTHING, plain, out), 3);
  assert.deepEqual(out, Uint8Array.of(1, 2, 3, 0, 0));
  const back = state.decryptWithAd(NOTHING, plain)!;
  plain.fill(0);
  assert.deepEqual(back, Uint8Array.of(1, 2, 3));
  state.initializeKey(new Uint8Array(32));
  assert.deepEqual([state.hasKey, state.overhead], [true, TAG_LENGTH]);
});

test("a copy counts for itself, and a new key starts at 0", () => {
  const nonces: string[] = [];
  const state = new CipherState(recorder("AESGCM", nonces), new Uint8Array(32));
  const seal = (one: CipherState): string => {
    one.encryptWithAd(NOTHING, NOTHING, new Uint8Array(16));
    return nonces[nonces.length - 1];
  };
  seal(state);
  const copy = state.clone();
  seal(state);
  assert.ok(seal(copy).endsWith("01"));
  assert.ok(seal(state).endsWith("02"));
  state.initializeKey(new Uint8Array(32));
  assert.ok(seal(state).endsWith("00"));
});
