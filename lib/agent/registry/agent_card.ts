/**
 * Agents as applications see them, and as messages carry them.
 *
 * @module
 */

import { formatHostPort } from "../../base/address.ts";
import { concatBytes, toBase64Url } from "../../base/bytes.ts";
import { MxpError } from "../../base/errors.ts";
import { formatUuid, parseUuid, UUID_BYTES, uuidV4 } from "../../base/uuid.ts";
import { parseEndpoint } from "../../codec/endpoint.ts";
import type { DiscoverQuery } from "../../codec/payloads/agent_discover.ts";
import type { AgentRecord, AgentStatus } from "../../codec/payloads/agent_record.ts";
import type { AgentRegister } from "../../codec/payloads/agent_register.ts";
import { namesProblem } from "../../mesh/agent_names.ts";
import { quote } from "../quote.ts";

const CONTROLS = /\p{Cc}|\p{Surrogate}/u;

/** What an agent registers with. */
export interface AgentCard {
  /** What people call it. Need not be unique. Not empty, no UUID, and without control characters. */
  readonly name: string;
  /** What it can do, such as `text.summarise`; no patterns. */
  readonly capabilities?: readonly string[];
  /**
   * A UUID, of any version but 8. Default: one that follows from the key and the name, so that an agent that is started
   * anew takes its own place.
   */
  readonly id?: string;
  /**
   * `IP:PORT` where it can be reached without the node, by those who want to: a server of the same identity there answers for it, with the
   * handlers of its own (`serve({ identity, name })`) or of `agents`. Default: over the connection that it registers on.
   */
  readonly endpoint?: string;
  /** Its own version. */
  readonly version?: string;
  /** What it is, for people. */
  readonly description?: string;
  /** Words to find it by. */
  readonly tags?: readonly string[];
  /** Whatever else there is to be said. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** How long it counts as alive after a heartbeat; the node may give more or less. Default: the node's own, 30 000. */
  readonly leaseMs?: number;
}

/** An agent that a node knows: a plain object that survives JSON. Names and texts are the agent's own: escape them. */
export interface Agent {
  /** A UUID. */
  readonly id: string;
  /** What people call it. */
  readonly name: string;
  /** What it says that it can do. */
  readonly capabilities: readonly string[];
  /** The key that its connection has proven to the node, as it stands in URLs. */
  readonly publicKey?: string;
  /** How the node reaches it, if not over a connection with a key: in clear. Nobody vouches for such an agent. */
  readonly carrier?: "plain";
  /** `IP:PORT`, if it can be reached without the node; nobody has checked it. */
  readonly endpoint?: string;
  /** Its own version. */
  readonly version?: string;
  /** What it is, for people. */
  readonly description?: string;
  /** Words to find it by. */
  readonly tags: readonly string[];
  /** Whatever else it says of itself. */
  readonly metadata: Readonly<Record<string, string>>;
  /** `offline`: no heartbeat for as long as its lease lasts, or it says so itself. */
  readonly status: AgentStatus;
  /** 0 idle, 1000 as much as it can take, more when it is queueing. */
  readonly load?: number;
  /** How long it counts as alive after a heartbeat. */
  readonly leaseMs?: number;
  /** Milliseconds since its last heartbeat, when the node answered. */
  readonly heartbeatAgeMs?: number;
  /** Milliseconds since 1970, by the node's clock. */
  readonly registeredAtMs?: number;
}

/** Which agents are wanted; nothing: all of them. At most one of the members. */
export interface AgentQuery {
  /** Exactly this capability, or with `.*` at the end every one below it. */
  readonly capability?: string;
  /** Exactly this name. */
  readonly name?: string;
  /** A UUID. */
  readonly id?: string;
}

/** The id of an agent that does not choose one. */
export function defaultAgentId(
  sha256: (bytes: Uint8Array) => Uint8Array,
  publicKey: Uint8Array,
  name: string,
): Uint8Array {
  const input = concatBytes(new TextEncoder().encode("mxp1 agent id:"), publicKey, new TextEncoder().encode(name));
  return uuidV4(sha256(input).subarray(0, UUID_BYTES));
}

/** What a card says in a message. @throws {MxpError} `usage` for what cannot be registered. */
export function toRegister(card: AgentCard, defaultId: () => Uint8Array): AgentRegister {
  const { name, capabilities = [], id, endpoint, version, description, tags, metadata, leaseMs } = card;
  if (typeof name !== "string") throw new MxpError("usage", `an agent's name is text, got ${typeof name}`);
  const problem = namesProblem(name, capabilities);
  if (problem !== undefined) throw new MxpError("usage", problem);
  checkLegible(name, capabilities);
  const address = endpoint === undefined ? undefined : parseEndpoint(endpoint);
  if (endpoint !== undefined && address === undefined) {
    throw new MxpError("usage", `${quote(endpoint)} is not IP:PORT`);
  }
  if (leaseMs !== undefined && !(leaseMs > 0)) throw new MxpError("usage", `leaseMs must be above 0, got ${leaseMs}`);
  const isIpv6 = address?.host.includes(":") === true;
  return {
    agentId: id === undefined ? defaultId() : uuidOf(id),
    name,
    capabilities,
    ...(address !== undefined && (isIpv6 ? { endpoint6: address } : { endpoint: address })),
    ...(version !== undefined && { version }),
    ...(description !== undefined && { description }),
    ...(tags !== undefined && { tags }),
    ...(metadata !== undefined && { metadata: Object.entries(metadata) }),
    ...(leaseMs !== undefined && { leaseMillis: Math.min(Math.ceil(leaseMs), 0xffff_ffff) }),
  };
}

/** What is asked for. @throws {MxpError} `usage` for more than one thing. */
export function toQuery(query: AgentQuery): DiscoverQuery {
  const { capability, name, id } = query;
  if ([capability, name, id].filter((value) => value !== undefined).length > 1) {
    throw new MxpError("usage", "agents are found by capability, name or id; give one of them");
  }
  if (capability !== undefined) return { by: "capability", capability };
  if (name !== undefined) return { by: "name", name };
  return id === undefined ? { by: "all" } : { by: "id", agentId: uuidOf(id) };
}

/** @param nowMillis the node's time when it sent the record. */
export function toAgent(record: AgentRecord, nowMillis: number | undefined): Agent {
  const { publicKey, version, description, status = "online", load, leaseMillis } = record;
  const { lastHeartbeatMillis, registeredAtMillis } = record;
  const endpoint = record.endpoint ?? record.endpoint6;
  // No prototype: the agent chooses the keys.
  const metadata: Record<string, string> = Object.create(null);
  for (const [key, value] of record.metadata ?? []) metadata[key] = value;
  return {
    id: formatUuid(record.agentId),
    name: record.name,
    capabilities: record.capabilities,
    ...(publicKey !== undefined && { publicKey: toBase64Url(publicKey) }),
    ...(record.isPlain === true && { carrier: "plain" as const }),
    ...(endpoint !== undefined && { endpoint: formatHostPort(endpoint.host, endpoint.port) }),
    ...(version !== undefined && { version }),
    ...(description !== undefined && { description }),
    tags: record.tags ?? [],
    metadata,
    status,
    ...(load !== undefined && { load }),
    ...(leaseMillis !== undefined && { leaseMs: leaseMillis }),
    ...(lastHeartbeatMillis !== undefined && nowMillis !== undefined &&
      { heartbeatAgeMs: Math.max(0, nowMillis - lastHeartbeatMillis) }),
    ...(registeredAtMillis !== undefined && { registeredAtMs: registeredAtMillis }),
  };
}

/** Calls by name have to find it, and people to read it. */
function checkLegible(name: string, capabilities: readonly string[]): void {
  const garbled = [name, ...capabilities].find((word) => CONTROLS.test(word));
  if (garbled !== undefined) {
    const what = garbled === name ? "an agent's name" : "a capability";
    throw new MxpError("usage", `${what} has no control characters, got ${quote(garbled)}`);
  }
  if (parseUuid(name) === undefined) return;
  throw new MxpError(
    "usage",
    `the agent's name ${quote(name)} is a UUID, and calls to it would go by id; give it as the id`,
  );
}

function uuidOf(text: string): Uint8Array {
  const uuid = typeof text === "string" ? parseUuid(text) : undefined;
  if (uuid === undefined) throw new MxpError("usage", `${quote(String(text))} is not a UUID`);
  return uuid;
}
