/**
 * Packet numbers that are left out on purpose: whoever acknowledges one of them acknowledges what he has not seen (RFC 9000 §21.4).
 *
 * @module
 */

import { readU16 } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";

/** A number is left out after at least this many packets. Short connections have none. */
const LEAST_GAP = 64;
/** And up to so many more: a power of two. */
const GAP_SPREAD = 512;
/** Numbers that are remembered: a window of more than a thousand packets. */
const REMEMBERED = 4;

/** Decides which numbers are left out, and remembers the latest. */
export class SkippedNumbers {
  readonly #random: Pick<Random, "fillSecret">;
  readonly #draw = new Uint8Array(2);
  readonly #latest = new Float64Array(REMEMBERED).fill(-1);
  #count = 0;
  /** −1 until it has been drawn. */
  #next = -1;

  /** The peer must not be able to guess what is drawn. */
  constructor(random: Pick<Random, "fillSecret">) {
    this.#random = random;
  }

  /** Whether the packet that would have this number is to have the next one instead. Asked for each number once. */
  skips(packetNumber: number): boolean {
    if (packetNumber < LEAST_GAP) return false;
    if (this.#next < 0) this.#drawAfter(packetNumber);
    if (packetNumber < this.#next) return false;
    this.#latest[this.#count++ % REMEMBERED] = packetNumber;
    this.#drawAfter(packetNumber + LEAST_GAP);
    return true;
  }

  /** Whether an acknowledgement names one of them. */
  isAcknowledged(ranges: Float64Array, rangeCount: number): boolean {
    if (this.#count === 0) return false;
    for (let range = 0; range < rangeCount; range++) {
      const start = ranges[2 * range], end = ranges[2 * range + 1];
      for (let i = 0; i < REMEMBERED; i++) {
        if (this.#latest[i] >= start && this.#latest[i] <= end) return true;
      }
    }
    return false;
  }

  #drawAfter(packetNumber: number): void {
    this.#random.fillSecret(this.#draw);
    this.#next = packetNumber + readU16(this.#draw, 0) % GAP_SPREAD;
  }
}
