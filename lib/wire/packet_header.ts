/**
 * Finding packets in a UDP datagram, and writing their 32-byte headers (SPEC §4).
 *
 * @module
 */

import { readSafeU64, readU16, readU32, writeSafeU64, writeU16, writeU32 } from "../base/bytes.ts";
import { type ConnectionId, readConnectionId, ZERO_CONNECTION_ID } from "./connection_id.ts";
import {
  CONNECTION_ID_SIZE,
  HeaderOffset,
  MIN_PROTECTED_BODY_SIZE,
  NONCE_SIZE,
  PACKET_HEADER_SIZE,
  PacketFlag,
} from "./constants.ts";

/**
 * Why the rest of a UDP datagram was dropped: fewer bytes than a header; a length beyond the end; a non-zero reserved
 * byte; HANDSHAKE together with another flag; a protected body that is too short to hold a byte and a tag.
 */
export type PacketDropReason = "short" | "length" | "reserved" | "flags" | "body";

const NO_BYTES = new Uint8Array(0);

/**
 * Walks over the packets of a UDP datagram without allocating. Nothing that it says is authenticated.
 *
 * @example
 * ```ts
 * import { ConnectionId, ZERO_CONNECTION_ID } from "./connection_id.ts";
 * import { WIRE_VERSION } from "./constants.ts";
 * import { PacketReader, writeHandshakePacket } from "./packet_header.ts";
 *
 * const datagram = new Uint8Array(100), message = new Uint8Array(68);
 * const sender = new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
 * writeHandshakePacket(datagram, 0, ZERO_CONNECTION_ID, 0, sender, WIRE_VERSION, message);
 *
 * const reader = new PacketReader();
 * reader.reset(datagram);
 * while (reader.next()) console.log(reader.isHandshake, reader.start, reader.end); // true 0 100
 * reader.dropReason; // undefined: there was nothing but packets
 * ```
 */
export class PacketReader {
  /** The UDP datagram under the cursor. */
  bytes: Uint8Array = NO_BYTES;
  /** Where the packet begins; its destination connection id is the first thing there. */
  start = 0;
  /** Where the body begins. */
  bodyStart = 0;
  /** Where the packet ends. */
  end = 0;
  /** Whether it is a handshake packet; otherwise it is a protected one, and still masked. */
  isHandshake = false;
  /** Wire version of a handshake packet; 0 for a protected one. */
  version = 0;
  /** Set when {@link next} has dropped the rest of the UDP datagram; undefined as long as all was well. */
  dropReason: PacketDropReason | undefined = undefined;

  #at = 0;

  /** Starts over with another UDP datagram. An empty one counts as `short`. */
  reset(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.start = 0;
    this.bodyStart = 0;
    this.end = 0;
    this.isHandshake = false;
    this.version = 0;
    this.dropReason = bytes.length === 0 ? "short" : undefined;
    this.#at = 0;
  }

  /** Moves to the next packet; false at the end, or when the rest cannot be a packet ({@link dropReason}). */
  next(): boolean {
    const bytes = this.bytes, start = this.#at, left = bytes.length - start;
    if (left === 0) return false;
    if (left < PACKET_HEADER_SIZE) return this.#drop("short");
    const length = readU16(bytes, start + HeaderOffset.LENGTH);
    if (length > left - PACKET_HEADER_SIZE) return this.#drop("length");
    if (bytes[start + HeaderOffset.RESERVED] !== 0) return this.#drop("reserved");
    const flags = bytes[start + HeaderOffset.FLAGS];
    const isHandshake = (flags & PacketFlag.HANDSHAKE) !== 0;
    if (isHandshake) {
      if (flags !== PacketFlag.HANDSHAKE) return this.#drop("flags");
    } else if (length < MIN_PROTECTED_BODY_SIZE) {
      return this.#drop("body");
    }
    this.start = start;
    this.bodyStart = start + PACKET_HEADER_SIZE;
    this.end = this.#at = this.bodyStart + length;
    this.isHandshake = isHandshake;
    this.version = isHandshake ? readU32(bytes, start + HeaderOffset.NONCE + CONNECTION_ID_SIZE) : 0;
    return true;
  }

  /** Copies the destination connection id. Dispatch with `ConnectionIdMap.getAt(bytes, start)` instead where you can. */
  get destinationId(): ConnectionId {
    return readConnectionId(this.bytes, this.start + HeaderOffset.DESTINATION);
  }

  /** Copies a handshake packet's sender id (which may be zero); the zero id for a protected packet. */
  get senderId(): ConnectionId {
    return this.isHandshake ? readConnectionId(this.bytes, this.start + HeaderOffset.NONCE) : ZERO_CONNECTION_ID;
  }

  /** A handshake packet's number, −1 if it is above 2^53 − 1. For tools: receivers do not check it. */
  get handshakePacketNumber(): number {
    return readSafeU64(this.bytes, this.start + HeaderOffset.PACKET_NUMBER);
  }

  #drop(reason: PacketDropReason): false {
    this.dropReason = reason;
    this.#at = this.bytes.length;
    return false;
  }
}

/**
 * Writes a header in clear; returns the position behind it, where the body begins.
 *
 * @param length bytes behind the header, tag included
 * @param nonce 12 bytes
 */
export function writePacketHeader(
  out: Uint8Array,
  at: number,
  dst: ConnectionId,
  packetNumber: number,
  flags: number,
  length: number,
  nonce: Uint8Array,
): number {
  copyConnectionId(out, at + HeaderOffset.DESTINATION, dst);
  writeSafeU64(out, at + HeaderOffset.PACKET_NUMBER, packetNumber);
  out[at + HeaderOffset.FLAGS] = flags;
  out[at + HeaderOffset.RESERVED] = 0;
  writeU16(out, at + HeaderOffset.LENGTH, length);
  for (let i = 0; i < NONCE_SIZE; i++) out[at + HeaderOffset.NONCE + i] = nonce[i];
  return at + PACKET_HEADER_SIZE;
}

/** Size of the handshake packet around a message of `messageLength` bytes. */
export function handshakePacketSize(messageLength: number): number {
  return PACKET_HEADER_SIZE + messageLength;
}

/**
 * Writes a whole handshake packet; returns the position behind it. Throws a RangeError if it does not fit into `out`.
 *
 * @param dst the receiver's connection id, the zero id in a first InitiatorHello
 * @param packetNumber how many handshake packets this side has sent before this one
 * @param senderId the sender's own connection id
 * @param message an encoded handshake message (SPEC §5)
 */
export function writeHandshakePacket(
  out: Uint8Array,
  at: number,
  dst: ConnectionId,
  packetNumber: number,
  senderId: ConnectionId,
  version: number,
  message: Uint8Array,
): number {
  const end = at + PACKET_HEADER_SIZE + message.length;
  if (message.length > 0xffff || end > out.length) {
    throw new RangeError(`a handshake message of ${message.length} bytes does not fit at ${at} of ${out.length}`);
  }
  copyConnectionId(out, at + HeaderOffset.DESTINATION, dst);
  writeSafeU64(out, at + HeaderOffset.PACKET_NUMBER, packetNumber);
  out[at + HeaderOffset.FLAGS] = PacketFlag.HANDSHAKE;
  out[at + HeaderOffset.RESERVED] = 0;
  writeU16(out, at + HeaderOffset.LENGTH, message.length);
  copyConnectionId(out, at + HeaderOffset.NONCE, senderId);
  writeU32(out, at + HeaderOffset.NONCE + CONNECTION_ID_SIZE, version);
  out.set(message, at + PACKET_HEADER_SIZE);
  return end;
}

function copyConnectionId(out: Uint8Array, at: number, id: ConnectionId): void {
  writeU32(out, at, id.low);
  writeU32(out, at + 4, id.high);
}
