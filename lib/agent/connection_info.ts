/**
 * A connection in numbers: plain objects that `JSON.stringify` loses nothing of.
 *
 * @module
 */

import type { CongestionSnapshot } from "../transport/congestion/controller.ts";
import type { Connection } from "../transport/connection.ts";
import type { ConnectionStats } from "../transport/connection_stats.ts";
import type { Driver } from "./driver.ts";
import { suiteName } from "./transport_settings.ts";

/** How the connection came about. */
export interface HandshakeInfo {
  /** `full`: the node's key was known. `first contact`: it was learned. `resumed`: a ticket of an earlier connection was used. */
  readonly kind: "full" | "first contact" | "resumed";
  /** Which Noise pattern was run: IK with a known key, XX to learn it, NNpsk0 with a ticket. */
  readonly pattern: "IK" | "XX" | "NNpsk0";
  /** The cipher, such as `ChaCha20-Poly1305`. */
  readonly suite: string;
  /** How long it took, in milliseconds. */
  readonly ms: number;
}

/**
 * Everything that a graph of a connection needs. Times are microseconds, sizes bytes, everything that counts counts from
 * the connection's beginning.
 */
export interface TransportStats extends Omit<ConnectionStats, "congestion"> {
  /** Where the congestion controller stands; the threshold is null before the first congestion event. */
  readonly congestion: Omit<CongestionSnapshot, "slowStartThreshold"> & { readonly slowStartThreshold: number | null };
}

/** The UDP socket. */
export interface SocketStats {
  /** Which runtime's it is. */
  readonly adapter: string;
  /** Datagrams that the operating system refused to send. */
  readonly sendErrors: number;
  /** Datagrams that did not fit through the way out in one piece; most of them tried out whether they do. */
  readonly tooLarge: number;
  /** Connections that were given up because of a fault of this library. */
  readonly faults: number;
}

/** One connection of a server. */
export interface ConnectionInfo {
  /** The peer's public key, as in URLs. */
  readonly peer: string;
  /** Where it is, `IP:PORT`. */
  readonly address: string;
  /** How the connection came about. */
  readonly handshake: HandshakeInfo;
  /** Calls of the peer that are under way. */
  readonly calls: number;
  /** Agent streams that are open. */
  readonly streams: number;
  /** Traffic, round trips, losses, credit. */
  readonly transport: TransportStats;
}

const HANDSHAKE_KINDS = { IK: "full", XX: "first contact", NNpsk0: "resumed" } as const;

/** Describes a connection's beginning. */
export function handshakeInfo(connection: Connection): HandshakeInfo {
  return {
    kind: HANDSHAKE_KINDS[connection.pattern],
    pattern: connection.pattern,
    suite: suiteName(connection.suite),
    ms: (connection.stats().handshakeTime ?? 0) / 1000,
  };
}

/** A connection's snapshot. */
export function transportStats(connection: Connection): TransportStats {
  const stats = connection.stats();
  const { slowStartThreshold: threshold } = stats.congestion;
  const slowStartThreshold = Number.isFinite(threshold) ? threshold : null;
  return { ...stats, congestion: { ...stats.congestion, slowStartThreshold } };
}

/** A socket's snapshot. */
export function socketStats(driver: Driver): SocketStats {
  const { adapter, sendErrors, tooLarge, faults } = driver;
  return { adapter, sendErrors, tooLarge, faults };
}
