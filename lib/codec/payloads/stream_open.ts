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

/** Opens an agent stream. */
export interface StreamOpen {
  /** The stream's id, 16 bytes. */
  readonly streamId: Uint8Array;
  /** The agent that it is for, 16 bytes; the nil UUID is the node itself. */
  readonly target: Uint8Array;
  /** Who may send chunks. */
  readonly kind: AgentStreamKind;
}

/** Kinds by their number on the wire. Read only. */
const KINDS: readonly (AgentStreamKind | undefined)[] = [undefined, "unidirectional", "bidirectional"];

function layOut(writer: PayloadWriter, { streamId, target, kind }: StreamOpen): void {
  writer.fixed(streamId, UUID_BYTES, "stream id");
  writer.fixed(target, UUID_BYTES, "target");
  writer.u8(KINDS.indexOf(kind), "kind");
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

/** Decodes `bytes[at, end)`. The ids are copied. TLVs may follow; none is defined yet. */
export function decodeStreamOpen(bytes: Uint8Array, at = 0, end: number = bytes.length): StreamOpen | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const streamId = reader.copy(UUID_BYTES, "stream id");
  const target = reader.copy(UUID_BYTES, "target");
  const number = reader.u8("kind");
  const kind = KINDS[number];
  if (kind === undefined) reader.fail("bad_value", "kind", number);
  const tlvs = new TlvReader(reader);
  while (tlvs.next());
  return reader.error ?? { streamId, target, kind: kind ?? "unidirectional" };
}
