/**
 * The answer to AgentDiscover (SPEC §2.5.4), the payload of a Response.
 *
 * @module
 */

import type { CodecError } from "../codec_error.ts";
import { PayloadReader, TlvReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";
import { MAX_CURSOR_BYTES } from "./agent_discover.ts";
import { type AgentRecord, layOutAgentRecord, readAgentRecord } from "./agent_record.ts";

/** The agents that a node found, or one page of them. */
export interface DiscoverResponse {
  /** In the node's order. */
  readonly agents: readonly AgentRecord[];
  /** Where the next page begins, 1–64 bytes; undefined: these were the last. */
  readonly cursor?: Uint8Array;
  /** How many agents there are on all pages, where the node knows. */
  readonly total?: number;
  /** In answer to a watch: a listing begins with this page, and what was told before is void. */
  readonly fromStart?: boolean;
  /** The node's time, in milliseconds since 1970: what the times in the records are to be compared with. */
  readonly nowMillis?: number;
}

const TLV = { CURSOR: 0x01, TOTAL: 0x02, FROM_START: 0x03, NOW: 0x04 } as const;

function layOut(writer: PayloadWriter, { agents, cursor, total, fromStart, nowMillis }: DiscoverResponse): void {
  writer.u16(agents.length, "agent count");
  for (const agent of agents) {
    writer.u32(measure(layOutAgentRecord, agent), "record length");
    layOutAgentRecord(writer, agent);
  }
  if (cursor !== undefined && (cursor.length < 1 || cursor.length > MAX_CURSOR_BYTES)) {
    throw new RangeError(`cursor has ${cursor.length} bytes, expected 1 to ${MAX_CURSOR_BYTES}`);
  }
  writer.tlvBytes(TLV.CURSOR, cursor, "cursor");
  writer.tlvU32(TLV.TOTAL, total, "total");
  if (fromStart === true) writer.tlv(TLV.FROM_START, 0, "from start");
  writer.tlvU64(TLV.NOW, nowMillis, "node's time");
}

/** How many bytes it takes. */
export function sizeOfDiscoverResponse(response: DiscoverResponse): number {
  return measure(layOut, response);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeDiscoverResponse(out: Uint8Array, at: number, response: DiscoverResponse): number {
  return write(layOut, response, out, at);
}

/** Decodes `bytes[at, end)`. Everything is copied. */
export function decodeDiscoverResponse(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): DiscoverResponse | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const count = reader.u16("agent count");
  const agents: AgentRecord[] = [];
  while (reader.error === undefined && agents.length < count) {
    const length = reader.u32("record length");
    const start = reader.take(length, "record");
    if (start < 0) break;
    const inner = new PayloadReader(bytes, start, start + length);
    agents.push(readAgentRecord(inner));
    if (inner.error !== undefined) return inner.error;
  }
  let cursor: Uint8Array | undefined;
  let total: number | undefined;
  let fromStart = false;
  let nowMillis: number | undefined;
  const tlvs = new TlvReader(reader);
  while (tlvs.next()) {
    if (tlvs.type === TLV.CURSOR) cursor = tlvs.opaque(MAX_CURSOR_BYTES, "cursor");
    else if (tlvs.type === TLV.TOTAL) total = tlvs.u32("total");
    else if (tlvs.type === TLV.FROM_START) fromStart = tlvs.flag("from start");
    else if (tlvs.type === TLV.NOW) nowMillis = tlvs.u64("node's time");
  }
  return reader.error ?? { agents, cursor, total, fromStart, nowMillis };
}
