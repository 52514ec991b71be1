/**
 * The events that the peer sends on one connection without asking for an answer: on one-way streams, and in DATAGRAM frames.
 *
 * @module
 */

import { NumberMap } from "../../base/number_map.ts";
import { type Micros, NEVER, seconds } from "../../base/time.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import type { MessageCodec } from "../../codec/message.ts";
import { readRequest, type RequestProblem, RequestReader, StreamStart } from "../../mesh/request_reader.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import type { Driver, Link } from "../driver.ts";
import type { CallService } from "../calls/incoming_calls.ts";
import { IncomingRequest } from "../incoming_request.ts";
import type { PeerInfo } from "../peer_info.ts";
import type { Session } from "../session.ts";

/**
 * Handlers of one connection that may run at once. Further streams stay unread, so that their sender runs out of streams
 * instead of events getting lost.
 */
const MAX_AT_ONCE = 256;
/** An event that makes no progress for this long is dropped. */
const STALL_TIMEOUT: Micros = seconds(30);
/** Smaller messages are not worth the bookkeeping: flow control bounds them well enough. */
const LEAST_RESERVED = 65_536;

/** One event that came in. */
export class IncomingEvent extends IncomingRequest {
  override readonly isAnswered: boolean = false;
  /** −1 for an unreliable one. */
  readonly stream: StreamId | -1;
  /** Collects it while it is incomplete. */
  reader: RequestReader | undefined = undefined;
  /** Bytes reserved of the server's budget. */
  reserved = 0;
  /** It was handed on or given up; what is left is the end of its stream. */
  isTaken = false;
  readonly #events: IncomingEvents;

  constructor(events: IncomingEvents, stream: StreamId | -1) {
    super();
    this.#events = events;
    this.stream = stream;
  }

  override get peer(): PeerInfo {
    return this.#events.peer;
  }

  override get session(): Session {
    return this.#events.session;
  }

  override get isUnreliable(): boolean {
    return this.stream === -1;
  }

  /** Nobody waits for an event. */
  override remainingMs(): number {
    return Infinity;
  }

  override expired(): void {
    this.#events.onExpired(this);
  }
}

/** All of a connection. */
export class IncomingEvents {
  /** The connection as a whole. Set right after construction. */
  session!: Session;
  readonly #driver: Driver;
  readonly #link: Link;
  readonly #codec: MessageCodec;
  readonly #service: CallService;
  readonly #peer: () => PeerInfo;
  /** Those whose streams have not ended. Peers choose ids only within their stream limit. */
  readonly #events = new NumberMap<IncomingEvent>();
  /** Those that a handler has. */
  readonly #handled = new Set<IncomingEvent>();
  /** Streams that stay unread until a handler has come back. */
  readonly #waiting = new Set<StreamId>();

  constructor(driver: Driver, link: Link, codec: MessageCodec, service: CallService, peer: () => PeerInfo) {
    this.#driver = driver;
    this.#link = link;
    this.#codec = codec;
    this.#service = service;
    this.#peer = peer;
  }

  /** Who sends. */
  get peer(): PeerInfo {
    return this.#peer();
  }

  onReadable(id: StreamId): void {
    if (!this.#service.takesEvents) {
      this.#service.countBadEvent();
      this.#stop(id, StreamError.REFUSED);
    } else if (this.#handled.size >= MAX_AT_ONCE && !this.#events.has(id)) this.#waiting.add(id);
    else this.#read(id);
  }

  /** A DATAGRAM frame: an event as a whole, or nothing. The data is ours to keep. */
  onDatagram(data: Uint8Array): void {
    const { maxRequestBytes, takesEvents } = this.#service;
    if (!takesEvents) return this.#service.countBadEvent();
    if (this.#handled.size >= MAX_AT_ONCE) return this.#service.countDroppedEvent();
    const event = new IncomingEvent(this, -1);
    const result = readRequest(this.#codec, data, event, maxRequestBytes) ??
      new RequestReader(this.#codec, event, maxRequestBytes, () => false).push(data);
    if (!(result instanceof Uint8Array)) return this.#service.countBadEvent();
    event.isTaken = true;
    this.#hand(event, result);
  }

  /** The peer gave it up. */
  onReset(id: StreamId): void {
    this.#waiting.delete(id);
    const event = this.#events.get(id);
    if (event === undefined) return;
    if (!event.isTaken) this.#release(event);
    this.#drop(event);
  }

  /** The connection is over. */
  close(): void {
    for (const event of this.#events.values()) {
      if (!event.isTaken) this.#release(event);
      this.#drop(event);
    }
    this.#waiting.clear();
    for (const event of this.#handled) event.abort("connection_lost", "the connection to the sender has ended");
  }

  /** See {@link IncomingEvent}. */
  onExpired(event: IncomingEvent): void {
    this.#giveUp(event, StreamError.DEADLINE);
  }

  #read(id: StreamId): void {
    const { connection } = this.#link;
    let event = this.#events.get(id);
    for (let chunk = connection.read(id); chunk !== undefined; chunk = connection.read(id)) {
      if (event === undefined) {
        event = new IncomingEvent(this, id);
        const result = readRequest(this.#codec, chunk, event, this.#service.maxRequestBytes);
        // The usual case: a whole event, its end, and nothing else.
        if (result instanceof Uint8Array && connection.readFinished(id)) {
          event.isTaken = true;
          this.#hand(event, result);
          break;
        }
        this.#events.set(id, event);
        if (result === undefined) this.#collect(event, chunk);
        else this.#take(event, result);
      } else if (event.isTaken) this.#stop(id, StreamError.MALFORMED);
      else this.#collect(event, chunk);
    }
    this.#driver.touch(this.#link);
    if (!connection.readFinished(id)) return;
    if (event === undefined) this.#service.countBadEvent();
    else if (!event.isTaken) this.#giveUp(event, StreamError.MALFORMED);
    else this.#drop(event);
  }

  #collect(event: IncomingEvent, chunk: Uint8Array): void {
    const { maxRequestBytes } = this.#service;
    event.reader ??= new RequestReader(this.#codec, event, maxRequestBytes, (bytes) => this.#reserve(event, bytes));
    const result = event.reader.push(chunk);
    this.#driver.deadlines.remove(event);
    if (result !== undefined) {
      this.#take(event, result);
      return;
    }
    event.deadline = (this.#driver.now + STALL_TIMEOUT) as Micros;
    this.#driver.deadlines.add(event);
    this.#driver.armDeadlines();
  }

  #take(event: IncomingEvent, result: Uint8Array | StreamStart | RequestProblem): void {
    if (result instanceof Uint8Array) {
      event.isTaken = true;
      event.reader = undefined;
      event.deadline = NEVER;
      this.#hand(event, result);
    } else {
      const code = result instanceof StreamStart ? ErrorCode.BAD_REQUEST : result.code;
      this.#giveUp(event, STOP_CODES.get(code) ?? StreamError.MALFORMED);
    }
  }

  #hand(event: IncomingEvent, data: Uint8Array): void {
    this.#handled.add(event);
    this.#service.dispatchEvent(event, data, () => {
      this.#handled.delete(event);
      this.#release(event);
      this.#readWaiting();
    }, (bytes) => this.#reserve(event, bytes));
  }

  #readWaiting(): void {
    for (const id of this.#waiting) {
      if (this.#handled.size >= MAX_AT_ONCE) return;
      this.#waiting.delete(id);
      this.#read(id);
    }
  }

  /** It is no event, or cannot be taken; there is nobody to be told but by the stream. */
  #giveUp(event: IncomingEvent, code: number): void {
    event.isTaken = true;
    event.reader = undefined;
    this.#service.countBadEvent();
    this.#release(event);
    if (event.stream !== -1) this.#stop(event.stream, code);
    this.#drop(event);
  }

  #stop(id: StreamId, code: number): void {
    this.#link.connection.stopSending(id, code);
    this.#driver.touch(this.#link);
  }

  #drop(event: IncomingEvent): void {
    this.#driver.deadlines.remove(event);
    this.#events.delete(event.stream);
  }

  #reserve(event: IncomingEvent, bytes: number): boolean {
    if (bytes < LEAST_RESERVED) return true;
    if (!this.#service.budget.reserve(bytes)) return false;
    event.reserved += bytes;
    return true;
  }

  #release(event: IncomingEvent): void {
    if (event.reserved > 0) this.#service.budget.release(event.reserved);
    event.reserved = 0;
  }
}

/** What a sender is told by STOP_SENDING; whatever is not listed is MALFORMED. */
const STOP_CODES: ReadonlyMap<number, number> = new Map([
  [ErrorCode.PAYLOAD_TOO_LARGE, StreamError.TOO_LARGE],
  [ErrorCode.OVERLOADED, StreamError.REFUSED],
]);
