/**
 * What two static keys have in common, remembered: of the key agreements of a sealed message, the one between the static keys is
 * the same every time.
 *
 * @module
 */

import { toHex } from "../base/bytes.ts";
import type { Dh } from "../crypto/types.ts";

/** Pairs that are remembered; the one that was used the longest time ago gives way. */
const MAX_PAIRS = 256;

/** The secrets of one static key with others. They stay in memory as long as that key does. */
export class SharedSecrets {
  readonly #dh: Dh;
  readonly #limit: number;
  /** By the other key; in the order of their last use. */
  readonly #secrets = new Map<string, Uint8Array>();

  constructor(dh: Dh, limit: number = MAX_PAIRS) {
    this.#dh = dh;
    this.#limit = limit;
  }

  /** Pairs that are remembered. */
  get size(): number {
    return this.#secrets.size;
  }

  /** For one handshake of pattern X, whose second key agreement is the one between the static keys. */
  forHandshake(): Dh {
    let agreements = 0;
    const dh = this.#dh;
    return {
      noiseName: dh.noiseName,
      publicKey: (privateKey) => dh.publicKey(privateKey),
      shared: (privateKey, publicKey) =>
        ++agreements === 2 ? this.#remembered(privateKey, publicKey) : dh.shared(privateKey, publicKey),
    };
  }

  /** A copy each time: whoever asks wipes it. */
  #remembered(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
    const name = toHex(publicKey);
    const secret = this.#secrets.get(name) ?? this.#dh.shared(privateKey, publicKey);
    if (secret === undefined) return undefined;
    this.#secrets.delete(name);
    this.#secrets.set(name, secret);
    if (this.#secrets.size > this.#limit) {
      const [[oldest, forgotten]] = this.#secrets;
      this.#secrets.delete(oldest);
      forgotten.fill(0);
    }
    return secret.slice();
  }
}
