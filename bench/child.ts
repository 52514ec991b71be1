/**
 * The processes that measure: what they are told (one JSON argument), what they say (JSON lines), how they are started.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { projectRoot } from "../scripts/source_files.ts";
import type { Effort, RoundValues } from "./rounds.ts";
import type { RuntimeName } from "./rows.ts";

/** What a worker is to do. */
export interface Job extends Effort {
  /** Names of rows. */
  readonly rows: readonly string[];
  /** For clients: where the server is. */
  readonly server?: ServerReady;
}

/** What a server says when it is ready. */
export interface ServerReady {
  /** With its key. */
  readonly url: string;
  /** Port of its raw UDP socket. */
  readonly udpPort: number;
}

/** What a worker says. */
type Line = { readonly ready: ServerReady } | { readonly results: RoundValues };

/** A child that says nothing for so long is stuck. */
const CHILD_TIMEOUT_MS = 240_000;
/** One that was asked to end has so long. */
const STOP_TIMEOUT_MS = 3_000;

/** In a worker: its job. */
export function readJob(): Job {
  return JSON.parse(process.argv[2]) as Job;
}

/** In a worker: says what came out. */
export function printResults(results: RoundValues): void {
  console.log(JSON.stringify({ results }));
}

/** In a server: says that it listens, and arranges that it ends with whoever started it. */
export function printReady(ready: ServerReady): void {
  console.log(JSON.stringify({ ready }));
  process.stdin.on("end", () => process.exit(0));
  process.stdin.resume();
}

/** Where the programs are. */
export type Runtimes = Readonly<Partial<Record<RuntimeName, string>>>;

/** Runs a worker to its end. */
export async function runWorker(
  runtime: RuntimeName,
  runtimes: Runtimes,
  file: string,
  job: Job,
): Promise<RoundValues> {
  const { child, line } = start(runtime, runtimes, file, job);
  try {
    const said = await line;
    if (!("results" in said)) throw new Error(`${runtime} ${file} said ${JSON.stringify(said)}`);
    return said.results;
  } finally {
    stop(child);
  }
}

/** Starts a server; call `stop` when done. */
export async function startServer(
  runtime: RuntimeName,
  runtimes: Runtimes,
  job: Job,
): Promise<{ readonly ready: ServerReady; readonly stop: () => void }> {
  const { child, line } = start(runtime, runtimes, "server_worker.ts", job);
  try {
    const said = await line;
    if (!("ready" in said)) throw new Error(`the ${runtime} server said ${JSON.stringify(said)}`);
    return { ready: said.ready, stop: () => stop(child) };
  } catch (error) {
    stop(child);
    throw error;
  }
}

/** Starts a worker; `line` is the first line that it prints. */
function start(runtime: RuntimeName, runtimes: Runtimes, file: string, job: Job): {
  readonly child: ChildProcess;
  readonly line: Promise<Line>;
} {
  const program = runtimes[runtime];
  if (program === undefined) throw new Error(`no ${runtime} here`);
  const flags = runtime === "deno" ? ["run", "-A", "--unstable-net"] : [];
  // The profiler's flags, for whoever looks into one process: BENCH_FLAGS_client_worker="--cpu-prof".
  const more = (process.env[`BENCH_FLAGS_${file.replace(".ts", "")}`] ?? "").split(" ").filter((flag) => flag !== "");
  const child = spawn(program, [...flags, ...more, `bench/${file}`, JSON.stringify(job)], {
    cwd: projectRoot,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const line = new Promise<Line>((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`${runtime} ${file}: ${why}`));
    const timer = setTimeout(() => fail(`nothing heard for ${CHILD_TIMEOUT_MS / 1000} s`), CHILD_TIMEOUT_MS);
    let text = "";
    child.stdout!.on("data", (chunk: Uint8Array) => {
      text += new TextDecoder().decode(chunk);
      const end = text.indexOf("\n");
      if (end < 0) return;
      clearTimeout(timer);
      try {
        resolve(JSON.parse(text.slice(0, end)) as Line);
      } catch {
        fail(`said ${JSON.stringify(text.slice(0, 200))}`);
      }
    });
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      fail(`ended with ${signal ?? code} before it said anything`);
    });
  });
  return { child, line };
}

/** Asks a child to end, and sees to it that it does. A profiler wants to write its file first. */
function stop(child: ChildProcess): void {
  child.stdin?.end();
  if (child.exitCode !== null) return;
  const timer = setTimeout(() => child.kill(), STOP_TIMEOUT_MS);
  child.once("exit", () => clearTimeout(timer));
}
