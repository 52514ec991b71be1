/**
 * The shortest round trip of the last seconds: the path's own delay, without the queue in front of it.
 *
 * @module
 */

import { type Micros, micros, seconds } from "../../base/time.ts";

/** A minimum is believed for this long. */
const MEMORY = seconds(10);
/** When no round trip was as short for this long, it is time to look for one. */
const STALE_AFTER = seconds(5);
/** What serialisation and timers add. */
const TRIFLE = 1 + 1 / 64;

/** Two minima: one of the last ten seconds, and a newer one that is to replace it when it grows old. */
export class MinRttFilter {
  #value: Micros = micros(Infinity);
  #at: Micros = micros(-Infinity);
  #recent: Micros = micros(Infinity);
  #recentAt: Micros = micros(-Infinity);

  /** The shortest; Infinity before the first sample. */
  get value(): Micros {
    return this.#value;
  }

  /** Whether there is a sample. */
  get isKnown(): boolean {
    return this.#value !== Infinity;
  }

  /** Takes a sample. */
  onSample(sample: Micros, now: Micros): void {
    if (sample < this.#recent) this.#recent = sample;
    // One that is as short, but for a trifle, shows that there is no queue, and that the flow need not lie low to see the path without it.
    if (sample <= this.#recent * TRIFLE) this.#recentAt = now;
    if (this.#recent <= this.#value || now > this.#at + MEMORY) {
      this.#value = this.#recent;
      this.#at = this.#recentAt;
    }
  }

  /** Whether the flow should lie low for a moment. */
  isStale(now: Micros): boolean {
    return now > this.#recentAt + STALE_AFTER;
  }

  /** The flow begins to lie low: what it sees from now on is what counts. */
  restart(): void {
    this.#recent = micros(Infinity);
  }

  /** The flow has lain low: no need to do so again for a while. */
  refresh(now: Micros): void {
    this.#recentAt = now;
  }
}
