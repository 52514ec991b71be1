/**
 * Calls that go to an agent itself and not through the node that knows it: the node says where it is and which key it has
 * proven, and only who holds that key is talked to (SPEC §8.15).
 *
 * @module
 */

import { formatHostPort } from "../../base/address.ts";
import { MxpError } from "../../base/errors.ts";
import type { Clock, Micros } from "../../base/time.ts";
import type { AgentQuery } from "../registry/agent_card.ts";
import type { CallBody } from "../call_body.ts";
import type { Client } from "../client.ts";
import type { ClientCore } from "../client_core.ts";
import { DEFAULT_CALL_TIMEOUT_MS } from "../client_core.ts";
import type { CallOptions } from "../client_types.ts";
import type { ConnectionPool, PoolParts } from "./connection_pool.ts";
import { type DirectOptions, directUrl, wantedText } from "./dial_policy.ts";
import type { LifecycleClient } from "../registry/lifecycle_client.ts";
import { isUuid, type MxpUrl } from "../mxp_url.ts";
import type { Reply } from "../calls/reply.ts";
import { checkTimeout } from "../time_limit.ts";

/** How long finding and reaching an agent may take. */
const DEFAULT_DIAL_TIMEOUT_MS = 10_000;
/** Agents with a capability that are compared. */
const MOST_AGENTS = 500;

/** Whom to dial: an agent by UUID or name, or any agent that has a capability. */
export type DialTarget = string | { readonly capability: string };

/** What {@link Client.dial} may be told. */
export interface DialOptions extends DirectOptions {
  /** How long finding the agent and reaching it may take together; default 10 000, 0 = without end. */
  readonly timeoutMs?: number;
  /** Gives it up. */
  readonly signal?: AbortSignal;
}

/** What it works with. */
export interface DiallerParts {
  readonly core: ClientCore;
  readonly lifecycle: LifecycleClient;
  readonly connect: PoolParts["connect"];
  readonly pool: ConnectionPool;
}

/** One for a client. */
export class DirectDialler {
  readonly #parts: DiallerParts;
  readonly #running = new Set<Promise<unknown>>();
  #turn = 0;

  constructor(parts: DiallerParts) {
    this.#parts = parts;
  }

  /** Settles when no call is under way. */
  async drained(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** See `Client.dial`. */
  async dial(target: DialTarget, options: DialOptions): Promise<Client> {
    const { timeoutMs = DEFAULT_DIAL_TIMEOUT_MS, signal } = options;
    const limit = new Limit(this.#parts.core.session.driver.clock, timeoutMs, signal, wantedText(target, this.#node));
    try {
      const url = await this.#find(target, options, limit);
      limit.goingTo(url);
      return await limit.during(this.#parts.connect(url, limit.signal));
    } finally {
      limit.cancel();
    }
  }

  /** See `CallOptions.direct`. */
  call(body: CallBody | undefined, method: string | undefined, options: CallOptions): Promise<Reply> {
    const call = this.#call(body, method, options);
    this.#running.add(call);
    const done = (): void => void this.#running.delete(call);
    call.then(done, done);
    return call;
  }

  async #call(body: CallBody | undefined, method: string | undefined, options: CallOptions): Promise<Reply> {
    const { core, pool } = this.#parts;
    core.checkOpen();
    const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal, capability, direct } = options;
    const agent = options.agent ?? core.url.agent;
    if (capability !== undefined && options.agent !== undefined) {
      throw new MxpError("usage", "a call goes to an agent or to a capability; give one of them");
    }
    const target = capability === undefined ? agent : { capability };
    if (target === undefined) {
      throw new MxpError("usage", "a direct call needs an agent or a capability; a node is called anyway");
    }
    const limit = new Limit(core.session.driver.clock, timeoutMs, signal, wantedText(target, this.#node));
    try {
      const url = await this.#find(target, typeof direct === "object" ? direct : {}, limit);
      limit.goingTo(url);
      const { client, release } = await pool.lease(url, limit.signal);
      try {
        const { agent } = url;
        const own = {
          agent,
          method,
          capability: undefined,
          direct: undefined,
          timeoutMs: limit.left,
        };
        return await client.call(body, { ...options, ...own });
      } catch (error) {
        throw unserved(error, url, wantedText(target, this.#node));
      } finally {
        release();
      }
    } finally {
      limit.cancel();
    }
  }

  get #node(): string {
    return this.#parts.core.targetText(undefined);
  }

  async #find(target: DialTarget, direct: DirectOptions, limit: Limit): Promise<MxpUrl & { readonly agent: string }> {
    const { core, lifecycle } = this.#parts;
    const query = queryOf(target);
    const agents = await lifecycle.discover(query, { timeoutMs: 0, signal: limit.signal, limit: MOST_AGENTS })
      .catch((error) => {
        throw limit.signal.aborted ? limit.signal.reason : error;
      });
    return directUrl(
      agents,
      wantedText(target, this.#node),
      core.session.link.connection.remote.host,
      direct,
      this.#turn++,
    );
  }
}

/** The error of a call to an agent's own address; one that says that nobody there knows it tells whoever has registered it what to do. */
function unserved(error: unknown, url: MxpUrl, wanted: string): unknown {
  const { remoteName, isUnsealed, nothingDone } = error as Partial<MxpError>;
  if (!(error instanceof MxpError) || remoteName !== "NO_SUCH_AGENT" || isUnsealed || !nothingDone) return error;
  const where = formatHostPort(url.host, url.port);
  const text =
    `the server at ${where} does not answer for the agent ${wanted}: it has to be one of its agents there, or the ` +
    "server's own name; call it without direct";
  return new MxpError("no_such_agent", text, {
    nothingDone,
    remoteName,
    ...(error.remoteCode !== undefined && { remoteCode: error.remoteCode }),
    cause: error,
  });
}

function queryOf(target: DialTarget): AgentQuery {
  if (typeof target !== "string") return { capability: target.capability };
  return isUuid(target) ? { id: target } : { name: target };
}

/** One time and one signal for several steps. */
class Limit {
  readonly #clock: Clock;
  readonly #at: Micros;
  readonly #stop = new AbortController();
  readonly #cancelTimer: () => void;
  readonly #follow: () => void;
  readonly #outer: AbortSignal | undefined;
  #where = "";

  constructor(clock: Clock, timeoutMs: number, signal: AbortSignal | undefined, wanted: string) {
    checkTimeout(timeoutMs);
    this.#clock = clock;
    this.#outer = signal;
    this.#at = (timeoutMs === 0 ? Infinity : clock.now() + timeoutMs * 1000) as Micros;
    this.#follow = () =>
      this.#stop.abort(
        new MxpError("cancelled", `reaching the agent ${wanted} was cancelled`, { cause: signal!.reason }),
      );
    if (signal?.aborted) this.#follow();
    signal?.addEventListener("abort", this.#follow, { once: true });
    this.#cancelTimer = this.#at === Infinity ? () => {} : clock.wakeAt(this.#at, () => {
      this.#stop.abort(
        new MxpError("deadline", `no answer from the agent ${wanted}${this.#where} within ${timeoutMs} ms`),
      );
    });
  }

  /** From here on it is the agent that is waited for, and no longer the node. */
  goingTo({ host, port }: MxpUrl): void {
    this.#where = `, which says that it is at ${formatHostPort(host, port)},`;
  }

  /** Ends with the time, or with the caller's own signal. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Milliseconds; 0: without end. @throws {MxpError} why there are none. */
  get left(): number {
    this.signal.throwIfAborted();
    return this.#at === Infinity ? 0 : Math.max(1, Math.floor((this.#at - this.#clock.now()) / 1000));
  }

  /** Waits for something that follows the signal, and says why it has ended. */
  async during<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      this.signal.throwIfAborted();
      throw error;
    }
  }

  /** It is not needed any more. */
  cancel(): void {
    this.#cancelTimer();
    this.#outer?.removeEventListener("abort", this.#follow);
  }
}
