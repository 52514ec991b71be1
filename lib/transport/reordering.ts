/**
 * How much reordering is tolerated before a packet counts as lost, learnt from losses that were none.
 *
 * RFC 9002 §6.1 fixes where the thresholds start and lets a sender raise them when it detects spurious losses. They rise just far
 * enough that the packet in question would have been spared, never beyond twice the RTT or
 * {@link MAX_PACKET_THRESHOLD} packets (a packet that comes later than that cannot be waited for), and sink one step for every
 * {@link REORDERING_DECAY_EPISODES} episodes of genuine loss in a row.
 *
 * @module
 */

import { type Micros, micros } from "../base/time.ts";
import {
  GRANULARITY,
  MAX_PACKET_THRESHOLD,
  PACKET_THRESHOLD,
  REORDERING_DECAY_EPISODES,
  TIME_THRESHOLD_SHIFT,
} from "./recovery_constants.ts";
import type { RttEstimator } from "./rtt.ts";

/** The two thresholds. */
export class ReorderingTolerance {
  /** A packet is lost once one is acknowledged that was sent this many packets later. */
  packetThreshold: number = PACKET_THRESHOLD;
  /** A packet is lost after `rtt + rtt / 2^timeShift`: 9/8 RTT for 3 down to 2 RTT for 0. */
  timeShift: number = TIME_THRESHOLD_SHIFT;
  #episodes = 0;
  #episodeStart = -Infinity;

  /** How long after its sending a packet is lost, if one that was sent later has been acknowledged (RFC 9002 §6.1.2). */
  lossDelay(rtt: RttEstimator): Micros {
    const base = rtt.latest > rtt.smoothed ? rtt.latest : rtt.smoothed;
    const delay = base + base / (1 << this.timeShift);
    return micros(delay > GRANULARITY ? delay : GRANULARITY);
  }

  /**
   * A packet that had been declared lost was acknowledged.
   *
   * @param distance how far ahead of it the largest acknowledged packet was just before.
   * @param delay from its sending to its acknowledgement.
   */
  onSpurious(distance: number, delay: number, rtt: RttEstimator): void {
    this.#episodes = 0;
    const base = rtt.latest > rtt.smoothed ? rtt.latest : rtt.smoothed;
    if (distance >= MAX_PACKET_THRESHOLD || delay >= 2 * base) return;
    if (distance >= this.packetThreshold) this.packetThreshold = distance + 1;
    while (this.timeShift > 0 && delay >= base + base / (1 << this.timeShift)) this.timeShift--;
  }

  /** Packets were declared lost. At most one episode counts in a round trip. */
  onLoss(now: Micros, rtt: RttEstimator): void {
    if (now < this.#episodeStart + rtt.smoothed) return;
    this.#episodeStart = now;
    if (++this.#episodes < REORDERING_DECAY_EPISODES) return;
    this.#episodes = 0;
    this.packetThreshold = Math.max(PACKET_THRESHOLD, this.packetThreshold >>> 1);
    if (this.timeShift < TIME_THRESHOLD_SHIFT) this.timeShift++;
  }

  /** Back to where RFC 9002 starts, for a new path. */
  reset(): void {
    this.packetThreshold = PACKET_THRESHOLD;
    this.timeShift = TIME_THRESHOLD_SHIFT;
    this.#episodes = 0;
    this.#episodeStart = -Infinity;
  }
}
