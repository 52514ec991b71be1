/**
 * Round-trip time estimates (RFC 9002 §5).
 *
 * @module
 */

import { type Micros, micros, seconds } from "../base/time.ts";
import { GRANULARITY, INITIAL_RTT } from "./recovery_constants.ts";

/** A sample is at least this: with a coarse clock a loopback round trip measures as 0, and rates divide by the RTT. */
const SMALLEST_SAMPLE = 1;
/**
 * And at most this. No path takes so long, but the first answer of a peer that was asleep for ten minutes looks as if; believed, it would
 * keep every timer waiting for as long again.
 */
const LARGEST_SAMPLE = seconds(10);

/**
 * Smoothed RTT, its variation, and the minimum.
 *
 * @example
 * ```ts
 * import { micros, millis } from "../base/time.ts";
 * import { RttEstimator } from "./rtt.ts";
 *
 * const rtt = new RttEstimator();
 * rtt.update(millis(20), micros(0), micros(0)); // the handshake's round trip
 * rtt.pto(millis(25)); // 85 000: 20 ms, four times the variation of 10 ms, the peer's delay
 * ```
 */
export class RttEstimator {
  /** The newest sample, not adjusted; the initial RTT before there is one. */
  latest: Micros;
  /** Exponentially weighted average. */
  smoothed: Micros;
  /** Mean deviation. */
  variation: Micros;
  /** Smallest sample, not adjusted. */
  min: Micros;
  /** When the first sample was taken; Infinity before. */
  firstSampleAt: Micros;

  /**
   * An estimator without samples.
   *
   * @param initialRtt what to assume before the first one.
   */
  constructor(initialRtt: Micros = INITIAL_RTT) {
    this.latest = this.smoothed = this.min = initialRtt;
    this.variation = micros(initialRtt / 2);
    this.firstSampleAt = micros(Infinity);
  }

  /** Whether at least one sample was taken. */
  get hasSample(): boolean {
    return this.firstSampleAt !== Infinity;
  }

  /**
   * Takes a sample.
   *
   * @param sample time from sending a packet to its acknowledgement.
   * @param ackDelay how long the peer says that it waited, already capped by its max_ack_delay where that applies.
   * @param now when the sample was taken.
   */
  update(sample: Micros, ackDelay: Micros, now: Micros): void {
    const latest = Math.min(sample > SMALLEST_SAMPLE ? sample : SMALLEST_SAMPLE, LARGEST_SAMPLE);
    this.latest = micros(latest);
    if (this.firstSampleAt === Infinity) {
      // RFC 9002 §5.3: the first sample is taken as it is, acknowledgement delay included.
      this.firstSampleAt = now;
      this.min = this.smoothed = this.latest;
      this.variation = micros(latest / 2);
      return;
    }
    if (latest < this.min) this.min = micros(latest);
    // A claimed delay that would bring the sample below the minimum is not believed (RFC 9002 §5.3).
    const adjusted = latest >= this.min + ackDelay ? latest - ackDelay : latest;
    this.variation = micros(0.75 * this.variation + 0.25 * Math.abs(this.smoothed - adjusted));
    this.smoothed = micros(0.875 * this.smoothed + 0.125 * adjusted);
  }

  /** Probe timeout without back-off: how long to wait for an acknowledgement (RFC 9002 §6.2.1). */
  pto(maxAckDelay: Micros): Micros {
    return micros(this.smoothed + Math.max(4 * this.variation, GRANULARITY) + maxAckDelay);
  }

  /** The path may have changed for good: the minimum starts again from the newest sample (RFC 9002 §5.2). */
  onPersistentCongestion(): void {
    this.min = this.latest;
  }

  /** Forgets every sample, for a new path. */
  reset(initialRtt: Micros = INITIAL_RTT): void {
    this.latest = this.smoothed = this.min = initialRtt;
    this.variation = micros(initialRtt / 2);
    this.firstSampleAt = micros(Infinity);
  }
}
