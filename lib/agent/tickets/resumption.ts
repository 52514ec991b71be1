/**
 * What one client does with tickets: takes one before it connects, keeps those that the node gives, and says when they are there.
 *
 * @module
 */

import type { Micros } from "../../base/time.ts";
import type { PatternName } from "../../transport/handshake_flow.ts";
import type { ResumptionTicket } from "../../transport/resumed_handshake.ts";
import { type Deferred, deferred } from "../deferred.ts";
import { MAX_TICKETS_PER_OWNER, type TakenTicket, type TicketStore } from "./tickets.ts";

/** Tickets that a client asks for as long as it has room: one for the next connection, one for the one beside it. */
const WANTED = 2;

/** The tickets of one client. Without a store nothing happens. */
export class Resumption {
  readonly #store: TicketStore | undefined;
  readonly #client: Uint8Array | undefined;
  readonly #now: () => number;
  readonly #complete: Deferred<void> = deferred();
  /** What was given before anybody has decided that the node is to be trusted. */
  #waiting: (() => Promise<void>)[] = [];
  #node: Uint8Array | undefined;
  #address = "";
  #last: Promise<void> = Promise.resolve();
  #received = 0;
  /** The ticket for this connection, used up by it. */
  taken: TakenTicket | undefined;

  /**
   * @param client the client's public key; undefined if it was made for this connection alone.
   * @param now milliseconds since 1970.
   */
  constructor(store: TicketStore | undefined, client: Uint8Array | undefined, now: () => number = Date.now) {
    this.#store = store;
    this.#client = client;
    this.#now = now;
  }

  /** How many tickets to ask the node for. */
  get wanted(): number {
    if (this.#store === undefined) return 0;
    return Math.max(1, Math.min(WANTED, MAX_TICKETS_PER_OWNER - (this.taken?.left ?? 0)));
  }

  /** Takes a ticket for the node with this key, if there is one. */
  async take(node: Uint8Array): Promise<void> {
    // Whatever is wrong with the store, a full handshake does without it.
    this.taken = await this.#store?.take({ node, client: this.#client }).catch(() => undefined);
  }

  /** The node gave one. */
  onTicket(ticket: ResumptionTicket, lifetime: Micros): void {
    const expiresAt = this.#now() + lifetime / 1000;
    this.#received++;
    this.#do(() => this.#store!.put(this.#owner, { ...ticket, address: this.#address, expiresAt }));
    if (this.#received >= this.wanted) this.#complete.resolve();
  }

  /** The node with this key is the right one: from now on what it gives is kept. */
  trust(node: Uint8Array, address: string): void {
    this.#node = node;
    this.#address = address;
    for (const task of this.#waiting) this.#do(task);
    this.#waiting = [];
  }

  /** The handshake is over. */
  onEstablished(pattern: PatternName): void {
    if (this.taken !== undefined && pattern !== "NNpsk0") this.#do(() => this.#store!.forget(this.#owner));
  }

  /** Settles when all the tickets that were asked for are kept, or `giveUp` settles, and the store has come to rest. */
  async complete(giveUp: Promise<unknown>): Promise<void> {
    if (this.#store === undefined) return;
    await Promise.race([this.#complete.promise, giveUp]);
    await this.settled();
  }

  /** Settles when the store has come to rest. */
  settled(): Promise<void> {
    return this.#last;
  }

  get #owner(): { readonly node: Uint8Array; readonly client: Uint8Array | undefined } {
    return { node: this.#node!, client: this.#client };
  }

  /** One after the other; what fails is forgotten. */
  #do(task: () => Promise<void>): void {
    if (this.#node === undefined) this.#waiting.push(task);
    else this.#last = this.#last.then(task).catch(() => {});
  }
}
