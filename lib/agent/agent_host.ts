/**
 * What a client answers itself: what its node asks of it, and calls that the node passes on to the agents that are registered
 * over its connection.
 *
 * @module
 */

import { MAX_PAYLOAD_BYTES } from "../codec/message_header.ts";
import { MemoryBudget } from "../mesh/memory_budget.ts";
import type { CallContext } from "./call_context.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { SeenEvents } from "./events/event_dispatcher.ts";
import { type Handlers, HandlerTable } from "./handlers.ts";
import type { OnceCalls } from "./calls/once_calls.ts";
import { Onward, type OnwardParts } from "./onward/onward.ts";
import { type PackingStats, Unpacker } from "./packing/unpacking.ts";
import { ResumableStreams } from "./streams/resumable_streams.ts";
import type { Session } from "./session.ts";

/** Handlers that may run at once. */
const MAX_CALLS = 1_024;
const MAX_STREAMS = 1_024;
/** Bytes that large calls and answers may take in memory together. */
const BUDGET_BYTES = 64 << 20;

/** What a client may be told about the handlers that answer its node. */
export interface HostOptions {
  /** Answers what the node itself asks, without any agent being meant. */
  readonly handlers?: Handlers;
  /** Told what handlers throw, for the log. `MxpError`s are answers and are not reported. */
  readonly onHandlerError?: (error: unknown, context: CallContext) => void;
}

/** The agents behind one client. */
export class AgentHost {
  readonly #table: HandlerTable;
  readonly #dispatcher: Dispatcher;
  readonly #session: Session;
  readonly #unpacker: Unpacker;
  /** The ways that handlers have to others. */
  readonly onward: Onward;
  /** Keeps streams whose openers have lost their connection; may be one that outlives this one. */
  resumable: ResumableStreams;
  #onHandlerError: ((error: unknown, context: CallContext) => void) | undefined;

  /** From now on the session's peer may call. @throws {MxpError} `usage` for what is not a handler. */
  constructor(session: Session, parts: OnwardParts, options: HostOptions, once: OnceCalls, seenEvents: SeenEvents) {
    this.#session = session;
    this.#unpacker = new Unpacker(
      parts.platform,
      parts.identity,
      (target, capability) => this.#table.hasCapability(target, capability),
    );
    this.onward = new Onward(parts);
    this.resumable = new ResumableStreams(parts.platform.clock, parts.platform.random);
    this.#onHandlerError = options.onHandlerError;
    const { sha256 } = parts.platform.crypto;
    this.#table = new HandlerTable(options.handlers ?? {}, (bytes) => sha256.hash(bytes), undefined);
    this.#dispatcher = new Dispatcher({
      handlers: this.#table,
      onward: this.onward,
      once,
      maxConcurrentCalls: MAX_CALLS,
      maxConcurrentStreams: MAX_STREAMS,
      resumable: () => this.resumable,
      maxRequestBytes: MAX_PAYLOAD_BYTES,
      unpacker: this.#unpacker,
      seenEvents,
      believesPublisher: true,
      onHandlerError: (error, context) => this.#onHandlerError?.(error, context),
    });
    session.serve(this.#dispatcher.service(new MemoryBudget(BUDGET_BYTES)));
  }

  /** What is counted about compressed and sealed calls to the agents here. */
  get packing(): PackingStats {
    return { ...this.#unpacker.counters };
  }

  /** Which events were seen lately. */
  set seenEvents(seenEvents: SeenEvents) {
    this.#dispatcher.events.seen = seenEvents;
  }

  /** Settles when no handler is running, and what they have answered has arrived. */
  async drained(): Promise<void> {
    await this.#dispatcher.idle();
    // An answer that is on its way has an open stream until it is acknowledged. Watches and subscriptions have one for good.
    const { link: { connection }, longAnswers } = this.#session;
    while (this.#session.closeReason === undefined && connection.stats().openStreams > longAnswers.size) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Adds an agent under its UUID, or takes it away. @throws {MxpError} `usage` for what is not a handler. */
  set(
    id: string,
    name: string,
    handlers: Handlers | undefined,
    capabilities: readonly string[],
    onHandlerError: ((error: unknown, context: CallContext) => void) | undefined,
  ): void {
    this.#table.setAgent(id, name, handlers, capabilities);
    if (handlers === undefined) this.resumable.giveUp(id);
    this.#onHandlerError = onHandlerError ?? this.#onHandlerError;
  }
}
