/**
 * Flow control by credit (RFC 9000 §4.1): how much the peer lets us send, and how much we let the peer send.
 *
 * Limits are absolute: the sum of the highest offsets of all streams (on a connection) or the highest offset (on a stream).
 *
 * @module
 */

import type { Micros } from "../base/time.ts";

/** Limits travel as safe integers (SPEC). */
const MAX_LIMIT = Number.MAX_SAFE_INTEGER;

/**
 * New credit is announced when so much of a window was consumed. A sender in slow start doubles what it sends while the announcement is on its
 * way: with a larger part it would run out of credit each time, however fast the window grows.
 */
const UPDATE_PART = 1 / 4;

/** Whether it is time to announce new credit, when `left` bytes of a window are not consumed. */
export function isCreditDue(left: number, window: number): boolean {
  return left <= window * (1 - UPDATE_PART);
}

/**
 * The size that a receive window should have after that part of it was consumed in `elapsed`: double, up to `most`, if that took
 * less than a round trip, because then the sender was probably waiting for credit.
 */
export function nextWindow(window: number, most: number, elapsed: number, rtt: number): number {
  return window < most && elapsed < rtt ? Math.min(2 * window, most) : window;
}

/** What the peer allows us to send on the connection. */
export class SendCredit {
  #limit = 0;
  #used = 0;
  #announced = -1;

  /** The peer's limit. */
  get limit(): number {
    return this.#limit;
  }

  /** New bytes sent so far, on all streams. */
  get used(): number {
    return this.#used;
  }

  /** New bytes that may be sent now. */
  get available(): number {
    return this.#limit - this.#used;
  }

  /** Whether no new byte may be sent. */
  get isBlocked(): boolean {
    return this.#used >= this.#limit;
  }

  /** Uses credit. Throws a RangeError if there is not that much. */
  use(bytes: number): void {
    if (bytes > this.#limit - this.#used) {
      throw new RangeError(`${bytes} bytes exceed the connection's credit of ${this.available}`);
    }
    this.#used += bytes;
  }

  /** The peer's limit; lower ones than before are ignored. Returns whether it unblocks the connection. */
  setLimit(limit: number): boolean {
    if (limit <= this.#limit) return false;
    const wasBlocked = this.#used >= this.#limit;
    this.#limit = limit;
    return wasBlocked;
  }

  /** The limit to announce with DATA_BLOCKED, once for each limit; −1 if there is nothing to announce. Ask when there is something to send. */
  takeBlocked(): number {
    if (!this.isBlocked || this.#announced === this.#limit) return -1;
    this.#announced = this.#limit;
    return this.#limit;
  }

  /** A DATA_BLOCKED frame with this limit was lost; it is announced again if it still holds. */
  onBlockedLost(limit: number): void {
    if (limit === this.#announced) this.#announced = -1;
  }
}

/** What we allow the peer to send on the connection. */
export class ReceiveCredit {
  #limit: number;
  #received = 0;
  #consumed = 0;
  #window: number;
  readonly #maxWindow: number;
  #lastUpdate = -Infinity;
  #resend = false;

  /** `window` is the limit that the transport parameters announced; it may grow up to `maxWindow`. */
  constructor(window: number, maxWindow: number = window) {
    this.#limit = window;
    this.#window = window;
    this.#maxWindow = maxWindow;
  }

  /** The announced limit. */
  get limit(): number {
    return this.#limit;
  }

  /** New bytes received so far, on all streams. */
  get received(): number {
    return this.#received;
  }

  /** Bytes that the application has read, or that nobody will read. */
  get consumed(): number {
    return this.#consumed;
  }

  /** Bytes that the peer may have under way or unread. */
  get window(): number {
    return this.#window;
  }

  /** The highest offsets have grown by `bytes`. Returns false if that is more than was allowed: FLOW_CONTROL. */
  onReceived(bytes: number): boolean {
    const received = this.#received + bytes;
    if (received > this.#limit) return false;
    this.#received = received;
    return true;
  }

  /** The application has read `bytes`, or they were discarded. */
  onConsumed(bytes: number): void {
    this.#consumed += bytes;
  }

  /** A stream was allowed to have `bytes` under way or unread: the connection must allow as much, or the stream could not use it. */
  ensureWindow(bytes: number): void {
    if (bytes > this.#window) this.#window = Math.min(bytes, this.#maxWindow);
  }

  /** Whether {@link takeMaxData} has something to announce. */
  get isUpdateDue(): boolean {
    return this.#resend || isCreditDue(this.#limit - this.#consumed, this.#window);
  }

  /**
   * The new limit to announce with CONNECTION_MAX_DATA when a quarter of the window was consumed, or when the last announcement
   * was lost; 0 if none is due. `now` and the smoothed round-trip time `rtt` let the window grow.
   */
  takeMaxData(now: Micros, rtt: Micros): number {
    if (!this.isUpdateDue) return 0;
    if (isCreditDue(this.#limit - this.#consumed, this.#window)) {
      this.#window = nextWindow(this.#window, this.#maxWindow, now - this.#lastUpdate, rtt);
      this.#lastUpdate = now;
      this.#limit = Math.min(Math.max(this.#limit, this.#consumed + this.#window), MAX_LIMIT);
    }
    this.#resend = false;
    return this.#limit;
  }

  /** A CONNECTION_MAX_DATA frame was lost. */
  onMaxDataLost(): void {
    this.#resend = true;
  }
}
