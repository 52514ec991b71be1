/**
 * The receiving half of a stream (RFC 9000 §3.2): what has arrived and was not read, where the stream ends, and how much
 * more the peer may send.
 *
 * @module
 */

import type { Micros } from "../../base/time.ts";
import { TransportError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import { isCreditDue, nextWindow } from "../flow_control.ts";
import { type GapBudget, Reassembler } from "./reassembler.ts";
import type { SmallCopies } from "./small_copies.ts";

/** States of a receiving half, RFC 9000 §3.2. */
export type ReceiveState = "recv" | "size_known" | "data_recvd" | "data_read" | "reset_recvd" | "reset_read";

/** What the receiving halves of one connection share. */
export interface ReceiveShared {
  /** Where small copies come from. */
  readonly copies: SmallCopies;
  /** Gaps that all streams together may have. */
  readonly gaps: GapBudget;
  /** Window of a new stream: the announced MAX_STREAM_DATA. */
  readonly window: number;
  /** Size up to which a stream's window may grow. */
  readonly maxWindow: number;
}

/**
 * The receiving half of a stream.
 *
 * @example
 * ```ts
 * import type { StreamId } from "../../wire/stream_id.ts";
 * import { GapBudget } from "./reassembler.ts";
 * import { ReceiveStream } from "./receive_stream.ts";
 * import { SmallCopies } from "./small_copies.ts";
 *
 * const shared = { copies: new SmallCopies(), gaps: new GapBudget(1024), window: 65536, maxWindow: 65536 };
 * const stream = new ReceiveStream(0 as StreamId, shared);
 * stream.onData(Uint8Array.of(1, 2, 3), 0, 3, 0, true); // 3
 * stream.read(); // 1, 2, 3
 * stream.finished; // true
 * ```
 */
export class ReceiveStream {
  /** Stream id. */
  readonly id: StreamId;
  /** RFC 9000 §3.2. */
  state: ReceiveState = "recv";
  /** Code of the peer's RESET_STREAM, −1 if there was none. */
  resetCode = -1;
  /** Code of our STOP_SENDING, −1 if there was none. */
  stopCode = -1;
  /** Whether a STOP_SENDING is to be put into a packet. Whoever does so clears it with {@link onStopSent}. */
  stopPending = false;
  /** For the owner: whether a readable event for this stream is waiting to be polled. */
  readableReported = false;

  readonly #shared: ReceiveShared;
  #limit: number;
  #window: number;
  /** When the limit was last raised. */
  #lastUpdate = -Infinity;
  #resendLimit = false;
  /** Highest offset received, or the final size of a reset. */
  #highest = 0;
  /** −1 while it is unknown. */
  #finalSize = -1;
  /** Everything below was read, while there is no reassembler. */
  #readOffset = 0;
  /** What the connection has been told of as consumed. */
  #reported = 0;
  /** What is readable, while it is one piece that came in order and there is no reassembler. */
  #single: Uint8Array | undefined = undefined;
  #reassembler: Reassembler | undefined = undefined;

  constructor(id: StreamId, shared: ReceiveShared) {
    this.id = id;
    this.#shared = shared;
    this.#limit = shared.window;
    this.#window = shared.window;
  }

  /**
   * Takes the data of a STREAM_DATA frame, `bytes[start…end)`, and copies what is new. A STREAM_FIN frame is no data at its
   * final size with `fin`.
   *
   * Returns by how many bytes the highest offset grew, which counts against the connection's credit, or a transport error
   * code, negated: FINAL_SIZE, FLOW_CONTROL, or PROTOCOL_VIOLATION for more gaps than this side keeps.
   */
  onData(bytes: Uint8Array, start: number, end: number, offset: number, fin: boolean): number {
    const dataEnd = offset + (end - start);
    if (this.#finalSize >= 0) {
      if (fin ? dataEnd !== this.#finalSize : dataEnd > this.#finalSize) return -TransportError.FINAL_SIZE;
    } else if (fin && dataEnd < this.#highest) return -TransportError.FINAL_SIZE;
    if (dataEnd > this.#limit) return -TransportError.FLOW_CONTROL;
    const state = this.state;
    if (state !== "recv" && state !== "size_known") return 0;
    if (this.stopCode < 0 && end > start && !this.#store(bytes, start, end, offset)) {
      return -TransportError.PROTOCOL_VIOLATION;
    }
    let grown = 0;
    if (dataEnd > this.#highest) {
      grown = dataEnd - this.#highest;
      this.#highest = dataEnd;
    }
    if (fin) this.#finalSize = dataEnd;
    if (this.#finalSize >= 0) {
      // Nobody will read a stopped stream, so knowing how long it is completes it.
      if (this.stopCode >= 0) this.#end("data_read");
      else this.state = this.#contiguousEnd === this.#finalSize ? "data_recvd" : "size_known";
    }
    return grown;
  }

  /**
   * The peer gave up its half. What was not read is discarded, unless all of it is there (RFC 9000 §3.2).
   * Returns what {@link onData} returns.
   */
  onReset(code: number, finalSize: number): number {
    if (this.#finalSize >= 0 ? finalSize !== this.#finalSize : finalSize < this.#highest) {
      return -TransportError.FINAL_SIZE;
    }
    if (finalSize > this.#limit) return -TransportError.FLOW_CONTROL;
    if (this.state !== "recv" && this.state !== "size_known") return 0;
    const grown = finalSize - this.#highest;
    this.#highest = finalSize;
    this.#finalSize = finalSize;
    this.resetCode = code;
    this.#end(this.stopCode >= 0 ? "reset_read" : "reset_recvd");
    return grown;
  }

  /**
   * The next bytes in order, which belong to the caller from then on, but for their `buffer`, which small pieces share and
   * nobody must transfer; undefined if there are none now. Read until undefined,
   * then look at `finished`: the end of a stream counts as read by the call that returns the last bytes, or, if it came later, by
   * the next call.
   */
  read(): Uint8Array | undefined {
    let piece: Uint8Array | undefined;
    const reassembler = this.#reassembler;
    if (reassembler !== undefined) {
      piece = reassembler.read();
      if (reassembler.isEmpty) {
        this.#readOffset = reassembler.readOffset;
        this.#reassembler = undefined;
      }
    } else if (this.#single !== undefined) {
      piece = this.#single;
      this.#single = undefined;
      this.#readOffset += piece.length;
    }
    if (this.state === "data_recvd" && this.readOffset === this.#finalSize) this.state = "data_read";
    return piece;
  }

  /** Whether {@link read} has something to say: bytes, or the end of the stream. */
  get readable(): boolean {
    return this.state === "data_recvd" || this.#contiguousEnd > this.readOffset;
  }

  /** Whether everything was read, including the end. */
  get finished(): boolean {
    return this.state === "data_read";
  }

  /** Whether nothing more will be received or read. */
  get isTerminal(): boolean {
    return this.state === "data_read" || this.state === "reset_read";
  }

  /** Offset of the next byte to be read. */
  get readOffset(): number {
    return this.#reassembler === undefined ? this.#readOffset : this.#reassembler.readOffset;
  }

  /** The stream's length, −1 while it is unknown. */
  get finalSize(): number {
    return this.#finalSize;
  }

  /** Bytes of memory behind what is kept. */
  get retainedBytes(): number {
    return this.#reassembler === undefined ? this.#single?.length ?? 0 : this.#reassembler.retainedBytes;
  }

  /** The application learns of the reset: its code, or −1 if there was none or it knows already. The half is over then. */
  takeReset(): number {
    if (this.state !== "reset_recvd") return -1;
    this.state = "reset_read";
    return this.resetCode;
  }

  /**
   * The application does not want the rest: discards what is there and what comes. Returns whether a STOP_SENDING is to be
   * sent; false if the peer has already sent everything, or given up, and the half is over.
   */
  stopSending(code: number): boolean {
    if (this.stopCode >= 0 || this.isTerminal) return false;
    this.stopCode = code;
    if (this.state === "recv") {
      this.stopPending = true;
      this.#discard();
      return true;
    }
    this.#end(this.state === "reset_recvd" ? "reset_read" : "data_read");
    return false;
  }

  /** The STOP_SENDING was put into a packet. */
  onStopSent(): void {
    this.stopPending = false;
  }

  /** The STOP_SENDING was lost: it is repeated, as long as the peer may still be sending (RFC 9000 §13.3). */
  onStopLost(): void {
    if (this.state === "recv") this.stopPending = true;
  }

  /**
   * How many bytes were consumed since the last call: read by the application, or received and discarded. They return to
   * the connection's credit. Call after `read`, `onData`, `onReset` and `stopSending`.
   */
  takeConsumed(): number {
    const consumed = this.stopCode >= 0 || this.resetCode >= 0 ? this.#highest : this.readOffset;
    const fresh = consumed - this.#reported;
    this.#reported = consumed;
    return fresh;
  }

  /** Whether {@link takeMaxData} has something to announce. */
  get isMaxDataDue(): boolean {
    if (this.state !== "recv" || this.stopCode >= 0) return false;
    return this.#resendLimit || this.#isCreditDue;
  }

  /**
   * The new limit to announce with STREAM_MAX_DATA when a quarter of the window was consumed, or when the last announcement was
   * lost; 0 if none is due. `now` and the smoothed round-trip time `rtt` let the window grow.
   */
  takeMaxData(now: Micros, rtt: Micros): number {
    if (!this.isMaxDataDue) return 0;
    if (this.#isCreditDue) {
      this.#window = nextWindow(this.#window, this.#shared.maxWindow, now - this.#lastUpdate, rtt);
      this.#lastUpdate = now;
      const limit = Math.min(this.#settled + this.#window, this.readOffset + this.#maxWindow);
      this.#limit = Math.min(Math.max(this.#limit, limit), Number.MAX_SAFE_INTEGER);
    }
    this.#resendLimit = false;
    return this.#limit;
  }

  /** A STREAM_MAX_DATA frame was lost. */
  onMaxDataLost(): void {
    this.#resendLimit = true;
  }

  /** Bytes that may be under way or unread, as of the last announcement. */
  get span(): number {
    return this.#limit - this.readOffset;
  }

  /**
   * Where the window begins. What was received and only waits for something before it to be sent again is no sign of a reader that is slow,
   * and must not slow the sender down for the round trip that this takes; nor may it be more than the largest window.
   */
  get #settled(): number {
    return this.#highest - (this.#contiguousEnd - this.readOffset);
  }

  get #maxWindow(): number {
    return Math.max(this.#window, this.#shared.maxWindow);
  }

  get #isCreditDue(): boolean {
    const left = Math.max(this.#limit - this.#settled, this.#limit + this.#window - this.readOffset - this.#maxWindow);
    return isCreditDue(left, this.#window);
  }

  /** Everything below was received. */
  get #contiguousEnd(): number {
    if (this.#reassembler !== undefined) return this.#reassembler.contiguousEnd;
    return this.#readOffset + (this.#single === undefined ? 0 : this.#single.length);
  }

  #store(bytes: Uint8Array, start: number, end: number, offset: number): boolean {
    let reassembler = this.#reassembler;
    if (reassembler === undefined) {
      if (offset + (end - start) <= this.#contiguousEnd) return true;
      if (offset === this.#readOffset && this.#single === undefined) {
        this.#single = this.#shared.copies.copy(bytes, start, end);
        return true;
      }
      reassembler = new Reassembler(this.#readOffset, this.#shared.gaps);
      if (this.#single !== undefined) reassembler.adopt(this.#single);
      this.#single = undefined;
      this.#reassembler = reassembler;
    }
    return reassembler.insert(bytes, start, end, offset);
  }

  #discard(): void {
    this.#single = undefined;
    this.#reassembler?.clear();
  }

  #end(state: ReceiveState): void {
    this.#discard();
    this.stopPending = false;
    this.state = state;
  }
}
