/**
 * The connection ids that the peer has given to us, to address it with: one for each path, so that who sees two paths cannot tell by the ids
 * that they belong together (RFC 9000 §9.5, SPEC §7).
 *
 * @module
 */

import { RangeSet } from "../base/range_set.ts";
import { type ConnectionId, readConnectionId } from "../wire/connection_id.ts";
import { CONNECTION_ID_SIZE, RESET_TOKEN_SIZE } from "../wire/constants.ts";
import { TransportError } from "../wire/error_codes.ts";
import type { FrameReader } from "../wire/frame_reader.ts";
import { RETIRE_CONNECTION_ID_SIZE, writeRetireConnectionId } from "../wire/frame_writer.ts";
import type { SentFrame } from "./sent_frame.ts";

/** An id of the peer's. */
export interface RemoteId {
  readonly sequence: number;
  readonly id: ConnectionId;
  /** What a stateless reset of this id ends with; undefined if the peer never sends one for the handshake's id. */
  readonly resetToken: Uint8Array | undefined;
}

/** Where a packet that belongs to nobody is compared with the reset tokens of the ids that are in use. */
export interface TokenRegister {
  add(token: Uint8Array): void;
  remove(token: Uint8Array): void;
}

/** The ids of one connection. */
export class RemoteIds {
  /** How many are kept at once; what we announced. */
  readonly #limit: number;
  /** Ids that paths use. The first is the one of the path in use. */
  #inUse: RemoteId[] = [];
  /** Ids that nobody uses yet, by sequence. */
  #spare: RemoteId[] = [];
  /** Every sequence number that the peer has issued. It issues them in order, so gaps close as soon as what was lost has been sent again. */
  readonly #seen = new RangeSet();
  /** Retired ids whose RETIRE_CONNECTION_ID has not been acknowledged, by sequence; true if it waits for a packet. */
  readonly #retiring = new Map<number, boolean>();
  #retirePriorTo = 0;
  #due = false;

  readonly #tokens: TokenRegister;

  constructor(limit: number, tokens: TokenRegister) {
    this.#limit = limit;
    this.#tokens = tokens;
  }

  /** The id to address the peer with; undefined before the handshake has told it. */
  get current(): RemoteId | undefined {
    return this.#inUse.length > 0 ? this.#inUse[0] : undefined;
  }

  /** Ids that are kept. */
  get activeCount(): number {
    return this.#inUse.length + this.#spare.length;
  }

  /** Ids that a path can begin with. */
  get spareCount(): number {
    return this.#spare.length;
  }

  /** Whether a RETIRE_CONNECTION_ID waits for a packet. */
  get hasPending(): boolean {
    return this.#due;
  }

  /** The id that the handshake brought. */
  begin(id: ConnectionId): void {
    this.#inUse = [{ sequence: 0, id, resetToken: undefined }];
    this.#seen.insert(0);
  }

  /** The reset token of that id, which came inside the handshake. */
  setFirstToken(resetToken: Uint8Array): void {
    this.#inUse = this.#inUse.map((entry) => entry.sequence === 0 ? { ...entry, resetToken } : entry);
    this.#tokens.add(resetToken);
  }

  /** NEW_CONNECTION_ID, in the reader's fields. 0, or the code to close with. */
  onNew(reader: FrameReader): number {
    const { sequence, retirePriorTo, bytes, dataStart } = reader;
    const id = readConnectionId(bytes, dataStart + 16);
    if (id.isZero || retirePriorTo > sequence) return TransportError.CONNECTION_ID;
    if (this.#seen.contains(sequence)) return this.#isRepetition(sequence, id) ? 0 : TransportError.CONNECTION_ID;
    if (this.#knows(id)) return TransportError.CONNECTION_ID;
    this.#seen.insert(sequence);
    // Whoever issues in order and keeps to the limit cannot have more gaps under way than ids.
    if (this.#seen.count > this.#limit + 1) return TransportError.CONNECTION_ID;
    const tokenAt = dataStart + 16 + CONNECTION_ID_SIZE;
    const entry = { sequence, id, resetToken: bytes.slice(tokenAt, tokenAt + RESET_TOKEN_SIZE) };
    if (sequence < this.#retirePriorTo) this.#queueRetire(sequence);
    else insertInOrder(this.#spare, entry);
    this.#raise(retirePriorTo);
    // Retiring is answered with new ids: who makes us retire faster than it takes note of it is stuffing us.
    if (this.activeCount > this.#limit || this.#retiring.size > 2 * this.#limit) return TransportError.CONNECTION_ID;
    return 0;
  }

  /** Takes a fresh id for another path; undefined if there is none. */
  take(): RemoteId | undefined {
    const entry = this.#spare.shift();
    if (entry === undefined) return undefined;
    this.#inUse.push(entry);
    this.#tokens.add(entry.resetToken!);
    return entry;
  }

  /** From now on the peer is addressed with this id, which {@link take} gave; the one before is retired. */
  use(entry: RemoteId): void {
    const before = this.#inUse[0];
    if (entry === before) return;
    this.#inUse = [entry, ...this.#inUse.filter((other) => other !== entry && other !== before)];
    this.#giveUp(before);
  }

  /** A path with an id of its own has come to nothing: the id has been seen there and is of no further use. */
  drop(entry: RemoteId): void {
    if (entry === this.#inUse[0] || !this.#inUse.includes(entry)) return;
    this.#inUse = this.#inUse.filter((other) => other !== entry);
    this.#giveUp(entry);
  }

  /** Whether an id that {@link take} gave may still be used: the peer may have asked to retire it since. */
  isUsable(entry: RemoteId): boolean {
    return this.#inUse.includes(entry);
  }

  /** A RETIRE_CONNECTION_ID was lost. */
  onRetireLost(sequence: number): void {
    if (!this.#retiring.has(sequence)) return;
    this.#retiring.set(sequence, true);
    this.#due = true;
  }

  /** A RETIRE_CONNECTION_ID has arrived. */
  onRetireAcked(sequence: number): void {
    this.#retiring.delete(sequence);
  }

  /** Writes what fits between `at` and `end`, notes it in `frames`, and returns the position behind it. */
  write(out: Uint8Array, at: number, end: number, frames: SentFrame[]): number {
    if (!this.#due) return at;
    for (const [sequence, due] of this.#retiring) {
      if (!due) continue;
      if (end - at < RETIRE_CONNECTION_ID_SIZE) return at;
      at = writeRetireConnectionId(out, at, sequence);
      this.#retiring.set(sequence, false);
      frames.push({ type: "retire_connection_id", sequence });
    }
    this.#due = false;
    return at;
  }

  /** The peer wants all ids below to be retired. The one in use is exchanged for the next one that there is. */
  #raise(retirePriorTo: number): void {
    if (retirePriorTo <= this.#retirePriorTo) return;
    this.#retirePriorTo = retirePriorTo;
    for (const { sequence } of this.#spare) if (sequence < retirePriorTo) this.#queueRetire(sequence);
    for (const entry of this.#inUse.slice(1)) if (entry.sequence < retirePriorTo) this.#giveUp(entry);
    this.#spare = this.#spare.filter(({ sequence }) => sequence >= retirePriorTo);
    const [current, ...others] = this.#inUse;
    this.#inUse = [current, ...others.filter(({ sequence }) => sequence >= retirePriorTo)];
    if (current.sequence >= retirePriorTo) return;
    // The frame that asks for it brings an id that may stay, or a path has taken one that may.
    const next = this.take() ?? this.#inUse.at(1);
    if (next !== undefined) this.use(next);
  }

  /** An id is not used any more. */
  #giveUp({ sequence, resetToken }: RemoteId): void {
    if (resetToken !== undefined) this.#tokens.remove(resetToken);
    this.#queueRetire(sequence);
  }

  #queueRetire(sequence: number): void {
    this.#retiring.set(sequence, true);
    this.#due = true;
  }

  #isRepetition(sequence: number, id: ConnectionId): boolean {
    const known = [...this.#inUse, ...this.#spare].find((entry) => entry.sequence === sequence);
    return known === undefined || known.id.equals(id);
  }

  #knows(id: ConnectionId): boolean {
    return this.#inUse.some((entry) => entry.id.equals(id)) || this.#spare.some((entry) => entry.id.equals(id));
  }
}

function insertInOrder(list: RemoteId[], entry: RemoteId): void {
  let at = list.length;
  while (at > 0 && list[at - 1].sequence > entry.sequence) at--;
  list.splice(at, 0, entry);
}
