/**
 * An agent's registration at a node, kept alive: heartbeats, and registering anew whenever the node or the way to it was
 * lost.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import { formatUuid } from "../../base/uuid.ts";
import type { AgentStatus } from "../../codec/payloads/agent_record.ts";
import type { AgentRegister } from "../../codec/payloads/agent_register.ts";
import type { CallContext } from "../call_context.ts";
import type { Client } from "../client.ts";
import { deferred } from "../deferred.ts";
import type { Handlers } from "../handlers.ts";
import type { LifecycleClient } from "./lifecycle_client.ts";
import { pauseMillis } from "../pause.ts";

/** Pauses between attempts to get back double up to this. */
const LONGEST_PAUSE_MS = 15_000;
/** Where a node does not say how often it wants heartbeats. */
const DEFAULT_HEARTBEAT_MS = 10_000;
/** Changes of status and load are told this often at most. */
const LEAST_INTERVAL_MS = 200;
/** How long an answer may take, at least. */
const LEAST_TIMEOUT_MS = 2_000;
/** How long the last heartbeat may take. */
const GOODBYE_MS = 2_000;

/** Where a registration stands. */
export type RegistrationState =
  /** The node has it, as far as we know. */
  | "registered"
  /** It is being made anew. */
  | "reconnecting"
  /** It is over. */
  | "closed";

/** What a registration may be told. */
export interface RegistrationOptions {
  /** Told of every change of its state; with the error that led there, if there was one. */
  readonly onState?: (state: RegistrationState, error: MxpError | undefined) => void;
  /** Answers what the node passes on to the agent. Without it, it can be found, and not be reached through the node. */
  readonly handlers?: Omit<Handlers, "agents">;
  /** Told what handlers throw, for the log. `MxpError`s are answers and are not reported. */
  readonly onHandlerError?: (error: unknown, context: CallContext) => void;
  /** How long the node may take to answer at first; default 10 000. */
  readonly timeoutMs?: number;
  /** Gives the first attempt up. */
  readonly signal?: AbortSignal;
}

/** A connection as a registration uses it. */
export interface RegistrationLink {
  readonly client: Client;
  readonly lifecycle: LifecycleClient;
  /** Answers calls for an agent, or stops. */
  readonly serve: (id: string, handlers: Handlers | undefined) => void;
}

/** What a registration is made from. */
export interface RegistrationParts {
  readonly register: AgentRegister;
  readonly link: RegistrationLink;
  /** Another connection to the same node, with the same key. */
  readonly reconnect: (signal: AbortSignal) => Promise<RegistrationLink>;
  readonly random: Random;
  readonly options: RegistrationOptions;
}

/**
 * A registration. Made by `client.register`. Ends with {@link close}, with the client that it was made on being closed
 * here, or when the node refuses it for good.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../../mod.ts";
 * await using server = await serve({ listen: "127.0.0.1:0", registry: true }, () => "");
 * await using client = await connect(server.url);
 * await using registration = await client.register({ name: "echo", capabilities: ["text.echo"] });
 * registration.load = 250;
 * console.log((await client.discover({ capability: "text.*" })).map(({ name }) => name)); // [ "echo" ]
 * ```
 */
export class Registration implements AsyncDisposable {
  readonly #parts: RegistrationParts;
  readonly #closed = deferred<void>();
  readonly #stop = new AbortController();
  /** The agent's UUID. */
  readonly id: string;
  /** Settles when the registration is over, for whatever reason. Never rejects. */
  readonly closed: Promise<void> = this.#closed.promise;
  #link: RegistrationLink;
  #state: RegistrationState = "registered";
  #failure: MxpError | undefined;
  #status: AgentStatus = "online";
  #load: number | undefined;
  #heartbeatMs = DEFAULT_HEARTBEAT_MS;
  #renewals = 0;
  #changed = false;
  #wake: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  private constructor(parts: RegistrationParts) {
    this.#parts = parts;
    this.#link = parts.link;
    this.id = formatUuid(parts.register.agentId);
  }

  /** Registers for the first time; rejects if the node does not. */
  static async start(parts: RegistrationParts): Promise<Registration> {
    const registration = new Registration(parts);
    const { timeoutMs, signal } = parts.options;
    await registration.#register({ ...(timeoutMs !== undefined && { timeoutMs }), ...(signal && { signal }) });
    registration.#renewals = 0;
    registration.#running = registration.#keep();
    return registration;
  }

  /** Where it stands. */
  get state(): RegistrationState {
    return this.#state;
  }

  /** Why it ended, if it was not closed here. */
  get failure(): MxpError | undefined {
    return this.#failure;
  }

  /** How often it was made anew. */
  get renewals(): number {
    return this.#renewals;
  }

  /** The connection that it uses: the client that it was made on, until that was lost. */
  get client(): Client {
    return this.#link.client;
  }

  /** How the agent is; told to the node soon. `offline` asks not to be routed to. */
  get status(): AgentStatus {
    return this.#status;
  }

  set status(status: AgentStatus) {
    if (!["online", "degraded", "offline"].includes(status)) {
      throw new MxpError("usage", `a status is online, degraded or offline, not ${String(status)}`);
    }
    this.#change(status !== this.#status);
    this.#status = status;
  }

  /** 0 idle, 1000 as much as it can take, more when it is queueing; told to the node soon. */
  get load(): number | undefined {
    return this.#load;
  }

  set load(load: number) {
    if (!(load >= 0 && load <= 0xffff)) throw new MxpError("usage", `a load is 0 to 65535, got ${load}`);
    const rounded = Math.round(load);
    this.#change(rounded !== this.#load);
    this.#load = rounded;
  }

  /** Deregisters the agent, as far as the node can be reached, and ends. Idempotent. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** The same as {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const wasRegistered = this.#state === "registered";
    this.#stop.abort();
    this.#wake?.();
    await this.#running;
    if (wasRegistered) {
      const heartbeat = { agentId: this.#parts.register.agentId };
      // Whom it does not reach, the lease tells.
      await this.#link.lifecycle.heartbeat(heartbeat, true, { timeoutMs: GOODBYE_MS }).catch(() => {});
    }
    await this.#finish(undefined);
  }

  async #finish(failure: MxpError | undefined): Promise<void> {
    if (this.#state === "closed") return;
    this.#failure = failure;
    this.#enter("closed", failure);
    if (this.#parts.options.handlers !== undefined) this.#link.serve(this.id, undefined);
    const { client } = this.#link;
    // A connection of its own ends with it, but not the calls that its handlers still answer.
    if (this.#link !== this.#parts.link) await (failure === undefined ? client.drain() : client.close());
    this.#closed.resolve();
  }

  /** Keeps the registration until it is closed here or refused for good. */
  async #keep(): Promise<void> {
    let failure: MxpError | undefined;
    while (failure === undefined && !this.#stop.signal.aborted) {
      failure = await this.#heartbeats() ?? await this.#reconnect();
    }
    if (failure !== undefined) await this.#finish(failure);
  }

  /** Sends heartbeats for as long as the connection lasts; says why there is no point in going on, if there is none. */
  async #heartbeats(): Promise<MxpError | undefined> {
    const { client, lifecycle } = this.#link;
    let isOver = false;
    let closedHere = false;
    void client.closed.then(({ by }) => {
      isOver = true;
      closedHere = by === "local" && this.#link === this.#parts.link;
      this.#wake?.();
    });
    for (;;) {
      await this.#pause(this.#changed ? LEAST_INTERVAL_MS : this.#heartbeatMs, () => isOver || this.#changed);
      // What changed a moment ago may change again.
      if (this.#changed && !isOver) await this.#pause(LEAST_INTERVAL_MS, () => isOver);
      if (this.#stop.signal.aborted) return undefined;
      if (isOver) return closedHere ? new MxpError("closed", "the client was closed here") : undefined;
      this.#changed = false;
      const heartbeat = {
        agentId: this.#parts.register.agentId,
        status: this.#status,
        ...(this.#load !== undefined && { load: this.#load }),
      };
      const timeoutMs = Math.max(LEAST_TIMEOUT_MS, this.#heartbeatMs);
      try {
        const answer = await lifecycle.heartbeat(heartbeat, false, { timeoutMs, signal: this.#stop.signal });
        if (!answer.needsRegister) continue;
        this.#enter("reconnecting", undefined);
        await this.#register({ timeoutMs, signal: this.#stop.signal });
      } catch (error) {
        if (isFinal(error)) return error;
        // A node that answers late or has no room now may do better next time, and what the connection is, is seen above.
      }
    }
  }

  /** Gets back, however long it takes; says why there is no point in trying on, if there is none. */
  async #reconnect(): Promise<MxpError | undefined> {
    const { signal } = this.#stop;
    if (signal.aborted) return undefined;
    this.#enter("reconnecting", undefined);
    for (let attempt = 0; !signal.aborted; attempt++) {
      await this.#pause(pauseMillis(attempt, this.#parts.random, LONGEST_PAUSE_MS), () => false);
      if (signal.aborted) return undefined;
      let link: RegistrationLink | undefined;
      try {
        link = await this.#parts.reconnect(signal);
        const before = this.#link;
        this.#link = link;
        if (before !== this.#parts.link) await before.client.close();
        await this.#register({ signal });
        return undefined;
      } catch (error) {
        if (isFinal(error)) return error;
        await link?.client.close();
      }
    }
    return undefined;
  }

  async #register(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<void> {
    const { handlers } = this.#parts.options;
    if (handlers !== undefined) this.#link.serve(this.id, handlers);
    const { heartbeatMillis } = await this.#link.lifecycle.register(this.#parts.register, options);
    this.#heartbeatMs = heartbeatMillis || DEFAULT_HEARTBEAT_MS;
    // A new registration knows nothing of how the agent is.
    this.#changed = this.#status !== "online" || this.#load !== undefined;
    this.#renewals++;
    this.#enter("registered", undefined);
  }

  #change(isNews: boolean): void {
    if (!isNews) return;
    this.#changed = true;
    this.#wake?.();
  }

  /** Waits, but not once the registration is being closed or `until` holds; both are looked at when woken. */
  #pause(milliseconds: number, until: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#wake = () => {
        if (this.#stop.signal.aborted || until()) done();
      };
      this.#wake();
    });
  }

  #enter(state: RegistrationState, error: MxpError | undefined): void {
    if (state === this.#state) return;
    this.#state = state;
    try {
      this.#parts.options.onState?.(state, error);
    } catch {
      // A listener that fails must not end the heartbeats.
    }
  }
}

/** Whether the node has said something that it will say again, or the client was closed here. */
export function isFinal(error: unknown): error is MxpError {
  if (!(error instanceof MxpError) || error.retryable) return false;
  const codes = ["refused", "not_allowed", "key_mismatch", "agent_error", "overloaded", "too_large", "usage", "closed"];
  return codes.includes(error.code);
}
