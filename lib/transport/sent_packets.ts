/**
 * The packets that were sent and whose fate is open: a ring indexed by packet number.
 *
 * Records stay in their slots and are used again a lap later, so sending a packet allocates nothing once the ring has
 * grown to the size of the window.
 *
 * @module
 */

import { type Micros, micros } from "../base/time.ts";
import { MAX_TRACKED_PACKETS, RESERVED_PACKETS } from "./recovery_constants.ts";

/** Neither acknowledged nor declared lost. */
export const OUTSTANDING = 0;
/** Acknowledged; kept only while an older packet is still outstanding. */
export const ACKED = 1;
/** Declared lost; on its way out of the ring. */
export const LOST = 2;
/** Never sent: its number was left out. */
export const SKIPPED = 3;
/** What became of a packet: {@link OUTSTANDING}, {@link ACKED}, {@link LOST} or {@link SKIPPED}. */
export type PacketState = 0 | 1 | 2 | 3;

/** A sent packet. Valid until the call that handed it out returns: records are used again. */
export interface SentPacket<F> {
  /** Its number; the first packet of a connection is 0. */
  packetNumber: number;
  /** When it left. */
  timeSent: Micros;
  /** Bytes on the wire, UDP payload. */
  size: number;
  /** The peer has to acknowledge it. */
  ackEliciting: boolean;
  /** It counts towards bytes in flight. */
  inFlight: boolean;
  /** It probes for a larger datagram size: its loss says nothing about congestion (RFC 9000 §14.4). */
  mtuProbe: boolean;
  /** It left on another path than the one in use: when it is acknowledged says nothing about this one. */
  otherPath: boolean;
  /** A probe carries its frames again and answers for them from then on. */
  probed: boolean;
  /** What became of it so far. */
  state: PacketState;
  /** What it carried; only the first {@link frameCount} entries count. */
  frames: (F | undefined)[];
  /** How many frames it carried; 0 once they are settled. */
  frameCount: number;
  /** Scratch for delivery-rate estimation; written by the congestion controller in `onPacketSent`, else 0. */
  delivered: number;
  /** Scratch, as {@link delivered}. */
  deliveredAt: Micros;
  /** Scratch, as {@link delivered}. */
  firstSentAt: Micros;
  /** Scratch, as {@link delivered}. */
  lostBefore: number;
  /** Scratch, as {@link delivered}. */
  inFlightAtSend: number;
  /** Scratch, as {@link delivered}. */
  appLimited: boolean;
}

const FIRST_CAPACITY = 64;

/** The ring. Holds every packet from {@link first} up to {@link next}, without gaps. */
export class SentPackets<F> {
  #slots: (SentPacket<F> | undefined)[] = new Array(FIRST_CAPACITY).fill(undefined);
  #mask = FIRST_CAPACITY - 1;
  #first = 0;
  #next = 0;
  readonly #limit: number;
  readonly #reserve: number;

  /** @param limit most packets tracked at once; a power of two, at least 64. */
  constructor(limit: number = MAX_TRACKED_PACKETS) {
    if (limit < FIRST_CAPACITY || !Number.isInteger(Math.log2(limit))) {
      throw new RangeError(`the limit of tracked packets must be a power of two from ${FIRST_CAPACITY}, got ${limit}`);
    }
    this.#limit = limit;
    this.#reserve = Math.min(RESERVED_PACKETS, limit >>> 2);
  }

  /** Lowest packet number that is tracked; equals {@link next} when there is none. */
  get first(): number {
    return this.#first;
  }

  /** The number that the next packet must have; everything from here on was never sent. */
  get next(): number {
    return this.#next;
  }

  /** How many packets are tracked, settled ones between outstanding ones included. */
  get size(): number {
    return this.#next - this.#first;
  }

  /** Whether new data has to wait. Probes, acknowledgements and CLOSE still find a slot. */
  get isFull(): boolean {
    return this.#next - this.#first >= this.#limit - this.#reserve;
  }

  /** Whether not even a probe finds a slot; {@link push} must not be called. */
  get isExhausted(): boolean {
    return this.#next - this.#first >= this.#limit;
  }

  /** The record of a tracked packet; undefined if the number is outside the ring. */
  get(packetNumber: number): SentPacket<F> | undefined {
    if (packetNumber < this.#first || packetNumber >= this.#next) return undefined;
    return this.#slots[this.#slotOf(packetNumber)];
  }

  /** {@link get} for a number that is known to be tracked. */
  at(packetNumber: number): SentPacket<F> {
    return this.#slots[this.#slotOf(packetNumber)]!;
  }

  /**
   * Adds the next packet. The frames are copied: the caller keeps its array.
   *
   * @throws RangeError if the number is not {@link next}, or the ring is exhausted.
   */
  push(
    packetNumber: number,
    timeSent: Micros,
    size: number,
    ackEliciting: boolean,
    inFlight: boolean,
    mtuProbe: boolean,
    frames: readonly F[] | undefined,
    frameCount: number,
  ): SentPacket<F> {
    if (packetNumber !== this.#next) throw new RangeError(`expected packet number ${this.#next}, got ${packetNumber}`);
    if (this.isExhausted) throw new RangeError(`more than ${this.#limit} packets tracked`);
    if (this.#next - this.#first > this.#mask) this.#grow();
    const slot = this.#slotOf(packetNumber);
    let packet = this.#slots[slot];
    if (packet === undefined) packet = this.#slots[slot] = newRecord<F>();
    packet.packetNumber = packetNumber;
    packet.timeSent = timeSent;
    packet.size = size;
    packet.ackEliciting = ackEliciting;
    packet.inFlight = inFlight;
    packet.mtuProbe = mtuProbe;
    packet.otherPath = false;
    packet.probed = false;
    packet.state = OUTSTANDING;
    packet.delivered = 0;
    packet.deliveredAt = packet.firstSentAt = micros(0);
    packet.lostBefore = packet.inFlightAtSend = 0;
    packet.appLimited = false;
    packet.frameCount = frameCount;
    for (let i = 0; i < frameCount; i++) packet.frames[i] = frames![i];
    this.#next = packetNumber + 1;
    return packet;
  }

  /** Drops what a settled packet carried, so that the ring keeps nothing alive. */
  release(packet: SentPacket<F>): void {
    // Not `length = 0`, which would give the array's storage away.
    for (let i = 0; i < packet.frameCount; i++) packet.frames[i] = undefined;
    packet.frameCount = 0;
  }

  /** Removes the first packet from the ring; the caller has released it. */
  shift(): void {
    this.#first++;
  }

  /** Forgets everything that is tracked. */
  clear(): void {
    for (; this.#first < this.#next; this.#first++) this.release(this.at(this.#first));
  }

  #slotOf(packetNumber: number): number {
    // Bitwise operators see the number modulo 2^32, which keeps the low bits of any safe integer.
    return packetNumber & this.#mask;
  }

  #grow(): void {
    const capacity = 2 * (this.#mask + 1);
    const slots: (SentPacket<F> | undefined)[] = new Array(capacity).fill(undefined);
    for (let n = this.#first; n < this.#next; n++) slots[n & (capacity - 1)] = this.at(n);
    this.#slots = slots;
    this.#mask = capacity - 1;
  }
}

function newRecord<F>(): SentPacket<F> {
  return {
    packetNumber: 0,
    timeSent: micros(0),
    size: 0,
    ackEliciting: false,
    inFlight: false,
    mtuProbe: false,
    otherPath: false,
    probed: false,
    state: OUTSTANDING,
    frames: [],
    frameCount: 0,
    delivered: 0,
    deliveredAt: micros(0),
    firstSentAt: micros(0),
    lostBefore: 0,
    inFlightAtSend: 0,
    appLimited: false,
  };
}
