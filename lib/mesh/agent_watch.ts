/**
 * What one watcher has not been told yet.
 *
 * @module
 */

import type { Micros } from "../base/time.ts";
import type { AgentDiscover, DiscoverQuery } from "../codec/payloads/agent_discover.ts";
import type { AgentRecord } from "../codec/payloads/agent_record.ts";
import type { DiscoverResponse } from "../codec/payloads/discover_response.ts";
import { matches } from "./agent_index.ts";
import type { RegisteredAgent } from "./registered_agent.ts";
import { MAX_PAGE_WEIGHT } from "./registry_settings.ts";

/** What a watch asks of its registry. */
export interface WatchedRegistry {
  /** One page of a listing. */
  list(now: Micros, wallMillis: number, discover: AgentDiscover): DiscoverResponse;
  /** The agent with this id as it is now. */
  agent(key: string): RegisteredAgent | undefined;
}

/**
 * A listing first, then the agents that changed, each as it is when it is told. However slow its reader, it never holds
 * more than the ids that changed, and beyond a limit it forgets those too and begins with a listing again.
 */
export class AgentWatch {
  readonly query: DiscoverQuery;
  readonly #registry: WatchedRegistry;
  readonly #pageSize: number;
  readonly #maxPending: number;
  /** Agents that have changed, and their ids as bytes, in the order in which they did first. */
  readonly #changed = new Map<string, Uint8Array>();
  #listing = true;
  /** More has changed than is remembered: there has to be a listing anew. Looked at between two answers, because changes also come while one is made. */
  #isBehind = false;
  /** Where the listing goes on. */
  #cursor: Uint8Array | undefined;
  /** Called when there is something to tell again. Set by whoever tells it. */
  onReady: (() => void) | undefined = undefined;

  constructor(registry: WatchedRegistry, query: DiscoverQuery, pageSize: number, maxPending: number) {
    this.#registry = registry;
    this.query = query;
    this.#pageSize = pageSize;
    this.#maxPending = maxPending;
  }

  /** Whether {@link poll} has something to say. */
  get ready(): boolean {
    return this.#listing || this.#isBehind || this.#changed.size > 0;
  }

  /** An agent came, went or is otherwise than before. */
  handleChange(before: RegisteredAgent | undefined, after: RegisteredAgent | undefined): void {
    const concerned = (before !== undefined && matches(this.query, before)) ||
      (after !== undefined && matches(this.query, after));
    if (!concerned) return;
    const { key, stored } = (after ?? before)!;
    this.#changed.set(key, stored.agentId);
    if (this.#changed.size > this.#maxPending) {
      this.#changed.clear();
      this.#isBehind = true;
    }
    this.onReady?.();
  }

  /** The next answer; undefined if there is nothing new. */
  poll(now: Micros, wallMillis: number): DiscoverResponse | undefined {
    if (this.#isBehind) {
      this.#isBehind = false;
      this.#listing = true;
      this.#cursor = undefined;
    }
    if (this.#listing) {
      const isFirst = this.#cursor === undefined;
      // What changes from here on is told behind the listing, whether a page of it has shown it or not.
      if (isFirst) this.#changed.clear();
      const page = this.#registry.list(now, wallMillis, {
        query: this.query,
        limit: this.#pageSize,
        ...(this.#cursor !== undefined && { cursor: this.#cursor }),
      });
      this.#cursor = page.cursor;
      this.#listing = page.cursor !== undefined;
      return isFirst ? { ...page, fromStart: true } : page;
    }
    if (this.#changed.size === 0) return undefined;
    const agents: AgentRecord[] = [];
    let weight = 0;
    for (const [key, agentId] of this.#changed) {
      if (agents.length === this.#pageSize || weight >= MAX_PAGE_WEIGHT) break;
      this.#changed.delete(key);
      const agent = this.#registry.agent(key);
      weight += agent?.weight ?? 0;
      agents.push(
        agent !== undefined && matches(this.query, agent)
          ? agent.record(now, wallMillis)
          // SPEC §8.10: a lease of 0 says that nobody of this id answers the query any more.
          : { agentId, name: "", capabilities: [], status: "offline", leaseMillis: 0 },
      );
    }
    return { agents, nowMillis: wallMillis };
  }
}
