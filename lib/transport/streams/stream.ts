/**
 * A stream: its sending half, its receiving half, or both.
 *
 * @module
 */

import type { StreamId } from "../../wire/stream_id.ts";
import type { ReceiveStream } from "./receive_stream.ts";
import type { SendStream } from "./send_stream.ts";

/** One stream of a connection. */
export class Stream {
  /** Stream id. */
  readonly id: StreamId;
  /** The sending half; undefined on a unidirectional stream that the peer opened. */
  readonly send: SendStream | undefined;
  /** The receiving half; undefined on a unidirectional stream that we opened. */
  readonly receive: ReceiveStream | undefined;
  /** Scheduling class that the side that opened the stream gave it. */
  streamClass: number;
  /** Whether the stream is in the list of those that want a control frame; only the stream set touches it. */
  controlQueued = false;

  constructor(
    id: StreamId,
    streamClass: number,
    send: SendStream | undefined,
    receive: ReceiveStream | undefined,
  ) {
    this.id = id;
    this.streamClass = streamClass;
    this.send = send;
    this.receive = receive;
  }

  /** Whether both halves are over, so that the stream can be forgotten. */
  get isTerminal(): boolean {
    return (this.send === undefined || this.send.isTerminal) && (this.receive === undefined || this.receive.isTerminal);
  }
}
