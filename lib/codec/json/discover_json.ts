/**
 * AgentDiscover and its answer as JSON (SPEC §2.6).
 *
 * @module
 */

import { formatUuid } from "../../base/uuid.ts";
import { CodecError } from "../codec_error.ts";
import type { AgentDiscover } from "../payloads/agent_discover.ts";
import { type AgentRecord, type AgentStatus, MAX_CAPABILITIES, MAX_TAGS } from "../payloads/agent_record.ts";
import type { DiscoverResponse } from "../payloads/discover_response.ts";
import { endpointText, type JsonObject, parseJsonObject, toJsonBytes } from "./json_object.ts";
import { formatRfc3339 } from "./rfc3339.ts";

/** The most agents in an answer. */
const MAX_AGENTS = 65_535;

/** How JSON spells a status. */
const STATUS_TEXT: Readonly<Record<AgentStatus, string>> = {
  online: "Online",
  offline: "Offline",
  degraded: "Degraded",
};

/**
 * A question as JSON: `{capability}`, which is all that the form can ask.
 *
 * @throws RangeError if it asks anything else.
 */
export function encodeDiscoverJson(discover: AgentDiscover): Uint8Array {
  if (discover.query.by !== "capability") throw new RangeError("as JSON only capabilities can be asked for");
  return toJsonBytes({ capability: discover.query.capability });
}

/** Decodes `bytes[at, end)`. */
export function decodeDiscoverJson(bytes: Uint8Array, at = 0, end: number = bytes.length): AgentDiscover | CodecError {
  const json = parseJsonObject(bytes, at, end);
  if (json instanceof CodecError) return json;
  const capability = json.text("capability");
  return json.error ?? { query: { by: "capability", capability }, watch: false };
}

/** An answer and the capability that it answers for. */
export interface DiscoverResponseJson {
  /** What was asked for. */
  readonly capability: string;
  /** What was found. */
  readonly response: DiscoverResponse;
}

/**
 * The answer as JSON: `{capability, agents, count}`. Members that the published runtime insists on are always there: an
 * unknown version is empty, an unknown status `Online`, an unknown time 1970, no endpoint `0.0.0.0:0`. Keys, leases, loads,
 * metadata and cursors have no place in it.
 *
 * @throws RangeError if a time is not between 1970 and 9999.
 */
export function encodeDiscoverResponseJson({ capability, response }: DiscoverResponseJson): Uint8Array {
  const agents = response.agents.map((agent) => ({
    id: formatUuid(agent.agentId),
    name: agent.name,
    version: agent.version ?? "",
    description: agent.description,
    capabilities: agent.capabilities,
    tags: agent.tags === undefined || agent.tags.length === 0 ? undefined : agent.tags,
    address: endpointText(agent.endpoint, agent.endpoint6),
    status: STATUS_TEXT[agent.status ?? "online"],
    last_heartbeat: formatRfc3339(agent.lastHeartbeatMillis ?? 0),
    registered_at: formatRfc3339(agent.registeredAtMillis ?? 0),
  }));
  return toJsonBytes({ capability, agents, count: agents.length });
}

/** Decodes `bytes[at, end)`. The count is not looked at. */
export function decodeDiscoverResponseJson(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): DiscoverResponseJson | CodecError {
  const json = parseJsonObject(bytes, at, end);
  if (json instanceof CodecError) return json;
  const capability = json.text("capability");
  const agents: AgentRecord[] = [];
  for (const item of json.objects("agents", MAX_AGENTS)) {
    const agent = readAgent(item);
    if (agent instanceof CodecError) return agent;
    agents.push(agent);
  }
  return json.error ?? { capability, response: { agents } };
}

function readAgent(json: JsonObject): AgentRecord | CodecError {
  const reachableAt = json.endpoint("address");
  const ipv6 = reachableAt?.host.includes(":") === true;
  const statusText = json.text("status");
  const status = (Object.keys(STATUS_TEXT) as AgentStatus[]).find((key) => STATUS_TEXT[key] === statusText);
  const agent: AgentRecord = {
    agentId: json.uuid("id"),
    name: json.text("name"),
    capabilities: json.texts("capabilities", MAX_CAPABILITIES),
    endpoint: ipv6 ? undefined : reachableAt,
    endpoint6: ipv6 ? reachableAt : undefined,
    version: json.text("version"),
    description: json.optionalText("description"),
    tags: json.texts("tags", MAX_TAGS, true),
    metadata: [],
    status,
    lastHeartbeatMillis: json.time("last_heartbeat"),
    registeredAtMillis: json.time("registered_at"),
  };
  if (status === undefined) return json.error ?? new CodecError("bad_json", { field: "member status" });
  return json.error ?? agent;
}
