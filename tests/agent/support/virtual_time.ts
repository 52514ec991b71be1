/**
 * Programs over a network in memory, in a time that only the test moves.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { type Micros, millis } from "../../../lib/base/time.ts";
import type { Platform } from "../../../lib/agent/platform.ts";
import { ManualClock } from "../../../lib/testing/manual_clock.ts";
import { memoryPlatform } from "./platform.ts";

/** Turns of the event loop in which what was sent at one time is answered, and that answered, through several nodes. */
const TURNS = 40;

/** A platform whose clock stands still until {@link VirtualTime.pass}. */
export class VirtualTime {
  readonly #clock = new ManualClock();
  readonly platform: Platform = { ...memoryPlatform(), clock: this.#clock };

  /** Milliseconds since the beginning. */
  get now(): number {
    return this.#clock.now() / 1000;
  }

  /** Lets everything happen that needs no time. */
  async settle(turns = TURNS): Promise<void> {
    for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** Lets time pass, a millisecond at a time, and so many turns of the event loop for each. */
  async pass(milliseconds: number, turns = TURNS): Promise<void> {
    for (let i = 0; i < milliseconds; i++) {
      this.#clock.advance((this.#clock.now() + millis(1)) as Micros);
      await this.settle(turns);
    }
  }

  /** Lets much time pass, a second at a time. */
  async passSeconds(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      this.#clock.advance((this.#clock.now() + millis(1_000)) as Micros);
      await this.settle();
    }
  }

  /** Lets seconds pass in which nothing is sent, as when a machine sleeps. */
  jump(seconds: number): void {
    this.#clock.advance((this.#clock.now() + millis(seconds * 1_000)) as Micros);
  }

  /** Lets time pass until something has come about. */
  async until<T>(promise: Promise<T>, most = 10_000): Promise<T> {
    let isOver = false;
    const over = (): void => void (isOver = true);
    promise.then(over, over);
    for (let i = 0; i < most && !isOver; i++) {
      await this.settle(4);
      if (!isOver) this.#clock.advance((this.#clock.now() + millis(1)) as Micros);
    }
    return await promise;
  }
}
