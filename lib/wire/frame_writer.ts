/**
 * Writing frames (SPEC §7). Every function writes at `at` and returns the position behind the frame. None of them checks
 * that the frame fits: a packet builder asks for the size first.
 *
 * @module
 */

import { writeSafeU64, writeU16, writeU32 } from "../base/bytes.ts";
import type { RangeSet } from "../base/range_set.ts";
import type { ConnectionId } from "./connection_id.ts";
import {
  CONNECTION_ID_SIZE,
  ControlOp,
  FrameType,
  MAX_CLOSE_REASON_SIZE,
  MAX_TICKET_SIZE,
  PATH_CHALLENGE_SIZE,
  RESET_TOKEN_SIZE,
  StreamDataFlag,
  TICKET_PREFIX_SIZE,
} from "./constants.ts";
import type { StreamId, StreamKind } from "./stream_id.ts";

/** STREAM_OPEN: all of it. */
export const STREAM_OPEN_SIZE = 10;
/** STREAM_DATA: what precedes the data, without a class byte. */
export const STREAM_DATA_OVERHEAD = 19;
/** STREAM_DATA that opens the stream: what precedes the data, class byte included. */
export const STREAM_DATA_OPEN_OVERHEAD = 20;
/** STREAM_FIN: all of it. */
export const STREAM_FIN_SIZE = 17;
/** DATAGRAM: what precedes the data. */
export const DATAGRAM_OVERHEAD = 3;
/** ACK: what precedes the ranges. */
export const ACK_OVERHEAD = 19;
/** ACK: each range. */
export const ACK_RANGE_SIZE = 16;
/** CRYPTO: what precedes the data. */
export const CRYPTO_OVERHEAD = 11;
/** STREAM_MAX_DATA: all of it. */
export const STREAM_MAX_DATA_SIZE = 17;
/** CONNECTION_MAX_DATA: all of it. */
export const CONNECTION_MAX_DATA_SIZE = 9;
/** CONTROL: what precedes the body. */
export const CONTROL_OVERHEAD = 4;
/** CONTROL PING: all of it. */
export const PING_SIZE = CONTROL_OVERHEAD;
/** CONTROL HANDSHAKE_DONE: all of it. */
export const HANDSHAKE_DONE_SIZE = CONTROL_OVERHEAD;
/** CONTROL ACK_FREQUENCY: all of it. */
export const ACK_FREQUENCY_SIZE = CONTROL_OVERHEAD + 1;
/** CONTROL CLOSE: what precedes the reason. */
export const CLOSE_OVERHEAD = CONTROL_OVERHEAD + 2;
/** CONTROL RESET_STREAM: all of it. */
export const RESET_STREAM_SIZE = CONTROL_OVERHEAD + 18;
/** CONTROL STOP_SENDING: all of it. */
export const STOP_SENDING_SIZE = CONTROL_OVERHEAD + 10;
/** CONTROL MAX_STREAMS: all of it. */
export const MAX_STREAMS_SIZE = CONTROL_OVERHEAD + 9;
/** CONTROL NEW_CONNECTION_ID: all of it. */
export const NEW_CONNECTION_ID_SIZE = CONTROL_OVERHEAD + 16 + CONNECTION_ID_SIZE + RESET_TOKEN_SIZE;
/** CONTROL RETIRE_CONNECTION_ID: all of it. */
export const RETIRE_CONNECTION_ID_SIZE = CONTROL_OVERHEAD + 8;
/** CONTROL PATH_CHALLENGE and PATH_RESPONSE: all of it. */
export const PATH_CHALLENGE_FRAME_SIZE = CONTROL_OVERHEAD + PATH_CHALLENGE_SIZE;
/** CONTROL TICKET: what precedes the ticket. */
export const TICKET_OVERHEAD = CONTROL_OVERHEAD + TICKET_PREFIX_SIZE;
/** CONTROL DATA_BLOCKED: all of it. */
export const DATA_BLOCKED_SIZE = CONTROL_OVERHEAD + 8;
/** CONTROL STREAM_DATA_BLOCKED: all of it. */
export const STREAM_DATA_BLOCKED_SIZE = CONTROL_OVERHEAD + 16;
/** CONTROL STREAMS_BLOCKED: all of it. */
export const STREAMS_BLOCKED_SIZE = CONTROL_OVERHEAD + 9;

/** The class argument of a STREAM_DATA frame that does not open its stream. */
export const NOT_OPENING = -1;

/** Size of an ACK frame. */
export function ackSize(rangeCount: number): number {
  return ACK_OVERHEAD + ACK_RANGE_SIZE * rangeCount;
}

/** How many ranges fit into an ACK frame of at most `room` bytes; below 1 when not even one does. */
export function ackRangesThatFit(room: number): number {
  return Math.floor((room - ACK_OVERHEAD) / ACK_RANGE_SIZE);
}

/** PADDING: `length` bytes of it. */
export function writePadding(out: Uint8Array, at: number, length: number): number {
  out.fill(0, at, at + length);
  return at + length;
}

/** STREAM_OPEN. */
export function writeStreamOpen(out: Uint8Array, at: number, streamId: StreamId, streamClass: number): number {
  out[at] = FrameType.STREAM_OPEN;
  writeSafeU64(out, at + 1, streamId);
  out[at + 9] = streamClass;
  return at + STREAM_OPEN_SIZE;
}

/**
 * STREAM_DATA up to where its data begins, so that the caller copies the data to its place once.
 *
 * @param length bytes of data that the caller will put behind it
 * @param openClass the stream's class if this frame opens it, else {@link NOT_OPENING}
 */
export function writeStreamDataHeader(
  out: Uint8Array,
  at: number,
  streamId: StreamId,
  offset: number,
  length: number,
  fin: boolean,
  openClass: number,
): number {
  const open = openClass !== NOT_OPENING;
  out[at] = FrameType.STREAM_DATA | (fin ? StreamDataFlag.FIN : 0) | (open ? StreamDataFlag.OPEN : 0);
  writeSafeU64(out, at + 1, streamId);
  writeSafeU64(out, at + 9, offset);
  writeU16(out, at + 17, length);
  if (!open) return at + STREAM_DATA_OVERHEAD;
  out[at + 19] = openClass;
  return at + STREAM_DATA_OPEN_OVERHEAD;
}

/** STREAM_DATA with its data. See {@link writeStreamDataHeader}. */
export function writeStreamData(
  out: Uint8Array,
  at: number,
  streamId: StreamId,
  offset: number,
  data: Uint8Array,
  fin: boolean,
  openClass: number = NOT_OPENING,
): number {
  const dataAt = writeStreamDataHeader(out, at, streamId, offset, data.length, fin, openClass);
  out.set(data, dataAt);
  return dataAt + data.length;
}

/** STREAM_FIN. */
export function writeStreamFin(out: Uint8Array, at: number, streamId: StreamId, finalSize: number): number {
  out[at] = FrameType.STREAM_FIN;
  writeSafeU64(out, at + 1, streamId);
  writeSafeU64(out, at + 9, finalSize);
  return at + STREAM_FIN_SIZE;
}

/** DATAGRAM with its data. */
export function writeDatagram(out: Uint8Array, at: number, data: Uint8Array): number {
  out[at] = FrameType.DATAGRAM;
  writeU16(out, at + 1, data.length);
  out.set(data, at + DATAGRAM_OVERHEAD);
  return at + DATAGRAM_OVERHEAD + data.length;
}

/**
 * ACK of the highest ranges of a set, which must not be empty.
 *
 * @param delay microseconds since the largest packet arrived; a fraction is cut off
 * @param maxRanges at least 1; lower ranges beyond it are left out
 */
export function writeAck(out: Uint8Array, at: number, delay: number, ranges: RangeSet, maxRanges: number): number {
  const count = Math.min(ranges.count, maxRanges);
  if (count < 1) throw new RangeError("an ack needs at least one range");
  out[at] = FrameType.ACK;
  writeSafeU64(out, at + 1, ranges.max);
  writeSafeU64(out, at + 9, delay);
  at = writeU16(out, at + 17, count);
  for (let i = ranges.count - 1, last = ranges.count - count; i >= last; i--) {
    writeSafeU64(out, at, ranges.startAt(i));
    at = writeSafeU64(out, at + 8, ranges.endAt(i));
  }
  return at;
}

/** CRYPTO with its data. */
export function writeCrypto(out: Uint8Array, at: number, offset: number, data: Uint8Array): number {
  out[at] = FrameType.CRYPTO;
  writeSafeU64(out, at + 1, offset);
  writeU16(out, at + 9, data.length);
  out.set(data, at + CRYPTO_OVERHEAD);
  return at + CRYPTO_OVERHEAD + data.length;
}

/** STREAM_MAX_DATA. */
export function writeStreamMaxData(out: Uint8Array, at: number, streamId: StreamId, limit: number): number {
  out[at] = FrameType.STREAM_MAX_DATA;
  writeSafeU64(out, at + 1, streamId);
  writeSafeU64(out, at + 9, limit);
  return at + STREAM_MAX_DATA_SIZE;
}

/** CONNECTION_MAX_DATA. */
export function writeConnectionMaxData(out: Uint8Array, at: number, limit: number): number {
  out[at] = FrameType.CONNECTION_MAX_DATA;
  writeSafeU64(out, at + 1, limit);
  return at + CONNECTION_MAX_DATA_SIZE;
}

/** Type, op and body length; returns where the body begins. */
function writeControlHeader(out: Uint8Array, at: number, op: number, length: number): number {
  out[at] = FrameType.CONTROL;
  out[at + 1] = op;
  return writeU16(out, at + 2, length);
}

/** CONTROL with any op and body, for tools and tests. */
export function writeControl(out: Uint8Array, at: number, op: number, body: Uint8Array): number {
  at = writeControlHeader(out, at, op, body.length);
  out.set(body, at);
  return at + body.length;
}

/** CONTROL PING. */
export function writePing(out: Uint8Array, at: number): number {
  return writeControlHeader(out, at, ControlOp.PING, 0);
}

/** CONTROL HANDSHAKE_DONE. */
export function writeHandshakeDone(out: Uint8Array, at: number): number {
  return writeControlHeader(out, at, ControlOp.HANDSHAKE_DONE, 0);
}

/** CONTROL ACK_FREQUENCY. `threshold` is a number of packets from 1 to 255. */
export function writeAckFrequency(out: Uint8Array, at: number, threshold: number): number {
  at = writeControlHeader(out, at, ControlOp.ACK_FREQUENCY, 1);
  out[at] = threshold;
  return at + 1;
}

/**
 * CONTROL CLOSE.
 *
 * @param reason UTF-8, see {@link encodeCloseReason}; a RangeError above 256 bytes
 */
export function writeClose(out: Uint8Array, at: number, code: number, reason: Uint8Array): number {
  if (reason.length > MAX_CLOSE_REASON_SIZE) {
    throw new RangeError(`a close reason has at most ${MAX_CLOSE_REASON_SIZE} bytes, got ${reason.length}`);
  }
  at = writeControlHeader(out, at, ControlOp.CLOSE, 2 + reason.length);
  at = writeU16(out, at, code);
  out.set(reason, at);
  return at + reason.length;
}

/** A reason as UTF-8, cut between characters to `maxSize` (at most 256) bytes. */
export function encodeCloseReason(reason: string, maxSize: number = MAX_CLOSE_REASON_SIZE): Uint8Array {
  const bytes = new TextEncoder().encode(reason);
  const most = Math.max(0, Math.min(maxSize, MAX_CLOSE_REASON_SIZE));
  if (bytes.length <= most) return bytes;
  let end = most;
  while (end > 0 && (bytes[end] & 0xc0) === 0x80) end--;
  return bytes.slice(0, end);
}

/** CONTROL RESET_STREAM. */
export function writeResetStream(
  out: Uint8Array,
  at: number,
  streamId: StreamId,
  code: number,
  finalSize: number,
): number {
  at = writeControlHeader(out, at, ControlOp.RESET_STREAM, 18);
  at = writeSafeU64(out, at, streamId);
  at = writeU16(out, at, code);
  return writeSafeU64(out, at, finalSize);
}

/** CONTROL STOP_SENDING. */
export function writeStopSending(out: Uint8Array, at: number, streamId: StreamId, code: number): number {
  at = writeControlHeader(out, at, ControlOp.STOP_SENDING, 10);
  at = writeSafeU64(out, at, streamId);
  return writeU16(out, at, code);
}

/** CONTROL MAX_STREAMS. */
export function writeMaxStreams(out: Uint8Array, at: number, kind: StreamKind, limit: number): number {
  at = writeControlHeader(out, at, ControlOp.MAX_STREAMS, 9);
  out[at] = kind;
  return writeSafeU64(out, at + 1, limit);
}

/**
 * CONTROL NEW_CONNECTION_ID.
 *
 * @param retirePriorTo ids with lower sequence numbers are to be retired
 * @param resetToken 16 bytes
 */
export function writeNewConnectionId(
  out: Uint8Array,
  at: number,
  sequence: number,
  retirePriorTo: number,
  id: ConnectionId,
  resetToken: Uint8Array,
): number {
  if (resetToken.length !== RESET_TOKEN_SIZE) {
    throw new RangeError(`a reset token has ${RESET_TOKEN_SIZE} bytes, got ${resetToken.length}`);
  }
  at = writeControlHeader(out, at, ControlOp.NEW_CONNECTION_ID, NEW_CONNECTION_ID_SIZE - CONTROL_OVERHEAD);
  at = writeSafeU64(out, at, sequence);
  at = writeSafeU64(out, at, retirePriorTo);
  out.set(id.bytes, at);
  out.set(resetToken, at + CONNECTION_ID_SIZE);
  return at + CONNECTION_ID_SIZE + RESET_TOKEN_SIZE;
}

/** CONTROL RETIRE_CONNECTION_ID. */
export function writeRetireConnectionId(out: Uint8Array, at: number, sequence: number): number {
  return writeSafeU64(out, writeControlHeader(out, at, ControlOp.RETIRE_CONNECTION_ID, 8), sequence);
}

/** CONTROL PATH_CHALLENGE. `data` has 8 bytes. */
export function writePathChallenge(out: Uint8Array, at: number, data: Uint8Array): number {
  return writePathFrame(out, at, ControlOp.PATH_CHALLENGE, data);
}

/** CONTROL PATH_RESPONSE. `data` has the challenge's 8 bytes. */
export function writePathResponse(out: Uint8Array, at: number, data: Uint8Array): number {
  return writePathFrame(out, at, ControlOp.PATH_RESPONSE, data);
}

function writePathFrame(out: Uint8Array, at: number, op: number, data: Uint8Array): number {
  if (data.length !== PATH_CHALLENGE_SIZE) {
    throw new RangeError(`a path challenge has ${PATH_CHALLENGE_SIZE} bytes, got ${data.length}`);
  }
  return writeControl(out, at, op, data);
}

/** CONTROL TICKET; a RangeError unless the ticket has 1 to 256 bytes. */
export function writeTicket(out: Uint8Array, at: number, lifetime: number, number: number, ticket: Uint8Array): number {
  if (ticket.length < 1 || ticket.length > MAX_TICKET_SIZE) {
    throw new RangeError(`a ticket has 1 to ${MAX_TICKET_SIZE} bytes, got ${ticket.length}`);
  }
  at = writeControlHeader(out, at, ControlOp.TICKET, TICKET_PREFIX_SIZE + ticket.length);
  at = writeU32(out, at, lifetime);
  at = writeU32(out, at, number);
  out.set(ticket, at);
  return at + ticket.length;
}

/** CONTROL DATA_BLOCKED. */
export function writeDataBlocked(out: Uint8Array, at: number, limit: number): number {
  return writeSafeU64(out, writeControlHeader(out, at, ControlOp.DATA_BLOCKED, 8), limit);
}

/** CONTROL STREAM_DATA_BLOCKED. */
export function writeStreamDataBlocked(out: Uint8Array, at: number, streamId: StreamId, limit: number): number {
  at = writeControlHeader(out, at, ControlOp.STREAM_DATA_BLOCKED, 16);
  at = writeSafeU64(out, at, streamId);
  return writeSafeU64(out, at, limit);
}

/** CONTROL STREAMS_BLOCKED. */
export function writeStreamsBlocked(out: Uint8Array, at: number, kind: StreamKind, limit: number): number {
  at = writeControlHeader(out, at, ControlOp.STREAMS_BLOCKED, 9);
  out[at] = kind;
  return writeSafeU64(out, at + 1, limit);
}
