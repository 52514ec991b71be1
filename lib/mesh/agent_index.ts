/**
 * The registered agents, by id, by name and by capability, each in the order of their ids, so that a long answer can be
 * given in pages while agents come and go.
 *
 * @module
 */

import { KeyedMap } from "../base/keyed_map.ts";
import type { HashKey } from "../base/keyed_hash.ts";
import { capabilityMatches, type DiscoverQuery } from "../codec/payloads/agent_discover.ts";
import { toHex } from "../base/bytes.ts";
import type { RegisteredAgent } from "./registered_agent.ts";

/** Agents in the order of their ids. */
class AgentOrder {
  readonly agents: RegisteredAgent[] = [];

  add(agent: RegisteredAgent): void {
    this.agents.splice(placeBehind(this.agents, agent.key), 0, agent);
  }

  remove(agent: RegisteredAgent): void {
    const at = placeBehind(this.agents, agent.key) - 1;
    if (this.agents[at] === agent) this.agents.splice(at, 1);
  }
}

const NOBODY: readonly RegisteredAgent[] = [];

/** Whether an agent is one of those that a query asks for. */
export function matches(query: DiscoverQuery, agent: RegisteredAgent): boolean {
  switch (query.by) {
    case "all":
      return true;
    case "capability": {
      const { capability } = query;
      return agent.register.capabilities.some((own) => capabilityMatches(capability, own));
    }
    case "name":
      return agent.register.name === query.name;
    case "id":
      return agent.key === toHex(query.agentId);
  }
}

/** Finds agents. */
export class AgentIndex {
  readonly #all = new AgentOrder();
  readonly #names: KeyedMap<AgentOrder>;
  readonly #capabilities: KeyedMap<AgentOrder>;
  /** By what a Call to the name has as its target, in hex. */
  readonly #targets: KeyedMap<AgentOrder>;
  readonly #targetOf: (name: string) => string;

  /** @param targetOf what a Call to an agent of this name has as its target, in hex. */
  constructor(hashKey: HashKey, targetOf: (name: string) => string) {
    this.#names = new KeyedMap(hashKey);
    this.#capabilities = new KeyedMap(hashKey);
    this.#targets = new KeyedMap(hashKey);
    this.#targetOf = targetOf;
  }

  /** How many there are. */
  get size(): number {
    return this.#all.agents.length;
  }

  /** All of them, in order. */
  get agents(): readonly RegisteredAgent[] {
    return this.#all.agents;
  }

  /** Puts an agent in. */
  add(agent: RegisteredAgent): void {
    this.#all.add(agent);
    addTo(this.#names, agent.register.name, agent);
    addTo(this.#targets, this.#targetOf(agent.register.name), agent);
    for (const capability of new Set(agent.register.capabilities)) addTo(this.#capabilities, capability, agent);
  }

  /** Takes an agent out. */
  remove(agent: RegisteredAgent): void {
    this.#all.remove(agent);
    removeFrom(this.#names, agent.register.name, agent);
    removeFrom(this.#targets, this.#targetOf(agent.register.name), agent);
    for (const capability of new Set(agent.register.capabilities)) removeFrom(this.#capabilities, capability, agent);
  }

  /** Every agent whose name has this target, in hex. */
  findTarget(target: string): readonly RegisteredAgent[] {
    return this.#targets.get(target)?.agents ?? NOBODY;
  }

  /** Every agent that a query other than one by id asks for, in order. */
  find(query: Exclude<DiscoverQuery, { readonly by: "id" }>): readonly RegisteredAgent[] {
    switch (query.by) {
      case "all":
        return this.#all.agents;
      case "name":
        return this.#names.get(query.name)?.agents ?? NOBODY;
      case "capability": {
        const { capability } = query;
        if (capability !== "*" && !capability.endsWith(".*")) {
          return this.#capabilities.get(capability)?.agents ?? NOBODY;
        }
        return this.#all.agents.filter((agent) => matches(query, agent));
      }
    }
  }
}

/** The place in an ordered list behind a key. */
export function placeBehind(agents: readonly RegisteredAgent[], key: string): number {
  let low = 0, high = agents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (agents[middle].key <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function addTo(table: KeyedMap<AgentOrder>, text: string, agent: RegisteredAgent): void {
  let order = table.get(text);
  if (order === undefined) table.set(text, order = new AgentOrder());
  order.add(agent);
}

function removeFrom(table: KeyedMap<AgentOrder>, text: string, agent: RegisteredAgent): void {
  const order = table.get(text);
  if (order === undefined) return;
  order.remove(agent);
  if (order.agents.length === 0) table.delete(text);
}
