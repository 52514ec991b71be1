/**
 * StreamOpen (SPEC §2.5.10).
 *
 * @module
 */

import { UUID_BYTES } from "../../base/uuid.ts";
import type { CodecError } from "../codec_error.ts";
import { PayloadReader, TlvReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";

/** Who may send chunks: only the side that opened the stream, or both. */
export type AgentStreamKind = "unidirectional" | "bidirectional";

/** Length of the secret by which the opener of a resumable stream proves that it is the same one. */
export const RESUME_TOKEN_BYTES = 16;

/** What makes a stream one that can go on over another connection (SPEC §8.13). */
export interface ResumeRequest {
  /** {@link RESUME_TOKEN_BYTES} bytes that the opener has made up for this stream, and keeps to itself. */
  readonly token: Uint8Array;
  /** Only where a stream goes on: the sequence of the next message that the opener expects. */
  readonly at?: number;
  /** Bytes that each side may have sent without knowing that the other side's application has taken them. */
  readonly bufferBytes?: number;
  /** How long the answerer is asked to keep the stream without a connection. */
  readonly windowMillis?: number;
}

/** Opens an agent stream. */
export interface StreamOpen {
  /** The stream's id, 16 bytes. */
  readonly streamId: Uint8Array;
  /** The agent that it is for, 16 bytes; the nil UUID is the node itself. */
  readonly target: Uint8Array;
  /** Who may send chunks. */
  readonly kind: AgentStreamKind;
  /** For a resumable stream. */
  readonly resume?: ResumeRequest;
  /** Of a sealed stream: what begins it, for the agent alone (SPEC §8.14). */
  readonly seal?: Uint8Array;
}

const TLV = { RESUME_TOKEN: 0x01, RESUME_AT: 0x02, BUFFER: 0x03, WINDOW: 0x04, SEAL: 0x05 } as const;

/** Kinds by their number on the wire. Read only. */
const KINDS: readonly (AgentStreamKind | undefined)[] = [undefined, "unidirectional", "bidirectional"];

function layOut(writer: PayloadWriter, { streamId, target, kind, resume, seal }: StreamOpen): void {
  writer.fixed(streamId, UUID_BYTES, "stream id");
  writer.fixed(target, UUID_BYTES, "target");
  writer.u8(KINDS.indexOf(kind), "kind");
  writer.tlvBytes(TLV.SEAL, seal, "seal");
  if (resume === undefined) return;
  if (resume.token.length !== RESUME_TOKEN_BYTES) {
    throw new RangeError(`a resume token has ${RESUME_TOKEN_BYTES} bytes, not ${resume.token.length}`);
  }
  writer.tlvBytes(TLV.RESUME_TOKEN, resume.token, "resume token");
  writer.tlvU64(TLV.RESUME_AT, resume.at, "resume at");
  writer.tlvU32(TLV.BUFFER, resume.bufferBytes, "buffer");
  writer.tlvU32(TLV.WINDOW, resume.windowMillis, "window");
}

/** How many bytes it takes. */
export function sizeOfStreamOpen(open: StreamOpen): number {
  return measure(layOut, open);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeStreamOpen(out: Uint8Array, at: number, open: StreamOpen): number {
  return write(layOut, open, out, at);
}

/** Decodes `bytes[at, end)`. The ids are copied. */
export function decodeStreamOpen(bytes: Uint8Array, at = 0, end: number = bytes.length): StreamOpen | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const streamId = reader.copy(UUID_BYTES, "stream id");
  const target = reader.copy(UUID_BYTES, "target");
  const number = reader.u8("kind");
  const kind = KINDS[number];
  if (kind === undefined) reader.fail("bad_value", "kind", number);
  const resume: { -readonly [K in keyof ResumeRequest]?: ResumeRequest[K] } = {};
  const tlvs = new TlvReader(reader);
  let seal: Uint8Array | undefined;
  while (tlvs.next()) {
    switch (tlvs.type) {
      case TLV.RESUME_TOKEN:
        resume.token = tlvs.fixed(RESUME_TOKEN_BYTES, "resume token");
        break;
      case TLV.RESUME_AT:
        resume.at = tlvs.u64("resume at");
        break;
      case TLV.BUFFER:
        resume.bufferBytes = tlvs.u32("buffer");
        break;
      case TLV.WINDOW:
        resume.windowMillis = tlvs.u32("window");
        break;
      case TLV.SEAL:
        seal = tlvs.opaque(0xffff, "seal");
        break;
    }
  }
  const { token } = resume;
  if (token === undefined && resume.at !== undefined) reader.fail("bad_value", "resume at without a token");
  return reader.error ?? {
    streamId,
    target,
    kind: kind ?? "unidirectional",
    ...(seal && { seal }),
    ...(token !== undefined && { resume: { ...resume, token } }),
  };
}
