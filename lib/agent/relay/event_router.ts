/**
 * Passes events on to the agents that they are for (SPEC §8.11).
 *
 * @module
 */

import { NEVER } from "../../base/time.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { MessageType } from "../../codec/message_type.ts";
import { EventMessages } from "../../mesh/event_messages.ts";
import { IdSequence } from "../../mesh/id_sequence.ts";
import type { MessageIds } from "../../mesh/message_writer.ts";
import type { CallOutcome } from "../../mesh/pending_calls.ts";
import type { RegisteredAgent } from "../../mesh/registered_agent.ts";
import type { RequestProblem } from "../../mesh/request_reader.ts";
import { StreamClass } from "../../transport/scheduler.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { AgentLink, AgentLinks, Choice, Relayed, Wanted } from "./agent_links.ts";
import type { RouterParts } from "./call_router.ts";
import type { EventDone, EventRoute } from "../events/event_dispatcher.ts";
import { DEFAULT_HOPS } from "../onward/hops.ts";
import type { IncomingRequest } from "../incoming_request.ts";
import { OutgoingCall } from "../calls/outgoing_calls.ts";
import { streamClassOf } from "../priority.ts";
import {
  canTryOthers,
  giveUpCode,
  notOnPlain,
  refusalCode,
  relayedMetadata,
  resetProblem,
  wantedBy,
  withExtensions,
} from "./relayed_request.ts";

/** Events that nobody waits for may wait so many for an agent, …*/
const MAX_WAITING = 1_024;
/** … and so many bytes of them. */
const MAX_WAITING_BYTES = 4 << 20;

/** What became of events for agents. */
export interface EventRelayStats {
  /** Events whose senders wait for an Ack, on their way. */
  readonly running: number;
  /** Events that were passed on. */
  readonly total: number;
  /** Accepted by their agents, or, where nobody waits for that, sent to them. */
  readonly ok: number;
  /** Times that an event went to another agent, because one had gone before it accepted. */
  readonly failovers: number;
  /** Not accepted, or nobody could be reached any more. */
  readonly failed: number;
  /** Not sent because too many waited for the agent, and nobody waited for an Ack. */
  readonly dropped: number;
}

/** Finds agents for events. One for a node. */
export class EventRouter implements EventRoute {
  readonly links: AgentLinks;
  readonly counters = { running: 0, total: 0, ok: 0, failovers: 0, failed: 0, dropped: 0 };
  readonly #parts: RouterParts;
  readonly #messages: EventMessages;
  readonly #ids: IdSequence;

  constructor(parts: RouterParts) {
    this.links = parts.links;
    this.#parts = parts;
    this.#messages = new EventMessages(parts.messages.writer);
    this.#ids = new IdSequence(parts.random);
  }

  routeEvent(request: IncomingRequest, data: Uint8Array, done: EventDone): boolean {
    const { capability, hopLimit } = request.details;
    const wanted = wantedBy(request);
    const meant = this.links.meant(wanted);
    if (meant === undefined) return false;
    if (meant.isPlain) {
      done(notOnPlain(meant, "events"));
      return true;
    }
    if (hopLimit === 0) {
      done({ code: ErrorCode.HOP_LIMIT, retryable: false, text: "the event was passed on too often" });
      return true;
    }
    if (capability === undefined) request.agentName = meant.register.name;
    this.counters.total++;
    if (request.isAnswered) new EventRelay(this, request, data, wanted, done).next();
    else this.#tell(request, data, wanted, done);
    return true;
  }

  /** Sends an event over an agent's connection, which is to say when it has accepted it. Undefined if it takes no more. */
  ask(relay: EventRelay, { agent, link }: Choice, settled: (call: OutgoingCall, outcome: CallOutcome) => void):
    | OutgoingCall
    | undefined {
    const { outgoing } = link.session;
    const { request, data } = relay;
    const call: OutgoingCall = new OutgoingCall(outgoing, this.#parts.clock.now(), NEVER, (outcome) => {
      this.links.end(link, relay);
      settled(call, outcome);
    });
    Object.assign(call, this.#nextIds(request));
    call.expected = MessageType.ACK;
    call.streamClass = streamClassOf(request.details.priority, StreamClass.INTERACTIVE);
    const message = this.#encode(call, request, data, agent);
    this.links.begin(link, relay);
    if (outgoing.send(call, message)) return call;
    this.links.end(link, relay);
    return undefined;
  }

  /** Nobody waits for an Ack: it goes to one agent, once. */
  #tell(request: IncomingRequest, data: Uint8Array, wanted: Wanted, done: EventDone): void {
    const choice = this.links.choose(wanted, NOBODY);
    if (choice === undefined) {
      this.counters.failed++;
      return done({ code: ErrorCode.UNAVAILABLE, retryable: true, text: UNREACHABLE });
    }
    const { events } = choice.link.session;
    const message = this.#encode(this.#nextIds(request), request, data, choice.agent);
    const streamClass = streamClassOf(request.details.priority, StreamClass.BULK);
    if (request.isUnreliable && events.tryUnreliable(message, streamClass)) {
      this.counters.ok++;
      return done();
    }
    if (events.queued >= MAX_WAITING || events.queuedBytes + message.length > MAX_WAITING_BYTES) {
      this.counters.dropped++;
      return done({ code: ErrorCode.OVERLOADED, retryable: true, text: "too many events wait for the agent" });
    }
    this.counters.ok++;
    // What becomes of it, nobody wants to know.
    events.emit(message, streamClass).catch(() => {});
    done();
  }

  #nextIds({ traceHigh, traceLow }: IncomingRequest): MessageIds {
    this.#ids.next();
    return { idHigh: this.#ids.high, idLow: this.#ids.low, traceHigh, traceLow };
  }

  #encode(ids: MessageIds, request: IncomingRequest, data: Uint8Array, agent: RegisteredAgent): Uint8Array {
    const event = { topic: request.topic!, data };
    const publisher = request.publisher ?? request.peer.publicKey;
    const { hopLimit = DEFAULT_HOPS } = request.details;
    const metadata = {
      ...relayedMetadata(request, hopLimit - 1, request.remainingMs()),
      target: agent.stored.agentId,
    };
    const message = this.#messages.passedOn(ids, metadata, publisher, event, request.isAnswered, request.packed);
    return withExtensions(this.#parts.messages.writer, request, ids, message);
  }
}

const NOBODY: ReadonlySet<AgentLink> = new Set();
const UNREACHABLE = "the agent is registered, but cannot be reached now";

/** One event on its way to whoever accepts it. */
class EventRelay implements Relayed {
  readonly request: IncomingRequest;
  readonly data: Uint8Array;
  readonly #router: EventRouter;
  readonly #wanted: Wanted;
  readonly #done: EventDone;
  readonly #tried = new Set<AgentLink>();
  #call: OutgoingCall | undefined;
  #givenUp = false;
  /** Whether an agent had the event and may have accepted it, without having said so. */
  #mayBeDone = false;
  #reason = UNREACHABLE;
  #refusal: number = ErrorCode.UNAVAILABLE;

  constructor(router: EventRouter, request: IncomingRequest, data: Uint8Array, wanted: Wanted, done: EventDone) {
    this.#router = router;
    this.request = request;
    this.data = data;
    this.#wanted = wanted;
    this.#done = done;
    router.counters.running++;
    request.onAbort = (reason) => this.#stop(giveUpCode(reason));
  }

  /** Tries the next agent, or says that there is none. */
  next(): void {
    for (;;) {
      const choice = this.#router.links.choose(this.#wanted, this.#tried);
      if (choice === undefined) break;
      this.#tried.add(choice.link);
      this.#givenUp = false;
      this.#call = this.#router.ask(this, choice, (call, outcome) => this.#onOutcome(call, outcome));
      if (this.#call !== undefined) return;
    }
    this.#fail(this.#mayBeDone ? ErrorCode.ANSWER_LOST : this.#refusal, true, this.#reason);
  }

  giveUp(): void {
    this.#givenUp = true;
    this.#stop(StreamError.CANCELLED);
  }

  #onOutcome(call: OutgoingCall, outcome: CallOutcome): void {
    this.#call = undefined;
    if (this.request.isAborted) return this.#fail(ErrorCode.CANCELLED, false, "nobody waits for the event any more");
    switch (outcome.kind) {
      case "response":
        this.#router.counters.ok++;
        return this.#end(undefined);
      case "error": {
        if (canTryOthers(outcome)) return this.#another(outcome.text, refusalCode(outcome));
        return this.#fail(outcome.code, outcome.retryable, outcome.text);
      }
      case "aborted":
        if (!this.#givenUp) return this.#fail(ErrorCode.CANCELLED, false, "the event was given up");
        this.#mayBeDone = true;
        return this.#another("the agent does not answer any more");
      case "lost":
        if (call.isBegun) this.#mayBeDone = true;
        return this.#another("the agent has gone");
      case "reset":
        if (outcome.code === StreamError.GONE) this.#mayBeDone = true;
        if (outcome.code === StreamError.REFUSED || outcome.code === StreamError.GONE) {
          return this.#another("the agent has gone");
        }
        return this.#failWith(resetProblem(outcome.code, "event"));
      case "malformed":
        return this.#fail(ErrorCode.HANDLER_FAILED, false, `the agent's answer is not valid: ${outcome.what}`);
      case "deadline":
        return this.#fail(
          ErrorCode.DEADLINE_EXCEEDED,
          false,
          "the deadline passed before the agent accepted the event",
        );
    }
  }

  #another(reason: string, refusal: number = ErrorCode.UNAVAILABLE): void {
    this.#reason = reason;
    this.#refusal = refusal;
    this.#router.counters.failovers++;
    this.next();
  }

  #stop(streamCode: number): void {
    this.#call?.calls.giveUp(this.#call, { kind: "aborted" }, streamCode);
  }

  #fail(code: number, retryable: boolean, text: string): void {
    this.#failWith({ code, retryable, text });
  }

  #failWith(problem: RequestProblem): void {
    this.#router.counters.failed++;
    this.#end(problem);
  }

  #end(failure: Parameters<EventDone>[0]): void {
    this.#router.counters.running--;
    this.request.onAbort = undefined;
    this.#done(failure);
  }
}
