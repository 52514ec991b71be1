/**
 * A network in memory with a virtual clock, nodes that run the real transport in it, and rules that are checked at every step. The same seed
 * gives the same run.
 *
 * @module
 */

export { type Address, address } from "../base/address.ts";
export type { Random } from "../base/random.ts";
export { type Clock, type Micros, micros, millis, NEVER, seconds } from "../base/time.ts";
export type { Aead, AeadKey, CryptoProvider, Dh, Hash, KeyPair } from "../crypto/types.ts";
export { type StreamId, StreamRole } from "../wire/stream_id.ts";
export { Bottleneck } from "./bottleneck.ts";
export { SteadySource, TcpFlow } from "./cross_traffic.ts";
export { type HandshakeResult, runHandshake } from "./handshake_run.ts";
export { InvariantError, Invariants, type WatchedNode } from "./invariants.ts";
export { type Interception, LEAST_QUEUE, Link, type LinkCounters, type LinkProfile, perfectLink } from "./link.ts";
export { blackHole, flapping, type LinkChange, scheduleChanges } from "./link_schedule.ts";
export { type BadSpells, LossModel, type LossProfile } from "./loss_model.ts";
export { ManualClock } from "./manual_clock.ts";
export { type MixtureOptions, type MixtureResult, runMixture } from "./mixture_run.ts";
export { CLIENT_ADDRESS, Pair, type PairOptions, SERVER_ADDRESS } from "./pair.ts";
export { Pattern } from "./pattern.ts";
export {
  type IncomingStream,
  type OutgoingStream,
  patternOf,
  PatternTraffic,
  type SendOptions,
  type StreamOutcome,
} from "./pattern_traffic.ts";
export { SeededRandom } from "./seeded_random.ts";
export { type SimulatedHost, SimulatedNetwork, type SimulatedNetworkOptions } from "./simulated_network.ts";
export {
  type EndedConnection,
  type NodeApplication,
  SimulatedNode,
  type SimulatedNodeOptions,
} from "./simulated_node.ts";
export { TraceHash } from "./trace_hash.ts";
export { UdpProxy, type UdpProxyCounters, type UdpProxyOptions } from "./udp_proxy.ts";
export { runUpload, type UploadOptions, type UploadResult } from "./upload_run.ts";
