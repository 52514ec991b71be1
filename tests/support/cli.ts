/**
 * Runs the program for the command line tests. How it is started comes from `MXP_TEST_CLI` (a JSON array of program and
 * arguments), so that the same tests run against the source on each runtime, the bundle and the binary.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Program and leading arguments of every call, with paths inside the project made absolute. */
export const program: readonly string[] = (() => {
  const given = process.env.MXP_TEST_CLI;
  const command: string[] = given === undefined ? defaultProgram() : JSON.parse(given);
  return command.map((part) => part === "cli.ts" || /^(\.\/)?dist\//.test(part) ? resolve(root, part) : part);
})();

function defaultProgram(): string[] {
  if ("Deno" in globalThis) return [process.execPath, "run", "-A", `--config=${root}deno.json`, "cli.ts"];
  return "Bun" in globalThis ? [process.execPath, "cli.ts"] : [process.execPath, "dist/node/cli.js"];
}

/** What a finished run left behind. */
export interface CliResult {
  /** Exit code; 128 + the signal's number if a signal ended it, as a shell reports it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The same as `stdout`, before it was decoded. */
  readonly stdoutBytes: Uint8Array;
}

/** Settings of a run. */
export interface CliOptions {
  /** Written to standard input, which is then closed. Nothing: standard input is empty. */
  readonly stdin?: string | Uint8Array;
  /** Added to the environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Milliseconds until the run is killed. 30 s if left out. */
  readonly timeout?: number;
}

/** Runs `mxp` with these arguments until it exits. */
export async function mxp(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const running = startMxp(args, options);
  if (options.stdin !== undefined) running.child.stdin?.write(options.stdin);
  running.child.stdin?.end();
  return await running.done;
}

/** A run that goes on, such as a server. */
export interface RunningCli extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Resolves when it has exited. */
  readonly done: Promise<CliResult>;
  /** The next line of standard output, without its end; rejects if it exits before one came. */
  nextLine(): Promise<string>;
}

/** Starts `mxp` and leaves it running; disposing of it kills it. Its standard input stays open. */
export function startMxp(args: readonly string[], options: CliOptions = {}): RunningCli {
  const [file, ...leading] = program;
  const env: Record<string, string | undefined> = { ...process.env, NO_COLOR: "1", ...options.env };
  delete env.FORCE_COLOR;
  for (const [name, value] of Object.entries(env)) if (value === undefined) delete env[name];
  const child = spawn(file, [...leading, ...args], { cwd: options.cwd ?? root, env, stdio: ["pipe", "pipe", "pipe"] });
  // The program may exit before it has read its input.
  child.stdin.on("error", () => {});

  const out: Uint8Array[] = [];
  let errors = "", unread = "", ended = false;
  const lines: string[] = [];
  const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  child.stdout.on("data", (chunk: Uint8Array) => {
    out.push(chunk);
    unread += new TextDecoder().decode(chunk);
    const parts = unread.split("\n");
    unread = parts.pop() ?? "";
    for (const line of parts) {
      const next = waiting.shift();
      if (next !== undefined) next.resolve(line);
      else lines.push(line);
    }
  });
  child.stderr.on("data", (chunk: Uint8Array) => errors += new TextDecoder().decode(chunk));

  const noLine = (): Error => new Error(`mxp ${args.join(" ")} ended without a further line; on stderr: ${errors}`);
  const done = new Promise<CliResult>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`mxp ${args.join(" ")} did not end in time; stdout: ${Buffer.concat(out)}; stderr: ${errors}`));
    }, options.timeout ?? 30_000);
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      ended = true;
      for (const { reject } of waiting.splice(0)) reject(noLine());
      const stdoutBytes = new Uint8Array(Buffer.concat(out));
      const stdout = new TextDecoder().decode(stdoutBytes);
      resolve({ code: code ?? 128 + signalNumber(signal), stdout, stderr: errors, stdoutBytes });
    });
  });
  // Whoever starts a server and never asks for its end must not see an unhandled rejection.
  done.catch(() => {});

  return {
    child,
    done,
    nextLine: () =>
      new Promise((resolve, reject) => {
        const line = lines.shift();
        if (line !== undefined) resolve(line);
        else if (ended) reject(noLine());
        else waiting.push({ resolve, reject });
      }),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await done.catch(() => {});
    },
  };
}

function signalNumber(signal: string | null): number {
  return ({ SIGHUP: 1, SIGINT: 2, SIGPIPE: 13, SIGKILL: 9, SIGTERM: 15 } as Record<string, number>)[signal ?? ""] ?? 0;
}
