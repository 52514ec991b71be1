/**
 * An agent stream that a node passes on: two transport streams, one from who opened it and one to an agent, and every message
 * of the one on the other as soon as it has arrived and no faster than it is taken there (SPEC §8.11).
 *
 * @module
 */

import { type Micros, NEVER } from "../../base/time.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { MessageReader } from "../../codec/message_reader.ts";
import type { StreamEnding } from "../../mesh/agent_streams.ts";
import type { WheelEntry } from "../../mesh/deadline_wheel.ts";
import { KeptBytes } from "../../mesh/kept_bytes.ts";
import type { MemoryBudget } from "../../mesh/memory_budget.ts";
import type { MessageIds } from "../../mesh/message_writer.ts";
import type { StreamStart } from "../../mesh/request_reader.ts";
import { StreamRelay } from "../../mesh/stream_relay.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { AgentLink, Choice, Relayed } from "./agent_links.ts";
import type { IncomingCall } from "../calls/incoming_call.ts";
import type { StreamOutcome } from "../streams/incoming_stream.ts";
import { RelayLeg, type RelayLegOwner } from "./relay_leg.ts";
import { canTryOthers, refusalCode } from "./relayed_request.ts";
import type { StreamRouter } from "./stream_router.ts";

/** Bytes of a stream's beginning that are kept for another agent, in case that the first one goes before it has said anything. */
const MAX_KEPT = 65_536;
/** The same that nobody counts. */
const FREE_KEPT = 16_384;
/** What one direction sets aside of the memory budget while more than a little waits in it: the kept beginning, what the transport holds, and a message that is not whole. */
const DIRECTION_BYTES = 409_600;

const EMPTY = new Uint8Array(0);

/** One stream on its way. */
export class RelayedStream implements Relayed, RelayLegOwner, WheelEntry {
  readonly deadline: Micros;
  wheelSlot = -1;
  wheelNext: WheelEntry | undefined = undefined;
  wheelPrevious: WheelEntry | undefined = undefined;
  readonly request: IncomingCall;
  readonly start: StreamStart;
  /** How often it may be passed on behind us. */
  readonly hops: number;
  /** What the messages to the agent have as their ids. */
  readonly ids: MessageIds;
  /** The class of both transport streams. */
  readonly streamClass: number;
  readonly #router: StreamRouter;
  readonly #ended: (outcome: StreamOutcome) => void;
  /** The opener's: what waits here waits on its account. */
  readonly #budget: MemoryBudget;
  readonly #opener: RelayLeg;
  #agent: RelayLeg | undefined;
  #choice: Choice | undefined;
  readonly #tried = new Set<AgentLink>();
  /** What the opener has sent, for another agent; undefined once that is too much, or the first agent has begun. */
  #kept: KeptBytes | undefined = new KeptBytes();
  #outcome: StreamOutcome | undefined;
  /** Whether an agent may have done something, without having said so. */
  #mayBeDone = false;
  /** The agent reads no more, and may be about to say why. */
  #stopCode: number | undefined;
  #reason = "the agent is registered, but cannot be reached now";
  #refusal: number = ErrorCode.UNAVAILABLE;
  #over = false;

  constructor(
    router: StreamRouter,
    request: IncomingCall,
    start: StreamStart,
    hops: number,
    ids: MessageIds,
    streamClass: number,
    ended: (outcome: StreamOutcome) => void,
  ) {
    this.#router = router;
    this.request = request;
    this.start = start;
    this.hops = hops;
    this.ids = ids;
    this.streamClass = streamClass;
    this.#ended = ended;
    const session = request.calls.session!;
    const { driver } = session;
    this.#budget = session.incoming!.budget;
    const wait = request.details.deadlineMillis ?? 0;
    this.deadline = wait === 0 ? NEVER : (driver.now + wait * 1000) as Micros;
    const { streamId } = start.open;
    const relay = new StreamRelay(start.reader, router.writer, streamId, ids, {
      mayChunk: true,
      mayRefuse: false,
      isResumable: this.#isResumable,
    });
    this.#opener = new RelayLeg("answerer", session, relay, this);
  }

  /** Milliseconds until the opener's deadline. */
  remainingMs(): number {
    if (this.deadline === NEVER) return Infinity;
    return Math.max(0, (this.deadline - this.#opener.session.driver.clock.now()) / 1000);
  }

  /** Goes to the first agent. */
  begin(): void {
    const { session } = this.#opener;
    if (this.deadline !== NEVER) {
      session.driver.deadlines.add(this);
      session.driver.armDeadlines();
    }
    session.streams.adopt(this.request.stream, this.#opener);
    if (!this.#over) this.#next();
  }

  giveUp(): void {
    const agent = this.#agent;
    if (agent === undefined) return;
    // It may only be out of reach for a while.
    this.#abandon(agent, this.#isResumable ? StreamError.GONE : StreamError.CANCELLED);
    this.#onGone(agent, "the agent does not answer any more");
    this.#checkOver();
  }

  expired(_now: Micros): void {
    this.#outcome ??= "failed";
    if (this.#agent !== undefined) this.#abandon(this.#agent, StreamError.DEADLINE);
    this.#close(ErrorCode.DEADLINE_EXCEEDED, "the deadline passed before the stream was over");
    this.#checkOver();
  }

  // Events of the legs.

  onAttached(leg: RelayLeg): void {
    if (leg !== this.#agent) return;
    leg.flush();
    this.#pump(this.#opener, leg);
    this.#checkOver();
  }

  onReadable(leg: RelayLeg): void {
    const to = leg === this.#opener ? this.#agent : this.#opener;
    if (leg.relay.ending !== undefined) leg.drain();
    else if (to !== undefined) this.#pump(leg, to);
    this.#checkOver();
  }

  onWritable(leg: RelayLeg): void {
    const from = leg === this.#opener ? this.#agent : this.#opener;
    if (from === undefined) leg.flush();
    else this.#pump(from, leg);
    this.#checkOver();
  }

  onReset(leg: RelayLeg, code: number): void {
    if (leg === this.#opener) return this.#cancel(code);
    if (leg !== this.#agent) return;
    const isGone = code === StreamError.GONE || code === StreamError.REFUSED;
    if (isGone && this.#canRetry) {
      if (code === StreamError.GONE) this.#mayBeDone = true;
      this.#abandon(leg, code);
      return this.#another("the agent has gone");
    }
    this.#outcome ??= "failed";
    leg.reset(code);
    this.#abandon(this.#opener, honest(leg, code));
    this.#checkOver();
  }

  onStopSending(leg: RelayLeg, code: number): void {
    if (leg === this.#opener) return this.#cancel(code);
    if (leg !== this.#agent) return;
    // An Error may follow that says why, as long as nothing else has come.
    if (code === StreamError.NO_ERROR || leg.relay.hasBegun || leg.relay.ending !== undefined) {
      // Nobody else would get the rest.
      this.#forget();
      this.#opener.stop(honest(leg, code));
    } else {
      this.#stopCode = code;
      this.#pump(leg, this.#opener);
    }
    this.#checkOver();
  }

  onLost(leg: RelayLeg): void {
    if (leg === this.#opener) {
      // Who wants to go on may come back over another connection.
      const mayReturn = this.#isResumable && leg.session.streams.isLost;
      return this.#cancel(mayReturn ? StreamError.GONE : StreamError.CANCELLED);
    }
    if (leg !== this.#agent) return;
    // What has arrived goes on, and then that no more will.
    this.#pump(leg, this.#opener);
    this.#checkOver();
  }

  /** Whether the two ends go on where they were if one of them is lost (SPEC §8.13). */
  get #isResumable(): boolean {
    return this.start.open.resume !== undefined;
  }

  /** Whether another agent could take the stream over as it is. */
  get #canRetry(): boolean {
    return this.#kept !== undefined;
  }

  /** Tries the next agent, or says that there is none. */
  #next(): void {
    const { links } = this.#router;
    for (;;) {
      const choice = links.choose(this.#router.wanted(this.request), this.#tried);
      if (choice === undefined) break;
      this.#tried.add(choice.link);
      const leg = this.#legTo(choice);
      this.#agent = leg;
      this.#choice = choice;
      links.begin(choice.link, this);
      if (leg.session.streams.openFor(leg, this.streamClass)) return;
      this.#leaveAgent();
    }
    this.#router.counters.failed++;
    this.#outcome ??= "failed";
    this.#refuse(this.#mayBeDone ? ErrorCode.ANSWER_LOST : this.#refusal, true, this.#reason);
  }

  #legTo({ agent, link: { session } }: Choice): RelayLeg {
    const { request, start } = this;
    const { writer } = this.#router;
    const relay = new StreamRelay(new MessageReader(writer.codec), writer, start.open.streamId, request, {
      mayChunk: start.open.kind === "bidirectional",
      mayRefuse: true,
      isResumable: this.#isResumable,
    });
    const leg = new RelayLeg("opener", session, relay, this);
    leg.put(this.#router.opening(this, agent), false);
    const kept = this.#kept!;
    if (kept.length > 0) leg.put(kept.all, this.#opener.relay.ending?.kind === "closed");
    return leg;
  }

  #another(reason: string, refusal: number = ErrorCode.UNAVAILABLE): void {
    this.#reason = reason;
    this.#refusal = refusal;
    this.#router.counters.failovers++;
    this.#stopCode = undefined;
    this.#leaveAgent();
    this.#next();
  }

  /** Takes messages from one leg to the other, until there are none, or the other one takes no more. */
  #pump(from: RelayLeg, to: RelayLeg): void {
    while (!this.#over) {
      if (!to.flush()) {
        if (this.#reserve(to)) continue;
        return;
      }
      // Who has stopped an agent's stream without a word may yet refuse it, and then somebody else gets all of it.
      if (from === this.#opener && this.#stopCode !== undefined) return;
      const bytes = from.take();
      if (bytes === undefined) break;
      this.#pass(from, to, bytes);
    }
    if (this.#over) return;
    const { ending } = from.relay;
    if (ending !== undefined) this.#onEnding(from, ending);
    else if (from.isLost && !from.readOver) this.#onGone(from, "the agent has gone");
    if (!this.#over) this.#relax(to);
  }

  #pass(from: RelayLeg, to: RelayLeg, bytes: Uint8Array): void {
    const { relay } = from;
    const isLast = relay.ending?.kind === "closed";
    const { counters } = this.#router;
    const data = relay.takeCount();
    if (from === this.#opener) {
      counters.toAgents += data;
      this.#keep(bytes, to);
    } else {
      counters.fromAgents += data;
      this.#forget();
      if (this.#stopCode !== undefined) this.#opener.stop(honest(from, this.#stopCode));
      this.#stopCode = undefined;
    }
    to.put(bytes, isLast);
  }

  /** Keeps what another agent would need, while that is little. */
  #keep(bytes: Uint8Array, agent: RelayLeg): void {
    if (this.#kept === undefined) return;
    const length = this.#kept.length + bytes.length;
    if (length <= FREE_KEPT || (length <= MAX_KEPT && (agent.reserved > 0 || this.#reserve(agent)))) {
      this.#kept.add(bytes);
    } else this.#forget();
  }

  /** From now on, no other agent could take over. */
  #forget(): void {
    this.#kept = undefined;
  }

  /** Sets memory aside for what waits for a leg. False if there was some, or is none. */
  #reserve(leg: RelayLeg): boolean {
    if (leg.reserved > 0 || !this.#budget.reserve(DIRECTION_BYTES)) return false;
    leg.reserved = DIRECTION_BYTES;
    return true;
  }

  /** Gives it back when next to nothing waits. */
  #relax(leg: RelayLeg): void {
    if (leg.reserved === 0 || (leg === this.#agent && (this.#kept?.length ?? 0) > FREE_KEPT) || !leg.isLight()) return;
    this.#release(leg);
  }

  #release(leg: RelayLeg): void {
    if (leg.reserved > 0) this.#budget.release(leg.reserved);
    leg.reserved = 0;
  }

  #onEnding(from: RelayLeg, ending: StreamEnding): void {
    if (ending.kind === "closed") {
      if (from === this.#agent && ending.code !== ErrorCode.UNSPECIFIED) this.#outcome ??= "failed";
      from.drain();
      if (from.isLost) this.#onGoneBehindEnd(from);
      // The end of a resumable stream's direction is that of the transport stream, behind the last message.
      const to = from === this.#opener ? this.#agent : this.#opener;
      if (this.#isResumable && to?.isEnded === false) to.put(EMPTY, true);
      return;
    }
    if (from.readOver) return;
    if (from === this.#opener) {
      // Its own fault: SPEC §8.6 says what it is told.
      this.#outcome ??= "failed";
      this.#abandon(this.#agent!, StreamError.CANCELLED);
      const { code, text } = ending as Extract<StreamEnding, { kind: "violation" }>;
      return this.#close(code, text, StreamError.MALFORMED);
    }
    if (ending.kind === "refused") {
      const { code, retryable, text } = ending;
      this.#abandon(from, StreamError.NO_ERROR);
      if (this.#canRetry && canTryOthers(ending)) return this.#another(text, refusalCode(ending));
      this.#outcome ??= "refused";
      return this.#refuse(code, retryable, text);
    }
    this.#outcome ??= "failed";
    this.#abandon(from, StreamError.MALFORMED);
    this.#close(ErrorCode.HANDLER_FAILED, `the agent's stream is not valid: ${ending.text}`);
  }

  /** The agent is not there any more, and what had arrived of its stream was passed on. */
  #onGone(agent: RelayLeg, reason: string): void {
    agent.readOver = true;
    if (this.#canRetry) {
      if (agent.id !== -1) this.#mayBeDone = true;
      return this.#another(reason);
    }
    this.#router.counters.failed++;
    this.#outcome ??= "failed";
    if (this.#isResumable) return this.#abandon(this.#opener, StreamError.GONE);
    this.#close(ErrorCode.ANSWER_LOST, `${reason}, in the middle of the stream`);
  }

  /** The agent has said its last word and is not there any more: whatever the opener still has to say, nobody hears. */
  #onGoneBehindEnd(agent: RelayLeg): void {
    agent.readOver = true;
    const opener = this.#opener;
    // The ends of a resumable stream come behind everything that they have to say to each other.
    if (opener.readOver || opener.relay.ending !== undefined || this.#isResumable) return;
    this.#router.counters.failed++;
    this.#outcome ??= "failed";
    opener.stop(StreamError.INTERNAL);
  }

  /** The opener has given up, or is not there any more. */
  #cancel(code: number): void {
    this.#outcome ??= "cancelled";
    if (this.#agent !== undefined) this.#abandon(this.#agent, code);
    this.#abandon(this.#opener, code);
    this.#checkOver();
  }

  #abandon(leg: RelayLeg, code: number): void {
    leg.reset(code);
    leg.stop(code);
  }

  /** Our own end of what the opener gets, where there was none. */
  #close(code: number, reason: string, stopCode: number = StreamError.INTERNAL): void {
    this.#opener.put(this.#router.streams.close(this.request, this.start.open.streamId, code, reason), true);
    this.#opener.stop(stopCode);
  }

  /** An Error in place of everything that the opener could get. */
  #refuse(code: number, retryable: boolean, text: string): void {
    this.#opener.put(this.#router.calls.error(this.request, code, retryable, text), true);
    this.#opener.stop(StreamError.REFUSED);
    this.#checkOver();
  }

  #leaveAgent(): void {
    const agent = this.#agent;
    if (agent === undefined) return;
    agent.leave();
    this.#release(agent);
    this.#router.links.end(this.#choice!.link, this);
    this.#agent = undefined;
  }

  #checkOver(): void {
    if (this.#over) return;
    // Whoever is done with the stream can take another, however slowly the other side reads the rest.
    if (this.#agent?.isOver) this.#router.links.end(this.#choice!.link, this);
    if (!this.#opener.isOver || (this.#agent !== undefined && !this.#agent.isOver)) return;
    this.#over = true;
    this.#opener.session.driver.deadlines.remove(this);
    this.#leaveAgent();
    this.#opener.leave();
    this.#release(this.#opener);
    this.#kept = undefined;
    this.#router.onOver(this, this.#choice?.agent, this.#outcome ??= "ok");
    this.#ended(this.#outcome);
  }
}

/** What an agent's code means to the opener: who has said something cannot have turned the stream away before anything was done. */
function honest(agent: RelayLeg, code: number): number {
  return code === StreamError.REFUSED && agent.relay.hasBegun ? StreamError.INTERNAL : code;
}
