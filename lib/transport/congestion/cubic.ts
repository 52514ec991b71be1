/**
 * CUBIC (RFC 9438) with HyStart++ (RFC 9406).
 *
 * Windows are bytes here; the RFC's formulas are in segments of the largest datagram.
 *
 * @module
 */

import { type Micros, micros } from "../../base/time.ts";
import { MINIMUM_WINDOW_PACKETS } from "../recovery_constants.ts";
import type { RttEstimator } from "../rtt.ts";
import type { SentPacket } from "../sent_packets.ts";
import type { CongestionController, CongestionSnapshot } from "./controller.ts";
import { CSS_GROWTH_DIVISOR, HyStart } from "./hystart.ts";
import { initialWindow, resizedWindow } from "./initial_window.ts";
import { PACING_GAIN, SLOW_START_PACING_GAIN } from "./new_reno.ts";

/** How aggressively the window grows, in segments per second³ (RFC 9438 §5). */
const C = 0.4;
/** What a congestion event leaves of the window (RFC 9438 §4.6). */
const BETA = 0.7;
/** Growth that makes the estimate as aggressive as Reno, until it has made up for BETA (RFC 9438 §4.3). */
const ALPHA = 3 * (1 - BETA) / (1 + BETA);

const LONG_AGO = micros(-Infinity);

/** What a congestion event changes, so that it can be taken back when every loss behind it was spurious (RFC 9438 §4.9). */
interface Before {
  readonly window: number;
  readonly threshold: number;
  readonly plateau: number;
}

/** CUBIC. */
export class Cubic implements CongestionController {
  readonly name = "cubic";
  #maxDatagramSize: number;
  #initialWindow: number;
  #window: number;
  #threshold = Infinity;
  /** W_max: where the curve is flat. */
  #plateau = 0;
  /** cwnd_prior: the window at the last event. */
  #prior = 0;
  /** When the present curve began; −1 before its first acknowledgement. */
  #epochStart = -1;
  /** Seconds from there to the plateau (K). */
  #toPlateau = 0;
  /** W_est: what Reno would have. */
  #reno = 0;
  #recoveryStart: Micros = LONG_AGO;
  #recovering = false;
  #before: Before | undefined;
  #lossesBehind = 0;
  #events = 0;
  #undone = 0;
  #largestAcked = -1;
  /** Since when the sender has not used its window; the curve stands still meanwhile (RFC 9438 §5.8). */
  #idleSince = -1;
  readonly #hystart = new HyStart();

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

  onPacketSent(packet: SentPacket<unknown>, _bytesInFlight: number): void {
    if (this.inSlowStart) this.#hystart.onPacketSent(packet.packetNumber);
  }

  onPacketAcked(packet: SentPacket<unknown>, now: Micros, rtt: RttEstimator, appLimited: boolean): void {
    if (packet.packetNumber > this.#largestAcked) this.#largestAcked = packet.packetNumber;
    if (packet.timeSent <= this.#recoveryStart) return;
    this.#recovering = false;
    if (appLimited) {
      if (this.#idleSince < 0) this.#idleSince = now;
      return;
    }
    if (this.inSlowStart) {
      this.#window += this.#hystart.phase === "conservative" ? packet.size / CSS_GROWTH_DIVISOR : packet.size;
      return;
    }
    this.#avoidCongestion(packet.size, now, rtt);
  }

  onAckEnd(_now: Micros, rtt: RttEstimator, _bytesInFlight: number): void {
    if (!this.inSlowStart) return;
    this.#hystart.onAck(this.#largestAcked, rtt);
    if (this.#hystart.phase === "done") this.#threshold = this.#window;
  }

  onPacketLost(_packet: SentPacket<unknown>, _now: Micros): void {}

  onCongestionEvent(now: Micros, newestLostSent: Micros, lostPackets: number, _bytesInFlight: number): void {
    if (newestLostSent <= this.#recoveryStart) {
      this.#lossesBehind += lostPackets;
      return;
    }
    this.#before = { window: this.#window, threshold: this.#threshold, plateau: this.#plateau };
    this.#lossesBehind = lostPackets;
    this.#recoveryStart = now;
    this.#recovering = true;
    this.#events++;
    this.#hystart.finish();
    this.#prior = this.#window;
    // Fast convergence: a flow that did not get back to its old maximum makes room (RFC 9438 §4.7).
    this.#plateau = this.#window < this.#plateau ? this.#window * (1 + BETA) / 2 : this.#window;
    this.#threshold = Math.max(this.#window * BETA, this.#minimum);
    this.#window = this.#threshold;
    this.#epochStart = -1;
  }

  onPersistentCongestion(_now: Micros): void {
    this.#threshold = Math.max(this.#window * BETA, this.#minimum);
    this.#window = this.#minimum;
    this.#recoveryStart = LONG_AGO;
    this.#recovering = false;
    this.#epochStart = -1;
    this.#before = undefined;
    this.#hystart.restart();
  }

  onSpuriousLoss(_now: Micros, declaredLostAt: Micros): void {
    const before = this.#before;
    if (before === undefined || declaredLostAt < this.#recoveryStart || this.#lossesBehind === 0) return;
    if (--this.#lossesBehind > 0) return;
    this.#window = Math.max(this.#window, before.window);
    this.#threshold = Math.max(this.#threshold, before.threshold);
    // The event had ended slow start for good.
    if (this.inSlowStart) this.#hystart.restart();
    this.#plateau = before.plateau;
    this.#recoveryStart = LONG_AGO;
    this.#recovering = false;
    this.#epochStart = -1;
    this.#before = undefined;
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
    this.#epochStart = -1;
  }

  pacingRate(rtt: RttEstimator): number {
    return (this.inSlowStart ? SLOW_START_PACING_GAIN : PACING_GAIN) * this.#window / rtt.smoothed;
  }

  snapshot(): CongestionSnapshot {
    return {
      name: this.name,
      window: this.#window,
      slowStartThreshold: this.#threshold,
      state: this.#recovering
        ? "recovery"
        : !this.inSlowStart
        ? "congestion_avoidance"
        : this.#hystart.phase === "conservative"
        ? "conservative_slow_start"
        : "slow_start",
      congestionEvents: this.#events,
      undone: this.#undone,
    };
  }

  /** RFC 9438 §4.2–§4.5, for `acked` newly acknowledged bytes. */
  #avoidCongestion(acked: number, now: Micros, rtt: RttEstimator): void {
    const segment = this.#maxDatagramSize;
    if (this.#epochStart < 0) {
      this.#epochStart = now;
      this.#reno = this.#window;
      // Slow start may have ended without an event: then the curve begins on its plateau.
      if (this.#plateau < this.#window) this.#plateau = this.#window;
      this.#toPlateau = Math.cbrt((this.#plateau - this.#window) / segment / C);
    } else if (this.#idleSince >= 0) this.#epochStart += now - this.#idleSince;
    this.#idleSince = -1;

    const alpha = this.#reno >= this.#prior ? 1 : ALPHA;
    this.#reno += alpha * segment * acked / this.#window;
    const elapsed = (now - this.#epochStart) / 1e6;
    if (this.#curve(elapsed) < this.#reno) {
      this.#window = Math.max(this.#window, this.#reno);
      return;
    }
    const ahead = this.#curve(elapsed + rtt.smoothed / 1e6);
    const target = Math.min(Math.max(ahead, this.#window), 1.5 * this.#window);
    this.#window += (target - this.#window) * acked / this.#window;
  }

  /** W_cubic, in bytes, `seconds` after the epoch began. */
  #curve(seconds: number): number {
    return C * (seconds - this.#toPlateau) ** 3 * this.#maxDatagramSize + this.#plateau;
  }

  get #minimum(): number {
    return MINIMUM_WINDOW_PACKETS * this.#maxDatagramSize;
  }
}
