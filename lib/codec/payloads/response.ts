/**
 * Response (SPEC §2.5.8): the answer's bytes and nothing else. The message id in its header says what it answers.
 *
 * @module
 */

import { checkPayloadRange } from "../payload_reader.ts";
import { checkPayloadRoom } from "../payload_writer.ts";

/** How many bytes it takes. */
export function sizeOfResponse(answer: Uint8Array): number {
  return answer.length;
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit.
 */
export function encodeResponse(out: Uint8Array, at: number, answer: Uint8Array): number {
  checkPayloadRoom(out, at, answer.length);
  out.set(answer, at);
  return at + answer.length;
}

/** A view of `bytes[at, end)`; every payload is a good Response. */
export function decodeResponse(bytes: Uint8Array, at = 0, end: number = bytes.length): Uint8Array {
  checkPayloadRange(bytes, at, end);
  return bytes.subarray(at, end);
}
