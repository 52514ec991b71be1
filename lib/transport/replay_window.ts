/**
 * The replay window: which packet numbers have been seen (SPEC §6).
 *
 * @module
 */

/** How far below the highest packet a packet may be and still count as new. */
export const REPLAY_WINDOW_SIZE = 4096;

/** Twice the window, so that the bits of packets inside it never share a place with bits that are being cleared. */
const WORDS = 2 * REPLAY_WINDOW_SIZE / 32;

/**
 * A sliding bitmap over the latest packet numbers. Ask {@link isFresh} and call {@link mark} only for packets that have been
 * authenticated: otherwise a forger could move the window. A jump of any length costs at most one pass over the bitmap.
 */
export class ReplayWindow {
  readonly #bits = new Int32Array(WORDS);
  #highest = -1;

  /** The highest number marked; −1 before the first. */
  get highest(): number {
    return this.#highest;
  }

  /** Whether `packetNumber` has not been marked and is not too old to tell. */
  isFresh(packetNumber: number): boolean {
    if (packetNumber > this.#highest) return true;
    if (this.#highest - packetNumber > REPLAY_WINDOW_SIZE) return false;
    return (this.#bits[wordOf(packetNumber)] & (1 << (packetNumber & 31))) === 0;
  }

  /** Remembers `packetNumber`. Numbers below the window are ignored. */
  mark(packetNumber: number): void {
    if (packetNumber > this.#highest) this.#advance(packetNumber);
    else if (this.#highest - packetNumber > REPLAY_WINDOW_SIZE) return;
    this.#bits[wordOf(packetNumber)] |= 1 << (packetNumber & 31);
  }

  /** Clears the words that come into use between the old highest number and the new one. */
  #advance(packetNumber: number): void {
    const oldBlock = Math.floor(this.#highest / 32);
    const blocks = Math.min(Math.floor(packetNumber / 32) - oldBlock, WORDS);
    const newest = wordOf(packetNumber);
    for (let i = 0; i < blocks; i++) this.#bits[(newest - i) & (WORDS - 1)] = 0;
    this.#highest = packetNumber;
  }
}

/** Place of a number's word in the ring. `>>> 5` keeps the low 32 bits, which is all that a ring of 2^8 words asks for. */
function wordOf(packetNumber: number): number {
  return (packetNumber >>> 5) & (WORDS - 1);
}
