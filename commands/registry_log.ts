/**
 * What a node says about the agents that register at it.
 *
 * @module
 */

import type { Logger } from "@logtape/logtape";
import type { RegistryEvent } from "../mod.ts";

/** Tells of registrations (`info`), of those that were refused (`warn`), and of a store that fails (`error`). */
export function registryLog(log: Logger): (event: RegistryEvent) => void {
  return ({ type, agentId, name, peer, reason }) => {
    const facts = { id: agentId, name, peer: peer?.publicKeyText, from: peer?.address, reason };
    if (type === "not_stored") log.error("registry not stored", { reason });
    else if (type === "refused") log.warn("registry refused", facts);
    else log.info(`agent ${type}`, facts);
  };
}
