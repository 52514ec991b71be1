/**
 * Counting sends that are under way, for runtimes that report the end of each with a callback or a promise.
 *
 * @module
 */

/** Knows when every buffer that was handed to the runtime is free again. */
export class SendTracker {
  #pending = 0;
  #promise: Promise<void> | undefined;
  #resolve: (() => void) | undefined;

  /** Sends that have begun and not ended. */
  get pending(): number {
    return this.#pending;
  }

  /** A send has begun. */
  begin(): void {
    this.#pending++;
  }

  /** A send has ended, well or badly. True if it was the last one under way. */
  end(): boolean {
    if (--this.#pending > 0) return false;
    const resolve = this.#resolve;
    if (resolve !== undefined) {
      this.#promise = this.#resolve = undefined;
      resolve();
    }
    return true;
  }

  /** Undefined if nothing is under way, else a promise for the end of all that is. */
  settled(): Promise<void> | undefined {
    if (this.#pending === 0) return undefined;
    return this.#promise ??= new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
}
