/**
 * `deno task cuts`: see `cut_run.ts`.
 *
 * @module
 */

import process from "node:process";
import { fileURLToPath } from "node:url";
import { cutRun } from "./cut_run.ts";
import { readOptions, UsageError } from "./options.ts";

const HELP =
  `Streams lines through a node to an agent and back (mxp stream --resume), kills the node (SIGKILL) at random moments,
starts it again, and looks whether every line has come back, once and in order.

  deno task cuts -- [options]

  --kills N   how often (2)
  --seed N    when follows from it (1)
  --help`;

const OPTIONS = {
  kills: { type: "count", default: 2 },
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
  const result = await cutRun({
    program,
    kills,
    seed,
    onKill: (kill, sent, received) => console.log(`kill ${kill}: ${sent} lines sent, ${received} back`),
  });
  const { sent, good, wrong, words, exitCode, longestGapMs } = result;
  console.log(
    `${sent} lines sent, ${good} back in order; longest gap ${
      Math.round(longestGapMs)
    } ms; exit code ${exitCode}; ${words}`,
  );
  if (wrong !== undefined) console.log(`in place of line ${good}: ${JSON.stringify(wrong)}`);
  return good === sent && wrong === undefined && exitCode === 0 ? 0 : 1;
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
