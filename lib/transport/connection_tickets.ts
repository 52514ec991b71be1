/**
 * The tickets that one connection gives, or gets, so that a later one can be resumed (SPEC §5.1).
 *
 * @module
 */

import { type Micros, micros, seconds } from "../base/time.ts";
import type { CryptoProvider } from "../crypto/types.ts";
import type { FrameReader } from "../wire/frame_reader.ts";
import type { ConnectionShared } from "./connection_start.ts";
import type { ControlQueue } from "./control_queue.ts";
import type { EventQueue } from "./events.ts";
import type { HandshakeResult } from "./handshake.ts";
import { resumptionSecret, ticketPsk } from "./resumption_secret.ts";

/** How long after a full handshake its key counts as proven. Whoever stole a ticket cannot live on its successors for ever. */
const LONGEST_CHAIN = seconds(86_400);
const MICROS_PER_SECOND = 1_000_000;

/** What a connection knows about tickets. */
export class ConnectionTickets {
  readonly #crypto: CryptoProvider;
  readonly #role: "initiator" | "responder";
  readonly #wanted: number;
  /** What the secrets of the tickets come from; undefined as long as nobody wants any. */
  #secret: Uint8Array | undefined;
  /** Responder: whom the tickets are for. */
  #result: HandshakeResult | undefined;
  readonly #taken = new Set<number>();

  /** As an initiator, with the number of tickets that it has asked for. */
  constructor(crypto: CryptoProvider, role: "initiator" | "responder", wanted: number) {
    this.#crypto = crypto;
    this.#role = role;
    this.#wanted = wanted;
  }

  /** The handshake has given the keys. */
  onKeys(result: HandshakeResult): void {
    const wanted = this.#role === "initiator" ? this.#wanted : result.peerParameters.tickets ?? 0;
    if (wanted === 0) return;
    this.#secret = resumptionSecret(this.#crypto, this.#role, result);
    if (this.#role === "responder") this.#result = result;
  }

  /** Responder: queues the tickets for a peer that has just been proven, once. */
  give(now: Micros, shared: ConnectionShared, queue: ControlQueue): void {
    const secret = this.#secret, result = this.#result;
    this.#secret = this.#result = undefined;
    if (secret === undefined || result === undefined) return;
    const { vault, settings, counters } = shared;
    const { peerKey, peerParameters, authenticatedAt = now } = result;
    const isFresh = now - authenticatedAt < LONGEST_CHAIN;
    const count = isFresh ? Math.min(settings.maxTickets, peerParameters.tickets ?? 0) : 0;
    for (let number = 0; number < count; number++) {
      const psk = ticketPsk(this.#crypto, secret, number);
      const ticket = vault.issue(now, { psk, peerKey, authenticatedAt });
      psk.fill(0);
      queue.queueTicket({ type: "ticket", lifetime: Math.floor(vault.lifetime / MICROS_PER_SECOND), number, ticket });
      counters.ticketsIssued++;
    }
    secret.fill(0);
  }

  /** A TICKET frame: reported, unless nobody has asked for it or it came twice. False if it may not come from this peer. */
  take(reader: FrameReader, events: EventQueue): boolean {
    if (this.#role === "responder") return false;
    const { bytes, ticketStart, dataEnd, lifetime, ticketNumber } = reader;
    const secret = this.#secret;
    if (secret === undefined || this.#taken.has(ticketNumber)) return true;
    this.#taken.add(ticketNumber);
    const ticket = { ticket: bytes.slice(ticketStart, dataEnd), psk: ticketPsk(this.#crypto, secret, ticketNumber) };
    if (this.#taken.size >= this.#wanted) {
      secret.fill(0);
      this.#secret = undefined;
    }
    events.push({ type: "ticket", ticket, lifetime: micros(lifetime * MICROS_PER_SECOND) });
    return true;
  }
}
