/**
 * All streams of one connection: opening within the limits of both sides, finding the stream that a frame names, and
 * forgetting streams that are over.
 *
 * @module
 */

import { NumberMap } from "../../base/number_map.ts";
import { TransportError } from "../../wire/error_codes.ts";
import {
  isUnidirectional,
  makeStreamId,
  type StreamId,
  streamIndex,
  StreamKind,
  streamKind,
  type StreamRole,
  streamRole,
} from "../../wire/stream_id.ts";
import { Scheduler, StreamClass, toStreamClass } from "../scheduler.ts";
import { GapBudget } from "./reassembler.ts";
import { type ReceiveShared, ReceiveStream } from "./receive_stream.ts";
import { SendStream } from "./send_stream.ts";
import { SmallCopies } from "./small_copies.ts";
import { Stream } from "./stream.ts";
import { LocalStreamIds, PeerStreamIds } from "./stream_ids.ts";

/** Gaps that all receiving halves of a connection may have together, about 4 MB of memory at worst. */
const MAX_GAPS_PER_CONNECTION = 16384;

/** What a stream set must know of its connection. A `TransportSettings` with a role fits. */
export interface StreamSetOptions {
  /** Our side of the connection. */
  readonly role: StreamRole;
  /** Bidirectional streams that the peer may have open at once, as announced. */
  readonly maxStreamsBidi: number;
  /** Unidirectional streams that the peer may have open at once, as announced. */
  readonly maxStreamsUni: number;
  /** Bytes that the peer may have under way on a stream, as announced. */
  readonly maxStreamData: number;
  /** Size up to which the window of a stream may grow; without it windows stay as they are. */
  readonly maxStreamWindow?: number;
  /** Unacknowledged bytes that one stream keeps for retransmission. */
  readonly sendBuffer: number;
}

/** What the peer's transport parameters allow us. */
export interface PeerStreamLimits {
  /** Bidirectional streams that we may open. */
  readonly maxStreamsBidi: number;
  /** Unidirectional streams that we may open. */
  readonly maxStreamsUni: number;
  /** Bytes that we may send on each stream. */
  readonly maxStreamData: number;
}

/**
 * The streams of one connection.
 *
 * @example
 * ```ts
 * import { StreamKind, StreamRole } from "../../wire/stream_id.ts";
 * import { StreamClass } from "../scheduler.ts";
 * import { defaultSettings } from "../settings.ts";
 * import { StreamSet } from "./stream_set.ts";
 *
 * const streams = new StreamSet({ role: StreamRole.INITIATOR, ...defaultSettings });
 * streams.setPeerLimits({ maxStreamsBidi: 100, maxStreamsUni: 100, maxStreamData: 65536 });
 * const stream = streams.openLocal(StreamKind.BIDIRECTIONAL, StreamClass.INTERACTIVE);
 * if (stream !== undefined) {
 *   stream.send!.write(Uint8Array.of(1, 2, 3), true);
 *   streams.scheduler.activate(stream.send!);
 * }
 * ```
 */
export class StreamSet {
  /** The queues of streams that have something to send. */
  readonly scheduler: Scheduler = new Scheduler();
  readonly #role: StreamRole;
  readonly #sendBuffer: number;
  readonly #receiveShared: ReceiveShared;
  readonly #local: readonly [LocalStreamIds, LocalStreamIds] = [new LocalStreamIds(), new LocalStreamIds()];
  readonly #peer: readonly [PeerStreamIds, PeerStreamIds];
  /** Open streams. The peer chooses keys only among the ids that its limit leaves open. */
  readonly #streams = new NumberMap<Stream>();
  /** The stream that was asked for last, as long as it is open. */
  #last: Stream | undefined = undefined;
  #peerMaxStreamData = 0;
  /** Streams that want a RESET_STREAM, STOP_SENDING, STREAM_MAX_DATA or STREAM_DATA_BLOCKED frame, from `#controlHead` on. */
  #control: Stream[] = [];
  #controlHead = 0;

  constructor(options: StreamSetOptions) {
    this.#role = options.role;
    this.#sendBuffer = options.sendBuffer;
    this.#receiveShared = {
      copies: new SmallCopies(),
      gaps: new GapBudget(MAX_GAPS_PER_CONNECTION),
      window: options.maxStreamData,
      maxWindow: Math.max(options.maxStreamData, options.maxStreamWindow ?? 0),
    };
    this.#peer = [new PeerStreamIds(options.maxStreamsBidi), new PeerStreamIds(options.maxStreamsUni)];
  }

  /** How many streams are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** The open streams, by their ids. */
  values(): Stream[] {
    return this.#streams.values().sort((a, b) => a.id - b.id);
  }

  /** The open stream with this id. */
  get(id: StreamId): Stream | undefined {
    // The owner does several things to a stream in a row.
    const last = this.#last;
    if (last !== undefined && last.id === id) return last;
    return this.#last = this.#streams.get(id);
  }

  /** Ids that we open, by kind. */
  localIds(kind: StreamKind): LocalStreamIds {
    return this.#local[kind];
  }

  /** Ids that the peer opens, by kind: MAX_STREAMS is due when `isUpdateDue` says so. */
  peerIds(kind: StreamKind): PeerStreamIds {
    return this.#peer[kind];
  }

  /** The peer's transport parameters are known. */
  setPeerLimits(limits: PeerStreamLimits): void {
    this.#local[StreamKind.BIDIRECTIONAL].setLimit(limits.maxStreamsBidi);
    this.#local[StreamKind.UNIDIRECTIONAL].setLimit(limits.maxStreamsUni);
    this.#peerMaxStreamData = limits.maxStreamData;
    for (const { send } of this.values()) {
      if (send?.setMaxData(limits.maxStreamData)) this.scheduler.activate(send);
    }
  }

  /** Opens a stream; undefined if the peer's limit is reached. */
  openLocal(kind: StreamKind, streamClass: StreamClass): Stream | undefined {
    const index = this.#local[kind].take();
    if (index < 0) return undefined;
    return this.#create(makeStreamId(index, this.#role, kind), streamClass, true);
  }

  /**
   * The stream that a frame from the peer's sending half names: STREAM_OPEN, STREAM_DATA, STREAM_FIN, RESET_STREAM,
   * STREAM_DATA_BLOCKED. Opens it if it is the peer's to open. `streamClass` is what an OPEN gives it, −1 without OPEN.
   *
   * Returns 0 if the stream is over and the frame is to be ignored, or a transport error code: STREAM_LIMIT, STREAM_STATE.
   */
  forReceiving(id: StreamId, streamClass: number): Stream | number {
    const stream = this.get(id);
    const isLocal = streamRole(id) === this.#role;
    if (isLocal && (streamClass >= 0 || isUnidirectional(id))) return TransportError.STREAM_STATE;
    if (stream === undefined) return isLocal ? this.#missingLocal(id) : this.#openPeer(id, streamClass);
    if (streamClass >= 0 && stream.streamClass !== streamClass) this.#setClass(stream, streamClass);
    return stream;
  }

  /**
   * The stream that a frame from the peer's receiving half names: STREAM_MAX_DATA, STOP_SENDING. Opens it if it is the
   * peer's to open. Returns what {@link forReceiving} returns.
   */
  forSending(id: StreamId): Stream | number {
    const isLocal = streamRole(id) === this.#role;
    if (!isLocal && isUnidirectional(id)) return TransportError.STREAM_STATE;
    const stream = this.get(id);
    if (stream !== undefined) return stream;
    return isLocal ? this.#missingLocal(id) : this.#openPeer(id, -1);
  }

  /**
   * Forgets a stream if both of its halves are over. Call whenever a half may have ended. Returns whether it is forgotten now;
   * MAX_STREAMS may be due then.
   */
  settle(stream: Stream): boolean {
    if (!stream.isTerminal || this.#streams.delete(stream.id) === undefined) return false;
    if (this.#last === stream) this.#last = undefined;
    if (stream.send !== undefined) this.scheduler.remove(stream.send);
    if (streamRole(stream.id) !== this.#role) this.#peer[streamKind(stream.id)].close();
    return true;
  }

  /** Notes that a stream wants a control frame: its reset, stop, credit or blocked state has changed. */
  markControl(stream: Stream): void {
    if (stream.controlQueued) return;
    stream.controlQueued = true;
    this.#control.push(stream);
  }

  /** Whether {@link nextControl} would return a stream. */
  get hasControl(): boolean {
    return this.#controlHead < this.#control.length;
  }

  /** Takes the next stream that wants a control frame; {@link markControl} it again if the packet had no room. */
  nextControl(): Stream | undefined {
    const control = this.#control;
    while (this.#controlHead < control.length) {
      const stream = control[this.#controlHead++];
      if (this.#controlHead === control.length) {
        control.length = 0;
        this.#controlHead = 0;
      } else if (this.#controlHead >= 64 && 2 * this.#controlHead >= control.length) {
        control.splice(0, this.#controlHead);
        this.#controlHead = 0;
      }
      stream.controlQueued = false;
      if (!stream.isTerminal) return stream;
    }
    return undefined;
  }

  #missingLocal(id: StreamId): number {
    return streamIndex(id) < this.#local[streamKind(id)].next ? 0 : TransportError.STREAM_STATE;
  }

  #openPeer(id: StreamId, streamClass: number): Stream | number {
    const ids = this.#peer[streamKind(id)];
    const index = streamIndex(id);
    if (index >= ids.limit) return TransportError.STREAM_LIMIT;
    if (!ids.use(index)) return 0;
    return this.#create(id, streamClass < 0 ? StreamClass.INTERACTIVE : toStreamClass(streamClass), false);
  }

  #create(id: StreamId, streamClass: StreamClass, isLocal: boolean): Stream {
    const twoWay = !isUnidirectional(id);
    const send = twoWay || isLocal
      ? new SendStream(id, streamClass, this.#sendBuffer, this.#peerMaxStreamData, isLocal)
      : undefined;
    const receive = twoWay || !isLocal ? new ReceiveStream(id, this.#receiveShared) : undefined;
    const stream = new Stream(id, streamClass, send, receive);
    this.#streams.set(id, stream);
    this.#last = stream;
    return stream;
  }

  /** A frame without OPEN had opened the stream, and now its class is known. */
  #setClass(stream: Stream, value: number): void {
    const streamClass = toStreamClass(value);
    if (stream.streamClass === streamClass) return;
    stream.streamClass = streamClass;
    if (stream.send !== undefined) this.scheduler.setClass(stream.send, streamClass);
  }
}
