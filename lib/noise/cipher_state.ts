/**
 * The CipherState of the Noise framework (§5.1): a key that may be absent, and a counter that makes the nonces.
 *
 * @module
 */

import { type Aead, type AeadKey, TAG_LENGTH } from "../crypto/types.ts";

const TWO_32 = 0x1_0000_0000;

/**
 * Seals and opens with nonces that count up. Without a key, plaintext passes through.
 *
 * Noise allows 2^64 − 1 messages; here a RangeError ends it before 2^53, which no counter reaches.
 */
export class CipherState {
  readonly #aead: Aead;
  #key: AeadKey | undefined;
  #counter = 0;
  readonly #nonce: Uint8Array = new Uint8Array(12);

  /** A 32-byte key, or none yet. */
  constructor(aead: Aead, key?: Uint8Array) {
    this.#aead = aead;
    if (key !== undefined) this.initializeKey(key);
  }

  /** Takes a 32-byte key into use and starts counting at 0. */
  initializeKey(key: Uint8Array): void {
    this.#key = this.#aead.key(key);
    this.#counter = 0;
  }

  /** Whether there is a key. */
  get hasKey(): boolean {
    return this.#key !== undefined;
  }

  /** How much longer sealed data is than its plaintext, with the key as it is now. */
  get overhead(): number {
    return this.#key === undefined ? 0 : TAG_LENGTH;
  }

  /** Writes `plain`, sealed if there is a key, to the start of `out`; returns how many bytes those are. */
  encryptWithAd(ad: Uint8Array, plain: Uint8Array, out: Uint8Array): number {
    if (this.#key === undefined) {
      out.set(plain);
      return plain.length;
    }
    this.#key.seal(this.#nextNonce(), ad, plain, out);
    this.#counter++;
    return plain.length + TAG_LENGTH;
  }

  /** The plaintext as a new array; undefined, and no step of the counter, if it does not authenticate. */
  decryptWithAd(ad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    if (this.#key === undefined) return sealed.slice();
    if (sealed.length < TAG_LENGTH) return undefined;
    const plain = new Uint8Array(sealed.length - TAG_LENGTH);
    if (!this.#key.open(this.#nextNonce(), ad, sealed, plain)) return undefined;
    this.#counter++;
    return plain;
  }

  /** An independent copy that shares the key. */
  clone(): CipherState {
    const copy = new CipherState(this.#aead);
    copy.#key = this.#key;
    copy.#counter = this.#counter;
    return copy;
  }

  /** Forgets the key. */
  clear(): void {
    this.#key = undefined;
  }

  /** 32 zero bits, then the counter: little-endian for ChaChaPoly, big-endian for AESGCM (§12.3, §12.4). */
  #nextNonce(): Uint8Array {
    if (this.#counter >= Number.MAX_SAFE_INTEGER) throw new RangeError("this key has sealed all that it may");
    const low = this.#counter >>> 0;
    const high = (this.#counter / TWO_32) >>> 0;
    const littleEndian = this.#aead.noiseName === "ChaChaPoly";
    for (let i = 0; i < 4; i++) {
      this.#nonce[littleEndian ? 4 + i : 11 - i] = low >>> (8 * i);
      this.#nonce[littleEndian ? 8 + i : 7 - i] = high >>> (8 * i);
    }
    return this.#nonce;
  }
}
