/**
 * One question to several destinations at once: what aggregators and broadcasters have in common.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import type { CallContext } from "../agent/call_context.ts";
import { aboutOthers } from "../agent/handler_failure.ts";
import { type Destination, nameOf, wayTo } from "./destination.ts";

/** Destinations of one question; there is no use in more. */
const MAX_DESTINATIONS = 1_024;
/** The part of the caller's time that is kept for the way back, … */
const KEPT_PART = 0.1;
/** … and the most of it. */
const MAX_KEPT_MS = 500;
/** What timers can take. */
const LONGEST_DELAY_MS = 2_147_483_647;

/** What one destination said. */
export type Answer =
  /** It answered. */
  | {
    /** The agent, URL or capability; `#0` and so on for functions. */
    readonly from: string;
    readonly ok: true;
    readonly bytes: Uint8Array<ArrayBuffer>;
    /** The bytes as text, with replacement characters for what is none. */
    text(): string;
  }
  /** It failed, or had not answered when the others sufficed (`cancelled`) or the time was over (`deadline`). */
  | { readonly from: string; readonly ok: false; readonly error: MxpError };

/** Whom to ask: a list, or whoever a function finds for a request. */
export type Destinations =
  | readonly Destination[]
  | ((payload: Uint8Array, context: CallContext) => readonly Destination[] | Promise<readonly Destination[]>);

/** How long to ask. */
export interface FanOutOptions {
  /** Good answers after which the others are given up. Default: all. */
  readonly quorum?: number;
  /** Good answers that have to come in time. */
  readonly atLeast: number | undefined;
  /** When the time is over, in milliseconds. Default: the caller's time less a tenth (500 ms at most), so that what there is gets back. */
  readonly timeoutMs?: number;
}

/** Asks one of them. */
export type AskOne = (
  destination: Destination,
  payload: Uint8Array<ArrayBuffer>,
  context: CallContext,
  signal: AbortSignal,
) => Promise<Uint8Array<ArrayBuffer>>;

/**
 * Asks everybody at once; the answers in the order of the destinations.
 *
 * @throws {MxpError} as soon as there cannot be `atLeast` good answers any more: with the code of the first failure.
 */
export async function fanOut(
  to: Destinations,
  payload: Uint8Array<ArrayBuffer>,
  context: CallContext,
  signal: AbortSignal,
  options: FanOutOptions,
  askOne: AskOne = ask,
): Promise<Answer[]> {
  const destinations = typeof to === "function" ? await to(payload, context) : to;
  const count = destinations.length;
  if (count > MAX_DESTINATIONS) throw new MxpError("usage", `${count} destinations are more than ${MAX_DESTINATIONS}`);
  const { quorum = count, atLeast = Math.min(quorum, count) } = options;
  if (count < atLeast) throw new MxpError("no_such_agent", `there are ${count} to ask, and ${atLeast} have to answer`);
  const answers: (Answer | undefined)[] = new Array(count).fill(undefined);
  const stop = new AbortController();
  const ending = AbortSignal.any([signal, stop.signal]);
  let good = 0, bad = 0;
  await new Promise<void>((resolve) => {
    const limit = timeLimitOf(options.timeoutMs, context);
    const timer = limit === Infinity ? undefined : setTimeout(() => end("deadline", "no answer in time"), limit);
    const onAbort = (): void => end("cancelled", "the request was given up");
    const end = (code: "deadline" | "cancelled", text: string): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      const error = new MxpError(code, text);
      for (let i = 0; i < count; i++) answers[i] ??= { from: nameOf(destinations[i], i), ok: false, error };
      stop.abort(error);
      resolve();
    };
    const settle = (index: number, answer: Answer): void => {
      if (answers[index] !== undefined) return;
      answers[index] = answer;
      if (answer.ok) good++;
      else bad++;
      if (good >= quorum || good + bad === count) end("cancelled", "the other answers have sufficed");
      else if (count - bad < atLeast) end("cancelled", "too many others have failed");
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    if (count === 0) return end("cancelled", "there is nobody to ask");
    destinations.forEach((destination, index) => {
      const from = nameOf(destination, index);
      // A handler may keep or change what it gets: each has its own.
      askOne(destination, payload.slice(), context, ending).then(
        (bytes) => settle(index, { from, ok: true, bytes, text: () => new TextDecoder().decode(bytes) }),
        (error) => settle(index, { from, ok: false, error: asError(error) }),
      );
    });
  });
  if (signal.aborted) throw asError(signal.reason);
  if (good < atLeast) throw tooFew(answers as Answer[], good, atLeast);
  return answers as Answer[];
}

const ask: AskOne = async (destination, payload, context, signal) =>
  await wayTo(destination).ask(payload, context, signal);

function timeLimitOf(timeoutMs: number | undefined, context: CallContext): number {
  const left = context.remainingMs();
  const kept = left - Math.min(left * KEPT_PART, MAX_KEPT_MS);
  const limit = Math.min(timeoutMs ?? Infinity, left === Infinity ? Infinity : kept);
  return limit === Infinity ? limit : Math.min(limit, LONGEST_DELAY_MS);
}

function asError(error: unknown): MxpError {
  if (error instanceof MxpError) return error;
  return new MxpError("agent_error", error instanceof Error ? error.message : String(error), { cause: error });
}

function tooFew(answers: readonly Answer[], good: number, atLeast: number): MxpError {
  const failures = answers.filter((answer) => !answer.ok);
  // Who was given up because of the others says nothing.
  const { error, from } = failures.find(({ error }) => error.code !== "cancelled") ?? failures[0];
  const text = `${good} of ${answers.length} answered, and ${atLeast} have to; ${from}: ${error.message}`;
  const retryable = failures.every(({ error }) => error.retryable || error.code === "cancelled");
  // Others have done something, or may have: whoever asked us must not hear that nothing was done.
  return aboutOthers(new MxpError(error.code, text, { retryable, cause: error }));
}
