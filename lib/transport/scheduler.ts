/**
 * Which stream may put data into the next packet: weighted fair between classes, round robin inside a class. DATAGRAM frames have a lane in
 * each class, which shares the class evenly with its streams.
 *
 * Start-time fair queueing: every class has a virtual time, which advances by what it sent divided by its weight; the class that is
 * furthest behind goes next, the more urgent one first where they are equal. A class that was idle resumes at
 * the present virtual time, so it neither saves up a claim nor has to catch up. Control, which rarely sends, is
 * therefore always served at once; and a flood of it still leaves the others their share.
 *
 * @module
 */

import type { DatagramLane } from "./datagram_frames.ts";
import type { SendStream } from "./streams/send_stream.ts";

/** Scheduling classes of streams. */
export const StreamClass = { CONTROL: 0, INTERACTIVE: 1, BULK: 2 } as const;
/** Scheduling class of a stream. */
export type StreamClass = typeof StreamClass[keyof typeof StreamClass];

/** How many bytes each class sends while the others send theirs, if all of them always have something. */
export const CLASS_WEIGHTS: readonly [number, number, number] = [100, 50, 10];

const CLASSES = 3;
/** The list of streams that only the connection's credit keeps from sending. */
const PARKED = 3;
const NOT_QUEUED = -1;

/** The nearest valid class to what a peer sent: anything unknown is the least urgent. */
export function toStreamClass(value: number): StreamClass {
  return value === 0 || value === 1 ? value : StreamClass.BULK;
}

/**
 * The queues of streams that have something to send. Every operation takes constant time; a stream is in one queue at most.
 *
 * @example
 * ```ts
 * import type { StreamId } from "../wire/stream_id.ts";
 * import { Scheduler, StreamClass } from "./scheduler.ts";
 * import { SendStream } from "./streams/send_stream.ts";
 *
 * const stream = new SendStream(0 as StreamId, StreamClass.BULK, 65536, 65536, true);
 * stream.write(new Uint8Array(1500), true);
 *
 * const room = 1000, credit = 65536, scheduler = new Scheduler();
 * scheduler.activate(stream); // after every write, loss or new credit
 * for (let next; (next = scheduler.next(credit)) !== undefined;) {
 *   if (next.takeChunk(room, credit)) scheduler.charge(next.streamClass, next.chunkLength); // 1000, then 500
 *   scheduler.requeue(next, credit);
 * }
 * ```
 */
export class Scheduler {
  readonly #heads: (SendStream | undefined)[] = [undefined, undefined, undefined, undefined];
  readonly #tails: (SendStream | undefined)[] = [undefined, undefined, undefined, undefined];
  readonly #times: number[] = [0, 0, 0];
  /** Virtual time of the class that was served last, at that moment. */
  #now = 0;
  /** DATAGRAM frames by class; none before the first one. */
  #lanes: readonly DatagramLane[] = [];
  /** By how many bytes each class's lane is ahead of its streams, since both have had something to send. */
  readonly #leads: number[] = [0, 0, 0];
  /** After {@link next} has said undefined: the lane whose turn it is, if it is one's. */
  lane: DatagramLane | undefined;

  /** Queues a stream behind the others of its class. Does nothing if it is queued; whether it really has something to send is looked at later. */
  activate(stream: SendStream): void {
    if (stream.queuedIn !== NOT_QUEUED) {
      if (stream.queuedIn !== PARKED) return;
      this.#unlink(stream);
    }
    this.#resume(stream.streamClass);
    this.#append(stream.streamClass, stream);
  }

  /** The lanes of the DATAGRAM frames, one for each class. */
  setLanes(lanes: readonly DatagramLane[]): void {
    this.#lanes = lanes;
  }

  /** A lane that was empty is about to have something to send. */
  activateLane(lane: DatagramLane): void {
    this.#resume(lane.streamClass);
  }

  /**
   * Takes the stream out whose turn it is, given the connection's credit for new bytes; hand it back with {@link requeue} when its chunks were
   * taken. Undefined if it is a lane's turn, which is then in {@link lane}, or if nobody has anything to send. Without `lanes` streams alone
   * have a turn.
   */
  next(connectionCredit: number, lanes = true): SendStream | undefined {
    const mayTakeLane = lanes && this.#lanes.length > 0;
    let best = NOT_QUEUED;
    for (let i = 0; i < CLASSES; i++) {
      const ready = this.#ready(i, connectionCredit) || (mayTakeLane && !this.#lanes[i].isEmpty);
      if (ready && (best < 0 || this.#times[i] < this.#times[best])) best = i;
    }
    this.lane = undefined;
    if (best < 0) {
      // While a lane waits for the next packet nobody is ahead of it for good.
      if (lanes) this.#now = Math.max(this.#times[0], this.#times[1], this.#times[2]);
      return undefined;
    }
    this.#now = this.#times[best];
    if (mayTakeLane && !this.#lanes[best].isEmpty && (this.#leads[best] <= 0 || this.#heads[best] === undefined)) {
      this.lane = this.#lanes[best];
      return undefined;
    }
    const stream = this.#heads[best]!;
    this.#unlink(stream);
    return stream;
  }

  /** Whether {@link next} would find a stream or a lane. */
  hasReady(connectionCredit: number): boolean {
    for (let i = 0; i < CLASSES; i++) if (this.#ready(i, connectionCredit)) return true;
    for (let i = 0; i < this.#lanes.length; i++) if (!this.#lanes[i].isEmpty) return true;
    return false;
  }

  /** Whether a stream has new bytes that only the connection's credit keeps from being sent. */
  get isBlockedOnCredit(): boolean {
    return this.#heads[PARKED] !== undefined;
  }

  /** Notes that a stream of a class has sent `bytes`. */
  charge(streamClass: number, bytes: number): void {
    this.#times[streamClass] += bytes / CLASS_WEIGHTS[streamClass];
    if (this.#lanes.length === 0) return;
    const lead = this.#leads[streamClass] - bytes;
    // A lane that has nothing to send saves up no claim.
    this.#leads[streamClass] = lead < 0 && this.#lanes[streamClass].isEmpty ? 0 : lead;
  }

  /** Notes that the lane of a class has sent `bytes`. */
  chargeLane(streamClass: number, bytes: number): void {
    this.#times[streamClass] += bytes / CLASS_WEIGHTS[streamClass];
    // Nor do streams.
    this.#leads[streamClass] = this.#heads[streamClass] === undefined ? 0 : this.#leads[streamClass] + bytes;
  }

  /** Puts a stream that {@link next} returned behind the others of its class if it has more to send. */
  requeue(stream: SendStream, connectionCredit: number): void {
    if (stream.queuedIn !== NOT_QUEUED) return;
    if (stream.hasPending(connectionCredit)) this.activate(stream);
    else if (stream.hasPending(Infinity)) this.#append(PARKED, stream);
  }

  /** Gives back a stream that {@link next} returned and from which nothing was taken: in its class it stays the next one. */
  putBack(stream: SendStream): void {
    const queue = stream.streamClass;
    const head = this.#heads[queue];
    stream.queuedIn = queue;
    stream.nextQueued = head;
    if (head === undefined) this.#tails[queue] = stream;
    else head.previousQueued = stream;
    this.#heads[queue] = stream;
  }

  /** The connection has new credit: streams that waited for it have their turn again. */
  onConnectionCredit(): void {
    let stream: SendStream | undefined;
    while ((stream = this.#heads[PARKED]) !== undefined) this.activate(stream);
  }

  /** Takes a stream out that is over. */
  remove(stream: SendStream): void {
    if (stream.queuedIn !== NOT_QUEUED) this.#unlink(stream);
  }

  /** Changes a stream's class, also while it is queued. */
  setClass(stream: SendStream, streamClass: StreamClass): void {
    if (stream.streamClass === streamClass) return;
    const queued = stream.queuedIn !== NOT_QUEUED && stream.queuedIn !== PARKED;
    if (queued) this.#unlink(stream);
    stream.streamClass = streamClass;
    if (queued) this.activate(stream);
  }

  /** Whether a class has a stream with something to send; those at its head that have nothing are dropped or parked. */
  #ready(streamClass: number, connectionCredit: number): boolean {
    let stream: SendStream | undefined;
    while ((stream = this.#heads[streamClass]) !== undefined) {
      if (stream.hasPending(connectionCredit)) return true;
      this.#unlink(stream);
      if (stream.hasPending(Infinity)) this.#append(PARKED, stream);
    }
    return false;
  }

  /** A class that had nothing to send takes part from the present on. */
  #resume(streamClass: number): void {
    if (this.#heads[streamClass] !== undefined) return;
    if (this.#lanes.length > 0 && !this.#lanes[streamClass].isEmpty) return;
    if (this.#times[streamClass] < this.#now) this.#times[streamClass] = this.#now;
  }

  #append(queue: number, stream: SendStream): void {
    const tail = this.#tails[queue];
    stream.queuedIn = queue;
    stream.previousQueued = tail;
    if (tail === undefined) this.#heads[queue] = stream;
    else tail.nextQueued = stream;
    this.#tails[queue] = stream;
  }

  #unlink(stream: SendStream): void {
    const { previousQueued: previous, nextQueued: next, queuedIn: queue } = stream;
    if (previous === undefined) this.#heads[queue] = next;
    else previous.nextQueued = next;
    if (next === undefined) this.#tails[queue] = previous;
    else next.previousQueued = previous;
    stream.previousQueued = undefined;
    stream.nextQueued = undefined;
    stream.queuedIn = NOT_QUEUED;
  }
}
