/**
 * HKDF (RFC 5869) and the HKDF of the Noise framework (§4.3), over any {@link Hash}.
 *
 * @module
 */

import type { Hash } from "./types.ts";

/** HKDF-Extract: a pseudorandom key from a salt and keying material. An empty salt stands for zeros (RFC 5869 §2.2). */
export function hkdfExtract(hash: Hash, salt: Uint8Array, keyingMaterial: Uint8Array): Uint8Array {
  return hash.hmac(salt, keyingMaterial);
}

/**
 * HKDF-Expand: `length` bytes from a pseudorandom key. `info` is bytes or an ASCII label. Throws a RangeError when
 * `length` is not 0 to 255 hashes' worth (RFC 5869 §2.3) or the label is not ASCII.
 *
 * @example
 * ```ts
 * import { hkdfExpand } from "./hkdf.ts";
 * import { nobleSha256 } from "./noble.ts";
 *
 * const secret = new Uint8Array(32);
 * const iv = hkdfExpand(nobleSha256, secret, "mxp1 iv", 12);
 * ```
 */
export function hkdfExpand(hash: Hash, key: Uint8Array, info: Uint8Array | string, length: number): Uint8Array {
  const most = 255 * hash.hashLength;
  if (!Number.isInteger(length) || length < 0 || length > most) {
    throw new RangeError(`HKDF-Expand gives 0 to ${most} bytes, not ${length}`);
  }
  const infoBytes = typeof info === "string" ? ascii(info) : info;
  const out = new Uint8Array(length);
  const counter = new Uint8Array(1);
  let block = new Uint8Array(0);
  for (let at = 0; at < length; at += hash.hashLength) {
    counter[0]++;
    block = new Uint8Array(hash.hmac(key, block, infoBytes, counter));
    out.set(block.subarray(0, length - at), at);
  }
  return out;
}

/** Extract and expand in one step. */
export function hkdf(
  hash: Hash,
  salt: Uint8Array,
  keyingMaterial: Uint8Array,
  info: Uint8Array | string,
  length: number,
): Uint8Array {
  return hkdfExpand(hash, hkdfExtract(hash, salt, keyingMaterial), info, length);
}

const ONE = Uint8Array.of(1);
const TWO = Uint8Array.of(2);
const THREE = Uint8Array.of(3);

/** The Noise framework's HKDF with two outputs of one hash length each. */
export function noiseHkdf2(
  hash: Hash,
  chainingKey: Uint8Array,
  keyingMaterial: Uint8Array,
): [Uint8Array, Uint8Array] {
  const key = hash.hmac(chainingKey, keyingMaterial);
  const first = hash.hmac(key, ONE);
  return [first, hash.hmac(key, first, TWO)];
}

/** The Noise framework's HKDF with three outputs of one hash length each. */
export function noiseHkdf3(
  hash: Hash,
  chainingKey: Uint8Array,
  keyingMaterial: Uint8Array,
): [Uint8Array, Uint8Array, Uint8Array] {
  const key = hash.hmac(chainingKey, keyingMaterial);
  const first = hash.hmac(key, ONE);
  const second = hash.hmac(key, first, TWO);
  return [first, second, hash.hmac(key, second, THREE)];
}

function ascii(label: string): Uint8Array {
  const bytes = new Uint8Array(label.length);
  for (let i = 0; i < label.length; i++) {
    const code = label.charCodeAt(i);
    if (code > 0x7f) throw new RangeError(`a label is ASCII, got ${JSON.stringify(label)}`);
    bytes[i] = code;
  }
  return bytes;
}
