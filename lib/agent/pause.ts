/**
 * How long to wait before something is tried again.
 *
 * @module
 */

import { readU32 } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";

/** The pause before the second attempt; the first is made after a random part of it. */
const FIRST_PAUSE_MS = 250;
/** Pauses double up to this. */
const LONGEST_PAUSE_MS = 10_000;

/**
 * Waits before an attempt to get back, counted from 0, so that those who lost the same node do not come back all at once. Settles at once
 * when the signal is aborted.
 */
export function pauseBefore(attempt: number, random: Random, signal: AbortSignal | undefined): Promise<void> {
  const bytes = new Uint8Array(4);
  random.fillPublic(bytes);
  const chance = readU32(bytes, 0) / 0x1_0000_0000;
  const longest = Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS);
  const milliseconds = longest * (attempt === 0 ? chance : 0.5 + chance / 2);
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done, { once: true });
  });
}
