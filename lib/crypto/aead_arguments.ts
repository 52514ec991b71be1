/**
 * Argument checks that every AEAD implementation shares, so that all of them refuse the same misuse with the same words.
 *
 * @module
 */

import { TAG_LENGTH } from "./types.ts";

/** Length of a key, both suites. */
export const KEY_LENGTH = 32;
/** Length of a nonce, both suites. */
export const NONCE_LENGTH = 12;

/** Throws a RangeError unless `key` has 32 bytes. */
export function checkKey(key: Uint8Array): void {
  if (key.length !== KEY_LENGTH) throw new RangeError(`an AEAD key has ${KEY_LENGTH} bytes, got ${key.length}`);
}

/** Throws a RangeError unless `nonce` has 12 bytes and `out` has room for `length` bytes. */
function checkNonceAndRoom(nonce: Uint8Array, out: Uint8Array, length: number): void {
  if (nonce.length !== NONCE_LENGTH) throw new RangeError(`a nonce has ${NONCE_LENGTH} bytes, got ${nonce.length}`);
  if (out.length < length) throw new RangeError(`the output needs ${length} bytes, got ${out.length}`);
}

/** Checks what `seal` is called with. */
export function checkSeal(nonce: Uint8Array, plain: Uint8Array, out: Uint8Array): void {
  checkNonceAndRoom(nonce, out, plain.length + TAG_LENGTH);
}

/** Checks what `open` is called with; says whether `sealed` is long enough to hold a tag. */
export function checkOpen(nonce: Uint8Array, sealed: Uint8Array, out: Uint8Array): boolean {
  checkNonceAndRoom(nonce, out, sealed.length - TAG_LENGTH);
  return sealed.length >= TAG_LENGTH;
}
