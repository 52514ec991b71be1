/**
 * Rates by key: how many requests each may make, and not more than so many keys at once.
 *
 * @module
 */

/** Keys that are remembered. Whoever is forgotten begins with a full bucket, as after a pause. */
const MAX_KEYS = 10_000;

interface Bucket {
  tokens: number;
  /** When it had so many, in milliseconds. */
  at: number;
}

/** One bucket a key, which fills evenly. */
export class TokenBuckets {
  readonly #perMs: number;
  readonly #burst: number;
  /** The one that was used last comes last. Keys are public keys that connections have proven. */
  readonly #buckets = new Map<string, Bucket>();

  /** @param burst what a full bucket holds; at least 1. */
  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1_000;
    this.#burst = burst;
  }

  /** Takes a token; false if there is none. @param now milliseconds, never less than before. */
  take(key: string, now: number): boolean {
    const bucket = this.#buckets.get(key) ?? { tokens: this.#burst, at: now };
    bucket.tokens = Math.min(this.#burst, bucket.tokens + (now - bucket.at) * this.#perMs);
    bucket.at = now;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > MAX_KEYS) this.#buckets.delete(this.#buckets.keys().next().value!);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
