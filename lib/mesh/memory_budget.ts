/**
 * A bound on the memory that half-received messages may take, shared by all connections of a node.
 *
 * @module
 */

/** Counts bytes in and out. Reserving is by what a message declares, before any of it is allocated. */
export class MemoryBudget {
  /** Most bytes that may be reserved at once. */
  readonly limit: number;
  #used = 0;
  #peak = 0;

  constructor(limit: number) {
    if (!(limit > 0)) throw new RangeError(`a memory budget must be above 0, got ${limit}`);
    this.limit = limit;
  }

  /** Bytes reserved now. */
  get used(): number {
    return this.#used;
  }

  /** Most bytes that were ever reserved at once. */
  get peak(): number {
    return this.#peak;
  }

  /** Reserves bytes if there is room. */
  reserve(bytes: number): boolean {
    if (this.#used + bytes > this.limit) return false;
    this.#used += bytes;
    if (this.#used > this.#peak) this.#peak = this.#used;
    return true;
  }

  /** Gives bytes back that {@link reserve} had granted. */
  release(bytes: number): void {
    if (bytes > this.#used) throw new RangeError(`released ${bytes} bytes with ${this.#used} reserved`);
    this.#used -= bytes;
  }
}
