/**
 * The system's clock and timers as the library's {@link Clock}.
 *
 * @module
 */

import { clearImmediate, clearTimeout, setImmediate, setTimeout } from "node:timers";
import type { Clock, Micros } from "../base/time.ts";
import { micros } from "../base/time.ts";

/** The longest delay that setTimeout takes; a longer one would fire at once. */
const MAX_DELAY_MS = 0x7fff_ffff;

/** Something to be called, at its place in the heap (−1: called or cancelled). */
interface WakeUp {
  readonly at: number;
  readonly callback: () => void;
  index: number;
}

/**
 * Monotonic time from `performance.now()`, wake-ups from one system timer.
 *
 * Who drives a connection moves its wake-up after every batch of packets, mostly to a later time, so moving has to be
 * cheap: the system timer stays as it is while it fires early enough, finds nothing due, and arms itself for the next
 * one. It is taken down when no wake-up is left, so that a process can end.
 *
 * Callbacks run at or after their time, never before, never inside `wakeAt`; timers have a resolution of 1 ms, so up to
 * 1 ms (and what the event loop is busy with) later.
 *
 * @example
 * ```ts
 * import { micros } from "../base/time.ts";
 * import { SystemClock } from "./clock.ts";
 *
 * const clock = new SystemClock();
 * await new Promise<void>((resolve) => clock.wakeAt(micros(clock.now() + 1_500), resolve));
 * console.log("1.5 ms later");
 * ```
 */
export class SystemClock implements Clock {
  /** A binary heap by time. */
  readonly #heap: WakeUp[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #immediate: ReturnType<typeof setImmediate> | undefined;
  /** When the system timer fires; Infinity if it is not armed. */
  #armedFor = Infinity;
  #checkingIdle = false;

  /** Microseconds since the process began. */
  now(): Micros {
    return micros(performance.now() * 1000);
  }

  /** Calls back once at or after `at`; never for `NEVER`. Cancelling twice, or after the call, does nothing. */
  wakeAt(at: Micros, callback: () => void): () => void {
    if (Number.isNaN(at)) throw new RangeError("wake-up time is not a number");
    if (at === Infinity) return nothing;
    const wakeUp: WakeUp = { at, callback, index: this.#heap.length };
    this.#heap.push(wakeUp);
    this.#siftUp(wakeUp);
    if (at < this.#armedFor) this.#arm();
    return () => this.#cancel(wakeUp);
  }

  #cancel(wakeUp: WakeUp): void {
    if (wakeUp.index < 0) return;
    this.#remove(wakeUp);
    if (this.#heap.length > 0 || this.#checkingIdle) return;
    // Most often the same caller asks for its next wake-up at once, and the timer can stay.
    this.#checkingIdle = true;
    queueMicrotask(this.#disarmIfIdle);
  }

  readonly #disarmIfIdle = (): void => {
    this.#checkingIdle = false;
    if (this.#heap.length === 0) this.#disarm();
  };

  #disarm(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    if (this.#immediate !== undefined) clearImmediate(this.#immediate);
    this.#timer = this.#immediate = undefined;
    this.#armedFor = Infinity;
  }

  /** Arms the system timer for the earliest wake-up. */
  #arm(): void {
    this.#disarm();
    const at = this.#heap[0].at;
    const delay = (at - performance.now() * 1000) / 1000;
    this.#armedFor = at;
    if (delay <= 0) this.#immediate = setImmediate(this.#fire);
    else this.#timer = setTimeout(this.#fire, Math.min(Math.ceil(delay), MAX_DELAY_MS));
  }

  readonly #fire = (): void => {
    this.#timer = this.#immediate = undefined;
    // While callbacks run nothing is armed by wakeAt; the loop's end does it once.
    this.#armedFor = -Infinity;
    const now = this.now();
    try {
      // Those that callbacks add for a time already past wait for the next turn, or two could keep the loop for themselves.
      for (let due = this.#heap.length; due > 0 && this.#heap.length > 0 && this.#heap[0].at <= now; due--) {
        const wakeUp = this.#heap[0];
        this.#remove(wakeUp);
        wakeUp.callback();
      }
    } finally {
      this.#armedFor = Infinity;
      if (this.#heap.length > 0) this.#arm();
    }
  };

  #remove(wakeUp: WakeUp): void {
    const heap = this.#heap, index = wakeUp.index;
    wakeUp.index = -1;
    const last = heap.pop()!;
    if (last === wakeUp) return;
    heap[index] = last;
    last.index = index;
    this.#siftUp(last);
    this.#siftDown(last);
  }

  #siftUp(wakeUp: WakeUp): void {
    const heap = this.#heap;
    let index = wakeUp.index;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1, parent = heap[parentIndex];
      if (parent.at <= wakeUp.at) break;
      heap[index] = parent;
      parent.index = index;
      index = parentIndex;
    }
    heap[index] = wakeUp;
    wakeUp.index = index;
  }

  #siftDown(wakeUp: WakeUp): void {
    const heap = this.#heap;
    let index = wakeUp.index;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= heap.length) break;
      if (childIndex + 1 < heap.length && heap[childIndex + 1].at < heap[childIndex].at) childIndex++;
      const child = heap[childIndex];
      if (wakeUp.at <= child.at) break;
      heap[index] = child;
      child.index = index;
      index = childIndex;
    }
    heap[index] = wakeUp;
    wakeUp.index = index;
  }
}

function nothing(): void {}
