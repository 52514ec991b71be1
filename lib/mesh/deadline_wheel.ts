/**
 * Deadlines of many calls with O(1) entry and removal: nearly all of them are removed long before they are due.
 *
 * @module
 */

import { type Micros, micros, NEVER } from "../base/time.ts";

/** Width of a slot. A deadline is noticed at most this long after it has passed, and never before. */
export const WHEEL_TICK: Micros = micros(2048);
/** A power of two; slots × tick = 4.2 s. Later deadlines share slots with earlier ones and are looked at once a turn. */
const SLOTS = 2048;
const MASK = SLOTS - 1;

/** What can be put on a wheel; on one at a time. The `wheel…` members are the wheel's own. */
export interface WheelEntry {
  /** When; fixed while on the wheel. */
  readonly deadline: Micros;
  /** Called once when the deadline has passed; the entry has left the wheel by then. */
  expired(now: Micros): void;
  /** −1 when on no wheel. */
  wheelSlot: number;
  wheelNext: WheelEntry | undefined;
  wheelPrevious: WheelEntry | undefined;
}

/** A hashed timing wheel (Varghese and Lauck, scheme 6). Knows no clock. */
export class DeadlineWheel {
  readonly #heads: (WheelEntry | undefined)[] = new Array(SLOTS).fill(undefined);
  /** One bit a slot: not empty. */
  readonly #occupied = new Uint32Array(SLOTS / 32);
  #size = 0;
  /** Every tick up to this one has been dealt with. */
  #done: number;

  constructor(now: Micros) {
    this.#done = Math.floor(now / WHEEL_TICK) - 1;
  }

  /** Entries on the wheel. */
  get size(): number {
    return this.#size;
  }

  /** Puts an entry on the wheel by its deadline; one that has passed already expires at the next {@link expire}. */
  add(entry: WheelEntry): void {
    if (entry.wheelSlot >= 0) throw new RangeError("the entry is on a wheel already");
    if (entry.deadline === NEVER) return;
    const tick = Math.max(Math.floor(entry.deadline / WHEEL_TICK), this.#done + 1);
    const slot = tick % SLOTS;
    const head = this.#heads[slot];
    entry.wheelSlot = slot;
    entry.wheelNext = head;
    if (head !== undefined) head.wheelPrevious = entry;
    else this.#occupied[slot >>> 5] |= 1 << (slot & 31);
    this.#heads[slot] = entry;
    this.#size++;
  }

  /** Takes an entry off, if it is on. */
  remove(entry: WheelEntry): void {
    const slot = entry.wheelSlot;
    if (slot < 0) return;
    const next = entry.wheelNext;
    const previous = entry.wheelPrevious;
    if (next !== undefined) next.wheelPrevious = previous;
    if (previous !== undefined) previous.wheelNext = next;
    else {
      this.#heads[slot] = next;
      if (next === undefined) this.#occupied[slot >>> 5] &= ~(1 << (slot & 31));
    }
    entry.wheelSlot = -1;
    entry.wheelNext = undefined;
    entry.wheelPrevious = undefined;
    this.#size--;
  }

  /**
   * When {@link expire} should be called next: at or before the earliest deadline plus one tick; {@link NEVER} if
   * nothing waits.
   */
  next(): Micros {
    if (this.#size === 0) return NEVER;
    const start = this.#done + 1;
    const first = start % SLOTS;
    for (let ahead = 0; ahead < SLOTS;) {
      const slot = (first + ahead) & MASK;
      const word = this.#occupied[slot >>> 5] >>> (slot & 31);
      if (word !== 0) return ((start + ahead + trailingZeros(word) + 1) * WHEEL_TICK) as Micros;
      ahead += 32 - (slot & 31);
    }
    // Only bits of the first word below the first slot are left.
    return ((start + SLOTS) * WHEEL_TICK) as Micros;
  }

  /** Takes off every entry whose deadline has passed, and then calls each one's `expired`. */
  expire(now: Micros): void {
    const target = Math.floor(now / WHEEL_TICK) - 1;
    if (target <= this.#done) return;
    const due: WheelEntry[] = [];
    if (this.#size > 0) {
      const count = Math.min(target - this.#done, SLOTS);
      for (let i = 1; i <= count; i++) {
        const slot = (this.#done + i) % SLOTS;
        for (let entry = this.#heads[slot]; entry !== undefined;) {
          const next: WheelEntry | undefined = entry.wheelNext;
          if (entry.deadline <= now) {
            this.remove(entry);
            due.push(entry);
          }
          entry = next;
        }
      }
    }
    this.#done = target;
    // Only now, because an entry that expires may add or remove others.
    for (const entry of due) entry.expired(now);
  }
}

function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word);
}
