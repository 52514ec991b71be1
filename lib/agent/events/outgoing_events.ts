/**
 * The events that this side sends on one connection without asking for an answer: a one-way stream each, or a DATAGRAM frame.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { NumberMap } from "../../base/number_map.ts";
import { StreamClass } from "../../transport/scheduler.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import { resetMeaning } from "../calls/call_failure.ts";
import type { Driver, Link } from "../driver.ts";

/** Events that may wait for the peer to allow more streams. */
const MAX_QUEUED = 16_384;
/**
 * Bytes of events that may be under way at once, unless it is a single one. The streams share the path evenly, so the other
 * side collects all of them at a time, and refuses what it has no memory for: by default more than 32 MiB for a connection.
 */
const MAX_UNACKNOWLEDGED_BYTES = 8 << 20;
const DONE: Promise<void> = Promise.resolve();

interface OutgoingEvent {
  /** What the transport has not taken yet; undefined once it has all of it. */
  message: Uint8Array | undefined;
  readonly size: number;
  readonly streamClass: StreamClass;
  /** −1 while it waits for a stream. */
  id: StreamId | -1;
  resolve: (() => void) | undefined;
  reject: ((error: MxpError) => void) | undefined;
}

/** What became of events. */
export interface EventStats {
  /** Handed over by the application. */
  readonly emitted: number;
  /** Acknowledged by the peer's transport. Whether anybody there took them, only `ack` tells. */
  readonly delivered: number;
  /** Turned away before they were delivered. */
  readonly refused: number;
  /** On their way when the connection ended: nobody knows what became of them. */
  readonly lost: number;
  /** Given up by their sender's signal before the transport had all of them. */
  readonly cancelled: number;
  /** On their way, the queued ones included. */
  readonly pending: number;
  /** Waiting for the peer to allow more streams at once, or for others to arrive that are as much as it can collect. */
  readonly queued: number;
  /** Unreliable ones, which count nowhere above. What became of them is in the transport's `datagramFrames`. */
  readonly unreliable: number;
}

/** All of a connection. */
export class OutgoingEvents {
  readonly #driver: Driver;
  readonly #link: Link;
  /** Why the connection ended by itself, if events were on their way whose sender has been told that they are. */
  failure: MxpError | undefined = undefined;
  readonly #events = new NumberMap<OutgoingEvent>();
  #queue: OutgoingEvent[] = [];
  #queueHead = 0;
  #queuedBytes = 0;
  #drained: (() => void)[] = [];
  #emitted = 0;
  #delivered = 0;
  #refused = 0;
  #lost = 0;
  #cancelled = 0;
  /** Bytes of the events that have a stream. */
  #unacknowledged = 0;
  #unreliable = 0;

  constructor(driver: Driver, link: Link) {
    this.#driver = driver;
    this.#link = link;
  }

  /** Events that have neither been delivered nor turned away. */
  get pending(): number {
    return this.#events.size + this.queued;
  }

  /** Events that wait for the peer to allow more streams, or for others to arrive, … */
  get queued(): number {
    return this.#queue.length - this.#queueHead;
  }

  /** … and their bytes. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** A snapshot. */
  stats(): EventStats {
    const { pending } = this;
    const [emitted, delivered, refused, lost] = [this.#emitted, this.#delivered, this.#refused, this.#lost];
    const cancelled = this.#cancelled;
    return { emitted, delivered, refused, lost, cancelled, pending, queued: this.queued, unreliable: this.#unreliable };
  }

  /**
   * Sends an encoded event. Settles when the transport has taken it; an aborted signal takes it back until then.
   *
   * @throws {MxpError} `overloaded`, `cancelled` (rejects).
   */
  emit(message: Uint8Array, streamClass: StreamClass, signal?: AbortSignal): Promise<void> {
    if (this.queued >= MAX_QUEUED) {
      const text = "too many events are waiting for the node already";
      return Promise.reject(new MxpError("overloaded", text, { retryable: true }));
    }
    this.#emitted++;
    const event: OutgoingEvent = {
      message,
      size: message.length,
      streamClass,
      id: -1,
      resolve: undefined,
      reject: undefined,
    };
    if (this.queued > 0 || !this.#open(event)) {
      this.#queue.push(event);
      this.#queuedBytes += event.size;
    }
    if (event.message === undefined) return DONE;
    const taken = new Promise<void>((resolve, reject) => {
      event.resolve = resolve;
      event.reject = reject;
    });
    if (signal === undefined) return taken;
    const onAbort = (): void => this.#giveUp(event, signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    return taken.finally(() => signal.removeEventListener("abort", onAbort));
  }

  /** Its sender wants it no more, and the transport does not have all of it. */
  #giveUp(event: OutgoingEvent, cause: unknown): void {
    const { id, reject } = event;
    if (reject === undefined) return;
    if (id === -1) {
      const at = this.#queue.indexOf(event, this.#queueHead);
      if (at < 0) return;
      this.#queue.splice(at, 1);
      this.#queuedBytes -= event.size;
    } else {
      if (this.#events.get(id) !== event) return;
      this.#events.delete(id);
      this.#link.connection.resetStream(id, StreamError.CANCELLED);
      this.#driver.touch(this.#link);
    }
    this.#cancelled++;
    event.message = event.resolve = event.reject = undefined;
    reject(new MxpError("cancelled", "the event was cancelled", { cause }));
    if (id !== -1) this.#makeRoom(event);
    this.#checkDrained();
  }

  /**
   * Sends an encoded event in a DATAGRAM frame: whole or not at all. Where too many wait, some are dropped, which the transport
   * counts. @throws {MxpError} `too_large` for more than the path carries in one packet; `refused` if the peer takes none.
   */
  emitUnreliable(message: Uint8Array, streamClass: StreamClass): void {
    const { datagrams } = this.#link.connection;
    switch (datagrams.send(message, streamClass)) {
      case "too_large": {
        const text = `as an unreliable event it has ${message.length} bytes with its head, and the path carries ` +
          `${datagrams.maxSize}; send it reliably`;
        throw new MxpError("too_large", text);
      }
      case "unsupported":
        throw new MxpError("refused", "the other side takes no unreliable events");
      case "not_established":
        throw new MxpError("overloaded", "unreliable events have to wait until the connection stands", {
          retryable: true,
        });
      case "queued":
      case "full":
        this.#unreliable++;
        this.#driver.touch(this.#link);
    }
  }

  /** The same, but false where it has to be sent reliably. */
  tryUnreliable(message: Uint8Array, streamClass: StreamClass): boolean {
    const outcome = this.#link.connection.datagrams.send(message, streamClass);
    if (outcome !== "queued" && outcome !== "full") return false;
    this.#unreliable++;
    this.#driver.touch(this.#link);
    return true;
  }

  /** Settles when none is pending. */
  drained(): Promise<void> {
    if (this.pending === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  // Events of the connection.

  onStreamsAvailable(): void {
    while (this.queued > 0 && this.#open(this.#queue[this.#queueHead])) {
      this.#queuedBytes -= this.#queue[this.#queueHead++].size;
    }
    if (this.queued > 0 && this.#queueHead < 1024) return;
    this.#queue = this.#queue.slice(this.#queueHead);
    this.#queueHead = 0;
  }

  onWritable(id: StreamId): void {
    const event = this.#events.get(id);
    if (event?.message !== undefined) this.#write(event, id);
  }

  onDelivered(id: StreamId): void {
    const event = this.#events.delete(id);
    if (event === undefined) return;
    this.#delivered++;
    this.#makeRoom(event);
    this.#checkDrained();
  }

  onStopSending(id: StreamId, code: number): void {
    const event = this.#events.delete(id);
    if (event === undefined) return;
    this.#refused++;
    const { code: errorCode, retryable, text } = resetMeaning(code, "event");
    event.reject?.(new MxpError(errorCode, text, { retryable, remoteCode: code }));
    this.#makeRoom(event);
    this.#checkDrained();
  }

  /** The connection is over. */
  close(error: MxpError): void {
    const events = [...this.#events.values(), ...this.#queue.slice(this.#queueHead)];
    this.#events.clear();
    this.#queue = [];
    this.#queueHead = this.#queuedBytes = 0;
    this.#lost += events.length;
    if (error.code !== "closed" && events.some((event) => event.reject === undefined)) this.failure = error;
    for (const event of events) event.reject?.(error);
    this.#checkDrained();
  }

  #makeRoom({ size }: OutgoingEvent): void {
    this.#unacknowledged -= size;
    if (this.queued > 0) this.onStreamsAvailable();
  }

  #open(event: OutgoingEvent): boolean {
    const unacknowledged = this.#unacknowledged + event.size;
    if (unacknowledged > MAX_UNACKNOWLEDGED_BYTES && this.#unacknowledged > 0) return false;
    const id = this.#link.connection.openStream(true, event.streamClass);
    if (id === -1) return false;
    this.#unacknowledged = unacknowledged;
    event.id = id;
    this.#events.set(id, event);
    this.#write(event, id);
    return true;
  }

  #write(event: OutgoingEvent, id: StreamId): void {
    const message = event.message!;
    const accepted = this.#link.connection.write(id, message, true);
    this.#driver.touch(this.#link);
    if (accepted < message.length) {
      event.message = message.subarray(accepted);
      return;
    }
    event.message = undefined;
    event.resolve?.();
    event.resolve = event.reject = undefined;
  }

  #checkDrained(): void {
    if (this.#drained.length === 0 || this.pending > 0) return;
    for (const resolve of this.#drained.splice(0)) resolve();
  }
}
