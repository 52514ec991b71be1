/**
 * A map whose keys are texts that strangers choose: ids, names, capabilities.
 *
 * @module
 */

import { readU32 } from "./bytes.ts";
import { type HashKey, hashText } from "./keyed_hash.ts";
import type { Random } from "./random.ts";

const FIRST_BUCKETS = 8;

interface Entry<V> {
  readonly key: string;
  readonly hash: number;
  value: V;
  next: Entry<V> | undefined;
}

/** A key for the tables of one owner. */
export function newHashKey(random: Random): HashKey {
  const bytes = new Uint8Array(8);
  random.fillSecret(bytes);
  return { low: readU32(bytes, 0), high: readU32(bytes, 4) };
}

/**
 * A hash table with chains, hashed under a secret key. Values are never undefined.
 *
 * @example
 * ```ts
 * import { KeyedMap, newHashKey } from "./keyed_map.ts";
 * import { SystemRandom } from "../runtime/random.ts";
 *
 * const names = new KeyedMap<{ count: number }>(newHashKey(new SystemRandom()));
 * names.set("echo", { count: 1 });
 * names.get("echo")?.count; // 1
 * ```
 */
export class KeyedMap<V extends object> {
  readonly #hashKey: HashKey;
  #buckets: (Entry<V> | undefined)[] = new Array(FIRST_BUCKETS).fill(undefined);
  #size = 0;

  /** @param hashKey secret, and fresh for each process. */
  constructor(hashKey: HashKey) {
    this.#hashKey = hashKey;
  }

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** The value of a key; undefined if it has none. */
  get(key: string): V | undefined {
    return this.#find(key, hashText(this.#hashKey, key))?.value;
  }

  /** Sets or replaces the value of a key. */
  set(key: string, value: V): void {
    const hash = hashText(this.#hashKey, key);
    const found = this.#find(key, hash);
    if (found !== undefined) {
      found.value = value;
      return;
    }
    if (this.#size >= this.#buckets.length) this.#grow();
    const slot = hash & (this.#buckets.length - 1);
    this.#buckets[slot] = { key, hash, value, next: this.#buckets[slot] };
    this.#size++;
  }

  /** Removes a key; returns its value. */
  delete(key: string): V | undefined {
    const hash = hashText(this.#hashKey, key);
    const slot = hash & (this.#buckets.length - 1);
    let before: Entry<V> | undefined;
    for (let entry = this.#buckets[slot]; entry !== undefined; before = entry, entry = entry.next) {
      if (entry.hash !== hash || entry.key !== key) continue;
      if (before === undefined) this.#buckets[slot] = entry.next;
      else before.next = entry.next;
      this.#size--;
      return entry.value;
    }
    return undefined;
  }

  /** The values, in no particular order. The map must not change meanwhile. */
  *values(): Generator<V, void, undefined> {
    for (const first of this.#buckets) {
      for (let entry = first; entry !== undefined; entry = entry.next) yield entry.value;
    }
  }

  #find(key: string, hash: number): Entry<V> | undefined {
    let entry = this.#buckets[hash & (this.#buckets.length - 1)];
    while (entry !== undefined && (entry.hash !== hash || entry.key !== key)) entry = entry.next;
    return entry;
  }

  #grow(): void {
    const grown: (Entry<V> | undefined)[] = new Array(2 * this.#buckets.length).fill(undefined);
    for (const first of this.#buckets) {
      for (let entry = first; entry !== undefined;) {
        const { next } = entry;
        const slot = entry.hash & (grown.length - 1);
        entry.next = grown[slot];
        grown[slot] = entry;
        entry = next;
      }
    }
    this.#buckets = grown;
  }
}
