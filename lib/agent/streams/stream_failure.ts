/**
 * Why an agent stream ended, as the error that who uses it gets.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { ErrorCode, errorCodeInfo } from "../../codec/error_codes.ts";
import type { StreamEnding } from "../../mesh/agent_streams.ts";
import { remoteError, resetMeaning } from "../calls/call_failure.ts";

/** The error for the end of the receiving half; undefined for a good one. `from` names the other side. */
export function endingError(ending: StreamEnding, from: string): MxpError | undefined {
  switch (ending.kind) {
    case "closed": {
      const { code, reason } = ending;
      if (code === ErrorCode.UNSPECIFIED) return undefined;
      const retryable = errorCodeInfo(code)?.retryable ?? false;
      return remoteError(code, retryable, reason);
    }
    case "refused": {
      const { code, retryable } = ending;
      // The node knows a name only by its target; we know what was asked for.
      const isByName = code === ErrorCode.NO_SUCH_AGENT && from.includes(" at ");
      return remoteError(code, retryable, isByName ? `no agent ${from}` : ending.text);
    }
    case "violation":
      return new MxpError("agent_error", `the stream from ${from} is not valid: ${ending.text}`);
  }
}

/** The error for a stream that the other side reset. */
export function resetError(streamCode: number): MxpError {
  const { code, retryable, text } = resetMeaning(streamCode, "stream");
  return new MxpError(code, text, { retryable, remoteCode: streamCode });
}
