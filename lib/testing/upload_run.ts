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
  readonly bytes: number;
  /** Virtual time after which it counts as failed; a day by default. */
  readonly limit?: Micros;
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
   * Mbit/s while the second half of the bytes arrived: handshake, slow start and the last round trip, which weigh the more the shorter an
   * upload is, have no part in it.
   */
  readonly steadyGoodput: number;
  readonly delivered: number;
  readonly connections: number;
  /** The sending side's. */
  readonly stats: ConnectionStats;
  readonly up: Readonly<LinkCounters>;
  readonly down: Readonly<LinkCounters>;
  /** Why it failed, if a connection was closed. */
  readonly failure: string | undefined;
}

const DAY = seconds(86400);

/** Runs an upload. Throws an `InvariantError` if anything is delivered that was not sent, or a rule is broken. */
export function runUpload(options: UploadOptions): UploadResult {
  const { bytes, limit = DAY, onDelivered } = options;
  const pair = new Pair(options);
  const { serverTraffic, network } = pair;
  let half: Micros | undefined;
  let last = network.now;
  serverTraffic.onDelivered = (_stream, piece) => {
    last = network.now;
    if (half === undefined && serverTraffic.delivered >= bytes / 2) half = last;
    onDelivered?.(piece);
  };
  const connection = pair.connect();
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
    steadyGoodput: half === undefined ? 0 : megabits(bytes / 2, last - half),
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
