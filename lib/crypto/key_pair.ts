/**
 * Making X25519 key pairs.
 *
 * @module
 */

import type { Random } from "../base/random.ts";
import type { Dh, KeyPair } from "./types.ts";
import { X25519_KEY_LENGTH } from "./x25519_public_key.ts";

/** Makes a key pair from the source's secret stream. */
export function generateKeyPair(dh: Dh, random: Pick<Random, "fillSecret">): KeyPair {
  const privateKey = new Uint8Array(X25519_KEY_LENGTH);
  random.fillSecret(privateKey);
  return { privateKey, publicKey: dh.publicKey(privateKey) };
}

/** The key pair of a private key. The bytes are copied. Throws a RangeError unless there are 32. */
export function keyPairFrom(dh: Dh, privateKey: Uint8Array): KeyPair {
  const copy = privateKey.slice();
  return { privateKey: copy, publicKey: dh.publicKey(copy) };
}
