/**
 * Which stream ids of one kind have been opened and closed, and how many more may be (RFC 9000 §4.6), in memory that does not
 * grow with the number of streams that have come and gone.
 *
 * @module
 */

import { MAX_STREAMS_LIMIT } from "../../wire/constants.ts";
import { OffsetRanges } from "./offset_ranges.ts";

/** Ids that we open, of one kind: below `next` they are open or closed, which the owner's map of open streams tells. */
export class LocalStreamIds {
  #next = 0;
  #limit = 0;
  #blockedAnnounced = -1;
  /** Whether `take` has failed since the limit was last raised. */
  #refused = false;

  /** Index of the next stream. */
  get next(): number {
    return this.#next;
  }

  /** How many streams the peer lets us open, closed ones included. */
  get limit(): number {
    return this.#limit;
  }

  /** Index for a new stream, −1 if the peer's limit is reached. */
  take(): number {
    if (this.#next < this.#limit) return this.#next++;
    this.#refused = true;
    return -1;
  }

  /** The peer's limit; lower ones than before are ignored. Returns whether it makes possible what {@link take} had refused. */
  setLimit(limit: number): boolean {
    if (limit <= this.#limit) return false;
    this.#limit = limit;
    const unblocks = this.#refused;
    this.#refused = false;
    return unblocks;
  }

  /** The limit to announce with STREAMS_BLOCKED, once for each limit; −1 if there is nothing to announce. */
  takeBlocked(): number {
    if (!this.#refused || this.#blockedAnnounced === this.#limit) return -1;
    this.#blockedAnnounced = this.#limit;
    return this.#limit;
  }

  /** A STREAMS_BLOCKED frame with this limit was lost; it is announced again if it still holds. */
  onBlockedLost(limit: number): void {
    if (limit === this.#blockedAnnounced) this.#blockedAnnounced = -1;
  }
}

/** Ids that the peer opens, of one kind. */
export class PeerStreamIds {
  /** How many streams the peer may have open at once. */
  readonly #window: number;
  #limit: number;
  #closed = 0;
  /** One above the highest index that was used: the lower ones are open too (RFC 9000 §3.2). */
  #opened = 0;
  /** Those among them that no frame has named yet. Never more than the limit allows, and usually none. */
  readonly #unused: OffsetRanges = new OffsetRanges();
  #resend = false;

  constructor(window: number) {
    this.#window = window;
    this.#limit = window;
  }

  /** The announced limit. */
  get limit(): number {
    return this.#limit;
  }

  /** How many indices have been opened, by name or because a higher one was. */
  get opened(): number {
    return this.#opened;
  }

  /** How many streams are over. */
  get closed(): number {
    return this.#closed;
  }

  /** How many ranges of ids are remembered. */
  get rangeCount(): number {
    return this.#unused.count;
  }

  /** Notes that a frame names `index`, which is below the limit. Returns whether it is the first one to do so. */
  use(index: number): boolean {
    if (index >= this.#opened) {
      this.#unused.add(this.#opened, index);
      this.#opened = index + 1;
      return true;
    }
    if (this.#unused.isEmpty || !this.#unused.has(index)) return false;
    this.#unused.remove(index, index + 1);
    return true;
  }

  /** A stream is over: the peer may open another one. */
  close(): void {
    this.#closed++;
  }

  /** Whether {@link takeLimit} has something to announce. */
  get isUpdateDue(): boolean {
    const growth = this.#nextLimit() - this.#limit;
    return this.#resend || (growth > 0 && 4 * growth >= this.#window);
  }

  /** The new limit to announce with MAX_STREAMS when a quarter was used up, or the last announcement was lost; 0 if none is due. */
  takeLimit(): number {
    if (!this.isUpdateDue) return 0;
    this.#resend = false;
    this.#limit = this.#nextLimit();
    return this.#limit;
  }

  /** A MAX_STREAMS frame was lost. */
  onLimitLost(): void {
    this.#resend = true;
  }

  #nextLimit(): number {
    return Math.min(this.#closed + this.#window, MAX_STREAMS_LIMIT);
  }
}
