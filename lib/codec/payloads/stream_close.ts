/**
 * StreamClose (SPEC §2.5.12).
 *
 * @module
 */

import { UUID_BYTES } from "../../base/uuid.ts";
import type { CodecError } from "../codec_error.ts";
import { PayloadReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";

/** Ends an agent stream, or the sender's half of it. */
export interface StreamClose {
  /** 16 bytes. */
  readonly streamId: Uint8Array;
  /** 0 for a good end, else one of the codes of Error messages (SPEC §2.7). */
  readonly code: number;
  /** For people; empty for a good end. */
  readonly reason: string;
}

function layOut(writer: PayloadWriter, { streamId, code, reason }: StreamClose): void {
  writer.fixed(streamId, UUID_BYTES, "stream id");
  writer.u16(code, "code");
  writer.text(reason);
}

/** How many bytes it takes. */
export function sizeOfStreamClose(close: StreamClose): number {
  return measure(layOut, close);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeStreamClose(out: Uint8Array, at: number, close: StreamClose): number {
  return write(layOut, close, out, at);
}

/** Decodes `bytes[at, end)`. Everything is copied. */
export function decodeStreamClose(bytes: Uint8Array, at = 0, end: number = bytes.length): StreamClose | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const streamId = reader.copy(UUID_BYTES, "stream id");
  const code = reader.u16("code");
  const reason = reader.restText("reason");
  return reader.error ?? { streamId, code, reason };
}
