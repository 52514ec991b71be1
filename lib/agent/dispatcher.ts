/**
 * Runs handlers: at most so many at once, each to exactly one answer.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import { ErrorCode } from "../codec/error_codes.ts";
import { MAX_PAYLOAD_BYTES } from "../codec/message_header.ts";
import type { MemoryBudget } from "../mesh/memory_budget.ts";
import type { LifecycleKind, RequestProblem, StreamStart } from "../mesh/request_reader.ts";
import { StreamError } from "../wire/error_codes.ts";
import { bodyBytes, Collecting } from "./call_body.ts";
import type { CallContext } from "./call_context.ts";
import type { CallHandler, HandlerResult, HandlerTable } from "./handlers.ts";
import type { IncomingCall } from "./calls/incoming_call.ts";
import type { CallCounters, CallService } from "./calls/incoming_calls.ts";
import { EventDispatcher, type EventRoute, type SeenEvents } from "./events/event_dispatcher.ts";
import { handlerFailure } from "./handler_failure.ts";
import type { Onward } from "./onward/onward.ts";
import type { IncomingEvent } from "./events/incoming_events.ts";
import type { OnceCalls } from "./calls/once_calls.ts";
import type { IncomingRequest } from "./incoming_request.ts";
import type { PubSub } from "./events/pubsub.ts";
import { quote } from "./quote.ts";
import type { StreamOutcome } from "./streams/incoming_stream.ts";
import type { PackingStats, Unpacker } from "./packing/unpacking.ts";
import type { ResumableStreams } from "./streams/resumable_streams.ts";
import type { Session } from "./session.ts";
import { StreamDispatcher } from "./streams/stream_dispatcher.ts";

/** What a dispatcher is made from. */
export interface DispatcherOptions {
  readonly handlers: HandlerTable;
  readonly maxConcurrentCalls: number;
  readonly maxConcurrentStreams: number;
  /** Keeps the streams whose openers have lost their connection. */
  readonly resumable: () => ResumableStreams;
  readonly maxRequestBytes: number;
  /** Answers what agents say and ask; without it there is no registry. */
  readonly registry?: LifecycleHandler;
  /** The ways that handlers have to others. */
  readonly onward: Onward;
  /** Remembers calls with idempotency keys. */
  readonly once: OnceCalls;
  /** Looks after subscriptions; without it there are none. */
  readonly pubsub?: PubSub;
  /** Which events were seen lately. */
  readonly seenEvents: SeenEvents;
  /** Whether the peer's word is taken on whom an event is from. */
  readonly believesPublisher: boolean;
  readonly onHandlerError: ((error: unknown, context: CallContext) => void) | undefined;
  /** Opens and decompresses what comes so. */
  readonly unpacker: Unpacker;
}

/** Who answers messages about agents, and knows the ways to them. */
export interface LifecycleHandler extends EventRoute {
  /** Leads to an answer, at once or later. */
  handle(call: IncomingCall, kind: LifecycleKind, payload: Uint8Array): void;
  /** See `CallService.registered`. */
  registered: CallService["registered"];
  /** Passes a call on to an agent; false if none is meant. `ended` is called once, when the call is settled. */
  route(call: IncomingCall, payload: Uint8Array, ended: () => void): boolean;
  /** The same for an agent stream, which may also be refused: then nobody is told of an end. */
  routeStream(
    request: IncomingCall,
    start: StreamStart,
    ended: (outcome: StreamOutcome) => void,
  ): boolean | RequestProblem;
}

/** One for a server; every connection has a view of it with a memory budget of its own. */
export class Dispatcher {
  readonly counters: CallCounters = { total: 0, ok: 0, failed: 0, refused: 0, cancelled: 0 };
  readonly streams: StreamDispatcher;
  readonly events: EventDispatcher;
  readonly maxRequestBytes: number;
  /** Remembers calls with idempotency keys. */
  readonly once: OnceCalls;
  /** Why requests are turned away, once they are. */
  closing: string | undefined = undefined;
  readonly #handlers: HandlerTable;
  readonly #registry: LifecycleHandler | undefined;
  readonly #unpacker: Unpacker;
  readonly #pubsub: PubSub | undefined;
  readonly #maxConcurrentCalls: number;
  readonly #onward: Onward;
  readonly #own = new WeakSet<Session>();
  readonly #onHandlerError: ((error: unknown, context: CallContext) => void) | undefined;
  /** Handlers of calls that have not come back. */
  #running = 0;
  /** The same of whatever else. */
  #others = 0;
  readonly #onIdle: (() => void)[] = [];

  constructor(options: DispatcherOptions) {
    this.#handlers = options.handlers;
    this.#registry = options.registry;
    this.#pubsub = options.pubsub;
    this.#maxConcurrentCalls = options.maxConcurrentCalls;
    this.#onward = options.onward;
    this.#unpacker = options.unpacker;
    this.once = options.once;
    this.maxRequestBytes = options.maxRequestBytes;
    this.#onHandlerError = options.onHandlerError;
    this.streams = new StreamDispatcher({
      unpacker: options.unpacker,
      handlers: options.handlers,
      onward: options.onward,
      maxConcurrentStreams: options.maxConcurrentStreams,
      resumable: options.resumable,
      closing: (request) => this.#closingFor(request),
      begin: () => this.#begin(),
      report: (error, context) => this.#report(error, context),
      ...(options.registry && { route: options.registry.routeStream.bind(options.registry) }),
    });
    this.events = new EventDispatcher({
      onward: options.onward,
      handlers: options.handlers,
      pubsub: options.pubsub,
      route: options.registry,
      seen: options.seenEvents,
      believesPublisher: options.believesPublisher,
      begin: () => this.#begin(),
      report: (error, context) => this.#report(error, context),
    });
  }

  /** Handlers of calls that have not come back. */
  get running(): number {
    return this.#running;
  }

  /** What is counted about compressed and sealed requests. */
  get packing(): PackingStats {
    return this.#unpacker.counters;
  }

  /** Whether no handler is running. */
  get isIdle(): boolean {
    return this.#running + this.#others === 0;
  }

  /** Settles when no handler is running. */
  idle(): Promise<void> {
    if (this.isIdle) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  /** What one connection gets. */
  service(budget: MemoryBudget): CallService {
    const { events } = this;
    return {
      budget,
      counters: this.counters,
      maxRequestBytes: this.maxRequestBytes,
      registered: (agentId) => this.#registry?.registered(agentId),
      dispatch: (call, payload) => this.#dispatch(call, payload),
      dispatchStream: (...stream) => this.streams.dispatch(...stream),
      get takesEvents() {
        return events.takesEvents;
      },
      dispatchEvent: (event, data, done, reserve) => this.#dispatchEvent(event, data, done, reserve),
      countBadEvent: () => void this.events.counters.refused++,
      countDroppedEvent: () => void this.events.counters.dropped++,
    };
  }

  /** What our own handlers ask belongs to requests that run already: it is not turned away when new ones are. */
  exempt(session: Session): void {
    this.#own.add(session);
  }

  /** Why a request is turned away, if it is because we are closing. */
  #closingFor({ session }: IncomingRequest): string | undefined {
    return session !== undefined && this.#own.has(session) ? undefined : this.closing;
  }

  #dispatch(call: IncomingCall, payload: Uint8Array): void {
    const closing = this.#closingFor(call);
    if (closing !== undefined) {
      call.calls.refuse(call, ErrorCode.UNAVAILABLE, true, closing, StreamError.REFUSED);
      return;
    }
    if (call.lifecycle === "subscribe") {
      if (this.#pubsub !== undefined) return this.#pubsub.subscribe(call, payload);
      const text = "nobody can subscribe to events here";
      call.calls.refuse(call, ErrorCode.UNSUPPORTED_TYPE, false, text, StreamError.REFUSED);
      return;
    }
    if (call.lifecycle !== undefined) {
      if (this.#registry !== undefined) return this.#registry.handle(call, call.lifecycle, payload);
      const text = "there is no registry here";
      call.calls.refuse(call, ErrorCode.UNSUPPORTED_TYPE, false, text, StreamError.REFUSED);
      return;
    }
    if (this.#running >= this.#maxConcurrentCalls) {
      const text = `${this.#running} calls are running, which is all this node takes at once`;
      call.calls.refuse(call, ErrorCode.OVERLOADED, true, text, StreamError.REFUSED);
      return;
    }
    if (call.packed !== 0 && this.#isForUs(call)) {
      this.#unpack(call, payload);
      return;
    }
    if (call.topic !== undefined) {
      this.#runEvent(call, payload);
      return;
    }
    const { idempotencyKey, accept } = call.details;
    // What is sealed for an agent cannot be compared here, and its answer is for this one request: the agent sees to it.
    if (idempotencyKey === undefined || call.packed !== 0) return this.#carryOut(call, payload);
    // Each of equal calls has its answer packed for itself.
    if (accept !== undefined && call.answerPacking === undefined && this.#isForUs(call)) {
      this.#unpacker.prepareAnswer(call);
    }
    this.once.dispatch(call, idempotencyKey, payload, (standIn) => this.#carryOut(standIn, payload));
  }

  /** A call for whoever answers it, here or behind this node. */
  #carryOut(call: IncomingCall, payload: Uint8Array): void {
    const { capability } = call.details;
    if (capability !== undefined) {
      if (this.#route(call, payload)) return;
      const text = this.#registry === undefined
        ? `this node does not route by capability, so it has nobody for ${quote(capability)}`
        : `no agent here has the capability ${quote(capability)}`;
      call.calls.refuse(call, ErrorCode.NO_SUCH_AGENT, false, text, StreamError.REFUSED);
      return;
    }
    const handler = this.#handlers.find(call.target, call.details.method, (name) => call.agentName = name);
    if (handler === "no_such_agent") {
      if (this.#route(call, payload)) return;
      call.calls.refuse(call, ErrorCode.NO_SUCH_AGENT, false, `no agent ${call.agent} here`, StreamError.REFUSED);
    } else if (handler === "no_such_method") {
      const { method } = call.details;
      const text = method === undefined ? "no handler for calls without a method" : `no method ${quote(method)} here`;
      call.calls.refuse(call, ErrorCode.NO_SUCH_METHOD, false, text, StreamError.REFUSED);
    } else this.#run(call, handler, payload);
  }

  /** Whether a call or event is answered here, and not passed on. Without a connection, there is nobody else. */
  #isForUs(call: IncomingRequest): boolean {
    if (call.session === undefined) return true;
    if (call.details.capability !== undefined) return false;
    const named = (name: string): void => void (call.agentName = name);
    if (call.topic !== undefined) return this.#handlers.findEvent(call.target, named) !== "no_such_agent";
    return this.#handlers.find(call.target, undefined, named) !== "no_such_agent";
  }

  /** Opens and decompresses a request; what it says then is dispatched. */
  #unpack(call: IncomingCall, payload: Uint8Array): void {
    if (call.calls.session === undefined) {
      const text = "compressed and encrypted messages are not taken on this carrier";
      call.calls.refuse(call, ErrorCode.UNSUPPORTED_TYPE, false, text, StreamError.MALFORMED);
      return;
    }
    const done = (result: Uint8Array | RequestProblem): void => {
      call.handling = false;
      if (call.state !== "running") return;
      if (result instanceof Uint8Array) this.#dispatch(call, result);
      else call.calls.refuse(call, result.code, result.retryable, result.text, StreamError.MALFORMED);
    };
    const result = this.#unpacker.unpack(
      call,
      payload,
      this.maxRequestBytes,
      (bytes) => call.calls.reserve(call, bytes),
    );
    if (!(result instanceof Promise)) return done(result);
    const ended = this.#begin();
    call.handling = true;
    result.then(done).finally(() => {
      if (call.state === "done" && !call.handling) call.calls.release(call);
      ended();
    });
  }

  /** Passes a call on, which counts like a handler that runs. */
  #route(call: IncomingCall, payload: Uint8Array): boolean {
    if (this.#registry === undefined) return false;
    this.#running++;
    const ended = (): void => {
      this.#running--;
      this.#checkIdle();
    };
    if (this.#registry.route(call, payload, ended)) return true;
    this.#running--;
    return false;
  }

  /** An event whose sender waits for nothing. */
  #dispatchEvent(event: IncomingEvent, data: Uint8Array, done: () => void, reserve: (bytes: number) => boolean): void {
    const dispatch = (data: Uint8Array | RequestProblem): void => {
      if (data instanceof Uint8Array) return this.events.dispatch(event, data, () => done());
      this.events.counters.refused++;
      done();
    };
    if (event.packed === 0 || !this.#isForUs(event)) return dispatch(data);
    const result = this.#unpacker.unpack(event, data, this.maxRequestBytes, reserve);
    if (!(result instanceof Promise)) return dispatch(result);
    const ended = this.#begin();
    result.then(dispatch).finally(ended);
  }

  /** An event whose sender waits for an Ack. */
  #runEvent(call: IncomingCall, data: Uint8Array): void {
    this.#running++;
    call.handling = true;
    this.events.dispatch(call, data, (failure) => {
      if (failure === undefined) call.calls.respond(call, NOTHING);
      else if (call.state === "running" && !call.isAborted) {
        const { code, retryable, text } = "error" in failure ? handlerFailure(failure.error) : failure;
        call.calls.fail(call, code, retryable, text);
      }
      this.#ended(call);
    });
  }

  #run(call: IncomingCall, handler: CallHandler, payload: Uint8Array): void {
    const context = call.context(this.#onward);
    if (call.details.accept !== undefined && call.answerPacking === undefined) this.#unpacker.prepareAnswer(call);
    this.#running++;
    call.handling = true;
    let result: HandlerResult | Promise<HandlerResult>;
    try {
      result = handler(payload as Uint8Array<ArrayBuffer>, context);
    } catch (error) {
      this.#failed(call, context, error);
      return;
    }
    if (result instanceof Uint8Array) this.#answered(call, context, result);
    else if (typeof result === "object" && result !== null && "then" in result && typeof result.then === "function") {
      result.then(
        (value: HandlerResult) => this.#answered(call, context, value),
        (error: unknown) => this.#failed(call, context, error),
      );
    } else this.#answered(call, context, result as HandlerResult);
  }

  #answered(call: IncomingCall, context: CallContext, result: HandlerResult): void {
    let bytes: Uint8Array | Promise<Uint8Array>;
    const collecting = result instanceof Uint8Array ? undefined : new Collecting();
    try {
      bytes = result instanceof Uint8Array ? result : bodyBytes(result, MAX_PAYLOAD_BYTES, "the answer", collecting);
    } catch (error) {
      this.#failed(call, context, error);
      return;
    }
    if (bytes instanceof Uint8Array) {
      call.calls.respond(call, bytes);
      this.#ended(call);
      return;
    }
    call.stopAnswer = () => collecting!.stop();
    if (call.state === "done") collecting!.stop();
    bytes.then(
      (data) => {
        call.calls.respond(call, data);
        this.#ended(call);
      },
      (error) => this.#failed(call, context, error),
    );
  }

  #failed(call: IncomingCall, context: CallContext, error: unknown): void {
    // Who was told to stop may well throw; that is no failure of the handler.
    if (call.state === "running") {
      const { code, retryable, text } = handlerFailure(error);
      call.calls.fail(call, code, retryable, text);
      if (!(error instanceof MxpError)) this.#report(error, context);
    }
    this.#ended(call);
  }

  #report(error: unknown, context: CallContext): void {
    try {
      this.#onHandlerError?.(error, context);
    } catch {
      // A logger that fails must not take the server with it.
    }
  }

  #ended(call: IncomingCall): void {
    call.handling = false;
    call.stopAnswer = undefined;
    if (call.state === "done") call.calls.release(call);
    this.#running--;
    this.#checkIdle();
  }

  /** A handler runs that is none of a call's; the result is called when it has come back. */
  #begin(): () => void {
    this.#others++;
    return () => {
      this.#others--;
      this.#checkIdle();
    };
  }

  #checkIdle(): void {
    if (this.#running + this.#others > 0) return;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}

const NOTHING = new Uint8Array(0);
