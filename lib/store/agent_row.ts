/**
 * A stored agent as a row of a table, and back. A file can have been written by anybody, so rows are parsed like bytes
 * from the network.
 *
 * @module
 */

import { UUID_BYTES } from "../base/uuid.ts";
import { CodecError } from "../codec/codec_error.ts";
import { bytesEqual } from "../base/bytes.ts";
import { PUBLIC_KEY_BYTES } from "../codec/payloads/agent_record.ts";
import { decodeAgentRegister, encodeAgentRegister, sizeOfAgentRegister } from "../codec/payloads/agent_register.ts";
import type { StoredAgent } from "../mesh/registered_agent.ts";

/** Columns in the order of {@link AGENT_COLUMNS}. */
export type AgentRow = readonly [
  id: Uint8Array,
  owner: Uint8Array,
  register: Uint8Array | null,
  lease: number,
  registeredAt: number,
  goneAt: number,
];

/** Names of the columns. */
export const AGENT_COLUMNS = ["id", "owner", "register", "lease_ms", "registered_at_ms", "gone_at_ms"] as const;

/** The row of an agent. The registration is the payload of its AgentRegister message (SPEC §2.5.1). */
export function toRow(stored: StoredAgent): AgentRow {
  const { agentId, owner, register, leaseMillis, registeredAtMillis, goneAtMillis } = stored;
  let payload: Uint8Array | null = null;
  if (register !== undefined) {
    payload = new Uint8Array(sizeOfAgentRegister(register));
    encodeAgentRegister(payload, 0, register);
  }
  return [agentId, owner, payload, leaseMillis, registeredAtMillis, goneAtMillis];
}

/** Parses a row; says in a few words what is wrong with it. */
export function parseRow(row: Readonly<Record<string, unknown>>): StoredAgent | string {
  const [id, owner, payload, lease, registeredAt, goneAt] = AGENT_COLUMNS.map((name) => row[name]);
  if (!(id instanceof Uint8Array) || id.length !== UUID_BYTES) return "the id is not 16 bytes";
  if (!(owner instanceof Uint8Array) || owner.length !== PUBLIC_KEY_BYTES) return "the owner is not 32 bytes";
  if (!isTime(registeredAt) || !isTime(goneAt)) return "a time is out of range";
  if (!isTime(lease) || lease < 1 || lease > 0xffff_ffff) return "the lease is out of range";
  const agent = {
    agentId: id.slice(),
    owner: owner.slice(),
    leaseMillis: lease,
    registeredAtMillis: registeredAt,
    goneAtMillis: goneAt,
  };
  if (payload === null) return goneAt > 0 ? { ...agent, register: undefined } : "there is no registration";
  if (goneAt !== 0) return "there is a registration of an agent that has gone";
  if (!(payload instanceof Uint8Array)) return "the registration is not bytes";
  const register = decodeAgentRegister(payload);
  if (register instanceof CodecError) return `the registration does not decode: ${register.message}`;
  if (!bytesEqual(register.agentId, id)) return "the registration is of another agent";
  return { ...agent, register };
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
