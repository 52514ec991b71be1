/**
 * The 32 bytes in front of every message (SPEC §2.1).
 *
 * @module
 */

import { readU16, readU32 } from "../base/bytes.ts";
import { CodecError } from "./codec_error.ts";
import { messageKind } from "./message_type.ts";

/** The magic number; on the wire 31 50 58 4D. */
export const MESSAGE_MAGIC = 0x4d58_5031;
/** Length of a message header. */
export const MESSAGE_HEADER_BYTES = 32;
/** Length of the checksum behind the payload. */
export const MESSAGE_CHECKSUM_BYTES = 8;
/** What a message is longer than its payload. */
export const MESSAGE_OVERHEAD_BYTES: number = MESSAGE_HEADER_BYTES + MESSAGE_CHECKSUM_BYTES;
/** The largest payload, 16 MiB. */
export const MAX_PAYLOAD_BYTES = 16_777_216;

/** Flags of a message. Bits 4 to 7 are 0. */
export const MessageFlag = {
  /** The payload is one zstd frame. */
  COMPRESSED: 0x01,
  /** The payload is sealed to the recipient's static key. */
  ENCRYPTED: 0x02,
  /** The receiver answers Ack when its handler has accepted the message. */
  REQUIRES_ACK: 0x04,
  /** The last message of a sequence; on a heartbeat: deregister. */
  FINAL: 0x08,
} as const;

/** The bits that no flag uses; and the same with the reserved bytes, in the header's second u32. */
const UNUSED_FLAGS = 0xf0;
const UNUSED_SECOND_WORD = 0xffff_f000;
const TWO_32 = 0x1_0000_0000;

/** What a sender says in a header; magic, reserved bytes and length follow from the rest. A {@link MessageHeaderView} is one. */
export interface MessageHeader {
  /** A {@link MessageType} or an extension type. */
  readonly type: number;
  /** {@link MessageFlag}s, ORed. */
  readonly flags: number;
  /** The lower half of the message id. Opaque. */
  readonly idLow: number;
  /** The upper half of the message id. */
  readonly idHigh: number;
  /** The lower half of the trace id. Opaque. */
  readonly traceLow: number;
  /** The upper half of the trace id. */
  readonly traceHigh: number;
}

/** 1 for every type that a message may have. Read only. */
const KNOWN_TYPES: Uint8Array = Uint8Array.from({ length: 256 }, (_, type) => messageKind(type) === undefined ? 0 : 1);

/**
 * What is wrong with the 32 bytes at `at`, if anything. `maxPayload` may be smaller than the protocol's own limit.
 * The caller has checked that 32 bytes are there.
 */
export function checkMessageHeader(
  bytes: Uint8Array,
  at: number,
  maxPayload: number = MAX_PAYLOAD_BYTES,
): CodecError | undefined {
  // One test for everything: it is the good headers that have to be fast.
  if (
    readU32(bytes, at) === MESSAGE_MAGIC && KNOWN_TYPES[bytes[at + 4]] === 1 &&
    ((bytes[at + 5] & UNUSED_FLAGS) | bytes[at + 6] | bytes[at + 7]) === 0 &&
    readU32(bytes, at + 24) <= maxPayload && readU32(bytes, at + 28) === 0
  ) return undefined;
  return explainHeader(bytes, at, maxPayload);
}

/** {@link checkMessageHeader} through a view of the same bytes, in which the message begins at `viewAt`: a third of the time. */
export function checkMessageHeaderView(
  view: DataView,
  viewAt: number,
  bytes: Uint8Array,
  at: number,
  maxPayload: number,
): CodecError | undefined {
  if (
    view.getUint32(viewAt, true) === MESSAGE_MAGIC && KNOWN_TYPES[view.getUint8(viewAt + 4)] === 1 &&
    (view.getUint32(viewAt + 4, true) & UNUSED_SECOND_WORD) === 0 &&
    view.getUint32(viewAt + 24, true) <= maxPayload && view.getUint32(viewAt + 28, true) === 0
  ) return undefined;
  return explainHeader(bytes, at, maxPayload);
}

/** The first thing that is wrong, in the order of SPEC §2.4. */
function explainHeader(bytes: Uint8Array, at: number, maxPayload: number): CodecError {
  const magic = readU32(bytes, at);
  if (magic !== MESSAGE_MAGIC) return new CodecError("wrong_magic", { seen: magic, expected: MESSAGE_MAGIC });
  if (KNOWN_TYPES[bytes[at + 4]] !== 1) return new CodecError("unknown_type", { seen: bytes[at + 4] });
  if ((bytes[at + 5] & UNUSED_FLAGS) !== 0) return new CodecError("bad_flags", { seen: bytes[at + 5] });
  const reserved = readU16(bytes, at + 6);
  if (reserved !== 0) return new CodecError("reserved_not_zero", { seen: reserved, expected: 0 });
  const length = readU32(bytes, at + 28) * TWO_32 + readU32(bytes, at + 24);
  return new CodecError("payload_too_large", { seen: length, expected: maxPayload });
}

/**
 * Writes a header; the caller has checked that there is room.
 *
 * @throws RangeError for a type or flags that no receiver would accept.
 */
export function writeMessageHeader(out: Uint8Array, at: number, header: MessageHeader, payloadLength: number): void {
  const { type, flags, idLow, idHigh, traceLow, traceHigh } = header;
  checkOwnHeader(type, flags);
  out[at] = 0x31;
  out[at + 1] = 0x50;
  out[at + 2] = 0x58;
  out[at + 3] = 0x4d;
  out[at + 4] = type;
  out[at + 5] = flags;
  out[at + 6] = 0;
  out[at + 7] = 0;
  out[at + 8] = idLow;
  out[at + 9] = idLow >>> 8;
  out[at + 10] = idLow >>> 16;
  out[at + 11] = idLow >>> 24;
  out[at + 12] = idHigh;
  out[at + 13] = idHigh >>> 8;
  out[at + 14] = idHigh >>> 16;
  out[at + 15] = idHigh >>> 24;
  out[at + 16] = traceLow;
  out[at + 17] = traceLow >>> 8;
  out[at + 18] = traceLow >>> 16;
  out[at + 19] = traceLow >>> 24;
  out[at + 20] = traceHigh;
  out[at + 21] = traceHigh >>> 8;
  out[at + 22] = traceHigh >>> 16;
  out[at + 23] = traceHigh >>> 24;
  out[at + 24] = payloadLength;
  out[at + 25] = payloadLength >>> 8;
  out[at + 26] = payloadLength >>> 16;
  out[at + 27] = payloadLength >>> 24;
  out[at + 28] = 0;
  out[at + 29] = 0;
  out[at + 30] = 0;
  out[at + 31] = 0;
}

/** {@link writeMessageHeader} through a view: a quarter of the time. */
export function writeMessageHeaderView(view: DataView, at: number, header: MessageHeader, payloadLength: number): void {
  const { type, flags } = header;
  checkOwnHeader(type, flags);
  view.setUint32(at, MESSAGE_MAGIC, true);
  view.setUint32(at + 4, type | (flags << 8), true);
  view.setUint32(at + 8, header.idLow, true);
  view.setUint32(at + 12, header.idHigh, true);
  view.setUint32(at + 16, header.traceLow, true);
  view.setUint32(at + 20, header.traceHigh, true);
  view.setUint32(at + 24, payloadLength, true);
  view.setUint32(at + 28, 0, true);
}

/** Refuses what no receiver would accept. */
function checkOwnHeader(type: number, flags: number): void {
  if (KNOWN_TYPES[type] !== 1) throw new RangeError(`unknown message type ${type}`);
  if ((flags & ~0x0f) !== 0) throw new RangeError(`bad message flags ${flags}`);
}

/**
 * A header that was found good, read from the bytes when asked. Valid for as long as the bytes are: keepers copy what they
 * need.
 */
export class MessageHeaderView implements MessageHeader {
  // `declare`: fields that are defined and then assigned make a view two to four times as expensive on V8.
  /** The buffer that holds the message. */
  declare readonly bytes: Uint8Array;
  /** Where in it the message begins. */
  declare readonly at: number;
  /** Length of the payload, at most {@link MAX_PAYLOAD_BYTES}. */
  declare readonly payloadLength: number;

  /** For the codec: takes on trust that the header at `at` was checked. */
  constructor(bytes: Uint8Array, at: number, payloadLength: number) {
    this.bytes = bytes;
    this.at = at;
    this.payloadLength = payloadLength;
  }

  /** A {@link MessageType} or an extension type. */
  get type(): number {
    return this.bytes[this.at + 4];
  }

  /** {@link MessageFlag}s, ORed. */
  get flags(): number {
    return this.bytes[this.at + 5];
  }

  /** The lower half of the message id. */
  get idLow(): number {
    return readU32(this.bytes, this.at + 8);
  }

  /** The upper half of the message id. */
  get idHigh(): number {
    return readU32(this.bytes, this.at + 12);
  }

  /** The lower half of the trace id. */
  get traceLow(): number {
    return readU32(this.bytes, this.at + 16);
  }

  /** The upper half of the trace id. */
  get traceHigh(): number {
    return readU32(this.bytes, this.at + 20);
  }

  /** The message id as a BigInt. For people and logs, not for hot paths. */
  get messageId(): bigint {
    return (BigInt(this.idHigh) << 32n) | BigInt(this.idLow);
  }

  /** The trace id as a BigInt. For people and logs, not for hot paths. */
  get traceId(): bigint {
    return (BigInt(this.traceHigh) << 32n) | BigInt(this.traceLow);
  }

  /** Length of the whole message: header, payload, checksum. */
  get messageLength(): number {
    return this.payloadLength + MESSAGE_OVERHEAD_BYTES;
  }
}
