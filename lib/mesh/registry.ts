/**
 * Which agents there are, and whose their ids are (SPEC §8.9).
 *
 * @module
 */

import { bytesEqual, toHex } from "../base/bytes.ts";
import { KeyedMap, newHashKey } from "../base/keyed_map.ts";
import { SortedBlocks } from "../base/sorted_blocks.ts";
import type { Random } from "../base/random.ts";
import { type Micros, micros, NEVER } from "../base/time.ts";
import { formatUuid, isNilUuid, UUID_BYTES } from "../base/uuid.ts";
import { ErrorCode, errorCodeInfo } from "../codec/error_codes.ts";
import type { AgentDiscover } from "../codec/payloads/agent_discover.ts";
import type { AgentHeartbeat } from "../codec/payloads/agent_heartbeat.ts";
import type { AgentRecord } from "../codec/payloads/agent_record.ts";
import type { AgentRegister } from "../codec/payloads/agent_register.ts";
import type { DiscoverResponse } from "../codec/payloads/discover_response.ts";
import { namesProblem } from "./agent_names.ts";
import { nameTarget } from "./agent_target.ts";
import { AgentIndex, type Place } from "./agent_index.ts";
import { AgentWatch } from "./agent_watch.ts";
import { isPlainOwner } from "./plain_owner.ts";
import { RegisteredAgent, type StoredAgent, weightOf } from "./registered_agent.ts";
import { HEARTBEATS_PER_LEASE, MAX_PAGE_WEIGHT, type RegistrySettings } from "./registry_settings.ts";

/** Agents in an answer to whoever does not say how many it wants. */
const DEFAULT_PAGE = 100;
/** The most agents in one answer, however many are wanted. */
const MAX_PAGE = 1_000;
/** Registrations that end in one go. */
const MAX_EXPIRED = 500;
/** UUIDs of this version stand for names (SPEC §8.1). */
const NAME_UUID_VERSION = 8;

/** Why something was refused; what an Error message says. */
export interface RegistryRefusal {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly text: string;
}

/** What one command did to one id; enough to write it down, and to take it back. */
export interface RegistryChange {
  readonly key: string;
  readonly before: StoredAgent | undefined;
  readonly after: StoredAgent | undefined;
  /** The registration that `before` stands for, heartbeats included. */
  readonly agentBefore: RegisteredAgent | undefined;
}

/** One key or source address, and what it holds. */
interface Owner {
  agents: number;
  weight: number;
  ids: number;
  /** Those of its ids that have no agent, in the order in which they lost it. */
  readonly gone: Set<Holding>;
}

/** One id. */
interface Holding {
  readonly key: string;
  /** Its owner in hex. */
  readonly ownerKey: string;
  readonly stored: StoredAgent;
  readonly agent: RegisteredAgent | undefined;
}

/** What a heartbeat found. */
export type HeartbeatOutcome = RegisteredAgent | "not_registered" | RegistryRefusal;

/**
 * The registry. It knows no clock, no connection and no disk: `now` runs evenly and decides about leases, `wallMillis` is
 * the time of day and is only shown and stored. Whoever speaks for an agent says so with its owner: the key that its
 * connection has proven, or the address that stands for whoever has none (`plainOwner`), whose registrations are never
 * written down, and hold their ids only while they last.
 *
 * @example
 * ```ts
 * import { Registry } from "./registry.ts";
 * import { registrySettings } from "./registry_settings.ts";
 * import { micros } from "../base/time.ts";
 * import { selectProvider } from "../crypto/select.ts";
 * import { SystemRandom } from "../runtime/random.ts";
 *
 * const registry = new Registry(registrySettings(), new SystemRandom(), (bytes) => selectProvider().sha256.hash(bytes));
 * const [now, ownerKey] = [micros(0), new Uint8Array(32)];
 * const echo = { agentId: new Uint8Array(16).fill(7), name: "echo", capabilities: ["text.echo"] };
 * registry.register(now, 1_700_000_000_000, ownerKey, echo);
 * registry.discover(now, 1_700_000_000_000, { query: { by: "capability", capability: "text.*" } });
 * ```
 */
export class Registry {
  readonly #settings: RegistrySettings;
  readonly #ids: KeyedMap<Holding>;
  readonly #owners: KeyedMap<Owner>;
  readonly #index: AgentIndex;
  /** The agents that no key vouches for, by id. */
  readonly #plain = new SortedBlocks<RegisteredAgent>();
  #plainWeight = 0;
  /** All ids without an agent, in the order in which they lost it. */
  readonly #gone = new Set<Holding>();
  readonly #watches = new Set<AgentWatch>();
  /** What {@link pollChanges} has not given out; undefined if nobody asks. */
  readonly #changes: RegistryChange[] | undefined;
  #weight = 0;
  /** At or before the earliest time at which a lease ends. */
  #due: Micros = NEVER;

  /**
   * @param sha256 makes the targets of names (SPEC §8.1).
   * @param journal whether somebody takes the changes with {@link pollChanges}.
   */
  constructor(
    settings: RegistrySettings,
    random: Random,
    sha256: (bytes: Uint8Array) => Uint8Array,
    journal = false,
  ) {
    this.#settings = settings;
    const hashKey = newHashKey(random);
    this.#ids = new KeyedMap(hashKey);
    this.#owners = new KeyedMap(hashKey);
    this.#index = new AgentIndex(hashKey, (name) => toHex(nameTarget(sha256, name)));
    if (journal) this.#changes = [];
  }

  /** Agents that are registered, those that are offline included. */
  get size(): number {
    return this.#index.size;
  }

  /** Ids whose owner is known. */
  get idCount(): number {
    return this.#ids.size;
  }

  /** What the registrations weigh; see `weightOf`. */
  get weight(): number {
    return this.#weight;
  }

  /** The agents that no key vouches for, in the order of their ids. The registry must not change meanwhile. */
  get plain(): Pick<SortedBlocks<RegisteredAgent>, "size" | "from"> {
    return this.#plain;
  }

  /** Who watches. */
  get watchCount(): number {
    return this.#watches.size;
  }

  /** The agent with an id in hex. */
  agent(key: string): RegisteredAgent | undefined {
    return this.#ids.get(key)?.agent;
  }

  // Commands of agents.

  /** Registers an agent, or replaces what is known of one; either begins a lease. */
  register(
    now: Micros,
    wallMillis: number,
    owner: Uint8Array,
    register: AgentRegister,
  ): RegisteredAgent | RegistryRefusal {
    this.handleTimeout(now, wallMillis);
    // The node says it in every record, as the owner's.
    const { agentId, publicKey: _ours, ...described } = register;
    const capabilities = [...new Set(register.capabilities)];
    const fresh: AgentRegister = { agentId, ...described, capabilities };
    const problem = unfit(register, owner, weightOf(fresh), this.#settings.maxWeight);
    if (problem !== undefined) return problem;
    const key = toHex(agentId);
    const holding = this.#ids.get(key);
    if (holding !== undefined && !bytesEqual(holding.stored.owner, owner)) return taken(agentId);
    const noRoom = this.#checkRoom(owner, holding, fresh) ?? this.#makeRoom(now, wallMillis, owner, holding);
    if (noRoom !== undefined) return noRoom;
    const { minLeaseMillis, maxLeaseMillis, leaseMillis } = this.#settings;
    const wanted = register.leaseMillis || leaseMillis;
    const holder = this.#set(now, key, {
      agentId,
      owner,
      register: fresh,
      leaseMillis: Math.min(Math.max(wanted, minLeaseMillis), maxLeaseMillis),
      registeredAtMillis: holding?.agent?.stored.registeredAtMillis ?? wallMillis,
      goneAtMillis: 0,
    });
    return holder!.agent!;
  }

  /** Renews a lease, and takes note of how the agent is. */
  heartbeat(now: Micros, wallMillis: number, owner: Uint8Array, heartbeat: AgentHeartbeat): HeartbeatOutcome {
    this.handleTimeout(now, wallMillis);
    const holding = this.#ids.get(toHex(heartbeat.agentId));
    if (holding !== undefined && !bytesEqual(holding.stored.owner, owner)) return taken(heartbeat.agentId);
    const agent = holding?.agent;
    if (agent === undefined) return "not_registered";
    const { status = agent.ownStatus, load = agent.load } = heartbeat;
    const isNews = agent.lapsed || status !== agent.ownStatus || load !== agent.load;
    agent.lastHeartbeat = now;
    agent.ownStatus = status;
    agent.load = load;
    agent.lapsed = false;
    this.#due = micros(Math.min(this.#due, agent.lapsesAt));
    if (isNews) this.#tell(agent, agent);
    return agent;
  }

  /** Ends a registration. The id stays its owner's if that is a key. */
  deregister(now: Micros, wallMillis: number, owner: Uint8Array, agentId: Uint8Array): HeartbeatOutcome {
    this.handleTimeout(now, wallMillis);
    const key = toHex(agentId);
    const holding = this.#ids.get(key);
    if (holding !== undefined && !bytesEqual(holding.stored.owner, owner)) return taken(agentId);
    const agent = holding?.agent;
    if (agent === undefined) return "not_registered";
    this.#set(now, key, gone(agent, wallMillis));
    return agent;
  }

  /**
   * Ends a registration, whoever's it is, and forgets whose the id was: for agents whose owner has gone, or has lost its
   * key. An owner that is there registers again at its next heartbeat.
   */
  remove(now: Micros, wallMillis: number, agentId: Uint8Array): RegisteredAgent | "not_registered" {
    this.handleTimeout(now, wallMillis);
    const key = toHex(agentId);
    const holding = this.#ids.get(key);
    if (holding !== undefined) this.#set(now, key, undefined);
    return holding?.agent ?? "not_registered";
  }

  // Questions.

  /** Answers a query with one page. Whether it wants to watch is not looked at. */
  discover(now: Micros, wallMillis: number, discover: AgentDiscover): DiscoverResponse | RegistryRefusal {
    const { cursor } = discover;
    if (cursor !== undefined && cursor.length !== UUID_BYTES) {
      return refusal(ErrorCode.BAD_REQUEST, "the cursor is none that this node gave");
    }
    return this.list(now, wallMillis, discover);
  }

  /** The same for a cursor that is known to be one. */
  list(now: Micros, wallMillis: number, { query, cursor, limit = DEFAULT_PAGE }: AgentDiscover): DiscoverResponse {
    this.handleTimeout(now, wallMillis);
    if (query.by === "id") {
      const agent = this.agent(toHex(query.agentId));
      const agents = agent === undefined ? [] : [agent.record(now, wallMillis)];
      return { agents, total: agents.length, nowMillis: wallMillis };
    }
    const found = this.#index.find(query);
    const after = cursor && toHex(cursor);
    const most = Math.min(limit, MAX_PAGE);
    const agents: AgentRecord[] = [];
    let weight = 0;
    let isMore = false;
    for (const agent of found.from(after)) {
      if (agent.key === after) continue;
      isMore = agents.length === most || weight >= MAX_PAGE_WEIGHT;
      if (isMore) break;
      weight += agent.weight;
      agents.push(agent.record(now, wallMillis));
    }
    const last = agents.at(-1)?.agentId;
    return { agents, total: found.size, nowMillis: wallMillis, ...(isMore && last !== undefined && { cursor: last }) };
  }

  /**
   * Whom a request may go to: those with a capability, else the one with the id, else those with the name that the target stands
   * for. In turn: from behind a place on, which goes along, and then from the beginning up to it.
   */
  candidates(
    now: Micros,
    wallMillis: number,
    target: Uint8Array,
    capability: string | undefined,
    place: Place,
  ): Iterable<RegisteredAgent> {
    this.handleTimeout(now, wallMillis);
    if (capability !== undefined) return this.#index.capableInTurn(capability, place);
    const key = toHex(target);
    const agent = this.agent(key);
    return agent === undefined ? this.#index.namedInTurn(key, place) : [agent];
  }

  /** Begins to watch. What it tells its `onReady` must not use the registry at once. End it with {@link unwatch}. */
  watch({ query, limit = DEFAULT_PAGE }: AgentDiscover): AgentWatch {
    const watch = new AgentWatch(this, query, Math.min(limit, MAX_PAGE), this.#settings.maxPendingChanges);
    this.#watches.add(watch);
    return watch;
  }

  /** Ends a watch. */
  unwatch(watch: AgentWatch): void {
    this.#watches.delete(watch);
  }

  // Time.

  /** When {@link handleTimeout} should be called next. */
  pollTimeout(): Micros {
    return this.#due;
  }

  /** Says that leases are over, and ends the registrations whose time has come. */
  handleTimeout(now: Micros, wallMillis: number): void {
    if (now < this.#due) return;
    let due: number = NEVER;
    const expired: RegisteredAgent[] = [];
    for (const agent of this.#index.all.from()) {
      if (now >= agent.expiresAt) {
        // The others' turn comes with the next call, so that nothing else has to wait for very many of them.
        if (expired.length < MAX_EXPIRED) expired.push(agent);
        else due = now;
        continue;
      }
      if (!agent.lapsed && now >= agent.lapsesAt) {
        agent.lapsed = true;
        this.#tell(agent, agent);
      }
      due = Math.min(due, agent.lapsed ? agent.expiresAt : agent.lapsesAt);
    }
    // Every agent was looked at. A microsecond for each until the next time, so that leases which end one by one, as an
    // unfriendly key can arrange, do not keep the node busy with nothing else.
    this.#due = micros(Math.max(due, expired.length === MAX_EXPIRED ? now : now + this.size));
    for (const agent of expired) this.#set(now, agent.key, gone(agent, wallMillis));
  }

  // Storage.

  /**
   * Takes in what was stored when the node last ran. Leases begin anew: nobody could send a heartbeat to a node that was
   * not there.
   */
  restore(now: Micros, stored: Iterable<StoredAgent>): void {
    const keyed = [...stored].map((agent) => ({ agent, key: toHex(agent.agentId) }));
    // Those that went first are forgotten first, also if they went before the restart.
    keyed.sort((a, b) => a.agent.goneAtMillis - b.agent.goneAtMillis || (a.key < b.key ? -1 : 1));
    for (const { key, agent } of keyed) this.#replace(now, key, agent);
  }

  /** What has changed since the last call, in order. */
  pollChanges(): RegistryChange[] {
    return this.#changes === undefined ? [] : this.#changes.splice(0);
  }

  /** Takes changes back that could not be stored: the last ones that were made, in the order in which they were. */
  revert(now: Micros, changes: readonly RegistryChange[]): void {
    for (let i = changes.length - 1; i >= 0; i--) {
      const { key, before, agentBefore } = changes[i];
      const agent = this.agent(key);
      const restored = this.#replace(now, key, before)?.agent;
      if (restored === undefined || agentBefore === undefined) continue;
      // It was heard of in the meantime, under whichever registration.
      restored.lastHeartbeat = micros(Math.max(agentBefore.lastHeartbeat, agent?.lastHeartbeat ?? 0));
      restored.ownStatus = agentBefore.ownStatus;
      restored.load = agentBefore.load;
      this.#due = micros(Math.min(this.#due, restored.lapsesAt));
    }
  }

  #set(now: Micros, key: string, after: StoredAgent | undefined): Holding | undefined {
    const before = this.#ids.get(key);
    const holding = this.#replace(now, key, after);
    const stored = after ?? before?.stored;
    if (stored !== undefined && !isPlainOwner(stored.owner)) {
      this.#changes?.push({ key, before: before?.stored, after, agentBefore: before?.agent });
    }
    return holding;
  }

  /** The one place that changes the tables, so that the sums are right. */
  #replace(now: Micros, key: string, stored: StoredAgent | undefined): Holding | undefined {
    const before = this.#ids.get(key);
    if (before !== undefined) this.#takeOut(before);
    let holding: Holding | undefined;
    if (stored !== undefined) {
      const { register } = stored;
      const agent = register && new RegisteredAgent(key, stored, register, now);
      this.#putIn(holding = { key, ownerKey: toHex(stored.owner), stored, agent });
    }
    this.#tell(before?.agent, holding?.agent);
    return holding;
  }

  #putIn(holding: Holding): void {
    const { key, ownerKey, agent } = holding;
    let owner = this.#owners.get(ownerKey);
    if (owner === undefined) {
      owner = { agents: 0, weight: 0, ids: 0, gone: new Set() };
      this.#owners.set(ownerKey, owner);
    }
    this.#ids.set(key, holding);
    owner.ids++;
    if (agent === undefined) {
      owner.gone.add(holding);
      this.#gone.add(holding);
      return;
    }
    owner.agents++;
    owner.weight += agent.weight;
    this.#weight += agent.weight;
    this.#index.add(agent);
    if (agent.isPlain) {
      this.#plain.add(agent);
      this.#plainWeight += agent.weight;
    }
    this.#due = micros(Math.min(this.#due, agent.lapsesAt));
  }

  #takeOut(holding: Holding): void {
    const { key, ownerKey, agent } = holding;
    const owner = this.#owners.get(ownerKey)!;
    this.#ids.delete(key);
    owner.ids--;
    if (agent === undefined) {
      owner.gone.delete(holding);
      this.#gone.delete(holding);
    } else {
      owner.agents--;
      owner.weight -= agent.weight;
      this.#weight -= agent.weight;
      this.#index.remove(agent);
      if (agent.isPlain) {
        this.#plain.remove(agent.key);
        this.#plainWeight -= agent.weight;
      }
    }
    if (owner.ids === 0) this.#owners.delete(ownerKey);
  }

  #tell(before: RegisteredAgent | undefined, after: RegisteredAgent | undefined): void {
    if (before === undefined && after === undefined) return;
    for (const watch of this.#watches) watch.handleChange(before, after);
  }

  /** Whether the quotas allow a registration. */
  #checkRoom(
    ownerKey: Uint8Array,
    holding: Holding | undefined,
    register: AgentRegister,
  ): RegistryRefusal | undefined {
    const { maxAgents, maxAgentsPerKey, maxWeightPerKey, maxTotalWeight } = this.#settings;
    const owner = this.#owners.get(toHex(ownerKey));
    const isNew = holding?.agent === undefined ? 1 : 0;
    const more = weightOf(register) - (holding?.agent?.weight ?? 0);
    if (isPlainOwner(ownerKey)) {
      const { maxPlainAgents, maxPlainAgentsPerAddress, maxPlainWeight } = this.#settings;
      if ((owner?.agents ?? 0) + isNew > maxPlainAgentsPerAddress) {
        const text = `this address has ${maxPlainAgentsPerAddress} agents registered, the most it may have`;
        return refusal(ErrorCode.LIMIT_REACHED, text);
      }
      if (this.#plain.size + isNew > maxPlainAgents || this.#plainWeight + more > maxPlainWeight) {
        return refusal(ErrorCode.OVERLOADED, "there is no room for more agents without a key");
      }
    }
    if ((owner?.agents ?? 0) + isNew > maxAgentsPerKey) {
      return refusal(
        ErrorCode.LIMIT_REACHED,
        `this key has ${maxAgentsPerKey} agents registered, the most it may have`,
      );
    }
    if ((owner?.weight ?? 0) + more > maxWeightPerKey) {
      return refusal(ErrorCode.LIMIT_REACHED, "what this key has registered is as large as it may be");
    }
    if (this.size + isNew > maxAgents || this.#weight + more > maxTotalWeight) {
      return refusal(ErrorCode.OVERLOADED, "the registry is full");
    }
    return undefined;
  }

  /** Forgets an id that nobody uses if a new one would be too many. */
  #makeRoom(
    now: Micros,
    wallMillis: number,
    ownerKey: Uint8Array,
    holding: Holding | undefined,
  ): RegistryRefusal | undefined {
    if (holding !== undefined) return undefined;
    const { maxIds, maxIdsPerKey, keepOwnerMillis } = this.#settings;
    const owner = this.#owners.get(toHex(ownerKey));
    if (owner !== undefined && owner.ids >= maxIdsPerKey) {
      // Its own; there is one, because fewer of its ids than this may have an agent.
      const [oldest] = owner.gone;
      this.#set(now, oldest.key, undefined);
    }
    if (this.#ids.size < maxIds) return undefined;
    const [oldest] = this.#gone;
    // An id that belongs to a key is not forgotten for the sake of an address.
    if (oldest === undefined || isPlainOwner(ownerKey) || oldest.stored.goneAtMillis + keepOwnerMillis > wallMillis) {
      return refusal(ErrorCode.OVERLOADED, "the registry remembers as many ids as it can");
    }
    this.#set(now, oldest.key, undefined);
    return undefined;
  }
}

/** What is wrong with a registration as such. */
function unfit(
  { agentId, publicKey, name, capabilities }: AgentRegister,
  owner: Uint8Array,
  weight: number,
  maxWeight: number,
): RegistryRefusal | undefined {
  if (isNilUuid(agentId)) return refusal(ErrorCode.BAD_REQUEST, "the nil UUID is the node itself");
  if (agentId[6] >>> 4 === NAME_UUID_VERSION) {
    return refusal(ErrorCode.BAD_REQUEST, "UUIDs of version 8 stand for names; take another version");
  }
  const problem = namesProblem(name, capabilities);
  if (problem !== undefined) return refusal(ErrorCode.BAD_REQUEST, problem);
  if (publicKey !== undefined && !bytesEqual(publicKey, owner)) {
    return refusal(ErrorCode.BAD_REQUEST, "the public key is not one that its sender has proven");
  }
  if (weight > maxWeight) {
    return refusal(ErrorCode.PAYLOAD_TOO_LARGE, `a registration may weigh ${maxWeight} bytes at most`);
  }
  return undefined;
}

/** What is left of a registration that is over: a key is remembered, an address may be anybody's by then. */
function gone({ stored, isPlain }: RegisteredAgent, wallMillis: number): StoredAgent | undefined {
  if (isPlain) return undefined;
  // 0 means that it has not gone.
  return { ...stored, register: undefined, goneAtMillis: Math.max(1, wallMillis) };
}

function taken(agentId: Uint8Array): RegistryRefusal {
  return refusal(ErrorCode.AGENT_ID_TAKEN, `the agent id ${formatUuid(agentId)} belongs to somebody else`);
}

function refusal(code: ErrorCode, text: string): RegistryRefusal {
  return { code, retryable: errorCodeInfo(code)!.retryable, text };
}

/** How often an agent with this lease is to send heartbeats, in milliseconds. */
export function heartbeatMillis(leaseMillis: number): number {
  return Math.floor(leaseMillis / HEARTBEATS_PER_LEASE);
}
