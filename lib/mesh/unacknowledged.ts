/**
 * Messages that were sent and may have to be sent again: numbered from 0 up, forgotten as they are acknowledged.
 *
 * @module
 */

/** Slots at the front that may be empty before the rest moves up. */
const MAX_EMPTY = 64;

/** A queue of messages that are known by their number. Says how much it holds; who adds to it keeps it bounded. */
export class Unacknowledged {
  #messages: (Uint8Array | undefined)[] = [];
  #costs: number[] = [];
  /** Slots of `#messages` in front that are empty. */
  #head = 0;
  #first = 0;
  #cost = 0;

  /** Number of the first message that is still here; the same as {@link end} if there is none. */
  get first(): number {
    return this.#first;
  }

  /** Number that the next message will have. */
  get end(): number {
    return this.#first + this.#messages.length - this.#head;
  }

  /** What all that are here cost together. */
  get cost(): number {
    return this.#cost;
  }

  /** Adds a message, which must not change from now on. */
  add(message: Uint8Array, cost: number): void {
    this.#messages.push(message);
    this.#costs.push(cost);
    this.#cost += cost;
  }

  /** The message with a number. @throws RangeError if it is not here. */
  at(number: number): Uint8Array {
    const message = this.#messages[this.#head + number - this.#first];
    if (message === undefined || number < this.#first) throw new RangeError(`no message ${number} here`);
    return message;
  }

  /** Forgets every message before a number. What was forgotten already does no harm. @throws RangeError behind the end. */
  acknowledge(next: number): void {
    if (next > this.end) throw new RangeError(`${next} messages acknowledged of ${this.end}`);
    while (this.#first < next) {
      this.#cost -= this.#costs[this.#head];
      this.#messages[this.#head++] = undefined;
      this.#first++;
    }
    if (this.#head < MAX_EMPTY || 2 * this.#head < this.#messages.length) return;
    this.#messages = this.#messages.slice(this.#head);
    this.#costs = this.#costs.slice(this.#head);
    this.#head = 0;
  }
}
