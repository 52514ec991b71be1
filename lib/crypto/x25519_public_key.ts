/**
 * Which X25519 public keys are acceptable at all (SPEC §5). Checked here, because the runtimes take every 32 bytes.
 *
 * @module
 */

import { bytesEqual, fromHex } from "../base/bytes.ts";

/** Length of X25519 private keys, public keys and shared secrets. */
export const X25519_KEY_LENGTH = 32;

/**
 * The u-coordinates below 2^255 − 19 whose order divides the cofactor, on the curve or its twist. The clamped scalar is a
 * multiple of 8, so exactly these give an all-zero shared secret (RFC 7748 §6.1), whatever the private key.
 */
const LOW_ORDER: readonly Uint8Array[] = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].map((hex) => fromHex(hex)!);

/**
 * Whether a public key is 32 bytes long, canonical (below 2^255 − 19, bit 255 clear) and not of low order. Keys are
 * public, so the time this takes may depend on them.
 */
export function isAcceptablePublicKey(publicKey: Uint8Array): boolean {
  if (publicKey.length !== X25519_KEY_LENGTH || !isCanonical(publicKey)) return false;
  for (const point of LOW_ORDER) if (bytesEqual(point, publicKey)) return false;
  return true;
}

function isCanonical(publicKey: Uint8Array): boolean {
  if (publicKey[31] !== 0x7f) return publicKey[31] < 0x7f;
  for (let i = 30; i > 0; i--) if (publicKey[i] !== 0xff) return true;
  return publicKey[0] < 0xed;
}

/** Whether a shared secret is all zero, in constant time (RFC 7748 §6.1). */
export function isAllZero(secret: Uint8Array): boolean {
  let any = 0;
  for (let i = 0; i < secret.length; i++) any |= secret[i];
  return any === 0;
}

/** Throws a RangeError unless `privateKey` has 32 bytes. */
export function checkPrivateKey(privateKey: Uint8Array): void {
  if (privateKey.length !== X25519_KEY_LENGTH) {
    throw new RangeError(`a private key has ${X25519_KEY_LENGTH} bytes, got ${privateKey.length}`);
  }
}
