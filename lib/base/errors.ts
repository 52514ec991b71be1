/**
 * The one error class that the library throws at its callers.
 *
 * Peers never cause a throw inside the core: what they send wrongly is returned, counted, or closes the connection with a
 * {@link TransportErrorCode}. What a caller of the public library sees is always an {@link MxpError}.
 *
 * @module
 */

/** What went wrong, for programs. The command line maps each to an exit code. */
export type MxpErrorCode =
  | "internal"
  | "usage"
  | "config"
  | "connect_failed"
  | "handshake_failed"
  | "key_mismatch"
  | "deadline"
  | "no_such_agent"
  | "agent_error"
  | "cancelled"
  | "connection_lost"
  | "closed"
  | "too_large"
  | "overloaded"
  | "refused";

/** Thrown (or used to reject a promise) by everything public. `message` is one lower-case line. */
export class MxpError extends Error {
  /** For logs, and for telling errors apart across copies of the library. */
  override readonly name = "MxpError";
  /** What went wrong, for programs. */
  readonly code: MxpErrorCode;
  /** Whether the same request may succeed if it is tried again. */
  readonly retryable: boolean;
  /** The code of the protocol's Error message or CLOSE frame, where one caused this. */
  readonly remoteCode: number | undefined;

  /**
   * An error for a caller of the library.
   *
   * @param message one lower-case line.
   * @param options `retryable` is false unless it is given; `cause` is what was caught, if anything was.
   */
  constructor(
    code: MxpErrorCode,
    message: string,
    options: { retryable?: boolean; remoteCode?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.remoteCode = options.remoteCode;
  }
}
