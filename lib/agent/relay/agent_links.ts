/**
 * Over which connection each agent can be reached, whether it is alive there, and which of several gets the next request
 * (SPEC §8.11). Shared by everything that a node passes on.
 *
 * @module
 */

import { toHex } from "../../base/bytes.ts";
import type { HashKey } from "../../base/keyed_hash.ts";
import { KeyedMap, newHashKey } from "../../base/keyed_map.ts";
import type { Random } from "../../base/random.ts";
import { type Clock, type Micros, NEVER, seconds } from "../../base/time.ts";
import type { Place } from "../../mesh/agent_index.ts";
import type { RegisteredAgent } from "../../mesh/registered_agent.ts";
import type { Registry } from "../../mesh/registry.ts";
import type { Session } from "../session.ts";

/** Something that is under way to an agent counts like this much load that it reports, of the 1000 that are all it can take. */
const LOAD_EACH = 100;
/** An agent that says it is degraded comes behind those that are well, however busy they are. */
const DEGRADED = 1_000_000;
/** One that is asked whether it is still there, and is slow to say so, comes behind all that are not. */
const SUSPECT = 10 * DEGRADED;
/**
 * So many agents are compared for one request, the next ones in turn: the best of 16 is hardly worse than the best of all, and costs
 * the same however many there are.
 */
const COMPARED = 16;
/** Queries whose turns are remembered. */
const MAX_PLACES = 1_024;
/** An agent's connection that is silent this long, while something waits there, is asked whether it is still there, … */
const ASK_AFTER: Micros = seconds(1);
/** … one that does not answer for so long gets new requests only if there is nobody else, … */
const SUSPECT_AFTER: Micros = seconds(1);
/** … and one that does not for so long is taken for dead. */
const DEAD_AFTER: Micros = seconds(5);

/** Something that was passed on and is not over. */
export interface Relayed {
  /** The agent seems to be dead: somebody else may try, if it is not too late for that. */
  giveUp(): void;
}

/** Whom a request is for. */
export interface Wanted {
  /** 16 bytes: an agent's id, or what stands for its name. */
  readonly target: Uint8Array;
  /** Any agent that has this, in place of the target. */
  readonly capability: string | undefined;
}

/** The connection of an agent, or of several. */
export interface AgentLink {
  readonly session: Session;
  /** Keys of agents that registered over it. */
  readonly agents: Set<string>;
  /** What is under way there. */
  readonly relayed: Set<Relayed>;
  /** Since when it has been asked whether it is there without having been heard of; NEVER if it has answered. */
  askedAt: Micros;
  /** Takes back each question that was not answered: its PING, or the answer, may be lost. */
  asked: (() => void)[];
  /** It does not answer; until it does, it gets nothing. */
  isDead: boolean;
}

/** Who gets a request, and how. */
export interface Choice {
  readonly agent: RegisteredAgent;
  readonly link: AgentLink;
}

/** What it works with. */
export interface AgentLinksParts {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly random: Random;
}

/** The ways to all agents of a node. */
export class AgentLinks {
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #hashKey: HashKey;
  readonly #byAgent: KeyedMap<AgentLink>;
  readonly #bySession = new Map<Session, AgentLink>();
  /** How far each query has gone through the agents that meet it. */
  #places: KeyedMap<Place>;
  /** Which turn each agent had last, so that equals take turns. */
  readonly #turns = new WeakMap<RegisteredAgent, number>();
  #turn = 0;
  #cancelTimer: (() => void) | undefined;

  constructor({ registry, clock, random }: AgentLinksParts) {
    this.#registry = registry;
    this.#clock = clock;
    this.#hashKey = newHashKey(random);
    this.#byAgent = new KeyedMap(this.#hashKey);
    this.#places = new KeyedMap(this.#hashKey);
  }

  /** An agent was heard of over a connection: there it can be reached. */
  attach(agentKey: string, session: Session): void {
    let link = this.#bySession.get(session);
    if (link === undefined) {
      link = { session, agents: new Set(), relayed: new Set(), askedAt: NEVER, asked: [], isDead: false };
      this.#bySession.set(session, link);
      session.onEnd = () => this.#onSessionEnd(session);
    }
    heardOf(link);
    const before = this.#byAgent.get(agentKey);
    if (before === link) return;
    before?.agents.delete(agentKey);
    this.#prune(link);
    link.agents.add(agentKey);
    this.#byAgent.set(agentKey, link);
  }

  /** An agent has said farewell. */
  detach(agentKey: string): void {
    this.#byAgent.delete(agentKey)?.agents.delete(agentKey);
  }

  /**
   * One of the agents that are meant, whether it can be reached or not; one without a key only if there is no other. Undefined
   * if there is none.
   */
  meant(wanted: Wanted): RegisteredAgent | undefined {
    let plain: RegisteredAgent | undefined;
    for (const agent of this.#candidates(wanted, {})) {
      if (!agent.isPlain) return agent;
      plain ??= agent;
    }
    return plain;
  }

  /** The agent that should get a request now, and how; undefined if none can be reached that was not tried. */
  choose(wanted: Wanted, tried: ReadonlySet<AgentLink>): Choice | undefined {
    const now = this.#clock.now();
    let best: Choice | undefined;
    let bestScore = Infinity;
    let bestTurn = Infinity;
    let compared = 0;
    for (const agent of this.#candidates(wanted, this.#placeOf(wanted))) {
      // The connection of whoever had an id before is not that of an agent without a key.
      const link = agent.isPlain ? undefined : this.#byAgent.get(agent.key);
      if (link === undefined || link.isDead || tried.has(link)) continue;
      const status = agent.status(now);
      if (status === "offline") continue;
      const isSuspect = now - link.askedAt >= SUSPECT_AFTER;
      const score = (agent.load ?? 0) + LOAD_EACH * link.relayed.size + (status === "degraded" ? DEGRADED : 0) +
        (isSuspect ? SUSPECT : 0);
      const turn = this.#turns.get(agent) ?? 0;
      if (score < bestScore || (score === bestScore && turn < bestTurn)) {
        best = { agent, link };
        bestScore = score;
        bestTurn = turn;
      }
      // One that is well is looked for until the end.
      if (++compared >= COMPARED && bestScore < DEGRADED) break;
    }
    if (best !== undefined) this.#turns.set(best.agent, ++this.#turn);
    return best;
  }

  /** Something is under way over a connection from now on: whether that is alive is looked after. */
  begin(link: AgentLink, relayed: Relayed): void {
    link.relayed.add(relayed);
    this.#arm();
  }

  /** It is not any more. */
  end(link: AgentLink, relayed: Relayed): void {
    link.relayed.delete(relayed);
  }

  /** Whether a connection ought to be asked is looked at again soon, for as long as anything waits. */
  #arm(): void {
    if (this.#cancelTimer !== undefined) return;
    const clock = this.#clock;
    this.#cancelTimer = clock.wakeAt((clock.now() + ASK_AFTER) as Micros, () => {
      this.#cancelTimer = undefined;
      let isWaiting = false;
      for (const link of this.#bySession.values()) {
        // Who was asked is asked until it answers, or the answer would be missing when the next request is there.
        if (link.relayed.size === 0 && link.askedAt === NEVER) continue;
        isWaiting = true;
        this.#check(link);
      }
      if (isWaiting) this.#arm();
    });
  }

  /** A process that was killed says nothing, and neither does its connection until it times out. */
  #check(link: AgentLink): void {
    const now = this.#clock.now();
    if (link.askedAt === NEVER) link.askedAt = now;
    // Whichever of the PINGs is answered counts: the transport does not repeat a lost one.
    link.asked.push(link.session.ping((rtt) => {
      if (rtt !== undefined) heardOf(link);
    }));
    if (now - link.askedAt < DEAD_AFTER || link.isDead) return;
    link.isDead = true;
    for (const relayed of [...link.relayed]) relayed.giveUp();
  }

  #onSessionEnd(session: Session): void {
    const link = this.#bySession.get(session);
    if (link === undefined) return;
    this.#bySession.delete(session);
    if (this.#bySession.size === 0) {
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
    }
    for (const key of link.agents) if (this.#byAgent.get(key) === link) this.#byAgent.delete(key);
  }

  /** Forgets agents of a connection whose leases have ended. */
  #prune(link: AgentLink): void {
    const registry = this.#registry;
    if (link.agents.size <= registry.size + 1_024) return;
    for (const key of link.agents) if (registry.agent(key) === undefined) this.detach(key);
  }

  #candidates({ target, capability }: Wanted, place: Place): Iterable<RegisteredAgent> {
    return this.#registry.candidates(this.#clock.now(), Date.now(), target, capability, place);
  }

  #placeOf({ target, capability }: Wanted): Place {
    const query = capability ?? toHex(target);
    const known = this.#places.get(query);
    if (known !== undefined) return known;
    // Only the order in which equals come depends on it.
    if (this.#places.size >= MAX_PLACES) this.#places = new KeyedMap(this.#hashKey);
    const place: Place = {};
    this.#places.set(query, place);
    return place;
  }
}

/** An agent's connection has shown that it is alive. */
function heardOf(link: AgentLink): void {
  link.askedAt = NEVER;
  link.isDead = false;
  const { asked } = link;
  link.asked = [];
  for (const takeBack of asked) takeBack();
}
