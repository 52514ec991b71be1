/**
 * Who a transport stream belongs to.
 *
 * @module
 */

import type { MxpError } from "../../base/errors.ts";
import type { StreamId } from "../../wire/stream_id.ts";

/** Is told what happens on a stream, and does the rest itself. */
export interface StreamUser {
  readonly role: "opener" | "answerer";
  /** −1 while it waits for the peer to allow one more stream. */
  readonly id: StreamId | -1;
  /** There is a stream for it. */
  attach(id: StreamId): void;
  onReadable(): void;
  onWritable(): void;
  /** The peer gave its half up. */
  onReset(code: number): void;
  /** The peer reads no more; the transport has reset our half. */
  onStopSending(code: number): void;
  /** The connection is over. */
  onConnectionEnd(error: MxpError): void;
}
