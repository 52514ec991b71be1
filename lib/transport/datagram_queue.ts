/**
 * A first-in, first-out queue of byte strings that knows how many bytes it holds.
 *
 * @module
 */

const FIRST_CAPACITY = 16;

/** The queue. Its owner sees to it that it does not grow beyond any bound. */
export class DatagramQueue {
  #slots: (Uint8Array | undefined)[] = new Array(FIRST_CAPACITY).fill(undefined);
  #head = 0;
  #length = 0;
  #bytes = 0;

  /** How many byte strings wait. */
  get length(): number {
    return this.#length;
  }

  /** How many bytes they have together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The oldest one; undefined if there is none. */
  get first(): Uint8Array | undefined {
    return this.#slots[this.#head];
  }

  /** Adds one, by reference. */
  push(data: Uint8Array): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = data;
    this.#length++;
    this.#bytes += data.length;
  }

  /** Takes the oldest one; undefined if there is none. */
  shift(): Uint8Array | undefined {
    const data = this.#slots[this.#head];
    if (data === undefined) return undefined;
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length--;
    this.#bytes -= data.length;
    return data;
  }

  /** Forgets all; how many there were. */
  clear(): number {
    const { length } = this;
    while (this.#length > 0) this.shift();
    return length;
  }

  #grow(): void {
    const slots: (Uint8Array | undefined)[] = new Array(2 * this.#slots.length).fill(undefined);
    for (let i = 0; i < this.#length; i++) slots[i] = this.#slots[(this.#head + i) & (this.#slots.length - 1)];
    this.#slots = slots;
    this.#head = 0;
  }
}
