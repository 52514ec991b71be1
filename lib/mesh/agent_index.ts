/**
 * The registered agents, by id, by name and by capability, each in the order of their ids, so that a long answer can be
 * given in pages while agents come and go.
 *
 * @module
 */

import { toHex } from "../base/bytes.ts";
import type { HashKey } from "../base/keyed_hash.ts";
import { KeyedMap } from "../base/keyed_map.ts";
import { SortedBlocks } from "../base/sorted_blocks.ts";
import { capabilityMatches, type DiscoverQuery } from "../codec/payloads/agent_discover.ts";
import type { RegisteredAgent } from "./registered_agent.ts";

/** Agents in the order of their ids. */
export interface AgentList {
  readonly size: number;
  /** Those with this id, in hex, or a higher one; all of them without one. The registry must not change meanwhile. */
  from(key?: string): Iterable<RegisteredAgent>;
}

/** How far somebody has gone through agents in the order of their capabilities and ids. Empty: not at all. */
export interface Place {
  capability?: string;
  /** An agent's id, in hex. */
  key?: string;
}

/** The agents that have one capability. */
interface Capable {
  /** The capability. */
  readonly key: string;
  readonly agents: SortedBlocks<RegisteredAgent>;
}

/** Agents that were found one by one. */
class FoundAgents implements AgentList {
  readonly #agents: readonly RegisteredAgent[];

  /** @param agents in order. */
  constructor(agents: readonly RegisteredAgent[]) {
    this.#agents = agents;
  }

  get size(): number {
    return this.#agents.length;
  }

  from(key = ""): Iterable<RegisteredAgent> {
    const at = this.#agents.findIndex((agent) => agent.key >= key);
    return at < 0 ? [] : at === 0 ? this.#agents : this.#agents.slice(at);
  }
}

/** Nobody. */
const NOBODY: AgentList = new FoundAgents([]);

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
  readonly #all = new SortedBlocks<RegisteredAgent>();
  readonly #names: KeyedMap<SortedBlocks<RegisteredAgent>>;
  /** By what a Call to the name has as its target, in hex. */
  readonly #targets: KeyedMap<SortedBlocks<RegisteredAgent>>;
  /** By capability, and the capabilities in order. */
  readonly #capable: KeyedMap<Capable>;
  readonly #capabilities = new SortedBlocks<Capable>();
  readonly #targetOf: (name: string) => string;

  /** @param targetOf what a Call to an agent of this name has as its target, in hex. */
  constructor(hashKey: HashKey, targetOf: (name: string) => string) {
    this.#names = new KeyedMap(hashKey);
    this.#targets = new KeyedMap(hashKey);
    this.#capable = new KeyedMap(hashKey);
    this.#targetOf = targetOf;
  }

  /** How many there are. */
  get size(): number {
    return this.#all.size;
  }

  /** All of them. */
  get all(): AgentList {
    return this.#all;
  }

  /** Puts an agent in. */
  add(agent: RegisteredAgent): void {
    const { name, capabilities } = agent.register;
    this.#all.add(agent);
    addTo(this.#names, name, agent);
    addTo(this.#targets, this.#targetOf(name), agent);
    for (const capability of new Set(capabilities)) {
      let capable = this.#capable.get(capability);
      if (capable === undefined) {
        capable = { key: capability, agents: new SortedBlocks() };
        this.#capable.set(capability, capable);
        this.#capabilities.add(capable);
      }
      capable.agents.add(agent);
    }
  }

  /** Takes an agent out. */
  remove(agent: RegisteredAgent): void {
    const { name, capabilities } = agent.register;
    this.#all.remove(agent.key);
    removeFrom(this.#names, name, agent);
    removeFrom(this.#targets, this.#targetOf(name), agent);
    for (const capability of new Set(capabilities)) {
      const capable = this.#capable.get(capability)!;
      capable.agents.remove(agent.key);
      if (capable.agents.size > 0) continue;
      this.#capable.delete(capability);
      this.#capabilities.remove(capability);
    }
  }

  /** Every agent that a query other than one by id asks for. */
  find(query: Exclude<DiscoverQuery, { readonly by: "id" }>): AgentList {
    switch (query.by) {
      case "all":
        return this.#all;
      case "name":
        return this.#names.get(query.name) ?? NOBODY;
      case "capability":
        return this.#findCapability(query.capability);
    }
  }

  /**
   * Every agent that has a capability, from behind a place on and then from the beginning up to it. The place goes along. Who has
   * several of the capabilities that a prefix stands for comes several times.
   */
  *capableInTurn(wanted: string, place: Place): Generator<RegisteredAgent, void, undefined> {
    if (wanted !== "*" && !wanted.endsWith(".*")) {
      const capable = this.#capable.get(wanted);
      if (capable !== undefined) yield* inTurn(capable.agents, place);
      return;
    }
    const { capability: first, key } = place;
    const prefix = wanted.slice(0, -1);
    const behind = function* ({ key: capability, agents }: Capable): Generator<RegisteredAgent, void, undefined> {
      for (const agent of agents.from(capability === first ? key : undefined)) {
        if (capability !== first || agent.key !== key) yield step(place, agent, capability);
      }
    };
    for (const capable of this.#meant(wanted, prefix, first)) yield* behind(capable);
    if (first === undefined) return;
    for (const { key: capability, agents } of this.#meant(wanted, prefix)) {
      if (capability > first) return;
      for (const agent of agents.from()) {
        if (capability === first && agent.key > key!) break;
        yield step(place, agent, capability);
      }
    }
  }

  /** The same for the agents whose name has a target, in hex. */
  *namedInTurn(target: string, place: Place): Generator<RegisteredAgent, void, undefined> {
    const agents = this.#targets.get(target);
    if (agents !== undefined) yield* inTurn(agents, place);
  }

  /** The capabilities that are meant, from one on. */
  *#meant(wanted: string, prefix: string, from = prefix): Generator<Capable, void, undefined> {
    for (const capable of this.#capabilities.from(from)) {
      if (!capable.key.startsWith(prefix)) return;
      if (capabilityMatches(wanted, capable.key)) yield capable;
    }
  }

  #findCapability(wanted: string): AgentList {
    if (wanted === "*") return this.#findCapable(() => true, "");
    if (!wanted.endsWith(".*")) return this.#capable.get(wanted)?.agents ?? NOBODY;
    const prefix = wanted.slice(0, -1);
    return this.#findCapable((capability) => capabilityMatches(wanted, capability), prefix);
  }

  /** The agents with any of the capabilities that begin with `prefix` and are meant. */
  #findCapable(isMeant: (capability: string) => boolean, prefix: string): AgentList {
    const found = new Set<RegisteredAgent>();
    for (const { key, agents } of this.#capabilities.from(prefix)) {
      if (!key.startsWith(prefix)) break;
      if (!isMeant(key)) continue;
      for (const agent of agents.from()) found.add(agent);
    }
    // Where many were found, it is quicker to go through all in order than to put those in order.
    if (8 * found.size < this.size) return new FoundAgents([...found].sort((a, b) => a.key < b.key ? -1 : 1));
    const sorted: RegisteredAgent[] = [];
    for (const agent of this.#all.from()) if (found.has(agent)) sorted.push(agent);
    return new FoundAgents(sorted);
  }
}

/** All members of a list, from behind a place on and then up to it. */
function* inTurn(
  agents: SortedBlocks<RegisteredAgent>,
  place: Place,
): Generator<RegisteredAgent, void, undefined> {
  const { key } = place;
  for (const agent of agents.from(key)) if (agent.key !== key) yield step(place, agent);
  if (key === undefined) return;
  for (const agent of agents.from()) {
    if (agent.key > key) return;
    yield step(place, agent);
  }
}

function step(place: Place, agent: RegisteredAgent, capability?: string): RegisteredAgent {
  place.capability = capability;
  place.key = agent.key;
  return agent;
}

function addTo(table: KeyedMap<SortedBlocks<RegisteredAgent>>, text: string, agent: RegisteredAgent): void {
  let agents = table.get(text);
  if (agents === undefined) table.set(text, agents = new SortedBlocks());
  agents.add(agent);
}

function removeFrom(table: KeyedMap<SortedBlocks<RegisteredAgent>>, text: string, agent: RegisteredAgent): void {
  const agents = table.get(text);
  if (agents === undefined) return;
  agents.remove(agent.key);
  if (agents.size === 0) table.delete(text);
}
