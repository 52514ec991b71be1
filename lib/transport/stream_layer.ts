/**
 * Everything about streams that a connection does: the commands of its owner, the frames that name streams, in both directions,
 * and the credit that goes with them.
 *
 * Methods that take a frame from the peer return 0 or the transport error code that closes the connection.
 *
 * @module
 */

import type { Micros } from "../base/time.ts";
import { TransportError } from "../wire/error_codes.ts";
import type { FrameReader } from "../wire/frame_reader.ts";
import {
  CONNECTION_MAX_DATA_SIZE,
  DATA_BLOCKED_SIZE,
  DATAGRAM_OVERHEAD,
  MAX_STREAMS_SIZE,
  NOT_OPENING,
  RESET_STREAM_SIZE,
  STOP_SENDING_SIZE,
  STREAM_DATA_BLOCKED_SIZE,
  STREAM_DATA_OPEN_OVERHEAD,
  STREAM_MAX_DATA_SIZE,
  STREAMS_BLOCKED_SIZE,
  writeConnectionMaxData,
  writeDataBlocked,
  writeDatagram,
  writeMaxStreams,
  writeResetStream,
  writeStopSending,
  writeStreamDataBlocked,
  writeStreamDataHeader,
  writeStreamMaxData,
  writeStreamsBlocked,
} from "../wire/frame_writer.ts";
import { makeStreamId, type StreamId, StreamKind, StreamRole } from "../wire/stream_id.ts";
import type { TransportParameters } from "../wire/transport_parameters.ts";
import type { ConnectionEvent } from "./events.ts";
import { ReceiveCredit, SendCredit } from "./flow_control.ts";
import { FlowCounters, type FlowStats } from "./flow_stats.ts";
import { type Scheduler, StreamClass, toStreamClass } from "./scheduler.ts";
import {
  DATAGRAM_SENT,
  type SentCreditFrame,
  type SentFrame,
  type SentStreamControl,
  type SentStreamFrame,
} from "./sent_frame.ts";
import type { TransportSettings } from "./settings.ts";
import type { Stream } from "./streams/stream.ts";
import { StreamSet } from "./streams/stream_set.ts";

const KINDS: readonly StreamKind[] = [StreamKind.BIDIRECTIONAL, StreamKind.UNIDIRECTIONAL];
/** The control frames of one stream, all at once. */
const STREAM_CONTROL_SIZE = RESET_STREAM_SIZE + STOP_SENDING_SIZE + STREAM_MAX_DATA_SIZE + STREAM_DATA_BLOCKED_SIZE;
/** The frames about all streams, all at once. */
const CREDIT_SIZE = CONNECTION_MAX_DATA_SIZE + DATA_BLOCKED_SIZE + 2 * (MAX_STREAMS_SIZE + STREAMS_BLOCKED_SIZE);
/** A smaller piece of a longer stream is not worth a frame of its own. */
const LEAST_CHUNK = 16;
/**
 * The end of a stream up to this size is not cut to fill a packet up: putting it together again costs the receiver more than
 * the bytes that are left unused. Fits into any packet that carries little else.
 */
const MAX_UNCUT = 512;

/** The part of the connection's first credit that some streams leave to others, … */
const SPARE_PART = 1 / 8;
/** … and the most of it. */
const MAX_SPARE = 1 << 20;

/** The streams of one connection, and their credit. */
export class StreamLayer {
  readonly #streams: StreamSet;
  readonly #sendCredit = new SendCredit();
  readonly #receiveCredit: ReceiveCredit;
  readonly #flow = new FlowCounters();
  readonly #emit: (event: ConnectionEvent) => void;
  /** Streams that the peer has reset before their end; read only. */
  resetCount = 0;
  #retransmittedBytes = 0;
  #sendBuffer: number;
  #spare = 0;

  constructor(role: StreamRole, settings: TransportSettings, emit: (event: ConnectionEvent) => void) {
    this.#streams = new StreamSet({ role, ...settings });
    this.#receiveCredit = new ReceiveCredit(settings.maxData, Math.max(settings.maxData, settings.maxDataWindow));
    this.#sendBuffer = settings.sendBuffer;
    this.#emit = emit;
  }

  /** The peer's limits are known. */
  setPeerParameters(parameters: TransportParameters): void {
    this.#streams.setPeerLimits(parameters);
    this.#sendCredit.setLimit(parameters.maxData);
    // A window never gets smaller: what is left of it stays a small part, and the peer hears of every use of the rest.
    this.#spare = Math.min(Math.floor(parameters.maxData * SPARE_PART), MAX_SPARE);
  }

  /** Streams that are open. */
  get openCount(): number {
    return this.#streams.size;
  }

  /** Where flow control stands. Allocates: not for hot paths. */
  flowStats(): FlowStats {
    const send = this.#sendCredit, receive = this.#receiveCredit;
    const { updatesSent, updatesReceived, blockedConnection, blockedStream, blockedStreams } = this.#flow;
    return {
      sendLimit: send.limit,
      sendUsed: send.used,
      sendBlocked: send.isBlocked,
      receiveLimit: receive.limit,
      received: receive.received,
      consumed: receive.consumed,
      receiveWindow: receive.window,
      updatesSent,
      updatesReceived,
      blocked: { connection: blockedConnection, stream: blockedStream, streams: blockedStreams },
    };
  }

  /** Bytes of streams that were sent again. */
  get retransmittedBytes(): number {
    return this.#retransmittedBytes;
  }

  /** Decides who sends next. */
  get scheduler(): Scheduler {
    return this.#streams.scheduler;
  }

  /**
   * The congestion window has grown: a stream that is to fill it must keep as much, as much again of what arrived behind a gap that takes a round
   * trip to fill, and as much again to be written ahead.
   */
  onCongestionWindow(window: number): void {
    // Windows need not be whole numbers of bytes; what a stream keeps does.
    const wanted = Math.ceil(3 * window);
    if (wanted > this.#sendBuffer) this.#sendBuffer = wanted;
  }

  // Early data (SPEC §5.1).

  /** Initiator: the peer has everything on our first stream already. −1 if it allows us none, or less than that. */
  openDelivered(bytes: Uint8Array): StreamId | -1 {
    const stream = this.#streams.openLocal(StreamKind.BIDIRECTIONAL, StreamClass.INTERACTIVE);
    const send = stream?.send;
    if (stream === undefined || send === undefined) return -1;
    send.bufferLimit = Math.max(send.bufferLimit, bytes.length);
    send.write(bytes, true);
    if (!send.takeChunk(bytes.length, this.#sendCredit.available) || !send.chunkFin) return -1;
    this.#sendCredit.use(send.chunkNewBytes);
    send.onAcked(0, bytes.length, true);
    return stream.id;
  }

  /** Responder: everything on the peer's first stream. Returns its id, or −1 if that breaks our own limits. */
  receiveEarly(bytes: Uint8Array): StreamId | -1 {
    const id = makeStreamId(0, StreamRole.INITIATOR, StreamKind.BIDIRECTIONAL);
    return this.#receive(id, bytes, 0, bytes.length, 0, true, NOT_OPENING) === 0 ? id : -1;
  }

  // Commands.

  /** Opens a stream; −1 if the peer's limit is reached. */
  open(unidirectional: boolean, streamClass: number): StreamId | -1 {
    const kind = unidirectional ? StreamKind.UNIDIRECTIONAL : StreamKind.BIDIRECTIONAL;
    return this.#streams.openLocal(kind, toStreamClass(streamClass))?.id ?? -1;
  }

  /** See `Connection.write`. */
  write(id: StreamId, bytes: Uint8Array, fin: boolean, ahead?: number): number {
    const send = this.#streams.get(id)?.send;
    if (send === undefined) return 0;
    if (send.bufferLimit < this.#sendBuffer) send.bufferLimit = this.#sendBuffer;
    const accepted = send.write(bytes, fin, ahead);
    this.#streams.scheduler.activate(send);
    return accepted;
  }

  /** See `Connection.writableBytes`. */
  writableBytes(id: StreamId): number {
    return this.#streams.get(id)?.send?.writable ?? 0;
  }

  /** See `Connection.unsentBytes`. */
  unsentBytes(id: StreamId): number {
    return this.#streams.get(id)?.send?.unsentBytes ?? 0;
  }

  /** See `Connection.awaitWritable`. */
  awaitWritable(id: StreamId): void {
    const send = this.#streams.get(id)?.send;
    if (send !== undefined) send.writeBlocked = true;
  }

  /** See `Connection.leaveCredit`. */
  leaveCredit(id: StreamId): void {
    const send = this.#streams.get(id)?.send;
    if (send !== undefined) send.spare = this.#spare;
  }

  /** See `Connection.streamClass`. */
  streamClass(id: StreamId): number {
    return this.#streams.get(id)?.streamClass ?? StreamClass.INTERACTIVE;
  }

  /** See `Connection.read`. */
  read(id: StreamId): Uint8Array | undefined {
    const stream = this.#streams.get(id);
    const receive = stream?.receive;
    if (stream === undefined || receive === undefined) return undefined;
    const piece = receive.read();
    this.#afterRead(stream);
    return piece;
  }

  /** See `Connection.readFinished`. A stream that is forgotten was finished, or its reset was reported. */
  readFinished(id: StreamId): boolean {
    const receive = this.#streams.get(id)?.receive;
    return receive === undefined || receive.isTerminal;
  }

  /** See `Connection.resetStream`. */
  reset(id: StreamId, code: number): void {
    const stream = this.#streams.get(id);
    if (stream?.send?.reset(code)) this.#afterReset(stream);
  }

  /** See `Connection.stopSending`. */
  stopSending(id: StreamId, code: number): void {
    const stream = this.#streams.get(id);
    if (stream?.receive === undefined) return;
    if (stream.receive.stopSending(code)) this.#streams.markControl(stream);
    this.#afterRead(stream);
  }

  /** See `Connection.setStreamClass`. */
  setClass(id: StreamId, streamClass: number): void {
    const send = this.#streams.get(id)?.send;
    if (send !== undefined) this.#streams.scheduler.setClass(send, toStreamClass(streamClass));
  }

  /**
   * A stream_reset event was handed to the owner. Only now is the receiving half over: before, the owner could take the stream for one
   * that ended, and a peer could open and reset streams faster than anybody takes notice.
   */
  onResetPolled(id: StreamId): void {
    const stream = this.#streams.get(id);
    if (stream?.receive === undefined) return;
    stream.receive.takeReset();
    this.#afterRead(stream);
  }

  /** A readable event was handed to the owner: the next data makes a new one. */
  onReadablePolled(id: StreamId): void {
    const receive = this.#streams.get(id)?.receive;
    if (receive !== undefined) receive.readableReported = false;
  }

  // Frames from the peer.

  /** STREAM_OPEN, STREAM_DATA and STREAM_FIN. */
  onData(reader: FrameReader, start: number, end: number, offset: number, fin: boolean, streamClass: number): number {
    return this.#receive(reader.streamId, reader.bytes, start, end, offset, fin, streamClass);
  }

  #receive(
    id: StreamId,
    bytes: Uint8Array,
    start: number,
    end: number,
    offset: number,
    fin: boolean,
    streamClass: number,
  ): number {
    const stream = this.#streams.forReceiving(id, streamClass);
    if (typeof stream === "number") return stream;
    const receive = stream.receive;
    if (receive === undefined) return TransportError.STREAM_STATE;
    const grown = receive.onData(bytes, start, end, offset, fin);
    if (grown < 0) return -grown;
    if (grown > 0 && !this.#receiveCredit.onReceived(grown)) return TransportError.FLOW_CONTROL;
    if (receive.readable && !receive.readableReported) {
      receive.readableReported = true;
      this.#emit({ type: "readable", id: stream.id });
    } else this.#afterRead(stream);
    return 0;
  }

  /** RESET_STREAM. */
  onReset(id: StreamId, code: number, finalSize: number): number {
    const stream = this.#streams.forReceiving(id, NOT_OPENING);
    if (typeof stream === "number") return stream;
    const receive = stream.receive;
    if (receive === undefined) return TransportError.STREAM_STATE;
    const before = receive.state;
    const grown = receive.onReset(code, finalSize);
    if (grown < 0) return -grown;
    if (grown > 0 && !this.#receiveCredit.onReceived(grown)) return TransportError.FLOW_CONTROL;
    if (receive.state === "reset_recvd" && before !== "reset_recvd") {
      this.resetCount++;
      this.#emit({ type: "stream_reset", id, code });
    }
    this.#afterRead(stream);
    return 0;
  }

  /** STOP_SENDING. */
  onStopSending(id: StreamId, code: number): number {
    const stream = this.#streams.forSending(id);
    if (typeof stream === "number") return stream;
    if (stream.send === undefined) return TransportError.STREAM_STATE;
    if (stream.send.onStopSending(code)) {
      this.#emit({ type: "stop_sending", id, code });
      this.#afterReset(stream);
    }
    return 0;
  }

  /** STREAM_MAX_DATA. */
  onStreamMaxData(id: StreamId, limit: number): number {
    const stream = this.#streams.forSending(id);
    if (typeof stream === "number") return stream;
    if (stream.send === undefined) return TransportError.STREAM_STATE;
    this.#flow.updatesReceived++;
    if (stream.send.setMaxData(limit)) this.#streams.scheduler.activate(stream.send);
    return 0;
  }

  /** CONNECTION_MAX_DATA. */
  onMaxData(limit: number): void {
    this.#flow.updatesReceived++;
    const before = this.#sendCredit.limit;
    this.#sendCredit.setLimit(limit);
    if (limit > before) this.#streams.scheduler.onConnectionCredit();
  }

  /** MAX_STREAMS. */
  onMaxStreams(kind: StreamKind, limit: number): void {
    if (!this.#streams.localIds(kind).setLimit(limit)) return;
    this.#emit({ type: "streams_available", unidirectional: kind === StreamKind.UNIDIRECTIONAL });
  }

  // Frames to the peer.

  /** Whether there is anything to put into a packet. */
  get hasPending(): boolean {
    return this.#streams.hasControl || this.#receiveCredit.isUpdateDue || this.#isStreamCreditDue ||
      this.#streams.scheduler.hasReady(this.#sendCredit.available);
  }

  /** Writes control frames about streams and credit; notes them in `frames`; returns the position behind them. */
  writeControl(out: Uint8Array, at: number, end: number, now: Micros, rtt: Micros, frames: SentFrame[]): number {
    if (end - at >= CREDIT_SIZE) at = this.#writeCredit(out, at, now, rtt, frames);
    while (this.#streams.hasControl && end - at >= STREAM_CONTROL_SIZE) {
      const stream = this.#streams.nextControl();
      if (stream !== undefined) at = this.#writeStreamControl(stream, out, at, now, rtt, frames);
    }
    return at;
  }

  /** Fills the room up to `end` with stream data and DATAGRAM frames; notes them in `frames`; returns the position behind them. */
  writeData(out: Uint8Array, at: number, end: number, frames: SentFrame[]): number {
    const { scheduler } = this.#streams;
    const credit = this.#sendCredit;
    const start = at;
    let lanes = true;
    while (end - at >= STREAM_DATA_OPEN_OVERHEAD + LEAST_CHUNK) {
      const send = scheduler.next(credit.available, lanes);
      if (send === undefined) {
        const { lane } = scheduler;
        if (lane === undefined) break;
        const data = lane.peek();
        if (data === undefined) continue;
        if (DATAGRAM_OVERHEAD + data.length <= end - at) {
          at = writeDatagram(out, at, data);
          frames.push(DATAGRAM_SENT);
          scheduler.chargeLane(lane.streamClass, lane.take());
        } else if (at === start) break; // Acknowledgements and the like go alone, so that the next packet has room for it.
        else lanes = false;
        continue;
      }
      const room = end - at - STREAM_DATA_OPEN_OVERHEAD, { lastPiece } = send;
      if (lastPiece > room && lastPiece <= MAX_UNCUT && lastPiece <= credit.available && at > start) {
        scheduler.putBack(send);
        break;
      }
      const stream = this.#streams.get(send.id)!;
      const before = send.retransmittedBytes;
      if (send.takeChunk(room, credit.available)) {
        const { chunkOffset: offset, chunkLength: length, chunkFin: fin } = send;
        credit.use(send.chunkNewBytes);
        const openClass = send.openPending ? stream.streamClass : NOT_OPENING;
        at = writeStreamDataHeader(out, at, send.id, offset, length, fin, openClass);
        send.copyChunk(offset, length, out, at);
        at += length;
        frames.push({ type: "stream", stream, offset, length, fin });
        scheduler.charge(send.streamClass, length + STREAM_DATA_OPEN_OVERHEAD);
        this.#retransmittedBytes += send.retransmittedBytes - before;
      }
      scheduler.requeue(send, credit.available);
      if (send.isBlocked) this.#streams.markControl(stream);
    }
    return at;
  }

  // Fate of frames that were sent.

  /** A STREAM_DATA frame was acknowledged. */
  onDataAcked(frame: SentStreamFrame): void {
    const send = frame.stream.send!;
    send.onAcked(frame.offset, frame.length, frame.fin);
    if (send.writeBlocked && send.writable > 0) {
      send.writeBlocked = false;
      this.#emit({ type: "writable", id: frame.stream.id });
    }
    if (!send.isTerminal || !this.#streams.settle(frame.stream)) return;
    // On a bidirectional stream, the peer's answer says more than that.
    if (frame.stream.receive === undefined) this.#emit({ type: "delivered", id: frame.stream.id });
  }

  /** A STREAM_DATA frame was lost, or a probe is to carry it again. */
  onDataLost(frame: SentStreamFrame): void {
    const send = frame.stream.send!;
    send.onLost(frame.offset, frame.length, frame.fin);
    this.#streams.scheduler.activate(send);
  }

  /** A control frame of a stream was acknowledged. */
  onControlAcked(frame: SentStreamControl): void {
    if (frame.type !== "reset") return;
    frame.stream.send!.onResetAcked();
    this.#streams.settle(frame.stream);
  }

  /** A control frame of a stream was lost. */
  onControlLost(frame: SentStreamControl): void {
    switch (frame.type) {
      case "reset":
        frame.stream.send!.onResetLost();
        break;
      case "stop_sending":
        frame.stream.receive!.onStopLost();
        break;
      case "stream_max_data":
        frame.stream.receive!.onMaxDataLost();
        break;
      case "stream_blocked":
        frame.stream.send!.onBlockedLost(frame.limit);
        break;
    }
    this.#streams.markControl(frame.stream);
  }

  /** A frame about all streams was lost. */
  onCreditLost(frame: SentCreditFrame): void {
    switch (frame.type) {
      case "max_data":
        this.#receiveCredit.onMaxDataLost();
        break;
      case "max_streams":
        this.#streams.peerIds(frame.kind).onLimitLost();
        break;
      case "data_blocked":
        this.#sendCredit.onBlockedLost(frame.limit);
        break;
      case "streams_blocked":
        this.#streams.localIds(frame.kind).onBlockedLost(frame.limit);
        break;
    }
  }

  get #isStreamCreditDue(): boolean {
    return this.#streams.peerIds(StreamKind.BIDIRECTIONAL).isUpdateDue ||
      this.#streams.peerIds(StreamKind.UNIDIRECTIONAL).isUpdateDue;
  }

  #writeCredit(out: Uint8Array, at: number, now: Micros, rtt: Micros, frames: SentFrame[]): number {
    const maxData = this.#receiveCredit.takeMaxData(now, rtt);
    if (maxData > 0) {
      this.#flow.updatesSent++;
      at = writeConnectionMaxData(out, at, maxData);
      frames.push({ type: "max_data" });
    }
    const blockedAt = this.#streams.scheduler.isBlockedOnCredit ? this.#sendCredit.takeBlocked() : -1;
    if (blockedAt >= 0) {
      this.#flow.blockedConnection++;
      at = writeDataBlocked(out, at, blockedAt);
      frames.push({ type: "data_blocked", limit: blockedAt });
    }
    for (const kind of KINDS) {
      const limit = this.#streams.peerIds(kind).takeLimit();
      if (limit > 0) {
        at = writeMaxStreams(out, at, kind, limit);
        frames.push({ type: "max_streams", kind });
      }
      const exhausted = this.#streams.localIds(kind).takeBlocked();
      if (exhausted >= 0) {
        this.#flow.blockedStreams++;
        at = writeStreamsBlocked(out, at, kind, exhausted);
        frames.push({ type: "streams_blocked", kind, limit: exhausted });
      }
    }
    return at;
  }

  #writeStreamControl(
    stream: Stream,
    out: Uint8Array,
    at: number,
    now: Micros,
    rtt: Micros,
    frames: SentFrame[],
  ): number {
    const { id, send, receive } = stream;
    if (send?.resetPending) {
      at = writeResetStream(out, at, id, send.resetCode, send.finalSize);
      send.onResetSent();
      frames.push({ type: "reset", stream });
    }
    if (receive?.stopPending) {
      at = writeStopSending(out, at, id, receive.stopCode);
      receive.onStopSent();
      frames.push({ type: "stop_sending", stream });
    }
    const limit = receive === undefined ? 0 : receive.takeMaxData(now, rtt);
    if (limit > 0) {
      this.#flow.updatesSent++;
      this.#receiveCredit.ensureWindow(receive!.span);
      at = writeStreamMaxData(out, at, id, limit);
      frames.push({ type: "stream_max_data", stream });
    }
    const blockedAt = send === undefined ? -1 : send.takeBlocked();
    if (blockedAt >= 0) {
      this.#flow.blockedStream++;
      at = writeStreamDataBlocked(out, at, id, blockedAt);
      frames.push({ type: "stream_blocked", stream, limit: blockedAt });
    }
    return at;
  }

  /** Something was read or discarded: its credit goes back, and the stream may be over. */
  #afterRead(stream: Stream): void {
    const receive = stream.receive!;
    const consumed = receive.takeConsumed();
    if (consumed > 0) this.#receiveCredit.onConsumed(consumed);
    if (receive.isMaxDataDue) this.#streams.markControl(stream);
    if (receive.isTerminal) this.#streams.settle(stream);
  }

  #afterReset(stream: Stream): void {
    this.#streams.scheduler.remove(stream.send!);
    this.#streams.markControl(stream);
  }
}
