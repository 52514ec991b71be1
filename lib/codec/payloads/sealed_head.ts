/**
 * What stands in front of the data in a sealed message (SPEC §8.14), where only its recipient reads it.
 *
 * @module
 */

import { readSafeU64, writeSafeU64 } from "../../base/bytes.ts";
import { UUID_BYTES } from "../../base/uuid.ts";
import { CodecError } from "../codec_error.ts";
import { decodeMetadata, encodeMetadata, type Metadata, sizeOfMetadata } from "./metadata.ts";
import { checkPayloadRoom } from "../payload_writer.ts";
import { checkPayloadRange } from "../payload_reader.ts";

const FIXED_BYTES = 8 + UUID_BYTES;

/** In front of a request's data. */
export interface SealedHead {
  /** When it was sealed, milliseconds since 1970. */
  readonly timeMillis: number;
  /** Whom its sender meant, 16 bytes: an id, what stands for a name, or nil. */
  readonly target: Uint8Array;
  /** What concerns the recipient alone. */
  readonly metadata: Metadata;
}

/** How many bytes it takes. */
export function sizeOfSealedHead(head: SealedHead): number {
  return FIXED_BYTES + sizeOfMetadata(head.metadata);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeSealedHead(out: Uint8Array, at: number, head: SealedHead): number {
  checkPayloadRoom(out, at, FIXED_BYTES);
  if (head.target.length !== UUID_BYTES) {
    throw new RangeError(`target has ${head.target.length} bytes, expected ${UUID_BYTES}`);
  }
  writeSafeU64(out, at, head.timeMillis);
  out.set(head.target, at + 8);
  return encodeMetadata(out, at + FIXED_BYTES, head.metadata);
}

/** Decodes `bytes[at, end)`. Everything is copied. */
export function decodeSealedHead(bytes: Uint8Array, at = 0, end: number = bytes.length): SealedHead | CodecError {
  checkPayloadRange(bytes, at, end);
  if (end - at < FIXED_BYTES) {
    return new CodecError("truncated_payload", { field: "sealed head", seen: end - at, expected: FIXED_BYTES });
  }
  const timeMillis = readSafeU64(bytes, at);
  if (timeMillis < 0) return new CodecError("bad_value", { field: "time" });
  const metadata = decodeMetadata(bytes, at + FIXED_BYTES, end);
  if (metadata instanceof CodecError) return metadata;
  return { timeMillis, target: bytes.slice(at + 8, at + FIXED_BYTES), metadata };
}
