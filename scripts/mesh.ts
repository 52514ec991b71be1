/**
 * `deno task mesh`: see `mesh_run.ts`.
 *
 * @module
 */

import process from "node:process";
import { type Between, brokenLeases, brokenPromises, type MeshDeath, type MeshRound, MeshRun } from "./mesh_run.ts";
import { type OptionSpec, readOptions, UsageError } from "./options.ts";

const HELP =
  `A node, agents in several processes (Deno, Bun, Deno …) and clients that call them by capability over real sockets: none of the
calls may be lost, and they have to be spread evenly within 20 %. With --kill it does so again, and kills one of the processes
(SIGKILL) in the middle: only calls whose answer had begun may fail, each with a retryable error, and the killed agents have to be
offline after one lease and gone from the list after two. Ends with exit code 1 if a promise is broken.

  deno task mesh -- [options]

  --agents N       in all processes together (10)
  --processes N    of agents (3)
  --calls N        of a round (1000)
  --clients N      that make them (2)
  --concurrency N  calls of one client under way at a time (16)
  --lease MS       of the agents, from 3000 up (3000)
  --large SIZE     of every twentieth answer (1MiB); the larger, the more are cut off by --kill
  --every N        every how many answers, in place of 20
  --retry N        up to N further attempts at a call that fails; then none may fail for good (0)
  --hedge MS       a call without an answer after so long is made at another agent, too (0: it is not)
  --kill           kill one process in a second round
  --seed N         whom, when, and how long work takes follows from it (1)
  --json
  --help`;

const OPTIONS = {
  agents: { type: "count", default: 10 },
  processes: { type: "count", default: 3 },
  calls: { type: "count", default: 1000 },
  clients: { type: "count", default: 2 },
  concurrency: { type: "count", default: 16 },
  lease: { type: "number", default: 3_000, least: 3_000 },
  large: { type: "size", default: 1 << 20 },
  every: { type: "count", default: 20 },
  retry: { type: "integer", default: 0 },
  hedge: { type: "integer", default: 0 },
  kill: { type: "flag" },
  seed: { type: "integer", default: 1 },
  json: { type: "flag" },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

/** A run that takes longer is stuck. */
const LONGEST_MS = 120_000;

async function main(args: readonly string[]): Promise<number> {
  const { lease: leaseMs, large: largeBytes, every: largeEvery, kill, json, help, ...rest } = readOptions(
    OPTIONS,
    args,
  );
  const options = { ...rest, leaseMs, largeBytes, largeEvery };
  if (help) {
    console.log(HELP);
    return 0;
  }
  if (options.processes > options.agents || (kill && options.processes < 2)) {
    throw new UsageError("every process needs an agent, and --kill a process that is left");
  }
  const stuck = setTimeout(() => {
    console.error(`mesh: not done after ${LONGEST_MS / 1000} s`);
    process.exit(1);
  }, LONGEST_MS);
  const broken: string[] = [];
  const report: Record<string, unknown> = { seed: options.seed };
  {
    await using run = await MeshRun.start(options);
    if (!json) {
      console.log(`${run.processes.map(({ runtime, agents }) => `${agents.length} on ${runtime}`).join(", ")}\n`);
    }
    const quiet = await run.round();
    broken.push(...brokenPromises(quiet, options, true));
    report.quiet = figures(quiet);
    if (kill) {
      const { round, death } = await run.roundWithKill();
      broken.push(...brokenPromises(round, options, false), ...brokenLeases(death, leaseMs));
      report.killed = { ...figures(round), ...deathFigures(death, leaseMs) };
    }
  }
  clearTimeout(stuck);
  if (json) console.log(JSON.stringify({ ok: broken.length === 0, broken, ...report }));
  else {
    for (const name of ["quiet", "killed"]) if (report[name] !== undefined) print(name, report[name] as object);
    for (const text of broken) console.log(`BROKEN: ${text}`);
    console.log(broken.length === 0 ? `ok (seed ${options.seed})` : `FAILED (seed ${options.seed})`);
  }
  return broken.length === 0 ? 0 : 1;
}

function figures(round: MeshRound): Record<string, unknown> {
  const counts = [...round.byAgent.values()].sort((a, b) => a - b);
  const errors: Record<string, number> = {};
  for (const { code, remoteName, retryable } of round.failures) {
    const name = `${code} ${remoteName ?? ""} ${retryable ? "retryable" : "final"}`;
    errors[name] = (errors[name] ?? 0) + 1;
  }
  return {
    calls: round.calls,
    answered: round.answered,
    failed: round.failures.length,
    "made again": round.attempts - round.answered,
    ...errors,
    "calls of an agent": `${counts[0]} to ${counts.at(-1)}`,
    "calls a second": Math.round(round.calls / round.seconds),
    "median, longest": `${round.medianMs.toFixed(1)} ms, ${round.longestMs.toFixed(0)} ms`,
    "went to another agent": round.failovers,
    "answers cut off": round.cutOff,
  };
}

function deathFigures(
  { runtime, agents, afterCalls, offline, gone }: MeshDeath,
  leaseMs: number,
): Record<string, unknown> {
  const between = ({ notYet, seen }: Between): string => `between ${notYet.toFixed(0)} and ${seen.toFixed(0)} ms`;
  return {
    killed: `the ${runtime} of ${agents.join(", ")}, after ${afterCalls} answers`,
    offline: `${between(offline)} (a lease: ${leaseMs} ms)`,
    gone: `${between(gone)} (two leases: ${2 * leaseMs} ms)`,
  };
}

function print(name: string, values: object): void {
  console.log(name);
  for (const [key, value] of Object.entries(values)) console.log(`  ${key.padEnd(38)} ${value}`);
  console.log();
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`mesh: ${error.message}`);
  process.exitCode = 2;
}
