/**
 * The sending half of a stream (RFC 9000 §3.1): what was written and is not acknowledged, and what of it is to be sent next.
 *
 * @module
 */

import type { StreamId } from "../../wire/stream_id.ts";
import { OffsetRanges } from "./offset_ranges.ts";
import { SendBuffer } from "./send_buffer.ts";

/** States of a sending half, RFC 9000 §3.1. The last two words of a half's life are `data_recvd` and `reset_recvd`. */
export type SendState = "ready" | "send" | "data_sent" | "data_recvd" | "reset_sent" | "reset_recvd";

const FIN_NONE = 0;
/** Written by the application, or lost: to be sent. */
const FIN_PENDING = 1;
const FIN_IN_FLIGHT = 2;
const FIN_ACKED = 3;

/**
 * The sending half of a stream.
 *
 * Bytes are kept by reference until they are acknowledged. The usual stream carries one small piece and its end; it gets
 * by without any of the structures that reordering, loss and many pieces need.
 *
 * @example
 * ```ts
 * import type { StreamId } from "../../wire/stream_id.ts";
 * import { StreamClass } from "../scheduler.ts";
 * import { SendStream } from "./send_stream.ts";
 *
 * const stream = new SendStream(0 as StreamId, StreamClass.INTERACTIVE, 1 << 20, 65536, true);
 * stream.write(Uint8Array.of(1, 2, 3), true);
 * while (stream.takeChunk(1000, 1_000_000)) {
 *   const out = new Uint8Array(stream.chunkLength);
 *   stream.copyChunk(stream.chunkOffset, stream.chunkLength, out, 0);
 *   stream.onAcked(stream.chunkOffset, stream.chunkLength, stream.chunkFin);
 * }
 * stream.state; // "data_recvd"
 * ```
 */
export class SendStream {
  /** Stream id. */
  readonly id: StreamId;
  /** Scheduling class: 0 Control, 1 Interactive, 2 Bulk. Change it only through the scheduler while it is queued. */
  streamClass: number;
  /** RFC 9000 §3.1. */
  state: SendState = "ready";
  /** Unacknowledged bytes that are kept at most. */
  bufferLimit: number;

  /** Whether STREAM_DATA frames must still carry OPEN: until one that did was acknowledged (SPEC §7). */
  openPending: boolean;
  /** Whether a RESET_STREAM is to be put into a packet. Whoever does so clears it with {@link onResetSent}. */
  resetPending = false;
  /** Code of the RESET_STREAM; meaningful in the reset states. */
  resetCode = 0;
  /** Code of the peer's STOP_SENDING, −1 if there was none. */
  stopCode = -1;
  /** Whether `write` took less than it was offered; who reports the stream as writable again clears it. */
  writeBlocked = false;
  /** Bytes of the connection's credit that it leaves to other streams. */
  spare = 0;
  /** Bytes that were sent again. */
  retransmittedBytes = 0;

  /** The piece that {@link takeChunk} found: its first offset, … */
  chunkOffset = 0;
  /** … how many bytes, … */
  chunkLength = 0;
  /** … how many of them count against the connection's credit (all or none), … */
  chunkNewBytes = 0;
  /** … and whether the stream ends behind it. */
  chunkFin = false;

  /** Links of the scheduler's queue; nobody else touches them. */
  nextQueued: SendStream | undefined = undefined;
  /** See {@link nextQueued}. */
  previousQueued: SendStream | undefined = undefined;
  /** Which of the scheduler's queues the stream is in, −1 for none. */
  queuedIn = -1;

  /** Everything below was acknowledged. */
  #ackedEnd = 0;
  /** Everything below was sent at least once. */
  #sentEnd = 0;
  /** Everything below was written. */
  #writtenEnd = 0;
  #maxData: number;
  #fin = FIN_NONE;
  /** The last limit that was announced with STREAM_DATA_BLOCKED, −1 if none. */
  #blockedAnnounced = -1;
  /** The only piece, as long as there is just one; its first offset. */
  #single: Uint8Array | undefined = undefined;
  #singleStart = 0;
  #buffer: SendBuffer | undefined = undefined;
  /** Acknowledged above `#ackedEnd`. */
  #acked: OffsetRanges | undefined = undefined;
  #lost: OffsetRanges | undefined = undefined;

  /**
   * @param id stream id
   * @param streamClass 0 Control, 1 Interactive, 2 Bulk
   * @param bufferLimit unacknowledged bytes that are kept at most
   * @param maxData the peer's first credit for the stream
   * @param opens whether this side opens the stream
   */
  constructor(id: StreamId, streamClass: number, bufferLimit: number, maxData: number, opens: boolean) {
    this.id = id;
    this.streamClass = streamClass;
    this.bufferLimit = bufferLimit;
    this.#maxData = maxData;
    this.openPending = opens;
  }

  /** Free space in the send buffer, in bytes; 0 once the stream was ended or reset. */
  get writable(): number {
    if (this.#fin !== FIN_NONE || (this.state !== "ready" && this.state !== "send")) return 0;
    const free = this.bufferLimit - (this.#writtenEnd - this.#ackedEnd);
    return free > 0 ? free : 0;
  }

  /** Bytes written and not acknowledged. */
  get bufferedBytes(): number {
    return this.#writtenEnd - this.#ackedEnd;
  }

  /** Bytes written and never sent. */
  get unsentBytes(): number {
    return this.#writtenEnd - this.#sentEnd;
  }

  /** How many pieces of written data are kept in memory. */
  get retainedPieces(): number {
    return this.#buffer !== undefined ? this.#buffer.pieceCount : this.#single !== undefined ? 1 : 0;
  }

  /** Bytes sent so far, which is the final size of a RESET_STREAM. */
  get finalSize(): number {
    return this.#sentEnd;
  }

  /** Whether the end of the stream was written. */
  get finWritten(): boolean {
    return this.#fin !== FIN_NONE;
  }

  /** Whether nothing more will ever be sent: everything, or the reset, was acknowledged. */
  get isTerminal(): boolean {
    return this.state === "data_recvd" || this.state === "reset_recvd";
  }

  /**
   * Takes ownership of `bytes`, without a copy: the caller must not change them any more.
   *
   * Accepts at most the free buffer space, and no more than leaves `ahead` bytes unsent, and returns how many bytes that were; `fin` is
   * accepted only when all bytes were. A reset stream, which the peer may cause at any time, accepts 0. Throws a TypeError after `fin` was accepted.
   */
  write(bytes: Uint8Array, fin: boolean, ahead = Infinity): number {
    if (this.state !== "ready" && this.state !== "send") {
      if (this.state === "reset_sent" || this.state === "reset_recvd") return 0;
      throw new TypeError(`stream ${this.id} was already ended`);
    }
    if (this.#fin !== FIN_NONE) throw new TypeError(`stream ${this.id} was already ended`);
    let length = bytes.length;
    if (length > 0) {
      const free = Math.min(this.bufferLimit - (this.#writtenEnd - this.#ackedEnd), ahead - this.unsentBytes);
      if (free < length) {
        this.writeBlocked = true;
        if (free <= 0) return 0;
        length = free;
        fin = false;
        bytes = bytes.subarray(0, free);
      }
      if (this.#buffer !== undefined) this.#buffer.append(bytes);
      else if (this.#single === undefined) {
        this.#single = bytes;
        this.#singleStart = this.#writtenEnd;
      } else {
        this.#buffer = new SendBuffer(this.#single, this.#singleStart);
        this.#buffer.append(bytes);
        this.#single = undefined;
      }
      this.#writtenEnd += length;
    }
    if (fin) this.#fin = FIN_PENDING;
    return length;
  }

  /** Whether there is anything to put into a packet now, given the connection's credit for new bytes. */
  hasPending(connectionCredit: number): boolean {
    if (this.#lost !== undefined && !this.#lost.isEmpty) return true;
    if (this.#sentEnd < this.#writtenEnd) return connectionCredit > this.spare && this.#sentEnd < this.#maxData;
    return this.#fin === FIN_PENDING;
  }

  /**
   * How many bytes the last piece of the stream would have if it were sent now in one go: all that was written, with the end
   * behind it. 0 if that cannot be, because something is missing, lost or not allowed yet.
   */
  get lastPiece(): number {
    if (this.#fin !== FIN_PENDING || (this.#lost !== undefined && !this.#lost.isEmpty)) return 0;
    return this.#writtenEnd <= this.#maxData ? this.#writtenEnd - this.#sentEnd : 0;
  }

  /**
   * Finds the next piece to send, lost ones first, and moves on: fills `chunkOffset`, `chunkLength`, `chunkNewBytes` and
   * `chunkFin`. At most `maxLength` bytes of data, at most `connectionCredit` of them new. Returns false if there is nothing.
   * A piece of no bytes at all carries the end of the stream.
   */
  takeChunk(maxLength: number, connectionCredit: number): boolean {
    const lost = this.#lost;
    if (lost !== undefined && !lost.isEmpty) {
      if (maxLength <= 0) return false;
      const offset = lost.firstStart;
      let length = lost.firstEnd - offset;
      if (length > maxLength) length = maxLength;
      lost.trimFirst(length);
      this.retransmittedBytes += length;
      this.#setChunk(offset, length, 0);
      return true;
    }
    const offset = this.#sentEnd;
    let length = this.#writtenEnd - offset;
    if (length > 0) {
      if (length > maxLength) length = maxLength;
      if (length > connectionCredit - this.spare) length = connectionCredit - this.spare;
      if (length > this.#maxData - offset) length = this.#maxData - offset;
      if (length <= 0) return false;
      this.#sentEnd = offset + length;
      this.#setChunk(offset, length, length);
      return true;
    }
    if (this.#fin !== FIN_PENDING) return false;
    this.#setChunk(offset, 0, 0);
    return true;
  }

  /** Copies retained bytes, those of a piece that was just taken, to `out[at…]`. */
  copyChunk(offset: number, length: number, out: Uint8Array, at: number): void {
    if (length === 0) return;
    const single = this.#single;
    if (single === undefined) {
      this.#buffer?.copy(offset, length, out, at);
      return;
    }
    const from = offset - this.#singleStart;
    out.set(from === 0 && length === single.length ? single : single.subarray(from, from + length), at);
  }

  /**
   * A STREAM_DATA frame with this piece was acknowledged. Returns how many bytes of the buffer became free.
   * `isTerminal` may be true afterwards.
   */
  onAcked(offset: number, length: number, fin: boolean): number {
    // Every frame that was sent while this was true carried OPEN.
    this.openPending = false;
    if (this.state !== "send" && this.state !== "data_sent") return 0;
    if (fin) this.#fin = FIN_ACKED;
    const before = this.#ackedEnd;
    const end = offset + length;
    if (end > before) {
      if (this.#lost !== undefined) this.#lost.remove(offset, end);
      if (offset <= before) this.#advance(end);
      else (this.#acked ??= new OffsetRanges()).add(offset, end);
    }
    if (this.#fin === FIN_ACKED && this.#ackedEnd === this.#writtenEnd) this.#become("data_recvd");
    return this.#ackedEnd - before;
  }

  /** A STREAM_DATA frame with this piece was lost: what of it is not acknowledged is to be sent again. */
  onLost(offset: number, length: number, fin: boolean): void {
    if (this.state !== "send" && this.state !== "data_sent") return;
    if (fin && this.#fin === FIN_IN_FLIGHT) this.#fin = FIN_PENDING;
    const start = offset > this.#ackedEnd ? offset : this.#ackedEnd;
    const end = offset + length;
    if (start >= end) return;
    this.#lost ??= new OffsetRanges();
    if (this.#acked === undefined) this.#lost.add(start, end);
    else this.#lost.addExcept(start, end, this.#acked);
  }

  /** The peer's limit for the stream; lower ones than before are ignored. Returns whether it unblocks the stream. */
  setMaxData(limit: number): boolean {
    if (limit <= this.#maxData) return false;
    const wasBlocked = this.isBlocked;
    this.#maxData = limit;
    return wasBlocked;
  }

  /** Whether there are new bytes that the peer's credit for the stream does not allow to send. */
  get isBlocked(): boolean {
    return this.#sentEnd >= this.#maxData && this.#writtenEnd > this.#sentEnd;
  }

  /** The peer's limit for the stream: the one to name in STREAM_DATA_BLOCKED. */
  get blockedAt(): number {
    return this.#maxData;
  }

  /** The limit to announce with STREAM_DATA_BLOCKED, once for each limit; −1 if there is nothing to announce. */
  takeBlocked(): number {
    if (!this.isBlocked || this.#blockedAnnounced === this.#maxData) return -1;
    if (this.state === "ready") this.state = "send"; // RFC 9000 §3.1: STREAM_DATA_BLOCKED counts as sending
    this.#blockedAnnounced = this.#maxData;
    return this.#maxData;
  }

  /** A STREAM_DATA_BLOCKED frame with this limit was lost; it is announced again if it still holds. */
  onBlockedLost(limit: number): void {
    if (limit === this.#blockedAnnounced) this.#blockedAnnounced = -1;
  }

  /**
   * Gives the stream up: nothing more is sent or sent again but the RESET_STREAM. Returns whether that is so; false if the
   * stream was reset before or everything on it was acknowledged.
   */
  reset(code: number): boolean {
    if (this.state === "data_recvd" || this.state === "reset_sent" || this.state === "reset_recvd") return false;
    this.resetCode = code;
    this.resetPending = true;
    this.#become("reset_sent");
    return true;
  }

  /** The RESET_STREAM was put into a packet. */
  onResetSent(): void {
    this.resetPending = false;
  }

  /** The RESET_STREAM was lost. */
  onResetLost(): void {
    if (this.state === "reset_sent") this.resetPending = true;
  }

  /** The RESET_STREAM was acknowledged. */
  onResetAcked(): void {
    if (this.state !== "reset_sent") return;
    this.resetPending = false;
    this.#become("reset_recvd");
  }

  /** The peer sent STOP_SENDING: resets the stream with the same code (RFC 9000 §3.5). Returns what `reset` does. */
  onStopSending(code: number): boolean {
    if (this.stopCode < 0) this.stopCode = code;
    return this.reset(code);
  }

  #setChunk(offset: number, length: number, newBytes: number): void {
    this.chunkOffset = offset;
    this.chunkLength = length;
    this.chunkNewBytes = newBytes;
    const fin = this.#fin === FIN_PENDING && offset + length === this.#writtenEnd;
    this.chunkFin = fin;
    if (fin) {
      this.#fin = FIN_IN_FLIGHT;
      this.state = "data_sent";
    } else if (this.state === "ready") this.state = "send";
  }

  /** Everything below `end` is acknowledged, and whatever continues it. */
  #advance(end: number): void {
    const acked = this.#acked;
    if (acked !== undefined) {
      while (!acked.isEmpty && acked.firstStart <= end) {
        if (acked.firstEnd > end) end = acked.firstEnd;
        acked.dropFirst();
      }
    }
    this.#ackedEnd = end;
    if (end === this.#writtenEnd) this.#release();
    else this.#buffer?.dropBelow(end);
  }

  #become(state: SendState): void {
    this.state = state;
    this.#lost = undefined;
    this.#acked = undefined;
    this.#writtenEnd = this.#sentEnd;
    this.#ackedEnd = this.#sentEnd;
    if (this.#fin === FIN_PENDING) this.#fin = FIN_IN_FLIGHT;
    this.#release();
  }

  #release(): void {
    this.#single = undefined;
    this.#buffer = undefined;
  }
}
