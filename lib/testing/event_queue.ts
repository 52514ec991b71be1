/**
 * A queue of things that will happen at a time: a binary heap that keeps things of the same time in the order in which they
 * were put in, so that a simulation replays exactly.
 *
 * @module
 */

import { type Micros, NEVER } from "../base/time.ts";

interface Entry<T> {
  readonly at: Micros;
  /** Breaks ties: first in, first out. */
  readonly order: number;
  readonly value: T;
}

/**
 * Values ordered by time.
 *
 * @example
 * ```ts
 * import { millis } from "../base/time.ts";
 * import { EventQueue } from "./event_queue.ts";
 *
 * const queue = new EventQueue<string>();
 * queue.push(millis(2), "later");
 * queue.push(millis(1), "sooner");
 * console.log(queue.nextTime, queue.pop()); // 1000 "sooner"
 * ```
 */
export class EventQueue<T> {
  readonly #heap: Entry<T>[] = [];
  #pushed = 0;

  /** How many values wait. */
  get size(): number {
    return this.#heap.length;
  }

  /** Time of the next value; NEVER if there is none. */
  get nextTime(): Micros {
    return this.#heap.length === 0 ? NEVER : this.#heap[0].at;
  }

  /** Puts a value in. */
  push(at: Micros, value: T): void {
    const heap = this.#heap;
    const entry = { at, order: this.#pushed++, value };
    let index = heap.length;
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      if (!isBefore(entry, heap[parent])) break;
      heap[index] = heap[parent];
      index = parent;
    }
    heap[index] = entry;
  }

  /** Takes the next value out; undefined if there is none. */
  pop(): T | undefined {
    const heap = this.#heap;
    if (heap.length === 0) return undefined;
    const first = heap[0];
    const last = heap.pop()!;
    if (heap.length > 0) this.#sink(last);
    return first.value;
  }

  /** Finds the place of `entry`, beginning at the top, which is free. */
  #sink(entry: Entry<T>): void {
    const heap = this.#heap, size = heap.length;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= size) break;
      if (child + 1 < size && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], entry)) break;
      heap[index] = heap[child];
      index = child;
    }
    heap[index] = entry;
  }
}

function isBefore(a: Entry<unknown>, b: Entry<unknown>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
