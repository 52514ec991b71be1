/**
 * Spreads work that takes long over turns of the event loop, so that a peer that causes much of it does not hold up everybody else.
 *
 * @module
 */

/** What may be done in a turn, and what may wait. */
export interface TurnLimits {
  /** Pieces of work in one turn. */
  readonly perTurn: number;
  /** Pieces that may wait for a turn. */
  readonly maxWaiting: number;
}

/** A queue for one kind of work. Costs a timer for each turn in which there is any, and nothing otherwise. */
export class Turns {
  readonly #limits: TurnLimits;
  readonly #waiting: (() => void)[] = [];
  #done = 0;
  #isCounting = false;

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /** Pieces of work that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether a piece of work done now would be within what a turn has room for, `times` over. Counts it if so. */
  take(times = 1): boolean {
    if (this.#done >= this.#limits.perTurn * times) return false;
    this.#done++;
    this.#count();
    return true;
  }

  /** Does the work now, or in a later turn, behind what waits already; undefined, and it is not done, if too much waits. */
  run<T>(work: () => T | Promise<T>): T | Promise<T> | undefined {
    if (this.#waiting.length === 0 && this.take()) return work();
    if (this.#waiting.length >= this.#limits.maxWaiting) return undefined;
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
      });
      this.#count();
    });
  }

  /** The next turn has room again, and whoever waits comes first. */
  #count(): void {
    if (this.#isCounting) return;
    this.#isCounting = true;
    setTimeout(() => {
      this.#isCounting = false;
      this.#done = 0;
      const next = this.#waiting.splice(0, this.#limits.perTurn);
      this.#done = next.length;
      if (next.length > 0) this.#count();
      for (const work of next) work();
    }, 0);
  }
}
