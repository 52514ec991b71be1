/**
 * A node's registry: answers agents and whoever looks for them (SPEC §8.9, §8.10).
 *
 * @module
 */

import { toHex } from "../../base/bytes.ts";
import { MxpError } from "../../base/errors.ts";
import type { Clock, Micros } from "../../base/time.ts";
import { millis, seconds } from "../../base/time.ts";
import { formatUuid } from "../../base/uuid.ts";
import type { Random } from "../../base/random.ts";
import { CodecError } from "../../codec/codec_error.ts";
import { ErrorCode, errorCodeName } from "../../codec/error_codes.ts";
import { type AgentDiscover, decodeAgentDiscover } from "../../codec/payloads/agent_discover.ts";
import { decodeAgentHeartbeat } from "../../codec/payloads/agent_heartbeat.ts";
import { decodeAgentRegister } from "../../codec/payloads/agent_register.ts";
import {
  type DiscoverResponse,
  encodeDiscoverResponse,
  sizeOfDiscoverResponse,
} from "../../codec/payloads/discover_response.ts";
import { encodeHeartbeatResponse, sizeOfHeartbeatResponse } from "../../codec/payloads/heartbeat_response.ts";
import { encodeRegisterResponse, sizeOfRegisterResponse } from "../../codec/payloads/register_response.ts";
import type { CallMessages } from "../../mesh/call_messages.ts";
import { formatId64 } from "../../mesh/id_sequence.ts";
import { RegisteredAgent } from "../../mesh/registered_agent.ts";
import { heartbeatMillis, type HeartbeatOutcome, Registry, type RegistryRefusal } from "../../mesh/registry.ts";
import { type RegistrySettings, registrySettings } from "../../mesh/registry_settings.ts";
import type { LifecycleKind, NodeRequestKind, RequestProblem, StreamStart } from "../../mesh/request_reader.ts";
import type { AgentStore } from "../../store/agent_store.ts";
import { StreamError } from "../../wire/error_codes.ts";
import { AgentLinks } from "../relay/agent_links.ts";
import { CallRouter, type RelayStats } from "../relay/call_router.ts";
import type { EventDone } from "../events/event_dispatcher.ts";
import { type EventRelayStats, EventRouter } from "../relay/event_router.ts";
import type { LifecycleHandler } from "../dispatcher.ts";
import type { AnswerSource, CallAnswers, IncomingCall } from "../calls/incoming_call.ts";
import type { IncomingRequest } from "../incoming_request.ts";
import type { StreamOutcome } from "../streams/incoming_stream.ts";
import type { PeerInfo } from "../peer_info.ts";
import type { PlainCarrier } from "../plain/plain_carrier.ts";
import type { PlainRegistry } from "../plain/plain_lifecycle.ts";
import type { Policy } from "../policy/policy.ts";
import type { OnOver } from "../relay/relayed_request.ts";
import { RegistryJournal } from "./registry_journal.ts";
import { type StreamRelayStats, StreamRouter } from "../relay/stream_router.ts";

/** What a registry may be told. */
export interface RegistryOptions extends Partial<RegistrySettings> {
  /** Keeps registrations over restarts of the node, which closes it. Default: they are kept in memory. */
  readonly store?: AgentStore;
  /** Watches that may be open at once. Default 256. */
  readonly maxWatches?: number;
  /** The same for one connection. Default 8. */
  readonly maxWatchesPerConnection?: number;
  /** Told what becomes of agents, for the log. */
  readonly onEvent?: (event: RegistryEvent) => void;
  /** Told of each call and agent stream that was passed on, when it is over; for the log. */
  readonly onRelayed?: (request: RelayedRequest) => void;
}

/** Something that a registry tells about. */
export interface RegistryEvent {
  /** What happened. `not_stored`: what has changed could not be written, and was taken back. */
  readonly type: "registered" | "deregistered" | "refused" | "not_stored";
  /** The agent's id, where there is one. */
  readonly agentId?: string;
  /** Its name, as it says; escape it before showing it. */
  readonly name?: string;
  /** Who asked. */
  readonly peer?: PeerInfo;
  /** Why it was refused, or could not be stored. */
  readonly reason?: string;
  /** What was refused, if it came over a secure connection. */
  readonly request?: "register" | "heartbeat" | "deregister" | "discover" | "subscribe";
}

/** A call or an agent stream that was passed on, and is over. */
export interface RelayedRequest {
  /** What it was. */
  readonly kind: "call" | "stream";
  /** How it ended. `refused`: no agent had it; `cancelled`: whoever asked gave it up. */
  readonly outcome: "ok" | "failed" | "refused" | "cancelled";
  /** Ties it to the lines in the logs of others: 16 hex digits. */
  readonly traceId: string;
  /** Who asked. */
  readonly peer: PeerInfo;
  /** The agent that had it last: its id. */
  readonly agentId?: string;
  /** Its name, as it says; escape it before showing it. */
  readonly name?: string;
}

/** Numbers about a registry. */
export interface RegistryStats {
  /** Agents that are registered. */
  readonly agents: number;
  /** Ids whose owner is remembered. */
  readonly ids: number;
  /** What the registrations weigh together. */
  readonly weight: number;
  /** Watches that are open. */
  readonly watches: number;
  /** Registrations since the node was started, renewed ones included. */
  readonly registered: number;
  /** Agents that said farewell. */
  readonly deregistered: number;
  /** Heartbeats, the last ones of agents excepted. */
  readonly heartbeats: number;
  /** Searches, the beginnings of watches included. */
  readonly discoveries: number;
  /** Requests that were refused, by the name of the code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Writes to the store that failed. */
  readonly storeFailures: number;
  /** Calls that were passed on to agents. */
  readonly relayed: RelayStats;
  /** The same of agent streams. */
  readonly relayedStreams: StreamRelayStats;
  /** Events that were passed on to the agents that they were for. */
  readonly relayedEvents: EventRelayStats;
}

/** What an administrator does with agents of others. */
const REMOVE = { kind: "remove", permission: "admin" } as const;
/** Changes are told this often at most: what changes twice meanwhile is told once. */
const WATCH_INTERVAL: Micros = millis(20);
/** How long leases that are over wait for a store that cannot take it. */
const STORE_PAUSE: Micros = seconds(5);

/** The registry of one node. */
export class RegistryService implements LifecycleHandler {
  readonly #registry: Registry;
  readonly #links: AgentLinks;
  readonly #router: CallRouter;
  readonly #streamRouter: StreamRouter;
  readonly #eventRouter: EventRouter;
  readonly #journal: RegistryJournal;
  readonly #options: RegistryOptions;
  readonly #policy: Policy;
  readonly #clock: Clock;
  readonly #messages: CallMessages;
  readonly #watches = new Set<WatchAnswer>();
  readonly #watchCounts = new WeakMap<CallAnswers, number>();
  readonly #refused: Record<string, number> = {};
  #registered = 0;
  #deregistered = 0;
  #heartbeats = 0;
  #discoveries = 0;
  #storeFailures = 0;
  #cancelTimer: (() => void) | undefined;
  #timerAt = Infinity;
  #notBefore = 0;
  #closed = false;
  /** Is asked first where a call should go. */
  plainRouter: Pick<PlainCarrier, "route"> | undefined = undefined;

  private constructor(options: RegistryOptions, settings: RegistrySettings, parts: RegistryParts) {
    this.#options = options;
    this.#policy = parts.policy;
    this.#clock = parts.clock;
    this.#messages = parts.messages;
    this.#registry = new Registry(settings, parts.random, parts.sha256, options.store !== undefined);
    this.#links = new AgentLinks({ ...parts, registry: this.#registry });
    const routing = { ...parts, links: this.#links };
    const { onRelayed } = options;
    const onOver = (kind: "call" | "stream"): OnOver | undefined =>
      onRelayed && ((request, agent, outcome) => tellRelayed(onRelayed, kind, request, agent, outcome));
    this.#router = new CallRouter({ ...routing, onOver: onOver("call") });
    this.#streamRouter = new StreamRouter({ ...routing, onOver: onOver("stream") });
    this.#eventRouter = new EventRouter({ ...parts, links: this.#links });
    this.#journal = new RegistryJournal(this.#registry, options.store, () => this.#clock.now(), (error) => {
      this.#storeFailures++;
      this.#report({ type: "not_stored", reason: error instanceof Error ? error.message : String(error) });
    });
  }

  /**
   * Makes a registry, with what its store has.
   *
   * @throws {MxpError} `usage` for options that make no sense, `config` for a store that cannot be read.
   */
  static async open(options: RegistryOptions, parts: RegistryParts): Promise<RegistryService> {
    const { store, maxWatches = 1, maxWatchesPerConnection = 1, onEvent: _, onRelayed: _too, ...settings } = options;
    let service: RegistryService;
    try {
      const complete = registrySettings(settings);
      if (!(maxWatches >= 0 && maxWatchesPerConnection >= 0)) throw new RangeError("watches cannot be below 0");
      service = new RegistryService(options, complete, parts);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new MxpError("usage", `registry: ${cause.message}`, { cause });
    }
    if (store !== undefined) service.#registry.restore(parts.clock.now(), await store.load());
    service.#arm();
    return service;
  }

  /** A snapshot. */
  stats(): RegistryStats {
    const { size: agents, idCount: ids, weight } = this.#registry;
    return {
      agents,
      ids,
      weight,
      watches: this.#watches.size,
      registered: this.#registered,
      deregistered: this.#deregistered,
      heartbeats: this.#heartbeats,
      discoveries: this.#discoveries,
      refused: { ...this.#refused },
      storeFailures: this.#storeFailures,
      relayed: { ...this.#router.counters },
      relayedStreams: { ...this.#streamRouter.counters },
      relayedEvents: { ...this.#eventRouter.counters },
    };
  }

  handle(call: IncomingCall, kind: LifecycleKind, payload: Uint8Array): void {
    switch (kind) {
      case "register":
        return this.#register(call, payload);
      case "heartbeat":
      case "deregister":
        return this.#heartbeat(call, payload, kind === "deregister");
      case "discover":
        return this.#discover(call, payload);
    }
  }

  registered(agentId: Uint8Array): RegisteredAgent["register"] | undefined {
    return this.#registry.agent(toHex(agentId))?.register;
  }

  route(call: IncomingCall, payload: Uint8Array, ended: () => void): boolean {
    return this.plainRouter?.route(call, payload, ended) ?? this.#router.route(call, payload, ended);
  }

  /** For the plain carrier, whose agents have no keys and no connections, and are not stored. */
  get plain(): PlainRegistry {
    const counts = {
      registered: () => this.#registered++,
      deregistered: () => this.#deregistered++,
      heartbeats: () => this.#heartbeats++,
      discoveries: () => this.#discoveries++,
    };
    return {
      registry: this.#registry,
      changed: () => this.#arm(),
      count: (what) => void counts[what](),
      countRefusal: (refusal, peer, agentId, name) => this.#countRefusal(refusal, peer, agentId, name),
      report: (event) => this.#report(event),
    };
  }

  routeStream(
    request: IncomingCall,
    start: StreamStart,
    ended: (outcome: StreamOutcome) => void,
  ): boolean | RequestProblem {
    return this.#streamRouter.route(request, start, ended);
  }

  routeEvent(request: IncomingRequest, data: Uint8Array, done: EventDone): boolean {
    return this.#eventRouter.routeEvent(request, data, done);
  }

  /** Ends all watches: the node is going down. */
  endWatches(reason: string): void {
    for (const watch of [...this.#watches]) watch.end(reason);
  }

  /** Waits for what is being written, and closes the store. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer?.();
    await this.#journal.idle();
    await this.#options.store?.close();
  }

  #register(call: IncomingCall, payload: Uint8Array): void {
    const register = decodeAgentRegister(payload);
    if (register instanceof CodecError) return this.#malformed(call, register);
    const now = this.#clock.now();
    const owner = call.peer.publicKey.slice();
    const agent = this.#registry.register(now, Date.now(), owner, register);
    this.#arm();
    if (!(agent instanceof RegisteredAgent)) return this.#refuse(call, agent, register.agentId, register.name);
    this.#whenSaved(call, () => {
      this.#registered++;
      this.#attach(agent, call);
      const { agentId, leaseMillis } = agent.stored;
      this.#report({ type: "registered", agentId: formatUuid(agentId), name: register.name, peer: call.peer });
      const heartbeat = heartbeatMillis(leaseMillis);
      const response = { success: true, agentId, leaseMillis, heartbeatMillis: heartbeat };
      const out = new Uint8Array(sizeOfRegisterResponse(response));
      encodeRegisterResponse(out, 0, response);
      call.calls.respond(call, out);
    });
  }

  #heartbeat(call: IncomingCall, payload: Uint8Array, isFinal: boolean): void {
    const heartbeat = decodeAgentHeartbeat(payload);
    if (heartbeat instanceof CodecError) return this.#malformed(call, heartbeat);
    const now = this.#clock.now();
    const wall = Date.now();
    const { agentId } = heartbeat;
    const { publicKey } = call.peer;
    const own = isFinal
      ? this.#registry.deregister(now, wall, publicKey, agentId)
      : this.#registry.heartbeat(now, wall, publicKey, heartbeat);
    const isRemoved = isFinal && isTaken(own) && this.#policy.permits(call.peer, { ...REMOVE, target: agentId });
    const outcome = isRemoved ? this.#registry.remove(now, wall, agentId) : own;
    this.#arm();
    if (typeof outcome !== "string" && !(outcome instanceof RegisteredAgent)) {
      return this.#refuse(call, outcome, agentId, undefined);
    }
    const isKnown = outcome !== "not_registered";
    const answer = (): void => {
      const response = {
        // Who is not registered need not be deregistered.
        success: isKnown || isFinal,
        needsRegister: !isKnown && !isFinal,
        agentId,
        timestampMillis: Math.max(0, wall),
        ...(isKnown && !isFinal && { leaseMillis: outcome.stored.leaseMillis }),
      };
      const out = new Uint8Array(sizeOfHeartbeatResponse(response));
      encodeHeartbeatResponse(out, 0, response);
      call.calls.respond(call, out);
    };
    if (!isFinal) {
      this.#heartbeats++;
      if (isKnown) this.#attach(outcome, call);
      return answer();
    }
    if (isKnown) this.#links.detach(outcome.key);
    this.#whenSaved(call, () => {
      if (isRemoved) this.#policy.onRemoved(call.peer, agentId, isKnown ? outcome.register.name : undefined);
      if (isKnown) {
        this.#deregistered++;
        if (!isRemoved) {
          this.#report({
            type: "deregistered",
            agentId: formatUuid(agentId),
            name: outcome.register.name,
            peer: call.peer,
          });
        }
      }
      answer();
    });
  }

  #discover(call: IncomingCall, payload: Uint8Array): void {
    const discover = decodeAgentDiscover(payload);
    if (discover instanceof CodecError) return this.#malformed(call, discover);
    this.#discoveries++;
    if (discover.watch) return this.#watch(call, discover);
    const page = this.#registry.discover(this.#clock.now(), Date.now(), discover);
    this.#arm();
    if ("code" in page) return this.#refuse(call, page, undefined, undefined);
    call.calls.respond(call, encodePage(page));
  }

  #watch(call: IncomingCall, discover: AgentDiscover): void {
    const { maxWatches = 256, maxWatchesPerConnection = 8 } = this.#options;
    const own = this.#watchCounts.get(call.calls) ?? 0;
    if (own >= maxWatchesPerConnection) {
      const text = `a connection may watch ${maxWatchesPerConnection} times at once`;
      return this.#refuse(call, { code: ErrorCode.LIMIT_REACHED, retryable: false, text }, undefined, undefined);
    }
    if (this.#watches.size >= maxWatches) {
      const text = `${maxWatches} watches are open, which is all this node takes at once`;
      return this.#refuse(call, { code: ErrorCode.OVERLOADED, retryable: true, text }, undefined, undefined);
    }
    this.#watchCounts.set(call.calls, own + 1);
    const watch = new WatchAnswer(call, this.#registry, discover, this.#clock, this.#messages, () => {
      this.#watches.delete(watch);
      this.#watchCounts.set(call.calls, this.#watchCounts.get(call.calls)! - 1);
    });
    this.#watches.add(watch);
    call.calls.answerFrom(call, watch);
    this.#arm();
  }

  /** The agent can be called where it was last heard of. */
  #attach(agent: RegisteredAgent, { calls: { session } }: IncomingCall): void {
    if (session !== undefined && session.closeReason === undefined) this.#links.attach(agent.key, session);
  }

  /** Answers when what was changed is stored, or says that it was not. */
  #whenSaved(call: IncomingCall, answer: () => void): void {
    this.#journal.save().then(answer, (error) => {
      const text = error instanceof Error ? error.message : String(error);
      this.#refuse(call, { code: ErrorCode.UNAVAILABLE, retryable: true, text }, undefined, undefined);
    });
  }

  #malformed(call: IncomingCall, error: CodecError): void {
    const refusal = { code: ErrorCode.BAD_REQUEST, retryable: false, text: error.message };
    this.#refuse(call, refusal, undefined, undefined);
  }

  #refuse(
    call: IncomingCall,
    { code, retryable, text }: RegistryRefusal,
    agentId: Uint8Array | undefined,
    name: string | undefined,
  ): void {
    this.#countRefusal({ code, retryable, text }, call.peer, agentId, name, call.lifecycle);
    call.calls.refuse(call, code, retryable, text, StreamError.REFUSED);
  }

  #countRefusal(
    { code, text }: RegistryRefusal,
    peer: PeerInfo,
    agentId?: Uint8Array,
    name?: string,
    request?: NodeRequestKind,
  ): void {
    const counter = errorCodeName(code);
    this.#refused[counter] = (this.#refused[counter] ?? 0) + 1;
    this.#report({
      type: "refused",
      peer,
      reason: text,
      ...(agentId && { agentId: formatUuid(agentId) }),
      ...(name !== undefined && { name }),
      ...(request !== undefined && { request }),
    });
  }

  #report(event: RegistryEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch {
      // A listener that fails must not take the node with it.
    }
  }

  /** Sets the timer for the end of the next lease. */
  #arm(): void {
    const at = Math.max(this.#registry.pollTimeout(), this.#notBefore);
    if (at >= this.#timerAt || this.#closed) return;
    this.#cancelTimer?.();
    this.#timerAt = at;
    this.#cancelTimer = this.#clock.wakeAt(at as Micros, () => {
      this.#timerAt = Infinity;
      this.#registry.handleTimeout(this.#clock.now(), Date.now());
      this.#journal.save().catch(() => {
        // Whose time has come is registered again, because it could not be written that it is not.
        this.#notBefore = this.#clock.now() + STORE_PAUSE;
        this.#arm();
      });
      this.#arm();
    });
  }
}

function tellRelayed(
  listener: (request: RelayedRequest) => void,
  kind: "call" | "stream",
  { peer, traceHigh, traceLow }: IncomingRequest,
  agent: RegisteredAgent | undefined,
  outcome: StreamOutcome,
): void {
  const whom = agent && { agentId: formatUuid(agent.stored.agentId), name: agent.register.name };
  try {
    listener({ kind, outcome, traceId: formatId64(traceHigh, traceLow), peer, ...whom });
  } catch {
    // A listener that fails must not take the node with it.
  }
}

/** Whether the id belongs to another key. */
function isTaken(outcome: HeartbeatOutcome): boolean {
  return typeof outcome === "object" && "code" in outcome && outcome.code === ErrorCode.AGENT_ID_TAKEN;
}

/** What a registry needs of its node. */
export interface RegistryParts {
  readonly policy: Policy;
  readonly clock: Clock;
  readonly random: Random;
  readonly messages: CallMessages;
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
}

/** The answer to a watch: a listing, then changes, for as long as somebody takes them. */
class WatchAnswer implements AnswerSource {
  readonly #call: IncomingCall;
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #messages: CallMessages;
  readonly #onStop: () => void;
  readonly #watch: ReturnType<Registry["watch"]>;
  #cancelTimer: (() => void) | undefined;
  #ending: string | undefined;

  constructor(
    call: IncomingCall,
    registry: Registry,
    discover: AgentDiscover,
    clock: Clock,
    messages: CallMessages,
    onStop: () => void,
  ) {
    this.#call = call;
    this.#registry = registry;
    this.#clock = clock;
    this.#messages = messages;
    this.#onStop = onStop;
    this.#watch = registry.watch(discover);
    this.#watch.onReady = () =>
      this.#cancelTimer ??= clock.wakeAt((clock.now() + WATCH_INTERVAL) as Micros, this.#pump);
  }

  readonly #pump = (): void => {
    this.#cancelTimer = undefined;
    this.#call.calls.pump(this.#call);
  };

  next(): { readonly message: Uint8Array; readonly isLast: boolean } | undefined {
    if (this.#ending !== undefined) {
      const message = this.#messages.error(this.#call, ErrorCode.UNAVAILABLE, true, this.#ending);
      return { message, isLast: true };
    }
    const page = this.#watch.poll(this.#clock.now(), Date.now());
    return page && { message: this.#messages.response(this.#call, encodePage(page)), isLast: false };
  }

  /** Says why there is no more to come. */
  end(reason: string): void {
    this.#ending = reason;
    this.#call.calls.pump(this.#call);
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#watch.onReady = undefined;
    this.#registry.unwatch(this.#watch);
    this.#onStop();
  }
}

function encodePage(page: DiscoverResponse): Uint8Array {
  const out = new Uint8Array(sizeOfDiscoverResponse(page));
  encodeDiscoverResponse(out, 0, page);
  return out;
}
