/**
 * One seed for every random test of a run: `MXP_TEST_SEED` if it is set, else a fresh one. Printed, so that a failure can be replayed.
 *
 * @module
 */

import process from "node:process";

/** The seed of this run, 0 ≤ seed < 2^31. */
export const testSeed: number = (() => {
  const wanted = process.env.MXP_TEST_SEED;
  const seed = wanted === undefined ? Math.floor(Math.random() * 0x7fff_ffff) : Number(wanted);
  if (!Number.isInteger(seed) || seed < 0) throw new RangeError(`MXP_TEST_SEED must be a whole number, got ${wanted}`);
  console.error(`seed ${seed} (repeat with MXP_TEST_SEED=${seed})`);
  return seed;
})();

/** Parameters for `fc.assert`: the run's seed, and how many cases. */
export function property(numRuns = 200): { seed: number; numRuns: number } {
  return { seed: testSeed, numRuns };
}
