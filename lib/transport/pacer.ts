/**
 * Spreads packets over the round trip (RFC 9002 §7.7) with timers that are coarse: a token bucket of bytes.
 *
 * The numbers, and why:
 *
 * - The rate is the controller's: window / smoothed RTT, times 2 in slow start and times 1.25 otherwise, so that the window
 *   and not the pacer is the limit.
 * - {@link BURST_PACKETS} packets, or {@link BURST_TIME} at the current rate if that is more, may leave at once.
 * - A packet whose turn comes within {@link TIMER_GRANULARITY} leaves now, on credit: timers that fire every millisecond or so
 *   cannot be asked for less. Once the credit is used up, the next wake-up is when the debt is paid, so one wake-up sends at
 *   least a millisecond's worth.
 * - Wake-ups come late by several milliseconds when the machine is busy. What accrued while the pacer was holding
 *   something back is kept up to {@link LATE_TIME}; what accrued while there was nothing to send only up to the burst.
 * - With a smoothed RTT under {@link TIMER_GRANULARITY} nothing is paced: the window turns over faster than any timer.
 *
 * @module
 */

import { type Micros, micros, millis } from "../base/time.ts";
import type { CongestionController } from "./congestion/controller.ts";
import type { RttEstimator } from "./rtt.ts";

/** Waits shorter than this are not asked for. */
export const TIMER_GRANULARITY: Micros = millis(1);
/** Packets that may always leave at once, the initial window of ten (RFC 9002 §7.7). */
export const BURST_PACKETS = 10;
/** Burst at high rates, in time. */
export const BURST_TIME: Micros = millis(2);
/** Most that a late wake-up may catch up, in time. */
export const LATE_TIME: Micros = millis(10);

/**
 * The pacer of one path. Unlimited until the first {@link update}.
 *
 * @example
 * ```ts
 * import { micros, millis } from "../base/time.ts";
 * import { NewReno } from "./congestion/new_reno.ts";
 * import { Pacer } from "./pacer.ts";
 * import { RttEstimator } from "./rtt.ts";
 *
 * const now = micros(0), size = 1200;
 * const pacer = new Pacer();
 * pacer.update(now, new NewReno(size), new RttEstimator(millis(50))); // whenever window or RTT have changed
 * while (pacer.canSend(now, size)) pacer.onSent(now, size); // ten packets
 * pacer.nextSendTime(); // 2500: when to try again
 * ```
 */
export class Pacer {
  /** Bytes per microsecond; 0 while nothing is paced. */
  #rate = 0;
  #burst = 0;
  #tokens = Infinity;
  #refilledAt: Micros = micros(0);
  /** Something waits for tokens: time that passes is lateness, not idleness. */
  #holding = false;
  #heldSize = 0;

  /** Bytes per microsecond; 0 while nothing is paced. */
  get rate(): number {
    return this.#rate;
  }

  /** Takes the rate from the controller. What accrued so far did so at the old rate. */
  update(now: Micros, congestion: CongestionController, rtt: RttEstimator): void {
    this.#refill(now);
    if (rtt.smoothed < TIMER_GRANULARITY) {
      this.#rate = 0;
      this.#tokens = Infinity;
      this.#holding = false;
      return;
    }
    this.#rate = congestion.pacingRate(rtt);
    this.#burst = Math.max(BURST_PACKETS * congestion.maxDatagramSize, this.#rate * BURST_TIME);
    if (this.#tokens === Infinity) {
      this.#tokens = this.#burst;
      this.#refilledAt = now;
    }
  }

  /**
   * Whether a packet may leave now. On a refusal, {@link nextSendTime} says when to try again, and the connection tells the loss
   * detection that it is pacing limited. Probes, acknowledgements and CLOSE do not ask.
   */
  canSend(now: Micros, size: number): boolean {
    if (this.#rate === 0) return true;
    this.#refill(now);
    if (this.#tokens + this.#rate * TIMER_GRANULARITY >= size) {
      this.#holding = false;
      return true;
    }
    this.#holding = true;
    this.#heldSize = size;
    return false;
  }

  /** A packet that counts as in flight has left, whether or not it asked. */
  onSent(now: Micros, size: number): void {
    if (this.#rate === 0) return;
    this.#refill(now);
    // Probes do not ask; they must not run up a debt that silences everything else.
    this.#tokens = Math.max(this.#tokens - size, -this.#burst);
  }

  /** When the packet that was refused last may leave without debt, at least {@link TIMER_GRANULARITY} after the refusal. In the past if nothing is held back. */
  nextSendTime(): Micros {
    if (!this.#holding) return micros(0);
    return micros(this.#refilledAt + (this.#heldSize - this.#tokens) / this.#rate);
  }

  #refill(now: Micros): void {
    const elapsed = now - this.#refilledAt;
    if (this.#rate === 0 || elapsed <= 0) return;
    this.#refilledAt = now;
    const limit = this.#holding ? Math.max(this.#burst, this.#rate * LATE_TIME) : this.#burst;
    if (this.#tokens >= limit) {
      // Left over from a late wake-up. Kept while the same run of sending goes on, cut once there was a pause.
      if (elapsed >= TIMER_GRANULARITY) this.#tokens = limit;
      return;
    }
    this.#tokens = Math.min(this.#tokens + elapsed * this.#rate, limit);
  }
}
