/**
 * The calls of one connection that wait for an answer. Whatever happens to a call, it leaves through this table, and it
 * leaves once.
 *
 * @module
 */

import { NumberMap } from "../base/number_map.ts";
import type { Micros } from "../base/time.ts";
import type { DeadlineWheel, WheelEntry } from "./deadline_wheel.ts";

/** How a call ended. Texts come from the peer where the kind says so: escape before showing them. */
export type CallOutcome =
  /** A Response. `payload` is the caller's to keep; `packed` has the flags COMPRESSED and ENCRYPTED, if it is. */
  | { readonly kind: "response"; readonly payload: Uint8Array; readonly packed: number }
  /** An Error message: its code, whether trying again makes sense, its text. */
  | { readonly kind: "error"; readonly code: number; readonly retryable: boolean; readonly text: string }
  /** Its own deadline passed. */
  | { readonly kind: "deadline" }
  /** Whoever made it gave it up. */
  | { readonly kind: "aborted" }
  /** The peer reset the stream, with this code, before it had answered. */
  | { readonly kind: "reset"; readonly code: number }
  /** The answer was not a valid message; `what` says why, in our words. */
  | { readonly kind: "malformed"; readonly what: string }
  /** The connection ended, or is being closed. */
  | { readonly kind: "lost" };

/** One waiting call. Subclasses say what to do with the outcome. */
export abstract class PendingCall implements WheelEntry {
  readonly deadline: Micros;
  wheelSlot = -1;
  wheelNext: WheelEntry | undefined = undefined;
  wheelPrevious: WheelEntry | undefined = undefined;
  /** The key under which the table knows it; −1 while it is in no table. */
  pendingKey = -1;

  constructor(deadline: Micros) {
    this.deadline = deadline;
  }

  /** The deadline has passed. Has to lead to {@link PendingCalls.settle}. */
  abstract expired(now: Micros): void;

  /** The one outcome. Called by the table only. */
  abstract settled(outcome: CallOutcome): void;
}

/**
 * Table of waiting calls. The key is whatever the carrier finds an answer's call by: the stream's id on a connection, a
 * negative number while the call waits for a stream. Keys are chosen by this side, never by a peer.
 */
export class PendingCalls<Call extends PendingCall> {
  readonly #calls = new NumberMap<Call>();
  readonly #deadlines: DeadlineWheel;

  constructor(deadlines: DeadlineWheel) {
    this.#deadlines = deadlines;
  }

  /** Calls that wait. */
  get size(): number {
    return this.#calls.size;
  }

  /** Files a call and starts watching its deadline. */
  add(key: number, call: Call): void {
    if (call.pendingKey !== -1 || this.#calls.has(key)) {
      throw new RangeError(`a call is pending under key ${key} already`);
    }
    call.pendingKey = key;
    this.#calls.set(key, call);
    this.#deadlines.add(call);
  }

  /** The call under a key; undefined if it has been settled, or never was. */
  get(key: number): Call | undefined {
    return this.#calls.get(key);
  }

  /** Moves a waiting call to another key (a queued one that got its stream). */
  rekey(call: Call, key: number): void {
    if (call.pendingKey === -1 || this.#calls.has(key)) throw new RangeError(`a call cannot move to key ${key}`);
    this.#calls.delete(call.pendingKey);
    call.pendingKey = key;
    this.#calls.set(key, call);
  }

  /** Ends a call. False, and nothing happens, if it has ended before. */
  settle(call: Call, outcome: CallOutcome): boolean {
    if (call.pendingKey === -1) return false;
    this.#calls.delete(call.pendingKey);
    call.pendingKey = -1;
    this.#deadlines.remove(call);
    call.settled(outcome);
    return true;
  }

  /**
   * Ends every call: by their keys upwards, then those with negative keys downwards, which is the order in which they
   * were filed.
   */
  close(outcome: CallOutcome): void {
    const calls = this.#calls.values().sort((a, b) => order(a.pendingKey) - order(b.pendingKey));
    for (const call of calls) this.settle(call, outcome);
  }
}

function order(key: number): number {
  return key >= 0 ? key : Number.MAX_SAFE_INTEGER - key;
}
