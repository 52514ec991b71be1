/**
 * AgentRegister (SPEC §2.5.1).
 *
 * @module
 */

import type { CodecError } from "../codec_error.ts";
import { PayloadReader } from "../payload_reader.ts";
import { measure, write } from "../payload_writer.ts";
import { type AgentDescription, layOutAgentRecord, readAgentRecord } from "./agent_record.ts";

/** What an agent registers with. */
export type AgentRegister = AgentDescription;

/** How many bytes it takes. */
export function sizeOfAgentRegister(register: AgentRegister): number {
  return measure(layOutAgentRecord, describeOnly(register));
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 *
 * @example
 * ```ts
 * import { encodeAgentRegister, sizeOfAgentRegister } from "./agent_register.ts";
 *
 * const register = { agentId: new Uint8Array(16).fill(7), name: "summariser", capabilities: ["text.summarise"] };
 * const out = new Uint8Array(sizeOfAgentRegister(register));
 * encodeAgentRegister(out, 0, register);
 * ```
 */
export function encodeAgentRegister(out: Uint8Array, at: number, register: AgentRegister): number {
  return write(layOutAgentRecord, describeOnly(register), out, at);
}

/** Decodes `bytes[at, end)`. Everything is copied. */
export function decodeAgentRegister(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): AgentRegister | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const register = readAgentRecord(reader);
  return reader.error ?? describeOnly(register);
}

/** Leaves out what only a node may say. */
function describeOnly(register: AgentDescription): AgentDescription {
  const { agentId, name, capabilities, endpoint, endpoint6, publicKey, version, description, tags, metadata } =
    register;
  const { leaseMillis } = register;
  return {
    agentId,
    name,
    capabilities,
    endpoint,
    endpoint6,
    publicKey,
    version,
    description,
    tags,
    metadata,
    leaseMillis,
  };
}
