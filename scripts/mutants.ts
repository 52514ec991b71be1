/**
 * Applies each of the mistakes in `tests/mutants/list.ts` to a copy of the project, and sees whether the tests notice:
 * `deno task mutants`.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type Mutant, mutants } from "../tests/mutants/list.ts";
import { type OptionSpec, readOptions, UsageError } from "./options.ts";
import { projectRoot } from "./source_files.ts";

const HELP =
  `Makes a mistake in a copy of the project, runs the fast tests of the transport, and says whether they caught it.

  deno task mutants -- [options]

  --only N   the N-th of the list, from 1
  --json     one JSON object a line
  --help

Exit code: 0 if every mistake was caught, 1 if one survived, 2 for wrong usage.`;

const OPTIONS = {
  only: { type: "count", default: 0 },
  json: { type: "flag" },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

/** What a copy consists of; packages are linked. */
const COPIED = ["lib", "tests", "scripts", "docs/SPEC.md", "mod.ts", "deno.json", "deno.lock", "package.json"];
/** What is run if the tests that a mutant names do not notice. */
const ALL_FAST = [
  "tests/base",
  "tests/crypto",
  "tests/noise",
  "tests/wire",
  "tests/transport",
  "tests/sim",
  "tests/vectors",
];
/** A mistake may make a test run for ever; that counts as noticed, like any other failure. */
const LIMIT_MS = 300_000;

function main(args: readonly string[]): number {
  const options = readOptions(OPTIONS, args);
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (options.only > mutants.length) throw new UsageError(`there are ${mutants.length} mutants`);
  const chosen = options.only > 0 ? [options.only - 1] : mutants.map((_, index) => index);
  const copy = mkdtempSync(join(tmpdir(), "mutants-"));
  let caught = 0;
  try {
    for (const path of COPIED) cpSync(`${projectRoot}${path}`, join(copy, path), { recursive: true });
    symlinkSync(`${projectRoot}node_modules`, join(copy, "node_modules"));
    const named = [...new Set(chosen.flatMap((index) => mutants[index].tests))];
    if (!passes(copy, named)) throw new Error("the tests fail without any mistake, so they say nothing");
    for (const index of chosen) {
      const { breaks, file } = mutants[index];
      const began = performance.now();
      const by = tryOut(copy, mutants[index]);
      if (by !== undefined) caught++;
      const seconds = (performance.now() - began) / 1000;
      if (options.json) {
        console.log(JSON.stringify({ number: index + 1, breaks, file, caught: by !== undefined, by, seconds }));
      } else {console.log(
          `${by === undefined ? "SURVIVED" : "caught  "}  ${String(index + 1).padStart(2)}  ${breaks} (${by ?? file})`,
        );}
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  if (!options.json) console.log(`${caught} of ${chosen.length} caught`);
  return caught === chosen.length ? 0 : 1;
}

/** Which tests have noticed a mistake; undefined if none have. */
function tryOut(copy: string, { file, from, to, tests }: Mutant): string | undefined {
  const path = join(copy, file);
  const original = readFileSync(path, "utf8");
  const at = original.indexOf(from);
  if (at < 0 || original.indexOf(from, at + 1) >= 0) {
    throw new Error(`${JSON.stringify(from)} does not occur exactly once in ${file}`);
  }
  writeFileSync(path, original.slice(0, at) + to + original.slice(at + from.length));
  try {
    for (const group of [tests, ALL_FAST]) if (!passes(copy, group)) return group.join(" ");
    return undefined;
  } finally {
    writeFileSync(path, original);
  }
}

function passes(cwd: string, tests: readonly string[]): boolean {
  // The same runtime that runs this; a fixed seed, so that the outcome is the same every time.
  const result = spawnSync(process.execPath, ["test", "-A", "--no-check", "--fail-fast", "--quiet", ...tests], {
    cwd,
    env: { ...process.env, MXP_TEST_SEED: "1" },
    stdio: "ignore",
    timeout: LIMIT_MS,
  });
  return result.status === 0;
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
