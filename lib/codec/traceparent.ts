/**
 * The W3C `traceparent` in its text form, 55 characters: `00-<32 hex>-<16 hex>-<2 hex>`.
 *
 * @module
 */

/** Length of the text. */
export const TRACEPARENT_LENGTH = 55;

const PATTERN = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Whether a text is a traceparent of version 00: lower-case hex, neither id all zero. */
export function isTraceparent(text: string): boolean {
  return text.length === TRACEPARENT_LENGTH && PATTERN.test(text);
}

/**
 * What a message's header carries of a traceparent: the low 64 bits of the trace id (its last 16 hex digits, most
 * significant first), as two u32.
 *
 * @throws RangeError if the text is not a traceparent.
 */
export function headerTraceId(traceparent: string): { readonly traceLow: number; readonly traceHigh: number } {
  if (!isTraceparent(traceparent)) throw new RangeError(`not a traceparent: ${JSON.stringify(traceparent)}`);
  return { traceHigh: parseInt(traceparent.slice(19, 27), 16), traceLow: parseInt(traceparent.slice(27, 35), 16) };
}
