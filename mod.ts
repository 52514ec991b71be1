/**
 * MXP: agents that find, call and stream to each other over encrypted UDP.
 *
 * {@link serve} starts a node, {@link connect} reaches one, {@link Client.call} asks it something. Everything public
 * that fails throws an {@link MxpError}. Importing has no side effects.
 *
 * @example
 * ```ts
 * import { connect, serve } from "./mod.ts";
 *
 * await using server = await serve({ listen: "127.0.0.1:0" }, {
 *   methods: { upper: (payload) => new TextDecoder().decode(payload).toUpperCase() },
 * });
 * await using client = await connect(server.url);
 * const reply = await client.call("upper", "hello", { timeoutMs: 1_000 });
 * console.log(reply.text()); // HELLO
 * ```
 *
 * @module
 */

export { MxpError, type MxpErrorCode, type MxpErrorOptions } from "./lib/base/errors.ts";

export {
  DEFAULT_PORT,
  formatMxpUrl,
  isUuid,
  type MxpUrl,
  parseHostPort,
  parseMxpUrl,
  parsePublicKey,
  publicKeyText,
} from "./lib/agent/mxp_url.ts";
export { printable, quote } from "./lib/agent/quote.ts";

export { formatKeyFile, Identity } from "./lib/agent/identity.ts";
export { fingerprintOf, generateIdentity } from "./lib/agent/default_platform.ts";
export {
  defaultIdentityPath,
  defaultKnownPeersPath,
  knownPeersFile,
  loadIdentity,
  parseKeyFile,
  saveIdentity,
  ticketFiles,
  ticketsBeside,
} from "./lib/agent/key_files.ts";
export {
  formatKnownPeer,
  type KnownPeer,
  KnownPeers,
  type KnownPeersContent,
  type KnownPeersProblem,
  type KnownPeersStorage,
  parseKnownPeers,
} from "./lib/agent/known_peers.ts";

export {
  type KeptTicket,
  MemoryTickets,
  type TakenTicket,
  type TicketOwner,
  type TicketStore,
} from "./lib/agent/tickets/tickets.ts";
export { TicketFiles, type TicketStorage } from "./lib/agent/tickets/ticket_files.ts";

export { connect, type ConnectOptions, DEFAULT_CONNECT_TIMEOUT_MS, type Trust } from "./lib/agent/connect.ts";
export { Client } from "./lib/agent/client.ts";
export type { DialOptions, DialTarget } from "./lib/agent/onward/direct_dialler.ts";
export { type DirectOptions, mayBeDialled } from "./lib/agent/onward/dial_policy.ts";
export { DEFAULT_CALL_TIMEOUT_MS } from "./lib/agent/client_core.ts";
export type {
  CallOptions,
  ClientStats,
  CloseInfo,
  EventOptions,
  RequestOptions,
  StreamOptions,
  StreamResumeOptions,
} from "./lib/agent/client_types.ts";
export type { Compressor } from "./lib/agent/packing/compressor.ts";
export type { PackingOptions } from "./lib/agent/packing/request_packing.ts";
export type { PackingStats } from "./lib/agent/packing/unpacking.ts";
export type { ConnectionInfo, HandshakeInfo, SocketStats, TransportStats } from "./lib/agent/connection_info.ts";
export type { CallBody } from "./lib/agent/call_body.ts";
export type { CallProgress } from "./lib/agent/calls/outgoing_calls.ts";
export type { EventStats } from "./lib/agent/events/outgoing_events.ts";
export {
  DEFAULT_RETRY_PAUSES,
  nextStep,
  RetryBudget,
  type RetryFailure,
  type RetryLimits,
  type RetrySituation,
  type RetryStep,
} from "./lib/mesh/retry_policy.ts";
export type { RepetitionStats, RetryOptions } from "./lib/agent/calls/repeated_calls.ts";
export type { HedgeOptions } from "./lib/agent/calls/hedge.ts";
export { ReceivedEvent } from "./lib/agent/events/received_event.ts";
export { type SlowPolicy, type SubscribeOptions, Subscription } from "./lib/agent/events/subscription.ts";
export type { EventCounters } from "./lib/agent/events/event_dispatcher.ts";
export type { PubSubOptions, PubSubStats } from "./lib/agent/events/pubsub.ts";
export { Reply, type ReplyTiming } from "./lib/agent/calls/reply.ts";
export { MxpStream, type StreamData } from "./lib/agent/streams/mxp_stream.ts";
export type { PeerInfo } from "./lib/agent/peer_info.ts";

export {
  type AccessAction,
  AccessList,
  type AccessRule,
  parseAccessRules,
  type Permission,
} from "./lib/agent/policy/access_list.ts";
export type { AccessDecision, AccessStats, Authorize } from "./lib/agent/policy/policy.ts";
export type { PlainDrop, PlainOptions, PlainStats } from "./lib/agent/plain/plain_options.ts";
export type { WatchOptions } from "./lib/agent/registry/repeated_watch.ts";
export type { ResumableStats, ResumeLimits } from "./lib/agent/streams/resumable_streams.ts";
export { serve, type ServeOptions, Server, type ServerStats } from "./lib/agent/server.ts";
export type {
  CallHandler,
  EventHandler,
  HandlerResult,
  Handlers,
  StreamHandler,
  StreamResult,
} from "./lib/agent/handlers.ts";
export { CallContext } from "./lib/agent/call_context.ts";
export { ContextClient, type ContextTarget, type DecidedOption } from "./lib/agent/onward/context_client.ts";
export type { DialStats } from "./lib/agent/onward/connection_pool.ts";
export type { HostOptions } from "./lib/agent/agent_host.ts";
export type { Priority } from "./lib/agent/priority.ts";

export type { Agent, AgentCard, AgentQuery } from "./lib/agent/registry/agent_card.ts";
export type { AgentStatus } from "./lib/codec/payloads/agent_record.ts";
export type { AgentChange, DiscoverOptions, LifecycleOptions } from "./lib/agent/registry/lifecycle_client.ts";
export { Registration, type RegistrationOptions, type RegistrationState } from "./lib/agent/registry/registration.ts";
export type { OnceStats } from "./lib/agent/calls/once_calls.ts";
export type { RelayStats } from "./lib/agent/relay/call_router.ts";
export type { StreamRelayStats } from "./lib/agent/relay/stream_router.ts";
export type { EventRelayStats } from "./lib/agent/relay/event_router.ts";
export type {
  RegistryEvent,
  RegistryOptions,
  RegistryStats,
  RelayedRequest,
} from "./lib/agent/registry/registry_service.ts";
export type { RegistrySettings } from "./lib/mesh/registry_settings.ts";
export type { StoredAgent } from "./lib/mesh/registered_agent.ts";
export type { AgentStore, StoreChange } from "./lib/store/agent_store.ts";
export { openSqliteStore, type SqliteStoreOptions } from "./lib/store/sqlite_store.ts";

export { defaultPlatform } from "./lib/agent/default_platform.ts";
export type { Platform } from "./lib/agent/platform.ts";
export type { BindUdp, UdpHandlers, UdpSocket } from "./lib/agent/udp_socket.ts";
export type { TransportSettings } from "./lib/transport/settings.ts";
export type { ConnectionStats } from "./lib/transport/connection_stats.ts";
export type { FlowStats } from "./lib/transport/flow_stats.ts";
export type { PathMtuDiscovery } from "./lib/transport/mtu_discovery.ts";
export type { PathStats } from "./lib/transport/paths.ts";
export type { EndpointCounters } from "./lib/transport/endpoint.ts";

/** Files, standard streams, processes and signals, the same on every runtime: for programs built on the library. */
export * as host from "./lib/agent/host.ts";
