/**
 * Bytes that can be told apart by their position: what simulated streams carry, so that a byte that is delivered twice, too early, on another
 * stream or not at all is noticed at once, without keeping a copy of what was sent.
 *
 * @module
 */

import { SeededRandom } from "./seeded_random.ts";

/** A prime, so that no packet size divides it and shifted data never fits. */
const BLOCK_SIZE = 65521;
const BLOCK_SEED = 0x6d7870;
/** Distance between the beginnings of two streams inside the block; without a common divisor with its size. */
const STREAM_STRIDE = 7919;

/** An endless pattern for each stream. */
export class Pattern {
  readonly #block = new Uint8Array(BLOCK_SIZE);

  constructor() {
    new SeededRandom(BLOCK_SEED).fill(this.#block);
  }

  /**
   * The bytes of a stream from `offset` on: at most `length`, and at least one of them (they end where the block does). Nobody may change
   * them.
   */
  piece(stream: number, offset: number, length: number): Uint8Array {
    const start = (stream * STREAM_STRIDE + offset) % BLOCK_SIZE;
    return this.#block.subarray(start, Math.min(start + length, BLOCK_SIZE));
  }

  /** Where `bytes` first differ from the stream's bytes from `offset` on; −1 if they do not. */
  firstDifference(stream: number, offset: number, bytes: Uint8Array): number {
    const block = this.#block;
    let at = (stream * STREAM_STRIDE + offset) % BLOCK_SIZE;
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] !== block[at]) return i;
      if (++at === BLOCK_SIZE) at = 0;
    }
    return -1;
  }
}
