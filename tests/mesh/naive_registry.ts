/**
 * What the registry should do, in the plainest words: a list that is searched from end to end, and nothing remembered
 * that can be computed.
 *
 * @module
 */

import { formatUuid } from "../../lib/base/uuid.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { capabilityMatches, type DiscoverQuery } from "../../lib/codec/payloads/agent_discover.ts";
import type { AgentRegister } from "../../lib/codec/payloads/agent_register.ts";
import type { RegistrySettings } from "../../lib/mesh/registry_settings.ts";

interface Line {
  readonly id: string;
  readonly owner: number;
  register: AgentRegister | undefined;
  lease: number;
  heard: number;
  status: string;
  load: number | undefined;
  registeredAt: number;
  goneAt: number;
  /** Which line lost its agent first. */
  goneOrder: number;
}

/** Times are in milliseconds, owners are numbers, answers are what an agent would see. */
export class NaiveRegistry {
  readonly #settings: RegistrySettings;
  #lines: Line[] = [];
  #order = 0;

  constructor(settings: RegistrySettings) {
    this.#settings = settings;
  }

  register(now: number, wall: number, owner: number, wish: AgentRegister): string {
    this.#sweep(now, wall);
    if (wish.capabilities.some((capability) => capability.endsWith("*"))) return `refused ${ErrorCode.BAD_REQUEST}`;
    const register = { ...wish, capabilities: [...new Set(wish.capabilities)] };
    const id = formatUuid(register.agentId);
    const line = this.#lines.find((line) => line.id === id);
    if (line !== undefined && line.owner !== owner) return `refused ${ErrorCode.AGENT_ID_TAKEN}`;
    const live = this.#lines.filter((line) => line.register !== undefined);
    const isNew = line?.register === undefined;
    const { maxAgents, maxAgentsPerKey, maxIds, maxIdsPerKey, keepOwnerMillis } = this.#settings;
    if (isNew && live.filter((line) => line.owner === owner).length >= maxAgentsPerKey) {
      return `refused ${ErrorCode.LIMIT_REACHED}`;
    }
    if (isNew && live.length >= maxAgents) return `refused ${ErrorCode.OVERLOADED}`;
    if (line === undefined) {
      const own = this.#lines.filter((line) => line.owner === owner);
      if (own.length >= maxIdsPerKey) this.#forget(first(own));
      if (this.#lines.length >= maxIds) {
        const oldest = first(this.#lines);
        if (oldest === undefined || wall - oldest.goneAt < keepOwnerMillis) return `refused ${ErrorCode.OVERLOADED}`;
        this.#forget(oldest);
      }
    } else this.#forget(line);
    const { minLeaseMillis, maxLeaseMillis, leaseMillis } = this.#settings;
    const lease = Math.min(maxLeaseMillis, Math.max(minLeaseMillis, register.leaseMillis || leaseMillis));
    const registeredAt = isNew ? wall : line.registeredAt;
    this.#lines.push({
      id,
      owner,
      register,
      lease,
      heard: now,
      status: "online",
      load: undefined,
      registeredAt,
      goneAt: 0,
      goneOrder: 0,
    });
    return `lease ${lease}`;
  }

  heartbeat(now: number, wall: number, owner: number, id: string, status?: string, load?: number): string {
    this.#sweep(now, wall);
    const line = this.#lines.find((line) => line.id === id);
    if (line !== undefined && line.owner !== owner) return `refused ${ErrorCode.AGENT_ID_TAKEN}`;
    if (line?.register === undefined) return "not_registered";
    line.heard = now;
    if (status !== undefined) line.status = status;
    if (load !== undefined) line.load = load;
    return `lease ${line.lease}`;
  }

  deregister(now: number, wall: number, owner: number, id: string): string {
    this.#sweep(now, wall);
    const line = this.#lines.find((line) => line.id === id);
    if (line !== undefined && line.owner !== owner) return `refused ${ErrorCode.AGENT_ID_TAKEN}`;
    if (line?.register === undefined) return "not_registered";
    this.#lose(line, wall);
    return `lease ${line.lease}`;
  }

  /** Every agent that a query asks for, as `id status load registered-at`. */
  find(now: number, wall: number, query: DiscoverQuery): string[] {
    this.#sweep(now, wall);
    return this.#lines.filter((line) => line.register !== undefined && asksFor(query, line.register))
      .map(({ id, heard, lease, status, load, registeredAt }) =>
        `${id} ${now >= heard + lease ? "offline" : status} ${load} ${registeredAt}`
      ).sort();
  }

  restart(now: number, wall: number): void {
    this.#sweep(now, wall);
    for (const line of this.#lines) {
      line.heard = now;
      line.status = "online";
      line.load = undefined;
    }
  }

  #sweep(now: number, wall: number): void {
    const sorted = [...this.#lines].sort((a, b) => a.id < b.id ? -1 : 1);
    for (const line of sorted) {
      if (line.register !== undefined && now >= line.heard + 2 * line.lease) this.#lose(line, wall);
    }
  }

  #lose(line: Line, wall: number): void {
    line.register = undefined;
    line.goneAt = wall;
    line.goneOrder = ++this.#order;
  }

  #forget(line: Line | undefined): void {
    this.#lines = this.#lines.filter((other) => other !== line);
  }
}

function asksFor(query: DiscoverQuery, { name, agentId, capabilities }: AgentRegister): boolean {
  if (query.by === "all") return true;
  if (query.by === "name") return name === query.name;
  if (query.by === "id") return formatUuid(agentId) === formatUuid(query.agentId);
  return capabilities.some((capability) => capabilityMatches(query.capability, capability));
}

/** Whose agent went first. */
function first(lines: readonly Line[]): Line | undefined {
  return lines.filter((line) => line.register === undefined).sort((a, b) => a.goneOrder - b.goneOrder)[0];
}
