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

  /** @param timeoutMs from now; undefined for the default, 0 for no limit. */
  constructor(timeoutMs: number | undefined) {
    const limit = timeoutMs === 0 ? Infinity : timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#at = performance.now() + limit;
    this.isChosen = limit !== Infinity && timeoutMs !== undefined;
    this.forConnecting = Math.min(CONNECT_LIMIT_MS, limit);
  }

  /** Milliseconds that are left, at least 1; 0 for no limit, as the library has it. */
  get left(): number {
    return this.#at === Infinity ? 0 : Math.max(1, Math.ceil(this.#at - performance.now()));
  }
}
