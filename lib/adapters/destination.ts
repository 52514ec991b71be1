/**
 * Where adapters send requests: to agents, or to functions in the same process. Every adapter is one itself, so that they
 * go into each other.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import { bodyBytes } from "../agent/call_body.ts";
import type { CallContext } from "../agent/call_context.ts";
import type { ContextTarget } from "../agent/onward/context_client.ts";
import type { CallHandler, HandlerResult, StreamHandler } from "../agent/handlers.ts";
import type { StreamData } from "../agent/streams/mxp_stream.ts";

/** Largest answer that is collected here; what is larger is a stream's. */
const MAX_ANSWER_BYTES = 16 << 20;

/**
 * Answers a call, like a `CallHandler`. The signal is aborted when the answer is not wanted any more: with the context's,
 * or sooner, because other answers have sufficed.
 */
export type Step = (
  payload: Uint8Array<ArrayBuffer>,
  context: CallContext,
  signal: AbortSignal,
) => HandlerResult | Promise<HandlerResult>;

/** Answers an agent stream: takes the chunks that come in, yields those that go back. With the last of these the stream is over, in both directions. */
export type Pipe = (
  chunks: AsyncIterable<Uint8Array>,
  context: CallContext,
  signal: AbortSignal,
) => AsyncIterable<Uint8Array | string>;

/** Something in this process that answers calls, streams, or both. */
export interface LocalParts {
  /** Answers calls. */
  readonly call?: Step;
  /** Answers agent streams. */
  readonly pipe?: Pipe;
}

/**
 * Where a request goes: a function, for calls; an object with `call` and `pipe`, such as another adapter; or what
 * `context.client` takes: the name or UUID of an agent, an `mxp://` URL, or `{ capability }`.
 */
export type Destination = Step | LocalParts | ContextTarget;

/** What every adapter is: handlers for `serve` and `register`, and a destination for other adapters. */
export interface Adapter extends Required<LocalParts> {
  /** Answers calls. */
  readonly call: Step & CallHandler;
  /** Answers agent streams: {@link Adapter.pipe} as a handler. */
  readonly stream: StreamHandler;
}

/** What a call comes to, as bytes. */
export type Ask = (
  payload: Uint8Array<ArrayBuffer>,
  context: CallContext,
  signal: AbortSignal,
) => Promise<Uint8Array<ArrayBuffer>>;

/** A destination as the two functions that it is used by. */
export interface Way {
  readonly ask: Ask;
  readonly pipe: Pipe;
}

/** An adapter from what it does. */
export function adapter(parts: { readonly call: Step; readonly pipe: Pipe }): Adapter {
  return {
    // Outermost, nobody gives a request up but the context.
    call: (payload: Uint8Array<ArrayBuffer>, context: CallContext, signal: AbortSignal = context.signal) =>
      parts.call(payload, context, signal),
    pipe: parts.pipe,
    stream: async function* (stream, context) {
      for await (const chunk of parts.pipe(stream, context, context.signal)) {
        // Who opened it one way does not listen.
        if (stream.mayWrite) yield chunk;
      }
    },
  };
}

/** How to get to a destination. @throws {MxpError} `usage` for what is none. */
export function wayTo(destination: Destination): Way {
  if (typeof destination === "function") return { ask: asking(destination), pipe: noStreams };
  if (typeof destination === "string" || (destination !== null && "capability" in destination)) {
    return over(destination);
  }
  const { call, pipe } = (destination ?? {}) as LocalParts;
  if (typeof call !== "function" && typeof pipe !== "function") {
    throw new MxpError("usage", "a destination is a function, { call, pipe }, an agent, a URL or { capability }");
  }
  return { ask: call === undefined ? noCalls : asking(call), pipe: pipe ?? noStreams };
}

/** What a destination is called in errors and reports. */
export function nameOf(destination: Destination, index: number): string {
  if (typeof destination === "string") return destination;
  if (typeof destination === "object" && "capability" in destination) return destination.capability;
  return `#${index}`;
}

/**
 * An adapter that only passes requests on, with what belongs to them: the method, metadata, content type and idempotency key go along, and so
 * do deadline, signal, trace and priority.
 *
 * @throws {MxpError} `usage` for what is no destination.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../mod.ts";
 * import { forward } from "./destination.ts";
 *
 * await using clock = await serve({ listen: "127.0.0.1:0" }, () => "noon");
 * await using front = await serve({ listen: "127.0.0.1:0" }, forward(clock.url));
 * await using client = await connect(front.url);
 * console.log((await client.call("time?")).text()); // noon
 * ```
 */
export function forward(to: Destination): Adapter {
  const { ask, pipe } = wayTo(to);
  return adapter({ call: ask, pipe });
}

function asking(step: Step): Ask {
  return async (payload, context, signal) => {
    const result = await step(payload, context, signal);
    return await bodyBytes(result, MAX_ANSWER_BYTES, "the answer") as Uint8Array<ArrayBuffer>;
  };
}

/** What of a request goes on as it is. */
function carried({ method, metadata, contentType, idempotencyKey }: CallContext): Record<string, unknown> {
  return {
    metadata,
    ...(method !== undefined && { method }),
    ...(contentType !== undefined && { contentType }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
  };
}

function over(target: ContextTarget): Way {
  return {
    ask: async (payload, context, signal) => {
      const reply = await context.client(target).call(payload, { ...carried(context), signal });
      return reply.bytes;
    },
    pipe: async function* (chunks, context, signal) {
      const stream = await context.client(target).stream({ ...carried(context), signal });
      // Both directions at once: neither side has to wait for the other one's end.
      const sending = send(chunks, (chunk) => stream.write(chunk)).then(() => stream.close());
      // If the other side wants no more, what it says is what counts.
      sending.catch((error) => error instanceof MxpError && error.code === "closed" ? undefined : stream.cancel(error));
      try {
        yield* stream;
      } finally {
        stream.cancel();
      }
    },
  };
}

async function send(chunks: AsyncIterable<Uint8Array>, write: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  for await (const chunk of chunks) await write(chunk);
}

const noCalls: Ask = () => Promise.reject(new MxpError("agent_error", "there are only streams behind this"));

// deno-lint-ignore require-yield -- it has nothing to yield
const noStreams: Pipe = async function* () {
  await Promise.resolve();
  throw new MxpError("agent_error", "there are only calls behind this");
};

/** Chunks as bytes, whatever yields them. */
export async function* asBytes(chunks: AsyncIterable<StreamData>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    if (typeof chunk === "string") yield encoder.encode(chunk);
    else yield chunk instanceof Uint8Array ? chunk : new Uint8Array(chunk);
  }
}

const encoder = new TextEncoder();
