/**
 * How the codes of Error messages translate to the library's errors, and back.
 *
 * @module
 */

import type { MxpErrorCode } from "../base/errors.ts";
import { ErrorCode } from "../codec/error_codes.ts";

/** The library's code for the code of an Error message. Whatever is not known is the agent's own business. */
export function codeOfErrorMessage(code: number): MxpErrorCode {
  switch (code) {
    case ErrorCode.NO_SUCH_AGENT:
      return "no_such_agent";
    case ErrorCode.OVERLOADED:
    case ErrorCode.LIMIT_REACHED:
    case ErrorCode.TOO_SLOW:
      return "overloaded";
    case ErrorCode.DEADLINE_EXCEEDED:
      return "deadline";
    case ErrorCode.CANCELLED:
      return "cancelled";
    case ErrorCode.NOT_ALLOWED:
      return "not_allowed";
    case ErrorCode.AGENT_ID_TAKEN:
      return "refused";
    case ErrorCode.PAYLOAD_TOO_LARGE:
      return "too_large";
    case ErrorCode.UNAVAILABLE:
      return "closed";
    case ErrorCode.ANSWER_LOST:
    case ErrorCode.CANNOT_RESUME:
      return "connection_lost";
    default:
      return "agent_error";
  }
}

/** The code of the Error message that tells a caller of one of the library's errors. */
export function errorMessageCodeOf(code: MxpErrorCode): number {
  switch (code) {
    case "no_such_agent":
      return ErrorCode.NO_SUCH_AGENT;
    case "overloaded":
      return ErrorCode.OVERLOADED;
    case "deadline":
      return ErrorCode.DEADLINE_EXCEEDED;
    case "cancelled":
      return ErrorCode.CANCELLED;
    case "refused":
    case "not_allowed":
      return ErrorCode.NOT_ALLOWED;
    case "too_large":
      return ErrorCode.PAYLOAD_TOO_LARGE;
    case "usage":
      return ErrorCode.BAD_REQUEST;
    case "closed":
    case "connect_failed":
      return ErrorCode.UNAVAILABLE;
    case "connection_lost":
      return ErrorCode.ANSWER_LOST;
    default:
      return ErrorCode.HANDLER_FAILED;
  }
}
