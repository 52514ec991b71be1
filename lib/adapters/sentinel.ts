/**
 * The sentinel: stands in front of a destination, and lets pass what may.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import type { CallContext } from "../agent/call_context.ts";
import { type BreakerOptions, CircuitBreaker } from "./circuit_breaker.ts";
import { type Adapter, adapter, type Destination, wayTo } from "./destination.ts";
import { TokenBuckets } from "./token_buckets.ts";

/** Why a request did not pass. */
export type SentinelRefusal = "check" | "too_large" | "rate" | "concurrency" | "breaker";

/** What a sentinel looks at; what is left out is not looked at. */
export interface SentinelOptions {
  /**
   * Looks at a request, and says why it may not pass, if it may not: the caller gets the text, with the code `not_allowed`. What
   * it throws refuses, too. Streams have no payload yet.
   */
  readonly check?: (
    payload: Uint8Array | undefined,
    context: CallContext,
  ) => string | undefined | void | Promise<string | undefined | void>;
  /** Largest payload of a call. More: `too_large`. */
  readonly maxBytes?: number;
  /** Calls and streams that may be under way at once. More: `overloaded`, retryable. */
  readonly maxConcurrent?: number;
  /**
   * Requests a second of each key, and how many at once after a pause (default: as many as in a second). More: `overloaded`,
   * retryable. The key is the caller's own; to an agent behind a node that is the node, for all that it passes on.
   */
  readonly rate?: { readonly perSecond: number; readonly burst?: number };
  /** Turns requests away while the destination only fails: `closed`, retryable, so that a node may ask another agent. */
  readonly breaker?: BreakerOptions;
  /** Told of each request when it is over, for the log. Texts in it may be the caller's own. */
  readonly onRequest?: (request: SentinelEntry) => void;
  /** Milliseconds that only go forward; for tests. */
  readonly now?: () => number;
}

/** What a sentinel tells about one request. */
export interface SentinelEntry {
  /** What it was. */
  readonly kind: "call" | "stream";
  /** Who asked, for what. */
  readonly context: CallContext;
  /** `refused`: it did not pass. */
  readonly outcome: "ok" | "failed" | "refused";
  /** Why it was refused. */
  readonly refusal?: SentinelRefusal;
  /** What was thrown in place of an answer. */
  readonly error?: unknown;
  /** How long it took. */
  readonly ms: number;
}

/** What a sentinel has counted. */
export interface SentinelStats {
  /** Requests that passed and are not over. */
  readonly running: number;
  /** Answered. */
  readonly ok: number;
  /** Passed, and failed. */
  readonly failed: number;
  /** Did not pass, by the reason. */
  readonly refused: Readonly<Record<SentinelRefusal, number>>;
  /** Whether the breaker turns requests away now. */
  readonly isOpen: boolean;
}

/** An adapter that counts. */
export interface Sentinel extends Adapter {
  /** A snapshot. */
  stats(): SentinelStats;
}

/**
 * Guards a destination: checks requests, limits their size, number and rate, and leaves a destination that only fails alone for a while. What does
 * not pass is refused at once, and nothing of it reaches the destination.
 *
 * @throws {MxpError} `usage` for limits that make no sense.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../mod.ts";
 * import { sentinel } from "./sentinel.ts";
 *
 * const guarded = sentinel((payload) => payload, {
 *   check: (payload) => payload?.includes(0) ? "no zero bytes, please" : undefined,
 *   rate: { perSecond: 100 },
 *   maxConcurrent: 8,
 *   breaker: { failures: 5, pauseMs: 10_000 },
 * });
 * await using server = await serve({ listen: "127.0.0.1:0" }, guarded);
 * await using client = await connect(server.url);
 * console.log((await client.call("hello")).text()); // hello
 * console.log((await client.call("\0").catch((error) => error)).message); // no zero bytes, please
 * console.log(guarded.stats().refused.check); // 1
 * ```
 */
export function sentinel(to: Destination, options: SentinelOptions = {}): Sentinel {
  const guard = new Guard(options);
  const { ask, pipe } = wayTo(to);
  return {
    ...adapter({
      call: (payload, context, signal) => guard.run(context, payload, () => ask(payload, context, signal)),
      pipe: (chunks, context, signal) => guard.runPipe(context, () => pipe(chunks, context, signal)),
    }),
    stats: () => guard.stats(),
  };
}

/** Codes that say something about who called rather than about who answers. */
const CALLERS_FAULT: ReadonlySet<string> = new Set(["usage", "too_large", "not_allowed", "refused", "cancelled"]);

/** Why a request does not pass, and what its caller gets. */
interface Refused {
  readonly refusal: SentinelRefusal;
  readonly error: unknown;
}

class Guard {
  readonly #options: SentinelOptions;
  readonly #now: () => number;
  readonly #breaker: CircuitBreaker | undefined;
  readonly #buckets: TokenBuckets | undefined;
  readonly #refused: Record<SentinelRefusal, number> = { check: 0, too_large: 0, rate: 0, concurrency: 0, breaker: 0 };
  #running = 0;
  #ok = 0;
  #failed = 0;

  constructor(options: SentinelOptions) {
    const { maxBytes, maxConcurrent, rate, breaker, now } = options;
    const limits = { maxBytes, maxConcurrent, perSecond: rate?.perSecond, ...breaker };
    for (const [name, value] of Object.entries(limits)) {
      if (value !== undefined && !(value > 0)) throw new MxpError("usage", `${name} must be above 0, got ${value}`);
    }
    const burst = rate?.burst ?? Math.max(1, rate?.perSecond ?? 1);
    if (!(burst >= 1)) throw new MxpError("usage", `burst must be at least 1, got ${burst}`);
    this.#options = options;
    this.#now = now ?? (() => performance.now());
    this.#breaker = breaker && new CircuitBreaker(breaker);
    this.#buckets = rate && new TokenBuckets(rate.perSecond, burst);
  }

  stats(): SentinelStats {
    return {
      running: this.#running,
      ok: this.#ok,
      failed: this.#failed,
      refused: { ...this.#refused },
      isOpen: this.#breaker?.isOpen(this.#now()) ?? false,
    };
  }

  /** A call, from its arrival to its answer. */
  async run<T>(context: CallContext, payload: Uint8Array, work: () => Promise<T>): Promise<T> {
    const startedAt = this.#now();
    const refused = await this.#admit(payload, context);
    if (refused !== undefined) throw this.#onRefused("call", context, startedAt, refused);
    let result: T;
    try {
      result = await work();
    } catch (error) {
      this.#onEnd("call", context, startedAt, error);
      throw error;
    }
    this.#onEnd("call", context, startedAt, undefined);
    return result;
  }

  /** A stream, from its opening to its end. */
  async *runPipe<T>(context: CallContext, work: () => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    const startedAt = this.#now();
    const refused = await this.#admit(undefined, context);
    if (refused !== undefined) throw this.#onRefused("stream", context, startedAt, refused);
    // Who listened may go in the middle.
    let failure: unknown = GIVEN_UP;
    try {
      yield* work();
      failure = undefined;
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      this.#onEnd("stream", context, startedAt, failure);
    }
  }

  /** Lets a request pass, or says why not. From the cheapest question to the dearest. */
  async #admit(payload: Uint8Array | undefined, context: CallContext): Promise<Refused | undefined> {
    const { maxBytes = Infinity, maxConcurrent = Infinity, check } = this.#options;
    if (payload !== undefined && payload.length > maxBytes) {
      const text = `the payload has ${payload.length} bytes; at most ${maxBytes} are taken here`;
      return { refusal: "too_large", error: new MxpError("too_large", text) };
    }
    if (this.#buckets?.take(context.peer.publicKeyText, this.#now()) === false) {
      return {
        refusal: "rate",
        error: new MxpError("overloaded", "too many requests of this key", { retryable: true }),
      };
    }
    if (this.#running >= maxConcurrent) {
      const text = `${this.#running} requests are under way, which is all that is taken at once`;
      return { refusal: "concurrency", error: new MxpError("overloaded", text, { retryable: true }) };
    }
    // It counts from here on, so that others do not slip in while it is being checked.
    this.#running++;
    const refused = await this.#examine(payload, context, check);
    if (refused !== undefined) this.#running--;
    return refused;
  }

  async #examine(
    payload: Uint8Array | undefined,
    context: CallContext,
    check: SentinelOptions["check"],
  ): Promise<Refused | undefined> {
    try {
      const reason = await check?.(payload, context);
      if (typeof reason === "string") return { refusal: "check", error: new MxpError("not_allowed", reason) };
    } catch (error) {
      return { refusal: "check", error };
    }
    if (this.#breaker?.admits(this.#now()) !== false) return undefined;
    const text = "what is behind this has failed several times in a row, and is left alone for a while";
    return { refusal: "breaker", error: new MxpError("closed", text, { retryable: true }) };
  }

  #onRefused(kind: SentinelEntry["kind"], context: CallContext, startedAt: number, refused: Refused): unknown {
    this.#refused[refused.refusal]++;
    this.#tell({ kind, context, outcome: "refused", ...refused, ms: this.#now() - startedAt });
    return refused.error;
  }

  #onEnd(kind: SentinelEntry["kind"], context: CallContext, startedAt: number, error: unknown): void {
    this.#running--;
    const ms = this.#now() - startedAt;
    if (error === undefined) {
      this.#ok++;
      this.#breaker?.succeeded();
      return this.#tell({ kind, context, outcome: "ok", ms });
    }
    this.#failed++;
    if (error instanceof MxpError && CALLERS_FAULT.has(error.code)) this.#breaker?.ended();
    else this.#breaker?.failed(this.#now());
    this.#tell({ kind, context, outcome: "failed", error, ms });
  }

  #tell(entry: SentinelEntry): void {
    try {
      this.#options.onRequest?.(entry);
    } catch {
      // A logger that fails must not turn requests away.
    }
  }
}

const GIVEN_UP = new MxpError("cancelled", "who opened the stream has given it up");
