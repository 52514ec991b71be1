/**
 * A set of integers kept as disjoint ranges: received packet numbers, acknowledged or lost bytes of a stream.
 *
 * @module
 */

/** Both ends belong to the range. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Disjoint inclusive ranges of safe integers in ascending order; ranges that touch are joined. Growing the top range and
 * appending above it take constant time, everything else a binary search and a move of the ranges above.
 *
 * @example
 * ```ts
 * import { RangeSet } from "./range_set.ts";
 *
 * const received = new RangeSet(32);
 * received.insert(0, 4);
 * received.insert(6, 6);
 * [...received.descending()]; // [{ start: 6, end: 6 }, { start: 0, end: 4 }]
 * ```
 */
export class RangeSet {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #maxRanges: number;

  /** @param maxRanges the lowest ranges beyond this many are forgotten; at least 1 */
  constructor(maxRanges: number = Infinity) {
    if (!(maxRanges >= 1)) throw new RangeError(`a range set holds at least 1 range, got ${maxRanges}`);
    this.#maxRanges = maxRanges;
  }

  /** Number of ranges. */
  get count(): number {
    return this.#starts.length;
  }

  /** Whether it holds nothing. */
  get isEmpty(): boolean {
    return this.#starts.length === 0;
  }

  /** The lowest member; −1 when empty. */
  get min(): number {
    return this.#starts.length === 0 ? -1 : this.#starts[0];
  }

  /** The highest member; −1 when empty. */
  get max(): number {
    return this.#ends.length === 0 ? -1 : this.#ends[this.#ends.length - 1];
  }

  /** First member of range `index`, 0 being the lowest range. */
  startAt(index: number): number {
    return this.#starts[index];
  }

  /** Last member of range `index`, 0 being the lowest range. */
  endAt(index: number): number {
    return this.#ends[index];
  }

  /** Adds `start`–`end`, both inclusive; says whether any of it was new. A RangeError if `start` > `end`. */
  insert(start: number, end: number = start): boolean {
    checkRange(start, end);
    const starts = this.#starts, ends = this.#ends, top = starts.length - 1;
    if (top < 0 || start > ends[top] + 1) {
      starts.push(start);
      ends.push(end);
      this.#dropLowest();
      return true;
    }
    if (start >= starts[top]) {
      if (end <= ends[top]) return false;
      ends[top] = end;
      return true;
    }
    // The ranges from `first` up to but without `behind` touch or overlap the new one.
    const first = this.#firstEndingAtOrAbove(start - 1);
    let behind = first;
    while (behind <= top && starts[behind] <= end + 1) behind++;
    if (behind === first) {
      starts.splice(first, 0, start);
      ends.splice(first, 0, end);
      this.#dropLowest();
      return true;
    }
    if (behind === first + 1 && start >= starts[first] && end <= ends[first]) return false;
    starts[first] = Math.min(start, starts[first]);
    ends[first] = Math.max(end, ends[behind - 1]);
    if (behind > first + 1) {
      starts.splice(first + 1, behind - first - 1);
      ends.splice(first + 1, behind - first - 1);
    }
    return true;
  }

  /** Takes `start`–`end`, both inclusive, out. A split beyond the bound forgets the lowest range. */
  remove(start: number, end: number = start): void {
    checkRange(start, end);
    const starts = this.#starts, ends = this.#ends;
    let first = this.#firstEndingAtOrAbove(start);
    if (first === starts.length || starts[first] > end) return;
    if (starts[first] < start) {
      const oldEnd = ends[first];
      ends[first] = start - 1;
      first++;
      if (oldEnd > end) {
        starts.splice(first, 0, end + 1);
        ends.splice(first, 0, oldEnd);
        this.#dropLowest();
        return;
      }
    }
    let behind = first;
    while (behind < starts.length && ends[behind] <= end) behind++;
    if (behind < starts.length && starts[behind] <= end) starts[behind] = end + 1;
    if (behind > first) {
      starts.splice(first, behind - first);
      ends.splice(first, behind - first);
    }
  }

  /** Takes out everything below `limit`. */
  removeBelow(limit: number): void {
    const starts = this.#starts, ends = this.#ends;
    if (starts.length === 0 || starts[0] >= limit) return;
    const kept = this.#firstEndingAtOrAbove(limit);
    if (kept > 0) {
      starts.splice(0, kept);
      ends.splice(0, kept);
    }
    if (starts.length > 0 && starts[0] < limit) starts[0] = limit;
  }

  /** Empties it. */
  clear(): void {
    this.#starts.length = 0;
    this.#ends.length = 0;
  }

  /** Whether `value` is a member. */
  contains(value: number): boolean {
    const index = this.#firstEndingAtOrAbove(value);
    return index < this.#starts.length && this.#starts[index] <= value;
  }

  /** Whether all of `start`–`end`, both inclusive, are members. */
  containsRange(start: number, end: number): boolean {
    const index = this.#firstEndingAtOrAbove(start);
    return index < this.#starts.length && this.#starts[index] <= start && this.#ends[index] >= end;
  }

  /** The last member of the range around `value`; −1 if `value` is not a member. */
  endOfRun(value: number): number {
    const index = this.#firstEndingAtOrAbove(value);
    return index < this.#starts.length && this.#starts[index] <= value ? this.#ends[index] : -1;
  }

  /** The ranges from the lowest up. Allocates; hot paths use {@link count}, {@link startAt} and {@link endAt}. */
  *[Symbol.iterator](): IterableIterator<Range> {
    for (let i = 0; i < this.#starts.length; i++) yield { start: this.#starts[i], end: this.#ends[i] };
  }

  /** The ranges from the highest down. Allocates. */
  *descending(): IterableIterator<Range> {
    for (let i = this.#starts.length - 1; i >= 0; i--) yield { start: this.#starts[i], end: this.#ends[i] };
  }

  #dropLowest(): void {
    while (this.#starts.length > this.#maxRanges) {
      this.#starts.shift();
      this.#ends.shift();
    }
  }

  /** Index of the lowest range whose end is at least `value`; the count if there is none. */
  #firstEndingAtOrAbove(value: number): number {
    const ends = this.#ends;
    let low = 0, high = ends.length;
    // Most questions are about the top range or what is above it.
    if (high > 0) {
      if (ends[high - 1] < value) return high;
      if (high === 1 || ends[high - 2] < value) return high - 1;
      high -= 2;
    }
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ends[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function checkRange(start: number, end: number): void {
  if (!(start <= end) || !Number.isSafeInteger(start) || !Number.isSafeInteger(end)) {
    throw new RangeError(`not a range of integers: ${start} to ${end}`);
  }
}
