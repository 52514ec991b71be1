/**
 * Whom a Call is for: the 16-byte target in its payload (SPEC §8).
 *
 * @module
 */

import { parseUuid, UUID_BYTES } from "../base/uuid.ts";

const encoder = new TextEncoder();
/** What is hashed in front of a name. */
const NAME_DOMAIN = "mxp1 agent name:";

/**
 * The target of an agent that is called by its name: a UUID of version 8 (RFC 9562 §5.8) from the first 16 bytes of
 * SHA-256("mxp1 agent name:" + name), so that names need no field of their own and no look-up before the call.
 */
export function nameTarget(sha256: (bytes: Uint8Array) => Uint8Array, name: string): Uint8Array {
  const target = sha256(encoder.encode(NAME_DOMAIN + name)).slice(0, UUID_BYTES);
  target[6] = (target[6] & 0x0f) | 0x80;
  target[8] = (target[8] & 0x3f) | 0x80;
  return target;
}

/** The target for an agent as people write it: a UUID, or a name. */
export function agentTarget(sha256: (bytes: Uint8Array) => Uint8Array, agent: string): Uint8Array {
  return parseUuid(agent) ?? nameTarget(sha256, agent);
}
