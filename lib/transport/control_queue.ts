/**
 * Control frames of the connection itself that wait for a packet. (Those about streams are made from the streams' state, in
 * `stream_layer.ts`.)
 *
 * @module
 */

import {
  ACK_FREQUENCY_SIZE,
  HANDSHAKE_DONE_SIZE,
  PING_SIZE,
  TICKET_OVERHEAD,
  writeAckFrequency,
  writeHandshakeDone,
  writePing,
  writeTicket,
} from "../wire/frame_writer.ts";
import type { SentFrame, SentTicketFrame } from "./sent_frame.ts";

/** Pings that may wait; those beyond are not sent, and so go unanswered. */
const MAX_PINGS = 64;
/** A ping that nobody waits for. */
export const NO_TOKEN = -1;

/** What the connection has to say about itself. */
export class ControlQueue {
  #handshakeDone = false;
  #handshakeDoneAcked = false;
  /** 0 if none is to be sent. */
  #ackThreshold = 0;
  readonly #pings: number[] = [];
  readonly #tickets: SentTicketFrame[] = [];

  /** Whether anything waits. */
  get hasPending(): boolean {
    return this.#handshakeDone || this.#ackThreshold > 0 || this.#pings.length > 0 || this.#tickets.length > 0;
  }

  /** Queues HANDSHAKE_DONE, unless it has been acknowledged. */
  queueHandshakeDone(): void {
    this.#handshakeDone = !this.#handshakeDoneAcked;
  }

  /** HANDSHAKE_DONE has arrived: it is never sent again. */
  onHandshakeDoneAcked(): void {
    this.#handshakeDoneAcked = true;
    this.#handshakeDone = false;
  }

  /** Queues an ACK_FREQUENCY, in place of one that still waits. */
  queueAckFrequency(threshold: number): void {
    this.#ackThreshold = threshold;
  }

  /** Queues a PING and returns its token; {@link NO_TOKEN} if only the acknowledgement's arrival matters. */
  queuePing(token: number): number {
    if (this.#pings.length < MAX_PINGS && (token !== NO_TOKEN || !this.#pings.includes(NO_TOKEN))) {
      this.#pings.push(token);
    }
    return token;
  }

  /** Queues a ticket, the first time or because it was lost. */
  queueTicket(ticket: SentTicketFrame): void {
    this.#tickets.push(ticket);
  }

  /** Writes what fits between `at` and `end`, notes it in `frames`, and returns the position behind it. */
  write(out: Uint8Array, at: number, end: number, frames: SentFrame[]): number {
    if (this.#handshakeDone && end - at >= HANDSHAKE_DONE_SIZE) {
      at = writeHandshakeDone(out, at);
      this.#handshakeDone = false;
      frames.push({ type: "handshake_done" });
    }
    if (this.#ackThreshold > 0 && end - at >= ACK_FREQUENCY_SIZE) {
      at = writeAckFrequency(out, at, this.#ackThreshold);
      frames.push({ type: "ack_frequency", threshold: this.#ackThreshold });
      this.#ackThreshold = 0;
    }
    while (this.#pings.length > 0 && end - at >= PING_SIZE) {
      at = writePing(out, at);
      frames.push({ type: "ping", token: this.#pings.shift()! });
    }
    while (this.#tickets.length > 0 && end - at >= TICKET_OVERHEAD + this.#tickets[0].ticket.length) {
      const frame = this.#tickets.shift()!;
      at = writeTicket(out, at, frame.lifetime, frame.number, frame.ticket);
      frames.push(frame);
    }
    return at;
  }
}
