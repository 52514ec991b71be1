/**
 * All attacks on the transport in their long versions, beside an honest peer: `deno task attacks -- --only flood --json`.
 *
 * @module
 */

import process from "node:process";
import { attacks } from "../tests/attacks/all.ts";
import {
  type Attack,
  type AttackReport,
  HEAP_CAP,
  HONEST_CAP,
  runAttack,
  STEP_CAP,
} from "../tests/attacks/support/attack.ts";
import { type OptionSpec, readOptions, UsageError } from "./options.ts";

const HELP = `Attacks a node in a simulated network, with an honest peer beside, and says what came of it.

  deno task attacks -- [options]

  --only TEXT  those whose name has TEXT in it
  --short      as the gate does it, not in full length
  --seed N     everything random follows from it (1)
  --list       the names only
  --json       one JSON object a line
  --help

An attack has failed (that is good) if nothing throws, the heap grows by no more than ${HEAP_CAP} MiB (or what is printed
behind the slash), no event takes longer than ${STEP_CAP} ms, the honest peer takes at most ${HONEST_CAP} times as long as usual, and a counter
tells of it. Exit code: 0 if all of them have, 1 if one has not, 2 for wrong usage.`;

const OPTIONS = {
  only: { type: "text", default: "" },
  short: { type: "flag" },
  seed: { type: "integer", default: 1 },
  list: { type: "flag" },
  json: { type: "flag" },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

function main(args: readonly string[]): number {
  const options = readOptions(OPTIONS, args);
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const chosen = attacks.filter(({ name }) => name.toLowerCase().includes(options.only.toLowerCase()));
  if (chosen.length === 0) {
    throw new UsageError(`no attack has ${JSON.stringify(options.only)} in its name, see --list`);
  }
  if (options.list) {
    for (const { name, role } of chosen) {
      console.log(options.json ? JSON.stringify({ name, role }) : `${name} (${role})`);
    }
    return 0;
  }
  if (!options.json) console.log(row(["heap MiB", "step ms", "honest", "rounds", "counter", "attack"]));
  let failed = 0;
  for (const attack of chosen) {
    const report = run(attack, options.short ? 0 : 1, options.seed);
    if (report.failures.length > 0) failed++;
    console.log(options.json ? JSON.stringify(report) : lines(report));
  }
  if (!options.json) console.log(`${chosen.length - failed} of ${chosen.length} attacks achieved nothing`);
  return failed === 0 ? 0 : 1;
}

function run(attack: Attack, length: 0 | 1, seed: number): AttackReport {
  const { name, role, counter, heapCap = HEAP_CAP } = attack, rounds = attack.rounds[length];
  try {
    return runAttack(attack, rounds, seed, length === 0);
  } catch (error) {
    const failures = [`it threw ${error instanceof Error ? error.stack : String(error)}`];
    return { name, role, rounds, counter, count: 0, heapGrowth: 0, heapCap, longestStep: 0, honest: 0, failures };
  }
}

function lines(report: AttackReport): string {
  const { name, role, rounds, counter, count, heapGrowth, heapCap, longestStep, honest, failures } = report;
  const cells = [
    `${heapGrowth.toFixed(1)}/${heapCap}`,
    longestStep.toFixed(1),
    `${honest.toFixed(2)}x`,
    String(rounds),
    `${counter}=${count}`,
    `${name} (${role})`,
  ];
  return [row(cells), ...failures.map((failure) => `  FAILED: ${failure}`)].join("\n");
}

function row([heap, step, honest, rounds, counter, name]: readonly string[]): string {
  return `${heap.padStart(9)}  ${step.padStart(7)}  ${honest.padStart(7)}  ${rounds.padStart(6)}  ${
    counter.padEnd(38)
  }  ${name}`;
}

if (import.meta.main) {
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    process.exitCode = 2;
  }
}
