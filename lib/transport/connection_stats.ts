/**
 * What a connection counts.
 *
 * @module
 */

import type { Micros } from "../base/time.ts";
import type { CongestionSnapshot } from "./congestion/controller.ts";
import type { FlowStats } from "./flow_stats.ts";
import type { DatagramFrameCounters } from "./datagram_frames.ts";
import type { LossDetection } from "./loss_detection.ts";
import type { PathStats } from "./paths.ts";

/** Input that was dropped, by reason. */
export class Drops {
  /** Handshake messages that were repeated, unexpected or not believed. */
  handshakeMessages = 0;
  /** Packets that did not authenticate. */
  unauthentic = 0;
  /** Packets that were so late that the keys of their phase were gone. */
  oldKeys = 0;
  /** Packets that broke the rules of key updates; the connection closes with the first. */
  keyUpdates = 0;
  /** Packets that had been seen before. */
  replayed = 0;
  /** Packets that arrived before their keys, and for which there was no room. */
  undecryptable = 0;
  /** Delays that acknowledgements claimed and that were longer than the peer had announced; what is beyond that was not believed. */
  ackDelays = 0;
  /** Packets that arrived after the connection had ended. */
  late = 0;
}

/** What went over the wire. */
export class Traffic {
  /** UDP payload bytes, handshake included. */
  bytesSent = 0;
  /** UDP payload bytes of the datagrams with at least one packet for this connection. */
  bytesReceived = 0;
  /** UDP datagrams. */
  datagramsSent = 0;
  /** UDP datagrams with at least one packet for this connection. */
  datagramsReceived = 0;
  /** Protected packets that were authentic and new. */
  packetsReceived = 0;
  /** Those among them that came from another address than the path in use: taken, but not answered there before the address is validated. */
  packetsFromElsewhere = 0;
}

/** What loss recovery knows. Sizes in bytes, times in microseconds. */
export interface RecoverySnapshot {
  /** Weighted average of the round trips (RFC 9002 §5.3). */
  readonly smoothedRtt: Micros;
  /** Shortest round trip on this path. */
  readonly minRtt: Micros;
  /** Newest round trip; an assumption before there is one. */
  readonly latestRtt: Micros;
  /** Mean deviation of the round trips. */
  readonly rttVariation: Micros;
  /** Where the congestion controller stands. */
  readonly congestion: CongestionSnapshot;
  /** Bytes that were sent and neither acknowledged nor declared lost. */
  readonly bytesInFlight: number;
  /** Protected packets. */
  readonly packetsSent: number;
  /** Packets declared lost. */
  readonly packetsLost: number;
  /** Packets declared lost that had arrived after all. */
  readonly spuriousLosses: number;
  /** Times that a probe had to ask for an acknowledgement (RFC 9002 §6.2). */
  readonly probeTimeouts: number;
}

/** A snapshot of a connection, for graphs. */
export interface ConnectionStats extends RecoverySnapshot, Readonly<Traffic> {
  /** What became of changes of address. */
  readonly paths: PathStats;
  /** How long the handshake took, in microseconds; undefined until it is over. */
  readonly handshakeTime: Micros | undefined;
  /** Bytes of stream data that were sent again. */
  readonly retransmittedBytes: number;
  /** Handshake messages sent, repetitions included. */
  readonly handshakeMessagesSent: number;
  /** How often the handshake began anew because the responder asked for a cookie. */
  readonly handshakeRetries: number;
  /** Credit and windows. */
  readonly flow: FlowStats;
  /** Streams that the peer has reset before their end. */
  readonly streamResets: number;
  /** Streams of either side that are not over. */
  readonly openStreams: number;
  /** Key updates that this side began. */
  readonly keyUpdatesSent: number;
  /** Key updates that the peer began. */
  readonly keyUpdatesReceived: number;
  /** What happened to DATAGRAM frames. */
  readonly datagramFrames: Readonly<DatagramFrameCounters>;
  /** Largest UDP datagram that we send, in bytes. */
  readonly udpPayload: number;
  /** Input that was dropped, by reason. */
  readonly dropped: Readonly<Drops>;
}

/** Takes the snapshot of loss recovery. */
export function recoveryStats(recovery: LossDetection<unknown>): RecoverySnapshot {
  const { rtt, stats, congestion } = recovery;
  return {
    smoothedRtt: rtt.smoothed,
    minRtt: rtt.min,
    latestRtt: rtt.latest,
    rttVariation: rtt.variation,
    congestion: congestion.snapshot(),
    bytesInFlight: recovery.bytesInFlight,
    packetsSent: stats.packetsSent,
    packetsLost: stats.packetsLost,
    spuriousLosses: stats.spurious,
    probeTimeouts: stats.ptoCount,
  };
}
