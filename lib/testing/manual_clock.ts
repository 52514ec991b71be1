/**
 * A clock that stands still until somebody moves it.
 *
 * @module
 */

import { type Clock, type Micros, micros, NEVER } from "../base/time.ts";
import { EventQueue } from "./event_queue.ts";

/** A call that is due at some time, and can be called off. */
interface Wake {
  callback: (() => void) | undefined;
}

/**
 * A {@link Clock} for tests and simulations: time passes only in {@link ManualClock.step} and {@link ManualClock.advance}.
 * Wake-ups of the same time are called in the order in which they were asked for.
 *
 * @example
 * ```ts
 * import { millis } from "../base/time.ts";
 * import { ManualClock } from "./manual_clock.ts";
 *
 * const clock = new ManualClock();
 * clock.wakeAt(millis(5), () => console.log("it is", clock.now()));
 * clock.advance(millis(10)); // it is 5000
 * ```
 */
export class ManualClock implements Clock {
  #now: Micros;
  readonly #queue = new EventQueue<Wake>();
  #waiting = 0;

  /** Begins at a time, 0 if none is given. */
  constructor(start: Micros = micros(0)) {
    this.#now = start;
  }

  now(): Micros {
    return this.#now;
  }

  /** Calls back at `at`, or, if that has passed, at the next step. NEVER is never. */
  wakeAt(at: Micros, callback: () => void): () => void {
    if (at === NEVER) return () => {};
    const wake: Wake = { callback };
    this.#queue.push(at > this.#now ? at : this.#now, wake);
    this.#waiting++;
    return () => {
      if (wake.callback !== undefined) this.#waiting--;
      wake.callback = undefined;
    };
  }

  /** When the next wake-up is due, those that were called off included; NEVER if there is none. */
  get nextTime(): Micros {
    return this.#queue.nextTime;
  }

  /** Wake-ups that were neither called nor called off. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Moves on to the next wake-up and calls it; false if there is none. */
  step(): boolean {
    const at = this.#queue.nextTime;
    const wake = this.#queue.pop();
    if (wake === undefined) return false;
    this.#now = at;
    const { callback } = wake;
    if (callback === undefined) return true;
    this.#waiting--;
    wake.callback = undefined;
    callback();
    return true;
  }

  /** Moves on to `to`, with every wake-up that is due until then. Throws a RangeError for a time that has passed. */
  advance(to: Micros): void {
    if (to < this.#now) throw new RangeError(`time does not run backwards, from ${this.#now} to ${to}`);
    while (this.#queue.nextTime <= to) this.step();
    this.#now = to;
  }
}
