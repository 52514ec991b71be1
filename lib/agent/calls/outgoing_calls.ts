/**
 * The calls that this side makes on one connection: a stream each, written as far as the peer lets us, answered or
 * given up.
 *
 * @module
 */

import { type Micros, micros, NEVER } from "../../base/time.ts";
import { MessageType } from "../../codec/message_type.ts";
import { AnswerReader, type AnswerType, readWholeAnswer } from "../../mesh/answer_reader.ts";
import type { CallMessages } from "../../mesh/call_messages.ts";
import { type CallOutcome, PendingCall, PendingCalls } from "../../mesh/pending_calls.ts";
import { StreamClass } from "../../transport/scheduler.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import type { Driver, Link } from "../driver.ts";
import type { ReplyParts } from "./reply.ts";

/** Calls that may wait for the peer to allow more streams. */
const MAX_QUEUED = 16_384;

/** How far a call has got; for progress displays. Bytes of whole messages, a few dozen more than the bodies. */
export interface CallProgress {
  /** Bytes that the transport has taken. */
  readonly sent: number;
  /** Bytes of the request. */
  readonly total: number;
  /** Bytes of the answer so far. */
  readonly received: number;
  /** Bytes of the whole answer, once its header has said so. */
  readonly receiveTotal: number | undefined;
}

/** One call under way. */
export class OutgoingCall extends PendingCall implements ReplyParts {
  readonly calls: OutgoingCalls;
  readonly #onSettled: (outcome: CallOutcome) => void;
  readonly startedAt: Micros;
  sentAt: Micros = micros(0);
  firstByteAt: Micros = micros(0);
  doneAt: Micros = micros(0);
  idHigh = 0;
  idLow = 0;
  traceHigh = 0;
  traceLow = 0;
  onProgress: ((progress: CallProgress) => void) | undefined = undefined;
  /** The encoded messages; undefined while the body is still being collected, and once they are written. */
  message: Uint8Array | undefined = undefined;
  /** Bytes of `message` that the transport has taken. */
  written = 0;
  /** Bytes of the encoded messages. */
  total = 0;
  answer: AnswerReader | undefined = undefined;
  /** The class of its stream. */
  streamClass: number = StreamClass.INTERACTIVE;
  /** What answers it. */
  expected: AnswerType = MessageType.RESPONSE;
  /** Which of the flags COMPRESSED and ENCRYPTED its answer may have. */
  accepted = 0;
  /** Asked once whether there is room for an answer that does not come in one piece; without it there is. */
  admit: ((bytes: number) => boolean) | undefined = undefined;
  /** Whether it has been filed, so that something will settle it. */
  isFiled = false;
  /** Whether anything of it may have left: from then on it may be carried out. */
  isBegun = false;
  /** Whether it still waits for a stream. */
  queued = false;
  /** Whether it went along with the hello, and was taken. */
  early = false;
  /** What went wrong on this side: the body, the progress callback. */
  problem: unknown = undefined;
  /** Called once when it ends: whoever still collects its body can stop. */
  onEnd: (() => void) | undefined = undefined;
  /** Called once when it ends: the caller's signal need not be watched any more. */
  stopListening: (() => void) | undefined = undefined;

  constructor(calls: OutgoingCalls, startedAt: Micros, deadline: Micros, onSettled: (outcome: CallOutcome) => void) {
    super(deadline);
    this.calls = calls;
    this.startedAt = startedAt;
    this.#onSettled = onSettled;
  }

  override expired(_now: Micros): void {
    this.calls.giveUp(this, { kind: "deadline" }, StreamError.DEADLINE);
  }

  override settled(outcome: CallOutcome): void {
    this.message = undefined;
    this.answer = undefined;
    this.stopListening?.();
    this.onEnd?.();
    this.onEnd = undefined;
    this.#onSettled(outcome);
  }
}

/** All outgoing calls of a connection. */
export class OutgoingCalls {
  readonly #driver: Driver;
  readonly #link: Link;
  readonly #messages: CallMessages;
  readonly #maxAnswer: number;
  readonly #pending: PendingCalls<OutgoingCall>;
  /** Calls that wait for a stream, first come first served; `#queueHead` is the first that may still wait. */
  #queue: OutgoingCall[] = [];
  #queueHead = 0;
  #queuedCount = 0;
  /** Keys of calls without a stream: below every stream id. */
  #nextQueueKey = -2;
  /** The call that went along with the hello. */
  #early: OutgoingCall | undefined;
  readonly #drained: (() => void)[] = [];
  started = 0;
  ok = 0;
  failed = 0;

  constructor(driver: Driver, link: Link, messages: CallMessages, maxAnswer: number) {
    this.#driver = driver;
    this.#link = link;
    this.#messages = messages;
    this.#maxAnswer = maxAnswer;
    this.#pending = new PendingCalls(driver.deadlines);
  }

  /** Calls that wait for an answer, queued ones included. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Calls that wait for a stream. */
  get queued(): number {
    return this.#queuedCount;
  }

  /** Files a call whose body is not there yet: from now on it settles. */
  file(call: OutgoingCall): void {
    this.#fileUnder(call, this.#nextQueueKey--);
    if (call.deadline !== NEVER) this.#driver.armDeadlines();
  }

  /**
   * Sends a call, or queues it. False if too many are queued; the call is as it was. Nothing happens to a call that
   * has settled.
   */
  send(call: OutgoingCall, message: Uint8Array): boolean {
    if (call.isFiled && call.pendingKey === -1) return true;
    call.message = message;
    call.total = message.length;
    if (this.#queuedCount === 0 && this.#open(call)) return true;
    if (this.#queuedCount >= MAX_QUEUED) return false;
    if (!call.isFiled) this.file(call);
    call.queued = true;
    this.#queue.push(call);
    this.#queuedCount++;
    return true;
  }

  /**
   * Sends a call along with the hello of a connection that is held back for it. False, and nothing has happened, if there is none
   * or the call does not fit.
   */
  sendEarly(call: OutgoingCall, message: Uint8Array): boolean {
    const { connection } = this.#link;
    if (!connection.isHeld || message.length > connection.earlyCapacity || call.pendingKey === -1 && call.isFiled) {
      return false;
    }
    if (!call.isFiled) this.file(call);
    call.message = message;
    call.total = message.length;
    call.isBegun = true;
    this.#early = call;
    connection.begin(this.#driver.clock.now(), message);
    this.#driver.touch(this.#link);
    return true;
  }

  /** Streams can be used: the early call has one, or gets one before all others. */
  onEstablished(): void {
    const call = this.#early, { connection } = this.#link, id = connection.earlyStream;
    this.#early = undefined;
    if (call === undefined) return;
    if (call.pendingKey === -1) {
      // It was given up while the hello was on its way.
      if (id !== undefined) connection.stopSending(id, StreamError.CANCELLED);
    } else if (id === undefined) {
      if (this.#open(call)) return;
      call.queued = true;
      this.#queue.unshift(call);
      this.#queuedCount++;
    } else {
      this.#pending.rekey(call, id);
      call.early = true;
      call.written = call.total;
      call.message = undefined;
      call.sentAt = call.startedAt;
      if (call.onProgress !== undefined) this.#progress(call);
    }
  }

  #fileUnder(call: OutgoingCall, key: number): void {
    call.isFiled = true;
    this.started++;
    this.#pending.add(key, call);
  }

  /** Ends a call that is not wanted any more, on both sides. */
  giveUp(call: OutgoingCall, outcome: CallOutcome, streamCode: number): void {
    const key = call.pendingKey;
    if (key === -1) return;
    this.#settle(call, outcome);
    if (key < 0) return;
    const { connection } = this.#link;
    connection.resetStream(key as StreamId, streamCode);
    connection.stopSending(key as StreamId, streamCode);
    this.#driver.touch(this.#link);
  }

  /** Ends a call because of something on this side. */
  fail(call: OutgoingCall, problem: unknown): void {
    if (!call.isFiled) this.#fileUnder(call, this.#nextQueueKey--);
    if (call.pendingKey === -1) return;
    call.problem = problem;
    this.giveUp(call, { kind: "aborted" }, StreamError.CANCELLED);
  }

  /** Ends every call. The connection is over, or about to be. */
  close(): void {
    this.#queue = [];
    this.#queueHead = 0;
    this.#queuedCount = 0;
    this.failed += this.#pending.size;
    this.#pending.close({ kind: "lost" });
    this.#checkDrained();
  }

  /** Settles once no call is pending. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained.push(resolve);
      this.#checkDrained();
    });
  }

  // Events of the connection.

  onReadable(id: StreamId): void {
    const { connection } = this.#link;
    const call = this.#pending.get(id);
    for (let chunk = connection.read(id); chunk !== undefined; chunk = connection.read(id)) {
      if (call === undefined || call.pendingKey === -1) continue;
      this.#onChunk(call, id, chunk);
    }
    this.#driver.touch(this.#link);
    if (call !== undefined && call.pendingKey !== -1 && connection.readFinished(id)) {
      this.#settle(call, { kind: "malformed", what: "the stream ended before the answer did" });
      connection.resetStream(id, StreamError.MALFORMED);
    }
  }

  onWritable(id: StreamId): void {
    const call = this.#pending.get(id);
    if (call !== undefined) this.#write(call, id);
  }

  onReset(id: StreamId, code: number): void {
    const call = this.#pending.get(id);
    if (call === undefined) return;
    this.#settle(call, { kind: "reset", code });
    this.#link.connection.resetStream(id, StreamError.NO_ERROR);
    this.#driver.touch(this.#link);
  }

  /** The peer wants no more of a request; its answer may still come. */
  onStopSending(id: StreamId): void {
    const call = this.#pending.get(id);
    if (call !== undefined) call.message = undefined;
  }

  onStreamsAvailable(): void {
    for (;;) {
      const call = this.#queue[this.#queueHead];
      if (call === undefined) break;
      if (call.queued && !this.#open(call)) return;
      this.#queueHead++;
      if (call.queued) this.#unqueue(call);
    }
    this.#queue = [];
    this.#queueHead = 0;
  }

  #open(call: OutgoingCall): boolean {
    const id = this.#link.connection.openStream(false, call.streamClass);
    if (id === -1) return false;
    // The run that sends it also sets the timer for its deadline.
    if (call.isFiled) this.#pending.rekey(call, id);
    else this.#fileUnder(call, id);
    this.#write(call, id);
    return true;
  }

  #write(call: OutgoingCall, id: StreamId): void {
    const { message, written } = call;
    if (message === undefined) return;
    const rest = written === 0 ? message : message.subarray(written);
    const accepted = this.#link.connection.write(id, rest, true);
    this.#driver.touch(this.#link);
    call.written = written + accepted;
    if (accepted > 0) call.isBegun = true;
    if (accepted === rest.length) {
      call.message = undefined;
      call.sentAt = Math.max(call.startedAt, this.#driver.now) as Micros;
    }
    if (call.onProgress !== undefined) this.#progress(call);
  }

  #onChunk(call: OutgoingCall, id: StreamId, chunk: Uint8Array): void {
    let outcome: CallOutcome | undefined;
    if (call.answer === undefined) {
      call.firstByteAt = this.#driver.now;
      const { codec } = this.#messages;
      const { idHigh, idLow, expected, accepted } = call;
      outcome = readWholeAnswer(codec, chunk, idHigh, idLow, this.#maxAnswer, expected, accepted);
      if (outcome === undefined) {
        call.answer = new AnswerReader(codec, idHigh, idLow, this.#maxAnswer, expected, accepted);
        outcome = call.answer.push(chunk);
      }
    } else outcome = call.answer.push(chunk);
    if (call.onProgress !== undefined) this.#progress(call);
    if (outcome === undefined) return this.#admit(call);
    call.doneAt = this.#driver.now;
    const { connection } = this.#link;
    // A peer that answers early has to say itself that it wants no more; one that answers nonsense is told.
    if (outcome.kind === "malformed") {
      connection.stopSending(id, StreamError.MALFORMED);
      connection.resetStream(id, StreamError.MALFORMED);
    } else if (call.message !== undefined) connection.resetStream(id, StreamError.NO_ERROR);
    this.#settle(call, outcome);
  }

  /** Asks for room as soon as an answer has said how large it is. */
  #admit(call: OutgoingCall): void {
    const { admit, answer } = call;
    if (admit === undefined || answer?.total === undefined) return;
    call.admit = undefined;
    if (!admit(answer.total)) this.giveUp(call, { kind: "aborted" }, StreamError.CANCELLED);
  }

  #progress(call: OutgoingCall): void {
    const { written: sent, total, answer } = call;
    try {
      call.onProgress!({ sent, total, received: answer?.received ?? 0, receiveTotal: answer?.total });
    } catch (error) {
      this.fail(call, error);
    }
  }

  #settle(call: OutgoingCall, outcome: CallOutcome): void {
    if (outcome.kind === "response") this.ok++;
    else this.failed++;
    if (call.queued) this.#unqueue(call);
    this.#pending.settle(call, outcome);
    if (this.#drained.length > 0) this.#checkDrained();
  }

  #unqueue(call: OutgoingCall): void {
    call.queued = false;
    this.#queuedCount--;
    // Calls that were given up while they waited must not pile up in front of a peer that allows no streams.
    if (this.#queue.length - this.#queueHead <= 2 * this.#queuedCount + 1024) return;
    this.#queue = this.#queue.filter((waiting) => waiting.queued);
    this.#queueHead = 0;
  }

  #checkDrained(): void {
    if (this.#pending.size > 0) return;
    for (const resolve of this.#drained.splice(0)) resolve();
  }
}
