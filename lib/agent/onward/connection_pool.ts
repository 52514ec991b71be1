/**
 * Connections to other nodes that handlers and direct calls use: made when they are first needed, shared, and closed when
 * nobody has used them for a while.
 *
 * @module
 */

import { formatHostPort } from "../../base/address.ts";
import { MxpError } from "../../base/errors.ts";
import { type Clock, type Micros, seconds } from "../../base/time.ts";
import type { Client } from "../client.ts";
import { formatMxpUrl, type MxpUrl } from "../mxp_url.ts";

/** Connections that may be open at once. */
const MAX_CONNECTIONS = 64;
/** How long a connection that nobody uses stays open. Long enough for the next call of a conversation. */
const IDLE: Micros = seconds(60);

/** What became of connections that were made for URLs and endpoints. */
export interface DialStats {
  /** Open, or being made. */
  readonly open: number;
  /** Begun since the start. */
  readonly dialled: number;
  /** Uses of one that was open already. */
  readonly reused: number;
  /** That could not be made. */
  readonly failed: number;
  /** Closed because nobody had used them for a minute, or to make room for others. */
  readonly closed: number;
  /** Not begun, because as many as there may be were in use. */
  readonly refused: number;
}

/** What a pool is made from. */
export interface PoolParts {
  readonly clock: Clock;
  /** Connects to the node of a URL. */
  readonly connect: (url: MxpUrl, signal: AbortSignal) => Promise<Client>;
  /** How many may be open at once, for tests. */
  readonly maxConnections?: number;
}

/** Somebody uses a connection until it is given back. */
export interface Lease {
  readonly client: Client;
  /** Idempotent. */
  release(): void;
}

/** One connection, or the attempt to make it. */
interface Entry {
  readonly key: string;
  readonly made: Promise<Client>;
  client: Client | undefined;
  users: number;
  cancelTimer: (() => void) | undefined;
}

/** All of a server, or of a client. */
export class ConnectionPool {
  readonly #parts: PoolParts;
  /** By key and address; the one that was used last comes last. */
  readonly #entries = new Map<string, Entry>();
  /** Those whose connection has ended, and whose users may have gone on over another that the client has made. */
  readonly #leaving = new Set<Entry>();
  readonly #stop = new AbortController();
  readonly #counters = { dialled: 0, reused: 0, failed: 0, closed: 0, refused: 0 };

  constructor(parts: PoolParts) {
    this.#parts = parts;
  }

  /** A snapshot. */
  stats(): DialStats {
    return { open: this.#entries.size, ...this.#counters };
  }

  /**
   * A connection to the node of a URL, for as long as the lease lasts. An aborted signal ends the waiting; whoever else
   * waits for the same connection still gets it.
   *
   * @throws {MxpError} `overloaded`, `closed`, and what `connect` throws; the signal's reason.
   */
  async lease(url: MxpUrl, signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted();
    const entry = this.#entry(url);
    entry.users++;
    entry.cancelTimer?.();
    entry.cancelTimer = undefined;
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      if (--entry.users === 0) this.#rest(entry);
    };
    try {
      return { client: await unlessAborted(entry.made, signal), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Closes all connections, and ends the attempts. Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort(new MxpError("closed", "no more connections are made: it is being closed"));
    const entries = [...this.#entries.values(), ...this.#leaving];
    this.#entries.clear();
    this.#leaving.clear();
    await Promise.all(entries.map(async (entry) => {
      entry.cancelTimer?.();
      const client = await entry.made.catch(() => undefined);
      await client?.close();
    }));
  }

  #entry(url: MxpUrl): Entry {
    const { host, port, publicKey } = url;
    const key = formatMxpUrl({ host, port, ...(publicKey && { publicKey }) });
    const existing = this.#entries.get(key);
    if (existing !== undefined) {
      this.#counters.reused++;
      this.#entries.delete(key);
      this.#entries.set(key, existing);
      return existing;
    }
    if (this.#stop.signal.aborted) throw this.#stop.signal.reason;
    this.#makeRoom(formatHostPort(host, port));
    this.#counters.dialled++;
    const { signal } = this.#stop;
    const made = this.#parts.connect({ host, port, ...(publicKey && { publicKey }) }, signal);
    const entry: Entry = { key, made, client: undefined, users: 0, cancelTimer: undefined };
    this.#entries.set(key, entry);
    made.then((client) => {
      entry.client = client;
      // Whoever comes next needs another one.
      void client.closed.then(() => this.#onEnded(entry));
    }, () => {
      this.#counters.failed++;
      this.#forget(entry);
    });
    return entry;
  }

  /** Closes the connection that was not used for longest, if there are too many. */
  #makeRoom(where: string): void {
    const { maxConnections = MAX_CONNECTIONS } = this.#parts;
    if (this.#entries.size < maxConnections) return;
    for (const entry of this.#entries.values()) {
      if (entry.users > 0) continue;
      this.#shut(entry);
      return;
    }
    this.#counters.refused++;
    const text =
      `no connection to ${where}: ${maxConnections} others are in use, which is all that may be open at once`;
    throw new MxpError("overloaded", text, { retryable: true });
  }

  /** Its connection has ended; who repeats a call over it goes on, and has the client to itself. */
  #onEnded(entry: Entry): void {
    if (this.#entries.get(entry.key) !== entry) return;
    this.#forget(entry);
    if (entry.users > 0) this.#leaving.add(entry);
    else this.#end(entry);
  }

  /** Nobody uses it now. */
  #rest(entry: Entry): void {
    if (this.#leaving.delete(entry)) return this.#end(entry);
    if (this.#entries.get(entry.key) !== entry) return;
    const { clock } = this.#parts;
    entry.cancelTimer = clock.wakeAt((clock.now() + IDLE) as Micros, () => this.#shut(entry));
  }

  #shut(entry: Entry): void {
    this.#counters.closed++;
    this.#forget(entry);
    this.#end(entry);
  }

  /** Closes the client, with whatever it has made in place of its connection. */
  #end(entry: Entry): void {
    void entry.made.then((client) => client.close()).catch(() => {});
  }

  #forget(entry: Entry): void {
    entry.cancelTimer?.();
    entry.cancelTimer = undefined;
    if (this.#entries.get(entry.key) === entry) this.#entries.delete(entry.key);
  }
}

/** What a promise gives, or the reason of the signal if that comes first. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
