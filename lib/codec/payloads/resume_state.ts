/**
 * ResumeState (SPEC §2.5.18): the answerer's first words on each connection that carries a resumable stream.
 *
 * @module
 */

import { UUID_BYTES } from "../../base/uuid.ts";
import type { CodecError } from "../codec_error.ts";
import { PayloadReader, TlvReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";

/** What the opener needs to know to go on. */
export interface ResumeState {
  /** 16 bytes. */
  readonly streamId: Uint8Array;
  /** Who answers, 16 bytes: the target by which the same answerer can be asked again. */
  readonly agentId: Uint8Array;
  /** Sequence of the next message that the answerer expects. */
  readonly next: number;
  /** How long it keeps the stream without a connection. */
  readonly windowMillis: number;
  /** Bytes that each side may have sent without knowing that the other side's application has taken them. */
  readonly bufferBytes: number;
}

function layOut(writer: PayloadWriter, state: ResumeState): void {
  writer.fixed(state.streamId, UUID_BYTES, "stream id");
  writer.fixed(state.agentId, UUID_BYTES, "agent id");
  writer.u64(state.next, "next");
  writer.u32(state.windowMillis, "window");
  writer.u32(state.bufferBytes, "buffer");
}

/** How many bytes it takes. */
export function sizeOfResumeState(state: ResumeState): number {
  return measure(layOut, state);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeResumeState(out: Uint8Array, at: number, state: ResumeState): number {
  return write(layOut, state, out, at);
}

/** Decodes `bytes[at, end)`. The ids are copied. */
export function decodeResumeState(bytes: Uint8Array, at = 0, end: number = bytes.length): ResumeState | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const streamId = reader.copy(UUID_BYTES, "stream id");
  const agentId = reader.copy(UUID_BYTES, "agent id");
  const next = reader.u64("next");
  const windowMillis = reader.u32("window");
  const bufferBytes = reader.u32("buffer");
  const tlvs = new TlvReader(reader);
  while (tlvs.next());
  return reader.error ?? { streamId, agentId, next, windowMillis, bufferBytes };
}
