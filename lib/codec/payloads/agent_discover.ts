/**
 * AgentDiscover (SPEC §2.5.3).
 *
 * @module
 */

import { UUID_BYTES } from "../../base/uuid.ts";
import type { CodecError } from "../codec_error.ts";
import { PayloadReader, TlvReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";
import { utf8Length } from "../utf8.ts";

/** Which agents are wanted. */
export type DiscoverQuery =
  | { readonly by: "all" }
  /** Exactly this capability, or with `.*` at the end every one below it (see {@link capabilityMatches}). */
  | { readonly by: "capability"; readonly capability: string }
  | { readonly by: "name"; readonly name: string }
  /** 16 bytes. */
  | { readonly by: "id"; readonly agentId: Uint8Array };

/** A question for agents. */
export interface AgentDiscover {
  /** Which agents. */
  readonly query: DiscoverQuery;
  /** The most agents to answer with, 1–65535; undefined leaves it to the node. */
  readonly limit?: number;
  /** What an earlier answer gave as its cursor, 1–64 bytes: go on behind it. */
  readonly cursor?: Uint8Array;
  /** Whether to be told of changes afterwards. */
  readonly watch?: boolean;
}

/** The longest cursor. */
export const MAX_CURSOR_BYTES = 64;

const KIND = { ALL: 0x00, CAPABILITY: 0x01, NAME: 0x02, ID: 0x03 } as const;
const TLV = { LIMIT: 0x01, CURSOR: 0x02, WATCH: 0x03 } as const;

function layOut(writer: PayloadWriter, { query, limit, cursor, watch }: AgentDiscover): void {
  switch (query.by) {
    case "all":
      writer.u8(KIND.ALL, "query kind");
      writer.u16(0, "query length");
      break;
    case "capability":
      layOutText(writer, KIND.CAPABILITY, query.capability, "capability");
      break;
    case "name":
      layOutText(writer, KIND.NAME, query.name, "name");
      break;
    case "id":
      writer.u8(KIND.ID, "query kind");
      writer.u16(UUID_BYTES, "query length");
      writer.fixed(query.agentId, UUID_BYTES, "agent id");
      break;
  }
  if (limit === 0) throw new RangeError("limit is 0, expected 1 to 65535");
  writer.tlvU16(TLV.LIMIT, limit, "limit");
  if (cursor !== undefined && (cursor.length < 1 || cursor.length > MAX_CURSOR_BYTES)) {
    throw new RangeError(`cursor has ${cursor.length} bytes, expected 1 to ${MAX_CURSOR_BYTES}`);
  }
  writer.tlvBytes(TLV.CURSOR, cursor, "cursor");
  if (watch === true) writer.tlv(TLV.WATCH, 0, "watch");
}

function layOutText(writer: PayloadWriter, kind: number, text: string, field: string): void {
  writer.u8(kind, "query kind");
  writer.u16(utf8Length(text), `${field} length`);
  writer.text(text);
}

/** How many bytes it takes. */
export function sizeOfAgentDiscover(discover: AgentDiscover): number {
  return measure(layOut, discover);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 *
 * @example
 * ```ts
 * import { type AgentDiscover, encodeAgentDiscover, sizeOfAgentDiscover } from "./agent_discover.ts";
 *
 * const discover: AgentDiscover = { query: { by: "capability", capability: "text.*" }, limit: 10 };
 * const out = new Uint8Array(sizeOfAgentDiscover(discover));
 * encodeAgentDiscover(out, 0, discover);
 * ```
 */
export function encodeAgentDiscover(out: Uint8Array, at: number, discover: AgentDiscover): number {
  return write(layOut, discover, out, at);
}

/** Decodes `bytes[at, end)`. Everything is copied. */
export function decodeAgentDiscover(bytes: Uint8Array, at = 0, end: number = bytes.length): AgentDiscover | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const kind = reader.u8("query kind");
  const length = reader.u16("query length");
  let query: DiscoverQuery = { by: "all" };
  switch (kind) {
    case KIND.ALL:
      if (length !== 0) reader.fail("bad_value", "query length", length);
      break;
    case KIND.CAPABILITY:
      query = { by: "capability", capability: reader.text(length, "capability") };
      break;
    case KIND.NAME:
      query = { by: "name", name: reader.text(length, "name") };
      break;
    case KIND.ID:
      if (length !== UUID_BYTES) reader.fail("bad_value", "query length", length);
      query = { by: "id", agentId: reader.copy(UUID_BYTES, "agent id") };
      break;
    default:
      reader.fail("bad_value", "query kind", kind);
  }
  let limit: number | undefined;
  let cursor: Uint8Array | undefined;
  let watch = false;
  const tlvs = new TlvReader(reader);
  while (tlvs.next()) {
    switch (tlvs.type) {
      case TLV.LIMIT:
        limit = tlvs.u16("limit");
        if (limit === 0) reader.fail("bad_value", "limit", limit);
        break;
      case TLV.CURSOR:
        cursor = tlvs.opaque(MAX_CURSOR_BYTES, "cursor");
        break;
      case TLV.WATCH:
        watch = tlvs.flag("watch");
        break;
    }
  }
  return reader.error ?? { query, limit, cursor, watch };
}

/**
 * Whether an agent's capability satisfies the one that was asked for: it is the same, or the question ends in `.*` and the
 * capability begins with what stands before the star and is longer. A lone `*` is satisfied by everything.
 *
 * ```ts
 * import { capabilityMatches } from "./agent_discover.ts";
 *
 * capabilityMatches("text.*", "text.summarise"); // true
 * capabilityMatches("text.*", "text"); // false
 * ```
 */
export function capabilityMatches(wanted: string, capability: string): boolean {
  if (wanted === capability || wanted === "*") return true;
  return wanted.endsWith(".*") && capability.length >= wanted.length && capability.startsWith(wanted.slice(0, -1));
}
