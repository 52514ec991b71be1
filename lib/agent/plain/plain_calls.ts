/**
 * Calls that come over the plain carrier: handed to the node's own handlers like any other, answered with one datagram.
 *
 * @module
 */

import { bytesEqual } from "../../base/bytes.ts";
import type { HashKey } from "../../base/keyed_hash.ts";
import { KeyedMap } from "../../base/keyed_map.ts";
import { NEVER } from "../../base/time.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { MAX_PLAIN_PAYLOAD } from "../../mesh/plain_messages.ts";
import type { PlainCallRequest } from "../../mesh/plain_request.ts";
import { formatId64 } from "../../mesh/id_sequence.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import { type AnswerSource, type CallAnswers, IncomingCall } from "../calls/incoming_call.ts";
import type { CallService } from "../calls/incoming_calls.ts";
import { type PeerInfo, plainPeerInfo } from "../peer_info.ts";
import type { PlainPort, PlainQuestion } from "./plain_port.ts";

/** No stream: a call here is one datagram, and so is its answer. */
const NO_STREAM = 0 as StreamId;

/** One call. */
export class PlainCall extends IncomingCall {
  readonly question: PlainQuestion;
  /** By which it is known while it runs: sender and message id. */
  readonly key: string;
  /** Whether it may go on to an agent that is connected with a key. */
  readonly mayEnterMesh: boolean;
  #peer: PeerInfo | undefined;

  constructor(calls: PlainCalls, question: PlainQuestion, key: string, mayEnterMesh: boolean) {
    super(calls, NO_STREAM);
    this.question = question;
    this.key = key;
    this.mayEnterMesh = mayEnterMesh;
  }

  override get peer(): PeerInfo {
    return this.#peer ??= plainPeerInfo(this.question.remote);
  }
}

/** What {@link PlainCalls} is told. */
export interface PlainCallsOptions {
  readonly maxCalls: number;
  readonly callTimeoutMs: number;
  /** 16 bytes: the one agent of the mesh that may be called. */
  readonly callTarget: Uint8Array | undefined;
}

/** All of them. */
export class PlainCalls implements CallAnswers {
  readonly session = undefined;
  readonly #port: PlainPort;
  readonly #service: CallService;
  readonly #options: PlainCallsOptions;
  readonly #running: KeyedMap<PlainCall>;
  total = 0;

  constructor(port: PlainPort, service: CallService, options: PlainCallsOptions, hashKey: HashKey) {
    this.#port = port;
    this.#service = service;
    this.#options = options;
    this.#running = new KeyedMap(hashKey);
  }

  /** Calls that are not answered. */
  get size(): number {
    return this.#running.size;
  }

  /** Every call has its own. */
  get peer(): PeerInfo {
    throw new TypeError("calls of the plain carrier have no peer in common");
  }

  /** Takes a call, whose bytes die when this returns. */
  accept(question: PlainQuestion, request: PlainCallRequest): void {
    const { maxCalls, callTimeoutMs, callTarget } = this.#options;
    const key = `${question.remote.key} ${formatId64(question.idHigh, question.idLow)}`;
    if (this.#running.get(key) !== undefined) return this.#port.drop("duplicate");
    this.total++;
    if (this.#running.size >= maxCalls) {
      const text = `${maxCalls} calls are running, which is all that is taken at once`;
      return this.#port.error(question, ErrorCode.OVERLOADED, true, text);
    }
    const target = request.form === "json" && callTarget !== undefined ? callTarget : request.target.slice();
    const isTarget = callTarget !== undefined && bytesEqual(target, callTarget);
    const call = new PlainCall(this, question, key, isTarget);
    call.idHigh = question.idHigh;
    call.idLow = question.idLow;
    call.traceHigh = question.traceHigh;
    call.traceLow = question.traceLow;
    call.target = target;
    const wantedMs = request.timeoutSeconds * 1000;
    const timeoutMs = wantedMs === 0 ? callTimeoutMs : Math.min(wantedMs, callTimeoutMs);
    call.timeoutSeconds = request.timeoutSeconds;
    call.deadline = this.#port.after(timeoutMs);
    call.state = "running";
    this.#running.set(key, call);
    this.#port.deadlines.add(call);
    this.#service.counters.total++;
    this.#service.dispatch(call, request.data.slice());
    this.#port.arm();
  }

  respond(call: IncomingCall, data: Uint8Array, packed = 0): void {
    if (call.state !== "running") return;
    if (packed !== 0) {
      return this.fail(call, ErrorCode.HANDLER_FAILED, false, "the agent's answer is compressed or sealed");
    }
    if (data.length > MAX_PLAIN_PAYLOAD) {
      const text = `the answer has ${data.length} bytes; a datagram holds ${MAX_PLAIN_PAYLOAD}`;
      return this.fail(call, ErrorCode.PAYLOAD_TOO_LARGE, false, text);
    }
    this.#service.counters.ok++;
    const { question } = call as PlainCall;
    this.#port.answer(question, this.#port.messages.response(question, data));
    this.#finish(call as PlainCall);
  }

  fail(call: IncomingCall, code: number, retryable: boolean, text: string): void {
    if (call.state !== "running") return;
    this.#service.counters.failed++;
    this.#port.error((call as PlainCall).question, code, retryable, text);
    this.#finish(call as PlainCall);
  }

  refuse(call: IncomingCall, code: number, retryable: boolean, text: string): void {
    this.#service.counters.refused++;
    this.fail(call, code, retryable, text);
  }

  /** Answers of several messages are for watches, which this carrier does not have. */
  answerFrom(call: IncomingCall, source: AnswerSource): void {
    source.stop();
    this.fail(call, ErrorCode.UNSUPPORTED_TYPE, false, "answers in several messages need a connection");
  }

  pump(): void {}

  /** A datagram is too small to be worth the bookkeeping. */
  reserve(): boolean {
    return true;
  }

  release(): void {}

  isEarly(): boolean {
    return false;
  }

  remainingMs(call: IncomingCall): number {
    if (call.state !== "running") return call.deadline === NEVER ? Infinity : 0;
    return Math.max(0, (call.deadline - this.#port.clock.now()) / 1000);
  }

  onExpired(call: IncomingCall): void {
    if (call.state !== "running") return;
    call.abort("deadline", "the caller's deadline has passed");
    this.fail(call, ErrorCode.DEADLINE_EXCEEDED, false, "the deadline passed before the handler answered");
  }

  /** The node is closing. */
  close(): void {
    for (const call of [...this.#running.values()]) {
      this.#service.counters.cancelled++;
      call.abort("connection_lost", "the node is shutting down");
      this.#finish(call);
    }
  }

  #finish(call: PlainCall): void {
    call.state = "done";
    this.#port.deadlines.remove(call);
    this.#running.delete(call.key);
  }
}
