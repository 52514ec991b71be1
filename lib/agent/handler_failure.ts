/**
 * What a caller is told of something that a handler threw.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import { ErrorCode, isApplicationError } from "../codec/error_codes.ts";
import { errorMessageCodeOf } from "../mesh/call_errors.ts";

/** What goes into an Error or a StreamClose. */
export interface HandlerFailure {
  readonly code: number;
  readonly retryable: boolean;
  readonly text: string;
}

const ABOUT_OTHERS = new WeakSet<MxpError>();

/**
 * Notes of an error that it says what became of a request that a handler, or an adapter, made itself, where no code of the protocol shows it.
 * Gives it back.
 */
export function aboutOthers<T>(error: T): T {
  if (error instanceof MxpError) ABOUT_OTHERS.add(error);
  return error;
}

/** Never a stack. Codes that an `MxpError` stands for are the handler's to choose. */
export function handlerFailure(error: unknown): HandlerFailure {
  const text = error instanceof Error ? error.message : String(error);
  if (!(error instanceof MxpError)) return { code: ErrorCode.HANDLER_FAILED, retryable: false, text };
  const { retryable, remoteCode } = error;
  if (remoteCode !== undefined && isApplicationError(remoteCode)) return { code: remoteCode, retryable, text };
  return { code: isAboutOthers(error) ? ErrorCode.HANDLER_FAILED : errorMessageCodeOf(error.code), retryable, text };
}

/**
 * Whether it says what became of a request that the handler made itself. Its code is about that one: that nothing was done, or that
 * there is no such agent, would not be true of the handler. Time and cancellation are the same for both.
 */
function isAboutOthers(error: MxpError): boolean {
  const { code, remoteCode } = error;
  if (code === "deadline" || code === "cancelled") return false;
  return remoteCode !== undefined || code === "connect_failed" || ABOUT_OTHERS.has(error);
}
