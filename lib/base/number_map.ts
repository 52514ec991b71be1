/**
 * A map from numbers to objects for tables that change all the time: streams, calls.
 *
 * V8's own `Map` leaves a dead table behind whenever it has been through as many insertions as it has room for, each of
 * them pointing to the next; once one is in the old generation, all later ones and everything in them survive every
 * minor collection. With 64 calls in flight that was a fifth of all CPU time.
 *
 * @module
 */

const FIRST_CAPACITY = 8;

/**
 * Open addressing with linear probing; removal closes the gap. Keys are safe integers of either sign. Values are never
 * undefined.
 *
 * @example
 * ```ts
 * import { NumberMap } from "./number_map.ts";
 * const map = new NumberMap<{ name: string }>();
 * map.set(4, { name: "four" });
 * map.delete(4); // the object
 * map.get(4); // undefined
 * ```
 */
export class NumberMap<V extends object> {
  #keys: Float64Array = NO_KEYS;
  #values: (V | undefined)[] = [];
  #mask = -1;
  #size = 0;

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** The value of a key; undefined if it has none. */
  get(key: number): V | undefined {
    const mask = this.#mask;
    if (mask < 0) return undefined;
    const keys = this.#keys;
    const values = this.#values;
    for (let slot = hash(key) & mask;; slot = (slot + 1) & mask) {
      const value = values[slot];
      if (value === undefined || keys[slot] === key) return value;
    }
  }

  /** Whether a key has a value. */
  has(key: number): boolean {
    return this.get(key) !== undefined;
  }

  /** Sets or replaces the value of a key. */
  set(key: number, value: V): void {
    // At most three quarters full, so that probes stay short.
    if (4 * (this.#size + 1) > 3 * (this.#mask + 1)) this.#grow();
    const slot = this.#slotOf(key);
    if (this.#values[slot] === undefined) {
      this.#keys[slot] = key;
      this.#size++;
    }
    this.#values[slot] = value;
  }

  /** Removes a key; returns its value. */
  delete(key: number): V | undefined {
    const mask = this.#mask;
    if (mask < 0) return undefined;
    const keys = this.#keys;
    const values = this.#values;
    let gap = this.#slotOf(key);
    const removed = values[gap];
    if (removed === undefined) return undefined;
    // Whoever would not be found across the gap moves into it.
    for (let slot = (gap + 1) & mask; values[slot] !== undefined; slot = (slot + 1) & mask) {
      const home = hash(keys[slot]) & mask;
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      keys[gap] = keys[slot];
      values[gap] = values[slot];
      gap = slot;
    }
    values[gap] = undefined;
    this.#size--;
    return removed;
  }

  /** Removes everything. */
  clear(): void {
    this.#keys = NO_KEYS;
    this.#values = [];
    this.#mask = -1;
    this.#size = 0;
  }

  /** A snapshot of the values, in no particular order. */
  values(): V[] {
    return this.#values.filter((value) => value !== undefined);
  }

  #slotOf(key: number): number {
    const mask = this.#mask;
    let slot = hash(key) & mask;
    while (this.#values[slot] !== undefined && this.#keys[slot] !== key) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    const capacity = this.#mask < 0 ? FIRST_CAPACITY : 2 * (this.#mask + 1);
    this.#keys = new Float64Array(capacity);
    this.#values = new Array<V | undefined>(capacity).fill(undefined);
    this.#mask = capacity - 1;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value === undefined) continue;
      const slot = this.#slotOf(keys[i]);
      this.#keys[slot] = keys[i];
      this.#values[slot] = value;
    }
  }
}

const NO_KEYS = new Float64Array(0);
const TWO_32 = 0x1_0000_0000;

/** Spreads neighbouring keys, such as stream ids with a step of four. */
function hash(key: number): number {
  const high = key > 0x7fff_ffff ? (key / TWO_32) | 0 : 0;
  const mixed = Math.imul((key | 0) ^ high, 0x9e37_79b1);
  return mixed ^ (mixed >>> 15);
}
