/**
 * What a server does with calls and streams: one function, or functions by method and by agent.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import { formatUuid, isNilUuid } from "../base/uuid.ts";
import { capabilityMatches } from "../codec/payloads/agent_discover.ts";
import { agentTarget } from "../mesh/agent_target.ts";
import { defaultAgentId } from "./registry/agent_card.ts";
import type { CallContext } from "./call_context.ts";
import type { MxpStream } from "./streams/mxp_stream.ts";
import { quote } from "./quote.ts";

/** What a handler may answer with. What comes in pieces is collected, up to 16 MiB. */
export type HandlerResult =
  | Uint8Array
  | ArrayBuffer
  | string
  | undefined
  | void
  | AsyncIterable<Uint8Array | string>
  | ReadableStream<Uint8Array>;

/**
 * Answers a call. The payload is the handler's to keep. What it throws becomes an Error message: the code of an
 * `MxpError` is passed on, anything else counts as a failed handler; the message text goes to the caller, the stack
 * does not.
 */
export type CallHandler = (
  payload: Uint8Array<ArrayBuffer>,
  context: CallContext,
) => HandlerResult | Promise<HandlerResult>;

/** What a stream handler may give back: nothing, or the chunks to send, each as a chunk of its own. */
export type StreamResult =
  | undefined
  | void
  | AsyncIterable<Uint8Array | string>
  | ReadableStream<Uint8Array | string>;

/**
 * Serves an agent stream: reads from it, writes to it, or yields the chunks to send. When it comes back, the stream ends,
 * and what it has not read is not asked for. What it throws ends the stream with that error, as with {@link CallHandler}.
 */
export type StreamHandler = (stream: MxpStream, context: CallContext) => StreamResult | Promise<StreamResult>;

/**
 * Takes an event. The data is the handler's to keep. Who asked for an Ack gets one when the handler has come back, or an
 * Error with what it threw.
 */
export type EventHandler = (
  topic: string,
  data: Uint8Array<ArrayBuffer>,
  context: CallContext,
) => void | Promise<void>;

/** Handlers by method and agent. */
export interface Handlers {
  /** Calls without a method, and with one that `methods` does not have. */
  readonly call?: CallHandler;
  /** By method. */
  readonly methods?: Readonly<Record<string, CallHandler>>;
  /** Agent streams without a method, and with one that `streams` does not have. */
  readonly stream?: StreamHandler;
  /** Agent streams by method. */
  readonly streams?: Readonly<Record<string, StreamHandler>>;
  /** Events: of `agents` those that are for that agent, beside them those that are for the node. */
  readonly event?: EventHandler;
  /** By agent, UUID or name; what stands beside this is the node itself. */
  readonly agents?: Readonly<Record<string, CallHandler | Handlers>>;
}

/** Why no handler was found. */
export type NoHandler = "no_such_agent" | "no_such_method";

/** The handlers of the node or of one agent. */
interface Table {
  readonly name: string | undefined;
  readonly call: CallHandler | undefined;
  readonly methods: ReadonlyMap<string, CallHandler>;
  readonly stream: StreamHandler | undefined;
  readonly streams: ReadonlyMap<string, StreamHandler>;
  readonly event: EventHandler | undefined;
  /** What the agent is registered with; undefined for one that answers without being registered. */
  capabilities?: readonly string[];
}

/** Finds handlers. */
export class HandlerTable {
  readonly #node: Table;
  /** By the text of the target. */
  readonly #agents = new Map<string, Table>();

  /**
   * @param publicKey of who serves: agents answer also to the ids that they get where they register under this key and their
   * name, so that they can be called directly.
   * @param ownName the name under which the node itself is registered elsewhere, if it answers for that agent.
   * @throws {MxpError} `usage` for what is not a handler.
   */
  constructor(
    handlers: CallHandler | Handlers,
    sha256: (bytes: Uint8Array) => Uint8Array,
    publicKey: Uint8Array | undefined,
    ownName?: string,
  ) {
    this.#node = toTable(handlers, undefined);
    if (publicKey !== undefined && ownName !== undefined) {
      // No other key can register this id, and agents of that name in the list below take its place.
      const own = { ...this.#node, name: ownName };
      this.#agents.set(formatUuid(defaultAgentId(sha256, publicKey, ownName)), own);
    }
    if (typeof handlers === "function") return;
    for (const [name, agent] of Object.entries(handlers.agents ?? {})) {
      const table = toTable(agent, name);
      if (typeof agent !== "function" && agent.agents !== undefined) {
        throw new MxpError("usage", `the agent ${quote(name)} has agents of its own; list them beside it`);
      }
      this.#agents.set(formatUuid(agentTarget(sha256, name)), table);
      if (publicKey !== undefined) this.#agents.set(formatUuid(defaultAgentId(sha256, publicKey, name)), table);
    }
  }

  /** Adds an agent of a client under its id, or takes it away. @throws {MxpError} `usage` for what is not a handler. */
  setAgent(id: string, name: string, handlers: Handlers | undefined, capabilities: readonly string[]): void {
    if (handlers === undefined) this.#agents.delete(id);
    else this.#agents.set(id, { ...toTable(handlers, name), capabilities });
  }

  /** Whether a target has a capability, as it is asked for; undefined where nobody has said what it has. */
  hasCapability(target: Uint8Array, wanted: string): boolean | undefined {
    const known = this.#agents.get(formatUuid(target))?.capabilities;
    return known && (wanted === "*" || known.some((capability) => capabilityMatches(wanted, capability)));
  }

  /** The handler for a target (16 bytes) and method. `named` is told the agent's name as it was given to `serve`. */
  find(target: Uint8Array, method: string | undefined, named: (name: string) => void): CallHandler | NoHandler {
    const table = this.#tableFor(target, named);
    if (table === undefined) return "no_such_agent";
    if (method !== undefined) {
      const handler = table.methods.get(method);
      if (handler !== undefined) return handler;
    }
    return table.call ?? "no_such_method";
  }

  /** The same for agent streams. */
  findStream(target: Uint8Array, method: string | undefined, named: (name: string) => void): StreamHandler | NoHandler {
    const table = this.#tableFor(target, named);
    if (table === undefined) return "no_such_agent";
    return (method === undefined ? undefined : table.streams.get(method)) ?? table.stream ?? "no_such_method";
  }

  /** Whether there is a handler for any events. */
  get takesEvents(): boolean {
    if (this.#node.event !== undefined) return true;
    for (const { event } of this.#agents.values()) if (event !== undefined) return true;
    return false;
  }

  /** The handler for events to a target, if that has one. */
  findEvent(target: Uint8Array, named: (name: string) => void): EventHandler | undefined | "no_such_agent" {
    const table = this.#tableFor(target, named);
    return table === undefined ? "no_such_agent" : table.event;
  }

  #tableFor(target: Uint8Array, named: (name: string) => void): Table | undefined {
    if (isNilUuid(target)) return this.#node;
    const table = this.#agents.get(formatUuid(target));
    if (table !== undefined) named(table.name!);
    return table;
  }
}

function toTable(handlers: CallHandler | Handlers, name: string | undefined): Table {
  const what = name === undefined ? "the node" : `the agent ${quote(name)}`;
  if (typeof handlers === "function") {
    return { name, call: handlers, methods: new Map(), stream: undefined, streams: new Map(), event: undefined };
  }
  if (typeof handlers !== "object" || handlers === null) {
    throw new MxpError(
      "usage",
      `the handler of ${what} is ${handlers === null ? "null" : typeof handlers}; expected a function or an object`,
    );
  }
  const methods = new Map(Object.entries(handlers.methods ?? {}));
  for (const [method, handler] of methods) check(handler, `the method ${quote(method)} of ${what}`);
  if (handlers.call !== undefined) check(handlers.call, what);
  const streams = new Map(Object.entries(handlers.streams ?? {}));
  for (const [method, handler] of streams) check(handler, `the stream method ${quote(method)} of ${what}`);
  if (handlers.stream !== undefined) check(handlers.stream, `the streams of ${what}`);
  if (handlers.event !== undefined) check(handlers.event, `the events of ${what}`);
  return { name, call: handlers.call, methods, stream: handlers.stream, streams, event: handlers.event };
}

function check(handler: unknown, what: string): void {
  if (typeof handler !== "function") {
    throw new MxpError("usage", `the handler of ${what} is ${typeof handler}; expected a function`);
  }
}
