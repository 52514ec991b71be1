/**
 * StreamChunk (SPEC §2.5.11).
 *
 * @module
 */

import { readSafeU64, writeSafeU64 } from "../../base/bytes.ts";
import { UUID_BYTES } from "../../base/uuid.ts";
import { CodecError } from "../codec_error.ts";
import { checkPayloadRange } from "../payload_reader.ts";
import { checkPayloadRoom } from "../payload_writer.ts";

/** What stands in front of a chunk's data: stream id and sequence. */
export const STREAM_CHUNK_PREFIX_BYTES = 24;

/** A piece of an agent stream. */
export interface StreamChunk {
  /** 16 bytes. */
  readonly streamId: Uint8Array;
  /** Counts the sender's chunks from 0. A safe integer. */
  readonly sequence: number;
  /** What was sent. */
  readonly data: Uint8Array;
}

/** A decoded StreamChunk. Nothing is copied; valid for as long as the bytes are. */
export class StreamChunkView implements StreamChunk {
  // `declare`: cheaper on V8 than fields that are defined and then assigned.
  /** The buffer that holds the payload. */
  declare readonly bytes: Uint8Array;
  /** Where in it the payload begins. */
  declare readonly start: number;
  /** Where it ends. */
  declare readonly end: number;
  /** Counts the sender's chunks from 0. */
  declare readonly sequence: number;

  /** For {@link decodeStreamChunk}: takes everything on trust. */
  constructor(bytes: Uint8Array, start: number, end: number, sequence: number) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.sequence = sequence;
  }

  /** A view of the 16 bytes. */
  get streamId(): Uint8Array {
    return this.bytes.subarray(this.start, this.start + UUID_BYTES);
  }

  /** A view of the data. */
  get data(): Uint8Array {
    return this.bytes.subarray(this.start + STREAM_CHUNK_PREFIX_BYTES, this.end);
  }
}

/** How many bytes it takes. */
export function sizeOfStreamChunk(chunk: StreamChunk): number {
  return STREAM_CHUNK_PREFIX_BYTES + chunk.data.length;
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeStreamChunk(out: Uint8Array, at: number, chunk: StreamChunk): number {
  const { data } = chunk;
  checkPayloadRoom(out, at, STREAM_CHUNK_PREFIX_BYTES + data.length);
  const dataAt = encodeStreamChunkPrefix(out, at, chunk.streamId, chunk.sequence);
  out.set(data, dataAt);
  return dataAt + data.length;
}

/**
 * Writes what stands in front of the data; returns where the data goes.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeStreamChunkPrefix(out: Uint8Array, at: number, streamId: Uint8Array, sequence: number): number {
  checkPayloadRoom(out, at, STREAM_CHUNK_PREFIX_BYTES);
  if (streamId.length !== UUID_BYTES) {
    throw new RangeError(`stream id has ${streamId.length} bytes, expected ${UUID_BYTES}`);
  }
  if (!(Number.isSafeInteger(sequence) && sequence >= 0)) {
    throw new RangeError(`sequence is ${sequence}, expected a safe integer`);
  }
  out.set(streamId, at);
  return writeSafeU64(out, at + UUID_BYTES, sequence);
}

/** Decodes `bytes[at, end)` without copying. */
export function decodeStreamChunk(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): StreamChunkView | CodecError {
  checkPayloadRange(bytes, at, end);
  if (end - at < STREAM_CHUNK_PREFIX_BYTES) {
    const expected = STREAM_CHUNK_PREFIX_BYTES;
    return new CodecError("truncated_payload", { field: "stream chunk", seen: end - at, expected });
  }
  const sequence = readSafeU64(bytes, at + UUID_BYTES);
  if (sequence < 0) return new CodecError("bad_value", { field: "sequence" });
  return new StreamChunkView(bytes, at, end, sequence);
}
