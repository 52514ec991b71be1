/**
 * Running child.ts in a process of its own.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { concatBytes } from "../../lib/base/bytes.ts";
import { detectRuntime } from "../../lib/runtime/mod.ts";

/** Whether the source of the child is there to run: not when the tests have been bundled. */
export const CAN_RUN_CHILDREN: boolean = import.meta.url.endsWith(".ts");

/** What a child left. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: Uint8Array;
  readonly stderr: string;
}

/** Starts child.ts in the same runtime, with pipes for its standard streams. */
export function startChild(what: string): ChildProcess {
  const file = fileURLToPath(new URL("./child.ts", import.meta.url));
  const options = {
    deno: ["run", "-A", "--no-lock"],
    bun: [],
    // Among them whatever lets Node read TypeScript.
    node: process.execArgv.filter((argument) => !argument.startsWith("--test")),
  };
  return spawn(process.execPath, [...options[detectRuntime()], file, what], { stdio: "pipe" });
}

/** Waits for the end of a child, and gives up on it after a while. */
export async function endOf(child: ChildProcess): Promise<Ended> {
  const stdout: Uint8Array[] = [], stderr: Uint8Array[] = [];
  child.stdout!.on("data", (chunk: Uint8Array) => stdout.push(chunk));
  child.stderr!.on("data", (chunk: Uint8Array) => stderr.push(chunk));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("close", resolve);
    timer = setTimeout(() => {
      reject(new Error(`the child does not end; it has said: ${textOf(concatBytes(...stdout, ...stderr))}`));
      child.kill("SIGKILL");
    }, 20_000);
  }).finally(() => clearTimeout(timer));
  return { code, stdout: concatBytes(...stdout), stderr: textOf(concatBytes(...stderr)) };
}

/** Bytes as text. */
export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
