/**
 * Runs the handlers of agent streams: at most so many at once, each stream to exactly one end.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import type { RequestProblem, StreamStart } from "../../mesh/request_reader.ts";
import type { AgentStreams } from "./agent_streams.ts";
import type { CallContext } from "../call_context.ts";
import type { LifecycleHandler } from "../dispatcher.ts";
import { handlerFailure } from "../handler_failure.ts";
import type { HandlerTable, StreamHandler, StreamResult } from "../handlers.ts";
import type { IncomingCall } from "../calls/incoming_call.ts";
import type { IncomingRequest } from "../incoming_request.ts";
import type { IncomingStream } from "./incoming_stream.ts";
import type { Onward } from "../onward/onward.ts";
import { type StreamData, toBytes } from "./mxp_stream.ts";
import type { Unpacker } from "../packing/unpacking.ts";
import { quote } from "../quote.ts";
import type { ResumableStreams } from "./resumable_streams.ts";

/** What a server counts about streams. */
export interface StreamCounters {
  /** Streams that peers have opened. */
  total: number;
  /** Ended well by their handlers. */
  ok: number;
  /** Ended by a failure of the handler, by a peer that broke the rules, or at the deadline. */
  failed: number;
  /** Turned away without asking a handler. */
  refused: number;
  /** Given up by who opened them, or cut off by the end of the connection. */
  cancelled: number;
}

/** What a dispatcher of streams takes from the server. */
export interface StreamDispatcherOptions {
  readonly handlers: HandlerTable;
  /** The ways that handlers have to others. */
  readonly onward: Onward;
  readonly maxConcurrentStreams: number;
  /** Keeps the resumable ones. */
  readonly resumable: () => ResumableStreams;
  /** Why requests are turned away, once they are. */
  readonly closing: (request: IncomingRequest) => string | undefined;
  /** A handler runs; the result is called when it has come back. */
  readonly begin: () => () => void;
  readonly report: (error: unknown, context: CallContext) => void;
  /** Opens and decompresses what comes so. */
  readonly unpacker: Unpacker;
  /** Passes streams on to agents elsewhere, where there is a registry; see `LifecycleHandler`. */
  readonly route?: LifecycleHandler["routeStream"];
}

/** One for a server. */
export class StreamDispatcher {
  readonly counters: StreamCounters = { total: 0, ok: 0, failed: 0, refused: 0, cancelled: 0 };
  readonly #options: StreamDispatcherOptions;
  #running = 0;

  constructor(options: StreamDispatcherOptions) {
    this.#options = options;
  }

  /** Handlers that have not come back. */
  get running(): number {
    return this.#running;
  }

  /** Finds the handler of a stream and runs it, or turns the stream away. */
  dispatch(streams: AgentStreams, request: IncomingCall, start: StreamStart, refusal?: RequestProblem): void {
    if (refusal === undefined && this.#options.resumable().resume(streams, request, start)) return;
    this.counters.total++;
    const routed = refusal ?? this.#route(request, start);
    if (routed === true) return;
    const incoming = streams.accept(request.stream, request, start);
    if (incoming.outcome !== undefined) {
      // It was given up before anybody looked at it.
      this.counters[incoming.outcome]++;
      return;
    }
    if (routed !== false) {
      this.counters.refused++;
      incoming.refuse(routed.code, routed.retryable, routed.text);
      return;
    }
    const problem = this.#unpack(incoming, start);
    if (problem !== undefined) {
      this.counters.refused++;
      incoming.refuse(problem.code, problem.retryable, problem.text);
      return;
    }
    const handler = this.#handlerFor(incoming);
    if (handler === undefined) this.counters.refused++;
    else this.#run(incoming, handler);
  }

  /** Passes a stream on that is for nobody here, which counts like a handler that runs. */
  #route(request: IncomingCall, start: StreamStart): boolean | RequestProblem {
    const { route, handlers, maxConcurrentStreams, closing, begin } = this.#options;
    if (route === undefined || closing(request) !== undefined || this.#running >= maxConcurrentStreams) return false;
    const { target, details: { capability, method } } = request;
    if (capability === undefined && handlers.findStream(target, method, () => {}) !== "no_such_agent") return false;
    const ended = begin();
    const settle = (): void => {
      this.#running--;
      ended();
    };
    this.#running++;
    const routed = route(request, start, (outcome) => {
      this.counters[outcome]++;
      settle();
    });
    if (routed !== true) settle();
    return routed;
  }

  /** Opens a sealed stream, and prepares every other one for compressed chunks. */
  #unpack(incoming: IncomingStream, { open: { seal } }: StreamStart): RequestProblem | undefined {
    const { handlers, unpacker } = this.#options;
    // What is for nobody here is not for us to open.
    const found = handlers.findStream(incoming.target, undefined, (name) => incoming.agentName = name);
    if (found === "no_such_agent" || incoming.details.capability !== undefined) return undefined;
    return unpacker.unpackStream(incoming, seal);
  }

  #handlerFor(incoming: IncomingStream): StreamHandler | undefined {
    const { handlers, maxConcurrentStreams, closing } = this.#options;
    const { method, capability } = incoming.details;
    const refuse = (code: number, retryable: boolean, text: string): undefined => {
      incoming.refuse(code, retryable, text);
      return undefined;
    };
    const reason = closing(incoming);
    if (reason !== undefined) return refuse(ErrorCode.UNAVAILABLE, true, reason);
    if (this.#running >= maxConcurrentStreams) {
      const text = `${this.#running} streams are open, which is all this node takes at once`;
      return refuse(ErrorCode.OVERLOADED, true, text);
    }
    if (capability !== undefined) {
      const text = this.#options.route === undefined
        ? `this node does not route by capability, so it has nobody for ${quote(capability)}`
        : `no agent here has the capability ${quote(capability)}`;
      return refuse(ErrorCode.NO_SUCH_AGENT, false, text);
    }
    const handler = handlers.findStream(incoming.target, method, (name) => incoming.agentName = name);
    if (typeof handler === "function") {
      const problem = this.#options.resumable().admit(incoming);
      return problem === undefined ? handler : refuse(problem.code, problem.retryable, problem.text);
    }
    if (handler === "no_such_agent") return refuse(ErrorCode.NO_SUCH_AGENT, false, `no agent ${incoming.agent} here`);
    // A stream that is to go on names no method.
    const lost = incoming.resume?.at === undefined ? undefined : this.#options.resumable().admit(incoming);
    if (lost !== undefined) return refuse(lost.code, lost.retryable, lost.text);
    const text = method === undefined ? "no handler for streams here" : `no method ${quote(method)} for streams here`;
    return refuse(ErrorCode.NO_SUCH_METHOD, false, text);
  }

  #run(incoming: IncomingStream, handler: StreamHandler): void {
    const ended = this.#options.begin();
    const context = incoming.context(this.#options.onward);
    this.#running++;
    const settle = (): void => {
      this.#running--;
      incoming.onAbandoned = undefined;
      this.counters[incoming.outcome ?? "ok"]++;
      ended();
    };
    const failed = (error: unknown): void => {
      this.#onFailed(incoming, context, error);
      settle();
    };
    let result: StreamResult | Promise<StreamResult>;
    try {
      result = handler(incoming.mxpStream, context);
    } catch (error) {
      failed(error);
      return;
    }
    Promise.resolve(result).then((value) => this.#pump(incoming, value)).then(() => {
      incoming.finish();
      settle();
    }).catch(failed);
  }

  /** Sends what a handler yields, as fast as the peer takes it. */
  async #pump(incoming: IncomingStream, source: StreamResult): Promise<void> {
    if (source === undefined || source === null) return;
    const iterator = iteratorOf(source);
    // Whatever the source does about it must not surface here.
    const release = (): void => void Promise.resolve().then(() => iterator.return?.()).catch(() => {});
    incoming.onAbandoned = release;
    try {
      for (;;) {
        const { done, value } = await iterator.next();
        if (done) return;
        await incoming.stream.write(toBytes(value as StreamData));
      }
    } catch (error) {
      release();
      throw error;
    }
  }

  #onFailed(incoming: IncomingStream, context: CallContext, error: unknown): void {
    // Who was told to stop may well throw; that is no failure of the handler.
    if (incoming.outcome !== undefined) {
      incoming.finish();
      return;
    }
    const { code, text } = handlerFailure(error);
    incoming.fail(code, text);
    if (!(error instanceof MxpError)) this.#options.report(error, context);
  }
}

function iteratorOf(source: Exclude<StreamResult, void | undefined>): AsyncIterator<unknown> {
  if (typeof source === "object") {
    if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
    if ("getReader" in source) return readerOf(source);
  }
  throw new TypeError(`a stream handler returns nothing or chunks, got ${typeof source}`);
}

/** For runtimes whose streams are not iterable. */
function readerOf(source: ReadableStream<Uint8Array | string>): AsyncIterator<unknown> {
  const reader = source.getReader();
  return {
    next: async () => {
      const { done, value } = await reader.read();
      return done ? { done, value: undefined } : { done, value };
    },
    return: async () => {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}
