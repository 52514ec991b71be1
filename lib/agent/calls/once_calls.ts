/**
 * Calls with an idempotency key: equal ones are carried out once, and all get the answer (SPEC §8.16).
 *
 * @module
 */

import { concatBytes, toHex } from "../../base/bytes.ts";
import type { MxpErrorCode } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import { type Clock, type Micros, NEVER, seconds } from "../../base/time.ts";
import { ErrorCode, errorCodeInfo } from "../../codec/error_codes.ts";
import { DEFAULT_SEEN_LIMITS, type SeenRequest, SeenRequests } from "../../mesh/seen_requests.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import { type AnswerSource, type CallAnswers, IncomingCall } from "./incoming_call.ts";
import type { PeerInfo } from "../peer_info.ts";
import type { Session } from "../session.ts";

/** Longest key. */
export const MAX_KEY_BYTES = 255;
/** Larger answers are not kept. */
const MAX_KEPT_BYTES = 65_536;
/** What keeping an answer costs beside its bytes. */
const ENTRY_WEIGHT = 512;
/** Callers that may wait for one request. */
const MAX_WAITING = 64;
/** A request goes on for so long after the last connection of its callers was lost: they may come back for the answer. */
const DETACHED: Micros = seconds(30);

/** Numbers about calls with idempotency keys. A plain object. */
export interface OnceStats {
  /** Requests that are remembered, those that are being carried out included. */
  readonly remembered: number;
  /** What the answers that are kept weigh together, in bytes. */
  readonly weight: number;
  /** Calls that waited for the answer to an equal one that was being carried out. */
  readonly joined: number;
  /** Calls that got the answer that an equal one had got before. */
  readonly repeated: number;
  /** Calls whose answer was known once, but too large to be kept. */
  readonly notKept: number;
  /** Calls that were refused because their key had been used for another request. */
  readonly conflicts: number;
  /** Calls that were refused because too many others were being carried out, or waiting. */
  readonly refused: number;
}

/** What it works with. */
export interface OnceParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
}

/** How a request has ended. */
type Outcome =
  & { readonly fingerprint: string }
  & (
    /** `data` is missing if it was too large. */
    | {
      readonly kind: "response";
      readonly data: Uint8Array | undefined;
      readonly length: number;
      readonly packed: number;
    }
    | { readonly kind: "error"; readonly code: number; readonly text: string }
  );

/** Remembers requests. One for a server, or for a client that answers calls, over all of its connections. */
export class OnceCalls {
  readonly clock: Clock;
  readonly #sha256: (bytes: Uint8Array) => Uint8Array;
  readonly #seen: SeenRequests<Outcome>;
  readonly #running = new Map<SeenRequest<Outcome>, Execution>();
  readonly #counters = { joined: 0, repeated: 0, notKept: 0, conflicts: 0, refused: 0 };

  constructor({ clock, random, sha256 }: OnceParts) {
    this.clock = clock;
    this.#sha256 = sha256;
    this.#seen = new SeenRequests(DEFAULT_SEEN_LIMITS, random);
  }

  /** A snapshot. */
  stats(): OnceStats {
    return { remembered: this.#seen.size, weight: this.#seen.weight, ...this.#counters };
  }

  /**
   * Answers a call from memory, has it wait for an equal one, or has it carried out.
   *
   * @param carryOut gets a call that stands for this one and all equal ones.
   */
  dispatch(call: IncomingCall, key: string, payload: Uint8Array, carryOut: (call: IncomingCall) => void): void {
    if (new TextEncoder().encode(key).length > MAX_KEY_BYTES) {
      const text = `an idempotency key has at most ${MAX_KEY_BYTES} bytes`;
      return call.calls.refuse(call, ErrorCode.BAD_REQUEST, false, text, StreamError.REFUSED);
    }
    const sender = senderOf(call);
    const fingerprint = this.#fingerprint(call, payload);
    const now = this.clock.now();
    const known = this.#seen.find(now, sender, key);
    const running = known && this.#running.get(known);
    const before = known?.answer ?? running;
    if (before !== undefined && before.fingerprint !== fingerprint) {
      this.#counters.conflicts++;
      const text = "the idempotency key was used for another request";
      return call.calls.refuse(call, ErrorCode.BAD_REQUEST, false, text, StreamError.REFUSED);
    }
    if (known?.answer !== undefined) return this.#repeat(call, known.answer);
    if (running !== undefined && running.size < MAX_WAITING) {
      this.#counters.joined++;
      return running.add(call);
    }
    const request = running === undefined ? this.#seen.open(now, sender, key) : undefined;
    if (request === undefined) {
      this.#counters.refused++;
      const text = "too many calls with idempotency keys are being carried out";
      return call.calls.refuse(call, ErrorCode.OVERLOADED, true, text, StreamError.REFUSED);
    }
    const execution = new Execution(this, request, fingerprint, call);
    this.#running.set(request, execution);
    carryOut(execution.inner);
  }

  /** What nobody waits for ends now. */
  close(): void {
    for (const execution of [...this.#running.values()]) {
      if (execution.size === 0) execution.abandon("cancelled", "the node is shutting down");
    }
  }

  /** A request has an answer that is final. */
  settle(request: SeenRequest<Outcome>, outcome: Outcome): void {
    if (!this.#running.delete(request)) return;
    const bytes = outcome.kind === "response" ? outcome.data?.length ?? 0 : 2 * outcome.text.length;
    this.#seen.settle(this.clock.now(), request, outcome, bytes + ENTRY_WEIGHT);
  }

  /** A request came to nothing: the next one with its key is carried out. */
  forget(request: SeenRequest<Outcome>): void {
    if (this.#running.delete(request)) this.#seen.forget(request);
  }

  #repeat(call: IncomingCall, outcome: Outcome): void {
    this.#counters.repeated++;
    if (outcome.kind === "error") return call.calls.fail(call, outcome.code, false, outcome.text);
    if (outcome.data !== undefined) return call.calls.respond(call, outcome.data, outcome.packed);
    this.#counters.notKept++;
    const text = `the request was carried out before; its answer of ${outcome.length} bytes was too large to be kept`;
    call.calls.fail(call, ErrorCode.ANSWER_LOST, false, text);
  }

  /** What is asked, of whom: the same key for something else is a mistake of whoever calls. */
  #fingerprint({ target, details: { capability, method, accept } }: IncomingCall, payload: Uint8Array): string {
    const whom = new TextEncoder().encode(JSON.stringify([capability, method, accept]));
    return toHex(this.#sha256(concatBytes(this.#sha256(payload), target, whom)));
  }
}

/** Whether an Error says how long somebody has waited, and not how the request has ended: the next caller may have more time. */
function isAboutWaiting(code: number): boolean {
  return code === ErrorCode.DEADLINE_EXCEEDED || code === ErrorCode.CANCELLED;
}

/**
 * Whose keys are kept apart. What was sealed is its sealer's alone: no node on the way gets at the answer with the same key, and none has the
 * call carried out again by bringing it over another connection, or with another origin.
 */
function senderOf({ peer, sealedBy, details: { origin } }: IncomingCall): string {
  if (sealedBy !== undefined) return `sealed:${toHex(sealedBy)}`;
  return origin === undefined ? peer.publicKeyText : `${peer.publicKeyText}:${toHex(origin)}`;
}

/**
 * One request while it is carried out: the answers of the call that handlers and relays see, which stands for all the calls that
 * wait for it.
 */
class Execution implements CallAnswers {
  readonly inner: IncomingCall;
  readonly fingerprint: string;
  readonly #once: OnceCalls;
  readonly #request: SeenRequest<Outcome>;
  /** Its memory holds what is asked. */
  readonly #first: IncomingCall;
  readonly #waiting = new Set<IncomingCall>();
  #cancelTimer: (() => void) | undefined;

  constructor(once: OnceCalls, request: SeenRequest<Outcome>, fingerprint: string, first: IncomingCall) {
    this.#once = once;
    this.#request = request;
    this.fingerprint = fingerprint;
    this.#first = first;
    const inner = this.inner = new IncomingCall(this, first.stream);
    const { idHigh, idLow, traceHigh, traceLow, target, timeoutSeconds, details, extensions, deadline } = first;
    Object.assign(inner, {
      sealedBy: first.sealedBy,
      idHigh,
      idLow,
      traceHigh,
      traceLow,
      target,
      timeoutSeconds,
      details,
      extensions,
      deadline,
      state: "running",
    });
    first.handling = true;
    this.add(first);
  }

  /** Calls that wait. */
  get size(): number {
    return this.#waiting.size;
  }

  get peer(): PeerInfo {
    return this.#first.peer;
  }

  get session(): Session | undefined {
    return this.#first.session;
  }

  isEarly(id: StreamId): boolean {
    return this.#first.calls.isEarly(id);
  }

  /** Another call is answered when this one is. */
  add(call: IncomingCall): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#waiting.add(call);
    this.inner.deadline = Math.max(this.inner.deadline, call.deadline) as Micros;
    call.stopAnswer = (code) => this.#left(call, code);
  }

  respond(inner: IncomingCall, data: Uint8Array, packed = 0): void {
    if (inner.state !== "running") return;
    const isKept = data.length <= MAX_KEPT_BYTES;
    const { fingerprint } = this;
    this.#once.settle(this.#request, {
      kind: "response",
      fingerprint,
      data: isKept ? data.slice() : undefined,
      length: data.length,
      packed,
    });
    // Room for an answer that was passed on has been made already.
    this.#first.answerReserved = inner.answerReserved;
    this.#tell((call) => call.calls.respond(call, data, packed));
  }

  fail(inner: IncomingCall, code: number, retryable: boolean, text: string): void {
    if (inner.state !== "running") return;
    const { fingerprint } = this;
    // What may succeed if it is tried again, or was not carried out, is to be carried out when it is tried again.
    const mayBeTried = retryable || errorCodeInfo(code)?.nothingDone === true || isAboutWaiting(code);
    if (mayBeTried) this.#once.forget(this.#request);
    else this.#once.settle(this.#request, { kind: "error", fingerprint, code, text });
    this.#tell((call) => call.calls.fail(call, code, retryable, text));
  }

  refuse(inner: IncomingCall, code: number, retryable: boolean, text: string, streamCode: number): void {
    if (inner.state !== "running") return;
    this.#once.forget(this.#request);
    this.#first.handling = false;
    this.#tell((call) => call.calls.refuse(call, code, retryable, text, streamCode));
  }

  answerFrom(_inner: IncomingCall, source: AnswerSource): void {
    source.stop();
  }

  pump(): void {}

  reserve(_inner: IncomingCall, bytes: number): boolean {
    return this.#first.calls.reserve(this.#first, bytes);
  }

  /** The handler has come back. */
  release(): void {
    const first = this.#first;
    first.handling = false;
    if (first.state === "done") first.calls.release(first);
  }

  remainingMs({ deadline }: IncomingCall): number {
    return deadline === NEVER ? Infinity : Math.max(0, (deadline - this.#once.clock.now()) / 1000);
  }

  onExpired(): void {}

  /** Nobody wants it any more: whoever carries it out is told so. */
  abandon(code: MxpErrorCode, text: string): void {
    if (this.inner.state !== "running") return;
    this.#cancelTimer?.();
    this.inner.state = "done";
    this.#once.forget(this.#request);
    this.inner.abort(code, text);
  }

  #left(call: IncomingCall, code: MxpErrorCode): void {
    this.#waiting.delete(call);
    if (this.#waiting.size > 0 || this.inner.state !== "running") return;
    if (code !== "connection_lost") return this.abandon(code, "none of those who called wait any more");
    // Its caller may come back over another connection, and ask with the same key.
    const { clock } = this.#once;
    const until = Math.min(this.inner.deadline, clock.now() + DETACHED) as Micros;
    this.#cancelTimer = clock.wakeAt(until, () => {
      this.#cancelTimer = undefined;
      if (this.#waiting.size === 0) this.abandon(code, "the connections of those who called have ended");
    });
  }

  #tell(tell: (call: IncomingCall) => void): void {
    this.inner.state = "done";
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    for (const call of this.#waiting) {
      call.stopAnswer = undefined;
      tell(call);
    }
    this.#waiting.clear();
  }
}
