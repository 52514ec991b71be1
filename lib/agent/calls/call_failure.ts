/**
 * Why a call failed, as the error that its caller gets.
 *
 * @module
 */

import { MxpError, type MxpErrorCode } from "../../base/errors.ts";
import { ErrorCode, errorCodeInfo, errorCodeName } from "../../codec/error_codes.ts";
import { codeOfErrorMessage } from "../../mesh/call_errors.ts";
import type { CallOutcome } from "../../mesh/pending_calls.ts";
import type { CloseReason } from "../../transport/events.ts";
import { StreamError, TransportError, transportErrorName } from "../../wire/error_codes.ts";
import { printable } from "../quote.ts";

/** Codes that this side closes with when nothing went wrong. */
const ON_PURPOSE: ReadonlySet<number> = new Set([
  TransportError.NO_ERROR,
  TransportError.SHUTDOWN,
  TransportError.DRAINED,
  TransportError.NOT_ALLOWED,
]);
/** Characters of a peer's text that go into an error. */
const MAX_TEXT = 300;

/** What can fail. A request is one about agents. */
export type Errand = "call" | "stream" | "event" | "request" | "ping" | "subscription";

/** What a RESET_STREAM or STOP_SENDING from the other side says about one of them. */
export function resetMeaning(
  code: number,
  what: Errand,
): { readonly code: MxpErrorCode; readonly retryable: boolean; readonly text: string } {
  switch (code) {
    case StreamError.CANCELLED:
      return { code: "cancelled", retryable: false, text: `the ${what} was cancelled by the other side` };
    case StreamError.DEADLINE:
      return { code: "deadline", retryable: false, text: `the other side gave the ${what} up at its deadline` };
    case StreamError.REFUSED:
      return { code: "overloaded", retryable: true, text: `the other side turned the ${what} away` };
    case StreamError.TOO_LARGE:
      return { code: "too_large", retryable: false, text: `the ${what} is larger than the other side takes` };
    case StreamError.GONE:
      return { code: "connection_lost", retryable: true, text: "the agent behind the node has gone" };
    default:
      return {
        code: "agent_error",
        retryable: false,
        text: `the other side reset the ${what} with code 0x${code.toString(16).padStart(2, "0")}`,
      };
  }
}

/** Why a connection ended: what the transport says, or that its socket failed. */
export interface ConnectionEnd {
  readonly by: CloseReason["by"] | "socket";
  readonly code: number;
  readonly message: string;
  readonly hint?: CloseReason["hint"];
}

/** A peer's words, made safe for a terminal and cut. */
export function peerText(text: string): string {
  const safe = printable(text);
  return safe.length > MAX_TEXT ? safe.slice(0, MAX_TEXT) + "…" : safe;
}

/**
 * The error for a call, or whatever else it was, that did not get an answer.
 *
 * @param target names who was called.
 * @param timeoutMs what the caller had allowed.
 * @param cause what the caller's abort signal gave as its reason.
 * @param closed why the connection ended, if it did.
 * @param what was asked for.
 * @param nothingSent whether nothing of it had left.
 */
export function callFailure(
  outcome: Exclude<CallOutcome, { kind: "response" }>,
  target: string,
  timeoutMs: number,
  cause: unknown,
  closed: ConnectionEnd | undefined,
  what: Errand = "call",
  nothingSent = false,
): MxpError {
  switch (outcome.kind) {
    case "error": {
      const { code, retryable } = outcome;
      // The node knows a name only by its target; we know what was asked for.
      const isByName = code === ErrorCode.NO_SUCH_AGENT && target.includes(" at ");
      return remoteError(code, retryable, isByName ? `no agent ${target}` : outcome.text);
    }
    case "deadline":
      return new MxpError("deadline", `no answer from ${target} within ${timeoutMs} ms`);
    case "aborted":
      return new MxpError("cancelled", `the ${what} to ${target} was cancelled`, { cause });
    case "reset": {
      const { code, retryable, text } = resetMeaning(outcome.code, what);
      const nothingDone = outcome.code === StreamError.REFUSED;
      return new MxpError(code, text, { retryable, nothingDone, remoteCode: outcome.code });
    }
    case "malformed":
      return new MxpError("agent_error", `the answer from ${target} is not valid: ${outcome.what}`);
    case "lost":
      return connectionEnded(closed, `the ${what} to ${target}`, nothingSent || (what === "call" && isDrained(closed)));
  }
}

/** The error for what an Error message says. */
export function remoteError(code: number, retryable: boolean, text: string): MxpError {
  return new MxpError(codeOfErrorMessage(code), text === "" ? errorCodeName(code) : peerText(text), {
    retryable,
    nothingDone: errorCodeInfo(code)?.nothingDone ?? false,
    remoteCode: code,
    remoteName: errorCodeName(code),
  });
}

/** The error for something that a connection's end has ended with it. `nothingSent`: before anything of it had left. */
export function connectionEnded(closed: ConnectionEnd | undefined, what: string, nothingSent = false): MxpError {
  const nothingDone = nothingSent;
  if (closed === undefined || (closed.by === "local" && ON_PURPOSE.has(closed.code))) {
    return new MxpError("closed", `${what} ended: the connection was closed here`, { nothingDone });
  }
  const remoteCode = closed.code;
  if (closed.by === "peer" && closed.code === TransportError.NOT_ALLOWED) {
    return new MxpError("refused", `${what} was refused: the node does not allow this key`, {
      remoteCode,
      nothingDone,
    });
  }
  if (closed.by === "handshake_timeout") {
    if (closed.hint === "rejected_key") {
      return new MxpError("key_mismatch", `${what} failed: the node does not hold the key that it had before`, {
        nothingDone,
      });
    }
    return new MxpError("connect_failed", `${what} failed: no answer from the node, is it listening there?`, {
      retryable: true,
      nothingDone,
    });
  }
  return new MxpError("connection_lost", `${what} ended: ${describeClose(closed)}`, {
    retryable: true,
    nothingDone,
    remoteCode,
  });
}

/** Whether a connection ended although neither side wanted to be done with the other. */
export function isLost({ by, code }: ConnectionEnd): boolean {
  if (by === "local") return !ON_PURPOSE.has(code);
  // A node that goes down may come back; who has closed its client will not.
  return by !== "peer" || (code !== TransportError.NO_ERROR && code !== TransportError.NOT_ALLOWED);
}

/** Whether the other side has said that it has begun no call that it has not answered. */
function isDrained(end: ConnectionEnd | undefined): boolean {
  return end?.by === "peer" && end.code === TransportError.DRAINED;
}

/** Why a connection ended, in a few words. */
export function describeClose(reason: ConnectionEnd): string {
  const words = reason.message === "" ? "" : `: ${peerText(reason.message)}`;
  switch (reason.by) {
    case "local":
      if (reason.code === TransportError.NO_ERROR) return "the connection was closed here";
      return `the connection was closed here (${transportErrorName(reason.code)}${words})`;
    case "peer":
      return `the peer closed the connection (${transportErrorName(reason.code)}${words})`;
    case "idle_timeout":
      return "nothing was heard from the peer for too long";
    case "reset":
      return "the node does not know this connection any more (was it started anew?)";
    case "handshake_timeout":
      return "the handshake was not answered";
    case "socket":
      return `the socket failed${words}`;
    default:
      return `the connection was closed (${transportErrorName(reason.code)}${words})`;
  }
}
