/**
 * A sorted list that may be long and changes all the time.
 *
 * @module
 */

/** A block that is longer is halved: short enough to be moved in a moment, long enough that there are few of them. */
const MAX_BLOCK = 512;

/** What can be in the list: sorted by its key, which no other member has. */
export interface Keyed {
  readonly key: string;
}

/** Members in the order of their keys, by UTF-16 code units, in blocks. Every operation costs about as much as a look-up. */
export class SortedBlocks<T extends Keyed> {
  /** None of them is empty. */
  readonly #blocks: T[][] = [];
  #size = 0;

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** Adds a member. @throws RangeError if there is one with its key. */
  add(member: T): void {
    const { key } = member;
    const at = Math.max(0, this.#blockOf(key));
    const block = this.#blocks[at];
    this.#size++;
    if (block === undefined) {
      this.#blocks.push([member]);
      return;
    }
    const place = placeBehind(block, key);
    if (place > 0 && block[place - 1].key === key) {
      this.#size--;
      throw new RangeError("there is a member with this key already");
    }
    block.splice(place, 0, member);
    if (block.length > MAX_BLOCK) this.#blocks.splice(at + 1, 0, block.splice(block.length >>> 1));
  }

  /** Takes the member with a key away; returns it. */
  remove(key: string): T | undefined {
    const at = this.#blockOf(key);
    const block = this.#blocks[at];
    if (block === undefined) return undefined;
    const place = placeBehind(block, key) - 1;
    if (block[place]?.key !== key) return undefined;
    const [removed] = block.splice(place, 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
    this.#size--;
    return removed;
  }

  /** The members from the first one with this key or a higher one on; all of them without a key. The list must not change meanwhile. */
  *from(key?: string): Generator<T, void, undefined> {
    let at = key === undefined ? 0 : Math.max(0, this.#blockOf(key));
    let place = 0;
    if (key !== undefined && this.#blocks[at] !== undefined) {
      place = placeBehind(this.#blocks[at], key);
      if (place > 0 && this.#blocks[at][place - 1].key === key) place--;
    }
    for (; at < this.#blocks.length; at++, place = 0) {
      const block = this.#blocks[at];
      for (; place < block.length; place++) yield block[place];
    }
  }

  /** The last block that does not begin behind the key; −1 if all do. */
  #blockOf(key: string): number {
    let low = 0, high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#blocks[middle][0].key <= key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** How many members of a sorted list have this key or a lower one. */
function placeBehind(members: readonly Keyed[], key: string): number {
  let low = 0, high = members.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (members[middle].key <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}
