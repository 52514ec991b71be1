/**
 * `deno task kills`: see `kill_run.ts`.
 *
 * @module
 */

import process from "node:process";
import { fileURLToPath } from "node:url";
import { killRun } from "./kill_run.ts";
import { readOptions, UsageError } from "./options.ts";

const HELP =
  `Kills a node (SIGKILL) at random moments while agents register at it, and looks after each restart whether every
registration that it had acknowledged is there.

  deno task kills -- [options]

  --kills N   how often (50)
  --seed N    when follows from it (1)
  --help`;

const OPTIONS = {
  kills: { type: "count", default: 50 },
  seed: { type: "integer", default: 1 },
  help: { type: "flag" },
} as const;

async function main(): Promise<number> {
  const { kills, seed, help } = readOptions(OPTIONS, process.argv.slice(2));
  if (help) {
    console.log(HELP);
    return 0;
  }
  const root = fileURLToPath(new URL("..", import.meta.url));
  const program = [process.execPath, "run", "-A", `--config=${root}deno.json`, `${root}cli.ts`];
  const result = await killRun({
    program,
    kills,
    seed,
    onKill: ({ round, lifeMs, acknowledged, interrupted }) =>
      console.log(`kill ${round} after ${lifeMs} ms: ${acknowledged} acknowledged, ${interrupted} without an answer`),
  });
  const { acknowledged, interrupted, missing, surplus } = result;
  console.log(
    `${kills} kills, ${acknowledged} registrations acknowledged, ${interrupted} without an answer (of them stored: ` +
      `${surplus}), missing: ${missing.length}`,
  );
  for (const id of missing) console.log(`missing ${id}`);
  return missing.length === 0 ? 0 : 1;
}

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    process.exitCode = 2;
  }
}
