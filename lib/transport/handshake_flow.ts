/**
 * When handshake messages are sent, repeated and given up (SPEC §5 "Retransmission"). The messages themselves are made in
 * `handshake.ts`.
 *
 * The initiator drives: its timer repeats its last message until that is answered. The responder only ever repeats its
 * hello in answer to a repeated hello, so it can never be made to send more than it got.
 *
 * @module
 */

import { type Micros, millis, NEVER, seconds } from "../base/time.ts";
import type { ConnectionId } from "../wire/connection_id.ts";
import { HandshakeKind, HandshakePattern, WIRE_VERSION, WORK_NONCE_SIZE } from "../wire/constants.ts";
import { RejectCode } from "../wire/error_codes.ts";
import {
  type CookieAnswer,
  type HandshakeMessage,
  readReject,
  readRetry,
  readVersions,
  rejects,
} from "../wire/handshake_message.ts";
import type { Hash } from "../crypto/types.ts";
import { forgetSecrets, type HandshakeResult, type InitiatorRole, type ResponderRole } from "./handshake.ts";
import { WorkSearch } from "./proof_of_work.ts";

const FIRST_RETRY = millis(300);
/** Retries go on at this pace. At 30 % loss each way in bursts of three, one retry a second is too few: of 10 000 handshakes one fails. */
const LONGEST_RETRY = millis(500);
/** A Reject cannot be believed, but it shortens the wait to this (SPEC §5). */
const WAIT_AFTER_REJECT = seconds(1);
/**
 * Retries that are followed: one for the load, and some because cookies grow old on a bad path, or the node was started anew. Each
 * costs us a key agreement, and nobody has proven that it comes from the responder.
 */
const MAX_RETRIES = 3;
/** Pause between two steps of work, in which others have their turn. */
const WORK_PAUSE = millis(1);
/** Hellos with a ticket that may go unanswered before a full handshake is tried: 1.3 s, and a lossy path has had its chance. */
const RESUMED_HELLOS = 3;
/** Versions of a VersionNegotiation that are passed on: they are shown to people, and anybody on the path can make up thousands. */
const MAX_VERSIONS_SHOWN = 16;

/** What an answer says about the round trip. */
export interface HandshakeRtt {
  /** A sample, if the answer can only belong to the first transmission. */
  readonly rtt: Micros | undefined;
  /** It took at least this: the time since the last transmission, which may not be the one that was answered. */
  readonly leastRtt: Micros;
}

/** A handshake pattern for people. */
export type PatternName = "IK" | "XX" | "NNpsk0";

/** Name of a pattern byte that is spoken here. */
export function patternName(pattern: number): PatternName {
  return pattern === HandshakePattern.IK ? "IK" : pattern === HandshakePattern.XX ? "XX" : "NNpsk0";
}

/** What a handshake message led to. */
export type HandshakeOutcome =
  /** Dropped: not believed, repeated, or not for this state. */
  | { readonly type: "ignored" }
  /** The keys are there. `taken` is the early data, if it was. */
  | ({ readonly type: "keys"; readonly result: HandshakeResult; readonly taken: Uint8Array | undefined } & HandshakeRtt)
  /** The responder wants the hello again, with a cookie. */
  | { readonly type: "retry" }
  /** The peer speaks other versions only. */
  | { readonly type: "version"; readonly spoken: readonly number[] }
  /** The responder believes its peer now (the keys had been there before, in IK). */
  | ({ readonly type: "proven"; readonly result: HandshakeResult } & HandshakeRtt)
  /** The initiator repeats its hello: the answer has not reached it. */
  | { readonly type: "repeated" }
  /** The initiator repeats its finish: HANDSHAKE_DONE has not reached it. */
  | { readonly type: "unconfirmed" };

const IGNORED: HandshakeOutcome = { type: "ignored" };
const RETRY: HandshakeOutcome = { type: "retry" };
const REPEATED: HandshakeOutcome = { type: "repeated" };
const UNCONFIRMED: HandshakeOutcome = { type: "unconfirmed" };

/**
 * How an initiator goes about it. Both factories may be asked again, with the answer to a Retry, and use another ephemeral key every time:
 * under the old one the responder's cookie would be the only thing that differs, and no key must ever seal two payloads.
 */
export interface InitiatorPlan {
  readonly hash: Hash;
  /** Zero bits of work for a cookie that it is willing to do. */
  readonly maxProofOfWork: number;
  /** The id that we receive with in the first attempt. */
  readonly localId: ConnectionId;
  /** Makes the first attempt, with early data if the pattern takes any. */
  readonly first: (early: Uint8Array | undefined, answer?: CookieAnswer) => InitiatorRole;
  /**
   * Makes the attempt that follows if that one is turned away or not answered, under an id of its own: should the responder have taken both, their
   * packets must not get mixed up. Only a ticket has one.
   */
  readonly fallback?: (answer?: CookieAnswer) => InitiatorRole;
  /** Bytes of early data that the first attempt takes. */
  readonly earlyCapacity: number;
  /** Whether nothing is to be sent before {@link InitiatorFlow.begin}. */
  readonly held: boolean;
}

/** The initiator's side. */
export class InitiatorFlow {
  /** When the first attempt began. */
  beganAt: Micros;
  readonly #plan: InitiatorPlan;
  readonly #timeout: Micros;
  /** The attempt whose messages are sent; undefined as long as it is held. */
  #handshake: InitiatorRole | undefined;
  /** The attempt with a ticket that was given up. Should it be answered first after all, that answer counts. */
  #abandoned: InitiatorRole | undefined;
  #early: Uint8Array | undefined;
  #work: WorkSearch | undefined;
  #lastChance: Micros = NEVER;
  #deadline: Micros = NEVER;
  #retryAt: Micros;
  #retryAfter: Micros = FIRST_RETRY;
  #due = true;
  #transmissions = 0;
  #lastSentAt: Micros;
  #confirmed = false;
  /** How often the handshake began anew with a cookie. */
  retries = 0;
  /** What a Reject suggested, as long as nobody else has answered. */
  hint: "rejected_key" | "overloaded" | undefined;

  constructor(now: Micros, plan: InitiatorPlan, timeout: Micros) {
    this.beganAt = now;
    this.#plan = plan;
    this.#timeout = timeout;
    this.#lastSentAt = now;
    this.#retryAt = NEVER;
    if (!plan.held) this.begin(now, undefined);
  }

  /** Whether it waits for {@link begin}. */
  get isHeld(): boolean {
    return this.#handshake === undefined;
  }

  /** Bytes of early data that {@link begin} takes; 0 once it was called. */
  get earlyCapacity(): number {
    return this.isHeld ? this.#plan.earlyCapacity : 0;
  }

  /** The id that we receive with in the attempt that counts. */
  get localId(): ConnectionId {
    return this.#handshake?.localId ?? this.#plan.localId;
  }

  /** That, and the id of an attempt that was given up, under which an answer may still come. */
  get localIds(): ConnectionId[] {
    return this.#abandoned === undefined ? [this.localId] : [this.localId, this.#abandoned.localId];
  }

  /** Pattern byte of the attempt that counts. */
  get pattern(): number {
    return this.#handshake?.pattern ?? HandshakePattern.NNPSK0;
  }

  /** Lets the first hello go. Throws a TypeError the second time, a RangeError for early data that does not fit. */
  begin(now: Micros, early: Uint8Array | undefined): void {
    if (!this.isHeld) throw new TypeError("the handshake has begun already");
    this.#handshake = this.#plan.first(early);
    this.#early = early;
    this.beganAt = now;
    this.#deadline = this.#lastChance = (now + this.#timeout) as Micros;
  }

  /** When to give up, as long as the responder has not confirmed. */
  get deadline(): Micros {
    return this.#confirmed ? NEVER : this.#deadline;
  }

  /** When the last message is to be repeated, or work for a cookie goes on. */
  get retryAt(): Micros {
    return this.#retryAt;
  }

  /** The message to send now, undefined if none is due. */
  get dueMessage(): Uint8Array | undefined {
    return this.#due ? this.#handshake?.finish ?? this.#handshake?.hello : undefined;
  }

  /** The due message has been put into a packet. */
  onSent(now: Micros): void {
    this.#due = false;
    this.#transmissions++;
    this.#lastSentAt = now;
    this.#retryAt = (now + this.#retryAfter) as Micros;
    this.#retryAfter = Math.min(2 * this.#retryAfter, LONGEST_RETRY) as Micros;
  }

  /** The time of {@link retryAt} has come. */
  onTimeout(now: Micros): void {
    if (this.#work === undefined) {
      this.repeat();
      return;
    }
    const nonce = this.#work.step();
    if (nonce === undefined) this.#retryAt = (now + WORK_PAUSE) as Micros;
    else this.#beginAnew({ cookie: this.#work.cookie, nonce });
  }

  #beginAnew(answer: CookieAnswer): void {
    this.#work = undefined;
    const { first, fallback } = this.#plan;
    this.#handshake = this.#abandoned === undefined ? first(this.#early, answer) : fallback!(answer);
    this.#transmissions = 0;
    this.#retryAfter = FIRST_RETRY;
    this.repeat();
  }

  /** Repeats the last message if its time has come, or because a probe wants it along. */
  repeat(): void {
    const canFallBack = this.#plan.fallback !== undefined && this.#abandoned === undefined;
    if (canFallBack && this.#handshake?.finish === undefined && this.#transmissions >= RESUMED_HELLOS) this.#fallBack();
    if (!this.#confirmed) this.#due = true;
    this.#retryAt = NEVER;
  }

  /** The responder is known to have believed us: nothing is repeated any more. */
  confirm(): void {
    this.#confirmed = true;
    this.#due = false;
    this.#retryAt = NEVER;
  }

  /** Takes a handshake message from the responder. */
  onMessage(now: Micros, message: HandshakeMessage, senderId: ConnectionId): HandshakeOutcome {
    switch (message.kind) {
      case HandshakeKind.RESPONDER_HELLO: {
        if (this.#handshake?.finish !== undefined) return IGNORED;
        const current = this.#handshake;
        const answered = current?.pattern === message.payload[0] ? current : this.#abandoned;
        const result = answered?.onResponderHello(message, senderId);
        if (result === undefined) return IGNORED;
        const isCurrent = answered === current;
        if (!isCurrent) {
          this.#handshake = answered;
          this.#abandoned = current;
        }
        const leastRtt = (now - this.#lastSentAt) as Micros;
        const rtt = this.#transmissions === 1 && isCurrent ? leastRtt : undefined;
        this.#due = true;
        this.#work = undefined;
        this.#retryAfter = FIRST_RETRY;
        // Whoever sent a Reject before did not speak for the responder.
        this.#deadline = this.#lastChance;
        this.hint = undefined;
        const isTaken = this.pattern === HandshakePattern.NNPSK0 && result.peerParameters.earlyAccepted === true;
        return { type: "keys", result, rtt, leastRtt, taken: isTaken ? this.#early : undefined };
      }
      case HandshakeKind.VERSION_NEGOTIATION: {
        if (this.#handshake === undefined || this.#handshake.finish !== undefined) return IGNORED;
        const spoken = readVersions(message);
        if (spoken.includes(WIRE_VERSION)) return IGNORED;
        return { type: "version", spoken: spoken.slice(0, MAX_VERSIONS_SHOWN) };
      }
      case HandshakeKind.RETRY:
        return this.#onRetry(now, message);
      case HandshakeKind.REJECT: {
        // A copy that was damaged on the way is rejected too, and says nothing about the one that was not.
        const current = this.#handshake;
        if (current === undefined || current.finish !== undefined || !rejects(message, current.helloHash)) {
          return IGNORED;
        }
        if (this.#plan.fallback !== undefined && this.#abandoned === undefined) {
          this.#fallBack();
          return IGNORED;
        }
        this.hint ??= hintOf(readReject(message));
        this.#deadline = Math.min(this.#deadline, now + WAIT_AFTER_REJECT) as Micros;
        return IGNORED;
      }
      default:
        return IGNORED;
    }
  }

  /** Anybody who has seen the hello can have sent this: what it makes us do is bounded, and takes nothing from us for good. */
  #onRetry(now: Micros, message: HandshakeMessage): HandshakeOutcome {
    const current = this.#handshake;
    if (current === undefined || current.finish !== undefined || this.#work !== undefined) return IGNORED;
    const retry = this.retries < MAX_RETRIES ? readRetry(message, current.helloHash) : undefined;
    if (retry === undefined) return IGNORED;
    const { cookie, difficulty } = retry;
    const { hash, maxProofOfWork } = this.#plan;
    if (difficulty > maxProofOfWork) {
      this.hint ??= "overloaded";
      return IGNORED;
    }
    this.retries++;
    if (difficulty === 0) this.#beginAnew({ cookie, nonce: new Uint8Array(WORK_NONCE_SIZE) });
    else {
      this.#work = new WorkSearch(hash, cookie, difficulty);
      this.#due = false;
      this.#retryAt = now;
    }
    return RETRY;
  }

  /** Goes on without the ticket. */
  #fallBack(): void {
    this.#abandoned = this.#handshake;
    this.#handshake = this.#plan.fallback!();
    this.#work = undefined;
    this.#transmissions = 0;
    this.#retryAfter = FIRST_RETRY;
    this.#retryAt = NEVER;
    this.#due = true;
  }
}

/** The responder's side. */
export class ResponderFlow {
  /** When the hello arrived. */
  readonly beganAt: Micros;
  readonly #handshake: ResponderRole;
  readonly #initiatorId: ConnectionId;
  readonly #deadline: Micros;
  /** Needed until the initiator has proven itself. */
  #result: HandshakeResult | undefined;
  #due = true;
  #proven = false;
  #transmissions = 0;
  #lastSentAt: Micros;

  constructor(now: Micros, handshake: ResponderRole, initiatorId: ConnectionId, timeout: Micros) {
    this.beganAt = now;
    this.#handshake = handshake;
    this.#result = handshake.result;
    this.#initiatorId = initiatorId;
    this.#lastSentAt = now;
    this.#deadline = (now + timeout) as Micros;
  }

  /** Pattern byte. */
  get pattern(): number {
    return this.#handshake.pattern;
  }

  /** When to give up on an initiator that does not prove itself. */
  get deadline(): Micros {
    return this.#proven ? NEVER : this.#deadline;
  }

  /** The hello, if it is to be sent now. */
  get dueMessage(): Uint8Array | undefined {
    return this.#due ? this.#handshake.hello : undefined;
  }

  /** The hello has been put into a packet. */
  onSent(now: Micros): void {
    this.#due = false;
    this.#transmissions++;
    this.#lastSentAt = now;
  }

  /** A protected packet opened: that proves the initiator as well as its finish would. The handshake's secrets are forgotten. */
  prove(): void {
    this.#proven = true;
    this.#due = false;
    forgetSecrets(this.#result);
  }

  /** Takes a handshake message from the initiator. */
  onMessage(now: Micros, message: HandshakeMessage): HandshakeOutcome {
    if (this.#proven) {
      const isRepeatedFinish = message.kind === HandshakeKind.INITIATOR_FINISH && this.#handshake.isSameHello(message);
      return isRepeatedFinish ? UNCONFIRMED : IGNORED;
    }
    switch (message.kind) {
      case HandshakeKind.INITIATOR_HELLO:
        if (!this.#handshake.isSameHello(message)) return IGNORED;
        this.#due = true;
        return REPEATED;
      case HandshakeKind.INITIATOR_FINISH: {
        const result = this.#handshake.onInitiatorFinish(message, this.#initiatorId);
        if (result === undefined) return IGNORED;
        this.#result = result;
        const leastRtt = (now - this.#lastSentAt) as Micros;
        const rtt = this.#transmissions === 1 ? leastRtt : undefined;
        return { type: "proven", result, rtt, leastRtt };
      }
      default:
        return IGNORED;
    }
  }
}

function hintOf(rejectCode: number): "rejected_key" | "overloaded" | undefined {
  if (rejectCode === RejectCode.UNDECRYPTABLE) return "rejected_key";
  return rejectCode === RejectCode.OVERLOADED ? "overloaded" : undefined;
}
