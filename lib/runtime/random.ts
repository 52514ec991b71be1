/**
 * The system's random source as the library's {@link Random}.
 *
 * @module
 */

import type { Random } from "../base/random.ts";

/** Public bytes fetched at a time: a call costs some microseconds, whatever its size. */
const POOL_BYTES = 4_096;
/** Larger requests are not worth a detour over the pool. */
const MAX_POOLED = 256;
/** More than this in one call is an error (Web Cryptography API, getRandomValues). */
const MAX_CALL = 65_536;

/**
 * Randomness from `crypto.getRandomValues`. Public bytes come out of a pool; secret ones are read one by one and are
 * never held anywhere but in the caller's buffer.
 */
export class SystemRandom implements Random {
  readonly #pool = new Uint8Array(POOL_BYTES);
  #used = POOL_BYTES;

  fillPublic(out: Uint8Array): void {
    const length = out.length;
    if (length > MAX_POOLED) return fill(out);
    if (this.#used + length > POOL_BYTES) {
      fill(this.#pool);
      this.#used = 0;
    }
    out.set(this.#pool.subarray(this.#used, this.#used + length));
    this.#used += length;
  }

  fillSecret(out: Uint8Array): void {
    fill(out);
  }
}

function fill(out: Uint8Array): void {
  for (let at = 0; at < out.length; at += MAX_CALL) {
    crypto.getRandomValues(out.subarray(at, at + MAX_CALL) as Uint8Array<ArrayBuffer>);
  }
}
