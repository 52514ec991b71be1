/**
 * Tickets of earlier connections: where a client keeps them, and the store in memory.
 *
 * @module
 */

import { toHex } from "../../base/bytes.ts";

/** A ticket as it is kept. Whoever has it can be its owner once: it is as secret as a private key, for an hour. */
export interface KeptTicket {
  /** What the node gave. */
  readonly ticket: Uint8Array;
  /** The secret that it stands for, 32 bytes. */
  readonly psk: Uint8Array;
  /** The IP address at which the node was. */
  readonly address: string;
  /** When it is worth nothing any more: milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Whose tickets are meant. */
export interface TicketOwner {
  /** The public key of the node. */
  readonly node: Uint8Array;
  /** The public key of the client; undefined for clients without an identity of their own. */
  readonly client: Uint8Array | undefined;
}

/** What {@link TicketStore.take} gives. */
export interface TakenTicket extends KeptTicket {
  /** How many more there are. */
  readonly left: number;
}

/**
 * Keeps tickets between connections. A ticket that was taken is never given again, to nobody. Methods may reject: then the
 * connection goes on as if there were no tickets.
 */
export interface TicketStore {
  /** Takes the newest ticket that is still good out of the store. */
  take(owner: TicketOwner): Promise<TakenTicket | undefined>;
  /** Keeps one. */
  put(owner: TicketOwner, ticket: KeptTicket): Promise<void>;
  /** The node did not take a ticket: it was started anew, most likely, and the others are worth nothing either. */
  forget(owner: TicketOwner): Promise<void>;
}

/** Tickets kept for one node and client: enough for some calls at the same time. */
export const MAX_TICKETS_PER_OWNER = 4;
/** Nodes and clients for which the store in memory keeps tickets. */
const MAX_OWNERS = 1024;

/** Names an owner, in characters that every file system takes. */
export function ownerName({ node, client }: TicketOwner): string {
  return `${toHex(node)}.${client === undefined ? "anonymous" : toHex(client)}`;
}

/**
 * Keeps tickets for as long as the process lives.
 *
 * @example
 * ```ts
 * import { connect, MemoryTickets, serve } from "../../../mod.ts";
 * await using server = await serve({ listen: "127.0.0.1:0" }, (payload) => payload);
 * const tickets = new MemoryTickets();
 * for (let i = 0; i < 2; i++) {
 *   await using client = await connect(server.url, { tickets, early: true });
 *   await client.call("hello", { idempotent: true });
 *   console.log(client.handshake.kind); // full, then resumed
 *   await client.awaitTickets();
 * }
 * ```
 */
export class MemoryTickets implements TicketStore {
  readonly #tickets = new Map<string, KeptTicket[]>();
  readonly #now: () => number;

  /** An empty store. `now` gives milliseconds since 1970; for tests. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** See {@link TicketStore}. */
  take(owner: TicketOwner): Promise<TakenTicket | undefined> {
    const name = ownerName(owner), now = this.#now();
    const kept = (this.#tickets.get(name) ?? []).filter(({ expiresAt }) => expiresAt > now);
    const newest = kept.pop();
    this.#keep(name, kept);
    return Promise.resolve(newest && { ...newest, left: kept.length });
  }

  /** See {@link TicketStore}. */
  put(owner: TicketOwner, ticket: KeptTicket): Promise<void> {
    const name = ownerName(owner);
    const kept = [...(this.#tickets.get(name) ?? []), ticket].sort((a, b) => a.expiresAt - b.expiresAt);
    this.#keep(name, kept.slice(-MAX_TICKETS_PER_OWNER));
    return Promise.resolve();
  }

  /** See {@link TicketStore}. */
  forget(owner: TicketOwner): Promise<void> {
    this.#tickets.delete(ownerName(owner));
    return Promise.resolve();
  }

  #keep(name: string, tickets: KeptTicket[]): void {
    // Whoever was used last stands last.
    this.#tickets.delete(name);
    if (tickets.length === 0) return;
    this.#tickets.set(name, tickets);
    if (this.#tickets.size <= MAX_OWNERS) return;
    for (const oldest of this.#tickets.keys()) {
      this.#tickets.delete(oldest);
      return;
    }
  }
}
