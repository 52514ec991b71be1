/**
 * Ack (SPEC §2.5.13).
 *
 * @module
 */

import { readU32, writeU32 } from "../../base/bytes.ts";
import { CodecError } from "../codec_error.ts";
import { checkPayloadRange } from "../payload_reader.ts";
import { checkPayloadRoom } from "../payload_writer.ts";

/** Length of an Ack's payload. */
export const ACK_BYTES = 8;

/** Says that a message was accepted. */
export interface Ack {
  /** The lower half of that message's id. */
  readonly idLow: number;
  /** The upper half. */
  readonly idHigh: number;
}

/** How many bytes it takes. */
export function sizeOfAck(_ack: Ack): number {
  return ACK_BYTES;
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit.
 */
export function encodeAck(out: Uint8Array, at: number, ack: Ack): number {
  checkPayloadRoom(out, at, ACK_BYTES);
  return writeU32(out, writeU32(out, at, ack.idLow), ack.idHigh);
}

/**
 * Decodes `bytes[at, end)`. An empty payload, which the published coordinator sends, gives undefined: then the Ack is for
 * the message that its own header names.
 */
export function decodeAck(bytes: Uint8Array, at = 0, end: number = bytes.length): Ack | undefined | CodecError {
  checkPayloadRange(bytes, at, end);
  const length = end - at;
  if (length === 0) return undefined;
  if (length < ACK_BYTES) return new CodecError("truncated_payload", { field: "message id" });
  if (length > ACK_BYTES) return new CodecError("trailing_bytes", { field: "the Ack", seen: length - ACK_BYTES });
  return { idLow: readU32(bytes, at), idHigh: readU32(bytes, at + 4) };
}
