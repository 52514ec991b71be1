/**
 * Waiting for something for a limited time.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import { quote } from "./quote.ts";

/** The longest time that timers take; with more they fire at once. 24 days. */
const LONGEST_MS = 2 ** 31 - 1;

/** A limit that somebody waits for along with something else. */
export interface TimeLimit {
  /** Settles when the time is over. */
  readonly over: Promise<void>;
  /** The limit is not needed any more. */
  cancel(): void;
}

/** Begins now; Infinity is never over. @throws {MxpError} `usage` for what is no time. */
export function timeLimit(timeoutMs: number): TimeLimit {
  checkTimeout(timeoutMs);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(() => timeoutMs === Infinity || resolve(), Math.min(timeoutMs, LONGEST_MS));
  });
  return { over, cancel: () => clearTimeout(timer) };
}

/** @throws {MxpError} `usage` for what is no time. */
export function checkTimeout(timeoutMs: number): void {
  if (typeof timeoutMs === "number" && timeoutMs >= 0) return;
  const got = typeof timeoutMs === "number" ? timeoutMs : `${typeof timeoutMs} ${quote(String(timeoutMs))}`;
  throw new MxpError("usage", `timeoutMs must be a number of at least 0, got ${got}`);
}
