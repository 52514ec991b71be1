/**
 * What calls and streams that a node passes on have in common (SPEC §8.11).
 *
 * @module
 */

import { concatBytes } from "../../base/bytes.ts";
import type { MxpErrorCode } from "../../base/errors.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import type { Metadata } from "../../codec/payloads/metadata.ts";
import type { MessageIds, MessageWriter } from "../../mesh/message_writer.ts";
import type { RegisteredAgent } from "../../mesh/registered_agent.ts";
import type { RequestProblem } from "../../mesh/request_reader.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { Wanted } from "./agent_links.ts";
import type { IncomingRequest } from "../incoming_request.ts";
import type { StreamOutcome } from "../streams/incoming_stream.ts";
import { quote } from "../quote.ts";
import { MAX_DEADLINE_MS } from "../request_metadata.ts";

/** Told when something that was passed on is over, with the agent that had it last. */
export type OnOver = (request: IncomingRequest, agent: RegisteredAgent | undefined, outcome: StreamOutcome) => void;

/** Whom a request is for. */
export function wantedBy({ target, details: { capability } }: IncomingRequest): Wanted {
  return { target, capability };
}

/** What whoever asks an agent of the plain carrier for something is told, where that carrier has nothing of the kind (SPEC §3.2). */
export function notOnPlain({ register: { name } }: RegisteredAgent, what: string): RequestProblem {
  const text = `the agent ${quote(name)} is on the plain carrier, which has calls, but no ${what}`;
  return { code: ErrorCode.UNSUPPORTED_TYPE, retryable: false, text };
}

/** What an agent is told when nobody waits for what was passed on to it any more. */
export function giveUpCode(reason: MxpErrorCode): number {
  return reason === "deadline" ? StreamError.DEADLINE : StreamError.CANCELLED;
}

/** What a requester is told when nobody is left who could take its request, and nothing was done: what the last agent has said, if that is of any use. */
export function refusalCode({ code }: { readonly code: number }): number {
  return code === ErrorCode.OVERLOADED ? ErrorCode.OVERLOADED : ErrorCode.UNAVAILABLE;
}

/** What an agent means that resets what was passed on to it, without an Error and without being gone (SPEC §8.3). */
export function resetProblem(streamCode: number, what: "call" | "event"): RequestProblem {
  switch (streamCode) {
    case StreamError.CANCELLED:
      return { code: ErrorCode.CANCELLED, retryable: false, text: `the agent cancelled the ${what}` };
    case StreamError.DEADLINE:
      return {
        code: ErrorCode.DEADLINE_EXCEEDED,
        retryable: false,
        text: `the agent gave the ${what} up at its deadline`,
      };
    case StreamError.TOO_LARGE:
      return {
        code: ErrorCode.PAYLOAD_TOO_LARGE,
        retryable: false,
        text: `the ${what} is larger than its agent takes`,
      };
    default:
      return { code: ErrorCode.HANDLER_FAILED, retryable: false, text: `the agent gave the ${what} up` };
  }
}

/** Whether an Error says that nothing was done. */
export function canTryOthers({ code, retryable }: { readonly code: number; readonly retryable: boolean }): boolean {
  if (code === ErrorCode.NO_SUCH_AGENT) return true;
  return retryable && (code === ErrorCode.UNAVAILABLE || code === ErrorCode.OVERLOADED);
}

/** The Metadata that goes on to the agent: all of it but what is about the way there, and the time that is left. */
export function relayedMetadata({ details }: IncomingRequest, hopLimit: number, left: number): Metadata {
  const { values: _, capability: _chosen, deadlineMillis: _then, head: _inData, origin: _others, ...rest } = details;
  const deadlineMillis = Math.min(Math.max(1, Math.ceil(left)), MAX_DEADLINE_MS);
  return { ...rest, ...(left !== Infinity && { deadlineMillis }), hopLimit };
}

/** What came in front of a request and is not known here goes on in front of it, as it was but for its ids. */
export function withExtensions(
  writer: MessageWriter,
  { extensions }: IncomingRequest,
  ids: MessageIds,
  messages: Uint8Array,
): Uint8Array {
  if (extensions.length === 0) return messages;
  return concatBytes(
    ...extensions.map(({ type, flags, payload }) => writer.message(type, flags, ids, payload)),
    messages,
  );
}
