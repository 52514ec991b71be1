/**
 * What the command line tests share: folders that nobody else uses, and nodes.
 *
 * @module
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type CliOptions, type CliResult, mxp, program, type RunningCli, startMxp } from "../support/cli.ts";

/** The environment of a run that neither reads nor changes what belongs to whoever runs the tests. */
export function isolated(folder: string): Record<string, string | undefined> {
  const env: Record<string, string | undefined> = { XDG_CONFIG_HOME: folder };
  for (const name of Object.keys(process.env)) {
    if (/^MXP_(?!TEST_)/.test(name)) env[name] = undefined;
  }
  return env;
}

/** A folder of one test, with the configuration in it. Taken away at the end. */
export class Scratch implements AsyncDisposable {
  readonly folder: string;
  readonly env: Record<string, string | undefined>;

  constructor(folder: string) {
    this.folder = folder;
    this.env = isolated(folder);
  }

  /** A path inside. */
  path(name: string): string {
    return join(this.folder, name);
  }

  /** Runs `mxp` here. */
  async mxp(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    const result = await mxp(args, { cwd: this.folder, ...options, env: { ...this.env, ...options.env } });
    return { ...result, stderr: ownWords(result.stderr) };
  }

  /** Starts `mxp` here. */
  start(args: readonly string[], options: CliOptions = {}): RunningCli {
    return startMxp(args, { cwd: this.folder, timeout: 60_000, ...options, env: { ...this.env, ...options.env } });
  }

  /** Starts a node here, on a free port. Its identity is the default one of this folder unless `args` say otherwise. */
  async node(args: readonly string[], options: CliOptions = {}): Promise<TestNode> {
    const listen = args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
    const cli = this.start(["serve", ...listen, ...args], options);
    const errors = collectLines(cli);
    try {
      const line = await cli.nextLine();
      const url = line.startsWith("{") ? JSON.parse(line).url : line.replace(/^listening /, "");
      return new TestNode(cli, line, url, errors);
    } catch (error) {
      await cli[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Runs a line of shell, in which `mxp` is the program under test. Standard input is empty, unless the line says otherwise.
   */
  async shell(line: string, env: Record<string, string | undefined> = {}): Promise<CliResult> {
    const definition = `mxp() { ${program.map(shellQuote).join(" ")} "$@"; }\n`;
    return await runProcess("bash", ["-c", definition + line], { cwd: this.folder, env: { ...this.env, ...env } });
  }

  /**
   * Runs a line of shell on a terminal of its own, with `keys` typed; what the terminal shows, and the exit code as `exit=0`.
   * Undefined if there is no script(1) to make a terminal with.
   */
  async terminal(line: string, keys = "", env: Record<string, string | undefined> = {}): Promise<string | undefined> {
    if ((await this.shell("command -v script")).code !== 0) return undefined;
    const command = shellQuote(`${line}; echo "exit=$?"`);
    // What is typed too early waits in the terminal until somebody reads it.
    const { stdout } = await this.shell(
      `export -f mxp; printf %s ${shellQuote(keys)} | SHELL=bash script -qec ${command} /dev/null`,
      { TERM: "xterm", NO_COLOR: undefined, ...env },
    );
    return stdout.replaceAll("\r\n", "\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Standard error without what Deno says before the program starts, if several start at once. */
function ownWords(stderr: string): string {
  return stderr.replace(/^Blocking waiting for file lock on node_modules directory\n/gm, "");
}

/** Makes a {@link Scratch}. */
export async function scratch(): Promise<Scratch> {
  return new Scratch(await mkdtemp(join(tmpdir(), "mxp-cli-test-")));
}

/** A node that runs. Disposing of it kills it. */
export class TestNode implements AsyncDisposable {
  readonly cli: RunningCli;
  /** The first line on its standard output. */
  readonly firstLine: string;
  /** `mxp://KEY@HOST:PORT`. */
  readonly url: string;
  readonly #errors: Lines;

  constructor(cli: RunningCli, firstLine: string, url: string, errors: Lines) {
    this.cli = cli;
    this.firstLine = firstLine;
    this.url = url;
    this.#errors = errors;
  }

  /** `HOST:PORT`. */
  get where(): string {
    return this.url.slice(this.url.indexOf("@") + 1);
  }

  /** The URL without the key. */
  get keyless(): string {
    return `mxp://${this.where}`;
  }

  /** The public key. */
  get key(): string {
    return this.url.slice("mxp://".length, this.url.indexOf("@"));
  }

  /** The first line of its standard error that matches, now or later. */
  logLine(pattern: RegExp | string): Promise<string> {
    return this.#errors.find(pattern);
  }

  /** Sends a signal, as often as it is called: not every runtime's `child.kill` does. */
  signal(signal: NodeJS.Signals): void {
    process.kill(this.cli.child.pid!, signal);
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<CliResult> {
    this.signal(signal);
    return await this.cli.done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cli[Symbol.asyncDispose]();
  }
}

/** Lines that arrive. */
interface Lines {
  find(pattern: RegExp | string): Promise<string>;
}

function collectLines(cli: RunningCli): Lines {
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  let unread = "";
  cli.child.stderr!.on("data", (chunk: Uint8Array) => {
    unread += new TextDecoder().decode(chunk);
    const parts = unread.split("\n");
    unread = parts.pop() ?? "";
    lines.push(...parts);
    for (const look of waiting) look();
  });
  const find = (pattern: RegExp | string): Promise<string> =>
    new Promise((resolve, reject) => {
      const matches = (line: string): boolean =>
        typeof pattern === "string" ? line.includes(pattern) : pattern.test(line);
      const look = (): void => {
        const line = lines.find(matches);
        if (line === undefined) return;
        waiting.delete(look);
        clearTimeout(timer);
        resolve(line);
      };
      const timer = setTimeout(() => {
        waiting.delete(look);
        reject(new Error(`no line matches ${pattern} in: ${lines.join("\n")}`));
      }, 10_000);
      waiting.add(look);
      look();
    });
  return { find };
}

/** Runs any program to its end, within 60 s. */
export function runProcess(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string | undefined> } = {},
): Promise<CliResult> {
  const env: Record<string, string | undefined> = { ...process.env, NO_COLOR: "1", ...options.env };
  delete env.FORCE_COLOR;
  for (const [name, value] of Object.entries(env)) if (value === undefined) delete env[name];
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: options.cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    const out: Uint8Array[] = [];
    let stderr = "";
    child.stdout.on("data", (chunk: Uint8Array) => out.push(chunk));
    child.stderr.on("data", (chunk: Uint8Array) => stderr += new TextDecoder().decode(chunk));
    const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      const stdoutBytes = concat(out);
      resolve({ code: code ?? -1, stdout: new TextDecoder().decode(stdoutBytes), stderr, stdoutBytes });
    });
  });
}

/** All chunks in one. */
export function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** Bytes that no encoding and no compression leaves alone, the same for the same seed. */
export function noise(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  return bytes;
}

/** One argument for a shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Checks that a run failed as it should: this exit code, nothing on standard output, one line on standard error. */
export function assertFails(result: CliResult, code: number, message: RegExp): void {
  assert.equal(result.code, code, `exit code; stderr: ${result.stderr}`);
  assert.equal(result.stdout, "");
  assert.match(result.stderr, /^mxp: [^\n]*\n$/, "one line on standard error");
  assert.match(result.stderr, message);
  assert.doesNotMatch(result.stderr, /^\s+at /m, "no stack trace");
}

/** Checks that a run succeeded. */
export function assertWorks(result: CliResult): void {
  assert.equal(result.code, 0, `exit code; stderr: ${result.stderr}`);
}

/** Whether a process exists and is no zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  const { code, stdout } = await runProcess("ps", ["-o", "stat=", "-p", String(pid)]);
  return code === 0 && !stdout.trim().startsWith("Z");
}

/** Waits until something is so, for at most 30 s: a heartbeat every ten may have to find out first. */
export async function eventually(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!await check()) {
    if (performance.now() > deadline) throw new Error(`not within 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
