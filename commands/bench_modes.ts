/**
 * What the modes of a benchmark do.
 *
 * @module
 */

import type { Client, Identity, MxpStream } from "../mod.ts";
import type { Mode } from "./bench.ts";
import type { Operation } from "./bench_run.ts";
import { CliError } from "./errors.ts";

/** What a mode works with. */
export interface ModeParts {
  readonly clients: readonly Client[];
  readonly identity: Identity;
  readonly size: number;
  /** How long one operation may take, if that is less than usual; 0: as usual. */
  readonly timeoutMs: number | undefined;
}

/** How long one operation may take. */
const OPERATION_TIMEOUT_MS = 10_000;

/** The operation of a mode. */
export async function operationOf(mode: Mode, parts: ModeParts): Promise<Operation> {
  const payload = new Uint8Array(parts.size).fill(0x6d);
  const timeoutMs = Math.min(parts.timeoutMs || OPERATION_TIMEOUT_MS, OPERATION_TIMEOUT_MS);
  switch (mode) {
    case "call":
      return new Calls(parts.clients, payload, timeoutMs);
    case "stream":
      return new Chunks(parts.clients, payload);
    case "event":
      return new Events(parts.clients, payload, timeoutMs);
    case "connect": {
      const { connect } = await import("../mod.ts");
      const { url } = parts.clients[0];
      const open = (): Promise<Client> => connect(url, { identity: parts.identity, timeoutMs });
      return {
        run: async (_worker, intended) => {
          const client = await open();
          const late = performance.now();
          await client.close();
          // Closing is part of the work, but nobody waits for it.
          return intended + (performance.now() - late);
        },
      };
    }
  }
}

/** A call and its answer. */
class Calls implements Operation {
  readonly #clients: readonly Client[];
  readonly #payload: Uint8Array;
  readonly #timeoutMs: number;

  constructor(clients: readonly Client[], payload: Uint8Array, timeoutMs: number) {
    this.#clients = clients;
    this.#payload = payload;
    this.#timeoutMs = timeoutMs;
  }

  async run(worker: number, intended: number): Promise<number> {
    await this.#clients[worker % this.#clients.length].call(this.#payload, { timeoutMs: this.#timeoutMs });
    return intended;
  }
}

/** A chunk there and back, on a stream that each worker keeps open. */
class Chunks implements Operation {
  readonly #clients: readonly Client[];
  readonly #payload: Uint8Array;
  readonly #streams: { readonly stream: MxpStream; readonly chunks: AsyncIterator<Uint8Array> }[] = [];

  constructor(clients: readonly Client[], payload: Uint8Array) {
    this.#clients = clients;
    this.#payload = payload;
  }

  async run(worker: number, intended: number): Promise<number> {
    const { stream, chunks } = this.#streams[worker] ??= this.#open(worker);
    try {
      await stream.write(this.#payload);
      let left = this.#payload.length;
      do {
        const { done, value } = await chunks.next();
        if (done) throw new CliError("agent_error", "the node ended the stream");
        left -= value.length;
      } while (left > 0);
      return intended;
    } catch (error) {
      delete this.#streams[worker];
      stream.cancel();
      throw error;
    }
  }

  #open(worker: number): { readonly stream: MxpStream; readonly chunks: AsyncIterator<Uint8Array> } {
    const stream = this.#clients[worker % this.#clients.length].stream();
    return { stream, chunks: stream[Symbol.asyncIterator]() };
  }
}

/** Events that nobody waits for, and among them, one at a time, some whose Ack tells how long they take. */
class Events implements Operation {
  readonly #clients: readonly Client[];
  readonly #payload: Uint8Array;
  readonly #timeoutMs: number;
  readonly #probing = new Set<Client>();

  constructor(clients: readonly Client[], payload: Uint8Array, timeoutMs: number) {
    this.#clients = clients;
    this.#payload = payload;
    this.#timeoutMs = timeoutMs;
  }

  async run(worker: number, intended: number): Promise<number | undefined> {
    const client = this.#clients[worker % this.#clients.length];
    if (this.#probing.has(client)) {
      await client.emit("mxp.bench", this.#payload);
      return undefined;
    }
    this.#probing.add(client);
    try {
      await client.emit("mxp.bench", this.#payload, { ack: true, timeoutMs: this.#timeoutMs });
      return intended;
    } finally {
      this.#probing.delete(client);
    }
  }
}
