/** What the tests of loss recovery share: a controller that writes down what it is told, and shorthands in milliseconds. */

import { type Micros, micros, millis } from "../../lib/base/time.ts";
import type { CongestionController, CongestionSnapshot } from "../../lib/transport/congestion/controller.ts";
import { LossDetection, type LossDetectionOptions } from "../../lib/transport/loss_detection.ts";
import type { SentPacket } from "../../lib/transport/sent_packets.ts";

export class RecordingController implements CongestionController {
  readonly name = "recording";
  window = 1_000_000_000;
  maxDatagramSize = 1200;
  inSlowStart = false;
  acked: { packetNumber: number; appLimited: boolean }[] = [];
  lost: number[] = [];
  events: { now: number; newestLostSent: number; lostPackets: number; bytesInFlight: number }[] = [];
  persistent = 0;
  spurious: number[] = [];
  appLimited: number[] = [];
  firstRtts: number[] = [];

  onPacketSent(): void {}
  onPacketAcked(packet: SentPacket<unknown>, _now: Micros, _rtt: unknown, appLimited: boolean): void {
    this.acked.push({ packetNumber: packet.packetNumber, appLimited });
  }
  onAckEnd(): void {}
  onPacketLost(packet: SentPacket<unknown>): void {
    this.lost.push(packet.packetNumber);
  }
  onCongestionEvent(now: Micros, newestLostSent: Micros, lostPackets: number, bytesInFlight: number): void {
    this.events.push({ now, newestLostSent, lostPackets, bytesInFlight });
  }
  onPersistentCongestion(): void {
    this.persistent++;
  }
  onSpuriousLoss(_now: Micros, declaredLostAt: Micros): void {
    this.spurious.push(declaredLostAt);
  }
  onAppLimited(bytesInFlight: number): void {
    this.appLimited.push(bytesInFlight);
  }
  onFirstRtt(rtt: Micros): void {
    this.firstRtts.push(rtt);
  }
  setMaxDatagramSize(size: number): void {
    this.maxDatagramSize = size;
  }
  pacingRate(): number {
    return Infinity;
  }
  snapshot(): CongestionSnapshot {
    throw new Error("not used");
  }
}

/** A loss detection whose packets each carry one frame, their own number; times are milliseconds. */
export class Harness {
  readonly acked: number[] = [];
  readonly lost: number[] = [];
  readonly control = new RecordingController();
  readonly recovery: LossDetection<number>;
  readonly #ranges = new Float64Array(512);

  constructor(options: Partial<LossDetectionOptions<number>> = {}) {
    this.recovery = new LossDetection<number>({
      handler: {
        onFrameAcked: (frame) => void this.acked.push(frame),
        onFrameLost: (frame) => void this.lost.push(frame),
      },
      congestion: this.control,
      maxAckDelay: millis(25),
      ...options,
    });
  }

  /** A harness with an RTT of exactly `rtt` ms (variation rtt / 2) that was sampled at time 0. */
  static withRtt(rtt: number, options: Partial<LossDetectionOptions<number>> = {}): Harness {
    const harness = new Harness(options);
    harness.recovery.rtt.update(millis(rtt), micros(0), micros(0));
    return harness;
  }

  /** Sends the next packet; returns its number. */
  send(at: number, kind: "data" | "ack" | "padding" | "mtu_probe" = "data", size = 1200): number {
    const n = this.recovery.sent.next;
    const eliciting = kind === "data" || kind === "mtu_probe";
    this.recovery.onPacketSent(n, millis(at), size, eliciting, kind !== "ack", [n], 1, kind === "mtu_probe");
    return n;
  }

  /** Acknowledges ranges, each `[start, end]` or a single number, from the highest down. */
  ack(at: number, ranges: (number | [number, number])[], delay = 0): "ok" | "unsent" {
    let i = 0;
    for (const range of ranges) {
      const [start, end] = typeof range === "number" ? [range, range] : range;
      this.#ranges[i++] = start;
      this.#ranges[i++] = end;
    }
    return this.recovery.onAckReceived(millis(at), this.#ranges[1], millis(delay), this.#ranges, ranges.length);
  }

  /** When the timer fires, ms. */
  get timer(): number {
    return this.recovery.pollTimeout() / 1000;
  }

  timeout(at: number): number {
    return this.recovery.onTimeout(millis(at));
  }
}
