/**
 * Remembers which packets were declared lost, so that a late acknowledgement can be told from a repeated one.
 *
 * @module
 */

import { type Micros, micros } from "../base/time.ts";
import { MAX_REMEMBERED_LOSSES } from "./recovery_constants.ts";

/**
 * The newest lost packet numbers, ascending. Loss is declared in ascending order (all tests for it are monotonic in the
 * packet number), so adding is appending; when the memory is full, the older half is forgotten.
 */
export class LostPackets {
  readonly #limit: number;
  #numbers = new Float64Array(0);
  #sentAt = new Float64Array(0);
  #lostAt = new Float64Array(0);
  #size = 0;

  /** @param limit most losses remembered. Memory is taken with the first loss. */
  constructor(limit: number = MAX_REMEMBERED_LOSSES) {
    this.#limit = limit;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#size;
  }

  /** Remembers a loss. `packetNumber` must be above all that are remembered. */
  add(packetNumber: number, sentAt: Micros, lostAt: Micros): void {
    if (this.#numbers.length === 0) {
      this.#numbers = new Float64Array(this.#limit);
      this.#sentAt = new Float64Array(this.#limit);
      this.#lostAt = new Float64Array(this.#limit);
    }
    if (this.#size === this.#limit) this.remove(0, (this.#limit + 1) >>> 1);
    this.#numbers[this.#size] = packetNumber;
    this.#sentAt[this.#size] = sentAt;
    this.#lostAt[this.#size++] = lostAt;
  }

  /** Index of the first remembered number that is not below `packetNumber`; {@link size} if there is none. */
  indexFrom(packetNumber: number): number {
    let low = 0, high = this.#size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#numbers[middle] < packetNumber) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The number at an index below {@link size}. */
  numberAt(index: number): number {
    return this.#numbers[index];
  }

  /** When that packet was sent. */
  sentAt(index: number): Micros {
    return micros(this.#sentAt[index]);
  }

  /** When it was declared lost. */
  lostAt(index: number): Micros {
    return micros(this.#lostAt[index]);
  }

  /** Forgets the entries from index `from` up to, not including, `to`. */
  remove(from: number, to: number): void {
    this.#numbers.copyWithin(from, to, this.#size);
    this.#sentAt.copyWithin(from, to, this.#size);
    this.#lostAt.copyWithin(from, to, this.#size);
    this.#size -= to - from;
  }

  /** Forgets all. */
  clear(): void {
    this.#size = 0;
  }
}
