/**
 * What a connection counts.
 *
 * @module
 */

import type { Micros } from "../base/time.ts";
import type { CongestionSnapshot } from "./congestion/controller.ts";
import type { LossDetection } from "./loss_detection.ts";

/** Input that was dropped, by reason. */
export class Drops {
  /** Handshake messages that were repeated, unexpected or not believed. */
  handshakeMessages = 0;
  /** Packets that did not authenticate, or claim a key phase that does not exist. */
  unauthentic = 0;
  /** Packets that had been seen before. */
  replayed = 0;
  /** Packets that arrived before their keys, and for which there was no room. */
  undecryptable = 0;
  /** Authentic packets from another address than the connection's: taken, but answered at the old one. */
  otherAddress = 0;
  /** Packets that arrived after the connection had ended. */
  late = 0;
}

/** What went over the wire. */
export class Traffic {
  /** UDP payload bytes, handshake included. */
  bytesSent = 0;
  bytesReceived = 0;
  datagramsSent = 0;
  datagramsReceived = 0;
  /** Protected packets that were authentic and new. */
  packetsReceived = 0;
}

/** What loss recovery knows. Sizes in bytes, times in microseconds. */
export interface RecoverySnapshot {
  readonly smoothedRtt: Micros;
  readonly minRtt: Micros;
  readonly latestRtt: Micros;
  readonly rttVariation: Micros;
  readonly congestion: CongestionSnapshot;
  readonly bytesInFlight: number;
  /** Protected packets. */
  readonly packetsSent: number;
  readonly packetsLost: number;
  /** Packets declared lost that had arrived after all. */
  readonly spuriousLosses: number;
  readonly probeTimeouts: number;
}

/** A snapshot of a connection, for graphs. */
export interface ConnectionStats extends RecoverySnapshot, Readonly<Traffic> {
  /** How long the handshake took, in microseconds; undefined until it is over. */
  readonly handshakeTime: Micros | undefined;
  /** Bytes of stream data that were sent again. */
  readonly retransmittedBytes: number;
  /** Handshake messages sent, repetitions included. */
  readonly handshakeMessagesSent: number;
  readonly openStreams: number;
  /** Largest UDP datagram that we send, in bytes. */
  readonly udpPayload: number;
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
