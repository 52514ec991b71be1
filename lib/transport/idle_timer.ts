/**
 * Idle timeout and keep-alive (RFC 9000 §10.1).
 *
 * @module
 */

import { type Micros, NEVER } from "../base/time.ts";

/** Watches for silence. */
export class IdleTimer {
  #timeout: Micros;
  #keepAlive: Micros;
  #lastActivity: Micros;
  #lastReceived: Micros;
  #sentSinceReceived = false;
  #keepAliveSentAt = -1 as Micros;

  /** Durations of 0 mean never. */
  constructor(now: Micros, timeout: Micros, keepAlive: Micros) {
    this.#timeout = timeout;
    this.#keepAlive = keepAlive;
    this.#lastActivity = now;
    this.#lastReceived = now;
  }

  /** Takes the peer's announced timeout into account: the smaller one that is not 0 applies. */
  negotiate(peerTimeout: Micros): void {
    if (peerTimeout > 0 && (this.#timeout === 0 || peerTimeout < this.#timeout)) this.#timeout = peerTimeout;
    // A keep-alive that comes after the timeout keeps nothing alive; a third of it leaves room for two that get lost.
    if (this.#timeout > 0 && this.#keepAlive > 0) {
      this.#keepAlive = Math.min(this.#keepAlive, this.#timeout / 3) as Micros;
    }
  }

  /** An authenticated packet arrived. */
  onReceived(now: Micros): void {
    this.#lastActivity = now;
    this.#lastReceived = now;
    this.#sentSinceReceived = false;
  }

  /** An ack-eliciting packet left. Only the first one after a received packet counts, or a dead peer would never be noticed. */
  onAckElicitingSent(now: Micros): void {
    if (this.#sentSinceReceived) return;
    this.#sentSinceReceived = true;
    this.#lastActivity = now;
  }

  /** When the connection is to be given up. `pto` keeps it from dying before loss recovery had three chances. */
  deadline(pto: Micros): Micros {
    return this.#timeout === 0 ? NEVER : (this.#lastActivity + Math.max(this.#timeout, 3 * pto)) as Micros;
  }

  /** When a PING should leave. */
  keepAliveAt(): Micros {
    if (this.#keepAlive === 0) return NEVER;
    return (Math.max(this.#lastReceived, this.#keepAliveSentAt) + this.#keepAlive) as Micros;
  }

  /** A keep-alive PING has been queued. */
  onKeepAlive(now: Micros): void {
    this.#keepAliveSentAt = now;
  }
}
