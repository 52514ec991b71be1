/**
 * AgentHeartbeat and its answer as JSON (SPEC §2.6).
 *
 * @module
 */

import { formatUuid } from "../../base/uuid.ts";
import { CodecError } from "../codec_error.ts";
import type { AgentHeartbeat } from "../payloads/agent_heartbeat.ts";
import type { HeartbeatResponse } from "../payloads/heartbeat_response.ts";
import { parseJsonObject, toJsonBytes } from "./json_object.ts";
import { formatRfc3339 } from "./rfc3339.ts";

/** A heartbeat as JSON: `{agent_id}`. Status and load have no place in it. */
export function encodeHeartbeatJson(heartbeat: AgentHeartbeat): Uint8Array {
  return toJsonBytes({ agent_id: formatUuid(heartbeat.agentId) });
}

/** Decodes `bytes[at, end)`. */
export function decodeHeartbeatJson(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): AgentHeartbeat | CodecError {
  const json = parseJsonObject(bytes, at, end);
  if (json instanceof CodecError) return json;
  const agentId = json.uuid("agent_id");
  return json.error ?? { agentId };
}

/**
 * The answer as JSON: `{success, needs_register, agent_id, timestamp, message?}`. A lease has no place in it.
 *
 * @throws RangeError if the time is not between 1970 and 9999.
 */
export function encodeHeartbeatResponseJson(response: HeartbeatResponse): Uint8Array {
  return toJsonBytes({
    success: response.success,
    needs_register: response.needsRegister,
    agent_id: formatUuid(response.agentId),
    timestamp: formatRfc3339(response.timestampMillis),
    message: response.message,
  });
}

/** Decodes `bytes[at, end)`. */
export function decodeHeartbeatResponseJson(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): HeartbeatResponse | CodecError {
  const json = parseJsonObject(bytes, at, end);
  if (json instanceof CodecError) return json;
  const success = json.boolean("success");
  const needsRegister = json.boolean("needs_register");
  const agentId = json.uuid("agent_id");
  const timestampMillis = json.time("timestamp");
  const message = json.optionalText("message");
  return json.error ?? { success, needsRegister, agentId, timestampMillis, message };
}
