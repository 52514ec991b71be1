/**
 * Copies of small byte strings, several to a block.
 *
 * In V8 a typed array of more than 64 bytes with memory of its own costs 300 to 900 ns, a view of memory that exists a
 * quarter of that: for a stream of 150 bytes it is the largest single cost of receiving.
 *
 * @module
 */

/** Largest copy that shares a block. */
const MAX_SHARED = 512;
/** Size of a block: what a kept copy keeps alive at most. */
const BLOCK_SIZE = 4096;

/** Makes copies that their receivers may keep and change, but whose `buffer` they must not transfer: it is shared. */
export class SmallCopies {
  #block: Uint8Array = new Uint8Array(0);
  #used = 0;

  /** A copy of `bytes[start…end)`. */
  copy(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const length = end - start;
    if (length > MAX_SHARED) return bytes.slice(start, end);
    let at = this.#used;
    if (at + length > this.#block.length) {
      this.#block = new Uint8Array(BLOCK_SIZE);
      at = 0;
    }
    const copy = this.#block.subarray(at, at + length);
    this.#used = at + length;
    // A call of `set` needs a view of the source; below this size a loop is quicker than making one.
    if (length <= 32) { for (let i = 0; i < length; i++) copy[i] = bytes[start + i]; }
    else copy.set(bytes.subarray(start, end));
    return copy;
  }
}
