/**
 * Which packets have been received, and when they must be acknowledged (RFC 9000 §13.2).
 *
 * @module
 */

import { type Micros, NEVER } from "../base/time.ts";
import { RangeSet } from "../base/range_set.ts";

/** Ranges remembered; older gaps are given up, and the sender's loss detection covers them. */
const MAX_RANGES = 64;

/** Bookkeeping of one direction's packet numbers. */
export class ReceivedPackets {
  readonly #ranges = new RangeSet(MAX_RANGES);
  readonly #maxAckDelay: Micros;
  readonly #threshold: number;
  #largest = -1;
  #largestTime = 0 as Micros;
  #elicitingSinceAck = 0;
  #ackAt: Micros = NEVER;
  #pending = false;

  constructor(maxAckDelay: Micros, threshold: number) {
    this.#maxAckDelay = maxAckDelay;
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
    if (packetNumber > this.#largest) {
      this.#largest = packetNumber;
      this.#largestTime = now;
    }
    if (!ackEliciting) return;
    this.#pending = true;
    this.#elicitingSinceAck++;
    // Out of order either fills or opens a gap: the sender should learn of it without delay.
    if (!inOrder || immediately || this.#elicitingSinceAck >= this.#threshold) this.#ackAt = now;
    else if (this.#ackAt === NEVER) this.#ackAt = (now + this.#maxAckDelay) as Micros;
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

  /** An ACK frame has been put into a packet. */
  onAckSent(): void {
    this.#pending = false;
    this.#elicitingSinceAck = 0;
    this.#ackAt = NEVER;
  }

  /** The peer has seen an ACK frame whose largest was `largest`: what lies below need not be repeated (RFC 9000 §13.2.4). */
  onAckAcked(largest: number): void {
    this.#ranges.removeBelow(largest);
  }
}
