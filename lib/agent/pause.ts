/**
 * What is worth trying again after a node was lost, and how long to wait before that.
 *
 * @module
 */

import { readU32 } from "../base/bytes.ts";
import type { MxpError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";

/** The pause before the second attempt; the first is made after a random part of it. */
const FIRST_PAUSE_MS = 250;
/** Pauses double up to this. */
const LONGEST_PAUSE_MS = 10_000;

/**
 * Milliseconds before an attempt to get back, counted from 0: twice as long each time, up to `longestMs`. Of that, between half and all, and
 * before the first any part, so that those who lost the same node do not come back all at once.
 */
export function pauseMillis(attempt: number, random: Random, longestMs = LONGEST_PAUSE_MS): number {
  const bytes = new Uint8Array(4);
  random.fillPublic(bytes);
  const chance = readU32(bytes, 0) / 0x1_0000_0000;
  return Math.min(FIRST_PAUSE_MS * 2 ** attempt, longestMs) * (attempt === 0 ? chance : 0.5 + chance / 2);
}

/** Waits for as long; settles at once when the signal is aborted. */
export function pauseBefore(
  attempt: number,
  random: Random,
  signal: AbortSignal | undefined,
  longestMs?: number,
): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, pauseMillis(attempt, random, longestMs));
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** Whether it was the connection, or a node that is going down, and not what was asked for. */
export function isLoss(error: MxpError): boolean {
  return error.retryable && ["connection_lost", "connect_failed", "closed", "deadline"].includes(error.code);
}
