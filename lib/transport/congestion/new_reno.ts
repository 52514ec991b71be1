/**
 * NewReno as RFC 9002 §7 describes it: slow start, recovery, congestion avoidance.
 *
 * Beyond the RFC's text: a reduction is taken back when every loss behind it turns out to be spurious.
 *
 * @module
 */

import { type Micros, micros } from "../../base/time.ts";
import { LOSS_REDUCTION_FACTOR, MINIMUM_WINDOW_PACKETS } from "../recovery_constants.ts";
import type { RttEstimator } from "../rtt.ts";
import type { SentPacket } from "../sent_packets.ts";
import type { CongestionController, CongestionSnapshot } from "./controller.ts";
import { initialWindow, resizedWindow } from "./initial_window.ts";

/** Pacing above `window / rtt` in slow start: the window doubles within the round trip (RFC 9002 §7.7). */
export const SLOW_START_PACING_GAIN = 2;
/** Pacing above `window / rtt` otherwise, so that the pacer never keeps the window from being used (RFC 9002 §7.7). */
export const PACING_GAIN = 1.25;

const LONG_AGO = micros(-Infinity);

/** NewReno. */
export class NewReno implements CongestionController {
  readonly name = "newreno";
  #maxDatagramSize: number;
  #initialWindow: number;
  #window: number;
  #threshold = Infinity;
  /** Packets sent up to here belong to the last congestion event. */
  #recoveryStart: Micros = LONG_AGO;
  #recovering = false;
  /** Bytes acknowledged towards the next increase in congestion avoidance. */
  #credit = 0;
  /** Window and threshold before the last reduction, and how many losses stand behind it. */
  #windowBefore = 0;
  #thresholdBefore = Infinity;
  #lossesBehind = 0;
  #events = 0;
  #undone = 0;

  /** @param maxDatagramSize largest UDP payload in use, bytes. */
  constructor(maxDatagramSize: number) {
    this.#maxDatagramSize = maxDatagramSize;
    this.#window = this.#initialWindow = initialWindow(maxDatagramSize);
  }

  get window(): number {
    return this.#window;
  }

  get maxDatagramSize(): number {
    return this.#maxDatagramSize;
  }

  get inSlowStart(): boolean {
    return this.#window < this.#threshold;
  }

  onPacketSent(_packet: SentPacket<unknown>, _bytesInFlight: number): void {}

  onPacketAcked(packet: SentPacket<unknown>, _now: Micros, _rtt: RttEstimator, appLimited: boolean): void {
    // RFC 9002 §7.3.2: no growth until a packet sent during recovery is acknowledged.
    if (packet.timeSent <= this.#recoveryStart) return;
    this.#recovering = false;
    if (appLimited) return;
    if (this.inSlowStart) {
      this.#window += packet.size;
      return;
    }
    this.#credit += packet.size;
    if (this.#credit >= this.#window) {
      this.#credit -= this.#window;
      this.#window += this.#maxDatagramSize;
    }
  }

  onAckEnd(_now: Micros, _rtt: RttEstimator, _bytesInFlight: number): void {}

  onPacketLost(_packet: SentPacket<unknown>, _now: Micros): void {}

  onCongestionEvent(now: Micros, newestLostSent: Micros, lostPackets: number, _bytesInFlight: number): void {
    if (newestLostSent <= this.#recoveryStart) {
      this.#lossesBehind += lostPackets;
      return;
    }
    this.#windowBefore = this.#window;
    this.#thresholdBefore = this.#threshold;
    this.#lossesBehind = lostPackets;
    this.#recoveryStart = now;
    this.#recovering = true;
    this.#credit = 0;
    this.#threshold = this.#window * LOSS_REDUCTION_FACTOR;
    this.#window = Math.max(this.#threshold, this.#minimum);
    this.#events++;
  }

  onPersistentCongestion(_now: Micros): void {
    this.#window = this.#minimum;
    this.#recoveryStart = LONG_AGO;
    this.#recovering = false;
    this.#credit = 0;
    // Nothing came through for so long that one late acknowledgement proves nothing.
    this.#lossesBehind = Infinity;
  }

  onSpuriousLoss(_now: Micros, declaredLostAt: Micros): void {
    if (declaredLostAt < this.#recoveryStart || this.#lossesBehind === 0) return;
    if (--this.#lossesBehind > 0) return;
    this.#window = Math.max(this.#window, this.#windowBefore);
    this.#threshold = Math.max(this.#threshold, this.#thresholdBefore);
    this.#recoveryStart = LONG_AGO;
    this.#recovering = false;
    this.#undone++;
  }

  onAppLimited(): void {}

  onFirstRtt(rtt: Micros): void {
    const before = this.#initialWindow;
    this.#initialWindow = Math.max(before, initialWindow(this.#maxDatagramSize, rtt));
    if (this.#events === 0) this.#window *= this.#initialWindow / before;
  }

  setMaxDatagramSize(size: number): void {
    const untouched = this.#events === 0 && this.#window === this.#initialWindow;
    // RFC 9002 §7.2: the initial window follows the datagram size.
    this.#initialWindow = resizedWindow(this.#initialWindow, this.#maxDatagramSize, size);
    this.#maxDatagramSize = size;
    if (untouched) this.#window = this.#initialWindow;
    this.#window = Math.max(this.#window, this.#minimum);
  }

  pacingRate(rtt: RttEstimator): number {
    return (this.inSlowStart ? SLOW_START_PACING_GAIN : PACING_GAIN) * this.#window / rtt.smoothed;
  }

  snapshot(): CongestionSnapshot {
    return {
      name: this.name,
      window: this.#window,
      slowStartThreshold: this.#threshold,
      state: this.#recovering ? "recovery" : this.inSlowStart ? "slow_start" : "congestion_avoidance",
      congestionEvents: this.#events,
      undone: this.#undone,
    };
  }

  get #minimum(): number {
    return MINIMUM_WINDOW_PACKETS * this.#maxDatagramSize;
  }
}
