/**
 * Writes the messages of agent streams (SPEC §8.6).
 *
 * @module
 */

import { concatBytes } from "../base/bytes.ts";
import { nilUuid } from "../base/uuid.ts";
import { messageLength } from "../codec/message.ts";
import { MESSAGE_HEADER_BYTES, MessageFlag } from "../codec/message_header.ts";
import { MessageType } from "../codec/message_type.ts";
import type { Metadata } from "../codec/payloads/metadata.ts";
import { encodeResumeState, type ResumeState, sizeOfResumeState } from "../codec/payloads/resume_state.ts";
import { encodeStreamChunkPrefix, STREAM_CHUNK_PREFIX_BYTES } from "../codec/payloads/stream_chunk.ts";
import { encodeStreamClose, sizeOfStreamClose } from "../codec/payloads/stream_close.ts";
import { encodeStreamOpen, sizeOfStreamOpen, type StreamOpen } from "../codec/payloads/stream_open.ts";
import { encodeStreamProgress, sizeOfStreamProgress, type StreamProgress } from "../codec/payloads/stream_progress.ts";
import type { PackedData } from "./stream_packing.ts";
import { cutText, type MessageIds, type MessageWriter } from "./message_writer.ts";

const NO_ID: Uint8Array = nilUuid();

/** Writes messages. One for a driver; knows no stream. */
export class StreamMessages {
  readonly #writer: MessageWriter;

  constructor(writer: MessageWriter) {
    this.#writer = writer;
  }

  /** A StreamOpen, with a Metadata message in front if there is anything for it. @throws RangeError for bad metadata. */
  open(ids: MessageIds, metadata: Metadata | undefined, open: StreamOpen): Uint8Array {
    const writer = this.#writer;
    const at = writer.metadataLength(metadata);
    const out = writer.allocate(at + messageLength(sizeOfStreamOpen(open)));
    if (metadata !== undefined) writer.metadata(out, ids, metadata);
    const end = encodeStreamOpen(out, at + MESSAGE_HEADER_BYTES, open);
    writer.seal(out, at, MessageType.STREAM_OPEN, 0, ids, end);
    return out;
  }

  /** A StreamChunk; the data is copied. @param packed COMPRESSED and ENCRYPTED, if the data is. */
  chunk(ids: MessageIds, streamId: Uint8Array, sequence: number, data: Uint8Array, packed = 0): Uint8Array {
    const writer = this.#writer;
    const out = writer.allocate(messageLength(STREAM_CHUNK_PREFIX_BYTES + data.length));
    const dataAt = encodeStreamChunkPrefix(out, MESSAGE_HEADER_BYTES, streamId, sequence);
    if (data.length > 0) out.set(data, dataAt);
    writer.seal(out, 0, MessageType.STREAM_CHUNK, packed, ids, dataAt + data.length);
    return out;
  }

  /** What is behind the stream id of a StreamClose. Long reasons are cut. */
  static closing(code: number, reason: string): Uint8Array {
    const close = { streamId: NO_ID, code, reason: cutText(reason) };
    const out = new Uint8Array(sizeOfStreamClose(close));
    encodeStreamClose(out, 0, close);
    return out.subarray(NO_ID.length);
  }

  /** A StreamClose whose code and reason are packed. */
  packedClose(ids: MessageIds, streamId: Uint8Array, { data, flags }: PackedData): Uint8Array {
    return this.#writer.message(MessageType.STREAM_CLOSE, flags | MessageFlag.FINAL, ids, concatBytes(streamId, data));
  }

  /** A Seal. */
  seal(ids: MessageIds, payload: Uint8Array): Uint8Array {
    return this.#writer.message(MessageType.SEAL, 0, ids, payload);
  }

  /** A StreamClose. Long reasons are cut. */
  close(ids: MessageIds, streamId: Uint8Array, code: number, reason: string): Uint8Array {
    const writer = this.#writer;
    const close = { streamId, code, reason: cutText(reason) };
    const out = writer.allocate(messageLength(sizeOfStreamClose(close)));
    const end = encodeStreamClose(out, MESSAGE_HEADER_BYTES, close);
    writer.seal(out, 0, MessageType.STREAM_CLOSE, MessageFlag.FINAL, ids, end);
    return out;
  }

  /** A ResumeState. */
  resumeState(ids: MessageIds, state: ResumeState): Uint8Array {
    const writer = this.#writer;
    const out = writer.allocate(messageLength(sizeOfResumeState(state)));
    writer.seal(out, 0, MessageType.RESUME_STATE, 0, ids, encodeResumeState(out, MESSAGE_HEADER_BYTES, state));
    return out;
  }

  /** A StreamProgress. */
  progress(ids: MessageIds, progress: StreamProgress): Uint8Array {
    const writer = this.#writer;
    const out = writer.allocate(messageLength(sizeOfStreamProgress(progress)));
    const end = encodeStreamProgress(out, MESSAGE_HEADER_BYTES, progress);
    writer.seal(out, 0, MessageType.STREAM_PROGRESS, 0, ids, end);
    return out;
  }
}
