/**
 * Reading frames out of a packet's plaintext, with every rule of SPEC §7 and without allocating.
 *
 * @module
 */

import { readSafeU64, readU16, readU32 } from "../base/bytes.ts";
import {
  CONNECTION_ID_SIZE,
  ControlOp,
  FrameType,
  MAX_CLOSE_REASON_SIZE,
  MAX_SAFE_U64,
  MAX_STREAMS_LIMIT,
  MAX_TICKET_SIZE,
  PATH_CHALLENGE_SIZE,
  RESET_TOKEN_SIZE,
  StreamDataFlag,
  TICKET_PREFIX_SIZE,
} from "./constants.ts";
import type { StreamId, StreamKind } from "./stream_id.ts";

/** {@link FrameReader.next} at the end of the plaintext. */
export const FRAMES_END = -1;
/** {@link FrameReader.next} on bytes that break SPEC §7: close the connection with FRAME_ENCODING. */
export const FRAMES_ERROR = -2;

const STREAM_DATA_FLAGS = StreamDataFlag.FIN | StreamDataFlag.OPEN;
const NO_BYTES = new Uint8Array(0);
const NO_STREAM = 0 as StreamId;
/** Pairs that fit before the range buffer grows; the receiver keeps ACKs far below that. */
const INITIAL_ACK_RANGES = 64;

const RUNS_PAST_END = "frame runs past the end of the packet";
const TOO_LARGE = "a 64-bit field is above 2^53 - 1";
const WRONG_CONTROL_LENGTH = "control frame has the wrong length for its op";

/**
 * A cursor over frames. {@link next} says which frame it is, and the fields that this frame has are then valid; all others
 * hold whatever an earlier frame left in them. Positions refer to the bytes given to {@link reset}.
 *
 * @example
 * ```ts
 * import { FrameType } from "./constants.ts";
 * import { FrameReader, FRAMES_END, FRAMES_ERROR } from "./frame_reader.ts";
 * import { writePing, writeStreamFin } from "./frame_writer.ts";
 * import type { StreamId } from "./stream_id.ts";
 *
 * const plaintext = new Uint8Array(64);
 * const end = writeStreamFin(plaintext, writePing(plaintext, 0), 4 as StreamId, 1000);
 *
 * const reader = new FrameReader();
 * reader.reset(plaintext, 0, end);
 * for (let type = reader.next(); type !== FRAMES_END; type = reader.next()) {
 *   if (type === FRAMES_ERROR) throw new Error(reader.error);
 *   if (type === FrameType.STREAM_FIN) console.log(reader.streamId, reader.finalSize); // 4 1000
 * }
 * ```
 */
export class FrameReader {
  /** The bytes under the cursor. */
  bytes: Uint8Array = NO_BYTES;
  /** What was wrong, once {@link next} has returned {@link FRAMES_ERROR}; otherwise empty. */
  error = "";
  /** Where the frame begins. */
  frameStart = 0;
  /** Where the frame ends. */
  frameEnd = 0;

  /** STREAM_*, RESET_STREAM, STOP_SENDING, STREAM_DATA_BLOCKED. */
  streamId: StreamId = NO_STREAM;
  /** STREAM_DATA, CRYPTO: position of the data in the stream. `offset` + length is at most 2^53 − 1. */
  offset = 0;
  /** STREAM_DATA, DATAGRAM, CRYPTO: the data; PADDING: the run; CONTROL: the body. */
  dataStart = 0;
  /** Behind the last byte of what {@link dataStart} begins. */
  dataEnd = 0;
  /** STREAM_DATA: the stream ends behind this data. */
  fin = false;
  /** STREAM_DATA: the frame opens the stream, with {@link streamClass}. */
  open = false;
  /** STREAM_OPEN, STREAM_DATA with {@link open}. Any u8. */
  streamClass = 0;
  /** STREAM_FIN, RESET_STREAM. */
  finalSize = 0;
  /** STREAM_MAX_DATA, CONNECTION_MAX_DATA, MAX_STREAMS, DATA_BLOCKED, STREAM_DATA_BLOCKED, STREAMS_BLOCKED. */
  limit = 0;
  /** ACK_FREQUENCY: ack-eliciting packets after which an acknowledgement is due; at least 1. */
  ackThreshold = 1;

  /** ACK: the largest packet number acknowledged. */
  ackLargest = 0;
  /** ACK: how long the sender held the acknowledgement back, microseconds. */
  ackDelay = 0;
  /** ACK: number of ranges, at least 1. */
  ackRangeCount = 0;
  /** ACK: start and end (inclusive) of each range, from the highest down; valid up to 2 × {@link ackRangeCount}. */
  ackRanges: Float64Array = new Float64Array(2 * INITIAL_ACK_RANGES);

  /** CONTROL: the op. Skip the frame if it is unknown or reserved. */
  op = 0;
  /** CLOSE, RESET_STREAM, STOP_SENDING. */
  code = 0;
  /** MAX_STREAMS, STREAMS_BLOCKED. */
  kind: StreamKind = 0;
  /** NEW_CONNECTION_ID, RETIRE_CONNECTION_ID: which id of the sender's, or of the receiver's, it is. */
  sequence = 0;
  /** NEW_CONNECTION_ID: lower ones are to be retired. The id begins 16 bytes behind {@link dataStart}, then comes the token. */
  retirePriorTo = 0;
  /** CLOSE: the reason, UTF-8 that nobody has checked. */
  reasonStart = 0;
  /** Behind the last byte of the reason. */
  reasonEnd = 0;
  /** TICKET: for how long it is good, in seconds. The ticket itself is at {@link ticketStart} to {@link dataEnd}. */
  lifetime = 0;
  /** TICKET: which of the connection's tickets it is. */
  ticketNumber = 0;
  /** TICKET: where the ticket begins. */
  ticketStart = 0;

  #at = 0;
  #end = 0;

  /** Starts over with the plaintext at `start`–`end`. */
  reset(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.error = "";
    this.frameStart = this.frameEnd = this.#at = start;
    this.#end = end;
  }

  /** Reads the next frame; returns its type, {@link FRAMES_END}, or {@link FRAMES_ERROR} (again and again). */
  next(): number {
    if (this.error !== "") return FRAMES_ERROR;
    const at = this.#at;
    if (at >= this.#end) return FRAMES_END;
    const first = this.bytes[at];
    const type = first & 0x0f, flags = first & 0xf0;
    this.frameStart = at;
    if (flags !== 0 && (type !== FrameType.STREAM_DATA || (flags & ~STREAM_DATA_FLAGS) !== 0)) {
      return this.#fail("unknown frame flag");
    }
    switch (type) {
      case FrameType.STREAM_DATA:
        return this.#streamData(at + 1, flags);
      case FrameType.ACK:
        return this.#ack(at + 1);
      case FrameType.PADDING:
        return this.#padding(at + 1);
      case FrameType.STREAM_OPEN:
        return this.#streamOpen(at + 1);
      case FrameType.STREAM_FIN:
        return this.#streamFin(at + 1);
      case FrameType.DATAGRAM:
        return this.#data(at + 1, FrameType.DATAGRAM);
      case FrameType.CRYPTO:
        return this.#crypto(at + 1);
      case FrameType.CONTROL:
        return this.#control(at + 1);
      case FrameType.STREAM_MAX_DATA:
        return this.#streamMaxData(at + 1);
      case FrameType.CONNECTION_MAX_DATA:
        return this.#connectionMaxData(at + 1);
      default:
        return this.#fail("unknown frame type");
    }
  }

  #padding(at: number): number {
    const bytes = this.bytes, end = this.#end;
    let runEnd = at;
    while (runEnd < end && bytes[runEnd] === 0) runEnd++;
    this.dataStart = at - 1;
    this.dataEnd = runEnd;
    return this.#done(FrameType.PADDING, runEnd);
  }

  #streamOpen(at: number): number {
    if (this.#end - at < 9) return this.#fail(RUNS_PAST_END);
    const streamId = readSafeU64(this.bytes, at);
    if (streamId < 0) return this.#fail(TOO_LARGE);
    this.streamId = streamId as StreamId;
    this.streamClass = this.bytes[at + 8];
    return this.#done(FrameType.STREAM_OPEN, at + 9);
  }

  #streamData(at: number, flags: number): number {
    const bytes = this.bytes, end = this.#end;
    const open = (flags & StreamDataFlag.OPEN) !== 0;
    const dataStart = at + (open ? 19 : 18);
    if (dataStart > end) return this.#fail(RUNS_PAST_END);
    const streamId = readSafeU64(bytes, at), offset = readSafeU64(bytes, at + 8);
    if (streamId < 0 || offset < 0) return this.#fail(TOO_LARGE);
    const length = readU16(bytes, at + 16);
    if (length > end - dataStart) return this.#fail(RUNS_PAST_END);
    if (offset > MAX_SAFE_U64 - length) return this.#fail("stream data ends above 2^53 - 1");
    this.streamId = streamId as StreamId;
    this.offset = offset;
    this.fin = (flags & StreamDataFlag.FIN) !== 0;
    this.open = open;
    this.streamClass = open ? bytes[at + 18] : 0;
    this.dataStart = dataStart;
    this.dataEnd = dataStart + length;
    return this.#done(FrameType.STREAM_DATA, dataStart + length);
  }

  #streamFin(at: number): number {
    if (this.#end - at < 16) return this.#fail(RUNS_PAST_END);
    const streamId = readSafeU64(this.bytes, at), finalSize = readSafeU64(this.bytes, at + 8);
    if (streamId < 0 || finalSize < 0) return this.#fail(TOO_LARGE);
    this.streamId = streamId as StreamId;
    this.finalSize = finalSize;
    return this.#done(FrameType.STREAM_FIN, at + 16);
  }

  /** A u16 length and as many bytes. */
  #data(at: number, type: FrameType): number {
    if (this.#end - at < 2) return this.#fail(RUNS_PAST_END);
    const length = readU16(this.bytes, at);
    if (length > this.#end - at - 2) return this.#fail(RUNS_PAST_END);
    this.dataStart = at + 2;
    this.dataEnd = at + 2 + length;
    return this.#done(type, at + 2 + length);
  }

  #crypto(at: number): number {
    if (this.#end - at < 10) return this.#fail(RUNS_PAST_END);
    const offset = readSafeU64(this.bytes, at);
    if (offset < 0) return this.#fail(TOO_LARGE);
    if (offset > MAX_SAFE_U64 - readU16(this.bytes, at + 8)) return this.#fail("crypto data ends above 2^53 - 1");
    this.offset = offset;
    return this.#data(at + 8, FrameType.CRYPTO);
  }

  #ack(at: number): number {
    const bytes = this.bytes;
    if (this.#end - at < 18) return this.#fail(RUNS_PAST_END);
    const largest = readSafeU64(bytes, at), delay = readSafeU64(bytes, at + 8);
    if (largest < 0 || delay < 0) return this.#fail(TOO_LARGE);
    const count = readU16(bytes, at + 16);
    if (count === 0) return this.#fail("ack without a range");
    // The length bounds the count before anything is reserved for it.
    if (16 * count > this.#end - at - 18) return this.#fail(RUNS_PAST_END);
    if (2 * count > this.ackRanges.length) this.ackRanges = new Float64Array(4 * count);
    const ranges = this.ackRanges;
    let rangeAt = at + 18;
    /** The highest number at which the next range may end. */
    let highest = largest;
    for (let i = 0; i < 2 * count; i += 2) {
      const start = readSafeU64(bytes, rangeAt), end = readSafeU64(bytes, rangeAt + 8);
      if (start < 0 || end < 0) return this.#fail(TOO_LARGE);
      if (i === 0 && end !== largest) return this.#fail("ack whose first range does not end at largest");
      if (start > end || end > highest) return this.#fail("ack ranges out of order");
      ranges[i] = start;
      ranges[i + 1] = end;
      highest = start - 2;
      rangeAt += 16;
    }
    this.ackLargest = largest;
    this.ackDelay = delay;
    this.ackRangeCount = count;
    return this.#done(FrameType.ACK, rangeAt);
  }

  #streamMaxData(at: number): number {
    if (this.#end - at < 16) return this.#fail(RUNS_PAST_END);
    const streamId = readSafeU64(this.bytes, at), limit = readSafeU64(this.bytes, at + 8);
    if (streamId < 0 || limit < 0) return this.#fail(TOO_LARGE);
    this.streamId = streamId as StreamId;
    this.limit = limit;
    return this.#done(FrameType.STREAM_MAX_DATA, at + 16);
  }

  #connectionMaxData(at: number): number {
    if (this.#end - at < 8) return this.#fail(RUNS_PAST_END);
    const limit = readSafeU64(this.bytes, at);
    if (limit < 0) return this.#fail(TOO_LARGE);
    this.limit = limit;
    return this.#done(FrameType.CONNECTION_MAX_DATA, at + 8);
  }

  #control(at: number): number {
    if (this.#end - at < 3) return this.#fail(RUNS_PAST_END);
    const bytes = this.bytes, op = bytes[at], length = readU16(bytes, at + 1), body = at + 3;
    if (length > this.#end - body) return this.#fail(RUNS_PAST_END);
    let error = "";
    switch (op) {
      case ControlOp.PING:
      case ControlOp.HANDSHAKE_DONE:
        if (length !== 0) error = WRONG_CONTROL_LENGTH;
        break;
      case ControlOp.CLOSE:
        if (length < 2 || length > 2 + MAX_CLOSE_REASON_SIZE) error = WRONG_CONTROL_LENGTH;
        this.code = readU16(bytes, body);
        this.reasonStart = body + 2;
        this.reasonEnd = body + length;
        break;
      case ControlOp.RESET_STREAM:
        error = length !== 18 ? WRONG_CONTROL_LENGTH : this.#controlStream(body);
        if (error === "") {
          this.code = readU16(bytes, body + 8);
          this.finalSize = readSafeU64(bytes, body + 10);
          if (this.finalSize < 0) error = TOO_LARGE;
        }
        break;
      case ControlOp.STOP_SENDING:
        error = length !== 10 ? WRONG_CONTROL_LENGTH : this.#controlStream(body);
        if (error === "") this.code = readU16(bytes, body + 8);
        break;
      case ControlOp.MAX_STREAMS:
      case ControlOp.STREAMS_BLOCKED:
        error = length !== 9 ? WRONG_CONTROL_LENGTH : this.#controlStreams(body);
        break;
      case ControlOp.NEW_CONNECTION_ID:
        error = length !== 16 + CONNECTION_ID_SIZE + RESET_TOKEN_SIZE
          ? WRONG_CONTROL_LENGTH
          : this.#controlSequence(body);
        if (error === "") {
          this.retirePriorTo = readSafeU64(bytes, body + 8);
          if (this.retirePriorTo < 0) error = TOO_LARGE;
        }
        break;
      case ControlOp.RETIRE_CONNECTION_ID:
        error = length !== 8 ? WRONG_CONTROL_LENGTH : this.#controlSequence(body);
        break;
      case ControlOp.PATH_CHALLENGE:
      case ControlOp.PATH_RESPONSE:
        if (length !== PATH_CHALLENGE_SIZE) error = WRONG_CONTROL_LENGTH;
        break;
      case ControlOp.ACK_FREQUENCY:
        if (length !== 1) error = WRONG_CONTROL_LENGTH;
        else this.ackThreshold = Math.max(1, bytes[body]);
        break;
      case ControlOp.TICKET:
        if (length <= TICKET_PREFIX_SIZE || length > TICKET_PREFIX_SIZE + MAX_TICKET_SIZE) error = WRONG_CONTROL_LENGTH;
        else {
          this.lifetime = readU32(bytes, body);
          this.ticketNumber = readU32(bytes, body + 4);
          this.ticketStart = body + TICKET_PREFIX_SIZE;
        }
        break;
      case ControlOp.DATA_BLOCKED:
        error = length !== 8 ? WRONG_CONTROL_LENGTH : this.#controlLimit(body);
        break;
      case ControlOp.STREAM_DATA_BLOCKED:
        error = length !== 16 ? WRONG_CONTROL_LENGTH : this.#controlStream(body) || this.#controlLimit(body + 8);
        break;
    }
    if (error !== "") return this.#fail(error);
    this.op = op;
    this.dataStart = body;
    this.dataEnd = body + length;
    return this.#done(FrameType.CONTROL, body + length);
  }

  #controlStream(at: number): string {
    const streamId = readSafeU64(this.bytes, at);
    if (streamId < 0) return TOO_LARGE;
    this.streamId = streamId as StreamId;
    return "";
  }

  #controlSequence(at: number): string {
    this.sequence = readSafeU64(this.bytes, at);
    return this.sequence < 0 ? TOO_LARGE : "";
  }

  #controlLimit(at: number): string {
    this.limit = readSafeU64(this.bytes, at);
    return this.limit < 0 ? TOO_LARGE : "";
  }

  #controlStreams(at: number): string {
    const kind = this.bytes[at];
    if (kind > 1) return "unknown stream kind";
    this.kind = kind as StreamKind;
    const error = this.#controlLimit(at + 1);
    // As for the parameters MAX_STREAMS_*: more streams than ids is a mistake of the peer.
    return error === "" && this.limit > MAX_STREAMS_LIMIT ? "stream limit above 2^51" : error;
  }

  #done(type: FrameType, end: number): number {
    this.frameEnd = this.#at = end;
    return type;
  }

  #fail(error: string): number {
    this.error = error;
    return FRAMES_ERROR;
  }
}
