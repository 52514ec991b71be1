/**
 * HyStart++ (RFC 9406): leaves slow start when round trips begin to lengthen, before the queue overflows.
 *
 * @module
 */

import { type Micros, micros, millis } from "../../base/time.ts";
import type { RttEstimator } from "../rtt.ts";

// RFC 9406 §4.3.
const MIN_RTT_THRESHOLD = millis(4);
const MAX_RTT_THRESHOLD = millis(16);
const MIN_RTT_DIVISOR = 8;
const RTT_SAMPLES = 8;
/** In conservative slow start the window grows this many times slower. */
export const CSS_GROWTH_DIVISOR = 4;
const CSS_ROUNDS = 5;

/** Where slow start stands. */
export type SlowStartPhase = "slow_start" | "conservative" | "done";

/** Watches the round trips of a slow start. */
export class HyStart {
  #phase: SlowStartPhase = "slow_start";
  /** The round ends when this packet is acknowledged. */
  #roundEnd = -1;
  #lastSent = -1;
  /** Smallest of the newest samples, up to {@link RTT_SAMPLES}, and how many they are. */
  #newestMin: Micros = micros(Infinity);
  #newest = 0;
  #samples = 0;
  #roundMin: Micros = micros(Infinity);
  #lastRoundMin: Micros = micros(Infinity);
  /** Smallest RTT when conservative slow start began: a round below it shows that leaving was premature. */
  #baseline: Micros = micros(Infinity);
  #conservativeRounds = 0;

  /** Which phase applies. */
  get phase(): SlowStartPhase {
    return this.#phase;
  }

  /** A packet leaves. */
  onPacketSent(packetNumber: number): void {
    this.#lastSent = packetNumber;
    if (this.#roundEnd < 0) this.#roundEnd = packetNumber;
  }

  /** An acknowledgement has been handled; `largestAcked` is the largest packet number that it newly acknowledged. */
  onAck(largestAcked: number, rtt: RttEstimator): void {
    if (this.#phase === "done") return;
    this.#roundMin = micros(Math.min(this.#roundMin, rtt.latest));
    this.#newestMin = micros(Math.min(this.#newestMin, rtt.latest));
    this.#samples++;
    if (this.#samples >= RTT_SAMPLES) this.#judge();
    if (++this.#newest >= RTT_SAMPLES) this.#judgeNewest(rtt);
    if (largestAcked >= this.#roundEnd) this.#nextRound();
  }

  /** Slow start begins anew, after persistent congestion. */
  restart(): void {
    this.#phase = "slow_start";
    this.#roundEnd = -1;
    this.#samples = this.#newest = 0;
    this.#newestMin =
      this.#roundMin =
      this.#lastRoundMin =
      this.#baseline =
        micros(Infinity);
  }

  /** Slow start is over for another reason. */
  finish(): void {
    this.#phase = "done";
  }

  #judge(): void {
    if (this.#phase === "slow_start") {
      if (this.#lastRoundMin === Infinity) return;
      const eighth = this.#lastRoundMin / MIN_RTT_DIVISOR;
      const threshold = Math.max(MIN_RTT_THRESHOLD, Math.min(eighth, MAX_RTT_THRESHOLD));
      if (this.#roundMin < this.#lastRoundMin + threshold) return;
      this.#phase = "conservative";
      this.#baseline = this.#roundMin;
      this.#conservativeRounds = 0;
    } else if (this.#roundMin < this.#baseline) {
      this.#phase = "slow_start";
      this.#baseline = micros(Infinity);
    }
  }

  /**
   * RFC 9406 compares the minima of whole rounds, which suits a window that leaves in a burst and is acknowledged in one. Paced over the round
   * trip, its first packets never see the queue that its last ones build, and a round later the window has doubled once more. So a few samples in
   * a row that are all too long are enough; they show a queue that is there now, and growing slower would let it overflow all the same.
   */
  #judgeNewest(rtt: RttEstimator): void {
    const least = this.#lastRoundMin + Math.min(this.#lastRoundMin / MIN_RTT_DIVISOR, MAX_RTT_THRESHOLD);
    if (this.#newestMin > least + rtt.variation) this.#phase = "done";
    this.#newestMin = micros(Infinity);
    this.#newest = 0;
  }

  #nextRound(): void {
    this.#roundEnd = this.#lastSent;
    this.#lastRoundMin = this.#roundMin;
    this.#roundMin = micros(Infinity);
    this.#samples = 0;
    if (this.#phase === "conservative" && ++this.#conservativeRounds >= CSS_ROUNDS) this.#phase = "done";
  }
}
