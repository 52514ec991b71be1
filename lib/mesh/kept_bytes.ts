/**
 * Bytes that came in many pieces and are kept for a while.
 *
 * @module
 */

const SMALLEST = 256;

/**
 * What is kept, in memory of its own: a small piece of what was received is a view of a block that it would keep alive, and a
 * typed array costs several times as much as the smallest message.
 *
 * @example
 * ```ts
 * import { KeptBytes } from "./kept_bytes.ts";
 *
 * const kept = new KeptBytes();
 * kept.add(Uint8Array.of(1, 2));
 * kept.add(Uint8Array.of(3));
 * kept.all; // 1, 2, 3
 * ```
 */
export class KeptBytes {
  #bytes = new Uint8Array(0);
  #length = 0;

  /** How many there are. */
  get length(): number {
    return this.#length;
  }

  /** All of them, back to back. They do not change when more are added. */
  get all(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Adds a copy of some more. */
  add(piece: Uint8Array): void {
    const end = this.#length + piece.length;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#bytes.length, SMALLEST));
      larger.set(this.all);
      this.#bytes = larger;
    }
    this.#bytes.set(piece, this.#length);
    this.#length = end;
  }
}
