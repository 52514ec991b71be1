/**
 * The calling side: one connection to a node, and the calls on it.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import { type Micros, NEVER } from "../base/time.ts";
import { MAX_PAYLOAD_BYTES } from "../codec/message_header.ts";
import { MessageType } from "../codec/message_type.ts";
import { sizeOfEvent } from "../codec/payloads/event.ts";
import { MAX_CALL_TIMEOUT_SECONDS } from "../codec/payloads/call.ts";
import type { Metadata } from "../codec/payloads/metadata.ts";
import { headerTraceId } from "../codec/traceparent.ts";
import { agentTarget } from "../mesh/agent_target.ts";
import { type CallMessages, MAX_CALL_DATA_BYTES } from "../mesh/call_messages.ts";
import { EventMessages } from "../mesh/event_messages.ts";
import type { MessageIds } from "../mesh/message_writer.ts";
import { IdSequence } from "../mesh/id_sequence.ts";
import type { CallOutcome } from "../mesh/pending_calls.ts";
import { StreamClass } from "../transport/scheduler.ts";
import { uuidV4 } from "../base/uuid.ts";
import { StreamError, TransportError } from "../wire/error_codes.ts";
import { type Agent, type AgentCard, type AgentQuery, defaultAgentId, toRegister } from "./agent_card.ts";
import { AgentHost } from "./agent_host.ts";
import { bodyBytes, bodyUnlessAborted, type CallBody, Collecting, eventTooLarge, isCallBody } from "./call_body.ts";
import { callFailure, type ConnectionEnd, connectionEnded, describeClose, type Errand } from "./call_failure.ts";
import type { CallOptions, ClientStats, CloseInfo, EventOptions, StreamOptions } from "./client_types.ts";
import { type HandshakeInfo, handshakeInfo, socketStats, transportStats } from "./connection_info.ts";
import type { Identity } from "./identity.ts";
import { type AgentChange, type DiscoverOptions, LifecycleClient } from "./lifecycle_client.ts";
import { OutgoingCall } from "./outgoing_calls.ts";
import type { MxpStream } from "./mxp_stream.ts";
import { migrate } from "./migration.ts";
import { noAnswer } from "./no_answer.ts";
import type { PeerInfo } from "./peer_info.ts";
import type { Platform } from "./platform.ts";
import { quote } from "./quote.ts";
import { MAX_DEADLINE_MS, metadataOf } from "./request_metadata.ts";
import { Registration, type RegistrationLink, type RegistrationOptions } from "./registration.ts";
import { Reply } from "./reply.ts";
import type { Resumption } from "./resumption.ts";
import { roundTrip } from "./round_trip.ts";
import type { Session } from "./session.ts";
import { checkTimeout, timeLimit } from "./time_limit.ts";
import { formatMxpUrl, isUuid, type MxpUrl } from "./mxp_url.ts";

/** How long a call waits for its answer unless it is told otherwise. */
export const DEFAULT_CALL_TIMEOUT_MS = 30_000;
/** How long events that are on their way have when a client is closed. */
const EVENT_LINGER_MS = 2_000;

/** What `connect` gives a client to work with. */
export interface ClientParts {
  readonly platform: Platform;
  readonly session: Session;
  readonly messages: CallMessages;
  readonly url: MxpUrl;
  readonly peer: PeerInfo;
  /** Settles when the session has ended. */
  readonly ended: Promise<ConnectionEnd>;
  readonly resumption: Resumption;
  /** Makes another connection to the same node, with the same key. */
  readonly reconnect: (signal: AbortSignal) => Promise<Client>;
  /** Who we are. */
  readonly identity: Identity;
}

/**
 * A connection to a node. Made by `connect`.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../mod.ts";
 * await using server = await serve({ listen: "127.0.0.1:0" }, {
 *   methods: { upper: (payload) => new TextDecoder().decode(payload).toUpperCase() },
 * });
 * await using client = await connect(server.url);
 * console.log((await client.call("upper", "hello")).text()); // HELLO
 * ```
 */
export class Client implements AsyncDisposable {
  readonly #platform: Platform;
  readonly #session: Session;
  readonly #messages: CallMessages;
  readonly #events: EventMessages;
  readonly #url: MxpUrl;
  readonly #ids: IdSequence;
  readonly #traces: IdSequence;
  readonly #lifecycle: LifecycleClient;
  readonly #reconnect: (signal: AbortSignal) => Promise<Client>;
  readonly #identity: Identity;
  #host: AgentHost | undefined;
  /** Who answers. */
  readonly peer: PeerInfo;
  /** Settles when the connection has ended, for whatever reason. Never rejects. */
  readonly closed: Promise<CloseInfo>;
  readonly #resumption: Resumption;
  #draining = false;
  #lastAgent: string | undefined;
  #lastTarget: Uint8Array;

  /** Use `connect`. */
  constructor(parts: ClientParts) {
    const { platform, session, url, peer } = parts;
    this.#platform = platform;
    this.#session = session;
    this.#messages = parts.messages;
    this.#events = new EventMessages(parts.messages.writer);
    this.#url = { ...url, publicKey: peer.publicKey };
    this.#ids = new IdSequence(platform.random);
    this.#traces = new IdSequence(platform.random);
    this.#lifecycle = new LifecycleClient({
      session,
      writer: parts.messages.writer,
      ids: this.#ids,
      traces: this.#traces,
      node: this.#targetText(undefined),
      begin: () => {
        this.#checkOpen();
        session.begin();
      },
    });
    this.#reconnect = parts.reconnect;
    this.#identity = parts.identity;
    this.peer = peer;
    this.#resumption = parts.resumption;
    this.closed = parts.ended.then((end) => ({ by: end.by, message: describeClose(end) }));
    this.#lastAgent = url.agent;
    this.#lastTarget = this.#targetOf(url.agent);
  }

  /** The node's URL with the key that it showed, and the agent. */
  get url(): string {
    return formatMxpUrl(this.#url);
  }

  /** Our end, `IP:PORT`. */
  get local(): string {
    return this.#session.driver.local.key;
  }

  /** How the connection came about; how it is going to be tried, as long as it is held back for the first call. */
  get handshake(): HandshakeInfo {
    return handshakeInfo(this.#session.link.connection);
  }

  /** Calls the agent of the URL. */
  call(body?: CallBody, options?: CallOptions): Promise<Reply>;
  /** Calls one of its methods: `call("upper", "hello")` is `call("hello", { method: "upper" })`. */
  call(method: string, body: CallBody | undefined, options?: CallOptions): Promise<Reply>;
  /**
   * Sends a body and waits for the answer. Two arguments of which the second is an options object are body and options;
   * in every other case of two or three the first is the method.
   *
   * An aborted signal, a passed deadline and a closed client end the call on both sides.
   *
   * @throws {MxpError} `deadline`, `cancelled`, `too_large` (before anything is sent), `no_such_agent`, `agent_error`,
   * `overloaded`, `refused`, `connection_lost`, `closed`, `usage`; `retryable` says whether the same call may succeed
   * later. Its stack leads to the caller.
   */
  async call(first?: CallBody, second?: CallBody | CallOptions, third?: CallOptions): Promise<Reply> {
    const hasMethod = third !== undefined || (second !== undefined && isCallBody(second)) || arguments.length > 2;
    const body = hasMethod ? second as CallBody | undefined : first;
    const options = (hasMethod ? third : second as CallOptions | undefined) ?? NO_OPTIONS;
    const method = hasMethod ? first as string : options.method;
    if (hasMethod && typeof method !== "string") throw new MxpError("usage", `a method is text, got ${typeof method}`);
    const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal } = options;
    checkTimeout(timeoutMs);
    const { capability } = options;
    if (capability !== undefined && options.agent !== undefined) {
      throw new MxpError("usage", "a call goes to an agent or to a capability; give one of them");
    }
    const agent = capability === undefined ? options.agent ?? this.#url.agent : undefined;
    const target = agent === this.#lastAgent ? this.#lastTarget : this.#targetOf(agent);
    this.#checkOpen();
    if (signal?.aborted) throw this.#failure({ kind: "aborted" }, agent, timeoutMs, signal);

    let call!: OutgoingCall;
    const outcome = await new Promise<CallOutcome>((resolve) => {
      call = this.#newCall(timeoutMs, resolve);
      try {
        this.#launch(call, body, method, target, timeoutMs, options);
      } catch (error) {
        this.#session.outgoing.fail(call, error);
      }
    });
    // Only here, behind an await, does an error's stack lead back to whoever awaits the call.
    if (outcome.kind === "response") return new Reply(outcome.payload, call);
    if (call.problem !== undefined) throw asMxpError(call.problem);
    throw this.#failure(outcome, agent, timeoutMs, signal);
  }

  /** Opens a stream to the agent of the URL. */
  stream(options?: StreamOptions): MxpStream;
  /** Opens a stream to one of its methods. */
  stream(method: string, options?: StreamOptions): MxpStream;
  /**
   * Opens an agent stream. Nothing is waited for: what is written goes out at once, and a node that does not want the stream
   * says so to whoever reads or writes. An aborted signal and a passed deadline end it on both sides.
   *
   * @throws {MxpError} `usage`, `closed`, `connection_lost`, `cancelled` (the signal was aborted before), `overloaded`.
   */
  stream(first?: string | StreamOptions, second?: StreamOptions): MxpStream {
    const options: StreamOptions = (typeof first === "string" ? second : first) ?? {};
    const method = typeof first === "string" ? first : options.method;
    const { timeoutMs = 0, signal } = options;
    checkTimeout(timeoutMs);
    const agent = options.agent ?? this.#url.agent;
    this.#checkOpen();
    this.#session.begin();
    const targetText = this.#targetText(agent);
    if (signal?.aborted) {
      throw new MxpError("cancelled", `the stream to ${targetText} was cancelled`, { cause: signal.reason });
    }
    const streamId = new Uint8Array(16);
    this.#platform.random.fillPublic(streamId);
    this.#ids.next();
    const metadata = metadataOf(options, method, timeoutMs);
    const { traceHigh, traceLow } = this.#trace(metadata);
    const isEndless = timeoutMs === 0 || timeoutMs === Infinity;
    try {
      return this.#session.streams.open({
        idHigh: this.#ids.high,
        idLow: this.#ids.low,
        traceHigh,
        traceLow,
        streamId: uuidV4(streamId),
        target: this.#targetOf(agent),
        kind: options.unidirectional ? "unidirectional" : "bidirectional",
        metadata: isEndless
          ? metadata
          : { ...metadata, deadlineMillis: Math.min(Math.ceil(timeoutMs), MAX_DEADLINE_MS) },
        streamClass: options.bulk ? StreamClass.BULK : StreamClass.INTERACTIVE,
        deadline: isEndless ? NEVER : (this.#session.driver.clock.now() + timeoutMs * 1000) as Micros,
        timeoutMs,
        targetText,
        signal,
      }).mxpStream;
    } catch (error) {
      throw asMxpError(error);
    }
  }

  /**
   * Tells the node something. Settles when the transport has taken the event, which is at once while the node keeps up; with
   * `ack` when the node's handler has. An `unreliable` one is sent once, in one packet, and may be lost. Events overtake each other; {@link close} and {@link drain} let them arrive.
   *
   * @throws {MxpError} `too_large`, `usage`, `overloaded`, `connection_lost`, `closed`; with `ack` whatever a call throws.
   */
  async emit(topic: string, data?: CallBody, options: EventOptions = NO_OPTIONS): Promise<void> {
    const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal, ack = false } = options;
    if (typeof topic !== "string") throw new MxpError("usage", `a topic is text, got ${typeof topic}`);
    checkTimeout(timeoutMs);
    this.#checkOpen();
    const collected = bodyUnlessAborted(data, MAX_PAYLOAD_BYTES, "the event", signal);
    const bytes = collected instanceof Promise ? await collected : collected;
    if (bytes === undefined) throw this.#failure({ kind: "aborted" }, undefined, timeoutMs, signal, "event");
    this.#checkOpen();
    this.#session.begin();
    if (!ack || options.unreliable === true) {
      if (ack) throw new MxpError("usage", "an event is either unreliable or acknowledged");
      this.#ids.next();
      const { high: idHigh, low: idLow } = this.#ids;
      const metadata = options === NO_OPTIONS ? undefined : metadataOf(options, undefined, 0);
      const ids = { idHigh, idLow, ...this.#trace(metadata) };
      const message = this.#event(ids, metadata, topic, bytes, false);
      if (options.unreliable !== true) return await this.#session.events.emit(message);
      return this.#session.events.emitUnreliable(message);
    }
    let call!: OutgoingCall;
    const outcome = await new Promise<CallOutcome>((resolve) => {
      call = this.#newCall(timeoutMs, resolve);
      call.expected = MessageType.ACK;
      try {
        const metadata = metadataOf(options, undefined, timeoutMs);
        const { traceHigh, traceLow } = this.#trace(metadata);
        call.traceHigh = traceHigh;
        call.traceLow = traceLow;
        if (signal !== undefined) this.#follow(signal, call);
        this.#send(call, this.#event(call, metadata, topic, bytes, true));
      } catch (error) {
        this.#session.outgoing.fail(call, error);
      }
    });
    if (outcome.kind === "response") return;
    if (call.problem !== undefined) throw asMxpError(call.problem);
    throw this.#failure(outcome, undefined, timeoutMs, signal, "event");
  }

  /**
   * Registers an agent at the node, and keeps it registered: with heartbeats, and by registering anew, over a connection of
   * its own, after the node was started anew or the connection was lost.
   *
   * @throws {MxpError} `usage`, `refused` (the id belongs to another key), `agent_error` (there is no registry),
   * `overloaded`, `closed` (retryable: it could not be stored), `deadline`, `connection_lost`.
   */
  register(card: AgentCard, options: RegistrationOptions = {}): Promise<Registration> {
    const sha256 = (bytes: Uint8Array): Uint8Array => this.#platform.crypto.sha256.hash(bytes);
    const link = (client: Client): RegistrationLink => ({
      client,
      lifecycle: client.#lifecycle,
      serve: (id, handlers) => {
        client.#host ??= new AgentHost(client.#session, sha256);
        client.#host.set(id, card.name, handlers, options.onHandlerError);
      },
    });
    try {
      return Registration.start({
        register: toRegister(card, () => defaultAgentId(sha256, this.#identity.publicKey, card.name)),
        link: link(this),
        reconnect: async (signal) => link(await this.#reconnect(signal)),
        random: this.#platform.random,
        options,
      });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The agents that the node knows and that are asked for, in the order of their ids. */
  discover(query: AgentQuery = {}, options: DiscoverOptions = {}): Promise<Agent[]> {
    return this.#lifecycle.discover(query, options);
  }

  /**
   * Follows the agents that are asked for: first those that are there, then what changes. Ends when the consumer stops; an
   * aborted signal and the end of the connection throw.
   *
   * @example
   * ```ts
   * import { connect, serve } from "../../mod.ts";
   * await using server = await serve({ listen: "127.0.0.1:0", registry: true }, () => "");
   * await using client = await connect(server.url);
   * for await (const change of client.watch({ capability: "text.*" })) {
   *   if (change.type === "listed") break;
   *   console.log(change.type, change.agent.name);
   * }
   * ```
   */
  watch(
    query: AgentQuery = {},
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<AgentChange, void, void> {
    return this.#lifecycle.watch(query, options);
  }

  /**
   * Goes on over another UDP socket, as after a change of network: the connection, its calls and its streams survive. Settles when the node has answered
   * there. A client that only has its port changed by a translator on the way needs no help.
   *
   * @throws {MxpError} `connect_failed` (retryable) if the node does not answer there, which takes some seconds, and the client has gone back; `overloaded`
   * (retryable) right after another move; `connection_lost`, `closed`.
   */
  async migrate(): Promise<void> {
    this.#checkOpen();
    const outcome = await migrate(this.#session).catch((cause) => {
      throw new MxpError("connect_failed", `cannot open a socket: ${cause.message}`, { cause });
    });
    if (outcome === "ended") throw connectionEnded(this.#session.closeReason, "the move");
    if (outcome === "impossible") {
      throw new MxpError("overloaded", "the connection cannot move so soon", { retryable: true });
    }
    if (outcome === "unanswered") {
      throw new MxpError("connect_failed", "the node does not answer on the new path", { retryable: true });
    }
  }

  /** Measures one round trip. @throws {MxpError} `deadline`, `cancelled`, `connection_lost`, `closed`. */
  async ping(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<{ rttMs: number }> {
    const { timeoutMs = 5_000, signal } = options;
    checkTimeout(timeoutMs);
    this.#checkOpen();
    this.#session.begin();
    const rtt = await roundTrip(this.#session, timeoutMs, signal);
    if (typeof rtt === "number") return { rttMs: rtt / 1000 };
    if (rtt === undefined) throw connectionEnded(this.#session.closeReason, "the connection");
    throw this.#failure({ kind: rtt }, undefined, timeoutMs, signal, "ping");
  }

  /** A snapshot. */
  stats(): ClientStats {
    const { started, ok, failed, pending, queued } = this.#session.outgoing;
    const { streams, events } = this.#session;
    return {
      handshake: this.handshake,
      calls: { started, ok, failed, pending, queued },
      streams: {
        opened: streams.opened,
        ok: streams.ok,
        failed: streams.failed,
        open: streams.outgoing,
        queued: streams.queued,
      },
      events: events.stats(),
      transport: transportStats(this.#session.link.connection),
      socket: socketStats(this.#session.driver),
    };
  }

  /**
   * Takes no new calls and streams, waits for the ones under way and for those that agents here still answer (at most
   * `timeoutMs`, default 10 000), then closes.
   *
   * @throws {MxpError} once it is closed, if the connection has ended by itself with events on their way, which nobody else
   * is told of: `refused` (the node does not allow our key), `connection_lost`, `connect_failed`, `key_mismatch`.
   */
  async drain(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    const late = timeLimit(options.timeoutMs ?? 10_000);
    this.#draining = true;
    const { outgoing, streams, events } = this.#session;
    this.#askForAcknowledgement();
    const all = [outgoing.drained(), streams.drained(), events.drained(), this.#host?.drained()];
    await Promise.race([Promise.all(all), late.over]);
    late.cancel();
    await this.close();
    if (events.failure !== undefined) throw events.failure;
  }

  /**
   * Ends the connection. What is pending fails with `closed`, but for events that are on their way: they have two seconds to
   * arrive. Idempotent.
   */
  async close(): Promise<void> {
    this.#draining = true;
    await this.#letEventsArrive();
    this.#session.close(TransportError.NO_ERROR, "");
    await this.#session.driver.flush();
    this.#session.driver.close();
    await this.#resumption.settled();
  }

  /**
   * Waits until the tickets that the node was asked for are in the store, which takes about one round trip after the connection was made; at most
   * `timeoutMs` (default 1 000). Does nothing without a store. Call it before {@link close} where nothing else takes that long.
   */
  async awaitTickets(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    if (this.#session.link.connection.isHeld) return;
    const late = timeLimit(options.timeoutMs ?? 1_000);
    await this.#resumption.complete(Promise.race([late.over, this.closed]));
    late.cancel();
  }

  /** The same as {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #letEventsArrive(): Promise<void> {
    const { driver, events, closeReason, link } = this.#session;
    if (closeReason === undefined && link.connection.datagrams.queued > 0) await driver.flush();
    if (events.pending === 0 || closeReason !== undefined) return;
    const late = timeLimit(EVENT_LINGER_MS);
    this.#askForAcknowledgement();
    await Promise.race([events.drained(), late.over]);
    late.cancel();
  }

  /** A PING is acknowledged at once, and with it the events that were sent before. */
  #askForAcknowledgement(): void {
    const { events, closeReason } = this.#session;
    if (events.pending > 0 && closeReason === undefined) this.#session.ping(() => {});
  }

  /** An encoded Event. @throws {MxpError} `too_large`, `usage`. */
  #event(
    ids: MessageIds,
    metadata: Metadata | undefined,
    topic: string,
    data: Uint8Array,
    requiresAck: boolean,
  ): Uint8Array {
    const size = sizeOfEvent({ topic, data });
    if (size > MAX_PAYLOAD_BYTES) throw eventTooLarge(size - data.length);
    try {
      return this.#events.event(ids, metadata, { topic, data }, requiresAck);
    } catch (error) {
      throw asMxpError(error);
    }
  }

  #checkOpen(): void {
    if (this.#session.closeReason !== undefined) throw connectionEnded(this.#session.closeReason, "the connection");
    if (this.#draining) throw new MxpError("closed", "the client is being closed and takes no new calls");
  }

  #newCall(timeoutMs: number, resolve: (outcome: CallOutcome) => void): OutgoingCall {
    const { outgoing, driver } = this.#session;
    const now = driver.clock.now();
    const deadline = timeoutMs === 0 || timeoutMs === Infinity ? NEVER : (now + timeoutMs * 1000) as Micros;
    const call = new OutgoingCall(outgoing, now, deadline, resolve);
    this.#ids.next();
    call.idHigh = this.#ids.high;
    call.idLow = this.#ids.low;
    return call;
  }

  /** Gets a call's body and sends it. Throws what goes wrong at once; what goes wrong later ends the call. */
  #launch(
    call: OutgoingCall,
    body: CallBody | undefined,
    method: string | undefined,
    target: Uint8Array,
    timeoutMs: number,
    options: CallOptions,
  ): void {
    const metadata = options === NO_OPTIONS && method === undefined && timeoutMs % 1000 === 0
      ? undefined
      : metadataOf(options, method, timeoutMs);
    if (metadata?.traceparent !== undefined) {
      const { traceHigh, traceLow } = headerTraceId(metadata.traceparent);
      call.traceHigh = traceHigh;
      call.traceLow = traceLow;
    } else {
      this.#traces.next();
      call.traceHigh = this.#traces.high;
      call.traceLow = this.#traces.low;
    }
    call.onProgress = options.onProgress;
    if (options.signal !== undefined) this.#follow(options.signal, call);
    const seconds = timeoutMs === Infinity ? 0 : Math.min(Math.ceil(timeoutMs / 1000), MAX_CALL_TIMEOUT_SECONDS);
    if (body instanceof Uint8Array || typeof body === "string" || body === undefined) {
      const data = bodyBytes(body, MAX_CALL_DATA_BYTES, "the body") as Uint8Array;
      this.#send(call, this.#messages.call(call, metadata, target, seconds, data), options.idempotent);
      return;
    }
    this.#session.outgoing.file(call);
    const collecting = new Collecting();
    call.onEnd = () => collecting.stop();
    const collected = bodyBytes(body, MAX_CALL_DATA_BYTES, "the body", collecting);
    Promise.resolve(collected).then((data) => {
      if (call.pendingKey === -1) return;
      this.#send(call, this.#messages.call(call, metadata, target, seconds, data), options.idempotent);
    }).catch((error) => this.#session.outgoing.fail(call, error));
  }

  /** The trace id for a stream or event: the one that its traceparent names, else a new one. */
  #trace(metadata: Metadata | undefined): { readonly traceHigh: number; readonly traceLow: number } {
    if (metadata?.traceparent !== undefined) return headerTraceId(metadata.traceparent);
    this.#traces.next();
    return { traceHigh: this.#traces.high, traceLow: this.#traces.low };
  }

  #send(call: OutgoingCall, message: Uint8Array, mayBeEarly = false): void {
    if (mayBeEarly && this.#session.outgoing.sendEarly(call, message)) return;
    this.#session.begin();
    if (this.#session.outgoing.send(call, message)) return;
    throw new MxpError("overloaded", "too many calls are waiting for the node already", { retryable: true });
  }

  /** Ends a call when a signal says so; stops listening when the call ends. */
  #follow(signal: AbortSignal, call: OutgoingCall): void {
    const onAbort = (): void => this.#session.outgoing.giveUp(call, { kind: "aborted" }, StreamError.CANCELLED);
    signal.addEventListener("abort", onAbort, { once: true });
    call.stopListening = () => signal.removeEventListener("abort", onAbort);
  }

  #targetOf(agent: string | undefined): Uint8Array {
    if (agent === undefined) return new Uint8Array(16);
    const target = agentTarget((bytes) => this.#platform.crypto.sha256.hash(bytes), agent);
    this.#lastAgent = agent;
    this.#lastTarget = target;
    return target;
  }

  #failure(
    outcome: Exclude<CallOutcome, { kind: "response" }>,
    agent: string | undefined,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    what?: Errand,
  ): MxpError {
    const { closeReason, established } = this.#session;
    if (outcome.kind === "deadline" && !established && closeReason === undefined) {
      // The node has not been heard of yet: it is not the agent that takes too long.
      return noAnswer(this.#targetText(undefined), timeoutMs, this.#session.driver.sendErrors);
    }
    return callFailure(outcome, this.#targetText(agent), timeoutMs, signal?.reason, closeReason, what);
  }

  /** Names whom a request is for, in errors. */
  #targetText(agent: string | undefined): string {
    const { host, port } = this.#url;
    const node = formatMxpUrl({ host, port }).slice("mxp://".length);
    return agent === undefined ? node : `${isUuid(agent) ? agent : quote(agent)} at ${node}`;
  }
}

const NO_OPTIONS: CallOptions = {};

function asMxpError(problem: unknown): MxpError {
  if (problem instanceof MxpError) return problem;
  const text = problem instanceof Error ? problem.message : String(problem);
  const code = problem instanceof RangeError || problem instanceof TypeError ? "usage" : "cancelled";
  return new MxpError(code, code === "usage" ? text : text, { cause: problem });
}
