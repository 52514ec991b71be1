/**
 * Which packets have been received, and when they must be acknowledged (RFC 9000 §13.2).
 *
 * @module
 */

import { type Micros, NEVER } from "../base/time.ts";
import { RangeSet } from "../base/range_set.ts";

/** Ranges remembered; older gaps are given up, and the sender's loss detection covers them. */
const MAX_RANGES = 64;
/** A range is named in so many acknowledgements: all of them would have to be lost for the sender not to learn of it. */
const REPORTS = 16;

/** A sender that wants an acknowledgement for more packets than this has many of them under way. */
const MANY_PACKETS = 2;

/** Bookkeeping of one direction's packet numbers. */
export class ReceivedPackets {
  readonly #ranges = new RangeSet(MAX_RANGES);
  readonly #maxAckDelay: Micros;
  /** How long an acknowledgement waits: less while the sender fills the path, where only the end of what it sends has to wait at all. */
  #delay: Micros;
  #threshold: number;
  /** The packet that brought the threshold; −1 for none. */
  #thresholdFrom = -1;
  #largest = -1;
  #largestTime = 0 as Micros;
  #elicitingSinceAck = 0;
  #ackAt: Micros = NEVER;
  #pending = false;
  /** For each of the last acknowledgements, the lowest packet that was new to it. */
  readonly #lowestNew = new Float64Array(REPORTS - 1);
  #reports = 0;
  /** The same for the next one. */
  #lowest = Infinity;

  constructor(maxAckDelay: Micros, threshold: number) {
    this.#maxAckDelay = this.#delay = maxAckDelay;
    this.#threshold = threshold;
  }

  /** The highest packet number received, −1 before the first. */
  get largest(): number {
    return this.#largest;
  }

  /** When an acknowledgement must leave at the latest; a time in the past means now. */
  get ackDeadline(): Micros {
    return this.#ackAt;
  }

  /** Whether anything received since the last acknowledgement deserves one. */
  get ackPending(): boolean {
    return this.#pending;
  }

  /** Records an authenticated, fresh packet. */
  onPacket(packetNumber: number, now: Micros, ackEliciting: boolean, immediately: boolean): void {
    const inOrder = packetNumber === this.#largest + 1;
    this.#ranges.insert(packetNumber, packetNumber);
    if (packetNumber < this.#lowest) this.#lowest = packetNumber;
    if (packetNumber > this.#largest) {
      this.#largest = packetNumber;
      this.#largestTime = now;
    }
    if (!ackEliciting) return;
    this.#pending = true;
    this.#elicitingSinceAck++;
    // Out of order either fills or opens a gap: the sender should learn of it without delay.
    if (!inOrder || immediately || this.#elicitingSinceAck >= this.#threshold) this.#ackAt = now;
    else if (this.#ackAt === NEVER) this.#ackAt = (now + this.#delay) as Micros;
  }

  /** Whether an acknowledgement must leave at `now`. */
  isAckDue(now: Micros): boolean {
    return this.#ackAt <= now;
  }

  /** How long the largest packet has been waiting. */
  ackDelay(now: Micros): Micros {
    return Math.max(0, Math.round(now - this.#largestTime)) as Micros;
  }

  /** The ranges, for the ACK frame. */
  get ranges(): RangeSet {
    return this.#ranges;
  }

  /**
   * How many ranges, from the highest down, an ACK frame should name. With loss there are dozens, nearly all of which the sender has been told
   * of again and again: naming them would make acknowledgements the bulk of what a slow way back carries.
   */
  get rangesToReport(): number {
    let from = this.#lowest;
    for (let i = 0; i < REPORTS - 1; i++) if (this.#lowestNew[i] < from) from = this.#lowestNew[i];
    const ranges = this.#ranges;
    let index = ranges.count - 1;
    while (index > 0 && ranges.endAt(index - 1) >= from) index--;
    return ranges.count - index;
  }

  /** The sender wants an acknowledgement after so many packets; a packet that was overtaken changes nothing. */
  setThreshold(threshold: number, packetNumber: number): void {
    if (packetNumber < this.#thresholdFrom) return;
    this.#threshold = threshold;
    this.#delay = (threshold > MANY_PACKETS ? this.#maxAckDelay / 4 : this.#maxAckDelay) as Micros;
    this.#thresholdFrom = packetNumber;
  }

  /** An ACK frame has been put into a packet. */
  onAckSent(): void {
    this.#lowestNew[this.#reports++ % (REPORTS - 1)] = this.#lowest;
    this.#lowest = Infinity;
    this.#pending = false;
    this.#elicitingSinceAck = 0;
    this.#ackAt = NEVER;
  }

  /** The peer has seen an ACK frame whose largest was `largest`: what lies below need not be repeated (RFC 9000 §13.2.4). */
  onAckAcked(largest: number): void {
    this.#ranges.removeBelow(largest);
  }
}
