/**
 * What can go wrong on the command line, and which exit code says so.
 *
 * @module
 */

import type { MxpErrorCode } from "../mod.ts";

/** Exit codes; scripts depend on them. */
export const ExitCode = {
  OK: 0,
  INTERNAL: 1,
  USAGE: 2,
  CONFIG: 3,
  CONNECT: 4,
  DEADLINE: 5,
  NO_SUCH_AGENT: 6,
  AGENT_ERROR: 7,
  CANCELLED: 8,
  KEY_MISMATCH: 9,
  INTERRUPTED: 130,
  TERMINATED: 143,
} as const;

/** The library's codes and those that only the command line has, as `--json` shows them. */
export type CliErrorCode = MxpErrorCode | "unknown_key" | "interrupted" | "terminated";

/** The exit code of each. */
export const EXIT_CODES: Readonly<Record<CliErrorCode, number>> = {
  internal: ExitCode.INTERNAL,
  usage: ExitCode.USAGE,
  config: ExitCode.CONFIG,
  connect_failed: ExitCode.CONNECT,
  handshake_failed: ExitCode.CONNECT,
  refused: ExitCode.CONNECT,
  connection_lost: ExitCode.CONNECT,
  closed: ExitCode.CONNECT,
  deadline: ExitCode.DEADLINE,
  no_such_agent: ExitCode.NO_SUCH_AGENT,
  agent_error: ExitCode.AGENT_ERROR,
  overloaded: ExitCode.AGENT_ERROR,
  not_allowed: ExitCode.AGENT_ERROR,
  // Said before anything was sent: what was asked for cannot be done.
  too_large: ExitCode.USAGE,
  cancelled: ExitCode.CANCELLED,
  key_mismatch: ExitCode.KEY_MISMATCH,
  unknown_key: ExitCode.KEY_MISMATCH,
  interrupted: ExitCode.INTERRUPTED,
  terminated: ExitCode.TERMINATED,
};

/** An error that a command raises itself. `message` is one lower-case line: what happened, with what, what to do. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: CliErrorCode;

  constructor(code: CliErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Wrong usage, with a hint where the usage is described. */
export function usageError(message: string, command?: string): CliError {
  return new CliError("usage", `${message} (see: mxp ${command === undefined ? "" : command + " "}--help)`);
}

/** Does what may find a value wrong; a value that an environment variable holds is wrong configuration, not wrong usage. */
export async function blaming<T>(variable: string | undefined, task: () => T | Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (variable === undefined || codeOf(error) !== "usage") throw error;
    throw new CliError("config", `in the environment, ${variable}: ${messageOf(error)}`, { cause: error });
  }
}

/** The code that an error carries; `internal` for what nobody foresaw. */
export function codeOf(error: unknown): CliErrorCode {
  return foreseen(error) ?? "internal";
}

function foreseen(error: unknown): CliErrorCode | undefined {
  // By shape rather than by class: looking at an error must not load the library.
  if (!(error instanceof Error) || (error.name !== "MxpError" && error.name !== "CliError")) return undefined;
  const { code } = error as { code?: unknown };
  return typeof code === "string" && Object.hasOwn(EXIT_CODES, code) ? code as CliErrorCode : undefined;
}

/** The exit code for an error. */
export function exitCodeOf(error: unknown): number {
  const code = codeOf(error);
  // An answer that was too large is the agent's doing, a request that was too large ours.
  if (code === "too_large" && (error as { remoteCode?: unknown }).remoteCode !== undefined) return ExitCode.AGENT_ERROR;
  return EXIT_CODES[code];
}

/** The text of an error on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  const line = text.trim().replace(/\s*[\r\n]+\s*/g, "; ");
  if (foreseen(error) !== undefined) return line;
  return `internal error: ${line} (please report it; --log-level debug shows where)`;
}
