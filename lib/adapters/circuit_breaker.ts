/**
 * A circuit breaker: stops asking somebody who only fails, and tries again now and then.
 *
 * @module
 */

/** What it goes by. */
export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failures: number;
  /** How long it stays open, in milliseconds; then one request is let through to see. */
  readonly pauseMs: number;
}

/** Closed (everything passes), open (nothing does), or half open (one does, and decides). */
export class CircuitBreaker {
  readonly #options: BreakerOptions;
  #failures = 0;
  #openUntil = -Infinity;
  #isTrying = false;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /** Whether a request may pass now, in milliseconds. One that passes is followed by {@link succeeded}, {@link failed} or {@link ended}. */
  admits(now: number): boolean {
    if (this.#failures < this.#options.failures) return true;
    if (now < this.#openUntil || this.#isTrying) return false;
    this.#isTrying = true;
    return true;
  }

  /** Whether requests are turned away now. */
  isOpen(now: number): boolean {
    return this.#failures >= this.#options.failures && (now < this.#openUntil || this.#isTrying);
  }

  /** A request went well. */
  succeeded(): void {
    this.#failures = 0;
    this.#isTrying = false;
  }

  /** A request failed, and it was not the caller's fault. */
  failed(now: number): void {
    this.#failures++;
    this.#isTrying = false;
    if (this.#failures >= this.#options.failures) this.#openUntil = now + this.#options.pauseMs;
  }

  /** A request ended in a way that says nothing. */
  ended(): void {
    this.#isTrying = false;
  }
}
