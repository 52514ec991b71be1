/**
 * Builds, seals and registers the protected packets of a connection: what may leave now, what goes into it, in which order.
 *
 * @module
 */

import type { Random } from "../base/random.ts";
import { type Micros, NEVER } from "../base/time.ts";
import { TAG_LENGTH } from "../crypto/types.ts";
import type { ConnectionId } from "../wire/connection_id.ts";
import { MAX_SAFE_U64, MIN_PATH_DATAGRAM_SIZE, PACKET_HEADER_SIZE, PacketFlag } from "../wire/constants.ts";
import {
  ackRangesThatFit,
  encodeCloseReason,
  PING_SIZE,
  writeAck,
  writeClose,
  writePadding,
  writePathChallenge,
  writePathResponse,
  writePing,
} from "../wire/frame_writer.ts";
import { type CloseState, MAX_CLOSES } from "./close_state.ts";
import type { ConnectionIds } from "./connection_ids.ts";
import { type ControlQueue, NO_TOKEN } from "./control_queue.ts";
import type { IdleTimer } from "./idle_timer.ts";
import type { KeyPhases } from "./key_phases.ts";
import type { LossDetection } from "./loss_detection.ts";
import type { Pacer } from "./pacer.ts";
import type { ReceivedPackets } from "./received_packets.ts";
import type { SentFrame } from "./sent_frame.ts";
import { SkippedNumbers } from "./skipped_numbers.ts";
import type { StreamLayer } from "./stream_layer.ts";

/** Less room than this is not worth a packet. */
const LEAST_PACKET_ROOM = 64;
/** ACK ranges in one frame: plenty for real networks, and the oldest ones matter least. */
const MAX_ACK_RANGES = 32;
/** After this many packets that need no acknowledgement, one asks for it, so that the peer's list of ranges can be cut (RFC 9000 §13.2.4). */
const PACKETS_WITHOUT_ELICITING = 32;
/** A connection gives up before a packet number stops being a safe integer; far beyond any real one's life. */
const LAST_PACKET_NUMBER = MAX_SAFE_U64 - MAX_CLOSES;

/** The parts of a connection that have something to say, or a say, when a packet is built. */
export interface SenderParts {
  readonly received: ReceivedPackets;
  readonly control: ControlQueue;
  readonly ids: ConnectionIds;
  readonly streams: StreamLayer;
  readonly recovery: LossDetection<SentFrame>;
  readonly pacer: Pacer;
  readonly idle: IdleTimer;
  /** Scratch: the frames of the packet that is being built. */
  readonly frames: SentFrame[];
}

/** The sending half of packet protection, from the moment that the keys are there. */
export class PacketSender {
  /** Packets to send regardless of window and pacer, because a probe timeout expired. */
  probes = 0;
  readonly #parts: SenderParts;
  readonly #keys: KeyPhases;
  readonly #skipped: SkippedNumbers;
  #nextPacketNumber = 0;
  #pacingUntil: Micros = NEVER;
  #sinceEliciting = 0;
  /** What an MTU probe waits for. Other packets, which are smaller, would always come first if they did not wait as well. */
  #reserved = 0;

  constructor(parts: SenderParts, keys: KeyPhases, random: Random) {
    this.#parts = parts;
    this.#keys = keys;
    this.#skipped = new SkippedNumbers(random);
  }

  /** When the pacer lets the next packet out; NEVER if it holds none back. */
  get pacingUntil(): Micros {
    return this.#pacingUntil;
  }

  /** Whether only CLOSE may be sent any more: the key, or the packet numbers, are used up. */
  get isUsedUp(): boolean {
    return this.#keys.isUsedUp || this.#nextPacketNumber >= LAST_PACKET_NUMBER;
  }

  /** Whether an acknowledgement names a packet that was left out, so that its sender cannot have seen what he acknowledges. */
  isFooled(ranges: Float64Array, rangeCount: number): boolean {
    return this.#skipped.isAcknowledged(ranges, rangeCount);
  }

  /** Writes one protected packet at `start`, if there is one to send; returns where the UDP datagram ends. */
  send(now: Micros, out: Uint8Array, start: number, limit: number): number {
    // The last probe of a timeout is no longer than what every path carries: if it arrives where longer ones do not, that says why.
    if (this.probes === 1) limit = Math.min(limit, MIN_PATH_DATAGRAM_SIZE);
    const end = limit - TAG_LENGTH;
    let at = start + PACKET_HEADER_SIZE;
    if (end - at < LEAST_PACKET_ROOM) return start;
    const { received, control, ids, streams, recovery, frames } = this.#parts;
    const isProbe = this.probes > 0;
    const carries = isProbe || this.#mayCarry(now, limit - start);
    if (!carries && !received.isAckDue(now)) return start;

    frames.length = 0;
    let flags = isProbe ? PacketFlag.PROBE : 0;
    if (received.ackPending) {
      const { ranges } = received;
      const count = Math.min(MAX_ACK_RANGES, received.rangesToReport, ackRangesThatFit(end - at));
      at = writeAck(out, at, received.ackDelay(now), ranges, count);
      frames.push({ type: "ack", largest: ranges.max });
      flags |= PacketFlag.ACK;
      received.onAckSent();
    }
    const beforeEliciting = at;
    if (carries) {
      at = control.write(out, at, end, frames);
      if (ids.hasPending) at = ids.write(out, at, end, frames);
      at = streams.writeControl(out, at, end, now, recovery.rtt.smoothed, frames);
      at = streams.writeData(out, at, end, frames);
    }
    if (at === start + PACKET_HEADER_SIZE && !isProbe) return start;
    if (at === beforeEliciting && (isProbe || this.#wantsAck(at + PING_SIZE + TAG_LENGTH - start))) {
      at = writePing(out, at);
      frames.push({ type: "ping", token: NO_TOKEN });
    }
    const eliciting = at !== beforeEliciting;
    if (eliciting) {
      flags |= PacketFlag.ACK_ELICITING;
      this.#sinceEliciting = 0;
    }
    return this.#seal(now, out, start, at, flags, eliciting);
  }

  #seal(
    now: Micros,
    out: Uint8Array,
    start: number,
    plaintextEnd: number,
    flags: number,
    eliciting: boolean,
    mtuProbe = false,
  ): number {
    const { recovery, pacer, idle, frames } = this.#parts;
    if (this.#skipped.skips(this.#nextPacketNumber)) recovery.skipPacketNumber(this.#nextPacketNumber++, now);
    const packetNumber = this.#nextPacketNumber++;
    this.#keys.updateIfDue(now);
    const end = this.#keys.seal(out, start, plaintextEnd, this.#parts.ids.remote.current!.id, packetNumber, flags);
    if (this.probes > 0 && eliciting) this.probes--;
    recovery.onPacketSent(packetNumber, now, end - start, eliciting, eliciting, frames, frames.length, mtuProbe);
    if (eliciting) {
      pacer.onSent(now, end - start);
      idle.onAckElicitingSent(now);
    }
    return end;
  }

  /** Whether a packet of this size that needs no acknowledgement should ask for one. */
  #wantsAck(size: number): boolean {
    return ++this.#sinceEliciting >= PACKETS_WITHOUT_ELICITING && this.#parts.recovery.canSend(size);
  }

  /** Whether a packet with more than acknowledgements may leave, as far as congestion control is concerned, and there is something for it. */
  #mayCarry(now: Micros, size: number): boolean {
    const { control, ids, streams, recovery, pacer } = this.#parts;
    this.#pacingUntil = NEVER;
    if (!control.hasPending && !streams.hasPending && !ids.hasPending) {
      recovery.noteAppLimited();
      return false;
    }
    size = Math.max(size, this.#reserved);
    if (!recovery.canSend(size)) return false;
    if (pacer.canSend(now, size)) return true;
    recovery.notePacingLimited();
    this.#pacingUntil = pacer.nextSendTime();
    return false;
  }

  /** Writes a packet that finds out whether a datagram of this size passes, if it may leave now; returns its size or 0. A `size` of 0: there is no need. */
  sendMtuProbe(now: Micros, out: Uint8Array, size: number): number {
    const { recovery, pacer, frames } = this.#parts;
    this.#reserved = 0;
    // A window that it would nearly fill has better uses.
    if (size === 0 || 2 * size > recovery.congestion.window) return 0;
    if (!recovery.canSend(size) || !pacer.canSend(now, size)) {
      this.#reserved = size;
      return 0;
    }
    const at = writePing(out, PACKET_HEADER_SIZE);
    const end = writePadding(out, at, size - TAG_LENGTH - at);
    frames.length = 0;
    frames.push({ type: "ping", token: NO_TOKEN });
    this.#sinceEliciting = 0;
    return this.#seal(now, out, 0, end, PacketFlag.ACK_ELICITING, true, true);
  }

  /**
   * Writes a packet for any path that only challenges it, or answers its challenge, at least `leastSize` bytes long; returns its size. Neither
   * congestion control nor loss recovery of the path in use have to do with it.
   */
  sendPathProbe(
    now: Micros,
    out: Uint8Array,
    dst: ConnectionId,
    challenge: Uint8Array | undefined,
    response: Uint8Array | undefined,
    leastSize: number,
  ): number {
    let at = PACKET_HEADER_SIZE;
    if (response !== undefined) at = writePathResponse(out, at, response);
    if (challenge !== undefined) at = writePathChallenge(out, at, challenge);
    if (at < leastSize - TAG_LENGTH) at = writePadding(out, at, leastSize - TAG_LENGTH - at);
    const packetNumber = this.#nextPacketNumber++;
    const size = this.#keys.seal(out, 0, at, dst, packetNumber, PacketFlag.ACK_ELICITING);
    this.#parts.recovery.onOtherPathPacketSent(packetNumber, now, size);
    return size;
  }

  /** Writes a packet with CLOSE, if one is due; returns its size, 0 if there is no room. Nothing else may be sent afterwards but CLOSE. */
  sendClose(out: Uint8Array, limit: number, close: CloseState): number {
    const reason = encodeCloseReason(close.message);
    if (!close.due || limit < PACKET_HEADER_SIZE + LEAST_PACKET_ROOM + reason.length + TAG_LENGTH) return 0;
    const at = writeClose(out, PACKET_HEADER_SIZE, close.code, reason);
    close.onSent();
    return this.#keys.seal(out, 0, at, this.#parts.ids.remote.current!.id, this.#nextPacketNumber++, 0);
  }
}
