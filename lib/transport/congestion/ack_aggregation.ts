/**
 * How many bytes acknowledgements run ahead of the bandwidth when they arrive in clumps. So much more must be in flight, or the
 * flow would run dry between two clumps.
 *
 * @module
 */

import { type Micros, micros } from "../../base/time.ts";

/** Each half of the filter covers so many round trips. */
const ROUNDS = 5;

/** Largest excess of the last five to ten round trips. */
export class AckAggregation {
  #start: Micros = micros(0);
  #bytes = 0;
  #now = 0;
  #before = 0;
  #rounds = 0;

  /** Bytes. */
  get extra(): number {
    return Math.max(this.#now, this.#before);
  }

  /** After a pause nothing is expected to have been acknowledged. */
  restart(now: Micros): void {
    this.#start = now;
    this.#bytes = 0;
  }

  /** `acked` bytes were acknowledged by one ACK. */
  onAck(now: Micros, acked: number, bandwidth: number, window: number, isRoundStart: boolean): void {
    if (isRoundStart && ++this.#rounds >= ROUNDS) {
      this.#rounds = 0;
      this.#before = this.#now;
      this.#now = 0;
    }
    let expected = bandwidth * (now - this.#start);
    if (this.#bytes <= expected) {
      this.#bytes = 0;
      this.#start = now;
      expected = 0;
    }
    this.#bytes += acked;
    this.#now = Math.max(this.#now, Math.min(this.#bytes - expected, window));
  }
}
