/**
 * The connections in the order in which they want to be woken.
 *
 * @module
 */

/** Something with a deadline; owned by at most one heap. */
export interface HeapEntry {
  /** When; changed only through {@link TimerHeap.update}. */
  deadline: number;
  /** Position in the heap, −1 outside; the heap's own. */
  heapIndex: number;
}

/** A binary heap whose entries know their place, so that a deadline can be moved in O(log n). */
export class TimerHeap<T extends HeapEntry> {
  readonly #entries: T[] = [];

  /** Entries with a finite deadline. */
  get size(): number {
    return this.#entries.length;
  }

  /** The entry that is due first. */
  peek(): T | undefined {
    return this.#entries[0];
  }

  /** Sets an entry's deadline; `Infinity` takes it out. */
  update(entry: T, deadline: number): void {
    const at = entry.heapIndex;
    if (deadline === Infinity) {
      entry.deadline = deadline;
      if (at >= 0) this.#removeAt(at);
      return;
    }
    if (at < 0) {
      entry.deadline = deadline;
      this.#entries.push(entry);
      this.#up(this.#entries.length - 1, entry);
      return;
    }
    const before = entry.deadline;
    entry.deadline = deadline;
    if (deadline < before) this.#up(at, entry);
    else if (deadline > before) this.#down(at, entry);
  }

  /** Takes an entry out, if it is in. */
  remove(entry: T): void {
    this.update(entry, Infinity);
  }

  #removeAt(at: number): void {
    const entries = this.#entries;
    entries[at].heapIndex = -1;
    const last = entries.pop()!;
    if (at === entries.length) return;
    this.#up(at, last);
    this.#down(last.heapIndex, last);
  }

  #up(at: number, entry: T): void {
    const entries = this.#entries;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (entries[parent].deadline <= entry.deadline) break;
      entries[at] = entries[parent];
      entries[at].heapIndex = at;
      at = parent;
    }
    entries[at] = entry;
    entry.heapIndex = at;
  }

  #down(at: number, entry: T): void {
    const entries = this.#entries;
    const count = entries.length;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= count) break;
      if (child + 1 < count && entries[child + 1].deadline < entries[child].deadline) child++;
      if (entries[child].deadline >= entry.deadline) break;
      entries[at] = entries[child];
      entries[at].heapIndex = at;
      at = child;
    }
    entries[at] = entry;
    entry.heapIndex = at;
  }
}
