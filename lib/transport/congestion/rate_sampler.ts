/**
 * How fast the path delivers: delivery-rate samples from the acknowledgements of packets that remember where the flow stood
 * when they left (draft-cheng-iccrg-delivery-rate-estimation).
 *
 * A packet takes down how much had been delivered by then, and when. Its acknowledgement shows how much was delivered
 * meanwhile, and in what time; sending may have taken longer than the acknowledgements did, which arrive in clumps, so the slower of
 * the two counts. A sample can only be too low where the application, not the path, set the pace; such samples are marked.
 *
 * @module
 */

import { type Micros, micros } from "../../base/time.ts";
import type { SentPacket } from "../sent_packets.ts";

/**
 * Takes the samples of one flow. Feeding it costs a few assignments a packet and allocates nothing; the sample of the last ACK is
 * in its fields.
 *
 * @example
 * ```ts
 * import { micros, millis } from "../../base/time.ts";
 * import { SentPackets } from "../sent_packets.ts";
 * import { RateSampler } from "./rate_sampler.ts";
 *
 * const sampler = new RateSampler(), sent = new SentPackets<never>();
 * const packet = sent.push(0, micros(0), 1200, true, true, false, undefined, 0);
 * sampler.onPacketSent(packet, 1200);
 * sampler.onPacketAcked(packet, millis(10));
 * sampler.finish(millis(10)); // 0.12 bytes in a microsecond
 * ```
 */
export class RateSampler {
  /** Bytes acknowledged so far. */
  delivered = 0;
  /** Bytes declared lost so far. */
  lost = 0;

  /** The sample of the last ACK: bytes per microsecond, 0 if the ACK allowed none. */
  rate = 0;
  /** Bytes delivered between the sending and the acknowledgement of the newest packet that it acknowledged. */
  sampleDelivered = 0;
  /** {@link delivered} when that packet left; −1 if the ACK acknowledged nothing. */
  priorDelivered = -1;
  /** Bytes in flight when that packet had left. */
  inFlightAtSend = 0;
  /** Bytes declared lost since that packet left. */
  sampleLost = 0;
  /** Whether the application set the pace when that packet left. */
  isAppLimited = false;
  /** Bytes that the ACK acknowledged. */
  newlyAcked = 0;

  #deliveredAt: Micros = micros(0);
  #firstSentAt: Micros = micros(0);
  /** Packets that leave before this much was delivered are marked; 0 if the flow is not limited by the application. */
  #limitedUntil = 0;

  // Of the newest packet of the ACK that is being handled.
  #newestNumber = -1;
  #lostBefore = 0;
  #sendTime = 0;
  #ackTime = 0;

  /** Whether the application, rather than the path, sets the pace now. */
  get isFlowLimited(): boolean {
    return this.#limitedUntil > 0;
  }

  /** A packet that counts as in flight leaves; `bytesInFlight` with it. */
  onPacketSent(packet: SentPacket<unknown>, bytesInFlight: number): void {
    // The pause before the first packet of a flight is nobody's transmission time.
    if (bytesInFlight <= packet.size) this.#firstSentAt = this.#deliveredAt = packet.timeSent;
    packet.delivered = this.delivered;
    packet.deliveredAt = this.#deliveredAt;
    packet.firstSentAt = this.#firstSentAt;
    packet.lostBefore = this.lost;
    packet.inFlightAtSend = bytesInFlight;
    packet.appLimited = this.#limitedUntil > 0;
  }

  /** A packet is acknowledged; {@link finish} follows when all of the ACK's were. */
  onPacketAcked(packet: SentPacket<unknown>, now: Micros): void {
    if (this.#newestNumber < 0) this.newlyAcked = 0;
    this.delivered += packet.size;
    this.newlyAcked += packet.size;
    this.#deliveredAt = now;
    if (packet.packetNumber <= this.#newestNumber) return;
    this.#newestNumber = packet.packetNumber;
    this.priorDelivered = packet.delivered;
    this.inFlightAtSend = packet.inFlightAtSend;
    this.isAppLimited = packet.appLimited;
    this.#lostBefore = packet.lostBefore;
    this.#sendTime = packet.timeSent - packet.firstSentAt;
    this.#ackTime = now - packet.deliveredAt;
    this.#firstSentAt = packet.timeSent;
  }

  /** A packet is declared lost. */
  onPacketLost(packet: SentPacket<unknown>): void {
    this.lost += packet.size;
  }

  /**
   * The ACK's packets were all reported: the sample is in the fields, its {@link rate} is returned.
   *
   * @param minRtt a sample that claims to have taken less time is an artefact of acknowledgements that arrived together.
   */
  finish(minRtt: Micros): number {
    if (this.#limitedUntil > 0 && this.delivered > this.#limitedUntil) this.#limitedUntil = 0;
    if (this.#newestNumber < 0) {
      this.priorDelivered = -1;
      this.newlyAcked = 0;
      return this.rate = 0;
    }
    this.#newestNumber = -1;
    this.sampleDelivered = this.delivered - this.priorDelivered;
    this.sampleLost = this.lost - this.#lostBefore;
    const interval = Math.max(this.#sendTime, this.#ackTime);
    return this.rate = interval >= minRtt && interval > 0 ? this.sampleDelivered / interval : 0;
  }

  /** The application has nothing to send though more could be in flight: samples are marked until what is in flight was delivered. */
  onAppLimited(bytesInFlight: number): void {
    this.#limitedUntil = Math.max(1, this.delivered + bytesInFlight);
  }
}
