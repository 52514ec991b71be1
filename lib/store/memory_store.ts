/**
 * A store that lasts as long as its process: for nodes that are started and stopped within one, and for tests.
 *
 * @module
 */

import { toHex } from "../base/bytes.ts";
import { KeyedMap, newHashKey } from "../base/keyed_map.ts";
import type { Random } from "../base/random.ts";
import type { StoredAgent } from "../mesh/registered_agent.ts";
import type { AgentStore, StoreChange } from "./agent_store.ts";

/** Keeps agents in memory. */
export class MemoryAgentStore implements AgentStore {
  readonly name = "memory";
  readonly #agents: KeyedMap<StoredAgent>;

  constructor(random: Random) {
    this.#agents = new KeyedMap(newHashKey(random));
  }

  load(): Promise<readonly StoredAgent[]> {
    return Promise.resolve([...this.#agents.values()]);
  }

  commit(changes: readonly StoreChange[]): Promise<void> {
    for (const { agentId, stored } of changes) {
      if (stored === undefined) this.#agents.delete(toHex(agentId));
      else this.#agents.set(toHex(agentId), stored);
    }
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
