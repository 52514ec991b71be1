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
import { HandshakeKind, WIRE_VERSION, WORK_NONCE_SIZE } from "../wire/constants.ts";
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
import type { HandshakeResult, InitiatorHandshake, ResponderHandshake } from "./handshake.ts";
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
/** Versions of a VersionNegotiation that are passed on: they are shown to people, and anybody on the path can make up thousands. */
const MAX_VERSIONS_SHOWN = 16;

/** What an answer says about the round trip. */
export interface HandshakeRtt {
  /** A sample, if the answer can only belong to the first transmission. */
  readonly rtt: Micros | undefined;
  /** It took at least this: the time since the last transmission, which may not be the one that was answered. */
  readonly leastRtt: Micros;
}

/** What a handshake message led to. */
export type HandshakeOutcome =
  /** Dropped: not believed, repeated, or not for this state. */
  | { readonly type: "ignored" }
  /** The keys are there. */
  | ({ readonly type: "keys"; readonly result: HandshakeResult } & HandshakeRtt)
  /** The responder wants the hello again, with a cookie. */
  | { readonly type: "retry" }
  /** The peer speaks other versions only. */
  | { readonly type: "version"; readonly spoken: readonly number[] }
  /** The responder believes its peer now (the keys had been there before, in IK). */
  | ({ readonly type: "proven"; readonly result: HandshakeResult } & HandshakeRtt)
  /** The initiator repeats its finish: HANDSHAKE_DONE has not reached it. */
  | { readonly type: "unconfirmed" };

const IGNORED: HandshakeOutcome = { type: "ignored" };
const RETRY: HandshakeOutcome = { type: "retry" };
const UNCONFIRMED: HandshakeOutcome = { type: "unconfirmed" };

/** What an initiator answers a Retry with. */
export interface RetryPolicy {
  readonly hash: Hash;
  /** Zero bits of work that it is willing to do. */
  readonly maxProofOfWork: number;
  /**
   * Begins the handshake anew, with another ephemeral key: under the old one the responder's cookie would be the only thing that
   * differs, and no key must ever seal two payloads.
   */
  readonly begin: (answer: CookieAnswer) => InitiatorHandshake;
}

/** The initiator's side. */
export class InitiatorFlow {
  readonly #policy: RetryPolicy;
  #handshake: InitiatorHandshake;
  #work: WorkSearch | undefined;
  readonly #lastChance: Micros;
  #deadline: Micros;
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

  constructor(now: Micros, handshake: InitiatorHandshake, timeout: Micros, policy: RetryPolicy) {
    this.#handshake = handshake;
    this.#policy = policy;
    this.#lastSentAt = now;
    this.#deadline = this.#lastChance = (now + timeout) as Micros;
    this.#retryAt = NEVER;
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
    return this.#due ? this.#handshake.finish ?? this.#handshake.hello : undefined;
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
    this.#handshake = this.#policy.begin(answer);
    this.#transmissions = 0;
    this.#retryAfter = FIRST_RETRY;
    this.repeat();
  }

  /** Repeats the last message if its time has come, or because a probe wants it along. */
  repeat(): void {
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
        const result = this.#handshake.onResponderHello(message, senderId);
        if (result === undefined) return IGNORED;
        const leastRtt = (now - this.#lastSentAt) as Micros;
        const rtt = this.#transmissions === 1 ? leastRtt : undefined;
        this.#due = true;
        this.#work = undefined;
        this.#retryAfter = FIRST_RETRY;
        // Whoever sent a Reject before did not speak for the responder.
        this.#deadline = this.#lastChance;
        this.hint = undefined;
        return { type: "keys", result, rtt, leastRtt };
      }
      case HandshakeKind.VERSION_NEGOTIATION: {
        if (this.#handshake.finish !== undefined) return IGNORED;
        const spoken = readVersions(message);
        if (spoken.includes(WIRE_VERSION)) return IGNORED;
        return { type: "version", spoken: spoken.slice(0, MAX_VERSIONS_SHOWN) };
      }
      case HandshakeKind.RETRY:
        return this.#onRetry(now, message);
      case HandshakeKind.REJECT: {
        // A copy that was damaged on the way is rejected too, and says nothing about the one that was not.
        if (this.#handshake.finish !== undefined || !rejects(message, this.#handshake.helloHash)) return IGNORED;
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
    if (this.#handshake.finish !== undefined || this.#work !== undefined || this.retries >= MAX_RETRIES) return IGNORED;
    const retry = readRetry(message, this.#handshake.helloHash);
    if (retry === undefined) return IGNORED;
    const { cookie, difficulty } = retry;
    const { hash, maxProofOfWork } = this.#policy;
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
}

/** The responder's side. */
export class ResponderFlow {
  readonly #handshake: ResponderHandshake;
  readonly #initiatorId: ConnectionId;
  readonly #deadline: Micros;
  #due = true;
  #proven = false;
  #transmissions = 0;
  #lastSentAt: Micros;

  constructor(now: Micros, handshake: ResponderHandshake, initiatorId: ConnectionId, timeout: Micros) {
    this.#handshake = handshake;
    this.#initiatorId = initiatorId;
    this.#lastSentAt = now;
    this.#deadline = (now + timeout) as Micros;
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

  /** A protected packet opened: that proves the initiator as well as its finish would. */
  prove(): void {
    this.#proven = true;
    this.#due = false;
  }

  /** Takes a handshake message from the initiator. */
  onMessage(now: Micros, message: HandshakeMessage): HandshakeOutcome {
    if (this.#proven) {
      const isRepeatedFinish = message.kind === HandshakeKind.INITIATOR_FINISH && this.#handshake.isSameHello(message);
      return isRepeatedFinish ? UNCONFIRMED : IGNORED;
    }
    switch (message.kind) {
      case HandshakeKind.INITIATOR_HELLO:
        if (this.#handshake.isSameHello(message)) this.#due = true;
        return IGNORED;
      case HandshakeKind.INITIATOR_FINISH: {
        const result = this.#handshake.onInitiatorFinish(message, this.#initiatorId);
        if (result === undefined) return IGNORED;
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
