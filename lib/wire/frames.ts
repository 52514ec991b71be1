/**
 * Frames as values, for tools and tests. The transport reads with `FrameReader` and writes with `writeX` instead.
 *
 * @module
 */

import { RangeSet } from "../base/range_set.ts";
import { CONTROL_OVERHEAD } from "./frame_writer.ts";
import * as write from "./frame_writer.ts";
import { type ConnectionId, readConnectionId } from "./connection_id.ts";
import { CONNECTION_ID_SIZE, ControlOp, FrameType, MAX_SAFE_U64 } from "./constants.ts";
import { FrameReader, FRAMES_END, FRAMES_ERROR } from "./frame_reader.ts";
import type { StreamId, StreamKind } from "./stream_id.ts";

/** One range of an ACK frame, both ends inclusive. */
export interface AckRange {
  readonly start: number;
  readonly end: number;
}

/** A frame. `data`, `reason` and `body` are views when they come from {@link decodeFrames}. */
export type Frame =
  | { readonly type: "padding"; readonly length: number }
  | { readonly type: "stream_open"; readonly streamId: StreamId; readonly streamClass: number }
  | {
    readonly type: "stream_data";
    readonly streamId: StreamId;
    readonly offset: number;
    readonly data: Uint8Array;
    readonly fin: boolean;
    /** Undefined unless the frame opens the stream. */
    readonly openClass: number | undefined;
  }
  | { readonly type: "stream_fin"; readonly streamId: StreamId; readonly finalSize: number }
  | { readonly type: "datagram"; readonly data: Uint8Array }
  | {
    readonly type: "ack";
    readonly largest: number;
    /** Microseconds. */
    readonly delay: number;
    /** From the highest down. */
    readonly ranges: readonly AckRange[];
  }
  | { readonly type: "crypto"; readonly offset: number; readonly data: Uint8Array }
  | { readonly type: "stream_max_data"; readonly streamId: StreamId; readonly limit: number }
  | { readonly type: "connection_max_data"; readonly limit: number }
  | { readonly type: "ping" }
  | { readonly type: "close"; readonly code: number; readonly reason: Uint8Array }
  | {
    readonly type: "reset_stream";
    readonly streamId: StreamId;
    readonly code: number;
    readonly finalSize: number;
  }
  | { readonly type: "stop_sending"; readonly streamId: StreamId; readonly code: number }
  | { readonly type: "max_streams"; readonly kind: StreamKind; readonly limit: number }
  | {
    readonly type: "new_connection_id";
    readonly sequence: number;
    readonly retirePriorTo: number;
    readonly id: ConnectionId;
    readonly resetToken: Uint8Array;
  }
  | { readonly type: "retire_connection_id"; readonly sequence: number }
  | { readonly type: "path_challenge"; readonly data: Uint8Array }
  | { readonly type: "path_response"; readonly data: Uint8Array }
  | { readonly type: "data_blocked"; readonly limit: number }
  | { readonly type: "stream_data_blocked"; readonly streamId: StreamId; readonly limit: number }
  | { readonly type: "streams_blocked"; readonly kind: StreamKind; readonly limit: number }
  | { readonly type: "handshake_done" }
  | { readonly type: "ack_frequency"; readonly threshold: number }
  | {
    readonly type: "ticket";
    /** Seconds. */
    readonly lifetime: number;
    readonly number: number;
    readonly ticket: Uint8Array;
  }
  /** A CONTROL frame whose op is reserved or unknown. */
  | { readonly type: "control"; readonly op: number; readonly body: Uint8Array };

/** The frames up to the end, or up to the first that breaks SPEC §7. */
export interface DecodedFrames {
  readonly frames: readonly Frame[];
  /** What is wrong with the next frame; undefined if all of the bytes were frames. */
  readonly error: string | undefined;
  /** Where decoding stopped: the length of the bytes, or the beginning of the broken frame. */
  readonly end: number;
}

/**
 * Decodes a packet's plaintext.
 *
 * @example
 * ```ts
 * import { decodeFrames, encodeFrame } from "./frames.ts";
 *
 * const plaintext = encodeFrame({ type: "datagram", data: Uint8Array.of(1, 2, 3) });
 * const { frames, error } = decodeFrames(plaintext);
 * for (const frame of frames) console.log(frame.type); // datagram
 * if (error !== undefined) console.log(error);
 * ```
 */
export function decodeFrames(bytes: Uint8Array): DecodedFrames {
  const reader = new FrameReader();
  reader.reset(bytes, 0, bytes.length);
  const frames: Frame[] = [];
  for (let type = reader.next(); type !== FRAMES_END; type = reader.next()) {
    if (type === FRAMES_ERROR) return { frames, error: reader.error, end: reader.frameStart };
    frames.push(currentFrame(reader, type));
  }
  return { frames, error: undefined, end: bytes.length };
}

/** The frame under a reader's cursor as a value; `type` is what its `next` has returned, and not negative. */
export function currentFrame(reader: FrameReader, type: number): Frame {
  const { streamId, offset, limit, finalSize } = reader;
  const data = reader.bytes.subarray(reader.dataStart, reader.dataEnd);
  switch (type) {
    case FrameType.PADDING:
      return { type: "padding", length: data.length };
    case FrameType.STREAM_OPEN:
      return { type: "stream_open", streamId, streamClass: reader.streamClass };
    case FrameType.STREAM_DATA: {
      const openClass = reader.open ? reader.streamClass : undefined;
      return { type: "stream_data", streamId, offset, data, fin: reader.fin, openClass };
    }
    case FrameType.STREAM_FIN:
      return { type: "stream_fin", streamId, finalSize };
    case FrameType.DATAGRAM:
      return { type: "datagram", data };
    case FrameType.ACK:
      return { type: "ack", largest: reader.ackLargest, delay: reader.ackDelay, ranges: ackRanges(reader) };
    case FrameType.CRYPTO:
      return { type: "crypto", offset, data };
    case FrameType.STREAM_MAX_DATA:
      return { type: "stream_max_data", streamId, limit };
    case FrameType.CONNECTION_MAX_DATA:
      return { type: "connection_max_data", limit };
    case FrameType.CONTROL:
      return currentControl(reader, data);
    default:
      throw new RangeError(`no frame of type ${type} is under the cursor`);
  }
}

function currentControl(reader: FrameReader, body: Uint8Array): Frame {
  const { op, streamId, code, finalSize, kind, limit, sequence, retirePriorTo } = reader;
  switch (op) {
    case ControlOp.PING:
      return { type: "ping" };
    case ControlOp.CLOSE:
      return { type: "close", code, reason: reader.bytes.subarray(reader.reasonStart, reader.reasonEnd) };
    case ControlOp.RESET_STREAM:
      return { type: "reset_stream", streamId, code, finalSize };
    case ControlOp.STOP_SENDING:
      return { type: "stop_sending", streamId, code };
    case ControlOp.MAX_STREAMS:
      return { type: "max_streams", kind, limit };
    case ControlOp.NEW_CONNECTION_ID: {
      const id = readConnectionId(body, 16), resetToken = body.subarray(16 + CONNECTION_ID_SIZE);
      return { type: "new_connection_id", sequence, retirePriorTo, id, resetToken };
    }
    case ControlOp.RETIRE_CONNECTION_ID:
      return { type: "retire_connection_id", sequence };
    case ControlOp.PATH_CHALLENGE:
      return { type: "path_challenge", data: body };
    case ControlOp.PATH_RESPONSE:
      return { type: "path_response", data: body };
    case ControlOp.DATA_BLOCKED:
      return { type: "data_blocked", limit };
    case ControlOp.STREAM_DATA_BLOCKED:
      return { type: "stream_data_blocked", streamId, limit };
    case ControlOp.STREAMS_BLOCKED:
      return { type: "streams_blocked", kind, limit };
    case ControlOp.HANDSHAKE_DONE:
      return { type: "handshake_done" };
    case ControlOp.ACK_FREQUENCY:
      return { type: "ack_frequency", threshold: reader.ackThreshold };
    case ControlOp.TICKET: {
      const ticket = reader.bytes.subarray(reader.ticketStart, reader.dataEnd);
      return { type: "ticket", lifetime: reader.lifetime, number: reader.ticketNumber, ticket };
    }
    default:
      return { type: "control", op, body };
  }
}

function ackRanges(reader: FrameReader): AckRange[] {
  const ranges: AckRange[] = [];
  for (let i = 0; i < reader.ackRangeCount; i++) {
    ranges.push({ start: reader.ackRanges[2 * i], end: reader.ackRanges[2 * i + 1] });
  }
  return ranges;
}

/** Size of a frame. */
export function frameSize(frame: Frame): number {
  switch (frame.type) {
    case "padding":
      return frame.length;
    case "stream_open":
      return write.STREAM_OPEN_SIZE;
    case "stream_data":
      return frame.data.length +
        (frame.openClass === undefined ? write.STREAM_DATA_OVERHEAD : write.STREAM_DATA_OPEN_OVERHEAD);
    case "stream_fin":
      return write.STREAM_FIN_SIZE;
    case "datagram":
      return write.DATAGRAM_OVERHEAD + frame.data.length;
    case "ack":
      return write.ackSize(frame.ranges.length);
    case "crypto":
      return write.CRYPTO_OVERHEAD + frame.data.length;
    case "stream_max_data":
      return write.STREAM_MAX_DATA_SIZE;
    case "connection_max_data":
      return write.CONNECTION_MAX_DATA_SIZE;
    case "ping":
      return write.PING_SIZE;
    case "close":
      return write.CLOSE_OVERHEAD + frame.reason.length;
    case "reset_stream":
      return write.RESET_STREAM_SIZE;
    case "stop_sending":
      return write.STOP_SENDING_SIZE;
    case "max_streams":
      return write.MAX_STREAMS_SIZE;
    case "new_connection_id":
      return write.NEW_CONNECTION_ID_SIZE;
    case "retire_connection_id":
      return write.RETIRE_CONNECTION_ID_SIZE;
    case "path_challenge":
    case "path_response":
      return write.PATH_CHALLENGE_FRAME_SIZE;
    case "data_blocked":
      return write.DATA_BLOCKED_SIZE;
    case "stream_data_blocked":
      return write.STREAM_DATA_BLOCKED_SIZE;
    case "streams_blocked":
      return write.STREAMS_BLOCKED_SIZE;
    case "handshake_done":
      return write.HANDSHAKE_DONE_SIZE;
    case "ack_frequency":
      return write.ACK_FREQUENCY_SIZE;
    case "ticket":
      return write.TICKET_OVERHEAD + frame.ticket.length;
    case "control":
      return CONTROL_OVERHEAD + frame.body.length;
  }
}

/** Encodes a frame. Throws a RangeError for numbers and lengths that do not fit into their fields. */
export function encodeFrame(frame: Frame): Uint8Array {
  checkNumbers(frame);
  const out = new Uint8Array(frameSize(frame));
  writeFrame(out, 0, frame);
  return out;
}

function writeFrame(out: Uint8Array, at: number, frame: Frame): number {
  switch (frame.type) {
    case "padding":
      return write.writePadding(out, at, frame.length);
    case "stream_open":
      return write.writeStreamOpen(out, at, frame.streamId, frame.streamClass);
    case "stream_data":
      return write.writeStreamData(out, at, frame.streamId, frame.offset, frame.data, frame.fin, frame.openClass);
    case "stream_fin":
      return write.writeStreamFin(out, at, frame.streamId, frame.finalSize);
    case "datagram":
      return write.writeDatagram(out, at, frame.data);
    case "ack":
      return write.writeAck(out, at, frame.delay, rangeSet(frame.largest, frame.ranges), frame.ranges.length);
    case "crypto":
      return write.writeCrypto(out, at, frame.offset, frame.data);
    case "stream_max_data":
      return write.writeStreamMaxData(out, at, frame.streamId, frame.limit);
    case "connection_max_data":
      return write.writeConnectionMaxData(out, at, frame.limit);
    case "ping":
      return write.writePing(out, at);
    case "close":
      return write.writeClose(out, at, frame.code, frame.reason);
    case "reset_stream":
      return write.writeResetStream(out, at, frame.streamId, frame.code, frame.finalSize);
    case "stop_sending":
      return write.writeStopSending(out, at, frame.streamId, frame.code);
    case "max_streams":
      return write.writeMaxStreams(out, at, frame.kind, frame.limit);
    case "new_connection_id":
      return write.writeNewConnectionId(out, at, frame.sequence, frame.retirePriorTo, frame.id, frame.resetToken);
    case "retire_connection_id":
      return write.writeRetireConnectionId(out, at, frame.sequence);
    case "path_challenge":
      return write.writePathChallenge(out, at, frame.data);
    case "path_response":
      return write.writePathResponse(out, at, frame.data);
    case "data_blocked":
      return write.writeDataBlocked(out, at, frame.limit);
    case "stream_data_blocked":
      return write.writeStreamDataBlocked(out, at, frame.streamId, frame.limit);
    case "streams_blocked":
      return write.writeStreamsBlocked(out, at, frame.kind, frame.limit);
    case "handshake_done":
      return write.writeHandshakeDone(out, at);
    case "ack_frequency":
      return write.writeAckFrequency(out, at, frame.threshold);
    case "ticket":
      return write.writeTicket(out, at, frame.lifetime, frame.number, frame.ticket);
    case "control":
      return write.writeControl(out, at, frame.op, frame.body);
  }
}

function rangeSet(largest: number, ranges: readonly AckRange[]): RangeSet {
  const set = new RangeSet();
  for (const { start, end } of ranges) set.insert(start, end);
  if (set.count !== ranges.length || set.max !== largest) {
    throw new RangeError("ack ranges must be disjoint, not touch, and end at largest");
  }
  return set;
}

/** Every number of a frame is an unsigned field of a known width. */
function checkNumbers(frame: Frame): void {
  for (const [name, value] of Object.entries(frame)) {
    if (value instanceof Uint8Array && value.length > 0xffff) throw new RangeError(`${name} is too long`);
    if (typeof value !== "number") continue;
    const max = FIELD_MAXIMA.get(name) ?? MAX_SAFE_U64;
    if (!Number.isSafeInteger(value) || value < 0 || value > max) {
      throw new RangeError(`${name} must be an integer from 0 to ${max}, got ${value}`);
    }
  }
}

const FIELD_MAXIMA: ReadonlyMap<string, number> = new Map([
  ["streamClass", 0xff],
  ["openClass", 0xff],
  ["op", 0xff],
  ["code", 0xffff],
  ["kind", 1],
  ["threshold", 0xff],
  ["lifetime", 0xffff_ffff],
  ["number", 0xffff_ffff],
]);
