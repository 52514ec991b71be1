/**
 * Calls that are made again: the options of `mxp call`, and connecting until it works.
 *
 * @module
 */

import type { CallOptions, Client, MxpError } from "../mod.ts";
import type { Console } from "./console.ts";
import { Deadline } from "./deadline.ts";
import { formatMilliseconds } from "./duration.ts";
import { CliError, messageOf } from "./errors.ts";
import type { OptionSpec } from "./spec.ts";
import { duration, notEmpty, untilAborted, wholeNumber } from "./values.ts";

/** Their values. */
export interface RetryFlags {
  readonly retry?: number;
  readonly idempotent?: boolean;
  readonly idempotencyKey?: string;
  readonly hedge?: number;
}

/** How long connecting may go unanswered while there are attempts left: a node that is being started anew answers the next. */
const UNANSWERED_MS = 2_000;

/** Further attempts at most. */
const MAX_ATTEMPTS = 100;

/** The options. */
export const RETRY_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "--retry <N>",
    description: "up to N further attempts within --timeout, where they can do no harm (see below)",
    parse: wholeNumber(0, MAX_ATTEMPTS),
  },
  { flags: "--idempotent", description: "the call does no harm if it is carried out twice" },
  {
    flags: "--idempotency-key <KEY>",
    description:
      "calls with the same key, from the same --identity (made if there is none), are carried out once and get the same answer",
    parse: notEmpty,
  },
  {
    flags: "--hedge <TIME>",
    description: "if no answer has begun by then, ask another agent, too, and take the first answer; with --idempotent",
    parse: duration,
  },
];

/** What help says about them. */
export const RETRY_HELP =
  "With --retry, a call that fails is made again if the error says that this may help, after growing pauses, also while the node is " +
  "being started anew. A call that is neither --idempotent nor has an --idempotency-key is made again only if it has certainly not been " +
  "carried out. --log-level debug tells of each attempt.";

/** @throws {CliError} `usage` for what contradicts each other. */
export function checkRetryFlags({ hedge, idempotent, idempotencyKey }: RetryFlags, early: boolean): void {
  if (hedge === undefined) return;
  if (idempotencyKey !== undefined) {
    throw new CliError("usage", "call: what has an --idempotency-key is carried out once; leave out that or --hedge");
  }
  if (idempotent !== true && !early) {
    throw new CliError(
      "usage",
      "call: --hedge may have the call carried out twice; say --idempotent if that does no harm",
    );
  }
}

/** Connecting and calling share the attempts. */
export class Attempts {
  readonly #flags: RetryFlags;
  readonly #console: Console;
  /** Attempts at connecting that have failed. */
  failed = 0;

  constructor(flags: RetryFlags, console: Console) {
    this.#flags = flags;
    this.#console = console;
  }

  /** Whether anything may be repeated. */
  get isWanted(): boolean {
    return this.#flags.retry !== undefined || this.#flags.hedge !== undefined;
  }

  /** Connects, as often as it takes and may. */
  async connect(
    deadline: Deadline,
    signal: AbortSignal,
    open: (deadline: Deadline) => Promise<Client>,
  ): Promise<Client> {
    const { retry: attempts = 0 } = this.#flags;
    if (attempts === 0) return await open(deadline);
    const { DEFAULT_RETRY_PAUSES, nextStep, RetryBudget } = await import("../mod.ts");
    const budget = new RetryBudget({ reserve: attempts });
    for (let made = 1;; made++) {
      const { left } = deadline;
      // An attempt that nobody answers must not take the time of those that are left.
      const own = deadline.attempt(
        made > attempts ? Infinity : Math.min(UNANSWERED_MS, Math.ceil((left || Infinity) / 2)),
      );
      try {
        return await open(own);
      } catch (error) {
        const retryable = (error as Partial<MxpError>).retryable === true;
        const step = nextStep({
          failure: { retryable, nothingDone: true },
          made,
          limits: { attempts, ...DEFAULT_RETRY_PAUSES },
          isRepeatable: false,
          leftMs: deadline.left || Infinity,
          budget,
          chance: Math.random(),
        });
        if (step.kind === "fail") throw error;
        this.failed++;
        this.#note(error, this.failed + 1, step.afterMs);
        await untilAborted(new Promise<void>((resolve) => setTimeout(resolve, step.afterMs)), signal);
      }
    }
  }

  /** For the call. */
  async options(early: boolean): Promise<Pick<CallOptions, "retry" | "hedge" | "idempotent" | "idempotencyKey">> {
    const { retry, hedge, idempotent, idempotencyKey } = this.#flags;
    const common = {
      idempotent: early || idempotent === true,
      ...(idempotencyKey !== undefined && { idempotencyKey }),
    };
    if (!this.isWanted) return common;
    const { RetryBudget } = await import("../mod.ts");
    const attempts = Math.max(0, (retry ?? 0) - this.failed);
    return {
      ...common,
      retry: {
        attempts,
        // One call cannot make a storm: everything that was asked for is granted.
        budget: new RetryBudget({ reserve: attempts + 1 }),
        onRetry: (error, attempt, afterMs) => this.#note(error, this.failed + attempt, afterMs),
      },
      ...(hedge !== undefined && { hedge: { afterMs: hedge } }),
    };
  }

  #note(error: unknown, attempt: number, afterMs: number): void {
    this.#console.debug(`${messageOf(error)}; attempt ${attempt} in ${formatMilliseconds(afterMs)}`);
  }
}
