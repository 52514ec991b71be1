/**
 * What a node lets its peers do: asks whoever decides, counts, and tells of it.
 *
 * @module
 */

import { formatUuid, isNilUuid } from "../../base/uuid.ts";
import type { AccessAction, AccessList, Permission } from "./access_list.ts";
import type { PeerInfo } from "../peer_info.ts";
import { quote } from "../quote.ts";

/** Something that was decided about a peer. Texts in it are the peer's own: escape them before showing them. */
export interface AccessDecision {
  /** Whether it may. */
  readonly allowed: boolean;
  /** What it wanted; `connect` comes before everything else. */
  readonly action: AccessAction["kind"] | "connect";
  /** Who. */
  readonly peer: PeerInfo;
  /** The id of the agent that it is about; for a call by name, the UUID that stands for the name. */
  readonly agentId?: string;
  /** What the agent is called. */
  readonly name?: string;
  /** See {@link AccessAction}. */
  readonly capabilities?: readonly string[];
  /** See {@link AccessAction}. */
  readonly topic?: string;
  /** Why not. */
  readonly reason?: string;
}

/** What a node has decided since it was started. */
export interface AccessStats {
  /** Connections of keys that may connect. */
  readonly connected: number;
  /** What was denied, by the permission that was missing. */
  readonly denied: Readonly<Record<Permission | "connect", number>>;
  /** Registrations of other keys that were ended by an administrator. */
  readonly removed: number;
}

/** Decides about one action. A function that throws denies. */
export type Authorize = (peer: PeerInfo, action: AccessAction) => boolean;

/** What a policy is made from. */
export interface PolicyOptions {
  readonly list: AccessList | undefined;
  readonly authorize: Authorize | undefined;
  readonly onDecision: ((decision: AccessDecision) => void) | undefined;
}

/** One for a node. */
export class Policy {
  readonly #options: PolicyOptions;
  readonly #denied = { connect: 0, register: 0, call: 0, subscribe: 0, admin: 0 };
  #connected = 0;
  #removed = 0;

  constructor(options: PolicyOptions) {
    this.#options = options;
  }

  /** Whether whoever has connected may do everything but administrate. */
  get isOpen(): boolean {
    return this.#options.list === undefined && this.#options.authorize === undefined;
  }

  /** A snapshot. */
  stats(): AccessStats {
    return { connected: this.#connected, denied: { ...this.#denied }, removed: this.#removed };
  }

  /** Whether a peer may do something. Nothing else happens: to refuse, ask {@link denial}. */
  permits(peer: PeerInfo, action: AccessAction): boolean {
    const { list, authorize } = this.#options;
    const isPlain = peer.carrier === "plain";
    if (isPlain && action.permission === "admin") return false;
    // Nobody administrates where nobody has said who may.
    if (this.isOpen) return action.permission !== "admin";
    // A list says what keys may do. Who has none was let in by whoever opened the plain carrier.
    if (list !== undefined && !isPlain && !list.permits(peer.publicKeyText, action)) return false;
    if (authorize === undefined) return true;
    try {
      return authorize(peer, action) === true;
    } catch {
      return false;
    }
  }

  /** What a peer is told that may not do something; undefined if it may. A denial is counted and told of. */
  denial(peer: PeerInfo, action: AccessAction): string | undefined {
    if (this.permits(peer, action)) return undefined;
    this.#denied[action.permission]++;
    const reason = `this key may not ${describe(action)}`;
    this.#tell({ allowed: false, action: action.kind, peer, reason, ...factsOf(action) });
    return reason;
  }

  /** A peer was let in. */
  onConnected(peer: PeerInfo): void {
    this.#connected++;
    this.#tell({ allowed: true, action: "connect", peer });
  }

  /** A peer proved a key that may not connect. */
  onRefused(peer: PeerInfo): void {
    this.#denied.connect++;
    this.#tell({ allowed: false, action: "connect", peer, reason: "this key may not connect" });
  }

  /** An administrator has ended the registration of another key. */
  onRemoved(peer: PeerInfo, agentId: Uint8Array, name: string | undefined): void {
    this.#removed++;
    this.#tell({
      allowed: true,
      action: "remove",
      peer,
      agentId: formatUuid(agentId),
      ...(name !== undefined && { name }),
    });
  }

  #tell(decision: AccessDecision): void {
    try {
      this.#options.onDecision?.(decision);
    } catch {
      // A listener that fails must not take the node with it.
    }
  }
}

function describe({ kind, target, capabilities = [], topic }: AccessAction): string {
  switch (kind) {
    case "register":
      return capabilities.length === 0 ? "register agents here" : "register agents with these capabilities here";
    case "heartbeat":
    case "deregister":
      return "register agents here";
    case "discover":
      return "look for agents here";
    case "call":
    case "stream": {
      const what = kind === "call" ? "make calls" : "open agent streams";
      if (capabilities.length > 0) return `${what} to agents with the capability ${quote(capabilities[0])}`;
      return target === undefined || isNilUuid(target) ? `${what} here` : `${what} to this agent`;
    }
    case "event":
      return topic === undefined ? "send events here" : `send events about ${quote(topic)}`;
    case "subscribe":
      return topic === undefined ? "subscribe here" : `subscribe to ${quote(topic)}`;
    case "remove":
      return "end the registrations of other keys";
  }
}

function factsOf({ target, capabilities, topic }: AccessAction): Partial<AccessDecision> {
  return {
    ...(target !== undefined && !isNilUuid(target) && { agentId: formatUuid(target) }),
    ...(capabilities !== undefined && capabilities.length > 0 && { capabilities }),
    ...(topic !== undefined && { topic }),
  };
}
