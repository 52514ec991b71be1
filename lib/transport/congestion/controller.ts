/**
 * What loss recovery tells a congestion controller, and what it asks of it.
 *
 * A controller decides how many bytes may be in flight and how fast they may leave. It has no clock and no timers, and
 * keeps no references to the records it is shown. The order of calls for one ACK is: `onPacketLost` for each lost packet and
 * one `onCongestionEvent`, `onPersistentCongestion` where it applies, `onPacketAcked` for each packet, `onAckEnd`.
 *
 * @module
 */

import type { Micros } from "../../base/time.ts";
import type { RttEstimator } from "../rtt.ts";
import type { SentPacket } from "../sent_packets.ts";

/** Where a controller stands, for statistics and the event log. */
export interface CongestionSnapshot {
  /** The controller's name. */
  readonly name: string;
  /** Bytes that may be in flight. */
  readonly window: number;
  /** Bytes; Infinity before the first congestion event, and in controllers that have none. */
  readonly slowStartThreshold: number;
  /** The controller's own word for its state, such as `slow_start`, `recovery`, `congestion_avoidance`. */
  readonly state: string;
  /** Times that the window was reduced. */
  readonly congestionEvents: number;
  /** Reductions taken back because every loss behind them was spurious. */
  readonly undone: number;
}

/** A congestion controller. Only packets that count as in flight are reported to it, MTU probes' losses excepted. */
export interface CongestionController {
  /** Its name, lower case: `newreno`, `cubic`, `bbr`. */
  readonly name: string;
  /** Bytes that may be in flight. */
  readonly window: number;
  /** The largest UDP payload in use; windows are counted in these. */
  readonly maxDatagramSize: number;
  /** Whether the window is still doubling each round trip. */
  readonly inSlowStart: boolean;

  /**
   * A packet leaves. The controller may write its scratch fields.
   *
   * @param bytesInFlight with this packet.
   */
  onPacketSent(packet: SentPacket<unknown>, bytesInFlight: number): void;

  /**
   * A packet was acknowledged for the first time, and had not been declared lost.
   *
   * @param appLimited the window was not used up when the packet was in flight, so it says nothing about what the path
   *   could have carried and must not make the window grow (RFC 9002 §7.8).
   */
  onPacketAcked(packet: SentPacket<unknown>, now: Micros, rtt: RttEstimator, appLimited: boolean): void;

  /** All packets of an ACK have been reported. */
  onAckEnd(now: Micros, rtt: RttEstimator, bytesInFlight: number): void;

  /** A packet was declared lost; {@link onCongestionEvent} follows once for all packets that were lost together. */
  onPacketLost(packet: SentPacket<unknown>, now: Micros): void;

  /**
   * Packets were lost together.
   *
   * @param newestLostSent when the newest of them was sent: it decides whether this is a new congestion event.
   * @param lostPackets how many.
   * @param bytesInFlight without them.
   */
  onCongestionEvent(now: Micros, newestLostSent: Micros, lostPackets: number, bytesInFlight: number): void;

  /** Nothing came through for several PTOs (RFC 9002 §7.6). */
  onPersistentCongestion(now: Micros): void;

  /**
   * A packet that had been declared lost was acknowledged after all.
   *
   * @param declaredLostAt when it had been declared lost.
   */
  onSpuriousLoss(now: Micros, declaredLostAt: Micros): void;

  /** There is nothing to send although more could be in flight: what is delivered meanwhile says little about the path. */
  onAppLimited(bytesInFlight: number): void;

  /**
   * The first that is known of the round trip: the least that the handshake's can have been, and once there is a sample that. As long as nothing
   * speaks against it, the window becomes what it would be if the flow had begun with the initial window for this round trip.
   */
  onFirstRtt(rtt: Micros): void;

  /** The datagram size changed (path MTU discovery). */
  setMaxDatagramSize(size: number): void;

  /** Bytes per microsecond that the pacer may let out. */
  pacingRate(rtt: RttEstimator): number;

  /** For statistics; allocates, not for hot paths. */
  snapshot(): CongestionSnapshot;
}
