/**
 * One end of an agent stream that a node passes on: a transport stream on one of two connections.
 *
 * @module
 */

import type { StreamRelay } from "../../mesh/stream_relay.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import type { Session } from "../session.ts";
import type { StreamUser } from "../streams/stream_user.ts";

/** Bytes that may wait in the transport to be sent for the first time, as they are: nobody counts them, … */
const FREE_AHEAD = 16_384;
/** … and as soon as room for them was found in the memory budget: enough to keep a fast path busy from one turn to the next. */
const AHEAD = 262_144;

/** Joins the two legs of a stream. */
export interface RelayLegOwner {
  /** It has a transport stream now. */
  onAttached(leg: RelayLeg): void;
  /** Something has arrived. */
  onReadable(leg: RelayLeg): void;
  /** The transport takes more. */
  onWritable(leg: RelayLeg): void;
  /** The peer gave its half up. */
  onReset(leg: RelayLeg, code: number): void;
  /** The peer reads no more. */
  onStopSending(leg: RelayLeg, code: number): void;
  /** The connection is over; what had arrived can still be taken. */
  onLost(leg: RelayLeg): void;
}

/** A leg: what arrives goes through its relay to the other one, what the other one gives is written here. */
export class RelayLeg implements StreamUser {
  readonly role: "opener" | "answerer";
  id: StreamId | -1 = -1;
  readonly session: Session;
  readonly relay: StreamRelay;
  /** Nothing more is wanted, or will come. */
  readOver = false;
  /** The transport has everything, or wants nothing any more. */
  writeOver = false;
  /** The connection has ended. */
  isLost = false;
  /** Bytes of the memory budget that are set aside for what waits here. */
  reserved = 0;
  readonly #owner: RelayLegOwner;
  /** Whole messages that the transport has not taken, or the rest of one. */
  #queue: Uint8Array[] = [];
  /** Whether our half ends behind them. */
  #ends = false;

  constructor(role: "opener" | "answerer", session: Session, relay: StreamRelay, owner: RelayLegOwner) {
    this.role = role;
    this.session = session;
    this.relay = relay;
    this.#owner = owner;
  }

  /** Whether both halves are over. */
  get isOver(): boolean {
    return this.readOver && this.writeOver;
  }

  /** Whether our half takes nothing more. */
  get isEnded(): boolean {
    return this.#ends || this.writeOver;
  }

  /** Whole messages that have arrived and can go on; undefined if there are none now. Look at the relay's ending then. */
  take(): Uint8Array | undefined {
    if (this.readOver || this.id === -1) return undefined;
    const { link, driver } = this.session;
    const { connection } = link;
    driver.touch(link);
    for (;;) {
      const bytes = this.relay.next();
      if (bytes !== undefined || this.relay.ending !== undefined) return bytes;
      const piece = connection.read(this.id);
      if (piece !== undefined) {
        this.relay.push(piece);
        continue;
      }
      if (connection.readFinished(this.id)) this.relay.finish();
      return undefined;
    }
  }

  /** Whether everything behind the last message is what has to be there: the end of the transport stream. */
  drain(): void {
    if (this.readOver || this.id === -1) return;
    const { link, driver } = this.session;
    const { connection } = link;
    while (connection.read(this.id) !== undefined) connection.stopSending(this.id, StreamError.MALFORMED);
    if (connection.readFinished(this.id)) this.readOver = true;
    driver.touch(link);
  }

  /** Writes whole messages, as far as the transport takes them. */
  put(bytes: Uint8Array, isLast: boolean): void {
    if (this.isEnded) return;
    this.#queue.push(bytes);
    this.#ends = isLast;
    this.flush();
  }

  /** Whether the transport has taken everything. If not, `onWritable` follows. */
  flush(): boolean {
    if (this.writeOver) return true;
    if (this.id === -1) return this.#queue.length === 0;
    const { link, driver } = this.session;
    const ahead = this.reserved > 0 ? AHEAD : FREE_AHEAD;
    while (this.#queue.length > 0) {
      const [bytes] = this.#queue;
      const isLast = this.#ends && this.#queue.length === 1;
      const accepted = link.connection.write(this.id, bytes, isLast, ahead);
      driver.touch(link);
      if (accepted < bytes.length) {
        this.#queue[0] = bytes.subarray(accepted);
        return false;
      }
      this.#queue.shift();
      if (isLast) this.writeOver = true;
    }
    return true;
  }

  /** Whether little enough waits that nobody need count it. If not, `onWritable` follows. */
  isLight(): boolean {
    if (this.writeOver || this.id === -1) return true;
    const { connection } = this.session.link;
    if (connection.unsentBytes(this.id) <= FREE_AHEAD) return true;
    connection.awaitWritable(this.id);
    return false;
  }

  /** Nothing more is read here. */
  stop(code: number): void {
    if (this.readOver) return;
    this.readOver = true;
    if (this.id === -1 || this.isLost) return;
    this.session.link.connection.stopSending(this.id, code);
    this.session.driver.touch(this.session.link);
  }

  /** Nothing more is written here, and what was is void. */
  reset(code: number): void {
    this.writeOver = true;
    this.#queue = [];
    if (this.id === -1 || this.isLost) return;
    this.session.link.connection.resetStream(this.id, code);
    this.session.driver.touch(this.session.link);
  }

  /** The stream is somebody else's, or nobody's, from now on. */
  leave(): void {
    this.session.streams.drop(this);
  }

  // Events of the connection.

  attach(id: StreamId): void {
    this.id = id;
    this.#owner.onAttached(this);
  }

  onReadable(): void {
    this.#owner.onReadable(this);
  }

  onWritable(): void {
    this.#owner.onWritable(this);
  }

  onReset(code: number): void {
    this.readOver = true;
    this.#owner.onReset(this, code);
  }

  onStopSending(code: number): void {
    this.writeOver = true;
    this.#queue = [];
    this.#owner.onStopSending(this, code);
  }

  onConnectionEnd(): void {
    this.isLost = true;
    this.writeOver = true;
    this.#queue = [];
    this.#owner.onLost(this);
  }
}
