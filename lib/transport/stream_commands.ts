/**
 * What the owner of a connection does with its streams.
 *
 * @module
 */

import type { StreamId } from "../wire/stream_id.ts";
import type { ConnectionState } from "./connection_start.ts";
import type { StreamLayer } from "./stream_layer.ts";

/** The half of a connection that deals with streams only. */
export abstract class StreamCommands {
  /** Where the connection stands. */
  abstract get state(): ConnectionState;
  /** @internal Its streams. */
  protected abstract get streams(): StreamLayer;

  /**
   * Opens a stream: class 0 Control, 1 Interactive, 2 Bulk. −1 if the connection is not established, or the peer's limit is
   * reached (the event `streams_available` follows). The peer learns of it with the first byte, or the end, that is written.
   */
  openStream(unidirectional: boolean, streamClass: number): StreamId | -1 {
    return this.state === "established" ? this.streams.open(unidirectional, streamClass) : -1;
  }

  /**
   * Takes ownership of `bytes`: they must not change until the stream is done with. Returns how many were accepted, 0 on a stream
   * that is over; `writable` follows when there is room for more. `fin` counts only if all were. Throws a TypeError after `fin`.
   *
   * @param ahead how many bytes of the stream may wait to be sent for the first time, for writers that have to bound what they hold.
   */
  write(id: StreamId, bytes: Uint8Array, fin: boolean, ahead?: number): number {
    return this.state === "established" ? this.streams.write(id, bytes, fin, ahead) : 0;
  }

  /** Bytes of a stream that were written and never sent. */
  unsentBytes(id: StreamId): number {
    return this.streams.unsentBytes(id);
  }

  /** Asks for `writable` when something of what is under way has been acknowledged, although nothing was refused. */
  awaitWritable(id: StreamId): void {
    this.streams.awaitWritable(id);
  }

  /**
   * A stream whose reader may take its time: it does not use up the last of the connection's credit, so that others get through
   * although it is not read.
   */
  leaveCredit(id: StreamId): void {
    this.streams.leaveCredit(id);
  }

  /** The class that the side that opened a stream gave it. */
  streamClass(id: StreamId): number {
    return this.streams.streamClass(id);
  }

  /** How many bytes `write` would accept. */
  writableBytes(id: StreamId): number {
    return this.streams.writableBytes(id);
  }

  /** The next bytes of a stream, which belong to the caller from then on; undefined if there are none now. */
  read(id: StreamId): Uint8Array | undefined {
    return this.streams.read(id);
  }

  /** Whether everything up to the end of the stream was read, or will never come, which `stream_reset` or `stopSending` has said before. */
  readFinished(id: StreamId): boolean {
    return this.streams.readFinished(id);
  }

  /** Gives up our sending side of a stream. */
  resetStream(id: StreamId, code: number): void {
    this.streams.reset(id, code);
  }

  /** Asks the peer to give up its sending side, and discards what was not read. */
  stopSending(id: StreamId, code: number): void {
    this.streams.stopSending(id, code);
  }

  /** Changes the class of our sending side. */
  setStreamClass(id: StreamId, streamClass: number): void {
    this.streams.setClass(id, streamClass);
  }
}
