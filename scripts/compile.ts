/**
 * Builds `dist/mxp`, one binary that needs nothing else: with `deno compile` if Deno's base binary is at hand or can be
 * downloaded, else with Bun. `--deno` and `--bun` insist on one of them.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import process from "node:process";
import { projectRoot } from "./source_files.ts";
import { resolveBun, resolveDeno } from "./tools.ts";

const OUTPUT = `dist/mxp${process.platform === "win32" ? ".exe" : ""}`;
/** How long to wait for the server that holds Deno's base binaries before Bun is taken instead. */
const PROBE_MILLISECONDS = 4000;

/** Whether `deno compile` can get its base binary: a local one is named, one is cached, or the server answers. */
async function denoCanCompile(): Promise<boolean> {
  if (process.env.DENORT_BIN !== undefined) return true;
  const target = Deno.build.target;
  const info = spawnSync(resolveDeno(), ["info", "--json"], { cwd: projectRoot, encoding: "utf8" });
  const cache: unknown = info.status === 0 ? JSON.parse(info.stdout).denoDir : undefined;
  const file = `release/v${Deno.version.deno}/denort-${target}.zip`;
  if (typeof cache === "string" && existsSync(`${cache}/dl/${file}`)) return true;
  try {
    const signal = AbortSignal.timeout(PROBE_MILLISECONDS);
    return (await fetch(`https://dl.deno.land/${file}`, { method: "HEAD", signal })).ok;
  } catch {
    return false;
  }
}

function run(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { cwd: projectRoot, stdio: "inherit" }).status === 0;
}

/** Builds, and starts the result once to see that it runs. */
function build(command: string, args: readonly string[]): boolean {
  return run(command, args) && run(`${projectRoot}${OUTPUT}`, ["--version"]);
}

function buildWithDeno(): boolean {
  return build(resolveDeno(), ["compile", "--quiet", "-A", "--output", OUTPUT, "cli.ts"]);
}

function buildWithBun(): boolean {
  // Without these two the binary would read .env and bunfig.toml of whatever folder it is started in, and run code from there.
  const safety = ["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
  // With these three the binary loads and parses what a command needs, instead of everything: 13 ms for --help instead of 50.
  const lazy = ["--splitting", "--bytecode", "--format=esm"];
  return build(resolveBun(), [
    "build",
    "--compile",
    "--minify-syntax",
    ...lazy,
    ...safety,
    "--outfile",
    OUTPUT,
    "cli.ts",
  ]);
}

if (import.meta.main) {
  mkdirSync(`${projectRoot}dist`, { recursive: true });
  const only = process.argv[2];
  const withDeno = only !== "--bun" && (only === "--deno" || await denoCanCompile());
  const compiled = withDeno && buildWithDeno() ? "deno" : only !== "--deno" && buildWithBun() ? "bun" : undefined;
  if (compiled === undefined) {
    console.error("could not build a binary");
    process.exit(1);
  }
  console.error(`${OUTPUT}, built with ${compiled}`);
}
