/**
 * What becomes of an event that has come in, whichever way it came: its repetition is noticed, and it goes to a handler here, to whoever has
 * subscribed, or on to an agent (SPEC §8.7, §8.12).
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { toBase64Url, toHex } from "../../base/bytes.ts";
import type { Random } from "../../base/random.ts";
import type { Clock, Micros } from "../../base/time.ts";
import { isNilUuid } from "../../base/uuid.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { utf8Length } from "../../codec/utf8.ts";
import { DEFAULT_SEEN_LIMITS, SeenRequests } from "../../mesh/seen_requests.ts";
import type { CallContext } from "../call_context.ts";
import type { EventHandler, HandlerTable } from "../handlers.ts";
import type { IncomingRequest } from "../incoming_request.ts";
import type { Onward } from "../onward/onward.ts";
import { MAX_KEY_BYTES } from "../calls/once_calls.ts";
import type { PubSub } from "./pubsub.ts";
import { quote } from "../quote.ts";

/** What a server counts about events. */
export interface EventCounters {
  /** Events that arrived whole, for whomever they were. */
  total: number;
  /** Those that were taken: by a handler that came back well, by subscribers, or by the agent that they were for. */
  ok: number;
  /** Handlers that failed, and agents that did not take theirs. */
  failed: number;
  /** Turned away: malformed, too large, or with nobody to take them. */
  refused: number;
  /** Unreliable ones that arrived while too many handlers ran. */
  dropped: number;
  /** Those that had come before, and were acknowledged again without being handled. */
  repeated: number;
}

/** Why an event was not taken. */
export type EventFailure =
  /** What the handler threw. */
  | { readonly error: unknown }
  | { readonly code: number; readonly retryable: boolean; readonly text: string };

/** Called once, with why the event was not taken if it was not. */
export type EventDone = (failure?: EventFailure) => void;

/** Passes events on to agents. */
export interface EventRoute {
  /** False if no agent is meant. `done` is called once, at once or later. */
  routeEvent(request: IncomingRequest, data: Uint8Array, done: EventDone): boolean;
}

/** Which events were seen lately. */
export interface SeenEvents {
  readonly requests: SeenRequests<typeof ACCEPTED>;
  readonly now: () => Micros;
}

/** Nothing seen yet. */
export function newSeenEvents(random: Random, clock: Clock): SeenEvents {
  return { requests: new SeenRequests(DEFAULT_SEEN_LIMITS, random), now: () => clock.now() };
}

/** What a dispatcher of events takes from the server. */
export interface EventDispatcherOptions {
  /** The ways that handlers have to others. */
  readonly onward: Onward;
  readonly handlers: HandlerTable;
  readonly pubsub: PubSub | undefined;
  readonly route: EventRoute | undefined;
  readonly seen: SeenEvents;
  /** Whether the peer's word is taken on whom an event is from: a node's, but not anybody's. */
  readonly believesPublisher: boolean;
  /** A handler runs; the result is called when it has come back. */
  readonly begin: () => () => void;
  readonly report: (error: unknown, context: CallContext) => void;
}

/** All that is remembered of an event that was taken. */
const ACCEPTED: { readonly accepted: true } = { accepted: true };

/** What remembering an event weighs beside its key, which its sender has chosen. */
const ENTRY_WEIGHT = 256;

/** Characters of a capability that tell events apart. */
const MOST_OF_A_CAPABILITY = 255;

/** One for a server. */
export class EventDispatcher {
  readonly counters: EventCounters = { total: 0, ok: 0, failed: 0, refused: 0, dropped: 0, repeated: 0 };
  readonly #options: EventDispatcherOptions;
  /** Which events were seen lately. */
  seen: SeenEvents;
  #running = 0;

  constructor(options: EventDispatcherOptions) {
    this.#options = options;
    this.seen = options.seen;
  }

  /** Whether anybody takes any. */
  get takesEvents(): boolean {
    const { handlers, pubsub, route } = this.#options;
    return pubsub !== undefined || route !== undefined || handlers.takesEvents;
  }

  /** Handlers that have not come back. */
  get running(): number {
    return this.#running;
  }

  /** Does with the event what has to be done. */
  dispatch(request: IncomingRequest, data: Uint8Array, done: EventDone): void {
    if (!this.#options.believesPublisher) request.publisher = undefined;
    const { idempotencyKey } = request.details;
    if (idempotencyKey === undefined) this.#take(request, data, done);
    else this.#takeOnce(request, data, idempotencyKey, done);
  }

  /** An event that may be a repetition. */
  #takeOnce(request: IncomingRequest, data: Uint8Array, key: string, done: EventDone): void {
    const { requests, now } = this.seen;
    if (utf8Length(key) > MAX_KEY_BYTES) {
      const text = `an idempotency key has at most ${MAX_KEY_BYTES} bytes`;
      return this.#refuse(done, ErrorCode.BAD_REQUEST, false, text);
    }
    const { peer: { publicKeyText }, publisher, sealedBy } = request;
    // What was sealed is its sealer's, whoever brings it.
    const sender = sealedBy !== undefined
      ? `sealed/${toBase64Url(sealedBy)}`
      : publisher === undefined
      ? publicKeyText
      : `${publicKeyText}/${toBase64Url(publisher)}`;
    const name = `${whomFor(request)} ${key}`;
    const known = requests.find(now(), sender, name);
    if (known === undefined) {
      const entry = requests.open(now(), sender, name);
      this.#take(request, data, (failure) => {
        if (entry !== undefined && failure === undefined) {
          requests.settle(now(), entry, ACCEPTED, ENTRY_WEIGHT + 2 * name.length);
        } else if (entry !== undefined) requests.forget(entry);
        done(failure);
      });
      return;
    }
    this.counters.repeated++;
    if (known.answer !== undefined) return done();
    const joined = requests.join(known, (answer) => {
      // The first one came to nothing: if anybody still waits for this one, it is the first one now.
      if (answer !== undefined || request.isAborted) done();
      else this.#takeOnce(request, data, key, done);
    });
    if (joined) return;
    this.#refuse(
      done,
      ErrorCode.OVERLOADED,
      true,
      "the event is being handled, and too many repetitions wait for that",
    );
  }

  #take(request: IncomingRequest, data: Uint8Array, done: EventDone): void {
    const { handlers, pubsub } = this.#options;
    const { target, details: { capability } } = request;
    if (capability !== undefined) return this.#passOn(request, data, done, `the capability ${quote(capability)}`);
    const handler = handlers.findEvent(target, (name) => request.agentName = name);
    if (handler === "no_such_agent") return this.#passOn(request, data, done, undefined);
    if (!isNilUuid(target)) {
      if (handler === undefined) {
        return this.#refuse(done, ErrorCode.UNSUPPORTED_TYPE, false, `the agent ${request.agent} takes no events`);
      }
      return this.#run(request, handler, data, done);
    }
    if (handler === undefined && pubsub === undefined) {
      return this.#refuse(done, ErrorCode.UNSUPPORTED_TYPE, false, "nobody listens to events here");
    }
    // What was sealed to the node is for the node alone.
    if (request.sealedBy === undefined) pubsub?.publish(request, data);
    if (handler !== undefined) return this.#run(request, handler, data, done);
    this.counters.total++;
    this.counters.ok++;
    done();
  }

  #passOn(request: IncomingRequest, data: Uint8Array, done: EventDone, wanted: string | undefined): void {
    const { route } = this.#options;
    const isRouted = route?.routeEvent(request, data, (failure) => {
      this.counters.total++;
      if (failure === undefined) this.counters.ok++;
      else this.counters.failed++;
      done(failure);
    });
    if (isRouted === true) return;
    const text = wanted === undefined ? `no agent ${request.agent} here` : `no agent here has ${wanted}`;
    this.#refuse(done, ErrorCode.NO_SUCH_AGENT, false, text);
  }

  #refuse(done: EventDone, code: number, retryable: boolean, text: string): void {
    this.counters.refused++;
    done({ code, retryable, text });
  }

  #run(request: IncomingRequest, handler: EventHandler, data: Uint8Array, done: EventDone): void {
    const { onward, begin, report } = this.#options;
    this.counters.total++;
    const context = request.context(onward);
    const failed = (error: unknown): void => {
      this.counters.failed++;
      if (!(error instanceof MxpError)) report(error, context);
      done({ error });
    };
    const succeeded = (): void => {
      this.counters.ok++;
      done();
    };
    let result: void | Promise<void>;
    try {
      result = handler(request.topic!, data as Uint8Array<ArrayBuffer>, context);
    } catch (error) {
      failed(error);
      return;
    }
    if (typeof result !== "object" || result === null || typeof result.then !== "function") {
      succeeded();
      return;
    }
    const ended = begin();
    this.#running++;
    const settle = (finish: () => void): void => {
      this.#running--;
      finish();
      ended();
    };
    result.then(() => settle(succeeded), (error: unknown) => settle(() => failed(error)));
  }
}

/**
 * Whom an event is for, as part of its name: what one agent has accepted under a key, another one has not. Empty for the node and its
 * subscribers.
 */
function whomFor({ target, details: { capability } }: IncomingRequest): string {
  if (capability !== undefined) return JSON.stringify(capability.slice(0, MOST_OF_A_CAPABILITY));
  return isNilUuid(target) ? "" : toHex(target);
}
