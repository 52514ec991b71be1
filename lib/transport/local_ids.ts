/**
 * The connection ids that we have given to the peer: packets with any of them are for this connection (SPEC §4, §7).
 *
 * @module
 */

import type { ConnectionId } from "../wire/connection_id.ts";
import { TransportError } from "../wire/error_codes.ts";
import { NEW_CONNECTION_ID_SIZE, writeNewConnectionId } from "../wire/frame_writer.ts";
import type { SentFrame } from "./sent_frame.ts";

/** A new id with the token that proves a stateless reset of it. */
export interface IssuedId {
  readonly id: ConnectionId;
  readonly resetToken: Uint8Array;
}

/** Makes ids by which the endpoint finds this connection, and takes them back. */
export interface IdSource {
  issue(): IssuedId;
  release(id: ConnectionId): void;
}

/**
 * Ids that the peer may use at a time: one for the path in use and one to move with. More would help only who moves twice within a round
 * trip, and cost memory on each of many connections.
 */
export const ISSUED_IDS = 2;
/**
 * Retired ids that still lead here: packets that were sent before the peer moved may arrive behind its RETIRE_CONNECTION_ID. The oldest makes
 * room for the next.
 */
const LINGERING_IDS = 2;

/** An id that the peer may use. The token is only needed until it has been sent for good. */
interface ActiveId extends IssuedId {
  readonly sequence: number;
  due: boolean;
}

const NO_TOKEN = new Uint8Array(0);

/** The ids of one connection. The handshake's has sequence 0. */
export class LocalIds {
  readonly #source: IdSource;
  readonly #active: ActiveId[] = [];
  readonly #lingering: ConnectionId[] = [];
  /** How many of our ids the peer keeps. */
  peerKeeps = 1;
  #next = 1;
  #limit = 1;
  #due = false;

  constructor(source: IdSource) {
    this.#source = source;
  }

  /** Ids that the peer may use. */
  get activeCount(): number {
    return this.#active.length;
  }

  /** Ids that have been issued so far, the handshake's included. */
  get issuedCount(): number {
    return this.#next;
  }

  /** Whether a NEW_CONNECTION_ID waits for a packet. */
  get hasPending(): boolean {
    return this.#due;
  }

  /** The handshake is confirmed, and `first` is the id that it went by. From now on the peer is given spare ids, as many as it keeps. */
  begin(first: ConnectionId): void {
    this.#active.push({ sequence: 0, id: first, resetToken: NO_TOKEN, due: false });
    this.#limit = Math.min(this.peerKeeps, ISSUED_IDS);
    this.#replenish();
  }

  /**
   * RETIRE_CONNECTION_ID. Another id takes its place. An id that has been retired before is no mistake: the frame may have been sent twice.
   *
   * @param low, high the id that the packet with the frame is addressed to, which it must not retire
   * @returns 0 or the code to close with
   */
  retire(sequence: number, low: number, high: number): number {
    if (sequence >= this.#next) return TransportError.CONNECTION_ID;
    const index = this.#active.findIndex((entry) => entry.sequence === sequence);
    if (index < 0) return 0;
    const { id } = this.#active[index];
    if (id.low === low && id.high === high) return TransportError.CONNECTION_ID;
    this.#active.splice(index, 1);
    this.#lingering.push(id);
    if (this.#lingering.length > LINGERING_IDS) this.#source.release(this.#lingering.shift()!);
    this.#replenish();
    return 0;
  }

  /** A NEW_CONNECTION_ID was lost: it is sent again, if the id is still of use. */
  onLost(sequence: number): void {
    const entry = this.#active.find((entry) => entry.sequence === sequence);
    if (entry === undefined) return;
    entry.due = true;
    this.#due = true;
  }

  /** Writes what fits between `at` and `end`, notes it in `frames`, and returns the position behind it. */
  write(out: Uint8Array, at: number, end: number, frames: SentFrame[]): number {
    let left = false;
    for (const entry of this.#active) {
      if (!entry.due) continue;
      if (end - at < NEW_CONNECTION_ID_SIZE) {
        left = true;
        break;
      }
      at = writeNewConnectionId(out, at, entry.sequence, 0, entry.id, entry.resetToken);
      entry.due = false;
      frames.push({ type: "new_connection_id", sequence: entry.sequence });
    }
    this.#due = left;
    return at;
  }

  /** Every id that leads to this connection. */
  *all(): IterableIterator<ConnectionId> {
    for (const { id } of this.#active) yield id;
    yield* this.#lingering;
  }

  #replenish(): void {
    while (this.#active.length < this.#limit) {
      this.#active.push({ ...this.#source.issue(), sequence: this.#next++, due: true });
      this.#due = true;
    }
  }
}
