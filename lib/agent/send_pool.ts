/**
 * Buffers for outgoing UDP datagrams. A buffer that the socket has taken comes back when the flush that sent it has
 * settled.
 *
 * @module
 */

/** A bounded pool; buffers are made when they are first needed. */
export class SendPool {
  readonly #size: number;
  readonly #limit: number;
  readonly #free: Uint8Array[] = [];
  /** Handed to the socket since the last flush. */
  #taken: Uint8Array[] = [];
  #made = 0;

  /** @param size bytes of each buffer. @param limit most buffers. */
  constructor(size: number, limit: number) {
    this.#size = size;
    this.#limit = limit;
  }

  /** A buffer to fill, or undefined while all are under way. It stays the next one until {@link take} is called. */
  peek(): Uint8Array | undefined {
    const free = this.#free;
    if (free.length > 0) return free[free.length - 1];
    if (this.#made === this.#limit) return undefined;
    this.#made++;
    const buffer = new Uint8Array(this.#size);
    free.push(buffer);
    return buffer;
  }

  /** Marks the peeked buffer as the socket's. */
  take(): void {
    this.#taken.push(this.#free.pop()!);
  }

  /** Whether anything was taken since the last flush. */
  get dirty(): boolean {
    return this.#taken.length > 0;
  }

  /** Ties what was taken to a flush: free again when `flushed` has settled, or at once if it is undefined. */
  flushed(flushed: Promise<void> | undefined): Promise<void> | undefined {
    const batch = this.#taken;
    if (flushed === undefined) {
      for (let i = 0; i < batch.length; i++) this.#free.push(batch[i]);
      batch.length = 0;
      return undefined;
    }
    this.#taken = [];
    return flushed.then(() => {
      for (let i = 0; i < batch.length; i++) this.#free.push(batch[i]);
    });
  }
}
