/**
 * The ways that are open to a handler: back to its caller, to agents at a node, and to other nodes.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import type { CallMessages } from "../../mesh/call_messages.ts";
import { type Callee, Peer } from "./callee.ts";
import type { ConnectionPool } from "./connection_pool.ts";
import type { Identity } from "../identity.ts";
import type { Platform } from "../platform.ts";
import type { Session } from "../session.ts";

/** What is needed for it. */
export interface OnwardParts {
  readonly platform: Platform;
  readonly messages: CallMessages;
  /** Who we are. */
  readonly identity: Identity;
  /** Connections to other nodes, as who we are. */
  readonly pool: ConnectionPool;
  /** The node at which names and capabilities are looked up. Default: the other side of the request's connection. */
  readonly node?: () => Promise<Callee>;
}

/** One for a server, or for a client that answers calls. */
export class Onward {
  readonly #parts: OnwardParts;
  readonly #peers = new WeakMap<Session, Peer>();
  constructor(parts: OnwardParts) {
    this.#parts = parts;
  }

  /** Connections to other nodes. */
  get pool(): ConnectionPool {
    return this.#parts.pool;
  }

  /** Makes span ids. */
  get random(): Random {
    return this.#parts.platform.random;
  }

  /** The other side of a connection. @throws {MxpError} `usage` if there is none. */
  peer(session: Session | undefined): Callee {
    if (session === undefined) {
      throw new MxpError("usage", "who sent this cannot be called: it did not come over a secure connection");
    }
    let peer = this.#peers.get(session);
    if (peer === undefined) {
      peer = new Peer(this.#parts, session);
      this.#peers.set(session, peer);
    }
    return peer;
  }

  /** The node whose agents a request that came over this connection may call. */
  async node(session: Session | undefined): Promise<Callee> {
    return await this.#parts.node?.() ?? this.peer(session);
  }
}
