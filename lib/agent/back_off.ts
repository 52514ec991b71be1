/**
 * How long to wait before trying again to reach a node that was lost.
 *
 * @module
 */

import { readU32 } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";

/** The pause before the second attempt; the first is made after a random part of it. */
const FIRST_PAUSE_MS = 250;

/**
 * Milliseconds before an attempt (0 is the first): twice as long each time, up to `longestMs`. Of that, between half and all,
 * so that those who lost the same node do not come back all at once.
 */
export function pauseBefore(attempt: number, longestMs: number, random: Random): number {
  const chance = uniform(random);
  if (attempt === 0) return FIRST_PAUSE_MS * chance;
  return Math.min(FIRST_PAUSE_MS * 2 ** attempt, longestMs) * (0.5 + chance / 2);
}

/** In [0, 1). */
function uniform(random: Random): number {
  const bytes = new Uint8Array(4);
  random.fillPublic(bytes);
  return readU32(bytes, 0) / 0x1_0000_0000;
}
