/**
 * Timing in rounds. A busy machine disturbs whole seconds: rounds of different things alternate, the first one of each is
 * thrown away, and the median of the others counts.
 *
 * @module
 */

/** How long to measure. */
export interface Effort {
  /** Rounds that count. */
  readonly rounds: number;
  /** About how long a round of one thing lasts. */
  readonly roundMs: number;
}

/** The usual effort. */
export const FULL: Effort = { rounds: 7, roundMs: 400 };
/** A look, not a figure to quote. */
export const QUICK: Effort = { rounds: 3, roundMs: 100 };

/** One round of something: its values by row. */
export type Workload = () => Promise<Readonly<Record<string, number>>> | Readonly<Record<string, number>>;

/** Values of the rounds that count, by row. */
export type RoundValues = Record<string, number[]>;

/** Runs workloads in turn, one round more than counts. */
export async function runRounds(workloads: readonly Workload[], rounds: number): Promise<RoundValues> {
  const values: RoundValues = {};
  for (let round = 0; round <= rounds; round++) {
    for (const workload of workloads) {
      const result = await workload();
      if (round === 0) continue;
      for (const [row, value] of Object.entries(result)) (values[row] ??= []).push(value);
    }
  }
  return values;
}

/**
 * A workload for synchronous code: nanoseconds a repetition. `loop` repeats the code, so that no call stands between the
 * clock and what is measured.
 */
export function timed(row: string, roundMs: number, loop: (count: number) => void): Workload {
  const time = (count: number): number => {
    const start = performance.now();
    loop(count);
    return performance.now() - start;
  };
  let count = 1;
  return () => {
    let ms = time(count);
    while (ms < roundMs / 2) {
      count = Math.ceil(count * Math.min(10, roundMs / Math.max(ms, 0.001)));
      ms = time(count);
    }
    return { [row]: ms * 1e6 / count };
  };
}
