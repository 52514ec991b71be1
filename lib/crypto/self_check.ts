/**
 * Known-answer tests for primitives. A runtime's primitive is used only after it has passed (see `select.ts`).
 *
 * @module
 */

import { bytesEqual, fromHex } from "../base/bytes.ts";
import { hkdfExpand, hkdfExtract } from "./hkdf.ts";
import {
  type AeadAnswer,
  AES_256_GCM_ANSWERS,
  CHACHA20_POLY1305_ANSWERS,
  HKDF_SHA256_ANSWERS,
  SHA256_ANSWERS,
  X25519_ANSWERS,
} from "./known_answers.ts";
import { type Aead, type Dh, type Hash, SUITE_CHACHA20_POLY1305, TAG_LENGTH } from "./types.ts";

/** Seals and opens known answers in place, then one forgery; says what went wrong, or undefined. */
export function testAead(
  aead: Aead,
  answers: readonly AeadAnswer[] = aead.suite === SUITE_CHACHA20_POLY1305
    ? CHACHA20_POLY1305_ANSWERS
    : AES_256_GCM_ANSWERS,
): string | undefined {
  for (const [i, answer] of answers.entries()) {
    const key = aead.key(bytes(answer.key));
    const nonce = bytes(answer.nonce), aad = bytes(answer.aad), plain = bytes(answer.plain);
    const sealed = bytes(answer.sealed);
    const buffer = new Uint8Array(plain.length + TAG_LENGTH);
    buffer.set(plain);
    key.seal(nonce, aad, buffer.subarray(0, plain.length), buffer);
    if (!bytesEqual(buffer, sealed)) return `${answer.source}: sealed wrongly`;
    if (!key.open(nonce, aad, buffer, buffer)) return `${answer.source}: did not open`;
    if (!bytesEqual(buffer.subarray(0, plain.length), plain)) return `${answer.source}: opened wrongly`;
    if (i < answers.length - 1) continue;
    sealed[sealed.length - 1] ^= 1;
    if (key.open(nonce, aad, sealed, buffer)) return `${answer.source}: opened a forgery`;
  }
  return undefined;
}

/** Computes every known public key and shared secret; says what went wrong, or undefined. */
export function testDh(dh: Dh): string | undefined {
  for (const answer of X25519_ANSWERS) {
    const privateKey = bytes(answer.privateKey);
    if (!bytesEqual(dh.publicKey(privateKey), bytes(answer.publicKey))) return `${answer.source}: wrong public key`;
    const shared = dh.shared(privateKey, bytes(answer.peerPublicKey));
    if (shared === undefined || !bytesEqual(shared, bytes(answer.shared))) return `${answer.source}: wrong secret`;
  }
  return undefined;
}

/** Hashes, authenticates and derives every known answer; says what went wrong, or undefined. */
export function testSha256(hash: Hash): string | undefined {
  for (const { source, key, message, digest } of SHA256_ANSWERS) {
    const whole = bytes(message), parts = [whole.subarray(0, 1), whole.subarray(1)];
    const result = key === undefined ? hash.hash(...parts) : hash.hmac(bytes(key), ...parts);
    if (!bytesEqual(result, bytes(digest))) return `${source}: wrong digest`;
  }
  for (const answer of HKDF_SHA256_ANSWERS) {
    const key = hkdfExtract(hash, bytes(answer.salt), bytes(answer.keyingMaterial));
    if (!bytesEqual(key, bytes(answer.pseudorandomKey))) return `${answer.source}: wrong pseudorandom key`;
    const expected = bytes(answer.output);
    if (!bytesEqual(hkdfExpand(hash, key, bytes(answer.info), expected.length), expected)) {
      return `${answer.source}: wrong output`;
    }
  }
  return undefined;
}

function bytes(hex: string): Uint8Array {
  return fromHex(hex)!;
}
