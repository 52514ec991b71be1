/**
 * The bytes of a sending stream that were written in more than one piece and are not acknowledged yet.
 *
 * @module
 */

/** Writes up to this size are copied together once there are many: a typed array costs more than that by itself. */
const SMALL_WRITE = 512;
/** From this many pieces on small writes are copied together; a few pieces are cheaper to keep as they are. */
const MANY_PIECES = 8;
/** Size of a block that collects small writes. */
const BLOCK_SIZE = 4096;
/** Dropped pieces at the front of the arrays are cut off when there are at least so many. */
const COMPACT_AT = 64;

/** A queue of pieces, addressed by stream offset. */
export class SendBuffer {
  /** Piece i holds the offsets from `#starts[i]` to the next piece's start (the last one: to `#end`). */
  #pieces: Uint8Array[];
  #starts: number[];
  #end: number;
  /** Index of the first piece that is still needed. */
  #head = 0;
  /** Whether the last piece is our own block with room behind `#end`. */
  #open = false;

  /** Begins with one piece, whose first byte has the offset `start`. */
  constructor(first: Uint8Array, start: number) {
    this.#pieces = [first];
    this.#starts = [start];
    this.#end = start + first.length;
  }

  /** How many pieces are kept. */
  get pieceCount(): number {
    return this.#pieces.length - this.#head;
  }

  /** Adds bytes behind the last ones. Keeps a reference to `bytes`, or copies it if it is small. */
  append(bytes: Uint8Array): void {
    const length = bytes.length;
    if (length <= SMALL_WRITE && this.#pieces.length - this.#head >= MANY_PIECES) {
      if (this.#open) {
        const last = this.#pieces.length - 1;
        const used = this.#end - this.#starts[last];
        if (used + length <= BLOCK_SIZE) {
          this.#pieces[last].set(bytes, used);
          this.#end += length;
          return;
        }
      }
      const block = new Uint8Array(BLOCK_SIZE);
      block.set(bytes);
      this.#push(block, length);
      this.#open = true;
      return;
    }
    this.#push(bytes, length);
    this.#open = false;
  }

  /** Copies the bytes at [offset, offset + length), all of which must be there, to `out[at…]`. */
  copy(offset: number, length: number, out: Uint8Array, at: number): void {
    const pieces = this.#pieces;
    const starts = this.#starts;
    let index = this.#indexOf(offset);
    while (length > 0) {
      const from = offset - starts[index];
      const end = index + 1 < starts.length ? starts[index + 1] : this.#end;
      let part = end - offset;
      if (part > length) part = length;
      const piece = pieces[index];
      out.set(from === 0 && part === piece.length ? piece : piece.subarray(from, from + part), at);
      offset += part;
      at += part;
      length -= part;
      index++;
    }
  }

  /** Lets go of the pieces that lie entirely below `offset`, which is below the end: who needs nothing drops the buffer. */
  dropBelow(offset: number): void {
    const pieces = this.#pieces;
    const starts = this.#starts;
    let head = this.#head;
    const count = pieces.length;
    while (head + 1 < count && starts[head + 1] <= offset) {
      pieces[head] = EMPTY;
      head++;
    }
    if (head >= COMPACT_AT && 2 * head >= count) {
      pieces.splice(0, head);
      starts.splice(0, head);
      head = 0;
    }
    this.#head = head;
  }

  #push(piece: Uint8Array, length: number): void {
    this.#pieces.push(piece);
    this.#starts.push(this.#end);
    this.#end += length;
  }

  /** Index of the piece that holds `offset`. */
  #indexOf(offset: number): number {
    const starts = this.#starts;
    let low = this.#head;
    let high = starts.length - 1;
    // New bytes are taken from the end far more often than lost ones from the middle.
    if (starts[high] <= offset) return high;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (starts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

const EMPTY = new Uint8Array(0);
