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
  | "refused"
  | "not_allowed";

/** What an error says beside its code and text. */
export interface MxpErrorOptions {
  /** See {@link MxpError.retryable}. */
  readonly retryable?: boolean;
  /** See {@link MxpError.nothingDone}. */
  readonly nothingDone?: boolean;
  /** See {@link MxpError.remoteCode}. */
  readonly remoteCode?: number;
  /** See {@link MxpError.remoteName}. */
  readonly remoteName?: string;
  /** See {@link MxpError.isUnsealed}. */
  readonly isUnsealed?: boolean;
  /** What was caught. */
  readonly cause?: unknown;
}

/** Thrown (or used to reject a promise) by everything public. `message` is one lower-case line. */
export class MxpError extends Error {
  /** For logs, and for telling errors apart across copies of the library. */
  override readonly name = "MxpError";
  /** What went wrong, for programs. */
  readonly code: MxpErrorCode;
  /** Whether the same request may succeed if it is tried again. */
  readonly retryable: boolean;
  /**
   * Whether the request has certainly not been carried out, so that repeating it cannot carry it out twice. False where
   * nobody knows. Of `usage` it is true: what makes no sense is not sent.
   */
  readonly nothingDone: boolean;
  /**
   * The code of the protocol's Error message, reset or CLOSE frame, where one caused this. A handler that throws an error with a
   * `remoteCode` from 0x8000 to 0xFFFF answers with that code: these are the application's own.
   */
  readonly remoteCode: number | undefined;
  /** The name of that code, if it came in an Error message: `NO_SUCH_METHOD`, `0x8001`. */
  readonly remoteName: string | undefined;
  /**
   * Whether it is about something that was sealed end to end, and came in the clear: a node on the way says so, and may have made it
   * up.
   */
  readonly isUnsealed: boolean;

  /**
   * An error for a caller of the library.
   *
   * @param message one lower-case line.
   * @param options `retryable` and `nothingDone` are false unless they are given, but for `usage`; `cause` is what was caught, if anything was.
   *
   * @example
   * ```ts
   * import { connect, MxpError, serve } from "../../mod.ts";
   * await using server = await serve({ listen: "127.0.0.1:0" }, () => {
   *   throw new MxpError("agent_error", "the printer is out of paper", { remoteCode: 0x8001, retryable: true });
   * });
   * await using client = await connect(server.url);
   * const error = await client.call("print").catch((error) => error);
   * console.log(error.remoteName, error.retryable); // 0x8001 true
   * ```
   */
  constructor(
    code: MxpErrorCode,
    message: string,
    options: MxpErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.nothingDone = options.nothingDone ?? code === "usage";
    this.remoteCode = options.remoteCode;
    this.remoteName = options.remoteName;
    this.isUnsealed = options.isUnsealed ?? false;
  }
}
