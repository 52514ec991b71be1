/**
 * Passes calls on to agents that registered over their own connections (SPEC §8.11).
 *
 * @module
 */

import { KeyedMap, newHashKey } from "../base/keyed_map.ts";
import type { Random } from "../base/random.ts";
import { type Clock, type Micros, NEVER, seconds } from "../base/time.ts";
import { ErrorCode } from "../codec/error_codes.ts";
import { MAX_CALL_TIMEOUT_SECONDS } from "../codec/payloads/call.ts";
import type { Metadata } from "../codec/payloads/metadata.ts";
import type { CallMessages } from "../mesh/call_messages.ts";
import { IdSequence } from "../mesh/id_sequence.ts";
import type { CallOutcome } from "../mesh/pending_calls.ts";
import type { RegisteredAgent } from "../mesh/registered_agent.ts";
import type { Registry } from "../mesh/registry.ts";
import { StreamClass } from "../transport/scheduler.ts";
import { StreamError } from "../wire/error_codes.ts";
import type { IncomingCall } from "./incoming_call.ts";
import { OutgoingCall } from "./outgoing_calls.ts";
import { streamClassOf } from "./priority.ts";
import { MAX_DEADLINE_MS } from "./request_metadata.ts";
import type { Session } from "./session.ts";

/** How often a call may be passed on if it does not say. */
const DEFAULT_HOPS = 4;
/** A call of ours that is under way counts like this much load that the agent reports, of the 1000 that are all it can take. */
const LOAD_PER_CALL = 100;
/** An agent that says it is degraded comes behind those that are well, however busy they are. */
const DEGRADED = 1_000_000;
/** An agent's connection that is silent this long, while a call waits there, is asked whether it is still there, … */
const ASK_AFTER: Micros = seconds(1);
/** … and one that does not answer for so long is taken for dead. */
const DEAD_AFTER: Micros = seconds(5);

/** What was passed on. */
export interface RelayStats {
  /** Calls that were passed on and are not settled. */
  readonly running: number;
  /** Calls that were passed on. */
  readonly total: number;
  /** Answered by an agent, if only with an Error. */
  readonly answered: number;
  /** Times that a call went to another agent, because one had gone before it answered. */
  readonly failovers: number;
  /** Nobody could be reached any more. */
  readonly failed: number;
}

/** The connection of an agent, or of several. */
interface AgentLink {
  readonly session: Session;
  /** Keys of agents that registered over it. */
  readonly agents: Set<string>;
  readonly relays: Set<Relay>;
  /** When it was last asked whether it is there, and has not answered. */
  askedAt: Micros;
  /** It does not answer; until it does, it gets no calls. */
  isDead: boolean;
}

/** What a router works with. */
export interface RouterParts {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly random: Random;
  readonly messages: CallMessages;
}

/** Finds agents for calls. One for a node. */
export class CallRouter {
  readonly #parts: RouterParts;
  readonly #ids: IdSequence;
  readonly #byAgent: KeyedMap<AgentLink>;
  readonly #bySession = new Map<Session, AgentLink>();
  readonly counters = { running: 0, total: 0, answered: 0, failovers: 0, failed: 0 };
  /** Which turn each agent had last, so that equals take turns. */
  readonly #turns = new WeakMap<RegisteredAgent, number>();
  #turn = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(parts: RouterParts) {
    this.#parts = parts;
    this.#ids = new IdSequence(parts.random);
    this.#byAgent = new KeyedMap(newHashKey(parts.random));
  }

  /** An agent was heard of over a connection: there it can be reached. */
  attach(agentKey: string, session: Session): void {
    let link = this.#bySession.get(session);
    if (link === undefined) {
      link = { session, agents: new Set(), relays: new Set(), askedAt: NEVER, isDead: false };
      this.#bySession.set(session, link);
      session.onEnd = () => this.#onSessionEnd(session);
    }
    link.isDead = false;
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
   * Passes a call on. False if no agent is meant by it.
   *
   * @param ended called once, when the call is settled.
   */
  route(call: IncomingCall, payload: Uint8Array, ended: () => void): boolean {
    const { capability, hopLimit = DEFAULT_HOPS } = call.details;
    const [first] = this.#candidates(call);
    if (first === undefined) return false;
    if (hopLimit === 0) {
      call.calls.refuse(call, ErrorCode.HOP_LIMIT, false, "the call was passed on too often", StreamError.REFUSED);
      ended();
      return true;
    }
    if (capability === undefined) call.agentName = first.register.name;
    this.counters.running++;
    this.counters.total++;
    new Relay(this, call, payload, hopLimit - 1, () => {
      this.counters.running--;
      ended();
    }).next();
    return true;
  }

  /** The agent that a call should go to now, and how; undefined if none can be reached that was not tried. */
  pick(call: IncomingCall, tried: ReadonlySet<AgentLink>): { agent: RegisteredAgent; link: AgentLink } | undefined {
    const now = this.#parts.clock.now();
    let best: { agent: RegisteredAgent; link: AgentLink } | undefined;
    let bestScore = Infinity;
    let bestTurn = Infinity;
    for (const agent of this.#candidates(call)) {
      const link = this.#byAgent.get(agent.key);
      if (link === undefined || link.isDead || tried.has(link)) continue;
      const status = agent.status(now);
      if (status === "offline") continue;
      const score = (agent.load ?? 0) + LOAD_PER_CALL * link.relays.size + (status === "degraded" ? DEGRADED : 0);
      const turn = this.#turns.get(agent) ?? 0;
      if (score > bestScore || (score === bestScore && turn >= bestTurn)) continue;
      best = { agent, link };
      bestScore = score;
      bestTurn = turn;
    }
    if (best !== undefined) this.#turns.set(best.agent, ++this.#turn);
    return best;
  }

  /** Sends a call over an agent's connection. False if it takes no more. */
  send(relay: Relay, agent: RegisteredAgent, link: AgentLink): OutgoingCall | undefined {
    const { clock, messages } = this.#parts;
    const { call, payload, hops } = relay;
    const { session } = link;
    const out: OutgoingCall = new OutgoingCall(session.outgoing, clock.now(), NEVER, (outcome) => {
      link.relays.delete(relay);
      relay.onOutcome(out, outcome);
    });
    this.#ids.next();
    out.idHigh = this.#ids.high;
    out.idLow = this.#ids.low;
    out.traceHigh = call.traceHigh;
    out.traceLow = call.traceLow;
    out.streamClass = streamClassOf(call.details.priority, StreamClass.INTERACTIVE);
    const left = call.remainingMs();
    const seconds = left === Infinity ? 0 : Math.min(Math.max(1, Math.ceil(left / 1000)), MAX_CALL_TIMEOUT_SECONDS);
    const message = messages.call(out, metadataFor(call, hops, left), agent.stored.agentId, seconds, payload);
    link.relays.add(relay);
    if (session.outgoing.send(out, message)) {
      this.#arm();
      return out;
    }
    link.relays.delete(relay);
    return undefined;
  }

  /** Whether a connection ought to be asked is looked at again soon, for as long as anything waits. */
  #arm(): void {
    if (this.#cancelTimer !== undefined) return;
    const { clock } = this.#parts;
    this.#cancelTimer = clock.wakeAt((clock.now() + ASK_AFTER) as Micros, () => {
      this.#cancelTimer = undefined;
      let isWaiting = false;
      for (const link of this.#bySession.values()) {
        if (link.relays.size === 0 && !link.isDead) continue;
        isWaiting = true;
        this.#check(link);
      }
      if (isWaiting) this.#arm();
    });
  }

  /** A process that was killed says nothing, and neither does its connection until it times out. */
  #check(link: AgentLink): void {
    const now = this.#parts.clock.now();
    if (link.askedAt === NEVER) link.askedAt = now;
    // Whichever of the PINGs is answered counts: the transport does not repeat a lost one.
    link.session.ping((rtt) => {
      if (rtt === undefined) return;
      link.askedAt = NEVER;
      link.isDead = false;
    });
    if (now - link.askedAt < DEAD_AFTER || link.isDead) return;
    link.isDead = true;
    for (const relay of [...link.relays]) relay.giveUp();
  }

  #onSessionEnd(session: Session): void {
    const link = this.#bySession.get(session);
    if (link === undefined) return;
    this.#bySession.delete(session);
    for (const key of link.agents) if (this.#byAgent.get(key) === link) this.#byAgent.delete(key);
  }

  /** Forgets agents of a connection whose leases have ended. */
  #prune(link: AgentLink): void {
    const { registry } = this.#parts;
    if (link.agents.size <= registry.size + 1_024) return;
    for (const key of link.agents) if (registry.agent(key) === undefined) this.detach(key);
  }

  #candidates({ target, details: { capability } }: IncomingCall): Iterable<RegisteredAgent> {
    const { registry, clock } = this.#parts;
    return registry.candidates(clock.now(), Date.now(), target, capability);
  }
}

/** One call on its way to whoever answers it. */
class Relay {
  readonly call: IncomingCall;
  readonly payload: Uint8Array;
  /** How often it may be passed on behind us. */
  readonly hops: number;
  readonly #router: CallRouter;
  readonly #ended: () => void;
  readonly #tried = new Set<AgentLink>();
  #out: OutgoingCall | undefined;
  #givenUp = false;
  #noRoom = false;
  /** Whether an agent had the call and may have carried it out, without having answered. */
  #mayBeDone = false;
  /** Why the last agent did not answer. */
  #reason = "the agent is registered, but cannot be reached now";

  constructor(router: CallRouter, call: IncomingCall, payload: Uint8Array, hops: number, ended: () => void) {
    this.#router = router;
    this.call = call;
    this.payload = payload;
    this.hops = hops;
    this.#ended = ended;
    call.handling = true;
    call.stopAnswer = () => this.#stop();
  }

  /** Tries the next agent, or says that there is none. */
  next(): void {
    if (this.call.state !== "running") return this.#end();
    for (;;) {
      const choice = this.#router.pick(this.call, this.#tried);
      if (choice === undefined) break;
      this.#tried.add(choice.link);
      this.#givenUp = false;
      this.#out = this.#router.send(this, choice.agent, choice.link);
      if (this.#out === undefined) continue;
      this.#out.admit = (bytes) => this.#admit(bytes);
      return;
    }
    this.#router.counters.failed++;
    // Who says that nothing was done has to be sure of it.
    this.#fail(this.#mayBeDone ? ErrorCode.ANSWER_LOST : ErrorCode.UNAVAILABLE, true, this.#reason);
  }

  /** Its agent seems to be dead: somebody else may try, unless an answer has begun. */
  giveUp(): void {
    const out = this.#out;
    if (out === undefined || out.firstByteAt > 0) return;
    this.#givenUp = true;
    out.calls.giveUp(out, { kind: "aborted" }, StreamError.CANCELLED);
  }

  onOutcome(out: OutgoingCall, outcome: CallOutcome): void {
    this.#out = undefined;
    const { call } = this;
    if (call.state !== "running") return this.#end();
    switch (outcome.kind) {
      case "response":
        this.#router.counters.answered++;
        call.calls.respond(call, outcome.payload);
        return this.#end();
      case "error":
        if (canTryOthers(outcome)) return this.#another(outcome.text);
        this.#router.counters.answered++;
        return this.#fail(outcome.code, outcome.retryable, outcome.text);
      case "aborted":
        if (this.#noRoom) return this.#fail(ErrorCode.ANSWER_LOST, true, "no memory for the answer");
        if (!this.#givenUp) return this.#end();
        this.#mayBeDone = true;
        return this.#another("the agent does not answer any more");
      case "lost":
      case "reset": {
        const isGone = outcome.kind === "lost" || outcome.code === StreamError.REFUSED ||
          outcome.code === StreamError.GONE;
        if (isGone && out.firstByteAt === 0) {
          if (outcome.kind === "lost" ? out.isBegun : outcome.code === StreamError.GONE) this.#mayBeDone = true;
          return this.#another("the agent has gone");
        }
        const text = isGone ? "the agent has gone in the middle of its answer" : "the agent gave the call up";
        return this.#fail(isGone ? ErrorCode.ANSWER_LOST : ErrorCode.HANDLER_FAILED, isGone, text);
      }
      case "malformed":
        return this.#fail(ErrorCode.HANDLER_FAILED, false, `the agent's answer is not valid: ${outcome.what}`);
      case "deadline":
        return this.#fail(ErrorCode.DEADLINE_EXCEEDED, false, "the deadline passed before the agent answered");
    }
  }

  #another(reason: string): void {
    this.#reason = reason;
    this.#router.counters.failovers++;
    this.next();
  }

  #fail(code: number, retryable: boolean, text: string): void {
    this.call.calls.fail(this.call, code, retryable, text);
    this.#end();
  }

  /** The caller has given up. */
  #stop(): void {
    const out = this.#out;
    if (out !== undefined) out.calls.giveUp(out, { kind: "aborted" }, StreamError.CANCELLED);
  }

  #admit(bytes: number): boolean {
    this.call.answerReserved = this.call.calls.reserve(this.call, bytes);
    this.#noRoom = !this.call.answerReserved;
    return this.call.answerReserved;
  }

  #end(): void {
    const { call } = this;
    call.handling = false;
    call.stopAnswer = undefined;
    if (call.state === "done") call.calls.release(call);
    this.#ended();
  }
}

/** Whether an Error says that nothing was done. */
function canTryOthers({ code, retryable }: { readonly code: number; readonly retryable: boolean }): boolean {
  if (code === ErrorCode.NO_SUCH_AGENT) return true;
  return retryable && (code === ErrorCode.UNAVAILABLE || code === ErrorCode.OVERLOADED);
}

/** What of a call's metadata goes on to the agent. */
function metadataFor({ details }: IncomingCall, hopLimit: number, left: number): Metadata {
  const { method, traceparent, contentType, idempotencyKey, application, priority } = details;
  return {
    ...(method !== undefined && { method }),
    ...(left !== Infinity && { deadlineMillis: Math.min(Math.max(1, Math.ceil(left)), MAX_DEADLINE_MS) }),
    ...(traceparent !== undefined && { traceparent }),
    ...(contentType !== undefined && { contentType }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(application !== undefined && { application }),
    ...(priority !== undefined && { priority }),
    hopLimit,
  };
}
