/**
 * The processes of the demonstration: started from source, with a configuration folder that is made for it.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { projectRoot } from "./source_files.ts";

/** No step takes longer, unless something is wrong. */
const STEP_LIMIT_MS = 60_000;
/** How long a log line may take to arrive after what it is about. */
const LOG_LIMIT_MS = 10_000;
const EXIT_CODES: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143, SIGKILL: 137 };
const PROGRAM = [process.execPath, "run", "-A", `--config=${projectRoot}deno.json`, `${projectRoot}cli.ts`];

/** What a run left behind. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Something that goes on. */
export interface Serving {
  /** `mxp://KEY@HOST:PORT`. */
  readonly url: string;
  /** Its public key. */
  readonly key: string;
  /** The first line of its standard error that matches, now or soon. */
  line(pattern: RegExp | string): Promise<string>;
  /** How many lines of its standard error match. */
  count(pattern: RegExp): number;
  /** Asks it to end; its exit code. */
  stop(): Promise<number>;
}

/** Starts programs, and ends what is left of them. */
export class Programs {
  readonly #folder: string;
  readonly #running = new Set<ChildProcess>();

  /** @param folder for everything that is configured and remembered. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Ends all that runs, at once. */
  kill(): void {
    for (const child of this.#running) child.kill("SIGKILL");
  }

  /** Runs `mxp` to its end. `onOutput` gets what it prints, as it comes. */
  async run(
    args: readonly string[],
    options: { readonly stdin?: string; readonly onOutput?: (text: string) => void } = {},
  ): Promise<Ended> {
    const child = this.#start(args);
    let stdout = "", stderr = "";
    child.stdout!.setEncoding("utf8").on("data", (text) => {
      stdout += text;
      options.onOutput?.(text);
    });
    child.stderr!.setEncoding("utf8").on("data", (text) => stderr += text);
    const ended = new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
    child.stdin!.end(options.stdin ?? "");
    const code = await within(ended, STEP_LIMIT_MS, `mxp ${args[0]}`);
    return { code, stdout, stderr };
  }

  /** Starts `mxp serve` on a free port; settles when it is ready. */
  async serve(args: readonly string[]): Promise<Serving> {
    const child = this.#start(["serve", "--listen", "127.0.0.1:0", "--log-level", "info", ...args]);
    const lines: string[] = [];
    const waiting = new Set<() => void>();
    createInterface({ input: child.stderr! }).on("line", (line) => {
      lines.push(line);
      for (const look of waiting) look();
    });
    const ready = new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout! }).once("line", resolve);
      const died = (code: number | null): void =>
        reject(new Error(`mxp serve ended with ${code}: ${lines.join("; ")}`));
      child.on("error", reject).on("exit", died);
    });
    const url = (await within(ready, STEP_LIMIT_MS, "starting mxp serve")).replace(/^listening /, "");
    const matches = (pattern: RegExp | string) => (line: string): boolean =>
      typeof pattern === "string" ? line.includes(pattern) : pattern.test(line);
    return {
      url,
      key: url.slice("mxp://".length, url.indexOf("@")),
      line: (pattern) => {
        let look!: () => void;
        const found = new Promise<string>((resolve) => {
          look = () => {
            const line = lines.find(matches(pattern));
            if (line !== undefined) resolve(line);
          };
          waiting.add(look);
          look();
        });
        return within(found, LOG_LIMIT_MS, `the log line with ${pattern}`).finally(() => waiting.delete(look));
      },
      count: (pattern) => lines.filter(matches(pattern)).length,
      stop: () => {
        // Deno tells of 128 + 15 as of the signal itself.
        const ended = new Promise<number>((resolve) =>
          child.on("close", (code, signal) => resolve(code ?? EXIT_CODES[signal!]))
        );
        child.kill("SIGTERM");
        return within(ended, STEP_LIMIT_MS, "stopping mxp serve");
      },
    };
  }

  #start(args: readonly string[]): ChildProcess {
    const env: Record<string, string | undefined> = { ...process.env, XDG_CONFIG_HOME: this.#folder, NO_COLOR: "1" };
    for (const name of Object.keys(env)) if (/^MXP_/.test(name)) delete env[name];
    const child = spawn(PROGRAM[0], [...PROGRAM.slice(1), ...args], { env, stdio: ["pipe", "pipe", "pipe"] });
    child.stdin!.on("error", () => {});
    this.#running.add(child);
    child.on("exit", () => this.#running.delete(child));
    return child;
  }
}

async function within<T>(promise: Promise<T>, milliseconds: number, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
