/**
 * Runs one of the scripts in a process of its own, on the runtime that runs the tests.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { detectRuntime } from "../../lib/runtime/mod.ts";

/** Starts `scripts/NAME` with these arguments, from the folder of the project, with pipes for its output. */
export function startScript(name: string, args: readonly string[]): ChildProcess {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const options = {
    deno: ["run", "-A", "--no-lock", `--config=${root}deno.json`],
    bun: [],
    // Among them whatever lets Node read TypeScript.
    node: process.execArgv.filter((argument) => !argument.startsWith("--test")),
  };
  const argv = [...options[detectRuntime()], `${root}scripts/${name}`, ...args];
  return spawn(process.execPath, argv, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
}

/** Exit code and output of a script that ends by itself; it is killed after a minute. */
export async function runScript(
  name: string,
  args: readonly string[],
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = startScript(name, args);
  let stdout = "", stderr = "";
  child.stdout!.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr!.setEncoding("utf8").on("data", (text) => stderr += text);
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const code = await new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
  clearTimeout(timer);
  return { code, stdout, stderr };
}
