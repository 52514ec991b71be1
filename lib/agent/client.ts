/**
 * The calling side: one connection to a node, and the calls on it.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import type { CallMessages } from "../mesh/call_messages.ts";
import { TransportError } from "../wire/error_codes.ts";
import { type Agent, type AgentCard, type AgentQuery, defaultAgentId, toRegister } from "./registry/agent_card.ts";
import { AgentHost, type HostOptions } from "./agent_host.ts";
import { callArguments, type CallBody } from "./call_body.ts";
import { type ConnectionEnd, connectionEnded, describeClose } from "./calls/call_failure.ts";
import { Caller, NO_OPTIONS } from "./calls/caller.ts";
import { ClientCore } from "./client_core.ts";
import type { CallOptions, ClientStats, CloseInfo, EventOptions, StreamOptions } from "./client_types.ts";
import { ConnectionPool, type PoolParts } from "./onward/connection_pool.ts";
import { type DialOptions, type DialTarget, DirectDialler } from "./onward/direct_dialler.ts";
import { type HandshakeInfo, handshakeInfo, socketStats, transportStats } from "./connection_info.ts";
import { Emitter } from "./events/emitter.ts";
import { newSeenEvents, type SeenEvents } from "./events/event_dispatcher.ts";
import type { Identity } from "./identity.ts";
import {
  type AgentChange,
  type DiscoverOptions,
  LifecycleClient,
  type LifecycleOptions,
} from "./registry/lifecycle_client.ts";
import type { MxpStream } from "./streams/mxp_stream.ts";
import { migrate } from "./migration.ts";
import type { PeerInfo } from "./peer_info.ts";
import type { Platform } from "./platform.ts";
import { type WatchLink, type WatchOptions, watchRepeatedly } from "./registry/repeated_watch.ts";
import { Registration, type RegistrationLink, type RegistrationOptions } from "./registry/registration.ts";
import { OnceCalls } from "./calls/once_calls.ts";
import { type Connected, RepeatedCalls } from "./calls/repeated_calls.ts";
import { Reply } from "./calls/reply.ts";
import { emitRepeatedly, type EventSender } from "./events/repeated_event.ts";
import { ResumableStreams } from "./streams/resumable_streams.ts";
import type { Resumption } from "./tickets/resumption.ts";
import { roundTrip } from "./round_trip.ts";
import type { Session } from "./session.ts";
import { openStream } from "./streams/stream_opener.ts";
import { StreamResumer } from "./streams/stream_resumer.ts";
import {
  DatagramSubscribers,
  type SubscribeOptions,
  Subscription,
  type SubscriptionLink,
} from "./events/subscription.ts";
import { checkTimeout, timeLimit } from "./time_limit.ts";
import { formatMxpUrl, type MxpUrl } from "./mxp_url.ts";

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
  /** Makes connections for handlers that call others, with the same key. */
  readonly connect: PoolParts["connect"];
  /** Answers what the node asks of us. */
  readonly hosting: HostOptions;
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
  readonly #core: ClientCore;
  readonly #caller: Caller;
  readonly #repeated: RepeatedCalls;
  readonly #emitter: Emitter;
  readonly #lifecycle: LifecycleClient;
  #datagrams: DatagramSubscribers | undefined;
  readonly #reconnect: (signal: AbortSignal) => Promise<Client>;
  readonly #identity: Identity;
  readonly #pool: ConnectionPool;
  readonly #dialler: DirectDialler;
  readonly #makeHost: () => AgentHost;
  #seenEvents: SeenEvents;
  #host: AgentHost | undefined;
  /** Streams to the agents that are registered here, whatever connection they come over. */
  #resumable: ResumableStreams | undefined;
  /** What agents here have answered, also over connections that were lost: later ones in place of this one share it. */
  #once: OnceCalls | undefined;
  #ownsOnce = true;
  /** Ends what would be tried again. */
  readonly #closing = new AbortController();
  /** Who answers. */
  readonly peer: PeerInfo;
  /** Settles when the connection has ended, for whatever reason. Never rejects. */
  readonly closed: Promise<CloseInfo>;
  readonly #resumption: Resumption;

  /** Connections that have taken the place of this one for somebody. They end with it. */
  readonly #successors = new Set<Client>();
  #isClosed = false;

  /** Use `connect`. */
  constructor(parts: ClientParts) {
    const { platform, session, url, peer } = parts;
    const resumer = new StreamResumer({
      session,
      random: platform.random,
      reconnect: async (signal) => {
        const client = await parts.reconnect(signal);
        return { session: client.#core.session, close: () => client.close() };
      },
    });
    const itsUrl = { ...url, publicKey: peer.publicKey };
    const core = new ClientCore(platform, parts.identity, session, parts.messages, itsUrl, resumer);
    this.#core = core;
    this.#caller = new Caller(core);
    this.#repeated = new RepeatedCalls(this.#connected(), async (signal) => {
      return (await parts.reconnect(signal)).#connected();
    });
    this.#emitter = new Emitter(core);
    this.#lifecycle = new LifecycleClient({
      session,
      writer: parts.messages.writer,
      ids: core.ids,
      traces: core.traces,
      node: core.targetText(undefined),
      begin: () => {
        core.checkOpen();
        session.begin();
      },
    });
    this.#seenEvents = newSeenEvents(platform.random, platform.clock);
    const { connect } = parts;
    const pool = new ConnectionPool({ clock: platform.clock, connect });
    this.#pool = pool;
    this.#dialler = new DirectDialler({ core, lifecycle: this.#lifecycle, connect, pool });
    const sha256 = (bytes: Uint8Array): Uint8Array => platform.crypto.sha256.hash(bytes);
    const onward = { platform, identity: parts.identity, messages: parts.messages, pool };
    this.#makeHost = () => {
      this.#once ??= new OnceCalls({ clock: platform.clock, random: platform.random, sha256 });
      return new AgentHost(session, onward, parts.hosting, this.#once, this.#seenEvents);
    };
    if (parts.hosting.handlers !== undefined) this.#host = this.#makeHost();
    this.#reconnect = (signal) => this.#succeed(parts, signal);
    this.#identity = parts.identity;
    this.peer = peer;
    this.#resumption = parts.resumption;
    this.closed = parts.ended.then((end) => ({ by: end.by, message: describeClose(end) }));
  }

  /** The node's URL with the key that it showed, and the agent. */
  get url(): string {
    return formatMxpUrl(this.#core.url);
  }

  /** Our end, `IP:PORT`. */
  get local(): string {
    return this.#core.session.driver.local.key;
  }

  /** How the connection came about; how it is going to be tried, as long as it is held back for the first call. */
  get handshake(): HandshakeInfo {
    return handshakeInfo(this.#core.session.link.connection);
  }

  /** Calls the agent of the URL. */
  call(body?: CallBody, options?: CallOptions): Promise<Reply>;
  /** Calls one of its methods: `call("upper", "hello")` is `call("hello", { method: "upper" })`. */
  call(method: string, body: CallBody | undefined, options?: CallOptions): Promise<Reply>;
  /**
   * Sends a body and waits for the answer. Two arguments of which the second is an options object are body and options;
   * in every other case of two or three the first is the method.
   *
   * An aborted signal, a passed deadline and a closed client end the call on both sides. With `retry` it is made again where that is safe.
   *
   * @throws {MxpError} `deadline`, `cancelled`, `too_large` (before anything is sent), `no_such_agent`, `agent_error`,
   * `overloaded`, `refused`, `connection_lost`, `closed`, `usage`; `retryable` says whether the same call may succeed
   * later. Its stack leads to the caller.
   */
  call(first?: CallBody, second?: CallBody | CallOptions, third?: CallOptions): Promise<Reply> {
    let given;
    try {
      given = callArguments(first, second, third, arguments.length, NO_OPTIONS);
    } catch (error) {
      return Promise.reject(error);
    }
    const { method, body, options } = given;
    if (options.direct) return this.#dialler.call(body, method, options);
    if (options.retry !== undefined || options.hedge !== undefined) return this.#repeated.call(body, method, options);
    // Not awaited here: each turn that an answer takes to its caller is one more before the next call.
    return this.#caller.call(body, method, options);
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
    return openStream(this.#core, typeof first === "string" ? first : options.method, options);
  }

  /**
   * Publishes something: the node's own handler gets it, and all who have subscribed; with an agent (the URL's, or that of the options) or a
   * capability, that agent alone. Settles when the transport has taken the event, which is at once while the node keeps up; with
   * `ack` when the node or the agent's handler has. An `unreliable` one is sent once, in one packet, and may be lost. Events overtake each other; {@link close} and {@link drain} let them arrive.
   *
   * @throws {MxpError} `too_large`, `usage`, `overloaded`, `connection_lost`, `closed`; with `ack` whatever a call throws.
   */
  emit(topic: string, data?: CallBody, options: EventOptions = NO_OPTIONS): Promise<void> {
    if (options.attempts === undefined) return this.#emitter.emit(topic, data, options);
    const sender = (client: Client): EventSender => ({
      get isOver() {
        return client.#core.session.closeReason !== undefined;
      },
      emit: (topic, data, options) => client.#emitter.emit(topic, data, options),
      close: () => client.close(),
    });
    const { random } = this.#core.platform;
    const reconnect = async (signal: AbortSignal): Promise<EventSender> => sender(await this.#reconnect(signal));
    const closing = this.#closing.signal;
    return emitRepeatedly({ sender: sender(this), reconnect, random, closing }, topic, data, options);
  }

  /**
   * Subscribes to events at the node: to a topic such as `orders.created`, or to all that meet a pattern, in which `*` stands for exactly one
   * token and `>` at the end for one or more. An event that meets several patterns of one subscription comes once. Events of one publisher that were
   * sent one after the other need not come in that order; all subscribers get them in the order in which they have reached the node.
   *
   * @throws {MxpError} `usage`, `closed`, `connection_lost`, `cancelled` (the signal was aborted before).
   */
  subscribe(patterns: string | readonly string[], options: SubscribeOptions = {}): Subscription {
    return new Subscription(this.#subscriptionLink(() => Promise.resolve()), patterns, options);
  }

  /** Another connection to the same node, for what goes on over it until this client is closed. */
  async #succeed({ reconnect }: ClientParts, signal: AbortSignal): Promise<Client> {
    const closed = (): MxpError => new MxpError("closed", "the client was closed here");
    if (this.#isClosed) throw closed();
    const client = await reconnect(signal);
    // It may have been closed just before the connection stood.
    if (this.#isClosed) {
      await client.close();
      throw closed();
    }
    this.#successors.add(client);
    void client.closed.then(() => this.#successors.delete(client));
    client.#share(this.#seenEvents);
    return client;
  }

  /** An event that is repeated because a connection was lost comes over the next one. */
  #share(seenEvents: SeenEvents): void {
    this.#seenEvents = seenEvents;
    if (this.#host !== undefined) this.#host.seenEvents = seenEvents;
  }

  #subscriptionLink(close: () => Promise<void>): SubscriptionLink {
    const core = this.#core;
    if (this.#datagrams === undefined) {
      const datagrams = this.#datagrams = new DatagramSubscribers(core.messages.codec, core.platform.random);
      core.session.onDatagram = (data) => datagrams.take(data);
    }
    return {
      core,
      datagrams: this.#datagrams,
      reconnect: async (signal) => {
        const client = await this.#reconnect(signal);
        return client.#subscriptionLink(() => client.close());
      },
      close,
    };
  }

  /**
   * Registers an agent at the node, and keeps it registered: with heartbeats, and by registering anew, over a connection of
   * its own, after the node was started anew or the connection was lost.
   *
   * @throws {MxpError} `usage`, `refused` (the id belongs to another key), `agent_error` (there is no registry),
   * `overloaded`, `closed` (retryable: it could not be stored), `deadline`, `connection_lost`.
   */
  register(card: AgentCard, options: RegistrationOptions = {}): Promise<Registration> {
    const sha256 = (bytes: Uint8Array): Uint8Array => this.#core.platform.crypto.sha256.hash(bytes);
    const { clock, random } = this.#core.platform;
    const resumable = this.#resumable ??= this.#host?.resumable ?? new ResumableStreams(clock, random);
    const link = (client: Client): RegistrationLink => ({
      client,
      lifecycle: client.#lifecycle,
      serve: (id, handlers) => {
        client.#host ??= client.#makeHost();
        client.#host.resumable = resumable;
        client.#host.set(id, card.name, handlers, card.capabilities ?? [], options.onHandlerError);
      },
    });
    try {
      return Registration.start({
        register: toRegister(card, () => defaultAgentId(sha256, this.#identity.publicKey, card.name)),
        link: link(this),
        reconnect: async (signal) => {
          const client = await this.#reconnect(signal);
          client.#once ??= this.#once;
          client.#ownsOnce = client.#once !== this.#once;
          return link(client);
        },
        random: this.#core.platform.random,
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
   * Connects to an agent itself, at the endpoint that it has registered. The node is asked where that is, and which key the agent has
   * proven to it; only who holds that key is talked to, so an address that an agent has no right to gains nobody anything. Of several, the one with the least to
   * do is taken. The connection is the caller's to close, and its calls and streams go to the agent unless they name another.
   *
   * Loopback and link-local addresses are dialled only if the node itself is at one, or with `allowLocal`: whoever registers an
   * agent must not make others send to what only they can reach. Other private addresses are dialled.
   *
   * @throws {MxpError} `no_such_agent`; `connect_failed` also for an agent without an endpoint, or with one that is not dialled; and what `discover`
   * and `connect` throw.
   *
   * @example
   * ```ts
   * import { connect, generateIdentity, serve } from "../../mod.ts";
   * await using node = await serve({ listen: "127.0.0.1:0", registry: true }, () => "");
   * const identity = generateIdentity();
   * await using server = await serve({ listen: "127.0.0.1:0", identity }, { agents: { echo: (payload) => payload } });
   * await using agent = await connect(node.url, { identity });
   * const endpoint = `127.0.0.1:${server.address.port}`;
   * await using _registration = await agent.register({ name: "echo", endpoint });
   *
   * await using client = await connect(node.url);
   * await using direct = await client.dial("echo");
   * console.log((await direct.call("hello")).text()); // hello
   * ```
   */
  async dial(target: DialTarget, options: DialOptions = {}): Promise<Client> {
    this.#core.checkOpen();
    return await this.#dialler.dial(target, options);
  }

  /**
   * Follows the agents that are asked for: first those that are there, then what changes. Ends when the consumer stops; an
   * aborted signal and the end of the connection throw, the latter unless it is told to `reconnect`.
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
    options: WatchOptions = {},
  ): AsyncGenerator<AgentChange, void, void> {
    const link = (client: Client, close: () => Promise<void>): WatchLink => ({
      lifecycle: client.#lifecycle,
      reconnect: async (signal) => {
        const next = await this.#reconnect(signal);
        return link(next, () => next.close());
      },
      close,
    });
    return watchRepeatedly(link(this, () => Promise.resolve()), query, options, this.#core.platform.random);
  }

  /**
   * Ends the registration of an agent: one of our own key, or any if the node lets our key administrate, which also frees the
   * id. Succeeds where there is none. An owner that is there registers again at its next heartbeat.
   *
   * @param id UUID.
   * @throws {MxpError} `refused` for an agent of another key; as {@link discover}.
   */
  deregister(id: string, options: LifecycleOptions = {}): Promise<void> {
    return this.#lifecycle.deregister(id, options);
  }

  /**
   * Goes on over another UDP socket, as after a change of network: the connection, its calls and its streams survive. Settles when the node has answered
   * there. A client that only has its port changed by a translator on the way needs no help.
   *
   * @throws {MxpError} `connect_failed` (retryable) if the node does not answer there, which takes some seconds, and the client has gone back; `overloaded`
   * (retryable) right after another move; `connection_lost`, `closed`.
   */
  async migrate(): Promise<void> {
    this.#core.checkOpen();
    const outcome = await migrate(this.#core.session).catch((cause) => {
      throw new MxpError("connect_failed", `cannot open a socket: ${cause.message}`, { cause });
    });
    if (outcome === "ended") throw connectionEnded(this.#core.session.closeReason, "the move");
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
    this.#core.checkOpen();
    this.#core.session.begin();
    const rtt = await roundTrip(this.#core.session, timeoutMs, signal);
    if (typeof rtt === "number") return { rttMs: rtt / 1000 };
    if (rtt === undefined) throw connectionEnded(this.#core.session.closeReason, "the connection");
    throw this.#core.failure({ kind: rtt }, undefined, timeoutMs, signal, "ping");
  }

  /** A snapshot. */
  stats(): ClientStats {
    const { started, ok, failed, pending, queued } = this.#core.session.outgoing;
    const { streams, events } = this.#core.session;
    return {
      handshake: this.handshake,
      calls: { started, ok, failed, pending, queued },
      repeated: { ...this.#repeated.counters },
      streams: {
        opened: streams.opened,
        ok: streams.ok,
        failed: streams.failed,
        open: streams.outgoing,
        queued: streams.queued,
      },
      events: events.stats(),
      ...(this.#host && { packing: this.#host.packing }),
      ...(this.#once && { once: this.#once.stats() }),
      dialled: this.#pool.stats(),
      transport: transportStats(this.#core.session.link.connection),
      socket: socketStats(this.#core.session.driver),
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
    this.#core.draining = true;
    const { outgoing, streams, events } = this.#core.session;
    this.#askForAcknowledgement();
    const all = [
      this.#repeated.drained(),
      outgoing.drained(),
      streams.drained(),
      events.drained(),
      this.#host?.drained(),
      this.#dialler.drained(),
    ];
    await Promise.race([Promise.all(all), late.over]);
    late.cancel();
    await this.close();
    if (events.failure !== undefined) throw events.failure;
  }

  /**
   * Ends the connection, and those that have taken its place for registrations, subscriptions and watches. What is pending fails
   * with `closed`, but for events that are on their way: they have two seconds to arrive. Idempotent.
   */
  async close(): Promise<void> {
    this.#core.draining = true;
    this.#isClosed = true;
    const successors = [...this.#successors].map((client) => client.close());
    this.#closing.abort();
    await this.#repeated.close();
    await this.#letEventsArrive();
    await this.#pool.close();
    await this.#core.resumer!.close(new MxpError("closed", "the stream ended: the client was closed here"));
    this.#core.session.close(TransportError.NO_ERROR, "");
    if (this.#ownsOnce) this.#once?.close();
    await this.#core.session.driver.flush();
    this.#core.session.driver.close();
    await Promise.all([...successors, this.#resumption.settled()]);
  }

  /**
   * Waits until the tickets that the node was asked for are in the store, which takes about one round trip after the connection was made; at most
   * `timeoutMs` (default 1 000). Does nothing without a store. Call it before {@link close} where nothing else takes that long.
   */
  async awaitTickets(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    if (this.#core.session.link.connection.isHeld) return;
    const late = timeLimit(options.timeoutMs ?? 1_000);
    await this.#resumption.complete(Promise.race([late.over, this.closed]));
    late.cancel();
  }

  /** The same as {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** For calls that are repeated. */
  #connected(): Connected {
    return { core: this.#core, caller: this.#caller, close: () => this.close() };
  }

  async #letEventsArrive(): Promise<void> {
    const { driver, events, closeReason, link } = this.#core.session;
    if (closeReason === undefined && link.connection.datagrams.queued > 0) await driver.flush();
    if (events.pending === 0 || closeReason !== undefined) return;
    const late = timeLimit(EVENT_LINGER_MS);
    this.#askForAcknowledgement();
    await Promise.race([events.drained(), late.over]);
    late.cancel();
  }

  /** A PING is acknowledged at once, and with it the events that were sent before. */
  #askForAcknowledgement(): void {
    const { events, closeReason } = this.#core.session;
    if (events.pending > 0 && closeReason === undefined) this.#core.session.ping(() => {});
  }
}
