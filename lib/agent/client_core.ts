/**
 * What every request of a client needs: ids, whom it is for, and how its failure is told.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import type { Metadata } from "../codec/payloads/metadata.ts";
import { headerTraceId } from "../codec/traceparent.ts";
import { agentTarget } from "../mesh/agent_target.ts";
import type { CallMessages } from "../mesh/call_messages.ts";
import { IdSequence } from "../mesh/id_sequence.ts";
import type { CallOutcome } from "../mesh/pending_calls.ts";
import { StreamError } from "../wire/error_codes.ts";
import { callFailure, connectionEnded, type Errand } from "./calls/call_failure.ts";
import { aboutOthers } from "./handler_failure.ts";
import type { Identity } from "./identity.ts";
import type { OutgoingCall } from "./calls/outgoing_calls.ts";
import { formatMxpUrl, isUuid, type MxpUrl } from "./mxp_url.ts";
import { noAnswer } from "./no_answer.ts";
import type { Platform } from "./platform.ts";
import { quote } from "./quote.ts";
import type { Session } from "./session.ts";
import type { StreamResumer } from "./streams/stream_resumer.ts";

/** How long a request waits for its answer unless it is told otherwise. */
export const DEFAULT_CALL_TIMEOUT_MS = 30_000;

/** One for a client. */
export class ClientCore {
  readonly platform: Platform;
  readonly identity: Identity;
  readonly session: Session;
  readonly messages: CallMessages;
  readonly url: MxpUrl;
  readonly ids: IdSequence;
  readonly traces: IdSequence;
  /** No new requests are taken. */
  draining = false;
  #lastAgent: string | undefined;
  #lastTarget: Uint8Array;

  /** Brings resumable streams back; undefined where the connection is somebody else's. */
  readonly resumer: StreamResumer | undefined;

  /** @param url with the key that the node has shown. */
  constructor(
    platform: Platform,
    identity: Identity,
    session: Session,
    messages: CallMessages,
    url: MxpUrl,
    resumer?: StreamResumer,
  ) {
    this.resumer = resumer;
    this.platform = platform;
    this.identity = identity;
    this.session = session;
    this.messages = messages;
    this.url = url;
    this.ids = new IdSequence(platform.random);
    this.traces = new IdSequence(platform.random);
    this.#lastAgent = url.agent;
    this.#lastTarget = this.#targetOf(url.agent);
  }

  /** @throws {MxpError} `closed`, `connection_lost` … if nothing can be asked any more. */
  checkOpen(): void {
    if (this.session.closeReason !== undefined) throw connectionEnded(this.session.closeReason, "the connection", true);
    if (this.draining) {
      throw new MxpError("closed", "the client is being closed and takes no new calls", { nothingDone: true });
    }
  }

  /** The trace id for a request: the one that its traceparent names, else the one that was asked for, else a new one. */
  trace(
    metadata: Metadata | undefined,
    traceId: string | undefined,
  ): { readonly traceHigh: number; readonly traceLow: number } {
    if (metadata?.traceparent !== undefined) return headerTraceId(metadata.traceparent);
    if (traceId !== undefined) return parseTraceId(traceId);
    this.traces.next();
    return { traceHigh: this.traces.high, traceLow: this.traces.low };
  }

  /** Whom a request is for: 16 bytes. */
  target(agent: string | undefined): Uint8Array {
    return agent === this.#lastAgent ? this.#lastTarget : this.#targetOf(agent);
  }

  /** Names whom a request is for, in errors. */
  targetText(agent: string | undefined): string {
    const { host, port } = this.url;
    const node = formatMxpUrl({ host, port }).slice("mxp://".length);
    return agent === undefined ? node : `${isUuid(agent) ? agent : quote(agent)} at ${node}`;
  }

  /** The error that an outcome is to whoever asked. */
  failure(
    outcome: Exclude<CallOutcome, { kind: "response" }>,
    agent: string | undefined,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    what?: Errand,
    nothingSent = false,
  ): MxpError {
    const { closeReason, established, driver } = this.session;
    if (outcome.kind === "deadline" && !established && closeReason === undefined) {
      // The node has not been heard of yet: it is not the agent that takes too long.
      return noAnswer(this.targetText(undefined), timeoutMs, driver.sendErrors);
    }
    return callFailure(outcome, this.targetText(agent), timeoutMs, signal?.reason, closeReason, what, nothingSent);
  }

  /** Sends a request that is answered on its stream. @throws {MxpError} `overloaded`. */
  send(call: OutgoingCall, message: Uint8Array, mayBeEarly = false): void {
    if (mayBeEarly && this.session.outgoing.sendEarly(call, message)) return;
    this.session.begin();
    if (this.session.outgoing.send(call, message)) return;
    const text = "too many calls are waiting for the node already";
    throw aboutOthers(new MxpError("overloaded", text, { retryable: true, nothingDone: true }));
  }

  /** Ends a call when a signal says so; stops listening when the call ends. */
  follow(signal: AbortSignal, call: OutgoingCall): void {
    const onAbort = (): void => this.session.outgoing.giveUp(call, { kind: "aborted" }, StreamError.CANCELLED);
    signal.addEventListener("abort", onAbort, { once: true });
    call.stopListening = () => signal.removeEventListener("abort", onAbort);
  }

  #targetOf(agent: string | undefined): Uint8Array {
    if (agent === undefined) return new Uint8Array(16);
    const target = agentTarget((bytes) => this.platform.crypto.sha256.hash(bytes), agent);
    this.#lastAgent = agent;
    this.#lastTarget = target;
    return target;
  }
}

function parseTraceId(text: string): { readonly traceHigh: number; readonly traceLow: number } {
  if (!/^(?!0{16})[0-9a-f]{16}$/.test(text)) {
    throw new MxpError("usage", `${quote(String(text))} is not a trace id; expected 16 hex digits, not all zero`);
  }
  return { traceHigh: parseInt(text.slice(0, 8), 16), traceLow: parseInt(text.slice(8), 16) };
}

/** What was thrown, as an error of this library. `nothingSent`: before anything of the request had left. */
export function asMxpError(problem: unknown, nothingSent = false): MxpError {
  if (problem instanceof MxpError) return problem;
  const text = problem instanceof Error ? problem.message : String(problem);
  const code = problem instanceof RangeError || problem instanceof TypeError ? "usage" : "cancelled";
  return new MxpError(code, text, { cause: problem, nothingDone: nothingSent });
}
