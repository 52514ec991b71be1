/**
 * Which tickets of one key were used: a bit for each, so that the answer is exact and the memory bounded.
 *
 * @module
 */

const FIRST_BYTES = 64;

/** A set of small numbers that only grows. */
export class UsedTickets {
  readonly #limit: number;
  #bits = new Uint8Array(FIRST_BYTES);

  /** For numbers below `limit`. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a number was marked. Numbers outside of the limit count as marked. */
  has(number: number): boolean {
    if (!(number >= 0 && number < this.#limit)) return true;
    const byte = number >>> 3;
    return byte < this.#bits.length && (this.#bits[byte] & (1 << (number & 7))) !== 0;
  }

  /** Marks a number; false if it was marked before. */
  mark(number: number): boolean {
    if (this.has(number)) return false;
    const byte = number >>> 3;
    if (byte >= this.#bits.length) {
      const bits = new Uint8Array(Math.max(2 * this.#bits.length, byte + 1));
      bits.set(this.#bits);
      this.#bits = bits;
    }
    this.#bits[byte] |= 1 << (number & 7);
    return true;
  }
}
