/**
 * Loss detection, probe timeouts and the bookkeeping of congestion control (RFC 9002) for the one packet-number space of
 * protected packets. Handshake packets are repeated by the handshake itself and do not appear here.
 *
 * @module
 */

import { type Micros, micros, NEVER } from "../base/time.ts";
import type { CongestionController } from "./congestion/controller.ts";
import { LostPackets } from "./lost_packets.ts";
import {
  INITIAL_RTT,
  INTEREST_IN_PTOS,
  LONGEST_PTO,
  MAX_IDLE_PACKETS,
  MAX_PTO_EXPONENT,
  MAX_TRACKED_PACKETS,
  PERSISTENT_CONGESTION_THRESHOLD,
} from "./recovery_constants.ts";
import { ReorderingTolerance } from "./reordering.ts";
import { RttEstimator } from "./rtt.ts";
import { ACKED, LOST, OUTSTANDING, type SentPacket, SentPackets, SKIPPED } from "./sent_packets.ts";

/**
 * Learns what became of frames, synchronously, from within `onAckReceived` and `onTimeout` (and, in the one case that
 * {@link LossDetection.onPacketSent} names, from there). Must not call back into the loss detection and must not throw.
 * Each frame is reported at most once, except that what a probe took over may still be acknowledged. `packet` is valid until the call
 * returns.
 */
export interface RecoveryHandler<F> {
  /** The packet that carried the frame was acknowledged. */
  onFrameAcked(frame: F, packet: SentPacket<F>): void;
  /** The packet that carried the frame was declared lost. */
  onFrameLost(frame: F, packet: SentPacket<F>): void;
}

/** Counters since the start of the connection; packets and bytes of protected packets only. */
export interface RecoveryStats {
  packetsSent: number;
  bytesSent: number;
  packetsAcked: number;
  bytesAcked: number;
  packetsLost: number;
  bytesLost: number;
  /** Packets declared lost and acknowledged afterwards; of those that count towards congestion, and are still remembered. */
  spurious: number;
  /** Packets forgotten because nobody was ever going to acknowledge them. */
  forgotten: number;
  /** Probe timeouts that expired. */
  ptoCount: number;
  /** Times that packets which count towards congestion were declared lost together. */
  lossEvents: number;
  persistentCongestion: number;
}

/** Learns what became of packets that count as in flight, as {@link RecoveryHandler} learns of frames. */
export interface PacketObserver {
  onAcked(packet: SentPacket<unknown>): void;
  onLost(packet: SentPacket<unknown>): void;
}

/** What {@link LossDetection} is made of. */
export interface LossDetectionOptions<F> {
  readonly handler: RecoveryHandler<F>;
  readonly congestion: CongestionController;
  /** The peer's MAX_ACK_DELAY. */
  readonly maxAckDelay: Micros;
  /** RTT to assume before the first sample. */
  readonly initialRtt?: Micros;
  /** Most packets tracked, a power of two. */
  readonly maxTracked?: number;
}

/**
 * Loss recovery of one connection.
 *
 * @example
 * ```ts
 * import { micros, millis } from "../base/time.ts";
 * import { NewReno } from "./congestion/new_reno.ts";
 * import { LossDetection } from "./loss_detection.ts";
 *
 * const handler = {
 *   onFrameAcked: (frame: string) => console.log(frame, "has arrived"),
 *   onFrameLost: (frame: string) => console.log(frame, "has to be sent again"),
 * };
 * const recovery = new LossDetection<string>({ handler, congestion: new NewReno(1200), maxAckDelay: millis(25) });
 * recovery.rtt.update(millis(20), micros(0), micros(0)); // from the handshake
 * if (recovery.canSend(1200)) recovery.onPacketSent(0, micros(0), 1200, true, true, ["a frame"]);
 * recovery.pollTimeout(); // 85 000: when to call onTimeout
 * recovery.onAckReceived(millis(20), 0, micros(0), Float64Array.of(0, 0), 1); // "ok"; a frame has arrived
 * ```
 */
export class LossDetection<F> {
  readonly rtt: RttEstimator;
  readonly sent: SentPackets<F>;
  readonly reordering: ReorderingTolerance = new ReorderingTolerance();
  /** Live counters; read only. */
  readonly stats: RecoveryStats = {
    packetsSent: 0,
    bytesSent: 0,
    packetsAcked: 0,
    bytesAcked: 0,
    packetsLost: 0,
    bytesLost: 0,
    spurious: 0,
    forgotten: 0,
    ptoCount: 0,
    lossEvents: 0,
    persistentCongestion: 0,
  };
  /** The peer's MAX_ACK_DELAY. */
  maxAckDelay: Micros;
  /** Learns of all packets that count as in flight, MTU probes included, whatever they carry. */
  observer: PacketObserver | undefined;
  /** The peer acknowledges every packet without delay, because it was asked to. */
  peerAcksAtOnce = false;

  readonly #handler: RecoveryHandler<F>;
  readonly #lost = new LostPackets();
  #congestion: CongestionController;
  #confirmed = false;
  #bytesInFlight = 0;
  /** Ack-eliciting packets whose fate is open. */
  #eliciting = 0;
  #largestAcked = -1;
  #lossTime: Micros = NEVER;
  /** Where the PTO counts from: the last ack-eliciting packet, or the last expiry if that was later. */
  #ptoStart: Micros = micros(0);
  #ptoCount = 0;
  /** Up to this packet number, the window (or the pacer) was what kept more from being sent. */
  #utilisedThrough = -1;
  /** Packets below were sent on another path and say nothing about this one. */
  #pathStart = 0;
  /** Send time of the first ack-eliciting packet of an unbroken run of losses; −1 if there is no run (RFC 9002 §7.6.2). */
  #lossRunStart = -1;
  readonly #newlyAcked: SentPacket<F>[] = [];

  // What one pass of #detectLost gathers.
  #newestLostSent: Micros = micros(-1);
  #congestionLosses = 0;
  #persistent = false;

  constructor(options: LossDetectionOptions<F>) {
    this.#handler = options.handler;
    this.#congestion = options.congestion;
    this.maxAckDelay = options.maxAckDelay;
    this.rtt = new RttEstimator(options.initialRtt ?? INITIAL_RTT);
    this.sent = new SentPackets<F>(options.maxTracked ?? MAX_TRACKED_PACKETS);
  }

  /** The controller in charge. */
  get congestion(): CongestionController {
    return this.#congestion;
  }

  /** Bytes of packets that count as in flight and whose fate is open. */
  get bytesInFlight(): number {
    return this.#bytesInFlight;
  }

  /** Consecutive probe timeouts without an acknowledgement in between. */
  get ptoCount(): number {
    return this.#ptoCount;
  }

  /** Ack-eliciting packets whose fate is open. */
  get outstanding(): number {
    return this.#eliciting;
  }

  /** The largest packet number that the peer has acknowledged; −1 before the first. */
  get largestAcked(): number {
    return this.#largestAcked;
  }

  /** Probe timeout without back-off, the unit of key retention and draining. */
  pto(): Micros {
    return this.rtt.pto(this.maxAckDelay);
  }

  /**
   * Whether a packet of this size may be sent as far as the window and the tracked packets are concerned. Probes,
   * acknowledgements and CLOSE do not ask. A refusal by the window also notes that the window is being used up.
   */
  canSend(size: number): boolean {
    if (this.sent.isFull) {
      this.#forgetIdle(-Infinity);
      if (this.sent.isFull) return false;
    }
    if (this.#bytesInFlight + size <= this.#congestion.window) return true;
    this.#utilisedThrough = this.sent.next - 1;
    return false;
  }

  /** Notes that there is more to send and only the pacer holds it back: the window may grow (RFC 9002 §7.8). */
  notePacingLimited(): void {
    this.#utilisedThrough = this.sent.next - 1;
  }

  /** Notes that there is nothing to send; the controller learns of it if window and tracking would have let more out. */
  noteAppLimited(): void {
    const congestion = this.#congestion;
    if (this.#bytesInFlight + congestion.maxDatagramSize <= congestion.window) {
      congestion.onAppLimited(this.#bytesInFlight);
    }
  }

  /**
   * Registers a packet that leaves. If the peer leaves a packet unanswered while thousands of acknowledgements are sent behind
   * it, that packet is declared lost here.
   *
   * @param packetNumber one above the packet before; the first is 0.
   * @param now not below any time handed in before.
   * @param size bytes on the wire.
   * @param ackEliciting the peer has to acknowledge it.
   * @param inFlight it counts towards bytes in flight (ack-eliciting or padded).
   * @param frames what it carries, copied; reported to the handler one by one when its fate is known.
   * @param frameCount how many entries of `frames` count.
   * @param mtuProbe its loss is no sign of congestion.
   */
  onPacketSent(
    packetNumber: number,
    now: Micros,
    size: number,
    ackEliciting: boolean,
    inFlight: boolean,
    frames: readonly F[] | undefined,
    frameCount: number = frames === undefined ? 0 : frames.length,
    mtuProbe: boolean = false,
  ): void {
    const sent = this.sent;
    if (sent.size > 0 && !sent.at(sent.first).ackEliciting) this.#forgetIdle(now - INTEREST_IN_PTOS * this.pto());
    if (sent.isExhausted || this.#isStuck(now)) this.#makeRoom(now);
    const packet = sent.push(packetNumber, now, size, ackEliciting, inFlight, mtuProbe, frames, frameCount);
    this.stats.packetsSent++;
    this.stats.bytesSent += size;
    if (ackEliciting) {
      this.#eliciting++;
      this.#ptoStart = now;
    }
    if (inFlight) {
      this.#bytesInFlight += size;
      const congestion = this.#congestion;
      congestion.onPacketSent(packet, this.#bytesInFlight);
      // No further full datagram fits: the window is used up, whether or not anybody asks again.
      if (this.#bytesInFlight + congestion.maxDatagramSize > congestion.window) this.#utilisedThrough = packetNumber;
    }
  }

  /** Leaves out the number of a packet that would be next. Whether it is acknowledged is for the caller to see. */
  skipPacketNumber(packetNumber: number, now: Micros): void {
    if (this.sent.isExhausted) this.#makeRoom(now);
    this.sent.push(packetNumber, now, 0, false, false, false, undefined, 0).state = SKIPPED;
  }

  /**
   * Registers a packet that leaves on another path than the one in use. Nobody waits for its acknowledgement, and it says nothing about this path:
   * neither about its round trip nor about congestion (RFC 9000 §9.4).
   */
  onOtherPathPacketSent(packetNumber: number, now: Micros, size: number): void {
    this.onPacketSent(packetNumber, now, size, false, false, undefined);
    this.sent.at(packetNumber).otherPath = true;
  }

  /**
   * Takes an ACK frame. Packets that were acknowledged before cost nothing; a range of any length costs what it
   * overlaps with the packets that are tracked.
   *
   * @param largest the largest acknowledged number; the end of the first range.
   * @param ackDelay as the peer states it.
   * @param ranges start and end pairs (inclusive), disjoint, from the highest down; not kept.
   * @param rangeCount how many pairs.
   * @returns `unsent` if a packet is acknowledged that was never sent: nothing was changed, close with PROTOCOL_VIOLATION.
   */
  onAckReceived(
    now: Micros,
    largest: number,
    ackDelay: Micros,
    ranges: Float64Array,
    rangeCount: number,
  ): "ok" | "unsent" {
    const sent = this.sent;
    if (largest >= sent.next) return "unsent";
    const largestBefore = this.#largestAcked;
    if (largest > largestBefore) this.#largestAcked = largest;

    const acked = this.#newlyAcked;
    let count = 0;
    let eliciting = false;
    let largestPacket: SentPacket<F> | undefined;
    for (let range = 0; range < rangeCount; range++) {
      const start = Math.max(ranges[2 * range], sent.first);
      const end = Math.min(ranges[2 * range + 1], sent.next - 1);
      if (end < sent.first) break;
      for (let n = start; n <= end; n++) {
        const packet = sent.at(n);
        if (packet.state !== OUTSTANDING) continue;
        packet.state = ACKED;
        this.#leaveFlight(packet);
        if (packet.ackEliciting) eliciting = true;
        if (n === largest) largestPacket = packet;
        acked[count++] = packet;
      }
    }

    // RFC 9002 §5.1: a sample needs the largest packet to be newly acknowledged, and something that had to be.
    if (largestPacket !== undefined && eliciting && largest >= this.#pathStart && !largestPacket.otherPath) {
      const delay = this.#confirmed && ackDelay > this.maxAckDelay ? this.maxAckDelay : ackDelay;
      const isFirst = !this.rtt.hasSample;
      this.rtt.update(micros(now - largestPacket.timeSent), delay, now);
      if (isFirst) this.#congestion.onFirstRtt(this.rtt.latest);
    }
    if (this.#lost.size > 0) this.#detectSpurious(now, largestBefore, ranges, rangeCount);
    if (count === 0) return "ok";

    // Losses first: the window must not grow from an ACK that also tells of congestion (RFC 9002 §A.7).
    this.#detectLost(now);
    this.#settleAcked(now, count);
    // RFC 9002 §6.2.1. There is no exception as for QUIC's Initial packets: who acknowledges a protected packet has the keys.
    this.#ptoCount = 0;
    return "ok";
  }

  /** When {@link onTimeout} wants to be called: the loss timer or the probe timeout; NEVER if nothing awaits an ACK. */
  pollTimeout(): Micros {
    if (this.#lossTime !== NEVER) return this.#lossTime;
    if (this.#eliciting === 0) return NEVER;
    const pto = this.peerAcksAtOnce ? this.rtt.pto(micros(0)) : this.pto();
    const backedOff = pto * (1 << Math.min(this.#ptoCount, MAX_PTO_EXPONENT));
    return micros(this.#ptoStart + Math.min(backedOff, LONGEST_PTO));
  }

  /**
   * Handles the timer that has expired; harmless if none has. After a late wake-up the probe timeout of another packet may be
   * overdue behind the loss timer; it is left to the next call, and goes away if what was lost is sent again first.
   *
   * @returns how many ack-eliciting packets to send as probes regardless of window and pacer: 0, 1 or 2. One for the first
   *   timeout of a single packet, else two, so that the loss of one datagram does not cost another timeout. New data if
   *   there is some, else {@link probeWith}'s, else a PING.
   */
  onTimeout(now: Micros): number {
    if (this.pollTimeout() > now) return 0;
    if (this.#lossTime !== NEVER) {
      this.#detectLost(now);
      return 0;
    }
    const probes = this.#ptoCount === 0 && this.#eliciting === 1 ? 1 : 2;
    this.#ptoCount++;
    this.stats.ptoCount++;
    // A probe may be held back (by the amplification limit); the timer must not fire again at once.
    this.#ptoStart = now;
    return probes;
  }

  /**
   * Reports the frames of the `count` oldest packets as lost, so that probes carry them again. The packets stay outstanding. If they arrive
   * after all, their frames are reported as acknowledged; if they are declared lost, nothing is reported twice: the probes answer for the frames.
   */
  probeWith(count: number): void {
    for (let i = 0; i < count; i++) {
      const packet = this.probeCandidate(0);
      if (packet === undefined) return;
      packet.probed = true;
      for (let f = 0; f < packet.frameCount; f++) this.#handler.onFrameLost(packet.frames[f] as F, packet);
    }
  }

  /**
   * The oldest ack-eliciting packets that are still outstanding and whose frames no probe carries.
   *
   * @param index 0 for the oldest, 1 for the next.
   */
  probeCandidate(index: number): SentPacket<F> | undefined {
    for (let n = this.sent.first; n < this.sent.next; n++) {
      const packet = this.sent.at(n);
      if (packet.state !== OUTSTANDING || !packet.ackEliciting || packet.mtuProbe || packet.probed) continue;
      if (index-- === 0) return packet;
    }
    return undefined;
  }

  /** The handshake is confirmed: from now on the peer keeps to its MAX_ACK_DELAY (RFC 9002 §5.3). */
  onHandshakeConfirmed(): void {
    this.#confirmed = true;
  }

  /**
   * Moves to a new path with a fresh controller and without RTT samples (RFC 9000 §9.4). What was sent before is still
   * tracked, and retransmitted when lost, but no longer counts.
   */
  resetPath(now: Micros, congestion: CongestionController, initialRtt: Micros = INITIAL_RTT): void {
    this.leavePath(now);
    this.#congestion = congestion;
    this.#lost.clear();
    this.reordering.reset();
    this.rtt.reset(initialRtt);
  }

  /**
   * Moves to a path that is the same but for the peer's port (RFC 9000 §9.4): what is known of it still holds, but what was sent to the former port
   * may never arrive, and says nothing about congestion.
   */
  leavePath(now: Micros): void {
    for (let n = this.sent.first; n < this.sent.next; n++) this.sent.at(n).inFlight = false;
    this.#bytesInFlight = 0;
    this.#pathStart = this.sent.next;
    this.#utilisedThrough = -1;
    this.#lossRunStart = -1;
    this.#ptoCount = 0;
    this.#ptoStart = now;
  }

  /** Forgets all packets without reporting them, when the connection is over. No timer is armed afterwards. */
  discard(): void {
    this.sent.clear();
    this.#lost.clear();
    this.#bytesInFlight = 0;
    this.#eliciting = 0;
    this.#lossTime = NEVER;
  }

  /** A packet is settled: it no longer counts as in flight or outstanding. */
  #leaveFlight(packet: SentPacket<F>): void {
    if (packet.inFlight) this.#bytesInFlight -= packet.size;
    if (packet.ackEliciting) this.#eliciting--;
  }

  /**
   * Forgets packets at the ring's front that nobody has to acknowledge, if they were sent before `horizon` or the ring is
   * full: a side that only ever acknowledges must not fill it.
   */
  #forgetIdle(horizon: number): void {
    const sent = this.sent;
    while (sent.size > 0) {
      const packet = sent.at(sent.first);
      if (packet.state === ACKED) {
        this.#lossRunStart = -1;
      } else if (packet.state !== SKIPPED) {
        if (packet.ackEliciting || (packet.timeSent >= horizon && !sent.isFull)) return;
        this.#leaveFlight(packet);
        sent.release(packet);
        this.stats.forgotten++;
      }
      sent.shift();
    }
  }

  /** Reports what one ACK acknowledged. */
  #settleAcked(now: Micros, count: number): void {
    const congestion = this.#congestion, handler = this.#handler, stats = this.stats;
    for (let i = 0; i < count; i++) {
      const packet = this.#newlyAcked[i];
      stats.packetsAcked++;
      stats.bytesAcked += packet.size;
      if (packet.inFlight) {
        congestion.onPacketAcked(packet, now, this.rtt, packet.packetNumber > this.#utilisedThrough);
        this.observer?.onAcked(packet);
      }
      for (let f = 0; f < packet.frameCount; f++) handler.onFrameAcked(packet.frames[f] as F, packet);
      this.sent.release(packet);
    }
    congestion.onAckEnd(now, this.rtt, this.#bytesInFlight);
  }

  /**
   * Declares packets lost and moves the ring's front on (RFC 9002 §A.10). Both tests are monotonic in the packet number, so
   * losses are a prefix of what is outstanding, and each packet is passed once.
   */
  #detectLost(now: Micros): void {
    const sent = this.sent;
    const lossDelay = this.reordering.lossDelay(this.rtt);
    const lostByNumber = this.#largestAcked - this.reordering.packetThreshold;
    while (sent.first <= this.#largestAcked && sent.first < sent.next) {
      const packet = sent.at(sent.first);
      if (packet.state !== OUTSTANDING) {
        if (packet.state === ACKED) this.#lossRunStart = -1;
        sent.shift();
        continue;
      }
      if (packet.packetNumber > lostByNumber && packet.timeSent + lossDelay > now) break;
      this.#lose(packet, now);
    }
    this.#armLossTimer(lossDelay);
    this.#endLossPass(now);
  }

  /** The front of the ring is lost. */
  #lose(packet: SentPacket<F>, now: Micros): void {
    packet.state = LOST;
    this.sent.shift();
    this.#leaveFlight(packet);
    this.stats.packetsLost++;
    this.stats.bytesLost += packet.size;
    // Packets of a former path are no longer marked as in flight.
    if (packet.inFlight) this.observer?.onLost(packet);
    if (packet.inFlight && !packet.mtuProbe) {
      this.#lost.add(packet.packetNumber, packet.timeSent, now);
      this.#congestionLosses++;
      this.#newestLostSent = packet.timeSent;
      this.#congestion.onPacketLost(packet, now);
      if (packet.ackEliciting && packet.timeSent > this.rtt.firstSampleAt) this.#extendLossRun(packet.timeSent);
    }
    const handler = this.#handler;
    for (let f = packet.probed ? packet.frameCount : 0; f < packet.frameCount; f++) {
      handler.onFrameLost(packet.frames[f] as F, packet);
    }
    this.sent.release(packet);
  }

  /** Persistent congestion: every packet of a long enough stretch was lost (RFC 9002 §7.6). */
  #extendLossRun(timeSent: Micros): void {
    if (this.#lossRunStart < 0) this.#lossRunStart = timeSent;
    else if (timeSent - this.#lossRunStart > PERSISTENT_CONGESTION_THRESHOLD * this.pto()) this.#persistent = true;
  }

  /** Arms the loss timer anew for the first ack-eliciting packet with an acknowledged one behind it. */
  #armLossTimer(lossDelay: Micros): void {
    const sent = this.sent;
    const end = Math.min(this.#largestAcked, sent.next);
    this.#lossTime = NEVER;
    // At most `packetThreshold` packets: all below were lost a moment ago.
    for (let n = sent.first; n < end; n++) {
      const packet = sent.at(n);
      if (packet.state !== OUTSTANDING || !packet.ackEliciting) continue;
      this.#lossTime = micros(packet.timeSent + lossDelay);
      return;
    }
  }

  /** Tells the controller what a pass found. */
  #endLossPass(now: Micros): void {
    if (this.#congestionLosses === 0) return;
    this.stats.lossEvents++;
    this.reordering.onLoss(now, this.rtt);
    this.#congestion.onCongestionEvent(now, this.#newestLostSent, this.#congestionLosses, this.#bytesInFlight);
    this.#congestionLosses = 0;
    if (!this.#persistent) return;
    this.#persistent = false;
    this.#lossRunStart = -1;
    this.stats.persistentCongestion++;
    this.#congestion.onPersistentCongestion(now);
    this.rtt.onPersistentCongestion();
  }

  /** Looks for acknowledgements of packets that were declared lost. */
  #detectSpurious(now: Micros, largestBefore: number, ranges: Float64Array, rangeCount: number): void {
    const lost = this.#lost;
    for (let range = 0; range < rangeCount && lost.size > 0; range++) {
      const end = ranges[2 * range + 1];
      if (end < lost.numberAt(0)) return;
      const from = lost.indexFrom(ranges[2 * range]);
      let to = from;
      for (; to < lost.size && lost.numberAt(to) <= end; to++) {
        this.stats.spurious++;
        this.#lossRunStart = -1;
        this.#congestion.onSpuriousLoss(now, lost.lostAt(to));
        this.reordering.onSpurious(largestBefore - lost.numberAt(to), now - lost.sentAt(to), this.rtt);
      }
      if (to > from) lost.remove(from, to);
    }
  }

  /** Whether packets of no interest pile up behind one that was never acknowledged. */
  #isStuck(now: Micros): boolean {
    const sent = this.sent;
    return sent.size - this.#eliciting >= MAX_IDLE_PACKETS &&
      sent.at(sent.first).timeSent < now - INTEREST_IN_PTOS * this.pto();
  }

  /** The ring is exhausted, or stuck: gives up the packet at its front. */
  #makeRoom(now: Micros): void {
    const sent = this.sent;
    this.#lose(sent.at(sent.first), now);
    for (let state; sent.size > 0 && (state = sent.at(sent.first).state) !== OUTSTANDING; sent.shift()) {
      if (state === ACKED) this.#lossRunStart = -1;
    }
    this.#armLossTimer(this.reordering.lossDelay(this.rtt));
    this.#endLossPass(now);
  }
}
