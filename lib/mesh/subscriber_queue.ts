/**
 * What waits for one subscriber, and what becomes of it if that one is too slow (SPEC §8.12).
 *
 * @module
 */

import type { SlowPolicy } from "../codec/payloads/subscribe.ts";
import type { MemoryBudget } from "./memory_budget.ts";

/** The encoded messages of an event, which all its subscribers share. */
export class SharedEvent {
  readonly bytes: Uint8Array;
  readonly #budget: MemoryBudget;
  #holders = 0;

  /** @param budget is charged once, for as long as the event waits anywhere. */
  constructor(bytes: Uint8Array, budget: MemoryBudget) {
    this.bytes = bytes;
    this.#budget = budget;
  }

  /** It waits in one more queue. False if there is no memory for it. */
  hold(): boolean {
    if (this.#holders === 0 && !this.#budget.reserve(this.bytes.length)) return false;
    this.#holders++;
    return true;
  }

  /** It waits in one queue less. */
  release(): void {
    if (--this.#holders === 0) this.#budget.release(this.bytes.length);
  }
}

/** How much may wait for a subscriber. */
export interface QueueLimits {
  readonly maxEvents: number;
  /** A single event may be larger. */
  readonly maxBytes: number;
  readonly policy: SlowPolicy;
}

/** What became of an event: it waits, it or others were dropped, or it does not fit and the subscription has to end. */
export type PushOutcome = "queued" | "dropped" | "overflow";

/** The queue of one subscription. */
export class SubscriberQueue {
  readonly limits: QueueLimits;
  /** Charged with all that waits in the queues of a connection, shared or not. */
  readonly #connection: MemoryBudget;
  #events: (SharedEvent | undefined)[] = [];
  /** How many were dropped in front of each of them. */
  #gaps: number[] = [];
  #head = 0;
  #bytes = 0;
  /** The event that was taken last: it is charged until the next one is taken. */
  #taken: SharedEvent | undefined;
  /** Dropped behind the last one. */
  #gapAtEnd = 0;
  #dropped = 0;

  constructor(limits: QueueLimits, connection: MemoryBudget) {
    this.limits = limits;
    this.#connection = connection;
  }

  /** Events that wait. */
  get length(): number {
    return this.#events.length - this.#head;
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Events that were dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How many were dropped in front of the event that is next, or if there is none, behind the last one. */
  get gap(): number {
    return this.length > 0 ? this.#gaps[this.#head] : this.#gapAtEnd;
  }

  /** Adds an event behind the others. */
  push(event: SharedEvent): PushOutcome {
    const size = event.bytes.length;
    const before = this.#dropped;
    while (this.length > 0 && !this.#hasRoom(size)) {
      if (this.limits.policy === "close") return "overflow";
      if (this.limits.policy === "drop_newest") return this.#dropNew();
      this.#dropOldest();
    }
    if (!this.#connection.reserve(size)) return this.limits.policy === "close" ? "overflow" : this.#dropNew();
    if (!event.hold()) {
      this.#connection.release(size);
      return this.limits.policy === "close" ? "overflow" : this.#dropNew();
    }
    this.#events.push(event);
    this.#gaps.push(this.#gapAtEnd);
    this.#gapAtEnd = 0;
    this.#bytes += size;
    return this.#dropped === before ? "queued" : "dropped";
  }

  /** Takes {@link gap}: it has been told. */
  takeGap(): number {
    const { gap } = this;
    if (this.length > 0) this.#gaps[this.#head] = 0;
    else this.#gapAtEnd = 0;
    return gap;
  }

  /**
   * Takes the event that has waited longest; undefined if there is none. It is charged as if it waited until this is called again, because
   * whoever takes it may not get rid of it at once.
   */
  shift(): SharedEvent | undefined {
    if (this.#taken !== undefined) this.#discharge(this.#taken);
    this.#taken = this.#removeFirst();
    return this.#taken;
  }

  /** Lets go of everything. */
  clear(): void {
    while (this.shift() !== undefined);
  }

  #removeFirst(): SharedEvent | undefined {
    if (this.length === 0) return undefined;
    const event = this.#events[this.#head]!;
    this.#events[this.#head++] = undefined;
    this.#bytes -= event.bytes.length;
    if (this.#head === this.#events.length) {
      this.#events.length = this.#gaps.length = this.#head = 0;
    } else if (this.#head >= 1_024) {
      this.#events.splice(0, this.#head);
      this.#gaps.splice(0, this.#head);
      this.#head = 0;
    }
    return event;
  }

  #discharge(event: SharedEvent): void {
    this.#connection.release(event.bytes.length);
    event.release();
  }

  #hasRoom(size: number): boolean {
    return this.length < this.limits.maxEvents && this.#bytes + size <= this.limits.maxBytes;
  }

  #dropNew(): PushOutcome {
    this.#gapAtEnd++;
    this.#dropped++;
    return "dropped";
  }

  #dropOldest(): void {
    const gap = this.#gaps[this.#head] + 1;
    this.#discharge(this.#removeFirst()!);
    this.#dropped++;
    if (this.length > 0) this.#gaps[this.#head] += gap;
    else this.#gapAtEnd += gap;
  }
}
