/**
 * The calls that the peer makes on one connection: received within bounds, handed to the server, answered.
 *
 * @module
 */

import { NumberMap } from "../../base/number_map.ts";
import { type Micros, NEVER, seconds } from "../../base/time.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { MAX_PAYLOAD_BYTES } from "../../codec/message_header.ts";
import type { CallMessages } from "../../mesh/call_messages.ts";
import { EventMessages } from "../../mesh/event_messages.ts";
import type { MemoryBudget } from "../../mesh/memory_budget.ts";
import { readRequest, type RequestProblem, RequestReader, StreamStart } from "../../mesh/request_reader.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import type { AgentStreams } from "../streams/agent_streams.ts";
import type { Driver, Link } from "../driver.ts";
import { type AnswerSource, type CallAnswers, IncomingCall, type IncomingCallState } from "./incoming_call.ts";
import type { IncomingEvent } from "../events/incoming_events.ts";
import type { Packed } from "../packing/request_packing.ts";
import type { PeerInfo } from "../peer_info.ts";
import type { Session } from "../session.ts";

/** A request that makes no progress for this long is dropped, and so is an answer that the peer does not take. */
const STALL_TIMEOUT: Micros = seconds(30);
/** Smaller messages are not worth the bookkeeping: flow control bounds them well enough. */
const LEAST_RESERVED = 65_536;

/** What the server gives to each of its connections. */
export interface CallService {
  /** Memory for partly received requests and partly sent answers. */
  readonly budget: MemoryBudget;
  /** Largest payload of a request. */
  readonly maxRequestBytes: number;
  readonly counters: CallCounters;
  /** What an agent is registered with here, by its id; undefined if there is none. */
  registered(agentId: Uint8Array): { readonly name: string; readonly capabilities: readonly string[] } | undefined;
  /** Runs the handler of a complete request; leads to `respond` or `fail`, at once or later. */
  dispatch(call: IncomingCall, payload: Uint8Array): void;
  /** Runs the handler of an agent stream, or passes it on, or turns it away, which it does with a `refusal` in any case. */
  dispatchStream(streams: AgentStreams, request: IncomingCall, start: StreamStart, refusal?: RequestProblem): void;
  /** Whether anybody listens to events. */
  readonly takesEvents: boolean;
  /** Runs the handler of an event that nobody waits for; `done` is called once, when it has come back. */
  dispatchEvent(
    event: IncomingEvent,
    data: Uint8Array,
    done: () => void,
    reserve: (bytes: number) => boolean,
  ): void;
  /** Something on a one-way stream was no event, or could not be taken. */
  countBadEvent(): void;
  /** There was no room for an unreliable event. */
  countDroppedEvent(): void;
}

/** What a server counts. */
export interface CallCounters {
  /** Requests whose last byte has arrived, and those that were turned away before. */
  total: number;
  /** Answered with a Response. */
  ok: number;
  /** Answered with an Error. */
  failed: number;
  /** Among the failed: turned away without asking a handler. */
  refused: number;
  /** Given up by the caller, or cut off by the end of the connection. */
  cancelled: number;
}

/** All incoming calls of a connection. */
export class IncomingCalls implements CallAnswers {
  readonly #driver: Driver;
  readonly #link: Link;
  readonly #messages: CallMessages;
  readonly #events: EventMessages;
  readonly #service: CallService;
  readonly #peer: () => PeerInfo;
  readonly #onStream: (call: IncomingCall, start: StreamStart) => void;
  /** Calls that have not been answered completely, by stream. Peers choose the ids only within their stream limit. */
  readonly #calls = new NumberMap<IncomingCall>();
  #peerInfo: PeerInfo | undefined;
  /** The connection as a whole: whoever calls can be called, too. Set right after construction. */
  session!: Session;

  /** @param onStream takes what turned out to be an agent stream. */
  constructor(
    driver: Driver,
    link: Link,
    messages: CallMessages,
    service: CallService,
    peer: () => PeerInfo,
    onStream: (call: IncomingCall, start: StreamStart) => void,
  ) {
    this.#driver = driver;
    this.#link = link;
    this.#messages = messages;
    this.#events = new EventMessages(messages.writer);
    this.#service = service;
    this.#peer = peer;
    this.#onStream = onStream;
  }

  /** Memory for what this connection asks for. */
  get budget(): MemoryBudget {
    return this.#service.budget;
  }

  /** Calls under way. */
  get size(): number {
    return this.#calls.size;
  }

  /** Whether a stream's data came with the hello. */
  isEarly(id: StreamId): boolean {
    return this.#link.connection.earlyStream === id;
  }

  /** Who calls. */
  get peer(): PeerInfo {
    return this.#peerInfo ??= this.#peer();
  }

  /** The peer is at another address now. */
  onPeerMoved(): void {
    this.#peerInfo = undefined;
  }

  // Events of the connection.

  onReadable(id: StreamId): void {
    const { connection } = this.#link;
    let call = this.#calls.get(id);
    const chunk = connection.read(id);
    this.#driver.touch(this.#link);
    if (chunk === undefined) {
      if (call === undefined) this.#onEmptyStream(id);
      else if (call.state === "receiving" && connection.readFinished(id)) this.#onTruncated(call);
      return;
    }
    if (call === undefined) {
      call = new IncomingCall(this, id);
      const result = readRequest(this.#messages.codec, chunk, call, this.#service.maxRequestBytes);
      // The usual case: a whole request, its end, and nothing else.
      if (result instanceof Uint8Array && connection.readFinished(id)) {
        this.#onRequest(call, result, false);
        return;
      }
      this.#calls.set(id, call);
      if (result instanceof Uint8Array) this.#onRequest(call, result, true);
      else if (result !== undefined) this.#onProblem(call, result);
      else this.#collect(call, chunk);
    } else if (call.state === "receiving") this.#collect(call, chunk);
    else this.#onSurplus(call);
    this.#readOn(call);
  }

  onWritable(id: StreamId): void {
    const call = this.#calls.get(id);
    if (call?.source !== undefined) this.pump(call);
    else if (call?.message !== undefined) this.#write(call, call.message);
  }

  /** The peer gave up the request. */
  onReset(id: StreamId, code: number): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    if (code === StreamError.DEADLINE) this.#cancel(call, "deadline", "the caller's deadline has passed");
    else this.#cancel(call, "cancelled", "the caller gave the call up");
  }

  /** The peer does not want the answer. The transport has reset our side. */
  onStopSending(id: StreamId, code: number): void {
    this.onReset(id, code);
  }

  /** The connection is over. */
  close(): void {
    for (const call of this.#calls.values()) {
      if (call.state !== "done") this.#service.counters.cancelled++;
      call.abort("connection_lost", "the connection to the caller has ended");
      this.#finish(call);
    }
  }

  // What the server says.

  respond(call: IncomingCall, data: Uint8Array, packed = 0): void {
    if (call.state !== "running") return;
    if (call.topic !== undefined) {
      this.#service.counters.ok++;
      this.#write(call, this.#events.ack(call));
      return;
    }
    if (data.length > MAX_PAYLOAD_BYTES) {
      this.fail(
        call,
        ErrorCode.PAYLOAD_TOO_LARGE,
        false,
        `the answer has ${data.length} bytes; at most ${MAX_PAYLOAD_BYTES}`,
      );
      return;
    }
    const answer = call.answerPacking?.response(data) ?? { data, flags: packed };
    if (!(answer instanceof Promise)) return this.#answer(call, answer);
    answer.then((answer) => {
      if (call.state === "running") this.#answer(call, answer);
    }).catch(() => this.fail(call, ErrorCode.INTERNAL, false, "the answer could not be packed"));
  }

  #answer(call: IncomingCall, { data, flags }: Packed): void {
    if (data.length > MAX_PAYLOAD_BYTES) {
      const text = `the answer has ${data.length} bytes when it is sealed; at most ${MAX_PAYLOAD_BYTES}`;
      this.fail(call, ErrorCode.PAYLOAD_TOO_LARGE, false, text);
      return;
    }
    if (!call.answerReserved && !this.reserve(call, data.length)) {
      this.fail(call, ErrorCode.ANSWER_LOST, true, "no memory for the answer");
      return;
    }
    this.#service.counters.ok++;
    this.#write(call, this.#messages.response(call, data, flags));
  }

  /** An Error instead of an answer. */
  fail(call: IncomingCall, code: number, retryable: boolean, text: string): void {
    if (call.state === "sending" || call.state === "done") return;
    this.#service.counters.failed++;
    const sealed = call.answerPacking?.error(code, retryable, text);
    if (sealed === undefined) this.#write(call, this.#messages.error(call, code, retryable, text));
    else this.#write(call, this.#messages.response(call, sealed.data, sealed.flags));
  }

  /** An answer in several messages. {@link pump} sends what the source has; call it when there is more. */
  answerFrom(call: IncomingCall, source: AnswerSource): void {
    if (call.state !== "running") return source.stop();
    this.#service.counters.ok++;
    this.#driver.deadlines.remove(call);
    call.state = "sending";
    call.source = source;
    this.#calls.set(call.stream, call);
    this.pump(call);
  }

  /** See {@link answerFrom}. */
  pump(call: IncomingCall): void {
    if (call.state !== "sending" || call.source === undefined) return;
    this.#driver.deadlines.remove(call);
    for (;;) {
      if (call.message === undefined) {
        const next = call.source.next();
        if (next === undefined) return;
        call.message = next.message;
        call.isLast = next.isLast;
      }
      const accepted = this.#link.connection.write(call.stream, call.message, call.isLast, call.source.ahead);
      this.#driver.touch(this.#link);
      if (accepted < call.message.length) {
        call.message = call.message.subarray(accepted);
        if (call.source.mayStall && !call.isLast) return;
        call.deadline = (this.#driver.now + STALL_TIMEOUT) as Micros;
        this.#watch(call);
        return;
      }
      call.message = undefined;
      if (call.isLast) {
        this.#finish(call);
        return;
      }
    }
  }

  /** Milliseconds until the caller's deadline. */
  remainingMs(call: IncomingCall): number {
    if (call.state !== "running") return call.deadline === NEVER ? Infinity : 0;
    return Math.max(0, (call.deadline - this.#driver.clock.now()) / 1000);
  }

  /** See `IncomingCall.expired`. */
  onExpired(call: IncomingCall, _now: Micros): void {
    switch (call.state) {
      case "running":
        call.abort("deadline", "the caller's deadline has passed");
        this.fail(call, ErrorCode.DEADLINE_EXCEEDED, false, "the deadline passed before the handler answered");
        return;
      case "receiving":
        this.#service.counters.total++;
        this.#service.counters.refused++;
        this.fail(call, ErrorCode.DEADLINE_EXCEEDED, true, "the request stopped arriving");
        this.#link.connection.stopSending(call.stream, StreamError.DEADLINE);
        return;
      case "sending":
        this.#link.connection.resetStream(call.stream, StreamError.DEADLINE);
        this.#finish(call);
        this.#driver.touch(this.#link);
        return;
      case "done":
      case "passed_on":
    }
  }

  /** A refusal before any handler was asked; the rest of the request is not wanted. */
  refuse(call: IncomingCall, code: number, retryable: boolean, text: string, streamCode: number): void {
    this.#service.counters.refused++;
    const { connection } = this.#link;
    const unread = !connection.readFinished(call.stream);
    this.fail(call, code, retryable, text);
    if (unread) connection.stopSending(call.stream, streamCode);
  }

  #collect(call: IncomingCall, chunk: Uint8Array): void {
    const { maxRequestBytes } = this.#service;
    const fresh = call.reader === undefined;
    const reader = call.reader ??= new RequestReader(
      this.#messages.codec,
      call,
      maxRequestBytes,
      (bytes) => this.reserve(call, bytes),
    );
    const result = reader.push(chunk);
    if (result === undefined) {
      if (!fresh) this.#driver.deadlines.remove(call);
      call.deadline = (this.#driver.now + STALL_TIMEOUT) as Micros;
      this.#watch(call);
      return;
    }
    call.reader = undefined;
    this.#driver.deadlines.remove(call);
    if (result instanceof Uint8Array) this.#onRequest(call, result, true);
    else if (result instanceof StreamStart) this.#passOn(call, result);
    else this.#onProblem(call, result);
  }

  #passOn(call: IncomingCall, start: StreamStart): void {
    call.state = "passed_on";
    this.#calls.delete(call.stream);
    this.release(call);
    this.#onStream(call, start);
  }

  /** Reads what else there is of a stream. */
  #readOn(call: IncomingCall): void {
    if (call.state === "passed_on") return;
    const { connection } = this.#link;
    for (let chunk = connection.read(call.stream); chunk !== undefined; chunk = connection.read(call.stream)) {
      if (call.state === "receiving") this.#collect(call, chunk);
      else this.#onSurplus(call);
      // Whoever has the stream now reads it.
      if (call.state as IncomingCallState === "passed_on") return;
    }
    if (!connection.readFinished(call.stream)) return;
    if (call.state === "receiving") this.#onTruncated(call);
    else if (call.state === "done") this.#calls.delete(call.stream);
  }

  #onRequest(call: IncomingCall, payload: Uint8Array, filed: boolean): void {
    this.#service.counters.total++;
    call.state = "running";
    const { deadlineMillis } = call.details;
    const wait = deadlineMillis || call.timeoutSeconds * 1000;
    call.deadline = wait === 0 ? NEVER : (this.#driver.now + wait * 1000) as Micros;
    this.#service.dispatch(call, payload);
    // A handler that answers at once needs no entry and no timer.
    if (call.state === "running") {
      if (!filed) this.#calls.set(call.stream, call);
      this.#watch(call);
    }
  }

  #onProblem(call: IncomingCall, problem: RequestProblem): void {
    this.#service.counters.total++;
    const { code, retryable, text } = problem;
    const streamCode = code === ErrorCode.PAYLOAD_TOO_LARGE
      ? StreamError.TOO_LARGE
      : code === ErrorCode.OVERLOADED
      ? StreamError.REFUSED
      : StreamError.MALFORMED;
    this.refuse(call, code, retryable, text, streamCode);
  }

  #onTruncated(call: IncomingCall): void {
    this.#onProblem(call, {
      code: ErrorCode.BAD_REQUEST,
      retryable: false,
      text: "the stream ended inside the request",
    });
  }

  /** Bytes behind a request that was complete: the answer goes out all the same. */
  #onSurplus(call: IncomingCall): void {
    this.#link.connection.stopSending(call.stream, StreamError.MALFORMED);
  }

  /**
   * A stream without a byte. Also what is left of one that was answered and refused to read on: that one must not be
   * reset.
   */
  #onEmptyStream(id: StreamId): void {
    const { connection } = this.#link;
    if (connection.readFinished(id) && connection.writableBytes(id) > 0) {
      connection.resetStream(id, StreamError.MALFORMED);
    }
  }

  #cancel(call: IncomingCall, code: "cancelled" | "deadline", text: string): void {
    if (call.state !== "done") {
      this.#service.counters.cancelled++;
      const { connection } = this.#link;
      connection.resetStream(call.stream, StreamError.CANCELLED);
      connection.stopSending(call.stream, StreamError.CANCELLED);
    }
    call.abort(code, text);
    this.#finish(call);
    this.#driver.touch(this.#link);
  }

  #write(call: IncomingCall, message: Uint8Array): void {
    const accepted = this.#link.connection.write(call.stream, message, true);
    this.#driver.touch(this.#link);
    if (accepted === message.length) {
      this.#finish(call);
      return;
    }
    this.#driver.deadlines.remove(call);
    call.state = "sending";
    call.message = message.subarray(accepted);
    this.#calls.set(call.stream, call);
    call.deadline = (this.#driver.now + STALL_TIMEOUT) as Micros;
    this.#watch(call);
  }

  #watch(call: IncomingCall): void {
    if (call.deadline === NEVER) return;
    this.#driver.deadlines.add(call);
    this.#driver.armDeadlines();
  }

  /** Nothing more to send. The entry stays while the peer still sends, so that its stream is not taken for a new one. */
  #finish(call: IncomingCall): void {
    call.state = "done";
    call.message = undefined;
    call.reader = undefined;
    const { source } = call;
    call.source = undefined;
    source?.stop();
    this.#driver.deadlines.remove(call);
    if (!call.handling) this.release(call);
    if (this.#link.connection.readFinished(call.stream)) this.#calls.delete(call.stream);
  }

  /** Gives a call's memory back, once neither the handler nor the transport needs it. */
  release(call: IncomingCall): void {
    if (call.reserved === 0) return;
    this.#service.budget.release(call.reserved);
    call.reserved = 0;
  }

  /** Takes room in memory for a call, until {@link release}. */
  reserve(call: IncomingCall, bytes: number): boolean {
    if (bytes < LEAST_RESERVED) return true;
    if (!this.#service.budget.reserve(bytes)) return false;
    call.reserved += bytes;
    return true;
  }
}
