/**
 * What a connection tells its owner, through `pollEvent`.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import type { Micros } from "../base/time.ts";
import type { StreamId } from "../wire/stream_id.ts";
import type { ResumptionTicket } from "./resumed_handshake.ts";

/** Why a connection ended. */
export interface CloseReason {
  /** Who or what ended it. */
  readonly by: "local" | "peer" | "idle_timeout" | "handshake_timeout" | "version" | "reset";
  /** CLOSE code (`lib/wire/error_codes.ts`); 0 where none was exchanged. */
  readonly code: number;
  /** The closing side's words. Comes from the peer if `by` is `peer`: escape before showing it. */
  readonly message: string;
  /** What an unauthenticated Reject suggested while the handshake was failing. A hint, never a proof. */
  readonly hint?: "rejected_key" | "overloaded" | undefined;
}

/** One thing that happened. */
export type ConnectionEvent =
  /** The keys are there, the peer is authenticated, streams can be opened. */
  | { readonly type: "established" }
  /** The peer is known to have believed our handshake. */
  | { readonly type: "confirmed" }
  /** A stream has data, or its end, to read. The first one with an unknown peer-initiated id is a new stream. */
  | { readonly type: "readable"; readonly id: StreamId }
  /** A stream that had not accepted everything has room again. */
  | { readonly type: "writable"; readonly id: StreamId }
  /** The peer gave up its sending side of a stream: what was not read is lost. May be the first that is heard of a stream. */
  | { readonly type: "stream_reset"; readonly id: StreamId; readonly code: number }
  /** The peer does not want to read more from a stream; ours was reset in answer. */
  | { readonly type: "stop_sending"; readonly id: StreamId; readonly code: number }
  /** Everything on a unidirectional stream of ours, its end included, was acknowledged: the peer's transport has it. */
  | { readonly type: "delivered"; readonly id: StreamId }
  /** The peer allows more streams after `openStream` had said −1. */
  | { readonly type: "streams_available"; readonly unidirectional: boolean }
  /** DATAGRAM frames have arrived. Comes once until `datagrams.read` has said that there are no more. */
  | { readonly type: "datagram" }
  /** The connection goes over another path now, and the peer is known to receive there. */
  | { readonly type: "path_validated"; readonly remote: Address }
  /** We moved, and the peer does not answer on the new path. The connection stays there unless it is told otherwise. */
  | { readonly type: "path_failed"; readonly remote: Address }
  /** A ping was acknowledged. */
  | { readonly type: "pong"; readonly token: number; readonly rtt: Micros }
  /** The peer gave us a ticket. Its secret is one: do not show it. */
  | { readonly type: "ticket"; readonly ticket: ResumptionTicket; readonly lifetime: Micros }
  /** The connection ended. Exactly once, and nothing follows. */
  | { readonly type: "closed"; readonly reason: CloseReason };

/** Events that wait to be polled. Takes nothing more after `closed`. */
export class EventQueue {
  readonly #events: ConnectionEvent[] = [];
  #head = 0;
  #closed = false;

  /** Adds an event. */
  push(event: ConnectionEvent): void {
    if (this.#closed) return;
    this.#events.push(event);
    this.#closed = event.type === "closed";
  }

  /** Takes the oldest one; undefined if there is none. */
  poll(): ConnectionEvent | undefined {
    if (this.#head === this.#events.length) return undefined;
    const event = this.#events[this.#head++];
    if (this.#head === this.#events.length) {
      this.#events.length = 0;
      this.#head = 0;
    }
    return event;
  }
}
