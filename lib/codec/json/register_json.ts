/**
 * AgentRegister and its answer as JSON (SPEC §2.6), in both spellings that the published programs use.
 *
 * @module
 */

import { formatUuid } from "../../base/uuid.ts";
import { CodecError } from "../codec_error.ts";
import { MAX_CAPABILITIES, MAX_METADATA_ENTRIES, MAX_TAGS } from "../payloads/agent_record.ts";
import type { AgentRegister } from "../payloads/agent_register.ts";
import type { RegisterResponse } from "../payloads/register_response.ts";
import { endpointText, parseJsonObject, toJsonBytes } from "./json_object.ts";

/**
 * `runtime`: `{id, name, capabilities, address, metadata}`, answered by a Response. `coordinator`: `{agent_id, name,
 * capabilities, endpoint}`, answered by an empty Ack.
 */
export type RegisterSpelling = "runtime" | "coordinator";

/** A registration and how it was spelt. */
export interface RegisterJson {
  /** What it says. */
  readonly register: AgentRegister;
  /** How it was spelt. */
  readonly spelling: RegisterSpelling;
}

/**
 * A registration as JSON. What the form has no place for is left out: public key, lease, and beside an IPv4 endpoint the
 * IPv6 one; in the coordinator's spelling also version, description, tags and metadata. Of metadata with the same key the
 * last counts.
 */
export function encodeRegisterJson(register: AgentRegister, spelling: RegisterSpelling): Uint8Array {
  const { name, capabilities, endpoint, endpoint6 } = register;
  const id = formatUuid(register.agentId);
  const reachableAt = endpointText(endpoint, endpoint6);
  if (spelling === "coordinator") return toJsonBytes({ agent_id: id, name, capabilities, endpoint: reachableAt });
  // Without a prototype `__proto__` is a key like any other.
  const metadata: Record<string, string> = Object.create(null);
  for (const [key, value] of register.metadata ?? []) metadata[key] = value;
  if (register.version !== undefined) metadata.version = register.version;
  if (register.description !== undefined) metadata.description = register.description;
  if (register.tags !== undefined && register.tags.length > 0) metadata.tags = JSON.stringify(register.tags);
  return toJsonBytes({ id, name, capabilities, address: reachableAt, metadata });
}

/** Decodes `bytes[at, end)` in either spelling. */
export function decodeRegisterJson(bytes: Uint8Array, at = 0, end: number = bytes.length): RegisterJson | CodecError {
  const json = parseJsonObject(bytes, at, end);
  if (json instanceof CodecError) return json;
  const spelling: RegisterSpelling = !json.has("id") && json.has("agent_id") ? "coordinator" : "runtime";
  const agentId = json.uuid(spelling === "runtime" ? "id" : "agent_id");
  const name = json.text("name");
  const capabilities = json.texts("capabilities", MAX_CAPABILITIES);
  const reachableAt = json.endpoint(spelling === "runtime" ? "address" : "endpoint");
  const ipv6 = reachableAt?.host.includes(":") === true;
  let version: string | undefined;
  let description: string | undefined;
  let tags: string[] = [];
  const metadata: [string, string][] = [];
  for (const pair of json.textPairs("metadata", MAX_METADATA_ENTRIES)) {
    if (pair[0] === "version") version = pair[1];
    else if (pair[0] === "description") description = pair[1];
    else if (pair[0] === "tags") tags = parseTags(pair[1]);
    else metadata.push(pair);
  }
  if (tags.length > MAX_TAGS) {
    return new CodecError("too_many", { field: "tags", seen: tags.length, expected: MAX_TAGS });
  }
  return json.error ?? {
    spelling,
    register: {
      agentId,
      name,
      capabilities,
      endpoint: ipv6 ? undefined : reachableAt,
      endpoint6: ipv6 ? reachableAt : undefined,
      version,
      description,
      tags,
      metadata,
    },
  };
}

/**
 * The published runtime's metadata is a map of texts, so its tags are an array of texts that was written as one text. What
 * is no such array is taken for words with commas between them, which is what people write by hand.
 */
function parseTags(text: string): string[] {
  if (text.startsWith("[")) {
    try {
      const tags: unknown = JSON.parse(text);
      if (Array.isArray(tags) && tags.every((tag) => typeof tag === "string" && tag.isWellFormed())) return tags;
    } catch {
      // Then it is words.
    }
  }
  return text.split(",").map((tag) => tag.trim()).filter((tag) => tag !== "");
}

/** The answer to a registration in the runtime's spelling. Leases have no place in it. */
export function encodeRegisterResponseJson(response: RegisterResponse): Uint8Array {
  const { success, agentId, message = "" } = response;
  return toJsonBytes({ success, agent_id: formatUuid(agentId), message });
}

/** Decodes `bytes[at, end)`; lease and heartbeat interval are 0, because the form does not say. */
export function decodeRegisterResponseJson(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): RegisterResponse | CodecError {
  const json = parseJsonObject(bytes, at, end);
  if (json instanceof CodecError) return json;
  const success = json.boolean("success");
  const agentId = json.uuid("agent_id");
  const message = json.optionalText("message");
  return json.error ?? { success, agentId, leaseMillis: 0, heartbeatMillis: 0, message };
}
