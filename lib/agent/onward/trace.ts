/**
 * Trace context on its way from a request to those that its handler makes because of it (W3C Trace Context §3.2.2, SPEC §8.1).
 *
 * @module
 */

import { readU32 } from "../../base/bytes.ts";
import type { Random } from "../../base/random.ts";
import { formatId64 } from "../../mesh/id_sequence.ts";

/** Where the parent id begins in a traceparent, and what comes behind it. */
const PARENT_AT = 36;
const FLAGS_AT = 52;

/** The traceparent of a request that is made because of another: the same trace and flags, and a span id of its own. */
export function childTraceparent(traceparent: string, random: Random): string {
  const span = new Uint8Array(8);
  random.fillPublic(span);
  // All zero is no id.
  span[7] |= span.every((byte) => byte === 0) ? 1 : 0;
  return traceparent.slice(0, PARENT_AT) + formatId64(readU32(span, 0), readU32(span, 4)) + traceparent.slice(FLAGS_AT);
}
