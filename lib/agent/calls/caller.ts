/**
 * The calls of a client.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { type Micros, NEVER } from "../../base/time.ts";
import { isNilUuid } from "../../base/uuid.ts";
import { MAX_CALL_TIMEOUT_SECONDS } from "../../codec/payloads/call.ts";
import type { AttemptInfo } from "../../codec/payloads/metadata.ts";
import { MessageType } from "../../codec/message_type.ts";
import { MAX_CALL_DATA_BYTES } from "../../mesh/call_messages.ts";
import type { CallOutcome } from "../../mesh/pending_calls.ts";
import { StreamClass } from "../../transport/scheduler.ts";
import { bodyBytes, type CallBody, Collecting } from "../call_body.ts";
import { asMxpError, type ClientCore, DEFAULT_CALL_TIMEOUT_MS } from "../client_core.ts";
import type { CallOptions } from "../client_types.ts";
import { OutgoingCall } from "./outgoing_calls.ts";
import { streamClassOf } from "../priority.ts";
import { metadataOf } from "../request_metadata.ts";
import { RequestPacking, unsealedError } from "../packing/request_packing.ts";
import { Reply } from "./reply.ts";
import { checkTimeout } from "../time_limit.ts";

/** Options that say nothing. Compared by identity: calls without any take a shorter way. */
export const NO_OPTIONS: CallOptions = {};

/** Later attempts have this number, too. */
const MAX_ATTEMPT_NUMBER = 255;

/** One of several attempts at the same call. */
export interface Attempt {
  /** 0 for the first. */
  readonly number: number;
  /** How many were made so far. */
  readonly whole: { readonly attempts: number };
  /** The message id of the first. */
  readonly firstHigh: number;
  readonly firstLow: number;
  readonly traceHigh: number;
  readonly traceLow: number;
  /** When the first began. */
  readonly startedAt: Micros;
  /** What all of them together may take. */
  readonly timeoutMs: number;
  /** Told which call it is. */
  readonly onCall: ((call: OutgoingCall) => void) | undefined;
}

/** Makes calls. One for a client. */
export class Caller {
  readonly #core: ClientCore;

  constructor(core: ClientCore) {
    this.#core = core;
  }

  /** See `Client.call`. */
  async call(
    body: CallBody | undefined,
    method: string | undefined,
    options: CallOptions,
    attempt?: Attempt,
  ): Promise<Reply> {
    const core = this.#core;
    const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal, capability } = options;
    checkTimeout(timeoutMs);
    if (capability !== undefined && options.agent !== undefined) {
      throw new MxpError("usage", "a call goes to an agent or to a capability; give one of them");
    }
    const agent = capability === undefined ? options.agent ?? core.url.agent : undefined;
    const target = core.target(agent);
    core.checkOpen();
    if (signal?.aborted) throw core.failure({ kind: "aborted" }, agent, timeoutMs, signal);

    const packing = options === NO_OPTIONS ? undefined : RequestPacking.of(core.platform, core.identity, options);

    let call!: OutgoingCall;
    let outcome = await new Promise<CallOutcome>((resolve) => {
      call = newCall(core, timeoutMs, resolve);
      attempt?.onCall?.(call);
      try {
        this.#launch(call, body, method, target, timeoutMs, options, attempt, packing);
      } catch (error) {
        core.session.outgoing.fail(call, error);
      }
    });
    // Only here, behind an await, does an error's stack lead back to whoever awaits the call.
    // Who holds the key that it was sealed to has proven that for the whole connection.
    const isInTheClear = packing?.isSealed && (outcome.kind === "error" || outcome.kind === "reset") &&
      !packing.isFor(core.url.publicKey);
    if (outcome.kind === "response" && packing !== undefined) {
      outcome = await packing.open(outcome.payload, outcome.packed);
    }
    if (outcome.kind === "response") return new Reply(outcome.payload, call, attempt);
    if (call.problem !== undefined) throw asMxpError(call.problem, !call.isBegun);
    const error = core.failure(outcome, agent, attempt?.timeoutMs ?? timeoutMs, signal, "call", !call.isBegun);
    throw isInTheClear ? unsealedError(error, capability !== undefined || !isNilUuid(target)) : error;
  }

  /** Gets a call's body and sends it. Throws what goes wrong at once; what goes wrong later ends the call. */
  #launch(
    call: OutgoingCall,
    body: CallBody | undefined,
    method: string | undefined,
    target: Uint8Array,
    timeoutMs: number,
    options: CallOptions,
    attempt: Attempt | undefined,
    packing: RequestPacking | undefined,
  ): void {
    const core = this.#core;
    const metadata = options === NO_OPTIONS && method === undefined && timeoutMs % 1000 === 0
      ? undefined
      : metadataOf(options, method, timeoutMs, attemptInfo(attempt));
    if (metadata?.traceparent !== undefined || options.traceId !== undefined) {
      const { traceHigh, traceLow } = core.trace(metadata, options.traceId);
      call.traceHigh = traceHigh;
      call.traceLow = traceLow;
    } else if (attempt !== undefined) {
      call.traceHigh = attempt.traceHigh;
      call.traceLow = attempt.traceLow;
    } else {
      core.traces.next();
      call.traceHigh = core.traces.high;
      call.traceLow = core.traces.low;
    }
    call.onProgress = options.onProgress;
    call.streamClass = streamClassOf(options.priority, StreamClass.INTERACTIVE);
    if (options.signal !== undefined) core.follow(options.signal, call);
    const seconds = timeoutMs === Infinity ? 0 : Math.min(Math.ceil(timeoutMs / 1000), MAX_CALL_TIMEOUT_SECONDS);
    const isThere = body instanceof Uint8Array || typeof body === "string" || body === undefined;
    if (isThere && packing === undefined) {
      const data = bodyBytes(body, MAX_CALL_DATA_BYTES, "the body") as Uint8Array;
      core.send(call, core.messages.call(call, metadata, target, seconds, data), options.idempotent);
      return;
    }
    core.session.outgoing.file(call);
    const collecting = new Collecting();
    call.onEnd = () => collecting.stop();
    const collected = bodyBytes(body, MAX_CALL_DATA_BYTES, "the body", collecting);
    call.accepted = packing?.accepted ?? 0;
    Promise.resolve(collected).then(async (data) => {
      if (call.pendingKey === -1) return;
      const { traceHigh, traceLow } = call;
      const context = { type: MessageType.CALL, traceHigh, traceLow };
      const packed = await packing?.pack(context, target, metadata, data) ?? { data, metadata, flags: 0 };
      if (call.pendingKey === -1) return;
      const message = core.messages.call(call, packed.metadata, target, seconds, packed.data, packed.flags);
      core.send(call, message, options.idempotent);
    }).catch((error) => core.session.outgoing.fail(call, error));
  }
}

/** What is said of it on the wire: of the first one nothing. */
function attemptInfo(attempt: Attempt | undefined): AttemptInfo | undefined {
  if (attempt === undefined || attempt.number === 0) return undefined;
  const { number, firstHigh, firstLow } = attempt;
  return { number: Math.min(number, MAX_ATTEMPT_NUMBER), firstHigh, firstLow };
}

/** A call with an id and a deadline, not filed anywhere yet. */
export function newCall(core: ClientCore, timeoutMs: number, resolve: (outcome: CallOutcome) => void): OutgoingCall {
  const { outgoing, driver } = core.session;
  const now = driver.clock.now();
  const deadline = timeoutMs === 0 || timeoutMs === Infinity ? NEVER : (now + timeoutMs * 1000) as Micros;
  const call = new OutgoingCall(outgoing, now, deadline, resolve);
  core.ids.next();
  call.idHigh = core.ids.high;
  call.idLow = core.ids.low;
  return call;
}
