/**
 * Connection ids: 8 opaque bytes, chosen at random by the side that receives with them (SPEC §4).
 *
 * @module
 */

import { readU32, toHex } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";
import { CONNECTION_ID_SIZE } from "./constants.ts";

/** A connection id. Immutable: nobody may write to {@link ConnectionId.bytes}. */
export class ConnectionId {
  /** The 8 bytes as on the wire. */
  readonly bytes: Uint8Array;
  /** Bytes 0–3 as a little-endian u32. */
  readonly low: number;
  /** Bytes 4–7 as a little-endian u32. */
  readonly high: number;

  /** Copies 8 bytes. Throws a RangeError for any other length. */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== CONNECTION_ID_SIZE) {
      throw new RangeError(`a connection id has ${CONNECTION_ID_SIZE} bytes, got ${bytes.length}`);
    }
    this.bytes = bytes.slice();
    this.low = readU32(bytes, 0);
    this.high = readU32(bytes, 4);
  }

  /** Whether all bytes are 0: the destination of a first InitiatorHello, and never a real id. */
  get isZero(): boolean {
    return this.low === 0 && this.high === 0;
  }

  /** Whether both are the same id. */
  equals(other: ConnectionId): boolean {
    return this.low === other.low && this.high === other.high;
  }

  /** Whether the 8 bytes at `at` are this id. */
  equalsAt(bytes: Uint8Array, at: number): boolean {
    return readU32(bytes, at) === this.low && readU32(bytes, at + 4) === this.high;
  }

  /** 16 lower-case hex digits, in wire order. */
  toString(): string {
    return toHex(this.bytes);
  }
}

/** The id that addresses no connection yet. */
export const ZERO_CONNECTION_ID: ConnectionId = new ConnectionId(new Uint8Array(CONNECTION_ID_SIZE));

/** Copies the id at `at`. The caller has checked that 8 bytes are there. */
export function readConnectionId(bytes: Uint8Array, at: number): ConnectionId {
  return new ConnectionId(bytes.subarray(at, at + CONNECTION_ID_SIZE));
}

/** Whether the 8 bytes at `at` are all 0. */
export function isZeroConnectionId(bytes: Uint8Array, at: number): boolean {
  return readU32(bytes, at) === 0 && readU32(bytes, at + 4) === 0;
}

/** Makes an id out of public randomness, since an observer sees it; never the zero id. */
export function randomConnectionId(random: Random): ConnectionId {
  const bytes = new Uint8Array(CONNECTION_ID_SIZE);
  random.fillPublic(bytes);
  // One draw in 2^64; a fixed replacement keeps this bounded whatever the source does.
  if (isZeroConnectionId(bytes, 0)) bytes[0] = 1;
  return new ConnectionId(bytes);
}

interface Entry<T> {
  readonly id: ConnectionId;
  value: T;
  next: Entry<T> | undefined;
}

/**
 * A map by connection id whose look-up reads the id straight out of a received packet, without allocating.
 *
 * Only ids that this side has drawn at random are put in, so chains are as short as chance makes them; what a peer
 * invents is looked up and never stored.
 *
 * @example
 * ```ts
 * import { ConnectionId, ConnectionIdMap } from "./connection_id.ts";
 *
 * const connections = new ConnectionIdMap<string>();
 * connections.set(new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)), "first");
 * const packet = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 0, 0);
 * connections.getAt(packet, 0); // "first"
 * ```
 */
export class ConnectionIdMap<T> {
  readonly #chains = new Map<number, Entry<T>>();
  #size = 0;

  /** Number of entries. */
  get size(): number {
    return this.#size;
  }

  /** The value under `id`. */
  get(id: ConnectionId): T | undefined {
    return this.#find(id.low, id.high)?.value;
  }

  /** The value under the id whose 8 bytes are at `at`. */
  getAt(bytes: Uint8Array, at: number): T | undefined {
    return this.#find(readU32(bytes, at), readU32(bytes, at + 4))?.value;
  }

  /** Whether `id` has a value. */
  has(id: ConnectionId): boolean {
    return this.#find(id.low, id.high) !== undefined;
  }

  /** Stores or replaces the value under `id`. */
  set(id: ConnectionId, value: T): void {
    const found = this.#find(id.low, id.high);
    if (found !== undefined) {
      found.value = value;
      return;
    }
    this.#chains.set(id.low, { id, value, next: this.#chains.get(id.low) });
    this.#size++;
  }

  /** Removes the entry; says whether there was one. */
  delete(id: ConnectionId): boolean {
    let previous: Entry<T> | undefined;
    let entry = this.#chains.get(id.low);
    while (entry !== undefined && entry.id.high !== id.high) {
      previous = entry;
      entry = entry.next;
    }
    if (entry === undefined) return false;
    if (previous !== undefined) previous.next = entry.next;
    else if (entry.next !== undefined) this.#chains.set(id.low, entry.next);
    else this.#chains.delete(id.low);
    this.#size--;
    return true;
  }

  /** Removes everything. */
  clear(): void {
    this.#chains.clear();
    this.#size = 0;
  }

  /** All ids with their values, in no particular order. */
  *entries(): IterableIterator<[ConnectionId, T]> {
    for (let entry of this.#chains.values()) {
      while (true) {
        yield [entry.id, entry.value];
        if (entry.next === undefined) break;
        entry = entry.next;
      }
    }
  }

  /** All values, in no particular order. */
  *values(): IterableIterator<T> {
    for (const [, value] of this.entries()) yield value;
  }

  #find(low: number, high: number): Entry<T> | undefined {
    let entry = this.#chains.get(low);
    while (entry !== undefined && entry.id.high !== high) entry = entry.next;
    return entry;
  }
}
