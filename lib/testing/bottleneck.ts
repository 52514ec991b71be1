/**
 * What makes datagrams wait for each other: a wire of limited rate with a queue in front of it that drops at its tail.
 *
 * @module
 */

import { type Clock, type Micros, micros } from "../base/time.ts";

/** Mbit/s to bytes per microsecond. */
const BYTES_PER_MICROSECOND = 1 / 8;

/**
 * A wire. Every link has one of its own; links that are given the same one compete for it, as flows of several hosts do
 * behind one router.
 *
 * @example
 * ```ts
 * import { Bottleneck } from "./bottleneck.ts";
 * import { ManualClock } from "./manual_clock.ts";
 *
 * const wire = new Bottleneck(new ManualClock(), 8, 3000); // 8 Mbit/s: a byte in a microsecond
 * console.log(wire.depart(1000), wire.depart(1500), wire.backlog, wire.depart(1000)); // 1000 2500 2500 -1
 * ```
 */
export class Bottleneck {
  /** Mbit/s; Infinity if nothing has to wait. What waits already leaves as it was going to. */
  rate: number;
  /** Bytes that may wait. */
  limit: number;
  readonly #clock: Clock;
  #busyUntil: Micros = micros(0);

  /** An idle wire. */
  constructor(clock: Clock, rate: number, limit: number) {
    this.#clock = clock;
    this.rate = rate;
    this.limit = limit;
  }

  /** Bytes that wait for the wire. */
  get backlog(): number {
    if (this.rate === Infinity) return 0;
    return Math.max(0, this.#busyUntil - this.#clock.now()) * this.rate * BYTES_PER_MICROSECOND;
  }

  /** Takes a datagram: when its last byte is on the wire, −1 if there was no room to wait. */
  depart(size: number): Micros {
    const now = this.#clock.now();
    const begin = Math.max(now, this.#busyUntil);
    if (this.rate === Infinity) return micros(begin);
    if (this.backlog + size > this.limit) return micros(-1);
    this.#busyUntil = micros(begin + size / (this.rate * BYTES_PER_MICROSECOND));
    return this.#busyUntil;
  }
}
