/**
 * A bound on the memory that half-received messages may take, shared by all connections of a node.
 *
 * @module
 */

/** Counts bytes in and out. Reserving is by what a message declares, before any of it is allocated. */
export class MemoryBudget {
  /** Most bytes that may be reserved at once. */
  readonly limit: number;
  readonly #parent: MemoryBudget | undefined;
  #used = 0;
  #peak = 0;

  /** @param parent what this is a part of; use {@link share}. */
  constructor(limit: number, parent?: MemoryBudget) {
    if (!(limit > 0)) throw new RangeError(`a memory budget must be above 0, got ${limit}`);
    this.limit = limit;
    this.#parent = parent;
  }

  /** A part of this budget with a limit of its own, so that one holder cannot take everything. */
  share(limit: number): MemoryBudget {
    return new MemoryBudget(limit, this);
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
    if (this.#parent !== undefined && !this.#parent.reserve(bytes)) return false;
    this.#used += bytes;
    if (this.#used > this.#peak) this.#peak = this.#used;
    return true;
  }

  /** Gives bytes back that {@link reserve} had granted. */
  release(bytes: number): void {
    if (bytes > this.#used) throw new RangeError(`released ${bytes} bytes with ${this.#used} reserved`);
    this.#used -= bytes;
    this.#parent?.release(bytes);
  }
}
