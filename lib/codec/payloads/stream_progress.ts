/**
 * StreamProgress (SPEC §2.5.19): how far the sender's application has read a resumable stream.
 *
 * @module
 */

import { UUID_BYTES } from "../../base/uuid.ts";
import type { CodecError } from "../codec_error.ts";
import { PayloadReader, TlvReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";

/** What the other side need not keep any longer. */
export interface StreamProgress {
  /** 16 bytes. */
  readonly streamId: Uint8Array;
  /** Messages that were taken; a StreamClose counts as the one behind the last chunk. */
  readonly next: number;
  /** Whether its sender wants no more chunks. */
  readonly isEnough: boolean;
}

function layOut(writer: PayloadWriter, { streamId, next, isEnough }: StreamProgress): void {
  writer.fixed(streamId, UUID_BYTES, "stream id");
  writer.u64(next, "next");
  writer.u8(isEnough ? 1 : 0, "enough");
}

/** How many bytes it takes. */
export function sizeOfStreamProgress(progress: StreamProgress): number {
  return measure(layOut, progress);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeStreamProgress(out: Uint8Array, at: number, progress: StreamProgress): number {
  return write(layOut, progress, out, at);
}

/** Decodes `bytes[at, end)`. The id is copied. */
export function decodeStreamProgress(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): StreamProgress | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const streamId = reader.copy(UUID_BYTES, "stream id");
  const next = reader.u64("next");
  const isEnough = reader.boolean("enough");
  const tlvs = new TlvReader(reader);
  while (tlvs.next());
  return reader.error ?? { streamId, next, isEnough };
}
