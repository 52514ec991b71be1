/**
 * Numbers of loss recovery and congestion control. The first group is RFC 9002's, the second is this implementation's.
 *
 * @module
 */

import { type Micros, millis, seconds } from "../base/time.ts";

// --- RFC 9002 ---

/** Reordering by this many packets means loss (kPacketThreshold, §6.1.1). */
export const PACKET_THRESHOLD = 3;
/** Reordering by `rtt + rtt / 2^TIME_THRESHOLD_SHIFT`, that is 9/8 RTT, means loss (kTimeThreshold, §6.1.2). */
export const TIME_THRESHOLD_SHIFT = 3;
/** Timers are not expected to be finer than this (kGranularity, §6.1.2). */
export const GRANULARITY: Micros = millis(1);
/** RTT before there is a sample (kInitialRtt, §6.2.2). */
export const INITIAL_RTT: Micros = millis(333);
/** Persistent congestion is a loss of this many PTOs (kPersistentCongestionThreshold, §7.6.1). */
export const PERSISTENT_CONGESTION_THRESHOLD = 3;
/** Largest part of the initial window that is not a multiple of the datagram size (§7.2). */
export const INITIAL_WINDOW_BYTES = 14720;
/** What a loss leaves of the window (kLossReductionFactor, §7.3.2). */
export const LOSS_REDUCTION_FACTOR = 0.5;

// --- this implementation ---

/**
 * The window is never smaller than this many datagrams. RFC 9002 §7.2 recommends 2 (kMinimumWindow). With two under way, of which one
 * in five is lost, one in four round trips ends with the loss of the last, which nothing but a probe timeout tells of; with three it is one in eight, and
 * the window that the formula for congestion avoidance asks for is kept.
 */
export const MINIMUM_WINDOW_PACKETS = 3;

/**
 * The PTO stops doubling at 2^6 = 64 times its base: a path that comes back after a long outage is noticed within about a
 * minute even when the RTT was never measured (RFC 9002 leaves the cap open; the idle timeout ends the connection first).
 */
export const MAX_PTO_EXPONENT = 6;
/**
 * Nor does it grow beyond this: where no idle timeout ends a connection, a peer that was away for ten minutes should not have to wait for
 * ten more until it is probed (TCP stops at a minute or two, RFC 6298 §2.5).
 */
export const LONGEST_PTO: Micros = seconds(60);
/** Packets tracked at once. A window of 65 536 packets of 1 200 bytes is 78 MB: 6 Gbit/s at 100 ms. */
export const MAX_TRACKED_PACKETS = 1 << 16;
/** Slots kept free of new data, so that probes, acknowledgements and the final CLOSE always find one. */
export const RESERVED_PACKETS = 1 << 10;
/** Numbers of lost packets that are remembered, to recognise a loss that was none. */
export const MAX_REMEMBERED_LOSSES = 1 << 10;
/** Packets that need no acknowledgement are of no interest after this many PTOs. */
export const INTEREST_IN_PTOS = 3;
/**
 * So many packets of no interest may be tracked behind one that the peer should have acknowledged and has not; then that one is given up. A
 * peer that acknowledges nothing could otherwise make us keep all of {@link MAX_TRACKED_PACKETS}, 25 MB, for a twentieth of that in pings.
 */
export const MAX_IDLE_PACKETS = 1 << 12;
/** Upper bound of the adaptive packet threshold; it also bounds how many packets one ACK makes us look at again. */
export const MAX_PACKET_THRESHOLD = 256;
/** So many loss episodes without a spurious one let the reordering tolerance shrink by one step (RACK uses 16, RFC 8985 §6.2). */
export const REORDERING_DECAY_EPISODES = 16;
