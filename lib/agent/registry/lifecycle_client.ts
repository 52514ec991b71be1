/**
 * What a client says to a node's registry, and asks of it.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { type Micros, NEVER } from "../../base/time.ts";
import { parseUuid } from "../../base/uuid.ts";
import { CodecError } from "../../codec/codec_error.ts";
import type { MessageView } from "../../codec/message.ts";
import { isExtensionType, MessageType, messageTypeName } from "../../codec/message_type.ts";
import type { DiscoverQuery } from "../../codec/payloads/agent_discover.ts";
import type { AgentHeartbeat } from "../../codec/payloads/agent_heartbeat.ts";
import type { AgentRegister } from "../../codec/payloads/agent_register.ts";
import { decodeDiscoverResponse, type DiscoverResponse } from "../../codec/payloads/discover_response.ts";
import { decodeHeartbeatResponse, type HeartbeatResponse } from "../../codec/payloads/heartbeat_response.ts";
import { decodeRegisterResponse, type RegisterResponse } from "../../codec/payloads/register_response.ts";
import type { IdSequence } from "../../mesh/id_sequence.ts";
import { LifecycleMessages } from "../../mesh/lifecycle_messages.ts";
import type { MessageIds, MessageWriter } from "../../mesh/message_writer.ts";
import type { CallOutcome } from "../../mesh/pending_calls.ts";
import { StreamClass } from "../../transport/scheduler.ts";
import { StreamError } from "../../wire/error_codes.ts";
import { type Agent, type AgentQuery, toAgent, toQuery } from "./agent_card.ts";
import { callFailure } from "../calls/call_failure.ts";
import { OutgoingCall } from "../calls/outgoing_calls.ts";
import type { AnswerEnd, LongAnswer } from "./long_answers.ts";
import { quote } from "../quote.ts";
import type { Session } from "../session.ts";

/** How long a request to a registry may take. */
const DEFAULT_TIMEOUT_MS = 10_000;
/** More than a node puts into one answer. */
const MAX_ANSWER_BYTES = 4 << 20;
/** Agents on one page. */
const PAGE_SIZE = 500;
/** Agents that a listing may hold; a node's registry has far fewer. */
const MAX_AGENTS = 1_000_000;

/** How long and for whom a request may take. */
export interface LifecycleOptions {
  /** How long to wait for each answer; default 10 000, 0 = without end. */
  readonly timeoutMs?: number;
  /** Gives the request up. */
  readonly signal?: AbortSignal;
}

/** What a search may be told. */
export interface DiscoverOptions extends LifecycleOptions {
  /** The most agents to ask for. Default: all there are. */
  readonly limit?: number;
}

/** Something that a watcher is told. */
export type AgentChange =
  /** An agent is there, or there again. */
  | { readonly type: "up"; readonly agent: Agent }
  /** An agent is otherwise than before: its status, its load, what it says of itself. */
  | { readonly type: "changed"; readonly agent: Agent; readonly before: Agent }
  /** An agent is not registered any more, or not what is watched for. As it was last. */
  | { readonly type: "down"; readonly agent: Agent }
  /** What was told so far is all there is. Comes once at the beginning, and again if the watcher was too slow. */
  | { readonly type: "listed"; readonly count: number };

/** What the requests need. */
export interface LifecycleParts {
  readonly session: Session;
  readonly writer: MessageWriter;
  /** Counts on for every message. */
  readonly ids: IdSequence;
  readonly traces: IdSequence;
  /** Names the node in errors. */
  readonly node: string;
  /** Lets the connection begin if it has not; throws if no requests are taken any more. */
  readonly begin: () => void;
}

/** Requests about agents. One for a client. */
export class LifecycleClient {
  readonly #parts: LifecycleParts;
  readonly #messages: LifecycleMessages;

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
    this.#messages = new LifecycleMessages(parts.writer);
  }

  /** Registers an agent. Rejects if the node does not. */
  async register(register: AgentRegister, options: LifecycleOptions): Promise<RegisterResponse> {
    const payload = await this.#ask((ids) => this.#messages.register(ids, register), options);
    const response = this.#decoded(decodeRegisterResponse(payload));
    if (response.success) return response;
    throw new MxpError(
      "refused",
      `${this.#parts.node} does not register the agent: ${response.message ?? "no reason"}`,
    );
  }

  /** Sends a sign of life, or the last one. */
  async heartbeat(heartbeat: AgentHeartbeat, isFinal: boolean, options: LifecycleOptions): Promise<HeartbeatResponse> {
    const payload = await this.#ask((ids) => this.#messages.heartbeat(ids, heartbeat, isFinal), options);
    return this.#decoded(decodeHeartbeatResponse(payload));
  }

  /** Ends a registration, our own or as an administrator somebody else's. */
  async deregister(id: string, options: LifecycleOptions): Promise<void> {
    const agentId = parseUuid(id);
    if (agentId === undefined) throw new MxpError("usage", `an agent's id is a UUID, got ${quote(id)}`);
    await this.heartbeat({ agentId }, true, options);
  }

  /** Finds agents: all pages, up to a limit. */
  async discover(query: AgentQuery, options: DiscoverOptions): Promise<Agent[]> {
    const wanted = toQuery(query);
    const most = Math.min(options.limit ?? MAX_AGENTS, MAX_AGENTS);
    if (!(most >= 1)) throw new MxpError("usage", `limit must be at least 1, got ${options.limit}`);
    const agents: Agent[] = [];
    let cursor: Uint8Array | undefined;
    do {
      const page = await this.#page(wanted, Math.min(PAGE_SIZE, most - agents.length), cursor, options);
      for (const record of page.agents) agents.push(toAgent(record, page.nowMillis));
      // A node whose cursor leads nowhere would keep us for good.
      cursor = page.agents.length > 0 ? page.cursor : undefined;
    } while (cursor !== undefined && agents.length < most);
    return agents.slice(0, most);
  }

  /**
   * Follows agents until the consumer stops, the signal says so, or the connection ends, which throws.
   *
   * @param known what the consumer has been told before, by id: kept up to date.
   */
  async *watch(
    query: AgentQuery,
    { signal }: { readonly signal?: AbortSignal },
    known: Map<string, Agent> = new Map(),
  ): AsyncGenerator<AgentChange, void, void> {
    const wanted = toQuery(query);
    this.#parts.begin();
    if (signal?.aborted) throw this.#failure({ kind: "aborted" }, 0, signal);
    const ids = this.#nextIds();
    const request = this.#messages.discover(ids, { query: wanted, limit: PAGE_SIZE, watch: true });
    const watch = this.#parts.session.longAnswers.open({
      message: request,
      streamClass: StreamClass.CONTROL,
      maxPayload: MAX_ANSWER_BYTES,
      take: (message) => takeListing(message, ids),
    });
    const onAbort = (): void => watch.cancel();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      yield* this.#changes(watch, signal, known);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      watch.cancel();
    }
  }

  /** Turns listings and changes into what is new to somebody who was told everything before. */
  async *#changes(
    watch: LongAnswer<DiscoverResponse>,
    signal: AbortSignal | undefined,
    known: Map<string, Agent>,
  ): AsyncGenerator<AgentChange, void, void> {
    /** What the listing that is under way has shown. */
    let listed: Set<string> | undefined;
    for (;;) {
      const answer = await watch.next();
      if ("kind" in answer) throw this.#failure(answer, 0, signal);
      if (answer.fromStart) listed = new Set();
      for (const record of answer.agents) {
        const agent = toAgent(record, answer.nowMillis);
        const before = known.get(agent.id);
        if (agent.leaseMs === 0) {
          known.delete(agent.id);
          if (before !== undefined) yield { type: "down", agent: before };
          continue;
        }
        if (known.size >= MAX_AGENTS) throw new MxpError("agent_error", `the node lists over ${MAX_AGENTS} agents`);
        known.set(agent.id, agent);
        listed?.add(agent.id);
        if (before === undefined) yield { type: "up", agent };
        else if (isOther(before, agent)) yield { type: "changed", agent, before };
      }
      if (listed === undefined || answer.cursor !== undefined) continue;
      for (const [id, agent] of known) {
        if (listed.has(id)) continue;
        known.delete(id);
        yield { type: "down", agent };
      }
      listed = undefined;
      yield { type: "listed", count: known.size };
    }
  }

  async #page(
    query: DiscoverQuery,
    limit: number,
    cursor: Uint8Array | undefined,
    options: LifecycleOptions,
  ): Promise<DiscoverResponse> {
    const discover = { query, limit, ...(cursor !== undefined && { cursor }) };
    const payload = await this.#ask((ids) => this.#messages.discover(ids, discover), options);
    return this.#decoded(decodeDiscoverResponse(payload));
  }

  /** Sends one message, and waits for its answer. */
  async #ask(write: (ids: MessageIds) => Uint8Array, options: LifecycleOptions): Promise<Uint8Array> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    if (!(timeoutMs >= 0)) throw new MxpError("usage", `timeoutMs must be at least 0, got ${timeoutMs}`);
    const { begin, session } = this.#parts;
    begin();
    if (signal?.aborted) throw this.#failure({ kind: "aborted" }, timeoutMs, signal);
    const { outgoing, driver } = session;
    const ids = this.#nextIds();
    let message: Uint8Array;
    try {
      message = write(ids);
    } catch (cause) {
      throw cause instanceof RangeError ? new MxpError("usage", cause.message, { cause }) : cause;
    }
    const now = driver.clock.now();
    const deadline = timeoutMs === 0 || timeoutMs === Infinity ? NEVER : (now + timeoutMs * 1000) as Micros;
    const outcome = await new Promise<CallOutcome>((resolve) => {
      const call = new OutgoingCall(outgoing, now, deadline, resolve);
      Object.assign(call, ids);
      call.streamClass = StreamClass.CONTROL;
      if (signal !== undefined) {
        const onAbort = (): void => outgoing.giveUp(call, { kind: "aborted" }, StreamError.CANCELLED);
        signal.addEventListener("abort", onAbort, { once: true });
        call.stopListening = () => signal.removeEventListener("abort", onAbort);
      }
      if (outgoing.send(call, message)) return;
      call.stopListening?.();
      resolve({ kind: "reset", code: StreamError.REFUSED });
    });
    if (outcome.kind === "response") return outcome.payload;
    throw this.#failure(outcome, timeoutMs, signal);
  }

  #nextIds(): MessageIds {
    const { ids, traces } = this.#parts;
    ids.next();
    traces.next();
    return { idHigh: ids.high, idLow: ids.low, traceHigh: traces.high, traceLow: traces.low };
  }

  #decoded<T>(response: T | CodecError): T {
    if (!(response instanceof CodecError)) return response;
    throw this.#failure({ kind: "malformed", what: response.message }, 0, undefined);
  }

  #failure(outcome: AnswerEnd, timeoutMs: number, signal: AbortSignal | undefined): MxpError {
    const { node, session } = this.#parts;
    return callFailure(outcome, node, timeoutMs, signal?.reason, session.closeReason, "request");
  }
}

/** What a message of the answer to a watch says. */
function takeListing(message: MessageView, { idHigh, idLow }: MessageIds): DiscoverResponse | string | undefined {
  if (isExtensionType(message.type)) return undefined;
  if (message.type !== MessageType.RESPONSE) return `it is a ${messageTypeName(message.type)} message`;
  if (message.idLow !== idLow || message.idHigh !== idHigh) return "it answers another message";
  const response = decodeDiscoverResponse(message.bytes, message.payloadStart, message.payloadEnd);
  return response instanceof CodecError ? response.message : response;
}

/** Whether there is anything to tell; the age of the last heartbeat is not. */
function isOther(before: Agent, after: Agent): boolean {
  const { heartbeatAgeMs: _before, ...left } = before;
  const { heartbeatAgeMs: _after, ...right } = after;
  return JSON.stringify(left) !== JSON.stringify(right);
}
