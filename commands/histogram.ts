/**
 * A histogram whose error is relative: good to 0.8 % from one unit to hours, in 24 kB, whatever is recorded.
 *
 * Below 256 every value has a bucket of its own; above, every power of two is cut into 128 equal parts (log-linear, as in
 * HdrHistogram).
 *
 * @module
 */

const SUB_BITS = 7;
const SUB_BUCKETS = 1 << SUB_BITS;
/** Powers of two above 2^(SUB_BITS + 1) up to 2^53. */
const SHIFTS = 53 - SUB_BITS - 1;
const TWO_32 = 2 ** 32;

/**
 * Counts values, tells quantiles.
 *
 * @example
 * ```ts
 * import { Histogram } from "./histogram.ts";
 *
 * const histogram = new Histogram();
 * for (let i = 1; i <= 100; i++) histogram.record(i);
 * console.log(histogram.quantile(0.99)); // 99
 * ```
 */
export class Histogram {
  readonly #counts = new Uint32Array((SHIFTS + 2) * SUB_BUCKETS);
  #count = 0;
  #max = 0;

  /** How many values were recorded. */
  get count(): number {
    return this.#count;
  }

  /** The largest value, exactly; 0 if there is none. */
  get max(): number {
    return this.#max;
  }

  /** Records a value, rounded to a whole number. @throws {RangeError} unless it lies between 0 and 2^53 − 1. */
  record(value: number): void {
    const whole = Math.round(value);
    if (!(whole >= 0 && whole <= Number.MAX_SAFE_INTEGER)) throw new RangeError(`cannot record ${value}`);
    this.#counts[bucketOf(whole)]++;
    this.#count++;
    if (whole > this.#max) this.#max = whole;
  }

  /**
   * The smallest value that at least a share `q` of all values does not exceed; up to 0.8 % more than exact. NaN if nothing was
   * recorded. @throws {RangeError} unless 0 ≤ q ≤ 1.
   */
  quantile(q: number): number {
    if (!(q >= 0 && q <= 1)) throw new RangeError(`a quantile lies between 0 and 1, got ${q}`);
    if (this.#count === 0) return NaN;
    const rank = Math.max(1, Math.ceil(q * this.#count));
    let seen = 0;
    for (let bucket = 0;; bucket++) {
      seen += this.#counts[bucket];
      if (seen >= rank) return Math.min(lastOf(bucket), this.#max);
    }
  }

  /** Forgets everything. */
  reset(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#max = 0;
  }
}

function bucketOf(value: number): number {
  if (value < 2 * SUB_BUCKETS) return value;
  const top = value < TWO_32 ? 31 - Math.clz32(value) : 63 - Math.clz32(value / TWO_32);
  const shift = top - SUB_BITS;
  return shift * SUB_BUCKETS + Math.floor(value / 2 ** shift);
}

/** The largest value that goes into a bucket. */
function lastOf(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  return (bucket - shift * SUB_BUCKETS + 1) * 2 ** shift - 1;
}
