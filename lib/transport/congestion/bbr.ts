/**
 * A model-based controller in the manner of BBR (draft-ietf-ccwg-bbr, its third version): it measures how fast the path
 * delivers and how long its shortest round trip is, sends at that rate, and keeps about one product of the two in flight.
 * Loss does not shrink the window by itself; it bounds what may be in flight once it is more than chance would explain.
 *
 * `docs/adr/0008-bbr.md` says what differs from the draft, and why.
 *
 * @module
 */

import { type Micros, micros, millis, seconds } from "../../base/time.ts";
import type { RttEstimator } from "../rtt.ts";
import type { SentPacket } from "../sent_packets.ts";
import { AckAggregation } from "./ack_aggregation.ts";
import type { CongestionController, CongestionSnapshot } from "./controller.ts";
import { initialWindow, resizedWindow } from "./initial_window.ts";
import { MinRttFilter } from "./min_rtt_filter.ts";
import { RateSampler } from "./rate_sampler.ts";

/** What the controller is about. The four middle ones make up the cycle that a long transfer goes through again and again. */
type State = "startup" | "drain" | "probe_down" | "cruise" | "refill" | "probe_up" | "probe_rtt";

/** 4 ln 2: the least gain that lets the rate double each round trip while samples lag a round trip behind. */
const STARTUP_GAIN = 2.77;
const GAINS: Readonly<Record<State, readonly [pacing: number, window: number]>> = {
  startup: [STARTUP_GAIN, 2],
  drain: [1 / STARTUP_GAIN, 2],
  probe_down: [0.9, 2],
  cruise: [1, 2],
  refill: [1, 2],
  probe_up: [1.25, 2.25],
  probe_rtt: [1, 0.5],
};
/** Pacing a little below the estimate keeps it from building a queue by its own error. */
const PACING_MARGIN = 0.99;
/** Startup goes on while the rate grows by this in a round trip … */
const STARTUP_GROWTH = 1.25;
/** … and ends after so many that did not. */
const STARTUP_FLAT_ROUNDS = 3;
/** Startup also ends when so many packets of one round trip were lost, and {@link isTooMuchLoss} agrees. */
const STARTUP_LOSSES = 6;
/** Share of losses that is still put down to chance. */
const LOSS_THRESHOLD = 0.02;
/** By how many standard deviations losses must exceed it before they count as more than chance. */
const LOSS_DEVIATIONS = 2;
/** What a round trip with losses leaves of the short-term bounds, unless more was delivered all the same. */
const BETA = 0.7;
/** What too much loss leaves of what was in flight, as the long-term bound: at 70 % a flow got less than half of what TCP beside it did. */
const HIGH_BETA = 0.85;
/** Share of the long-term bound that is left free for others while cruising, as far as it exceeds the product of bandwidth and round trip. */
const HEADROOM = 0.15;
/** Packets that may be in flight whatever the model says: fewer would wait for delayed acknowledgements. */
const MINIMUM_PACKETS = 4;
/** A queue of this much, in products of rate and delay, has been built when probing upwards has told what there is to know. */
const PROBE_UP_QUEUE = 1.25;
/** Bandwidth is probed for after this long, and up to a second more … */
const LEAST_PROBE_WAIT = seconds(2);
const PROBE_WAIT_SPREAD = seconds(1);
/** … or when a Reno flow with the same window would have grown by a packet for each in flight, up to this many round trips. */
const MOST_PROBE_ROUNDS = 63;
/** How long the flow lies low to see the shortest round trip. */
const PROBE_RTT_TIME = millis(200);
const MAX_UP_ROUNDS = 30;

/** Whether so many lost bytes out of so many are more than {@link LOSS_THRESHOLD} and chance explain. */
function isTooMuchLoss(lost: number, inFlight: number, datagram: number): boolean {
  const expected = LOSS_THRESHOLD * inFlight / datagram;
  return lost / datagram > expected + LOSS_DEVIATIONS * Math.sqrt(expected);
}

/** BBR. */
export class Bbr implements CongestionController {
  readonly name = "bbr";
  readonly #sampler = new RateSampler();
  readonly #minRtt = new MinRttFilter();
  readonly #aggregation = new AckAggregation();
  #maxDatagramSize: number;
  #initialWindow: number;
  #window: number;
  #state: State = "startup";
  /** Bytes per microsecond. Before the first sample 0: the window and the RTT give the rate. */
  #pacingRate = 0;

  // Rounds: a round trip ends when a packet is acknowledged that left after the last one had ended.
  #roundEnd = 0;
  #isRoundStart = false;
  #roundsSinceProbe = 0;

  // The model. Rates in bytes per microsecond, amounts in flight in bytes.
  /** Largest rate in this cycle and in the one before: together the estimate of the bandwidth. */
  #maxRate = 0;
  #maxRateBefore = 0;
  /** Short-term bounds: what the losses since the last probe suggest. */
  #rateLow = Infinity;
  #inFlightLow = Infinity;
  /** Long-term bound: what the path held without losing too much when it was last probed. */
  #inFlightHigh = Infinity;

  // What this round trip has shown.
  #rateLatest = 0;
  #inFlightLatest = 0;
  #lossRoundEnd = 0;
  #isLossRoundStart = false;
  #lossesInRound = 0;
  #isWindowLimited = false;

  // Whether the pipe is full: the rate stopped growing.
  #fullRate = 0;
  #flatRounds = 0;
  #isFull = false;

  // The cycle of probing.
  #phaseStart: Micros = micros(0);
  #probeWait: Micros = micros(0);
  /** Acknowledgements now tell of packets that were sent while probing: their losses judge the probe. */
  #isJudged = false;
  /** The first round trip after a probe still brings its samples; then the rate filter moves on. */
  #isProbeEnding = false;
  #upRounds = 0;

  #windowBefore = 0;
  #probeRttEnd: Micros | undefined;
  #probeRttRounds = 0;
  #isIdleRestart = false;

  // What losses changed, for the case that they were none.
  #before = { rateLow: Infinity, inFlightLow: Infinity, inFlightHigh: Infinity, at: micros(Infinity) };
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
    return this.#state === "startup";
  }

  /** Estimated bandwidth, bytes per microsecond; 0 before the first sample. */
  get bandwidth(): number {
    return Math.min(Math.max(this.#maxRate, this.#maxRateBefore), this.#rateLow);
  }

  /** Shortest round trip of the last ten seconds; Infinity before the first. */
  get minRtt(): Micros {
    return this.#minRtt.value;
  }

  onFirstRtt(rtt: Micros): void {
    const before = this.#initialWindow;
    this.#initialWindow = Math.max(before, initialWindow(this.#maxDatagramSize, rtt));
    if (this.#isFull) return;
    this.#window *= this.#initialWindow / before;
    this.#pacingRate *= this.#initialWindow / before;
  }

  onPacketSent(packet: SentPacket<unknown>, bytesInFlight: number): void {
    if (bytesInFlight <= packet.size && this.#sampler.isFlowLimited) {
      this.#isIdleRestart = true;
      this.#aggregation.restart(packet.timeSent);
    }
    this.#sampler.onPacketSent(packet, bytesInFlight);
    if (bytesInFlight + this.#maxDatagramSize > this.#window) this.#isWindowLimited = true;
  }

  onPacketAcked(packet: SentPacket<unknown>, now: Micros, _rtt: RttEstimator, _appLimited: boolean): void {
    this.#sampler.onPacketAcked(packet, now);
  }

  onAckEnd(now: Micros, rtt: RttEstimator, bytesInFlight: number): void {
    const sampler = this.#sampler;
    sampler.finish(this.#minRtt.isKnown ? this.#minRtt.value : micros(0));
    if (sampler.priorDelivered < 0) return;
    this.#noteRound();
    this.#noteDelivery();
    this.#aggregation.onAck(now, sampler.newlyAcked, this.bandwidth, this.#window, this.#isRoundStart);
    this.#checkFull();
    if (this.#isFull) this.#cycle(now, bytesInFlight);
    else this.#checkStartupLoss();
    if (this.#state === "startup" && this.#isFull) this.#become("drain", now);
    if (this.#state === "drain" && bytesInFlight <= this.#product(1)) this.#startDown(now);
    if (rtt.hasSample) this.#minRtt.onSample(rtt.latest, now);
    this.#probeRtt(now, bytesInFlight);
    if (this.#isLossRoundStart) {
      this.#rateLatest = sampler.rate;
      this.#inFlightLatest = sampler.sampleDelivered;
    }
    this.#setPacingRate();
    this.#setWindow();
    if (this.#isRoundStart) this.#isWindowLimited = false;
  }

  onPacketLost(packet: SentPacket<unknown>, now: Micros): void {
    const sampler = this.#sampler;
    sampler.onPacketLost(packet);
    if (this.#lossesInRound === 0) {
      this.#lossRoundEnd = sampler.delivered;
      if (this.#lossesBehind === 0) {
        this.#before.rateLow = this.#rateLow;
        this.#before.inFlightLow = this.#inFlightLow;
        this.#before.inFlightHigh = this.#inFlightHigh;
        this.#before.at = now;
      }
    }
    this.#lossesInRound++;
    this.#lossesBehind++;
    if (!this.#isJudged) return;
    if (!isTooMuchLoss(sampler.lost - packet.lostBefore, packet.inFlightAtSend, this.#maxDatagramSize)) return;
    this.#isJudged = false;
    this.#events++;
    // Nobody can tell what the path would have held if the application did not fill it.
    if (!packet.appLimited) {
      const target = Math.min(this.#product(1), this.#window);
      this.#inFlightHigh = Math.max(HIGH_BETA * packet.inFlightAtSend, target);
    }
    if (this.#state === "probe_up") this.#startDown(now);
  }

  onCongestionEvent(): void {}

  onPersistentCongestion(_now: Micros): void {
    this.#windowBefore = Math.max(this.#windowBefore, this.#window);
    this.#window = this.#minimum;
    this.#lossesBehind = 0;
  }

  onSpuriousLoss(_now: Micros, declaredLostAt: Micros): void {
    if (this.#lossesBehind === 0 || declaredLostAt < this.#before.at) return;
    if (--this.#lossesBehind > 0) return;
    const { rateLow, inFlightLow, inFlightHigh } = this.#before;
    this.#rateLow = Math.max(this.#rateLow, rateLow);
    this.#inFlightLow = Math.max(this.#inFlightLow, inFlightLow);
    this.#inFlightHigh = Math.max(this.#inFlightHigh, inFlightHigh);
    this.#lossesInRound = 0;
    this.#undone++;
  }

  onAppLimited(bytesInFlight: number): void {
    this.#sampler.onAppLimited(bytesInFlight);
  }

  setMaxDatagramSize(size: number): void {
    const untouched = this.#sampler.delivered === 0 && this.#window === this.#initialWindow;
    this.#initialWindow = resizedWindow(this.#initialWindow, this.#maxDatagramSize, size);
    this.#maxDatagramSize = size;
    if (untouched) this.#window = this.#initialWindow;
    this.#window = Math.max(this.#window, this.#minimum);
  }

  pacingRate(rtt: RttEstimator): number {
    return this.#pacingRate > 0 ? this.#pacingRate : STARTUP_GAIN * this.#window / rtt.smoothed;
  }

  snapshot(): CongestionSnapshot {
    return {
      name: this.name,
      window: this.#window,
      slowStartThreshold: Infinity,
      state: this.#state,
      congestionEvents: this.#events,
      undone: this.#undone,
    };
  }

  // The model.

  #noteRound(): void {
    const sampler = this.#sampler;
    this.#isRoundStart = sampler.priorDelivered >= this.#roundEnd;
    if (!this.#isRoundStart) return;
    this.#startRound();
    this.#roundsSinceProbe++;
  }

  #startRound(): void {
    this.#roundEnd = this.#sampler.delivered;
  }

  #noteDelivery(): void {
    const { rate, sampleDelivered, priorDelivered, isAppLimited, delivered } = this.#sampler;
    this.#rateLatest = Math.max(this.#rateLatest, rate);
    this.#inFlightLatest = Math.max(this.#inFlightLatest, sampleDelivered);
    if (rate >= Math.max(this.#maxRate, this.#maxRateBefore) || !isAppLimited) {
      this.#maxRate = Math.max(this.#maxRate, rate);
    }
    this.#isLossRoundStart = priorDelivered >= this.#lossRoundEnd;
    if (!this.#isLossRoundStart) return;
    this.#lossRoundEnd = delivered;
    if (this.#lossesInRound > 0 && !this.#isProbing) this.#lowerBounds();
    if (this.#lossesInRound === 0) this.#lossesBehind = 0;
    if (this.#state !== "startup") this.#lossesInRound = 0;
  }

  /** While the flow is probing, losses are what it asked for. */
  get #isProbing(): boolean {
    return this.#state === "startup" || this.#state === "refill" || this.#state === "probe_up";
  }

  #lowerBounds(): void {
    if (this.#rateLow === Infinity) this.#rateLow = Math.max(this.#maxRate, this.#maxRateBefore);
    if (this.#inFlightLow === Infinity) this.#inFlightLow = this.#window;
    this.#rateLow = Math.max(this.#rateLatest, BETA * this.#rateLow);
    this.#inFlightLow = Math.max(this.#inFlightLatest, BETA * this.#inFlightLow);
  }

  #resetLowerBounds(): void {
    this.#rateLow = this.#inFlightLow = Infinity;
  }

  // Startup.

  #checkFull(): void {
    if (this.#isFull || this.#sampler.isAppLimited) return;
    const { rate } = this.#sampler;
    if (rate >= STARTUP_GROWTH * this.#fullRate) {
      this.#fullRate = rate;
      this.#flatRounds = 0;
      return;
    }
    if (this.#isRoundStart && ++this.#flatRounds >= STARTUP_FLAT_ROUNDS) this.#isFull = true;
  }

  #checkStartupLoss(): void {
    if (!this.#isLossRoundStart) return;
    const { sampleLost, inFlightAtSend } = this.#sampler;
    if (
      this.#lossesInRound >= STARTUP_LOSSES && isTooMuchLoss(sampleLost, inFlightAtSend, this.#maxDatagramSize)
    ) {
      this.#isFull = true;
      this.#events++;
      this.#inFlightHigh = Math.max(this.#product(1), this.#inFlightLatest);
    }
    this.#lossesInRound = 0;
  }

  // The cycle.

  #cycle(now: Micros, bytesInFlight: number): void {
    this.#adaptUpperBound();
    switch (this.#state) {
      case "probe_down":
        if (this.#isTimeToProbe(now)) this.#startRefill(now);
        else if (bytesInFlight <= Math.min(this.#withHeadroom, this.#product(1))) this.#become("cruise", now);
        return;
      case "cruise":
        if (this.#isTimeToProbe(now)) this.#startRefill(now);
        return;
      case "refill":
        if (!this.#isRoundStart) return;
        this.#isJudged = true;
        this.#become("probe_up", now);
        this.#startRound();
        this.#fullRate = this.#sampler.rate;
        this.#flatRounds = 0;
        return;
      case "probe_up":
        if (this.#hasProbedUp(now, bytesInFlight)) this.#startDown(now);
        return;
      case "startup":
      case "drain":
      case "probe_rtt":
        return;
    }
  }

  #adaptUpperBound(): void {
    if (this.#isProbeEnding && this.#isRoundStart) {
      this.#isProbeEnding = false;
      if (!this.#sampler.isAppLimited) {
        this.#maxRateBefore = this.#maxRate;
        this.#maxRate = 0;
      }
    }
    if (this.#inFlightHigh === Infinity) return;
    const { sampleLost, inFlightAtSend, newlyAcked } = this.#sampler;
    if (isTooMuchLoss(sampleLost, inFlightAtSend, this.#maxDatagramSize)) return;
    // That much was in flight and hardly anything was lost.
    if (inFlightAtSend > this.#inFlightHigh) this.#inFlightHigh = inFlightAtSend;
    if (this.#state !== "probe_up") return;
    if (this.#isRoundStart) this.#upRounds = Math.min(this.#upRounds + 1, MAX_UP_ROUNDS);
    // The bound rises by one datagram in the first round trip, by two in the second, by four …
    if (!this.#isWindowLimited || this.#window < this.#inFlightHigh) return;
    this.#inFlightHigh += Math.min(newlyAcked, newlyAcked * this.#maxDatagramSize * 2 ** this.#upRounds / this.#window);
  }

  #isTimeToProbe(now: Micros): boolean {
    if (now - this.#phaseStart > this.#probeWait) return true;
    const packets = Math.min(this.#product(1), this.#window) / this.#maxDatagramSize;
    return this.#roundsSinceProbe >= Math.min(packets, MOST_PROBE_ROUNDS);
  }

  #hasProbedUp(now: Micros, bytesInFlight: number): boolean {
    if (this.#isWindowLimited && this.#window >= this.#inFlightHigh) {
      // The bound, not the path, keeps the rate from growing.
      this.#fullRate = this.#sampler.rate;
      this.#flatRounds = 0;
      return false;
    }
    if (this.#sampler.rate >= STARTUP_GROWTH * this.#fullRate) {
      this.#fullRate = this.#sampler.rate;
      this.#flatRounds = 0;
    } else if (this.#isRoundStart && ++this.#flatRounds >= STARTUP_FLAT_ROUNDS) return true;
    return now - this.#phaseStart > this.#minRtt.value && bytesInFlight >= this.#product(PROBE_UP_QUEUE);
  }

  #startDown(now: Micros): void {
    this.#become("probe_down", now);
    this.#rateLatest = this.#inFlightLatest = 0;
    this.#lossesInRound = 0;
    this.#isProbeEnding = true;
    // Flows that share a path should not probe in step. This differs between them and needs no randomness.
    const spread = (this.#sampler.delivered * 0.618033988749895 + now * 0.7548776662466927) % 1;
    this.#roundsSinceProbe = spread < 0.5 ? 0 : 1;
    this.#probeWait = micros(LEAST_PROBE_WAIT + spread * PROBE_WAIT_SPREAD);
    this.#startRound();
  }

  #startRefill(now: Micros): void {
    this.#resetLowerBounds();
    this.#upRounds = 0;
    this.#isJudged = false;
    this.#become("refill", now);
    this.#startRound();
  }

  #become(state: State, now: Micros): void {
    // Time in `cruise` counts from the end of the probe: the wait began there.
    if (state !== "cruise") this.#phaseStart = now;
    this.#state = state;
  }

  // Looking for the shortest round trip.

  #probeRtt(now: Micros, bytesInFlight: number): void {
    if (this.#state !== "probe_rtt") {
      if (this.#isFull && this.#minRtt.isStale(now) && !this.#isIdleRestart) {
        this.#windowBefore = Math.max(this.#windowBefore, this.#window);
        this.#become("probe_rtt", now);
        this.#minRtt.restart();
        this.#probeRttEnd = undefined;
        this.#isProbeEnding = true;
        this.#startRound();
      }
      this.#isIdleRestart = false;
      return;
    }
    // Its samples say nothing about the bandwidth.
    this.#sampler.onAppLimited(bytesInFlight);
    if (this.#probeRttEnd === undefined) {
      if (bytesInFlight > this.#probeRttWindow) return;
      this.#probeRttEnd = micros(now + PROBE_RTT_TIME);
      this.#probeRttRounds = 0;
      this.#startRound();
      return;
    }
    if (this.#isRoundStart) this.#probeRttRounds++;
    if (this.#probeRttRounds === 0 || now < this.#probeRttEnd) return;
    this.#minRtt.refresh(now);
    this.#window = Math.max(this.#window, this.#windowBefore);
    this.#windowBefore = 0;
    this.#resetLowerBounds();
    this.#startDown(now);
    this.#become("cruise", now);
  }

  // What follows from the model.

  #setPacingRate(): void {
    const rate = GAINS[this.#state][0] * this.bandwidth * PACING_MARGIN;
    if (rate > 0 && (this.#isFull || rate > this.#pacingRate)) this.#pacingRate = rate;
  }

  #setWindow(): void {
    const { newlyAcked, delivered } = this.#sampler;
    const most = Math.max(this.#product(GAINS[this.#state][1]) + this.#aggregation.extra, this.#minimum);
    if (this.#isFull) this.#window = Math.min(this.#window + newlyAcked, most);
    else if (this.#window < most || delivered < this.#initialWindow) this.#window += newlyAcked;
    this.#window = Math.max(Math.min(this.#window, this.#bound()), this.#minimum);
  }

  /** What the model allows at most in this state. */
  #bound(): number {
    switch (this.#state) {
      case "startup":
      case "drain":
        return this.#inFlightLow;
      case "probe_rtt":
        return Math.min(this.#probeRttWindow, this.#inFlightLow);
      case "cruise":
        return Math.min(this.#withHeadroom, this.#inFlightLow);
      case "probe_down":
      case "refill":
      case "probe_up":
        return Math.min(this.#inFlightHigh, this.#inFlightLow);
    }
  }

  /** So many products of bandwidth and shortest round trip, in bytes, with room for the pacer's bursts; the initial window before there is a model. */
  #product(gain: number): number {
    const { bandwidth } = this;
    if (bandwidth === 0 || !this.#minRtt.isKnown) return this.#initialWindow;
    return gain * bandwidth * this.#minRtt.value + 2 * this.#maxDatagramSize;
  }

  get #withHeadroom(): number {
    if (this.#inFlightHigh === Infinity) return Infinity;
    const headroom = Math.max(this.#maxDatagramSize, HEADROOM * this.#inFlightHigh);
    return Math.max(this.#inFlightHigh - headroom, Math.min(this.#product(1), this.#inFlightHigh), this.#minimum);
  }

  get #probeRttWindow(): number {
    return Math.max(this.#product(GAINS.probe_rtt[1]), this.#minimum);
  }

  get #minimum(): number {
    return MINIMUM_PACKETS * this.#maxDatagramSize;
  }
}
