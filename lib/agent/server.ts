/**
 * The answering side: a node that listens, and hands calls to functions.
 *
 * @module
 */

import { formatHostPort } from "../base/address.ts";
import { bytesEqual } from "../base/bytes.ts";
import { millis } from "../base/time.ts";
import { MxpError } from "../base/errors.ts";
import { MAX_PAYLOAD_BYTES } from "../codec/message_header.ts";
import { CALL_PREFIX_BYTES } from "../codec/payloads/call.ts";
import { CallMessages } from "../mesh/call_messages.ts";
import { MemoryBudget } from "../mesh/memory_budget.ts";
import type { ConnectionTotals } from "../transport/connection_totals.ts";
import { Endpoint, type EndpointCounters } from "../transport/endpoint.ts";
import { largestDatagram } from "../transport/mtu_discovery.ts";
import type { TransportSettings } from "../transport/settings.ts";
import { TransportError, type TransportErrorCode } from "../wire/error_codes.ts";
import { AccessList } from "./policy/access_list.ts";
import type { CallContext } from "./call_context.ts";
import type { ConnectionEnd } from "./calls/call_failure.ts";
import { connect, type ConnectOptions } from "./connect.ts";
import { ConnectionPool, type DialStats } from "./onward/connection_pool.ts";
import {
  type ConnectionInfo,
  handshakeInfo,
  type SocketStats,
  socketStats,
  transportStats,
} from "./connection_info.ts";
import { defaultPlatform } from "./default_platform.ts";
import { deferred } from "./deferred.ts";
import { Dispatcher } from "./dispatcher.ts";
import { type EventCounters, newSeenEvents } from "./events/event_dispatcher.ts";
import { type Driver, type Link, startDriver } from "./driver.ts";
import { type CallHandler, type Handlers, HandlerTable } from "./handlers.ts";
import { type Identity, keyPairOf, newIdentity } from "./identity.ts";
import { addressOf, bindProblem } from "./listening.ts";
import { Loopback } from "./onward/loopback.ts";
import { DEFAULT_PORT, formatMxpUrl, parseHostPort, parsePublicKey } from "./mxp_url.ts";
import { OnceCalls, type OnceStats } from "./calls/once_calls.ts";
import { Onward } from "./onward/onward.ts";
import type { PeerInfo } from "./peer_info.ts";
import type { Platform } from "./platform.ts";
import { type PlainCarrier, startPlain } from "./plain/plain_carrier.ts";
import { type PlainOptions, type PlainSettings, plainSettings, type PlainStats } from "./plain/plain_options.ts";
import { type AccessDecision, type AccessStats, type Authorize, Policy } from "./policy/policy.ts";
import { PubSub, type PubSubOptions, type PubSubStats } from "./events/pubsub.ts";
import { type RegistryOptions, RegistryService, type RegistryStats } from "./registry/registry_service.ts";
import { type ResumableStats, ResumableStreams, type ResumeLimits } from "./streams/resumable_streams.ts";
import { newSession, peerOf } from "./server_session.ts";
import type { Session } from "./session.ts";
import { type PackingStats, Unpacker } from "./packing/unpacking.ts";
import { timeLimit } from "./time_limit.ts";

/** What `serve` may be told. */
export interface ServeOptions {
  /** Where to listen: `HOST:PORT`, or its parts. Port 0 takes any free one. Default `127.0.0.1:9000`. */
  readonly listen?: string | { readonly host: string; readonly port: number };
  /** Who the node is; default: a fresh identity. */
  readonly identity?: Identity;
  /** The node's name, for people; without a registry, it also answers itself for the agent that is registered elsewhere with its key and this name. */
  readonly name?: string;
  /**
   * Who may connect: public keys as text or bytes, or a function that decides; or an {@link AccessList}, which also says
   * what each key may do. Default: everybody, and whoever may connect may do everything but administrate.
   */
  readonly allow?: readonly (string | Uint8Array)[] | ((publicKey: Uint8Array) => boolean) | AccessList;
  /** Decides about each thing that a peer wants to do; where there is an {@link AccessList}, both have to agree. */
  readonly authorize?: Authorize;
  /** Told of what was decided about peers, for the log: who connected, what was denied, what administrators did. */
  readonly onDecision?: (decision: AccessDecision) => void;
  /** Tunes the transport. */
  readonly settings?: Partial<TransportSettings>;
  /** Handlers that may run at once; further calls are answered with `overloaded`. Default 1024. */
  readonly maxConcurrentCalls?: number;
  /** Agent streams that may be open at once; further ones are answered with `overloaded`. Default 10 240. */
  readonly maxConcurrentStreams?: number;
  /** How much is kept of streams whose openers have lost their connection, and want to go on. */
  readonly resume?: ResumeLimits;
  /** Largest body of a call. Default 16 MiB, the protocol's own limit. */
  readonly maxMessageBytes?: number;
  /** Bytes that large requests and answers may take in memory together. Default 256 MiB. */
  readonly memoryBudget?: number;
  /**
   * Whether agents can register at this node and be found, and how. Default: not; what they send is answered with an error.
   * A store is the server's from then on, and is closed with it.
   */
  readonly registry?: boolean | RegistryOptions;
  /**
   * How handlers connect to other nodes for `context.client(url)`, as who the node is. Without `knownPeers` or `trust`, a
   * URL needs the other node's key: nobody is trusted because they answer first.
   */
  readonly dial?: Pick<ConnectOptions, "knownPeers" | "trust" | "tickets" | "settings" | "timeoutMs">;
  /**
   * Serves programs of the published Rust runtime in clear, on a port of its own. Default: not. Read what {@link PlainOptions}
   * says about it.
   */
  readonly plain?: PlainOptions;
  /** Whether clients can subscribe to events that come to this node, and how many. Default: they cannot. */
  readonly pubsub?: boolean | PubSubOptions;
  /** Told what handlers throw, for the log. `MxpError`s are answers and are not reported. */
  readonly onHandlerError?: (error: unknown, context: CallContext) => void;
  /** Told of faults of this library: each has ended one connection. */
  readonly onInternalError?: (error: unknown) => void;
  /** Told of every peer that connects. */
  readonly onConnection?: (peer: PeerInfo) => void;
  /** Replaces sockets, time, randomness and cryptography; for tests. */
  readonly platform?: Platform;
}

/** Numbers about a server: a plain object that survives JSON. */
export interface ServerStats {
  /** Connections that are open. */
  readonly connections: number;
  /** Handshakes whose other side has proven nothing so far. */
  readonly halfOpen: number;
  /** Calls since the server was started. */
  readonly calls: {
    /** Handlers that have not come back. */
    readonly running: number;
    /** Requests that arrived, or were turned away. */
    readonly total: number;
    readonly ok: number;
    /** Answered with an Error; the refused ones are among them. */
    readonly failed: number;
    readonly refused: number;
    /** Given up by the caller or cut off. */
    readonly cancelled: number;
  };
  /** Calls with idempotency keys: what is remembered, and what was answered from memory. */
  readonly once: OnceStats;
  /** Agent streams that peers opened since the server was started. */
  readonly streams: {
    /** Handlers that have not come back. */
    readonly running: number;
    readonly total: number;
    /** Ended well by their handlers. */
    readonly ok: number;
    /** Ended by a failure of the handler, by a peer that broke the rules, or at the deadline. */
    readonly failed: number;
    /** Turned away without asking a handler. */
    readonly refused: number;
    /** Given up by who opened them, or cut off. */
    readonly cancelled: number;
  };
  /** Those of the agent streams that go on after their connection was lost. */
  readonly resumable: ResumableStats;
  /** Events since the server was started; `running` are handlers that have not come back. */
  readonly events: { readonly running: number } & Readonly<EventCounters>;
  /** What was decided about peers. */
  readonly access: AccessStats;
  /** Compressed and sealed calls and events to this node itself; those to agents behind it are theirs to count. */
  readonly packing: PackingStats;
  /** Publish and subscribe, if there is that. */
  readonly pubsub?: PubSubStats;
  /** The registry, if there is one. */
  readonly registry?: RegistryStats;
  /** Connections that handlers have made to other nodes. */
  readonly dialled: DialStats;
  /** The plain carrier, if there is one. */
  readonly plain?: PlainStats;
  /** The socket of all connections. */
  readonly socket: SocketStats;
  /** Bytes that large messages take now, may take, and took at most. */
  readonly memory: { readonly used: number; readonly limit: number; readonly peak: number };
  /** What all connections have counted together, those that are over included. */
  readonly transport: Readonly<ConnectionTotals>;
  /** Connections that were closed because the peer broke a rule of the transport, by the name of the code. */
  readonly violations: Readonly<Record<string, number>>;
  /** UDP datagrams and connections, with what was dropped, by reason. */
  readonly endpoint: Readonly<EndpointCounters>;
}

/**
 * Starts a node.
 *
 * @param handlers one function for every call, or functions by method and agent.
 * @throws {MxpError} `usage` for options that make no sense, `config` if the address cannot be listened on.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../mod.ts";
 * await using server = await serve({ listen: "127.0.0.1:0" }, {
 *   methods: { echo: (payload) => payload },
 *   agents: { clock: () => new Date().toISOString() },
 * });
 * console.log("listening", server.url);
 * await using client = await connect(server.url + "/clock");
 * console.log((await client.call()).text());
 * ```
 */
export function serve(options: ServeOptions, handler: CallHandler): Promise<Server>;
/** Starts a node, with functions by method and agent. */
export function serve(options: ServeOptions, handlers: Handlers): Promise<Server>;
// Two signatures, because a function has a member `call` of its own, which would keep a Handlers literal from being typed.
export async function serve(options: ServeOptions, handlers: CallHandler | Handlers): Promise<Server> {
  const platform = options.platform ?? defaultPlatform();
  const messages = new CallMessages(platform.codec);
  const { clock, random } = platform;
  const { allow, authorize, onDecision } = options;
  const policy = new Policy({ list: allow instanceof AccessList ? allow : undefined, authorize, onDecision });
  const sha256 = (bytes: Uint8Array): Uint8Array => platform.crypto.sha256.hash(bytes);
  const registry = options.registry === undefined || options.registry === false
    ? undefined
    : await RegistryService.open(options.registry === true ? {} : options.registry, {
      clock,
      random,
      messages,
      sha256,
      policy,
    });
  try {
    return await start(options, handlers, { platform, messages, registry, policy });
  } catch (error) {
    await registry?.close();
    throw error;
  }
}

/** The rest of {@link serve}. */
async function start(
  options: ServeOptions,
  handlers: CallHandler | Handlers,
  { platform, messages, registry, policy }: Pick<ServerParts, "platform" | "messages" | "registry" | "policy">,
): Promise<Server> {
  const listen = parseListen(options.listen);
  const identity = options.identity ?? newIdentity(platform.crypto, platform.random);
  const loopback = new Loopback({
    platform,
    identity,
    settings: options.settings,
    accept: (link, driver) => {
      const session = newSession(parts, link, driver, undefined, { onEstablished: () => {}, onClosed: () => {} });
      dispatcher.exempt(session);
      return session;
    },
  });
  const pool = new ConnectionPool({
    clock: platform.clock,
    connect: (url, signal) => connect(url, { ...options.dial, platform, identity, signal }),
  });
  const unpacker = new Unpacker(platform, identity);
  const onward = new Onward({ platform, identity, messages, pool, node: () => loopback.client() });
  const resumable = new ResumableStreams(platform.clock, platform.random, options.resume);
  const budget = new MemoryBudget(atLeastOne("memoryBudget", options.memoryBudget ?? 256 << 20));
  const pubsub = PubSub.of(options.pubsub, { messages, random: platform.random, budget });
  const dispatcher = new Dispatcher({
    onward,
    once: new OnceCalls({
      clock: platform.clock,
      random: platform.random,
      sha256: (bytes) => platform.crypto.sha256.hash(bytes),
    }),
    handlers: new HandlerTable(
      handlers,
      (bytes) => platform.crypto.sha256.hash(bytes),
      identity.publicKey,
      // Where there are agents to be known, one of that name may be among them.
      registry === undefined ? options.name : undefined,
    ),
    maxConcurrentCalls: atLeastOne("maxConcurrentCalls", options.maxConcurrentCalls ?? 1024),
    maxConcurrentStreams: atLeastOne("maxConcurrentStreams", options.maxConcurrentStreams ?? 10_240),
    resumable: () => resumable,
    maxRequestBytes: Math.min(
      atLeastOne("maxMessageBytes", options.maxMessageBytes ?? MAX_PAYLOAD_BYTES) + CALL_PREFIX_BYTES,
      MAX_PAYLOAD_BYTES,
    ),
    onHandlerError: options.onHandlerError,
    unpacker,
    seenEvents: newSeenEvents(platform.random, platform.clock),
    believesPublisher: false,
    ...(registry && { registry }),
    ...(pubsub && { pubsub }),
  });
  const endpoint = makeEndpoint(platform, identity, options);
  const plain = options.plain && plainSettings(options.plain);
  const own = { plain, identity, endpoint, dispatcher, resumable, budget, options, onward, loopback, policy };
  const parts: ServerParts = { platform, messages, registry, pubsub, ...own };
  const server = new Server(parts);
  await server.start(listen, await addressOf(platform, listen.host));
  return server;
}

/** What a server is made from. */
interface ServerParts {
  readonly platform: Platform;
  readonly messages: CallMessages;
  readonly registry: RegistryService | undefined;
  readonly policy: Policy;
  readonly pubsub: PubSub | undefined;
  readonly identity: Identity;
  readonly endpoint: Endpoint;
  readonly dispatcher: Dispatcher;
  readonly resumable: ResumableStreams;
  readonly budget: MemoryBudget;
  readonly options: ServeOptions;
  readonly plain: PlainSettings | undefined;
  /** The ways that handlers have to others. */
  readonly onward: Onward;
  readonly loopback: Loopback;
}

/** A running node. Made by {@link serve}. */
export class Server implements AsyncDisposable {
  readonly #parts: ServerParts;
  readonly #sessions = new Set<Session>();
  readonly #closed = deferred<void>();
  /** Who the node is. */
  readonly identity: Identity;
  /** Settles when the server has closed, or its socket has failed. */
  readonly closed: Promise<void> = this.#closed.promise;
  #driver!: Driver;
  #plain: PlainCarrier | undefined;
  #host = "";
  #closing: Promise<void> | undefined;

  /** Use {@link serve}. */
  constructor(parts: ServerParts) {
    this.#parts = parts;
    this.identity = parts.identity;
  }

  /** Binds the sockets; `serve` does it. */
  async start(listen: { host: string; port: number }, host: string): Promise<void> {
    const { endpoint, platform, options } = this.#parts;
    const where = formatHostPort(listen.host, listen.port);
    try {
      this.#driver = await startDriver({
        endpoint,
        clock: platform.clock,
        bindUdp: platform.bindUdp,
        local: { host, port: listen.port },
        udpPayload: largestDatagram(endpoint.settings),
        onConnection: (link) => this.#onConnection(link),
        onRefusal: (link, { by, code }) => {
          const isOurs = by === "local" && code === TransportError.NOT_ALLOWED;
          if (isOurs) this.#parts.policy.onRefused(peerOf(this.#parts.platform, link));
        },
        onSocketError: (error) => this.#onSocketError(error),
        ...(options.onInternalError && { onFault: options.onInternalError }),
      });
    } catch (cause) {
      throw new MxpError("config", `cannot listen on ${where}: ${bindProblem(cause)}`, { cause });
    }
    this.#host = listen.host;
    const { plain } = this.#parts;
    if (plain === undefined) return;
    try {
      this.#plain = await startPlain(plain, this.#parts, () => void this.close());
    } catch (error) {
      await this.#closeSockets();
      throw error;
    }
  }

  /** Where the node can be reached, its public key included. A wildcard address is written as loopback. */
  get url(): string {
    const host = WILDCARDS[this.#host] ?? this.#host;
    return formatMxpUrl({ host, port: this.address.port, publicKey: this.identity.publicKey });
  }

  /** Where the socket is bound. */
  get address(): { readonly host: string; readonly port: number } {
    const { host, port } = this.#driver.local;
    return { host, port };
  }

  /** Where the plain carrier's socket is bound, `IP:PORT`, if there is one. */
  get plainAddress(): string | undefined {
    return this.#plain?.address;
  }

  /** The name that it was given. */
  get name(): string | undefined {
    return this.#parts.options.name;
  }

  /** A snapshot. */
  stats(): ServerStats {
    const { dispatcher, resumable, budget, endpoint, registry, pubsub, policy } = this.#parts;
    return {
      connections: this.#sessions.size,
      halfOpen: endpoint.halfOpenCount,
      calls: { running: dispatcher.running, ...dispatcher.counters },
      once: dispatcher.once.stats(),
      streams: { running: dispatcher.streams.running, ...dispatcher.streams.counters },
      resumable: resumable.stats(),
      events: { running: dispatcher.events.running, ...dispatcher.events.counters },
      access: policy.stats(),
      packing: { ...dispatcher.packing },
      ...(pubsub && { pubsub: pubsub.stats() }),
      ...(registry && { registry: registry.stats() }),
      dialled: this.#parts.onward.pool.stats(),
      ...(this.#plain && { plain: this.#plain.stats() }),
      socket: socketStats(this.#driver),
      memory: { used: budget.used, limit: budget.limit, peak: budget.peak },
      violations: { ...endpoint.violations },
      transport: endpoint.totals(),
      endpoint: { ...endpoint.counters },
    };
  }

  /** A snapshot of each connection: as many objects, so not for every second of a busy node. */
  connections(): ConnectionInfo[] {
    return [...this.#sessions].map((session) => {
      const { connection } = session.link;
      return {
        peer: session.incoming!.peer.publicKeyText,
        address: connection.remote.key,
        handshake: handshakeInfo(connection),
        calls: session.incoming!.size,
        streams: session.streams.size,
        transport: transportStats(connection),
      };
    });
  }

  /**
   * Turns new calls away (`closed`, retryable), lets the running ones finish and their answers arrive, for at most
   * `timeoutMs` (default 10 000), then closes.
   */
  async drain(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    const { dispatcher, registry, pubsub, platform: { clock } } = this.#parts;
    const late = timeLimit(options.timeoutMs ?? 10_000);
    dispatcher.closing ??= "the node is shutting down";
    registry?.endWatches(dispatcher.closing);
    this.#parts.resumable.drain();
    pubsub?.close(dispatcher.closing);
    // The clock on the wall may be set while we wait.
    const deadline = clock.now() + millis(options.timeoutMs ?? 10_000);
    await Promise.race([dispatcher.idle(), late.over, this.closed]);
    late.cancel();
    // An answer that is on its way has an open stream until it is acknowledged.
    while (clock.now() < deadline && this.#closing === undefined && this.#hasOpenStreams()) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const isDrained = dispatcher.isIdle && !this.#hasOpenStreams();
    await (this.#closing ??= this.#close(isDrained ? TransportError.DRAINED : TransportError.SHUTDOWN));
  }

  /** Stops at once: handlers are aborted, callers fail with `connection_lost` (retryable). Idempotent. */
  close(): Promise<void> {
    return this.#closing ??= this.#close(TransportError.SHUTDOWN);
  }

  /** The same as {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(code: TransportErrorCode): Promise<void> {
    this.#parts.dispatcher.closing ??= "the node is shutting down";
    for (const session of [...this.#sessions]) session.close(code, "the node is shutting down");
    this.#parts.dispatcher.once.close();
    await this.#plain?.close();
    this.#parts.resumable.drain();
    await this.#driver.flush();
    await this.#closeSockets();
    await this.#parts.registry?.close();
    this.#closed.resolve();
  }

  async #closeSockets(): Promise<void> {
    this.#driver.close();
    await this.#closeOnward();
  }

  async #closeOnward(): Promise<void> {
    await this.#parts.onward.pool.close();
    await this.#parts.loopback.close();
  }

  #hasOpenStreams(): boolean {
    for (const session of this.#sessions) if (session.link.connection.stats().openStreams > 0) return true;
    return false;
  }

  #onConnection(link: Link): Session {
    const { dispatcher, options, policy } = this.#parts;
    return newSession(this.#parts, link, this.#driver, policy, {
      onEstablished: (session) => {
        this.#sessions.add(session);
        if (dispatcher.closing !== undefined) {
          // What came along with the hello may run already.
          const code = session.incoming!.size === 0 ? TransportError.DRAINED : TransportError.SHUTDOWN;
          session.close(code, dispatcher.closing);
        } else {
          policy.onConnected(session.incoming!.peer);
          if (options.onConnection !== undefined) this.#announce(session, options.onConnection);
        }
      },
      onClosed: (session: Session, _reason: ConnectionEnd) => {
        this.#sessions.delete(session);
      },
    });
  }

  #announce(session: Session, onConnection: (peer: PeerInfo) => void): void {
    try {
      onConnection(session.incoming!.peer);
    } catch {
      // A listener that fails must not take the server with it.
    }
  }

  #onSocketError(error: Error): void {
    this.#closing ??= Promise.resolve();
    for (const session of [...this.#sessions]) session.abandon(error.message);
    this.#parts.dispatcher.once.close();
    void this.#closeOnward();
    // Nobody waits for this who could be told that a store cannot be closed.
    this.#parts.registry?.close().catch((failure) => this.#parts.options.onInternalError?.(failure));
    this.#closed.resolve();
  }
}

const WILDCARDS: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

function parseListen(listen: ServeOptions["listen"]): { host: string; port: number } {
  if (listen === undefined) return { host: "127.0.0.1", port: DEFAULT_PORT };
  return parseHostPort(typeof listen === "string" ? listen : formatHostPort(listen.host, listen.port));
}

function makeEndpoint(platform: Platform, identity: Identity, options: ServeOptions): Endpoint {
  const { crypto, random } = platform;
  const { settings = {}, allow } = options;
  try {
    return new Endpoint({
      crypto,
      random,
      settings,
      identity: keyPairOf(identity),
      accept: true,
      ...(allow !== undefined && { authorize: admission(allow) }),
    });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new MxpError("usage", `settings: ${cause.message}`, { cause });
  }
}

/** Who may connect. */
function admission(allow: NonNullable<ServeOptions["allow"]>): (publicKey: Uint8Array) => boolean {
  if (allow instanceof AccessList) return (publicKey) => allow.admits(publicKey);
  return typeof allow === "function" ? guard(allow) : allowList(allow);
}

/** A decision that fails is a refusal. */
function guard(allow: (publicKey: Uint8Array) => boolean): (publicKey: Uint8Array) => boolean {
  return (publicKey) => {
    try {
      return allow(publicKey.slice()) === true;
    } catch {
      return false;
    }
  };
}

function allowList(keys: readonly (string | Uint8Array)[]): (publicKey: Uint8Array) => boolean {
  const allowed = keys.map((key) =>
    typeof key === "string" ? parsePublicKey(key, "a public key in allow") : key.slice()
  );
  for (const key of allowed) {
    if (key.length !== 32) throw new MxpError("usage", `a public key in allow has ${key.length} bytes; expected 32`);
  }
  return (publicKey) => allowed.some((key) => bytesEqual(key, publicKey));
}

function atLeastOne(name: string, value: number): number {
  if (value >= 1) return value;
  throw new MxpError("usage", `${name} must be at least 1, got ${value}`);
}
