/**
 * How often something may happen: one limit, and a table of limits for addresses.
 *
 * @module
 */

import { addressBlock } from "../base/address.ts";
import { readU32 } from "../base/bytes.ts";
import type { Micros } from "../base/time.ts";
import type { Hash } from "../crypto/types.ts";

const MICROS_PER_SECOND = 1_000_000;

/** A token bucket, kept as the one moment at which it would be full again (the GCRA of ATM networks). */
export class RateLimit {
  readonly #interval: number;
  readonly #tolerance: number;
  #fullAt = -Infinity;

  /** `rate` times a second on average, `burst` times at once. */
  constructor(rate: number, burst: number) {
    this.#interval = MICROS_PER_SECOND / rate;
    this.#tolerance = burst * this.#interval;
  }

  /** Whether it may happen once more, or `count` times; if so, that is taken down. */
  take(now: Micros, count = 1): boolean {
    const fullAt = nextFullAt(this.#fullAt, now, count * this.#interval);
    if (fullAt - now > this.#tolerance) return false;
    this.#fullAt = fullAt;
    return true;
  }

  /** Whether it might happen once more. */
  has(now: Micros): boolean {
    return nextFullAt(this.#fullAt, now, this.#interval) - now <= this.#tolerance;
  }
}

/** Buckets of a table. Enough that a thousand busy addresses hardly share one; 64 KiB. */
const BUCKETS = 8192;

/**
 * A limit for each block of addresses: an IPv4 address, or an IPv6 /64, which is what one customer gets.
 *
 * The table never grows: a secret hash spreads the blocks over a fixed number of buckets. Blocks that share one share its
 * limit, but nobody without the secret can choose with whom, so neither memory nor time depends on what addresses are made up.
 */
export class AddressLimits {
  readonly #interval: number;
  readonly #tolerance: number;
  readonly #hash: Hash;
  readonly #key: Uint8Array;
  readonly #fullAt = new Float64Array(BUCKETS).fill(-Infinity);

  /** `rate` times a second for each block on average, `burst` times at once. `key` is secret, 32 bytes. */
  constructor(rate: number, burst: number, hash: Hash, key: Uint8Array) {
    this.#interval = MICROS_PER_SECOND / rate;
    this.#tolerance = burst * this.#interval;
    this.#hash = hash;
    this.#key = key;
  }

  /** Where the block of an IP address has its bucket. */
  bucketOf(host: string): number {
    return readU32(this.#hash.hmac(this.#key, encoder.encode(addressBlock(host))), 0) % BUCKETS;
  }

  /** Whether it may happen once more to a bucket, or `count` times; if so, that is taken down. */
  take(now: Micros, bucket: number, count = 1): boolean {
    const fullAt = nextFullAt(this.#fullAt[bucket], now, count * this.#interval);
    if (fullAt - now > this.#tolerance) return false;
    this.#fullAt[bucket] = fullAt;
    return true;
  }
}

const encoder = new TextEncoder();

function nextFullAt(fullAt: number, now: Micros, interval: number): number {
  return Math.max(fullAt, now) + interval;
}
