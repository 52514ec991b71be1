/**
 * Calls that are made again when they fail or take long, over a new connection if the old one is lost (SPEC §8.16).
 *
 * @module
 */

import { readU32 } from "../../base/bytes.ts";
import { MxpError } from "../../base/errors.ts";
import { type Micros, millis, NEVER, seconds } from "../../base/time.ts";
import { MAX_CALL_DATA_BYTES } from "../../mesh/call_messages.ts";
import { DEFAULT_RETRY_PAUSES, nextStep, RetryBudget, type RetryLimits } from "../../mesh/retry_policy.ts";
import { bodyUnlessAborted, type CallBody } from "../call_body.ts";
import type { Attempt, Caller } from "./caller.ts";
import { asMxpError, type ClientCore, DEFAULT_CALL_TIMEOUT_MS } from "../client_core.ts";
import type { CallOptions } from "../client_types.ts";
import { hedged, type HedgeOptions } from "./hedge.ts";
import type { OutgoingCall } from "./outgoing_calls.ts";
import type { Reply } from "./reply.ts";
import { checkTimeout } from "../time_limit.ts";

/**
 * While calls wait, the node is asked so often whether it is there: one that was started anew does not know of them, and says so as
 * soon as it hears of the connection.
 */
const ASK_EVERY: Micros = seconds(1);
/** Further attempts that anybody may ask for. */
const MAX_ATTEMPTS = 100;

/** How calls that fail are made again. */
export interface RetryOptions extends Partial<Omit<RetryLimits, "attempts">> {
  /** Further attempts at most, up to 100. */
  readonly attempts: number;
  /** Bounds what is repeated; several calls, and several clients, may share one. Default: the client's own. */
  readonly budget?: RetryBudget;
  /** Told before each further attempt, for the log: why, which attempt is going to be made (2 is the second), and after which pause. */
  readonly onRetry?: (error: MxpError, attempt: number, afterMs: number) => void;
}

/** A connection to the node. */
export interface Connected {
  readonly core: ClientCore;
  readonly caller: Caller;
  close(): Promise<void>;
}

/** What was repeated. A plain object. */
export interface RepetitionStats {
  /** Attempts that were made because one before had failed. */
  readonly retried: number;
  /** Attempts that were made because one before took long, … */
  readonly hedged: number;
  /** … and those of them whose answer came first. */
  readonly hedgesWon: number;
  /** Attempts that were not made because too much was being repeated. */
  readonly overBudget: number;
  /** Connections that were made in place of one that was lost. */
  readonly reconnected: number;
}

/** One call, over all of its attempts. */
interface Whole {
  readonly data: Uint8Array;
  readonly method: string | undefined;
  readonly options: CallOptions;
  readonly timeoutMs: number;
  readonly startedAt: Micros;
  readonly deadline: Micros;
  readonly traceHigh: number;
  readonly traceLow: number;
  attempts: number;
  /** The message id of the first attempt. */
  firstHigh: number;
  firstLow: number;
}

/** The repeated calls of a client. */
export class RepeatedCalls {
  readonly counters = { retried: 0, hedged: 0, hedgesWon: 0, overBudget: 0, reconnected: 0 };
  readonly #own: Connected;
  readonly #reconnect: (signal: AbortSignal) => Promise<Connected>;
  readonly #budget = new RetryBudget();
  readonly #stop = new AbortController();
  /** The connection in place of the client's own. */
  #standIn: Promise<Connected> | undefined;
  /** The connection that was used last. */
  #current: Connected;
  #cancelTimer: (() => void) | undefined;
  #running = 0;
  readonly #onIdle: (() => void)[] = [];

  /** @param own the client's own connection, which is used for as long as it lasts. */
  constructor(own: Connected, reconnect: (signal: AbortSignal) => Promise<Connected>) {
    this.#own = own;
    this.#current = own;
    this.#reconnect = reconnect;
  }

  /** See `Client.call`. */
  async call(body: CallBody | undefined, method: string | undefined, options: CallOptions): Promise<Reply> {
    const { core } = this.#own;
    const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS } = options;
    checkTimeout(timeoutMs);
    const retry = retryOptions(options.retry);
    const hedge = hedgeOptions(options);
    if (core.draining) core.checkOpen();
    const startedAt = core.platform.clock.now();
    const deadline = timeoutMs === 0 ? NEVER : (startedAt + millis(timeoutMs)) as Micros;
    this.#running++;
    this.#arm();
    try {
      const data = await this.#body(body, deadline, options);
      core.traces.next();
      const { high: traceHigh, low: traceLow } = core.traces;
      const ids = { traceHigh, traceLow, firstHigh: 0, firstLow: 0 };
      const whole = { data, method, options, timeoutMs, startedAt, deadline, attempts: 0, ...ids };
      return await this.#attempts(whole, retry, hedge);
    } finally {
      if (--this.#running === 0) this.#rest();
    }
  }

  #arm(): void {
    if (this.#cancelTimer !== undefined) return;
    const { clock } = this.#own.core.platform;
    this.#cancelTimer = clock.wakeAt((clock.now() + ASK_EVERY) as Micros, () => {
      this.#cancelTimer = undefined;
      const { session } = this.#current.core;
      if (session.established) session.ping(() => {});
      this.#arm();
    });
  }

  #rest(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  /** Settles once no call is under way. */
  drained(): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  /** Ends all attempts. */
  async close(): Promise<void> {
    this.#stop.abort();
    const standIn = await this.#standIn?.catch(() => undefined);
    await standIn?.close();
  }

  async #attempts(whole: Whole, retry: RetryOptions, hedge: Required<HedgeOptions> | undefined): Promise<Reply> {
    const { options } = whole;
    const { onRetry, budget = this.#budget } = retry;
    const limits = retryLimits(retry);
    const isRepeatable = options.idempotent === true || options.idempotencyKey !== undefined;
    budget.earn();
    let mayBeDone = false;
    for (let made = 1;; made++) {
      try {
        if (hedge === undefined) return await this.#attempt(whole, options.signal);
        return await hedged({
          ...hedge,
          budget,
          clock: this.#own.core.platform.clock,
          counters: this.counters,
          attempt: (signal, onCall) => this.#attempt(whole, either(options.signal, signal), onCall),
        });
      } catch (error) {
        // What the last attempt knows does not hold for those before it.
        const failure: MxpError = mayBeDone ? inDoubt(asMxpError(error)) : asMxpError(error);
        mayBeDone ||= !failure.nothingDone;
        if (this.#stop.signal.aborted) throw closedMeanwhile(failure);
        const leftMs = (whole.deadline - this.#own.core.platform.clock.now()) / 1000;
        const step = nextStep({ failure, made, limits, isRepeatable, leftMs, budget, chance: this.#chance() });
        if (step.kind === "fail") {
          if (step.why === "budget") this.counters.overBudget++;
          throw failure;
        }
        onRetry?.(failure, whole.attempts + 1, step.afterMs);
        await this.#within(this.#pause(step.afterMs, options.signal), whole, options.signal);
        if (this.#stop.signal.aborted) throw closedMeanwhile(failure);
        this.counters.retried++;
      }
    }
  }

  async #attempt(
    whole: Whole,
    signal: AbortSignal | undefined,
    onCall?: (call: OutgoingCall) => void,
  ): Promise<Reply> {
    const { data, method, options, timeoutMs, startedAt, deadline, traceHigh, traceLow } = whole;
    const number = whole.attempts++;
    const { caller, core } = this.#current = await this.#connected(whole, signal);
    const leftMs = deadline === NEVER ? 0 : Math.max(1, (deadline - core.platform.clock.now()) / 1000);
    const { firstHigh, firstLow } = whole;
    const attempt: Attempt = {
      number,
      whole,
      firstHigh,
      firstLow,
      traceHigh,
      traceLow,
      startedAt,
      timeoutMs,
      onCall: (call) => {
        if (number === 0) [whole.firstHigh, whole.firstLow] = [call.idHigh, call.idLow];
        onCall?.(call);
      },
    };
    return await caller.call(data, method, { ...options, timeoutMs: leftMs, ...(signal && { signal }) }, attempt);
  }

  /** A connection that stands, as far as anybody knows. */
  async #connected(whole: Whole, signal: AbortSignal | undefined): Promise<Connected> {
    const own = this.#own;
    if (own.core.session.closeReason === undefined || own.core.draining) return own;
    for (;;) {
      const standIn = this.#standIn ??= this.#open();
      const connected = await this.#within(standIn, whole, signal);
      if (connected.core.session.closeReason === undefined) return connected;
      if (this.#standIn !== standIn) continue;
      this.#standIn = undefined;
      await connected.close();
    }
  }

  async #open(): Promise<Connected> {
    try {
      const connected = await this.#reconnect(this.#stop.signal);
      this.counters.reconnected++;
      return connected;
    } catch (error) {
      // Whoever comes next tries again.
      this.#standIn = undefined;
      throw error;
    }
  }

  /** The body, which every attempt needs whole. */
  async #body(body: CallBody | undefined, deadline: Micros, options: CallOptions): Promise<Uint8Array> {
    const { core } = this.#own;
    const late = new AbortController();
    const cancel = core.platform.clock.wakeAt(deadline, () => late.abort());
    const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal } = options;
    try {
      const signals = either(signal, late.signal);
      const data = await bodyUnlessAborted(body, MAX_CALL_DATA_BYTES, "the body", signals);
      if (data !== undefined) return data;
    } catch (error) {
      throw asMxpError(error);
    } finally {
      cancel();
    }
    throw core.failure({ kind: late.signal.aborted ? "deadline" : "aborted" }, options.agent, timeoutMs, signal);
  }

  /** Waits for something no longer than the call may take. */
  #within<T>(task: Promise<T>, { deadline, timeoutMs, options }: Whole, signal: AbortSignal | undefined): Promise<T> {
    const { core } = this.#own;
    return new Promise((resolve, reject) => {
      const fail = (kind: "deadline" | "aborted"): void =>
        reject(core.failure({ kind }, options.agent, timeoutMs, signal, "call"));
      const onAbort = (): void => fail("aborted");
      const cancel = core.platform.clock.wakeAt(deadline, () => fail("deadline"));
      signal?.addEventListener("abort", onAbort, { once: true });
      if (signal?.aborted) onAbort();
      task.then(resolve, reject).finally(() => {
        cancel();
        signal?.removeEventListener("abort", onAbort);
      });
    });
  }

  /** Ends early when everything does, or the call: no timer is left that would keep a program from its end. */
  #pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#own.core.platform;
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#stop.signal.removeEventListener("abort", done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const cancel = clock.wakeAt((clock.now() + millis(milliseconds)) as Micros, done);
      this.#stop.signal.addEventListener("abort", done, { once: true });
      signal?.addEventListener("abort", done, { once: true });
      if (signal?.aborted) done();
    });
  }

  /** Uniform in [0, 1). */
  #chance(): number {
    const bytes = new Uint8Array(4);
    this.#own.core.platform.random.fillPublic(bytes);
    return readU32(bytes, 0) / 0x1_0000_0000;
  }
}

/** The same error, for a request of which an earlier attempt may have been carried out. */
function inDoubt(failure: MxpError): MxpError {
  if (!failure.nothingDone) return failure;
  const { code, message, retryable, remoteCode, remoteName, isUnsealed } = failure;
  return new MxpError(code, message, {
    retryable,
    isUnsealed,
    nothingDone: false,
    ...(remoteCode !== undefined && { remoteCode }),
    ...(remoteName !== undefined && { remoteName }),
    cause: failure,
  });
}

/** A client that is closed ends its calls with `closed`, wherever they are. */
function closedMeanwhile(failure: MxpError): MxpError {
  if (failure.code === "closed") return failure;
  return new MxpError("closed", `the client was closed before the call succeeded: ${failure.message}`, {
    cause: failure,
  });
}

function either(signal: AbortSignal | undefined, other: AbortSignal): AbortSignal {
  return signal === undefined ? other : AbortSignal.any([signal, other]);
}

function retryOptions(retry: CallOptions["retry"]): RetryOptions {
  const options = typeof retry === "number" ? { attempts: retry } : retry ?? { attempts: 0 };
  const { attempts, firstPauseMs = 0, longestPauseMs = 0 } = options;
  if (!Number.isInteger(attempts) || attempts < 0 || attempts > MAX_ATTEMPTS) {
    throw new MxpError(
      "usage",
      `retry is a whole number of further attempts, at most ${MAX_ATTEMPTS}, got ${attempts}`,
    );
  }
  if (!(firstPauseMs >= 0) || !(longestPauseMs >= 0)) throw new MxpError("usage", "pauses cannot be below 0");
  return options;
}

/** What is not said, or said to be undefined, is the default. */
function retryLimits({ attempts, firstPauseMs, longestPauseMs }: RetryOptions): RetryLimits {
  return {
    attempts,
    firstPauseMs: firstPauseMs ?? DEFAULT_RETRY_PAUSES.firstPauseMs,
    longestPauseMs: longestPauseMs ?? DEFAULT_RETRY_PAUSES.longestPauseMs,
  };
}

function hedgeOptions({ hedge, idempotent, idempotencyKey }: CallOptions): Required<HedgeOptions> | undefined {
  if (hedge === undefined) return undefined;
  const { afterMs, max = 1 } = hedge;
  if (!(afterMs >= 0)) throw new MxpError("usage", `hedge.afterMs must be at least 0, got ${afterMs}`);
  if (!Number.isInteger(max) || max < 1 || max > MAX_ATTEMPTS) {
    throw new MxpError("usage", `hedge.max is a whole number from 1 to ${MAX_ATTEMPTS}, got ${max}`);
  }
  if (idempotencyKey !== undefined) {
    throw new MxpError("usage", "a call with an idempotency key is carried out once, so it cannot be hedged");
  }
  if (idempotent !== true) {
    throw new MxpError("usage", "only an idempotent call can be hedged: it may be carried out twice");
  }
  return { afterMs, max };
}
