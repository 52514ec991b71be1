/**
 * The transport core: connections without sockets, timers or clocks. Feed it UDP datagrams and the time; it says what to send and when
 * to be called again. `lib/testing` drives it in a simulator, `lib/agent` over real sockets.
 *
 * @module
 */

export { Connection } from "./connection.ts";
export type { ConnectionState } from "./connection_start.ts";
export { type ConnectionStats, type Drops, type RecoverySnapshot, type Traffic } from "./connection_stats.ts";
export type { CongestionController, CongestionSnapshot } from "./congestion/controller.ts";
export type { CongestionName } from "./congestion/create.ts";
export type { DatagramDrop, DatagramFrameCounters, DatagramFrames, SendDatagramResult } from "./datagram_frames.ts";
export type { ConnectionTotals } from "./connection_totals.ts";
export { Endpoint, type EndpointCounters, type EndpointOptions } from "./endpoint.ts";
export type { CloseReason, ConnectionEvent } from "./events.ts";
export type { ConnectOptions } from "./initiator_plan.ts";
export type { ResumptionTicket } from "./resumed_handshake.ts";
export { largestDatagram, type MtuSettings, type PathMtuDiscovery } from "./mtu_discovery.ts";
export type { PathCounters, PathStats } from "./paths.ts";
export type { RttEstimator } from "./rtt.ts";
export { StreamClass } from "./scheduler.ts";
export type { PacketState, SentPacket } from "./sent_packets.ts";
export { StreamCommands } from "./stream_commands.ts";
export type { PatternName } from "./handshake_flow.ts";
export type { GateCounters } from "./hello_gate.ts";
export { defaultSettings, type RetryMode, type TransportSettings } from "./settings.ts";
export type { ConnectionId } from "../wire/connection_id.ts";
export type { HandshakeKind } from "../wire/constants.ts";
export type { HandshakeMessage } from "../wire/handshake_message.ts";
