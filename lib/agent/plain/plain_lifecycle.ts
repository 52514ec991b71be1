/**
 * Registrations, heartbeats and searches over the plain carrier (SPEC §3.2). The source address takes the place of the
 * key: it is no proof of anything, so it has rights over nothing but what came from it.
 *
 * @module
 */

import { type Address, address } from "../../base/address.ts";
import { toHex } from "../../base/bytes.ts";
import type { Micros } from "../../base/time.ts";
import { formatUuid, UUID_BYTES } from "../../base/uuid.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import type { RegisterForm } from "../../codec/json/detect.ts";
import type { AgentDiscover } from "../../codec/payloads/agent_discover.ts";
import type { AgentHeartbeat } from "../../codec/payloads/agent_heartbeat.ts";
import type { AgentRecord } from "../../codec/payloads/agent_record.ts";
import { type AgentRegister, sizeOfAgentRegister } from "../../codec/payloads/agent_register.ts";
import { matches } from "../../mesh/agent_index.ts";
import { RegisteredAgent } from "../../mesh/registered_agent.ts";
import { heartbeatMillis, type Registry, type RegistryRefusal } from "../../mesh/registry.ts";
import { type PeerInfo, plainPeerInfo } from "../peer_info.ts";
import type { PlainAgents } from "./plain_agents.ts";
import type { PlainPort, PlainQuestion } from "./plain_port.ts";
import type { RegistryEvent } from "../registry/registry_service.ts";

/** Agents in an answer to whoever does not say how many it wants, and the most in any. */
const MAX_LISTED = 100;
/** Of the agents that a name stands for and that are connected with a key, so many are listed. */
const MAX_TARGETS = 16;
/** The published runtime reads answers into a buffer of this size. Elsewhere a longer datagram travels in pieces. */
const MAX_ANSWER_BYTES = 16_384;

/** The registry of a node, for those who have no key. */
export interface PlainRegistry {
  readonly registry: Registry;
  /** Leases may end sooner than before. */
  changed(): void;
  /** Something has been done. */
  count(what: "registered" | "deregistered" | "heartbeats" | "discoveries"): void;
  /** Something has been refused. */
  countRefusal(refusal: RegistryRefusal, peer: PeerInfo, agentId?: Uint8Array, name?: string): void;
  /** Tells whoever listens. */
  report(event: RegistryEvent): void;
}

/** What {@link PlainLifecycle} works with. */
export interface PlainLifecycleParts {
  readonly port: PlainPort;
  readonly registry: PlainRegistry;
  readonly agents: PlainAgents;
  /** 16 bytes: the one agent of the mesh that may be called, and so is found, too. */
  readonly callTarget: Uint8Array | undefined;
}

/** Answers what is said to a registry. */
export class PlainLifecycle {
  readonly #parts: PlainLifecycleParts;

  constructor(parts: PlainLifecycleParts) {
    this.#parts = parts;
  }

  /** @param owner stands for the source. */
  register(question: PlainQuestion, owner: Uint8Array, form: RegisterForm, register: AgentRegister): void {
    const { port, registry: { registry, changed, report, count }, agents } = this.#parts;
    const { remote } = question;
    const where = callableAt(remote, register.endpoint ?? register.endpoint6);
    const problem = where.key === port.socket.local.key
      ? "is where this node itself listens"
      // Its zone is a number of this machine's, and records have no room for it.
      : where.host.includes("%")
      ? "is an address of no use to any other machine; register from another one"
      : undefined;
    if (problem !== undefined) {
      const text = `${where.key} ${problem}`;
      return this.#refuse(question, { code: ErrorCode.BAD_REQUEST, retryable: false, text }, register);
    }
    const isIpv6 = where.host.includes(":");
    const before = registry.agent(toHex(register.agentId));
    const agent = registry.register(port.clock.now(), Date.now(), owner, {
      ...register,
      endpoint: isIpv6 ? undefined : where,
      endpoint6: isIpv6 ? where : undefined,
    });
    changed();
    if (!(agent instanceof RegisteredAgent)) return this.#refuse(question, agent, register);
    agents.remember(agent, form, before);
    count("registered");
    const { agentId, leaseMillis } = agent.stored;
    report({ type: "registered", agentId: formatUuid(agentId), name: register.name, peer: plainPeerInfo(remote) });
    const response = { success: true, agentId, leaseMillis, heartbeatMillis: heartbeatMillis(leaseMillis) };
    port.answer(question, port.messages.registered(question, form, response));
  }

  /** Keeps a registration, or ends it. */
  heartbeat(question: PlainQuestion, owner: Uint8Array, heartbeat: AgentHeartbeat, isFinal: boolean): void {
    const { port, registry: { registry, changed, count, report } } = this.#parts;
    const { agentId } = heartbeat;
    const now = port.clock.now();
    const wall = Date.now();
    const outcome = isFinal
      ? registry.deregister(now, wall, owner, agentId)
      : registry.heartbeat(now, wall, owner, heartbeat);
    changed();
    if (typeof outcome !== "string" && !(outcome instanceof RegisteredAgent)) {
      return this.#refuse(question, outcome, { agentId });
    }
    const isKnown = outcome !== "not_registered";
    if (!isFinal) count("heartbeats");
    else if (isKnown) {
      count("deregistered");
      const { name } = outcome.register;
      report({ type: "deregistered", agentId: formatUuid(agentId), name, peer: plainPeerInfo(question.remote) });
    }
    const response = {
      // Who is not registered need not be deregistered.
      success: isKnown || isFinal,
      needsRegister: !isKnown && !isFinal,
      agentId,
      timestampMillis: Math.max(0, wall),
      ...(isKnown && !isFinal && { leaseMillis: outcome.stored.leaseMillis }),
    };
    port.answer(question, port.messages.heartbeat(question, question.form, response));
  }

  /** Lists agents that can be called from here. Whether to watch is not looked at: there is no way to tell later. */
  discover(question: PlainQuestion, { query, cursor, limit = MAX_LISTED }: AgentDiscover): void {
    const { port, registry: { registry, changed, count } } = this.#parts;
    if (cursor !== undefined && cursor.length !== UUID_BYTES) {
      const text = "the cursor is none that this node gave";
      return this.#refuse(question, { code: ErrorCode.BAD_REQUEST, retryable: false, text }, {});
    }
    const now = port.clock.now();
    const wall = Date.now();
    registry.handleTimeout(now, wall);
    changed();
    count("discoveries");
    const after = cursor && toHex(cursor);
    const most = Math.min(limit, MAX_LISTED);
    const agents: AgentRecord[] = [];
    let total = 0;
    let room = MAX_ANSWER_BYTES;
    let isMore = false;
    for (const agent of this.#findable(now, wall)) {
      if (!matches(query, agent)) continue;
      total++;
      if (after !== undefined && agent.key <= after) continue;
      isMore = agents.length === most || room <= 0;
      if (isMore) continue;
      const record = agent.record(now, wall);
      room -= question.form === "json" ? charactersOf(record) : sizeOfAgentRegister(record);
      // Who is connected with a key is called here, so here is where it is found.
      agents.push(agent.isPlain ? record : { ...record, ...endpointOf(port.socket.local) });
    }
    const capability = query.by === "capability" ? query.capability : "";
    const page = { capability, agents, total, isMore, nowMillis: Math.max(0, wall) };
    port.answer(question, port.messages.discovered(question, question.form, page, MAX_ANSWER_BYTES));
  }

  /** Everybody who may be called from here, in the order of the ids. */
  #findable(now: Micros, wall: number): Iterable<RegisteredAgent> {
    const { registry: { registry }, callTarget } = this.#parts;
    if (callTarget === undefined) return registry.plain.from();
    const found: RegisteredAgent[] = [];
    for (const agent of registry.candidates(now, wall, callTarget, undefined, {})) {
      if (!agent.isPlain) found.push(agent);
      if (found.length === MAX_TARGETS) break;
    }
    return [...found, ...registry.plain.from()].sort((a, b) => a.key < b.key ? -1 : 1);
  }

  #refuse(question: PlainQuestion, refusal: RegistryRefusal, about: { agentId?: Uint8Array; name?: string }): void {
    const { port, registry } = this.#parts;
    registry.countRefusal(refusal, plainPeerInfo(question.remote), about.agentId, about.name);
    port.error(question, refusal.code, refusal.retryable, refusal.text);
  }
}

/**
 * Where an agent is called: at the IP address that its registration came from, whatever it says, because nobody is to be
 * sent anything only because a stranger has named him; and at the port that it says, because the published runtime
 * registers from another one than it listens on.
 */
function callableAt({ host, port }: Address, claimed: Address | undefined): Address {
  return address(host, claimed?.port || port);
}

function endpointOf(where: Address): Pick<AgentRecord, "endpoint" | "endpoint6"> {
  const isIpv6 = where.host.includes(":");
  return { endpoint: isIpv6 ? undefined : where, endpoint6: isIpv6 ? where : undefined };
}

/** About how long a record is as JSON: never longer than it is. */
function charactersOf({ name, capabilities, version = "", description = "", tags = [] }: AgentRecord): number {
  const texts = [name, version, description, ...capabilities, ...tags];
  return texts.reduce((sum, text) => sum + text.length, 0);
}
