/**
 * The other end of a benchmark: what it serves, and how `mxp bench` starts one for itself.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import type { Client, Handlers } from "../mod.ts";
import { CliError } from "./errors.ts";

/** The method that tells what only the server knows. */
const REPORT_METHOD = "mxp.bench";
/** Set for a server that was started by a benchmark: it ends with its standard input, and leaves signals to its parent. */
const CHILD_VARIABLE = "MXP_BENCH_CHILD";
/** How long a server may take to say where it listens. */
const START_TIMEOUT_MS = 15_000;
/** How long it may take to end when it is asked to. */
const STOP_TIMEOUT_MS = 2_000;

/** What the server of a benchmark knows. */
export interface ServerReport {
  /** User and system time of its process, in microseconds. */
  readonly cpuMicros: number;
  /** Memory of its process, in bytes. */
  readonly rss: number;
  /** Events that it has taken. */
  readonly events: number;
}

/** Answers calls with their payload and chunks with themselves, counts events, and reports. */
export function benchHandlers(): Handlers {
  let events = 0;
  return {
    call: (payload) => payload,
    methods: {
      [REPORT_METHOD]: () => {
        const { user, system } = process.cpuUsage();
        const report: ServerReport = { cpuMicros: user + system, rss: process.memoryUsage().rss, events };
        return JSON.stringify(report);
      },
    },
    stream: async (stream) => {
      for await (const chunk of stream) await stream.write(chunk);
    },
    event: () => void events++,
  };
}

/** What the server says about itself; undefined if it is none of a benchmark's. */
export async function serverReport(client: Client): Promise<ServerReport | undefined> {
  try {
    const { cpuMicros, rss, events } = (await client.call(REPORT_METHOD, "", { timeoutMs: 5_000 })).json<
      ServerReport
    >();
    return [cpuMicros, rss, events].every(Number.isFinite) ? { cpuMicros, rss, events } : undefined;
  } catch {
    // An ordinary node: it knows no such method, or answers something else.
    return undefined;
  }
}

/** Whether this process is the server of a benchmark that runs in its parent. */
export function isBenchChild(): boolean {
  return process.env[CHILD_VARIABLE] === "1";
}

/** Resolves when the parent wants us to end, or has gone: in both cases the pipe to it closes. */
export function parentGone(): Promise<void> {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => {});
  return new Promise((resolve) => {
    process.stdin.once("end", resolve).once("close", resolve).once("error", () => resolve());
    process.stdin.resume();
  });
}

/** A server in a process of its own. Ends with `await using`, and with this process however that ends. */
export class BenchServer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #kill = (): void => void this.#child.kill("SIGKILL");
  /** With its key. */
  readonly url: string;

  private constructor(child: ChildProcess, exited: Promise<void>, url: string) {
    this.#child = child;
    this.#exited = exited;
    this.url = url;
    process.on("exit", this.#kill);
  }

  /** Starts this same program as a server. @throws {CliError} `internal` if it does not come up. */
  static async start(signal: AbortSignal): Promise<BenchServer> {
    const { file, args } = ownProgram();
    const child = spawn(file, [...args, "bench", "--server", "--json"], {
      env: { ...process.env, [CHILD_VARIABLE]: "1", MXP_JSON: undefined, MXP_LISTEN: undefined },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const exited = new Promise<void>((resolve) => child.once("close", () => resolve()).once("error", () => resolve()));
    child.stdin!.on("error", () => {});
    try {
      return new BenchServer(child, exited, await firstUrl(child, signal));
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin!.end();
    const timer = setTimeout(this.#kill, STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
    process.off("exit", this.#kill);
  }
}

/** Waits for the line that says where the server listens. */
function firstUrl(child: ChildProcess, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const fail = (why: string): void => reject(new CliError("internal", `the server of the benchmark ${why}`));
    const timer = setTimeout(() => fail(`said nothing for ${START_TIMEOUT_MS / 1000} s`), START_TIMEOUT_MS);
    const onAbort = (): void => reject(signal.reason);
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    child.once("error", (error) => fail(`could not be started: ${error.message}`));
    child.once("exit", (code, name) => fail(`ended with ${name ?? code} before it listened`));
    child.stdout!.on("data", (chunk: Uint8Array) => {
      text += new TextDecoder().decode(chunk);
      const end = text.indexOf("\n");
      if (end < 0) return;
      settle();
      try {
        resolve(JSON.parse(text.slice(0, end)).url);
      } catch {
        fail("said something else than where it listens");
      }
    });
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

interface DenoGlobal {
  readonly mainModule: string;
  readonly build: { readonly standalone?: boolean };
}

/** How this program is started: from source or a bundle by a runtime, or as a binary by itself. */
export function ownProgram(): { readonly file: string; readonly args: readonly string[] } {
  const file = process.execPath;
  const { Deno, Bun } = globalThis as { Deno?: DenoGlobal; Bun?: { readonly main: string } };
  if (Deno !== undefined) {
    return { file, args: Deno.build.standalone ? [] : ["run", "-A", Deno.mainModule] };
  }
  // A binary's own files lie in a file system that exists in it alone.
  if (Bun !== undefined && /^(\/\$bunfs\/|[A-Z]:[\\/]~BUN[\\/])/.test(Bun.main)) return { file, args: [] };
  return { file, args: [...process.execArgv, process.argv[1]] };
}
