/**
 * What a handler calls others with: the time, the signal, the trace and the priority of its own request go with it.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { formatId64 } from "../../mesh/id_sequence.ts";
import { callArguments, type CallBody } from "../call_body.ts";
import type { Callee } from "./callee.ts";
import { NO_OPTIONS } from "../calls/caller.ts";
import { DEFAULT_CALL_TIMEOUT_MS } from "../client_core.ts";
import type { CallOptions, EventOptions, RequestOptions, StreamOptions } from "../client_types.ts";
import { aboutOthers } from "../handler_failure.ts";
import type { IncomingRequest } from "../incoming_request.ts";
import { DEFAULT_HOPS } from "./hops.ts";
import type { MxpStream } from "../streams/mxp_stream.ts";
import { type MxpUrl, parseMxpUrl } from "../mxp_url.ts";
import type { Onward } from "./onward.ts";
import { quote } from "../quote.ts";
import type { Reply } from "../calls/reply.ts";
import { checkTimeout } from "../time_limit.ts";
import { childTraceparent } from "./trace.ts";

/**
 * Whom a handler calls: an `mxp://` URL, the UUID or name of an agent at its node, or any agent there that has a
 * capability.
 */
export type ContextTarget = string | { readonly capability: string };

/** Options that the target decides about, or the request that the handler answers. */
export type DecidedOption = "agent" | "capability" | "direct" | "hopLimit" | "traceId";

/** Whom a target means, and what has to be said to get there. */
type Way =
  | { readonly to: "peer"; readonly address: Record<string, never> }
  | { readonly to: "node"; readonly address: { readonly agent: string } | { readonly capability: string } }
  | { readonly to: "url"; readonly url: MxpUrl; readonly address: { readonly agent?: string } };

/** Options that both requests and this module deal with. */
type Carried = RequestOptions & { readonly timeoutMs?: number };

/**
 * Calls others on behalf of a request. Made by `context.client`.
 *
 * Unless the options say otherwise, a request takes along: the time that is left of the handler's own as its deadline, the
 * context's `signal`, the trace (the same trace id, and a new span id below the caller's), and the priority. Options replace what they
 * name, with two exceptions: a longer `timeoutMs` than what is left counts as what is left, and a `signal` is one more reason
 * to end, beside the context's. How often requests may go on because of each other is limited (32 times, SPEC §8.11), so
 * that agents that call each other in a circle come to an end.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../../mod.ts";
 * await using node = await serve({ listen: "127.0.0.1:0", registry: true }, () => "");
 * await using shout = await connect(node.url);
 * await using _first = await shout.register({ name: "shout", capabilities: ["text.upper"] }, {
 *   handlers: { call: (payload) => new TextDecoder().decode(payload).toUpperCase() },
 * });
 * await using greet = await connect(node.url);
 * await using _second = await greet.register({ name: "greet" }, {
 *   handlers: {
 *     call: async (payload, context) => {
 *       const reply = await context.client({ capability: "text.upper" }).call(payload);
 *       return `${reply.text()}!`;
 *     },
 *   },
 * });
 * await using client = await connect(node.url + "/greet");
 * console.log((await client.call("hello", { timeoutMs: 1_000 })).text()); // HELLO!
 * ```
 */
export class ContextClient {
  readonly #request: IncomingRequest;
  readonly #onward: Onward;
  readonly #way: Way;

  /** Use `context.client`. @throws {MxpError} `usage` for what is no target. */
  constructor(request: IncomingRequest, onward: Onward, target: ContextTarget | undefined) {
    this.#request = request;
    this.#onward = onward;
    this.#way = wayTo(target);
  }

  /** Calls the target. */
  call(body?: CallBody, options?: Omit<CallOptions, DecidedOption>): Promise<Reply>;
  /** Calls one of its methods. */
  call(method: string, body: CallBody | undefined, options?: Omit<CallOptions, DecidedOption>): Promise<Reply>;
  /**
   * Sends a body and waits for the answer, as `Client.call` does.
   *
   * @throws {MxpError} as `Client.call` and `connect` do: `deadline` also if no time is left, `agent_error` if requests
   * have gone on because of each other too often.
   */
  async call(first?: CallBody, second?: CallBody | CallOptions, third?: CallOptions): Promise<Reply> {
    const { method, body, options } = callArguments(first, second, third, arguments.length, NO_OPTIONS);
    return await this.#with(async (callee) => {
      const carried = this.#carry(options, options.timeoutMs ?? this.#orLeft(DEFAULT_CALL_TIMEOUT_MS));
      return await callee.call(body, { ...carried, method });
    });
  }

  /** Opens a stream to the target. */
  stream(options?: Omit<StreamOptions, DecidedOption>): Promise<MxpStream>;
  /** Opens a stream to one of its methods. */
  stream(method: string, options?: Omit<StreamOptions, DecidedOption>): Promise<MxpStream>;
  /**
   * Opens an agent stream, as `Client.stream` does, as soon as there is a connection. It ends with the handler's request: at
   * its deadline, and when its signal is aborted.
   *
   * @throws {MxpError} as `Client.stream` and `connect` do.
   */
  async stream(first?: string | StreamOptions, second?: StreamOptions): Promise<MxpStream> {
    const options: StreamOptions = (typeof first === "string" ? second : first) ?? {};
    const method = typeof first === "string" ? first : options.method;
    return await this.#with((callee, keep) => {
      const stream = callee.stream({ ...this.#carry(options, options.timeoutMs ?? 0), method });
      keep(stream.closed);
      return Promise.resolve(stream);
    });
  }

  /**
   * Tells the target something, as `Client.emit` does.
   *
   * @throws {MxpError} as `Client.emit` and `connect` do.
   */
  async emit(topic: string, data?: CallBody, options: Omit<EventOptions, DecidedOption> = {}): Promise<void> {
    await this.#with(async (callee) => {
      const timeoutMs = options.timeoutMs ?? this.#orLeft(DEFAULT_CALL_TIMEOUT_MS);
      await callee.emit(topic, data, this.#carry(options, timeoutMs));
    });
  }

  /** Uses whoever is meant. Something that goes on afterwards keeps its connection. */
  async #with<T>(use: (callee: Callee, keep: (until: Promise<void>) => void) => Promise<T>): Promise<T> {
    const { signal, session } = this.#request;
    this.#check();
    const way = this.#way;
    let release: (() => void) | undefined;
    let isKept = false;
    const keep = (until: Promise<void>): void => {
      isKept = true;
      void until.then(() => release?.());
    };
    try {
      if (way.to === "peer") return await use(this.#onward.peer(session), keep);
      if (way.to === "node") return await use(await this.#onward.node(session), keep);
      const lease = await this.#onward.pool.lease(way.url, signal);
      release = lease.release;
      return await use(lease.client, keep);
    } catch (error) {
      throw aboutOthers(this.#explain(error));
    } finally {
      if (!isKept) release?.();
    }
  }

  /** @throws {MxpError} if there is nothing left to act for. */
  #check(): void {
    const { signal, details: { hopLimit } } = this.#request;
    if (signal.aborted) throw signal.reason;
    if (this.#request.remainingMs() < 1) throw new MxpError("deadline", "there is no time left for another request");
    if (hopLimit === 0) {
      const text = "the request that leads here has gone on too often already; do agents call each other in a circle?";
      throw new MxpError("agent_error", text, { remoteCode: ErrorCode.HOP_LIMIT });
    }
  }

  /** A default that only counts without a deadline. */
  #orLeft(otherwise: number): number {
    return this.#request.remainingMs() === Infinity ? otherwise : 0;
  }

  /** The options of a request that is made because of this one. @param timeoutMs what is asked for; 0: whatever is left. */
  #carry<T extends Carried>(options: T, timeoutMs: number): T {
    this.#check();
    checkTimeout(timeoutMs);
    const { signal, details, traceHigh, traceLow } = this.#request;
    // Whole milliseconds travel, and never more of them than there are.
    const left = Math.floor(this.#request.remainingMs());
    const wanted = timeoutMs === 0 ? Infinity : timeoutMs;
    const time = Math.min(wanted, left);
    return {
      ...options,
      ...this.#way.address,
      timeoutMs: time === Infinity ? 0 : time,
      signal: options.signal === undefined ? signal : AbortSignal.any([signal, options.signal]),
      priority: options.priority ?? details.priority,
      hopLimit: (details.hopLimit ?? DEFAULT_HOPS) - 1,
      ...this.#trace(options.traceparent, details.traceparent, traceHigh, traceLow),
    };
  }

  #trace(
    wanted: string | undefined,
    given: string | undefined,
    high: number,
    low: number,
  ): Pick<RequestOptions, "traceparent" | "traceId"> {
    if (wanted !== undefined) return { traceparent: wanted };
    if (given !== undefined) return { traceparent: childTraceparent(given, this.#onward.random) };
    return high === 0 && low === 0 ? {} : { traceId: formatId64(high, low) };
  }

  /** What the context's signal has ended has ended for the signal's reason. */
  #explain(error: unknown): unknown {
    const { signal } = this.#request;
    if (!signal.aborted || !(error instanceof MxpError) || error.code !== "cancelled") return error;
    const { code, message } = signal.reason as MxpError;
    return new MxpError(code, message, { cause: error });
  }
}

function wayTo(target: ContextTarget | undefined): Way {
  if (target === undefined) return { to: "peer", address: {} };
  if (typeof target === "string") {
    if (target === "") {
      throw new MxpError("usage", "the target of context.client is empty; leave it out for the caller");
    }
    if (!target.includes("://")) return { to: "node", address: { agent: target } };
    const url = parseMxpUrl(target);
    return { to: "url", url, address: url.agent === undefined ? {} : { agent: url.agent } };
  }
  const capability = (target as { capability?: unknown } | null)?.capability;
  if (typeof capability === "string" && capability !== "") return { to: "node", address: { capability } };
  const shape = "a URL, the name or UUID of an agent, or { capability }";
  const seen = target === null ? "null" : typeof target === "object" ? quote(JSON.stringify(target)) : typeof target;
  throw new MxpError("usage", `the target of context.client is ${seen}; expected ${shape}`);
}
