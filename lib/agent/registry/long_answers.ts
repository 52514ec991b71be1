/**
 * Requests of this side that are answered for as long as both sides like: watches and subscriptions.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { NumberMap } from "../../base/number_map.ts";
import { CodecError } from "../../codec/codec_error.ts";
import type { MessageCodec, MessageView } from "../../codec/message.ts";
import { MessageReader } from "../../codec/message_reader.ts";
import { MessageType } from "../../codec/message_type.ts";
import { decodeError } from "../../codec/payloads/error.ts";
import type { CallOutcome } from "../../mesh/pending_calls.ts";
import type { StreamClass } from "../../transport/scheduler.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import type { Driver, Link } from "../driver.ts";

/** How a long answer ends. */
export type AnswerEnd = Exclude<CallOutcome, { readonly kind: "response" }>;

/** Requests that may wait for the peer to allow more streams. */
const MAX_QUEUED = 256;

/** What is asked, and what to make of what comes back. */
export interface LongRequest<T extends object> {
  readonly message: Uint8Array;
  readonly streamClass: StreamClass;
  /** More than the largest payload that is expected back. */
  readonly maxPayload: number;
  /** Makes something of a message, which is valid until this returns: undefined if it needs further ones, a text that says what is wrong with it. */
  readonly take: (message: MessageView) => T | string | undefined;
}

/** All of a connection. */
export class LongAnswers {
  readonly #driver: Driver;
  readonly #link: Link;
  readonly #codec: MessageCodec;
  readonly #answers = new NumberMap<LongAnswer<object>>();
  /** Those that wait for a stream, first come first served. */
  #queue: LongAnswer<object>[] = [];

  constructor(driver: Driver, link: Link, codec: MessageCodec) {
    this.#driver = driver;
    this.#link = link;
    this.#codec = codec;
  }

  /** Those that have a stream. */
  get size(): number {
    return this.#answers.size;
  }

  /** The one on a stream. */
  get(id: StreamId): LongAnswer<object> | undefined {
    return this.#answers.get(id);
  }

  /** Sends a request, or queues it. @throws {MxpError} `overloaded` if too many wait already. */
  open<T extends object>(request: LongRequest<T>): LongAnswer<T> {
    if (this.#queue.length >= MAX_QUEUED) {
      const text = "too many watches and subscriptions are waiting for the node already";
      throw new MxpError("overloaded", text, { retryable: true });
    }
    const answer: LongAnswer<T> = new LongAnswer(this.#driver, this.#link, this.#codec, request, () => {
      if (answer.id !== -1) this.#answers.delete(answer.id);
      else this.#queue = this.#queue.filter((waiting) => waiting !== answer);
    });
    this.#queue.push(answer);
    this.onStreamsAvailable();
    return answer;
  }

  /** The peer allows more streams, or some at last. */
  onStreamsAvailable(): void {
    while (this.#queue.length > 0) {
      const id = this.#link.connection.openStream(false, this.#queue[0].streamClass);
      if (id === -1) return;
      const answer = this.#queue.shift()!;
      this.#answers.set(id, answer);
      answer.attach(id);
    }
  }

  /** The connection is over. */
  close(): void {
    for (const answer of [...this.#queue, ...this.#answers.values()]) answer.finish({ kind: "lost" });
  }
}

/** One of them. Nothing is read before somebody asks for it: the node holds back what does not fit in between. */
export class LongAnswer<T extends object> {
  /** −1 while it waits for a stream. */
  id: StreamId | -1 = -1;
  readonly #driver: Driver;
  readonly #link: Link;
  readonly streamClass: StreamClass;
  readonly #take: LongRequest<T>["take"];
  readonly #reader: MessageReader;
  readonly #onOver: () => void;
  #unsent: Uint8Array | undefined;
  #end: AnswerEnd | undefined;
  #wake: (() => void) | undefined;

  constructor(
    driver: Driver,
    link: Link,
    codec: MessageCodec,
    { message, streamClass, maxPayload, take }: LongRequest<T>,
    onOver: () => void,
  ) {
    this.#driver = driver;
    this.#link = link;
    this.streamClass = streamClass;
    this.#take = take;
    this.#unsent = message;
    this.#reader = new MessageReader(codec, { maxPayload });
    this.#onOver = onOver;
  }

  /** There is a stream for it. */
  attach(id: StreamId): void {
    this.id = id;
    this.onWritable();
  }

  /** The next part of the answer, or how it ended. One call at a time. */
  async next(): Promise<T | AnswerEnd> {
    for (;;) {
      const part = this.poll();
      if (part !== undefined) return part;
      await this.wait();
    }
  }

  /** The same, or undefined if there is none yet. */
  poll(): T | AnswerEnd | undefined {
    return this.#read() ?? this.#end;
  }

  /** Settles when {@link poll} may say something else. One call at a time. */
  wait(): Promise<void> {
    return new Promise<void>((resolve) => this.#wake = resolve);
  }

  /** Wakes whoever waits. */
  wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Nobody wants more of it. */
  cancel(): void {
    if (this.#end !== undefined) return;
    this.#giveUp(StreamError.CANCELLED);
    this.finish({ kind: "aborted" });
  }

  /** It is over. What was not read by then is not read any more. */
  finish(end: AnswerEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#unsent = undefined;
    this.#onOver();
    this.wakeUp();
  }

  // Events of the connection.

  onReadable(): void {
    this.wakeUp();
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

  #read(): T | AnswerEnd | undefined {
    if (this.#end !== undefined || this.id === -1) return undefined;
    const { connection } = this.#link;
    for (;;) {
      const part = this.#decode();
      if (part !== undefined) return part;
      const piece = connection.read(this.id);
      this.#driver.touch(this.#link);
      if (piece === undefined) {
        return connection.readFinished(this.id) ? this.#malformed("it ended without saying why") : undefined;
      }
      this.#reader.push(piece);
    }
  }

  #decode(): T | AnswerEnd | undefined {
    for (let message = this.#reader.next(); message !== undefined; message = this.#reader.next()) {
      if (message instanceof CodecError) return this.#malformed(message.message);
      if (message.type === MessageType.ERROR) {
        const error = decodeError(message.bytes, message.payloadStart, message.payloadEnd);
        if (error instanceof CodecError) return this.#malformed(error.message);
        const end: AnswerEnd = { kind: "error", ...error };
        this.finish(end);
        return end;
      }
      const part = this.#take(message);
      if (typeof part === "string") return this.#malformed(part);
      if (part !== undefined) return part;
    }
    return undefined;
  }

  #giveUp(code: number): void {
    if (this.id === -1) return;
    this.#link.connection.stopSending(this.id, code);
    if (this.#unsent !== undefined) this.#link.connection.resetStream(this.id, code);
    this.#driver.touch(this.#link);
  }

  #malformed(what: string): AnswerEnd {
    const end: AnswerEnd = { kind: "malformed", what };
    this.#giveUp(StreamError.MALFORMED);
    this.finish(end);
    return end;
  }
}
