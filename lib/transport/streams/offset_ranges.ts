/**
 * A set of half-open ranges of stream offsets (or of stream indices).
 *
 * One flat sorted array `start, end, start, end …` of ranges that neither touch nor overlap: what streams keep in it is a
 * handful of ranges, mostly growing at the end, and an array of numbers is the smallest thing that serves that.
 *
 * @module
 */

/** A set of half-open ranges. All arguments are safe integers with `start ≤ end`. */
export class OffsetRanges {
  #bounds: number[] = [];

  /** How many ranges there are. */
  get count(): number {
    return this.#bounds.length >>> 1;
  }

  /** Whether nothing is in the set. */
  get isEmpty(): boolean {
    return this.#bounds.length === 0;
  }

  /** Start of the lowest range. Only meaningful if the set is not empty. */
  get firstStart(): number {
    return this.#bounds[0];
  }

  /** End (exclusive) of the lowest range. Only meaningful if the set is not empty. */
  get firstEnd(): number {
    return this.#bounds[1];
  }

  /** Start of range `index`, from the lowest. */
  startOf(index: number): number {
    return this.#bounds[2 * index];
  }

  /** End (exclusive) of range `index`, from the lowest. */
  endOf(index: number): number {
    return this.#bounds[2 * index + 1];
  }

  /** Whether `value` lies in a range. */
  has(value: number): boolean {
    const bounds = this.#bounds;
    const at = this.#firstEndAbove(value);
    return at < bounds.length && bounds[at] <= value;
  }

  /** Adds [start, end). An empty range adds nothing. */
  add(start: number, end: number): void {
    if (start >= end) return;
    const bounds = this.#bounds;
    const length = bounds.length;
    if (length === 0 || start > bounds[length - 1]) {
      bounds.push(start, end);
      return;
    }
    // The ranges from `from` (position of its start) up to `to` touch or overlap the new one.
    const from = this.#firstEndAbove(start - 1);
    let to = from;
    while (to < length && bounds[to] <= end) to += 2;
    if (to === from) {
      bounds.splice(from, 0, start, end);
      return;
    }
    if (start < bounds[from]) bounds[from] = start;
    const lastEnd = bounds[to - 1];
    bounds[from + 1] = lastEnd > end ? lastEnd : end;
    if (to - from > 2) bounds.splice(from + 2, to - from - 2);
  }

  /** Removes [start, end), whatever of it is there. */
  remove(start: number, end: number): void {
    if (start >= end) return;
    const bounds = this.#bounds;
    const length = bounds.length;
    const from = this.#firstEndAbove(start);
    if (from >= length || bounds[from] >= end) return;
    let to = from;
    while (to < length && bounds[to] < end) to += 2;
    const firstStart = bounds[from];
    const lastEnd = bounds[to - 1];
    const keepsLeft = firstStart < start;
    const keepsRight = lastEnd > end;
    if (keepsLeft && keepsRight) bounds.splice(from, to - from, firstStart, start, end, lastEnd);
    else if (keepsLeft) bounds.splice(from, to - from, firstStart, start);
    else if (keepsRight) bounds.splice(from, to - from, end, lastEnd);
    else bounds.splice(from, to - from);
  }

  /** Adds what of [start, end) is not in `other`. */
  addExcept(start: number, end: number, other: OffsetRanges): void {
    const skip = other.#bounds;
    let at = other.#firstEndAbove(start);
    while (start < end) {
      if (at >= skip.length || skip[at] >= end) {
        this.add(start, end);
        return;
      }
      this.add(start, skip[at]);
      start = skip[at + 1];
      at += 2;
    }
  }

  /** Takes `length` values off the beginning of the lowest range, which must hold that many. */
  trimFirst(length: number): void {
    const bounds = this.#bounds;
    bounds[0] += length;
    if (bounds[0] >= bounds[1]) bounds.splice(0, 2);
  }

  /** Drops the lowest range. */
  dropFirst(): void {
    this.#bounds.splice(0, 2);
  }

  /** Position of the start of the first range whose end is above `value`; the array's length if there is none. */
  #firstEndAbove(value: number): number {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length >>> 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (bounds[2 * middle + 1] > value) high = middle;
      else low = middle + 1;
    }
    return 2 * low;
  }
}
