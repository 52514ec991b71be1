/**
 * The watches that this side has open on one connection: one request each, and answers for as long as both sides like.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import { NumberMap } from "../base/number_map.ts";
import { CodecError } from "../codec/codec_error.ts";
import type { MessageCodec } from "../codec/message.ts";
import { MessageReader } from "../codec/message_reader.ts";
import { isExtensionType, MessageType, messageTypeName } from "../codec/message_type.ts";
import { decodeDiscoverResponse, type DiscoverResponse } from "../codec/payloads/discover_response.ts";
import { decodeError } from "../codec/payloads/error.ts";
import type { MessageIds } from "../mesh/message_writer.ts";
import type { CallOutcome } from "../mesh/pending_calls.ts";
import { StreamClass } from "../transport/scheduler.ts";
import { StreamError } from "../wire/error_codes.ts";
import type { StreamId } from "../wire/stream_id.ts";
import type { Driver, Link } from "./driver.ts";

/** More than a node puts into one answer. */
const MAX_ANSWER_BYTES = 4 << 20;

/** How a watch ends. */
export type WatchEnd = Exclude<CallOutcome, { readonly kind: "response" }>;

/** Watches that may wait for the peer to allow more streams. */
const MAX_QUEUED = 256;

/** All watches of a connection. */
export class OutgoingWatches {
  readonly #driver: Driver;
  readonly #link: Link;
  readonly #codec: MessageCodec;
  readonly #watches = new NumberMap<OutgoingWatch>();
  /** Those that wait for a stream, first come first served. */
  #queue: OutgoingWatch[] = [];

  constructor(driver: Driver, link: Link, codec: MessageCodec) {
    this.#driver = driver;
    this.#link = link;
    this.#codec = codec;
  }

  /** Those that have a stream. */
  get size(): number {
    return this.#watches.size;
  }

  /** The watch on a stream. */
  get(id: StreamId): OutgoingWatch | undefined {
    return this.#watches.get(id);
  }

  /** Sends a request, or queues it. @throws {MxpError} `overloaded` if too many wait already. */
  open(ids: MessageIds, request: Uint8Array): OutgoingWatch {
    if (this.#queue.length >= MAX_QUEUED) {
      throw new MxpError("overloaded", "too many watches are waiting for the node already", { retryable: true });
    }
    const watch: OutgoingWatch = new OutgoingWatch(this.#driver, this.#link, this.#codec, ids, request, () => {
      if (watch.id !== -1) this.#watches.delete(watch.id);
      else this.#queue = this.#queue.filter((waiting) => waiting !== watch);
    });
    this.#queue.push(watch);
    this.onStreamsAvailable();
    return watch;
  }

  /** The peer allows more streams, or some at last. */
  onStreamsAvailable(): void {
    while (this.#queue.length > 0) {
      const id = this.#link.connection.openStream(false, StreamClass.CONTROL);
      if (id === -1) return;
      const watch = this.#queue.shift()!;
      this.#watches.set(id, watch);
      watch.attach(id);
    }
  }

  /** The connection is over. */
  close(): void {
    for (const watch of [...this.#queue, ...this.#watches.values()]) watch.finish({ kind: "lost" });
  }
}

/** One watch. Nothing is read before somebody asks for it: the node holds back what does not fit in between. */
export class OutgoingWatch {
  /** −1 while it waits for a stream. */
  id: StreamId | -1 = -1;
  readonly #driver: Driver;
  readonly #link: Link;
  readonly #ids: MessageIds;
  readonly #reader: MessageReader;
  readonly #onOver: () => void;
  #unsent: Uint8Array | undefined;
  #end: WatchEnd | undefined;
  #wake: (() => void) | undefined;

  constructor(
    driver: Driver,
    link: Link,
    codec: MessageCodec,
    ids: MessageIds,
    request: Uint8Array,
    onOver: () => void,
  ) {
    this.#driver = driver;
    this.#link = link;
    this.#ids = ids;
    this.#unsent = request;
    this.#reader = new MessageReader(codec, { maxPayload: MAX_ANSWER_BYTES });
    this.#onOver = onOver;
  }

  /** There is a stream for it. */
  attach(id: StreamId): void {
    this.id = id;
    this.onWritable();
  }

  /** The next answer, or how it ended. One call at a time. */
  async next(): Promise<DiscoverResponse | WatchEnd> {
    for (;;) {
      const answer = this.#read();
      if (answer !== undefined) return answer;
      if (this.#end !== undefined) return this.#end;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Nobody wants more of it. */
  cancel(): void {
    if (this.#end !== undefined) return;
    this.#giveUp(StreamError.CANCELLED);
    this.finish({ kind: "aborted" });
  }

  /** It is over. What was not read by then is not read any more. */
  finish(end: WatchEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#unsent = undefined;
    this.#onOver();
    this.#wakeUp();
  }

  // Events of the connection.

  onReadable(): void {
    this.#wakeUp();
  }

  onWritable(): void {
    if (this.#unsent === undefined || this.id === -1) return;
    const accepted = this.#link.connection.write(this.id, this.#unsent, true);
    this.#unsent = accepted === this.#unsent.length ? undefined : this.#unsent.subarray(accepted);
    this.#driver.touch(this.#link);
  }

  onReset(code: number): void {
    if (this.id !== -1) this.#link.connection.resetStream(this.id, StreamError.NO_ERROR);
    this.finish({ kind: "reset", code });
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #read(): DiscoverResponse | WatchEnd | undefined {
    if (this.#end !== undefined || this.id === -1) return undefined;
    const { connection } = this.#link;
    for (;;) {
      const answer = this.#decode();
      if (answer !== undefined) return answer;
      const piece = connection.read(this.id);
      this.#driver.touch(this.#link);
      if (piece === undefined) {
        return connection.readFinished(this.id) ? this.#malformed("it ended without saying why") : undefined;
      }
      this.#reader.push(piece);
    }
  }

  #decode(): DiscoverResponse | WatchEnd | undefined {
    for (let message = this.#reader.next(); message !== undefined; message = this.#reader.next()) {
      if (message instanceof CodecError) return this.#malformed(message.message);
      if (isExtensionType(message.type)) continue;
      const { bytes, payloadStart, payloadEnd } = message;
      if (message.type === MessageType.ERROR) {
        const error = decodeError(bytes, payloadStart, payloadEnd);
        if (error instanceof CodecError) return this.#malformed(error.message);
        const end: WatchEnd = { kind: "error", ...error };
        this.finish(end);
        return end;
      }
      if (message.type !== MessageType.RESPONSE) {
        return this.#malformed(`it is a ${messageTypeName(message.type)} message`);
      }
      const isOurs = message.idLow === this.#ids.idLow && message.idHigh === this.#ids.idHigh;
      if (!isOurs) return this.#malformed("it answers another message");
      const response = decodeDiscoverResponse(bytes, payloadStart, payloadEnd);
      return response instanceof CodecError ? this.#malformed(response.message) : response;
    }
    return undefined;
  }

  #giveUp(code: number): void {
    if (this.id === -1) return;
    this.#link.connection.stopSending(this.id, code);
    if (this.#unsent !== undefined) this.#link.connection.resetStream(this.id, code);
    this.#driver.touch(this.#link);
  }

  #malformed(what: string): WatchEnd {
    const end: WatchEnd = { kind: "malformed", what };
    this.#giveUp(StreamError.MALFORMED);
    this.finish(end);
    return end;
  }
}
