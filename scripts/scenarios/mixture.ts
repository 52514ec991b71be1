/**
 * A17: everything at once.
 *
 * @module
 */

import { micros, seconds } from "../../lib/base/time.ts";
import { runMixture } from "../../lib/testing/mixture_run.ts";
import { type Cell, type CellContext, type Outcome, round, type Scenario } from "./scenario.ts";

/** Every other run: a key is replaced as soon as the rules allow it. */
const ALWAYS_NEW_KEYS = { keyUpdateInterval: micros(0) };

/** Runs with seeds that follow each other; whatever breaks a rule throws, with the seed of its run. */
function mixtures({ seed, congestion, crypto, quick }: CellContext, count: number): Outcome {
  const sum = { nodes: 0, calls: 0, answered: 0, closed: 0, restarts: 0, partitions: 0, moves: 0, naps: 0, checks: 0 };
  const failures: string[] = [];
  let slowest = 0;
  for (let run = 0; run < count; run++) {
    const runSeed = seed * 1_000_000 + run;
    try {
      const settings = { congestion, ...(run % 2 === 0 ? {} : ALWAYS_NEW_KEYS) };
      const result = runMixture({ seed: runSeed, crypto, settings, duration: seconds(quick ? 8 : 20) });
      for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += result[name];
      slowest = Math.max(slowest, result.healedAfter);
      if (!result.live) failures.push(`seed ${runSeed}: ${result.failure}`);
    } catch (error) {
      failures.push(`seed ${runSeed}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return {
    ok: failures.length === 0,
    figures: {
      runs: count,
      failed: failures.length,
      ...sum,
      slowest_healing_s: round(slowest / 1e6),
      ...(failures.length === 0 ? {} : { failures: failures.slice(0, 5).join("; ") }),
    },
    asked: "no rule broken, no wrong byte, everything works again within 120 s after healing",
  };
}

const CELLS: readonly Cell[] = [
  { name: "runs=100", inGate: true, run: (context) => mixtures(context, context.quick ? 3 : 100) },
];

/** Mixtures. */
export const A17: Scenario = {
  name: "A17",
  title:
    "3 to 8 nodes that call each other over links with 0 to 30 % loss, duplicates, damage, reordering and small MTUs, while " +
    "nodes are cut off, restarted, moved and put to sleep; then heal",
  asked: "safety always; liveness after healing",
  perController: true,
  cells: CELLS,
};
