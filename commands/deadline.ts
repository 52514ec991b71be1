/**
 * What is left of a command's time.
 *
 * @module
 */

/** How long a command takes at most if nobody says anything. */
export const DEFAULT_TIMEOUT_MS = 30_000;
/** How long a handshake takes at most: a node that has not answered by then is not there. */
const CONNECT_LIMIT_MS = 10_000;

/** A point in time until which a command may work. */
export class Deadline {
  readonly #at: number;
  /** Milliseconds for connecting. */
  readonly forConnecting: number;
  /** Whether somebody has set it, who wants even people to keep to it. */
  readonly isChosen: boolean;

  /**
   * Begins now.
   *
   * @param timeoutMs from now; undefined for the default, 0 for no limit.
   * @param connectMs for connecting at most.
   */
  constructor(timeoutMs: number | undefined, connectMs = CONNECT_LIMIT_MS, isChosen = timeoutMs !== undefined) {
    const limit = timeoutMs === 0 ? Infinity : timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#at = performance.now() + limit;
    this.isChosen = limit !== Infinity && isChosen;
    this.forConnecting = Math.min(connectMs, limit);
  }

  /** What is left for one attempt of several, whose connecting may take so long at most. */
  attempt(connectMs: number): Deadline {
    return new Deadline(this.left, Math.min(connectMs, this.forConnecting), this.isChosen);
  }

  /** Milliseconds that are left, at least 1; 0 for no limit, as the library has it. */
  get left(): number {
    return this.#at === Infinity ? 0 : Math.max(1, Math.ceil(this.#at - performance.now()));
  }
}
