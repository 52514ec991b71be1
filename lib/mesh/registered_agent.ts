/**
 * One agent id in the registry: whose it is, and the registration that holds it.
 *
 * @module
 */

import type { Micros } from "../base/time.ts";
import type { AgentRecord, AgentStatus } from "../codec/payloads/agent_record.ts";
import { type AgentRegister, sizeOfAgentRegister } from "../codec/payloads/agent_register.ts";
import { isPlainOwner } from "./plain_owner.ts";

/** What each text of a record costs beyond its bytes, roughly, in memory and in time to look through. */
const WEIGHT_PER_TEXT = 64;

/** What outlives a restart: everything about an id but the heartbeats. Immutable. */
export interface StoredAgent {
  /** 16 bytes. */
  readonly agentId: Uint8Array;
  /** The static key that registered the id first, 32 bytes. (Or an address, see `plainOwner`; that is never stored.) */
  readonly owner: Uint8Array;
  /** The registration; undefined: the agent has gone, the id still belongs to its owner. */
  readonly register: AgentRegister | undefined;
  /** The lease that was granted. */
  readonly leaseMillis: number;
  /** When the agent was registered, in milliseconds since 1970. */
  readonly registeredAtMillis: number;
  /** When it went, likewise; 0 while it is registered. */
  readonly goneAtMillis: number;
}

/** What a registration counts for in quotas: its bytes, and something for each text in it. */
export function weightOf(register: AgentRegister): number {
  const { capabilities, tags = [], metadata = [] } = register;
  return sizeOfAgentRegister(register) + WEIGHT_PER_TEXT * (capabilities.length + tags.length + 2 * metadata.length);
}

/** An agent that is registered. Its heartbeats are the registry's to write down. */
export class RegisteredAgent {
  /** Its id in hex, by which it is found and ordered. */
  readonly key: string;
  readonly stored: StoredAgent;
  readonly register: AgentRegister;
  readonly weight: number;
  /** Whether no key vouches for it, only the address that it registered from. */
  readonly isPlain: boolean;
  lastHeartbeat: Micros;
  /** What it says of itself. */
  ownStatus: AgentStatus = "online";
  load: number | undefined = undefined;
  /** Whether watchers were told that its lease is over. */
  lapsed = false;

  constructor(key: string, stored: StoredAgent, register: AgentRegister, now: Micros) {
    this.key = key;
    this.stored = stored;
    this.register = register;
    this.weight = weightOf(register);
    this.isPlain = isPlainOwner(stored.owner);
    this.lastHeartbeat = now;
  }

  /** When it counts as offline unless a heartbeat comes. */
  get lapsesAt(): Micros {
    return (this.lastHeartbeat + this.stored.leaseMillis * 1000) as Micros;
  }

  /** When it is no longer registered unless a heartbeat comes: a second lease later. */
  get expiresAt(): Micros {
    return (this.lastHeartbeat + 2 * this.stored.leaseMillis * 1000) as Micros;
  }

  /** What others are told: offline once the lease is over, whatever it said last. */
  status(now: Micros): AgentStatus {
    return now >= this.lapsesAt ? "offline" : this.ownStatus;
  }

  /** What others are told of it. `wallMillis` is the time of day that belongs to `now`. */
  record(now: Micros, wallMillis: number): AgentRecord {
    const { stored, register, load } = this;
    // Rounded down, as the time of day is: no heartbeat seems to come before its registration.
    const age = Math.max(0, Math.floor((now - this.lastHeartbeat) / 1000));
    return {
      ...register,
      ...(this.isPlain ? { isPlain: true } : { publicKey: stored.owner }),
      leaseMillis: stored.leaseMillis,
      status: this.status(now),
      ...(load !== undefined && { load }),
      lastHeartbeatMillis: Math.max(0, wallMillis - age),
      registeredAtMillis: stored.registeredAtMillis,
    };
  }
}
