/**
 * Which connection a packet is for: every id that we have chosen, and whose it is.
 *
 * @module
 */

import type { Random } from "../base/random.ts";
import { type ConnectionId, ConnectionIdMap, randomConnectionId } from "../wire/connection_id.ts";
import { RESET_TOKEN_SIZE } from "../wire/constants.ts";
import type { IdSource } from "./local_ids.ts";
import type { ResetTokens } from "./stateless_reset.ts";

/** The ids of an endpoint. */
export class ConnectionRoutes<Connection> {
  readonly #random: Random;
  readonly #resetTokens: ResetTokens | undefined;
  readonly #byId = new ConnectionIdMap<Connection>();

  /** Without `resetTokens`, ids come with tokens that nobody knows. */
  constructor(random: Random, resetTokens: ResetTokens | undefined) {
    this.#random = random;
    this.#resetTokens = resetTokens;
  }

  /** How many ids lead somewhere. */
  get size(): number {
    return this.#byId.size;
  }

  /** Whose the id at `at` is. */
  getAt(bytes: Uint8Array, at: number): Connection | undefined {
    return this.#byId.getAt(bytes, at);
  }

  /** An id that nobody has. */
  fresh(): ConnectionId {
    let id = randomConnectionId(this.#random);
    while (this.#byId.has(id)) id = randomConnectionId(this.#random);
    return id;
  }

  /** From now on an id leads to a connection. */
  set(id: ConnectionId, connection: Connection): void {
    this.#byId.set(id, connection);
  }

  /** The ids lead nowhere any more. */
  deleteAll(ids: Iterable<ConnectionId>): void {
    for (const id of ids) this.#byId.delete(id);
  }

  /** Further ids of a connection lead to it until it gives them back, or is forgotten. */
  readonly sourceOf = (connection: Connection): IdSource => ({
    issue: () => {
      const id = this.fresh();
      this.#byId.set(id, connection);
      return { id, resetToken: this.#resetTokens?.of(id) ?? this.#noToken() };
    },
    release: (id) => {
      this.#byId.delete(id);
    },
  });

  #noToken(): Uint8Array {
    const token = new Uint8Array(RESET_TOKEN_SIZE);
    this.#random.fillSecret(token);
    return token;
  }
}
