/**
 * The end of a connection: closing (we said CLOSE) and draining (the peer did), RFC 9000 §10.2.
 *
 * @module
 */

import type { Micros } from "../base/time.ts";

/** How many answers to a peer that goes on sending while we are closing. Doubling gaps make this plenty. */
const MAX_REPEATS = 8;
/** How many packets with CLOSE a connection sends at most. */
export const MAX_CLOSES = 1 + MAX_REPEATS;

/** What remains to be remembered of a connection that is ending. */
export class CloseState {
  readonly code: number;
  readonly message: string;
  readonly #until: Micros;
  #due: boolean;
  #received = 0;
  #repeatAt = 1;
  #repeats = 0;

  /** `announce`: whether a CLOSE has to be sent at all. The state lasts three probe timeouts. */
  constructor(now: Micros, pto: Micros, code: number, message: string, announce: boolean) {
    this.code = code;
    this.message = message;
    this.#until = (now + 3 * pto) as Micros;
    this.#due = announce;
  }

  /** Whether a CLOSE is to be sent now. */
  get due(): boolean {
    return this.#due;
  }

  /** A CLOSE has been sent. */
  onSent(): void {
    this.#due = false;
  }

  /** The peer sent something although we are closing: repeat CLOSE after 1, 2, 4 … of its datagrams. */
  onReceived(): void {
    this.#received++;
    if (this.#received < this.#repeatAt || this.#repeats >= MAX_REPEATS) return;
    this.#repeatAt *= 2;
    this.#repeats++;
    this.#due = true;
  }

  /** When the connection may be forgotten. */
  get deadline(): Micros {
    return this.#until;
  }
}
