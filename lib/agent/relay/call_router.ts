/**
 * Passes calls on to agents that registered over their own connections (SPEC §8.11).
 *
 * @module
 */

import { concatBytes } from "../../base/bytes.ts";
import type { MxpErrorCode } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import { type Clock, NEVER } from "../../base/time.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { MAX_CALL_TIMEOUT_SECONDS } from "../../codec/payloads/call.ts";
import { ORIGIN_BYTES } from "../../codec/payloads/metadata.ts";
import type { CallMessages } from "../../mesh/call_messages.ts";
import { IdSequence } from "../../mesh/id_sequence.ts";
import { PACKED_FLAGS } from "../../mesh/answer_reader.ts";
import type { CallOutcome } from "../../mesh/pending_calls.ts";
import type { RegisteredAgent } from "../../mesh/registered_agent.ts";
import { StreamClass } from "../../transport/scheduler.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { AgentLink, AgentLinks, Relayed } from "./agent_links.ts";
import type { IncomingCall } from "../calls/incoming_call.ts";
import type { StreamOutcome } from "../streams/incoming_stream.ts";
import { OutgoingCall } from "../calls/outgoing_calls.ts";
import { DEFAULT_HOPS } from "../onward/hops.ts";
import { streamClassOf } from "../priority.ts";
import {
  canTryOthers,
  giveUpCode,
  type OnOver,
  refusalCode,
  relayedMetadata,
  resetProblem,
  wantedBy,
  withExtensions,
} from "./relayed_request.ts";

/** What was passed on. */
export interface RelayStats {
  /** Calls that were passed on and are not settled. */
  readonly running: number;
  /** Calls that were passed on. */
  readonly total: number;
  /** Answered by an agent, if only with an Error. */
  readonly answered: number;
  /** Times that a call went to another agent, because one had gone before it answered. */
  readonly failovers: number;
  /** The agent went in the middle of its answer, which is the end of the call. */
  readonly cutOff: number;
  /** Nobody could be reached any more. */
  readonly failed: number;
}

/** What a router works with. */
export interface RouterParts {
  readonly links: AgentLinks;
  readonly clock: Clock;
  readonly random: Random;
  readonly messages: CallMessages;
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
  readonly onOver?: OnOver | undefined;
}

const ORIGIN_LABEL = new TextEncoder().encode("mxp1 origin:");
const EMPTY = new Uint8Array(0);

/** Finds agents for calls. One for a node. */
export class CallRouter {
  readonly links: AgentLinks;
  readonly #parts: RouterParts;
  readonly #ids: IdSequence;
  readonly #relays = new Set<Relay>();
  readonly counters = { running: 0, total: 0, answered: 0, failovers: 0, cutOff: 0, failed: 0 };

  constructor(parts: RouterParts) {
    this.links = parts.links;
    this.#parts = parts;
    this.#ids = new IdSequence(parts.random);
  }

  /**
   * Passes a call on. False if no agent is meant by it.
   *
   * @param ended called once, when the call is settled.
   */
  route(call: IncomingCall, payload: Uint8Array, ended: () => void): boolean {
    const { capability, hopLimit = DEFAULT_HOPS } = call.details;
    const meant = this.links.meant(wantedBy(call));
    if (meant === undefined) return false;
    if (hopLimit === 0) {
      call.calls.refuse(call, ErrorCode.HOP_LIMIT, false, "the call was passed on too often", StreamError.REFUSED);
      ended();
      return true;
    }
    if (capability === undefined) call.agentName = meant.register.name;
    this.counters.running++;
    this.counters.total++;
    const relay = new Relay(this, call, payload, hopLimit - 1, () => {
      this.counters.running--;
      this.#relays.delete(relay);
      this.#parts.onOver?.(call, relay.agent, relay.outcome);
      ended();
    });
    this.#relays.add(relay);
    relay.next();
    return true;
  }

  /** The connections over which other attempts of its caller at the same call are under way: another agent may be quicker. */
  busyWith({ calls, details: { attempt } }: IncomingCall): Set<AgentLink> {
    const links = new Set<AgentLink>();
    if (attempt === undefined) return links;
    const { firstHigh, firstLow } = attempt;
    for (const { call, link } of this.#relays) {
      const first = call.details.attempt ?? { firstHigh: call.idHigh, firstLow: call.idLow };
      if (call.calls !== calls || first.firstLow !== firstLow || first.firstHigh !== firstHigh) continue;
      if (link !== undefined) links.add(link);
    }
    return links;
  }

  /** Sends a call over an agent's connection. False if it takes no more. */
  send(relay: Relay, agent: RegisteredAgent, link: AgentLink): OutgoingCall | undefined {
    const { clock, messages } = this.#parts;
    const { call, payload, hops } = relay;
    const { session } = link;
    const out: OutgoingCall = new OutgoingCall(session.outgoing, clock.now(), NEVER, (outcome) => {
      this.links.end(link, relay);
      relay.onOutcome(out, outcome);
    });
    this.#ids.next();
    out.idHigh = this.#ids.high;
    out.idLow = this.#ids.low;
    out.traceHigh = call.traceHigh;
    out.traceLow = call.traceLow;
    out.streamClass = streamClassOf(call.details.priority, StreamClass.INTERACTIVE);
    out.accepted = PACKED_FLAGS;
    const left = call.remainingMs();
    const seconds = left === Infinity ? 0 : Math.min(Math.max(1, Math.ceil(left / 1000)), MAX_CALL_TIMEOUT_SECONDS);
    const request = messages.call(
      out,
      { ...relayedMetadata(call, hops, left), ...this.#origin(call) },
      agent.stored.agentId,
      seconds,
      payload,
      call.packed,
    );
    const message = withExtensions(messages.writer, call, out, request);
    this.links.begin(link, relay);
    if (session.outgoing.send(out, message)) return out;
    this.links.end(link, relay);
    return undefined;
  }

  /** Says of a call with an idempotency key whose it is: to the agent, all calls come from this node. */
  #origin({ peer, details: { idempotencyKey, origin } }: IncomingCall): { readonly origin?: Uint8Array } {
    if (idempotencyKey === undefined) return {};
    const from = concatBytes(ORIGIN_LABEL, peer.publicKey, origin ?? EMPTY);
    return { origin: this.#parts.sha256(from).slice(0, ORIGIN_BYTES) };
  }
}

/** One call on its way to whoever answers it. */
class Relay implements Relayed {
  readonly call: IncomingCall;
  readonly payload: Uint8Array;
  /** How often it may be passed on behind us. */
  readonly hops: number;
  readonly #router: CallRouter;
  readonly #ended: () => void;
  readonly #tried: Set<AgentLink>;
  /** The connection of the agent that has it now. */
  link: AgentLink | undefined;
  /** The agent that had it last. */
  agent: RegisteredAgent | undefined;
  /** How it ended; it is given up unless something else happens. */
  outcome: StreamOutcome = "cancelled";
  #out: OutgoingCall | undefined;
  #givenUp = false;
  #noRoom = false;
  /** Whether an agent had the call and may have carried it out, without having answered. */
  #mayBeDone = false;
  /** Why the last agent did not answer, … */
  #reason = "the agent is registered, but cannot be reached now";
  /** … and what that is, if nothing was done. */
  #refusal: number = ErrorCode.UNAVAILABLE;

  constructor(router: CallRouter, call: IncomingCall, payload: Uint8Array, hops: number, ended: () => void) {
    this.#router = router;
    this.call = call;
    this.payload = payload;
    this.hops = hops;
    this.#ended = ended;
    this.#tried = router.busyWith(call);
    if (this.#tried.size > 0) this.#reason = "no other agent can be reached now";
    call.handling = true;
    call.stopAnswer = (code) => this.#stop(code);
  }

  /** Tries the next agent, or says that there is none. */
  next(): void {
    if (this.call.state !== "running") return this.#end();
    for (;;) {
      const choice = this.#router.links.choose(wantedBy(this.call), this.#tried);
      if (choice === undefined) break;
      this.#tried.add(choice.link);
      this.link = choice.link;
      this.#givenUp = false;
      this.#out = this.#router.send(this, choice.agent, choice.link);
      if (this.#out === undefined) continue;
      this.agent = choice.agent;
      this.#out.admit = (bytes) => this.#admit(bytes);
      return;
    }
    this.#router.counters.failed++;
    // Who says that nothing was done has to be sure of it.
    this.#fail(this.#mayBeDone ? ErrorCode.ANSWER_LOST : this.#refusal, true, this.#reason);
  }

  /** Its agent seems to be dead: somebody else may try, unless an answer has begun. Then nobody waits for the rest of it. */
  giveUp(): void {
    const out = this.#out;
    if (out === undefined) return;
    this.#givenUp = true;
    out.calls.giveUp(out, { kind: "aborted" }, StreamError.CANCELLED);
  }

  onOutcome(out: OutgoingCall, outcome: CallOutcome): void {
    this.#out = undefined;
    const { call } = this;
    if (call.state !== "running") return this.#end();
    switch (outcome.kind) {
      case "response":
        this.#router.counters.answered++;
        call.calls.respond(call, outcome.payload, outcome.packed);
        this.outcome = "ok";
        return this.#end();
      case "error":
        if (canTryOthers(outcome)) return this.#another(outcome.text, refusalCode(outcome));
        this.#router.counters.answered++;
        return this.#fail(outcome.code, outcome.retryable, outcome.text);
      case "aborted":
        if (this.#noRoom) return this.#fail(ErrorCode.ANSWER_LOST, true, "no memory for the answer");
        if (!this.#givenUp) return this.#end();
        if (out.firstByteAt > 0) return this.#cutOff();
        this.#mayBeDone = true;
        return this.#another("the agent does not answer any more");
      case "lost":
      case "reset": {
        const isGone = outcome.kind === "lost" || outcome.code === StreamError.REFUSED ||
          outcome.code === StreamError.GONE;
        if (isGone && out.firstByteAt === 0) {
          if (outcome.kind === "lost" ? out.isBegun : outcome.code === StreamError.GONE) this.#mayBeDone = true;
          return this.#another("the agent has gone");
        }
        if (isGone) return this.#cutOff();
        const { code, retryable, text } = resetProblem(outcome.code, "call");
        return this.#fail(code, retryable, text);
      }
      case "malformed":
        return this.#fail(ErrorCode.HANDLER_FAILED, false, `the agent's answer is not valid: ${outcome.what}`);
      case "deadline":
        return this.#fail(ErrorCode.DEADLINE_EXCEEDED, false, "the deadline passed before the agent answered");
    }
  }

  #another(reason: string, refusal: number = ErrorCode.UNAVAILABLE): void {
    this.#reason = reason;
    this.#refusal = refusal;
    this.#router.counters.failovers++;
    this.next();
  }

  #cutOff(): void {
    this.#router.counters.cutOff++;
    this.#fail(ErrorCode.ANSWER_LOST, true, "the agent has gone in the middle of its answer");
  }

  #fail(code: number, retryable: boolean, text: string): void {
    this.call.calls.fail(this.call, code, retryable, text);
    this.outcome = this.agent === undefined ? "refused" : "failed";
    this.#end();
  }

  /** The caller has given up. */
  #stop(reason: MxpErrorCode): void {
    const out = this.#out;
    if (out !== undefined) out.calls.giveUp(out, { kind: "aborted" }, giveUpCode(reason));
  }

  #admit(bytes: number): boolean {
    this.call.answerReserved = this.call.calls.reserve(this.call, bytes);
    this.#noRoom = !this.call.answerReserved;
    return this.call.answerReserved;
  }

  #end(): void {
    const { call } = this;
    call.handling = false;
    call.stopAnswer = undefined;
    if (call.state === "done") call.calls.release(call);
    this.#ended();
  }
}
