/**
 * Unreliable data: DATAGRAM frames that wait to be sent, and those that wait to be read (SPEC §7.4). They share congestion control,
 * pacing and the scheduler with streams, and are never repeated. Both sides of the wait are bounded.
 *
 * @module
 */

import { TransportError } from "../wire/error_codes.ts";
import { PACKET_HEADER_SIZE, PACKET_TAG_SIZE } from "../wire/constants.ts";
import { DATAGRAM_OVERHEAD } from "../wire/frame_writer.ts";
import { DatagramQueue } from "./datagram_queue.ts";
import { type Scheduler, StreamClass, toStreamClass } from "./scheduler.ts";
import { SmallCopies } from "./streams/small_copies.ts";

/** Who gives way when a queue is full: what has waited longest, or what comes. */
export type DatagramDrop = "oldest" | "newest";
/** All of them, the default first. */
export const DATAGRAM_DROPS: readonly [DatagramDrop, DatagramDrop] = ["oldest", "newest"];

const CLASSES: readonly StreamClass[] = [StreamClass.CONTROL, StreamClass.INTERACTIVE, StreamClass.BULK];
/** What a packet needs beside the data of its one DATAGRAM frame. */
const PACKET_OVERHEAD = PACKET_HEADER_SIZE + DATAGRAM_OVERHEAD + PACKET_TAG_SIZE;

/** How much may wait, in each direction of a connection. */
export interface DatagramLimits {
  /** Largest data that the peer may send in one frame; 0 = none is taken. Announced to the peer. */
  readonly maxDatagramFrame: number;
  /** DATAGRAM frames that may wait to be sent, and as many to be read. */
  readonly datagramQueueLength: number;
  /** Bytes that may wait to be sent, and as many to be read. */
  readonly datagramQueueBytes: number;
  /** Who gives way when a queue is full. */
  readonly datagramDrop: DatagramDrop;
}

/**
 * What became of data that was handed over to be sent:
 * - `queued`: it is going to be sent, unless it gives way to other data before;
 * - `full`: too much waits already, and what waits has precedence;
 * - `too_large`: larger than `maxDatagramSize`;
 * - `unsupported`: the peer takes no DATAGRAM frames;
 * - `not_established`: the connection does not stand yet, or not any more.
 */
export type SendDatagramResult = "queued" | "full" | "too_large" | "unsupported" | "not_established";

/** What happened to DATAGRAM frames. */
export class DatagramFrameCounters {
  /** Sent, in packets; each once. */
  sent = 0;
  /** Those of them that were acknowledged: they have reached the peer's connection, if not its application. */
  acknowledged = 0;
  /** Those of them whose packet was declared lost. */
  lost = 0;
  /** Received, those included that nobody read. */
  received = 0;
  /** Not sent because too much was waiting: these, or older ones that gave way to newer ones. */
  droppedFull = 0;
  /** Not sent because they were too large: from the start, or because the path has become narrower while they waited. */
  droppedTooLarge = 0;
  /** Thrown away because they, or those before them, were not read. */
  droppedUnread = 0;
}

/** The frames of one scheduling class that wait to be sent. The scheduler treats them as one more stream of the class. */
export class DatagramLane {
  /** 0 Control, 1 Interactive, 2 Bulk. */
  readonly streamClass: StreamClass;
  /** What waits. */
  readonly queue: DatagramQueue = new DatagramQueue();
  readonly #owner: OutgoingDatagrams;

  constructor(streamClass: StreamClass, owner: OutgoingDatagrams) {
    this.streamClass = streamClass;
    this.#owner = owner;
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.queue.length === 0;
  }

  /** The next frame's data; drops what the path has become too narrow for. Undefined if there is none. */
  peek(): Uint8Array | undefined {
    const owner = this.#owner;
    let data: Uint8Array | undefined;
    while ((data = this.queue.first) !== undefined && data.length > owner.maxSize) {
      owner.remove(this);
      owner.counters.droppedTooLarge++;
    }
    return data;
  }

  /** The frame that {@link peek} showed is in a packet. Returns its size, type and length included. */
  take(): number {
    const owner = this.#owner;
    owner.counters.sent++;
    return DATAGRAM_OVERHEAD + owner.remove(this);
  }
}

/** What waits to be sent, in three lanes. */
export class OutgoingDatagrams {
  /** Largest data that fits into a packet and that the peer takes; 0 if it takes none. */
  maxSize = 0;
  readonly counters: DatagramFrameCounters;
  readonly #limits: DatagramLimits;
  readonly #scheduler: Scheduler;
  /** Made with the first frame, which most connections never send. */
  #lanes: readonly DatagramLane[] = [];
  #length = 0;
  #bytes = 0;

  constructor(scheduler: Scheduler, limits: DatagramLimits, counters: DatagramFrameCounters) {
    this.#scheduler = scheduler;
    this.#limits = limits;
    this.counters = counters;
  }

  /** Frames that wait. */
  get length(): number {
    return this.#length;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes ownership of `data`. See {@link DatagramFrames.send}. */
  send(data: Uint8Array, streamClass: StreamClass): SendDatagramResult {
    if (data.length > this.maxSize) {
      this.counters.droppedTooLarge++;
      return "too_large";
    }
    if (this.#lanes.length === 0) {
      this.#lanes = CLASSES.map((each) => new DatagramLane(each, this));
      this.#scheduler.setLanes(this.#lanes);
    }
    if (!this.#makeRoom(data.length, streamClass)) {
      this.counters.droppedFull++;
      return "full";
    }
    const lane = this.#lanes[streamClass];
    if (lane.isEmpty) this.#scheduler.activateLane(lane);
    lane.queue.push(data);
    this.#length++;
    this.#bytes += data.length;
    return "queued";
  }

  /** Takes the oldest frame out of a lane; its size. */
  remove(lane: DatagramLane): number {
    const size = lane.queue.shift()!.length;
    this.#length--;
    this.#bytes -= size;
    return size;
  }

  /** The connection is over. */
  discard(): void {
    for (const lane of this.#lanes) lane.queue.clear();
    this.#length = this.#bytes = 0;
  }

  /** Drops the oldest frames of the least urgent class until there is room; false if only more urgent ones could give way. */
  #makeRoom(bytes: number, streamClass: StreamClass): boolean {
    const { datagramQueueLength, datagramQueueBytes, datagramDrop } = this.#limits;
    while (this.#length >= datagramQueueLength || this.#bytes + bytes > datagramQueueBytes) {
      if (datagramDrop === "newest") return false;
      let victim: StreamClass = StreamClass.BULK;
      while (victim > streamClass && this.#lanes[victim].isEmpty) victim--;
      const lane = this.#lanes[victim];
      if (lane.isEmpty) return false;
      this.remove(lane);
      this.counters.droppedFull++;
    }
    return true;
  }
}

/** What waits to be read. */
export class IncomingDatagrams {
  readonly #limits: DatagramLimits;
  readonly #counters: DatagramFrameCounters;
  readonly #emit: () => void;
  readonly #queue = new DatagramQueue();
  readonly #copies = new SmallCopies();
  #reported = false;

  /** @param emit called when there is something to read, and once only until all of it was read */
  constructor(limits: DatagramLimits, counters: DatagramFrameCounters, emit: () => void) {
    this.#limits = limits;
    this.#counters = counters;
    this.#emit = emit;
  }

  /** Frames that wait. */
  get length(): number {
    return this.#queue.length;
  }

  /** A DATAGRAM frame has arrived, its data at `bytes[start…end)`: 0, or the error code that closes the connection. */
  onFrame(bytes: Uint8Array, start: number, end: number): number {
    const { maxDatagramFrame, datagramQueueLength, datagramQueueBytes, datagramDrop } = this.#limits;
    const size = end - start, queue = this.#queue, counters = this.#counters;
    if (maxDatagramFrame === 0 || size > maxDatagramFrame) return TransportError.PROTOCOL_VIOLATION;
    counters.received++;
    while (queue.length >= datagramQueueLength || queue.bytes + size > datagramQueueBytes) {
      counters.droppedUnread++;
      if (datagramDrop === "newest" || size > datagramQueueBytes) return 0;
      queue.shift();
    }
    queue.push(this.#copies.copy(bytes, start, end));
    if (!this.#reported) {
      this.#reported = true;
      this.#emit();
    }
    return 0;
  }

  /** The oldest one, which belongs to the caller; undefined if there is none. */
  read(): Uint8Array | undefined {
    const data = this.#queue.shift();
    if (data === undefined) this.#reported = false;
    return data;
  }

  /** Throws away what waits, and counts it as unread. */
  drop(): void {
    this.#counters.droppedUnread += this.#queue.clear();
    this.#reported = false;
  }
}

/** Unreliable data of one connection, in both directions. */
export class DatagramFrames {
  readonly #limits: DatagramLimits;
  readonly #counters = new DatagramFrameCounters();
  readonly #outgoing: OutgoingDatagrams;
  readonly #incoming: IncomingDatagrams;
  #isOpen = false;
  #peerLimit = 0;
  #udpPayload = 0;

  /** Made by the connection; `emit` is called when there is something to read. */
  constructor(scheduler: Scheduler, limits: DatagramLimits, emit: () => void) {
    this.#limits = limits;
    this.#outgoing = new OutgoingDatagrams(scheduler, limits, this.#counters);
    this.#incoming = new IncomingDatagrams(limits, this.#counters, emit);
  }

  /**
   * Largest data that can be sent now: what the peer takes, and what fits into one packet on this path, which may change. 0 before the
   * connection is established, and if the peer takes none.
   */
  get maxSize(): number {
    return this.#outgoing.maxSize;
  }

  /** Counters since the connection began. A copy. */
  get counters(): Readonly<DatagramFrameCounters> {
    return { ...this.#counters };
  }

  /** Frames that wait to be sent. */
  get queued(): number {
    return this.#outgoing.length;
  }

  /** Frames that wait to be read. */
  get unread(): number {
    return this.#incoming.length;
  }

  /**
   * Sends data in a DATAGRAM frame: whole or not at all, once, in no order. Takes ownership of `data`, which must not change any more. Class
   * 0 Control, 1 Interactive, 2 Bulk. Throws never; see {@link SendDatagramResult}.
   */
  send(data: Uint8Array, streamClass: number = StreamClass.BULK): SendDatagramResult {
    if (!this.#isOpen) return "not_established";
    if (this.#peerLimit === 0) return "unsupported";
    return this.#outgoing.send(data, toStreamClass(streamClass));
  }

  /**
   * The oldest data that has arrived, which belongs to the caller but must not have its buffer transferred; undefined if there is none. The
   * event `datagram` comes once, and again for what arrives after this has said undefined.
   */
  read(): Uint8Array | undefined {
    return this.#incoming.read();
  }

  /** Throws away what has arrived, for owners that have no use for it. */
  drop(): void {
    this.#incoming.drop();
  }

  // For the connection.

  /** The peer's largest data is known. */
  setPeerLimit(maxDatagramFrame: number): void {
    this.#peerLimit = maxDatagramFrame;
    this.#update();
  }

  /** The size of the UDP datagrams that the path carries is known, or has changed. */
  setUdpPayload(udpPayload: number): void {
    if (this.#udpPayload === udpPayload) return;
    this.#udpPayload = udpPayload;
    this.#update();
  }

  /** Data may be sent from now on. */
  open(): void {
    this.#isOpen = true;
    this.#update();
  }

  /** The connection has ended: nothing is sent any more. What was received can still be read. */
  close(): void {
    this.#isOpen = false;
    this.#outgoing.discard();
    this.#update();
  }

  /** A DATAGRAM frame has arrived: 0, or the code that closes the connection. */
  onFrame(bytes: Uint8Array, start: number, end: number): number {
    return this.#incoming.onFrame(bytes, start, end);
  }

  /** A packet with a DATAGRAM frame was acknowledged; `probed` if it had been given up for a probe before. */
  onAcked(probed: boolean): void {
    this.#counters.acknowledged++;
    if (probed) this.#counters.lost--;
  }

  /** A packet with a DATAGRAM frame was declared lost, or has not been heard of when a probe was due. */
  onLost(): void {
    this.#counters.lost++;
  }

  #update(): void {
    const fits = Math.max(0, this.#udpPayload - PACKET_OVERHEAD);
    this.#outgoing.maxSize = this.#isOpen ? Math.min(this.#peerLimit, fits, this.#limits.datagramQueueBytes) : 0;
  }
}
