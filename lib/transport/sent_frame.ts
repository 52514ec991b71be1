/**
 * What a sent packet remembers of its frames: enough to settle them when the packet is acknowledged, and to send the
 * information again, not the bytes, when it is lost (RFC 9000 §13.3).
 *
 * @module
 */

import type { StreamKind } from "../wire/stream_id.ts";
import type { Stream } from "./streams/stream.ts";

/** A piece of a stream's data. */
export interface SentStreamFrame {
  readonly type: "stream";
  readonly stream: Stream;
  readonly offset: number;
  readonly length: number;
  readonly fin: boolean;
}

/** A control frame of one stream. */
export type SentStreamControl =
  | { readonly type: "reset" | "stop_sending" | "stream_max_data"; readonly stream: Stream }
  | { readonly type: "stream_blocked"; readonly stream: Stream; readonly limit: number };

/** A control frame about all streams. */
export type SentCreditFrame =
  | { readonly type: "max_data" }
  | { readonly type: "max_streams"; readonly kind: StreamKind }
  | { readonly type: "data_blocked"; readonly limit: number }
  | { readonly type: "streams_blocked"; readonly kind: StreamKind; readonly limit: number };

/** A ticket. */
export interface SentTicketFrame {
  readonly type: "ticket";
  /** Seconds. */
  readonly lifetime: number;
  readonly number: number;
  readonly ticket: Uint8Array;
}
/** A DATAGRAM frame. What was in it is not remembered: it is never sent again. */
export const DATAGRAM_SENT = { type: "datagram" } as const;

/** A frame about connection ids. */
export interface SentIdFrame {
  readonly type: "new_connection_id" | "retire_connection_id";
  readonly sequence: number;
}

/** One frame of a sent packet. */
export type SentFrame =
  | SentStreamFrame
  | SentStreamControl
  | SentCreditFrame
  | SentTicketFrame
  | typeof DATAGRAM_SENT
  | SentIdFrame
  | { readonly type: "ack"; readonly largest: number }
  | { readonly type: "handshake_done" }
  | { readonly type: "ack_frequency"; readonly threshold: number }
  | { readonly type: "ping"; readonly token: number };
