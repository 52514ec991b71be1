/**
 * Whether a request that has failed is made again, and when (SPEC §8.16).
 *
 * @module
 */

/** What an error says about trying again. */
export interface RetryFailure {
  /** Whether the same request may succeed if it is made again. */
  readonly retryable: boolean;
  /** Whether it has certainly not been carried out. */
  readonly nothingDone: boolean;
}

/** How often, and how far apart. */
export interface RetryLimits {
  /** Further attempts at most. */
  readonly attempts: number;
  /** Upper bound of the pause before the first of them; it doubles with each. Milliseconds. */
  readonly firstPauseMs: number;
  /** No pause is longer. Milliseconds. */
  readonly longestPauseMs: number;
}

/** How far apart attempts are unless somebody says otherwise. */
export const DEFAULT_RETRY_PAUSES: Pick<RetryLimits, "firstPauseMs" | "longestPauseMs"> = {
  firstPauseMs: 100,
  longestPauseMs: 5_000,
};

/** What happens next. */
export type RetryStep =
  | { readonly kind: "again"; readonly afterMs: number }
  /**
   * `final`: it would fail again. `unsafe`: it may have been carried out, and must not be twice. `attempts`: there were enough of
   * them. `late`: the deadline comes first. `budget`: too much is being repeated.
   */
  | { readonly kind: "fail"; readonly why: "final" | "unsafe" | "attempts" | "late" | "budget" };

/** What {@link nextStep} decides from. */
export interface RetrySituation {
  /** How the last attempt failed. */
  readonly failure: RetryFailure;
  /** Attempts that were made, the first one included. */
  readonly made: number;
  /** How often it may be made again, and how far apart. */
  readonly limits: RetryLimits;
  /** Whether it does no harm if the request is carried out twice, or somebody sees to it that it is not. */
  readonly isRepeatable: boolean;
  /** Until the deadline, in milliseconds. */
  readonly leftMs: number;
  /** What pays for a further attempt. */
  readonly budget: RetryBudget;
  /** Uniform in [0, 1). */
  readonly chance: number;
}

/**
 * Decides; takes from the budget what it grants.
 *
 * The pause is drawn between nothing and all of its bound: those who failed together do not come back together.
 */
export function nextStep({ failure, made, limits, isRepeatable, leftMs, budget, chance }: RetrySituation): RetryStep {
  if (!failure.retryable) return { kind: "fail", why: "final" };
  if (!failure.nothingDone && !isRepeatable) return { kind: "fail", why: "unsafe" };
  if (made > limits.attempts) return { kind: "fail", why: "attempts" };
  const bound = Math.min(limits.firstPauseMs * 2 ** (made - 1), limits.longestPauseMs);
  const afterMs = bound * chance;
  if (afterMs >= leftMs) return { kind: "fail", why: "late" };
  if (!budget.spend()) return { kind: "fail", why: "budget" };
  return { kind: "again", afterMs };
}

/** What a {@link RetryBudget} grants unless it is told otherwise. */
export const DEFAULT_RETRY_BUDGET = { share: 0.1, reserve: 10 } as const;

/**
 * How much may be repeated: a share of all requests, and a reserve for those who make few. A service that fails every request
 * gets little more than it would without repetitions, in place of a multiple.
 *
 * @example
 * ```ts
 * import { RetryBudget } from "./retry_policy.ts";
 *
 * const budget = new RetryBudget({ share: 0.1, reserve: 2 });
 * budget.spend(); // true
 * budget.spend(); // true
 * budget.spend(); // false
 * for (let i = 0; i < 10; i++) budget.earn();
 * budget.spend(); // true
 * ```
 */
export class RetryBudget {
  readonly #share: number;
  readonly #reserve: number;
  /** In millionths of a repetition, so that ten tenths are one. */
  #left: number;

  /**
   * A full one.
   *
   * @param options `share`: repetitions for each request (0.1); `reserve`: repetitions that are saved up at most, and with which it begins (10).
   * @throws RangeError for what is below 0, and for a reserve below 1.
   */
  constructor(options: { readonly share?: number; readonly reserve?: number } = {}) {
    const { share, reserve } = { ...DEFAULT_RETRY_BUDGET, ...options };
    if (!(share >= 0)) throw new RangeError(`share must be at least 0, got ${share}`);
    if (!(reserve >= 1)) throw new RangeError(`reserve must be at least 1, got ${reserve}`);
    this.#share = Math.round(share * ONE);
    this.#reserve = reserve * ONE;
    this.#left = this.#reserve;
  }

  /** Repetitions that it would grant now. */
  get left(): number {
    return Math.floor(this.#left / ONE);
  }

  /** A request is being made for the first time. */
  earn(): void {
    this.#left = Math.min(this.#reserve, this.#left + this.#share);
  }

  /** A request is to be repeated. False if it must not be. */
  spend(): boolean {
    if (this.#left < ONE) return false;
    this.#left -= ONE;
    return true;
  }
}

const ONE = 1_000_000;
