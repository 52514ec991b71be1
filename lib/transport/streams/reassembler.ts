/**
 * Puts the pieces of a stream back into order.
 *
 * What has arrived and was not read is one sorted list of segments that do not overlap; the readable bytes are those at
 * its front that begin where the reader stands. Neighbours are copied together while they are small, and a segment that
 * keeps growing at its end gets room in proportion to what it holds, so memory stays proportional to the bytes that are
 * there plus a fixed price for each gap, and gaps are counted and limited.
 *
 * @module
 */

/** Neighbours without a gap between them are one segment if together they have at most this many bytes. */
const COALESCE = 2048;
/** Largest room that a new segment is given. */
const MAX_ROOM = 65536;
/**
 * Gaps that one stream may have. A 5 MiB window of 1 200-byte packets has no more packets than that.
 * A gap costs about 250 bytes here, and the same list is searched and shifted for every segment.
 */
const MAX_GAPS = 4096;

/** The gaps that all streams of one connection may have together: shared between their reassemblers. */
export class GapBudget {
  /** Gaps at the moment. */
  used = 0;
  /** Gaps allowed. */
  readonly limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }
}

/** Bytes [start, start + length) of a stream, at the front of `data`; what `data` has beyond them is room. */
interface Segment {
  start: number;
  length: number;
  data: Uint8Array;
}

/**
 * Orders what arrives in pieces. Of conflicting overlaps the bytes that came first stay.
 *
 * @example
 * ```ts
 * import { GapBudget, Reassembler } from "./reassembler.ts";
 *
 * const pieces = new Reassembler(0, new GapBudget(1024));
 * pieces.insert(new Uint8Array([3, 4]), 0, 2, 2);
 * pieces.read(); // undefined
 * pieces.insert(new Uint8Array([1, 2]), 0, 2, 0);
 * pieces.read(); // 1, 2, 3, 4
 * ```
 */
export class Reassembler {
  #segments: Segment[] = [];
  #readOffset: number;
  #contiguousEnd: number;
  #gaps = 0;
  readonly #budget: GapBudget;

  /** `readOffset` is where the reader stands. */
  constructor(readOffset: number, budget: GapBudget) {
    this.#readOffset = readOffset;
    this.#contiguousEnd = readOffset;
    this.#budget = budget;
  }

  /** Offset of the next byte to be read. */
  get readOffset(): number {
    return this.#readOffset;
  }

  /** Everything below was received. */
  get contiguousEnd(): number {
    return this.#contiguousEnd;
  }

  /** Whether nothing is kept. */
  get isEmpty(): boolean {
    return this.#segments.length === 0;
  }

  /** How many gaps there are below the highest byte received. */
  get gaps(): number {
    return this.#gaps;
  }

  /** How many segments are kept. */
  get segmentCount(): number {
    return this.#segments.length;
  }

  /** Bytes of memory behind what is kept, room included. */
  get retainedBytes(): number {
    let sum = 0;
    for (const segment of this.#segments) sum += segment.data.length;
    return sum;
  }

  /** Takes over a block that begins where the reader stands, while nothing else is there. */
  adopt(data: Uint8Array): void {
    this.#segments.push({ start: this.#readOffset, length: data.length, data });
    this.#contiguousEnd = this.#readOffset + data.length;
  }

  /**
   * Copies what is new of `bytes[from…to)`, whose first byte has the stream offset `offset`.
   * Returns false, and has changed nothing, if that would make more gaps than are allowed.
   */
  insert(bytes: Uint8Array, from: number, to: number, offset: number): boolean {
    let start = offset;
    let end = offset + (to - from);
    if (start < this.#contiguousEnd) start = this.#contiguousEnd;
    if (start >= end) return true;
    const segments = this.#segments;
    const count = segments.length;
    // Cut off what is known at both sides, so that the segments from `low` up to `high` lie inside the rest.
    let low = count;
    if (count > 0) {
      const last = segments[count - 1];
      if (start < last.start + last.length) low = this.#firstEndingAbove(start);
    }
    while (low < count && segments[low].start <= start) {
      start = segments[low].start + segments[low].length;
      low++;
    }
    let high = low;
    while (high < count && segments[high].start < end) high++;
    while (high > low && segments[high - 1].start + segments[high - 1].length >= end) {
      high--;
      end = segments[high].start;
    }
    if (start >= end) return true;
    const skip = from + (start - offset);
    if (high === low) return this.#place(low, 0, start, end, bytes, skip);
    return this.#fill(low, high, start, end, bytes, skip);
  }

  /** The next block in order, or undefined. It belongs to the caller. */
  read(): Uint8Array | undefined {
    if (this.#contiguousEnd === this.#readOffset) return undefined;
    const { data, length } = this.#segments.shift()!;
    this.#readOffset += length;
    if (length === data.length) return data;
    // What is handed out must not keep a block alive that is mostly room.
    return 2 * length >= data.length ? data.subarray(0, length) : data.slice(0, length);
  }

  /** Lets go of everything. */
  clear(): void {
    this.#segments = [];
    this.#budget.used -= this.#gaps;
    this.#gaps = 0;
    this.#contiguousEnd = this.#readOffset;
  }

  /** The new bytes [start, end) enclose the segments from `low` up to `high`: makes one block of all of them. */
  #fill(low: number, high: number, start: number, end: number, bytes: Uint8Array, skip: number): boolean {
    const segments = this.#segments;
    const block = bytes.slice(skip, skip + (end - start));
    for (let i = low; i < high; i++) {
      const { start: segmentStart, length, data } = segments[i];
      block.set(length === data.length ? data : data.subarray(0, length), segmentStart - start);
    }
    return this.#place(low, high - low, start, end, block, 0);
  }

  /**
   * Puts [start, end), bytes from `source[skip]` on, in the place of the `replaced` segments from `index` on, which it
   * covers. It overlaps no other segment.
   */
  #place(index: number, replaced: number, start: number, end: number, source: Uint8Array, skip: number): boolean {
    const segments = this.#segments;
    const previous = index > 0 ? segments[index - 1] : undefined;
    const next = index + replaced < segments.length ? segments[index + replaced] : undefined;
    const previousEnd = previous === undefined ? this.#readOffset : previous.start + previous.length;
    const touchesPrevious = previous !== undefined && previousEnd === start;
    const touchesNext = next !== undefined && next.start === end;

    const gapsBefore = this.#gapsBetween(index, replaced, previousEnd);
    const gapsAfter = (start > previousEnd ? 1 : 0) + (next !== undefined && end < next.start ? 1 : 0);
    const more = gapsAfter - gapsBefore;
    if (this.#gaps + more > MAX_GAPS || this.#budget.used + more > this.#budget.limit) return false;
    this.#gaps += more;
    this.#budget.used += more;

    const length = end - start;
    let at = index;
    if (touchesPrevious && this.#grow(previous, length)) {
      copyBytes(source, skip, length, previous.data, previous.length);
      previous.length += length;
      at = index - 1;
      let remove = replaced;
      if (touchesNext && previous.length + next.length <= COALESCE && this.#grow(previous, next.length)) {
        copyBytes(next.data, 0, next.length, previous.data, previous.length);
        previous.length += next.length;
        remove++;
      }
      if (remove > 0) segments.splice(index, remove);
    } else if (touchesNext && length + next.length <= COALESCE) {
      const data = new Uint8Array(length + next.length);
      copyBytes(source, skip, length, data, 0);
      copyBytes(next.data, 0, next.length, data, length);
      next.start = start;
      next.length = data.length;
      next.data = data;
      if (replaced > 0) segments.splice(index, replaced);
    } else {
      let data: Uint8Array;
      const room = touchesPrevious && next === undefined ? Math.min(2 * previous.length, MAX_ROOM) : 0;
      if (room > length) {
        data = new Uint8Array(room);
        copyBytes(source, skip, length, data, 0);
      } else if (replaced > 0) data = source; // already a block of our own
      else data = source.slice(skip, skip + length);
      const segment: Segment = { start, length, data };
      if (index === segments.length) segments.push(segment);
      else segments.splice(index, replaced, segment);
    }
    if (start === this.#contiguousEnd) this.#advance(at);
    return true;
  }

  /** Gaps from `previousEnd` to the first segment behind the `replaced` ones from `index` on; none if there is no such. */
  #gapsBetween(index: number, replaced: number, previousEnd: number): number {
    const segments = this.#segments;
    const to = index + replaced;
    let gaps = 0;
    for (let i = index; i <= to && i < segments.length; i++) {
      if (segments[i].start > previousEnd) gaps++;
      previousEnd = segments[i].start + segments[i].length;
    }
    return gaps;
  }

  /** Makes room for `length` more bytes at the end of a segment; false if they should rather be a segment of their own. */
  #grow(segment: Segment, length: number): boolean {
    const needed = segment.length + length;
    if (needed <= segment.data.length) return true;
    if (needed > COALESCE) return false;
    const data = new Uint8Array(Math.min(2 * needed, COALESCE));
    copyBytes(segment.data, 0, segment.length, data, 0);
    segment.data = data;
    return true;
  }

  /** Segment `index` holds `contiguousEnd`: moves that to the next gap. */
  #advance(index: number): void {
    const segments = this.#segments;
    let end = segments[index].start + segments[index].length;
    for (let i = index + 1; i < segments.length && segments[i].start === end; i++) end += segments[i].length;
    this.#contiguousEnd = end;
  }

  #firstEndingAbove(offset: number): number {
    const segments = this.#segments;
    let low = 0;
    let high = segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (segments[middle].start + segments[middle].length > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

function copyBytes(from: Uint8Array, at: number, length: number, to: Uint8Array, position: number): void {
  to.set(at === 0 && length === from.length ? from : from.subarray(at, at + length), position);
}
