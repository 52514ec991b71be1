/**
 * What all connections of an endpoint have counted together, those that are over included: what an attack does to connections that do not last
 * would not be seen otherwise.
 *
 * @module
 */

import { type ConnectionStats, Drops, Traffic } from "./connection_stats.ts";
import { DatagramFrameCounters } from "./datagram_frames.ts";
import { PathCounters } from "./paths.ts";

/** The sums. Every field is the sum of the one with its name in {@link ConnectionStats}. */
export class ConnectionTotals extends Traffic {
  /** Protected packets. */
  packetsSent = 0;
  /** Packets declared lost. */
  packetsLost = 0;
  /** Packets declared lost that had arrived after all. */
  spuriousLosses = 0;
  /** Times that a probe had to ask for an acknowledgement. */
  probeTimeouts = 0;
  /** Bytes of stream data that were sent again. */
  retransmittedBytes = 0;
  /** Handshake messages sent. */
  handshakeMessagesSent = 0;
  /** How often a handshake began anew because the responder asked for a cookie. */
  handshakeRetries = 0;
  /** Streams that peers have reset before their end. */
  streamResets = 0;
  /** Streams that are not over; none of connections that are. */
  openStreams = 0;
  /** Key updates that this side began. */
  keyUpdatesSent = 0;
  /** Key updates that peers began. */
  keyUpdatesReceived = 0;
  /** What became of changes of address. */
  readonly paths: PathCounters = new PathCounters();
  /** What happened to DATAGRAM frames. */
  readonly datagramFrames: DatagramFrameCounters = new DatagramFrameCounters();
  /** Input that was dropped, by reason. */
  readonly dropped: Drops = new Drops();

  /** Adds one connection, or what was added up before. */
  add(stats: ConnectionStats | ConnectionTotals): void {
    addFields(this, stats);
    addFields(this.paths, stats.paths);
    addFields(this.datagramFrames, stats.datagramFrames);
    addFields(this.dropped, stats.dropped);
  }
}

/** Adds every number of `source` for which `target` has a place. */
function addFields(target: object, source: object): void {
  const sums = target as Record<string, unknown>, values = source as Record<string, unknown>;
  for (const name of Object.keys(sums)) {
    const sum = sums[name], value = values[name];
    if (typeof sum === "number" && typeof value === "number") sums[name] = sum + value;
  }
}
