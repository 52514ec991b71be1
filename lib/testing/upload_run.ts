/**
 * One upload over one connection in a simulated network: the yardstick for loss recovery and congestion control.
 *
 * @module
 */

import { type Micros, seconds } from "../base/time.ts";
import type { ConnectionStats } from "../transport/connection_stats.ts";
import type { LinkCounters } from "./link.ts";
import { Pair, type PairOptions } from "./pair.ts";

/** What to upload, over what. */
export interface UploadOptions extends PairOptions {
  /** How much. */
  readonly bytes: number;
  /** Virtual time after which it counts as failed; a day by default. */
  readonly limit?: Micros;
  /** Called once, when half of the bytes have been delivered. */
  readonly onHalf?: (stats: ConnectionStats) => void;
  /** Sees what was delivered, in order. */
  readonly onDelivered?: (bytes: Uint8Array) => void;
}

/** How it went. */
export interface UploadResult {
  /** Everything was delivered and acknowledged, over one connection, and nothing closed it. */
  readonly complete: boolean;
  /** From connecting to the acknowledgement of the last byte (or to when it failed). */
  readonly duration: Micros;
  /** Mbit/s over all of that time. */
  readonly goodput: number;
  /**
   * Mbit/s while the second half of the bytes was sent for the first time: handshake, slow start and the last round trip, which weigh the more
   * the shorter an upload is, have no part in it. 0 without invariants, which do the counting.
   */
  readonly steadyGoodput: number;
  /** Bytes that arrived. */
  readonly delivered: number;
  /** Connections that the server has seen; 1 unless something is wrong. */
  readonly connections: number;
  /** The sending side's. */
  readonly stats: ConnectionStats;
  /** The link on the way there. */
  readonly up: Readonly<LinkCounters>;
  /** The link on the way back. */
  readonly down: Readonly<LinkCounters>;
  /** Why it failed, if a connection was closed. */
  readonly failure: string | undefined;
}

const DAY = seconds(86400);

/** Runs an upload. Throws an `InvariantError` if anything is delivered that was not sent, or a rule is broken. */
export function runUpload(options: UploadOptions): UploadResult {
  const { bytes, limit = DAY, onHalf, onDelivered } = options;
  const pair = new Pair(options);
  const { serverTraffic, network } = pair;
  const connection = pair.connect();
  // What is delivered comes in bursts when gaps are filled; what is sent for the first time does not.
  const first = { bytes: 0, at: network.now }, last = { bytes: 0, at: network.now };
  network.onSend = (from) => {
    if (from !== pair.client.address) return;
    const sent = pair.invariants?.dataSent(connection) ?? 0;
    if (sent === last.bytes) return;
    Object.assign(sent < bytes / 2 ? first : last, { bytes: sent, at: network.now });
  };
  serverTraffic.onDelivered = (_stream, piece) => {
    onDelivered?.(piece);
    const { delivered } = serverTraffic;
    if (delivered >= bytes / 2 && delivered - piece.length < bytes / 2) onHalf?.(connection.stats());
  };
  const stream = pair.clientTraffic.send(pair.client, connection, bytes, { unidirectional: true });
  const isOver = (): boolean => pair.client.ended.length > 0 || pair.server.ended.length > 0;
  const isDelivered = (): boolean =>
    serverTraffic.delivered === bytes && stream.outcome === "finished" && connection.stats().openStreams === 0;
  pair.drive(() => isOver() || isDelivered(), limit);
  const complete = !isOver() && isDelivered();
  const ended = [...pair.client.ended, ...pair.server.ended][0];
  const duration = network.now;
  return {
    complete,
    duration,
    goodput: megabits(bytes, duration),
    steadyGoodput: megabits(last.bytes - first.bytes, last.at - first.at),
    delivered: serverTraffic.delivered,
    connections: pair.server.connections.length,
    stats: connection.stats(),
    up: pair.up.counters,
    down: pair.down.counters,
    failure: complete ? undefined : ended === undefined ? "out of time" : `${ended.reason.by}: ${ended.reason.message}`,
  };
}

/** Bytes in microseconds as Mbit/s. */
function megabits(bytes: number, duration: number): number {
  return duration > 0 ? bytes * 8 / duration : 0;
}
