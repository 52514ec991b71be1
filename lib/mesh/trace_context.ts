/**
 * Trace ids: 64 bits in every message header, 128 bits in the W3C `traceparent` that a Metadata message can carry. The header has the
 * low half (SPEC §8).
 *
 * @module
 */

/** A 64-bit id as two halves. */
export interface Id64 {
  readonly high: number;
  readonly low: number;
}

/** version 00 - trace id (32) - parent id (16) - flags (2), W3C Trace Context §3.2. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/;

/**
 * The header's trace id for a `traceparent`; undefined if it is not a valid one (all-zero ids and version ff included, W3C Trace
 * Context §3.2.2).
 */
export function traceIdOf(traceparent: string): Id64 | undefined {
  if (!TRACEPARENT.test(traceparent)) return undefined;
  const version = traceparent.slice(0, 2);
  if (version === "ff" || (version === "00" && traceparent.length !== 55)) return undefined;
  if (/^0+$/.test(traceparent.slice(3, 35)) || /^0+$/.test(traceparent.slice(36, 52))) return undefined;
  return { high: parseInt(traceparent.slice(19, 27), 16), low: parseInt(traceparent.slice(27, 35), 16) };
}

/** A 64-bit id as 16 hex digits. */
export function formatId64(high: number, low: number): string {
  return (high >>> 0).toString(16).padStart(8, "0") + (low >>> 0).toString(16).padStart(8, "0");
}
