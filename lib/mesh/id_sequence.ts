/**
 * Message and trace ids: a random start, then counting (SPEC §8). Two halves of 32 bits, because nothing here needs
 * 64-bit arithmetic.
 *
 * @module
 */

import { readU32 } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";

/** Counts through the 64-bit ids from a random start; 0 is left out. */
export class IdSequence {
  /** The id that {@link next} made last, high half. */
  high: number;
  /** Low half. */
  low: number;

  constructor(random: Random) {
    const start = new Uint8Array(8);
    random.fillPublic(start);
    this.high = readU32(start, 0);
    this.low = readU32(start, 4);
  }

  /** Moves on to the next id. */
  next(): void {
    this.low = (this.low + 1) >>> 0;
    if (this.low !== 0) return;
    this.high = (this.high + 1) >>> 0;
    if (this.high === 0) this.low = 1;
  }
}

/** An id as 16 hex digits. */
export function formatId64(high: number, low: number): string {
  return (high >>> 0).toString(16).padStart(8, "0") + (low >>> 0).toString(16).padStart(8, "0");
}
