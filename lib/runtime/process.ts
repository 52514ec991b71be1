/**
 * Running a command for a call: payload in, answer out, and nothing left behind.
 *
 * POSIX only: the command is handed to `sh -c`, in a process group of its own.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { ReadableReader } from "./readable_reader.ts";

/** From SIGTERM to SIGKILL: enough to remove a temporary file, and little in a call's deadline. */
const TERM_TO_KILL_MS = 200;
/** How long what the shell left behind may keep the output open, with nothing in it, once the shell itself has ended. */
const LINGER_MS = 200;
/** How much of stderr is kept, from its end. */
const STDERR_TAIL = 4_096;
/** A message's maximum payload (SPEC §2). */
const DEFAULT_MAX_OUTPUT = 16 * 1024 * 1024;

/** How a command ended. */
export type CommandStatus =
  /** By itself. */
  | { readonly kind: "exited"; readonly code: number }
  /** Somebody else sent it a signal. */
  | { readonly kind: "signalled"; readonly signal: string }
  /** Killed: the signal aborted, `kill` was called, or its output was not wanted to the end. */
  | { readonly kind: "aborted" }
  /** Killed: it wrote more than `maxOutput`. */
  | { readonly kind: "output_too_large"; readonly limit: number }
  /** Killed: the source of its input threw. */
  | { readonly kind: "input_failed"; readonly cause: unknown }
  /** It could not be started. */
  | { readonly kind: "not_started"; readonly cause: unknown };

/** What can be said of a command when it has ended. */
export interface CommandEnd {
  readonly status: CommandStatus;
  /** The last 4 096 bytes of stderr, as text. Not escaped: it may hold anything. */
  readonly stderrTail: string;
}

/** Options of {@link startCommand}. */
export interface CommandOptions {
  /** What the command reads; default nothing. A source is only asked for more when the command has taken what was there. */
  stdin?: Uint8Array | AsyncIterable<Uint8Array>;
  /** Kills the command when it aborts. */
  signal?: AbortSignal;
  /** Added to (and over) this process's environment. */
  env?: Readonly<Record<string, string>>;
}

/** Options of {@link runCommand}. */
export interface RunCommandOptions extends CommandOptions {
  /** Bytes of output above which it is killed; default 16 MiB. */
  maxOutput?: number;
}

/** A command on its way. */
export interface RunningCommand {
  /**
   * Its output, as it comes; can be iterated once. The command waits while nobody reads, and is killed when the loop is
   * left early. Ends without an error however the command ended; `ended` knows.
   */
  readonly stdout: AsyncIterable<Uint8Array>;
  /** Settles when the command and its output have ended, so only if the output is read. Never rejects. */
  readonly ended: Promise<CommandEnd>;
  /** Kills it with all its descendants: SIGTERM, and SIGKILL 200 ms later. */
  kill(): void;
}

/**
 * Runs a command to its end. Never rejects: all that can go wrong is a {@link CommandStatus}.
 *
 * Killing reaches the command's whole process group, with SIGTERM first and SIGKILL 200 ms later. What the shell leaves
 * running in the background is killed as well if it keeps stdout or stderr open 200 ms after the shell has ended. A command that
 * does not read its input is no error.
 *
 * @example
 * ```ts
 * import { runCommand } from "./process.ts";
 *
 * const { status, stdout } = await runCommand("tr a-z A-Z", { stdin: new TextEncoder().encode("hello") });
 * ```
 */
export async function runCommand(
  command: string,
  options: RunCommandOptions = {},
): Promise<CommandEnd & { readonly stdout: Uint8Array }> {
  const limit = options.maxOutput ?? DEFAULT_MAX_OUTPUT;
  const running = new Command(command, options);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of running.stdout) {
    if (length + chunk.length > limit) {
      chunks.push(chunk.subarray(0, limit - length));
      length = limit;
      running.stop({ kind: "output_too_large", limit });
      break;
    }
    chunks.push(chunk);
    length += chunk.length;
  }
  const { status, stderrTail } = await running.ended;
  const stdout = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    stdout.set(chunk, at);
    at += chunk.length;
  }
  return { status, stdout, stderrTail };
}

/**
 * Starts a command whose output is wanted while it runs.
 *
 * @example
 * ```ts
 * import { startCommand } from "./process.ts";
 *
 * const running = startCommand("echo one; echo two", { signal: AbortSignal.timeout(5_000) });
 * for await (const chunk of running.stdout) console.log(new TextDecoder().decode(chunk));
 * const { status } = await running.ended; // { kind: "exited", code: 0 }
 * ```
 */
export function startCommand(command: string, options: CommandOptions = {}): RunningCommand {
  return new Command(command, options);
}

/** Leaders of the process groups that run now. */
const groups = new Set<number>();
let killsGroupsAtExit = false;

class Command implements RunningCommand {
  readonly stdout: AsyncIterable<Uint8Array>;
  readonly ended: Promise<CommandEnd>;
  readonly #child: ChildProcess | undefined;
  readonly #output: ReadableReader | undefined;
  readonly #signal: AbortSignal | undefined;
  #settle!: (status: CommandStatus) => void;
  /** Why it was stopped; the first reason counts. */
  #stopped: CommandStatus | undefined;
  #exit: CommandStatus | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stderr = new Uint8Array(0);
  #over = false;

  constructor(command: string, options: CommandOptions) {
    this.ended = new Promise((resolve) => {
      this.#settle = (status) => {
        if (this.#over) return;
        this.#over = true;
        clearTimeout(this.#timer);
        this.#signal?.removeEventListener("abort", this.#onAbort);
        if (this.#child?.pid !== undefined) groups.delete(this.#child.pid);
        resolve({ status, stderrTail: new TextDecoder().decode(this.#stderr) });
      };
    });
    this.#signal = options.signal;
    this.stdout = { [Symbol.asyncIterator]: () => this.#chunks() };
    if (options.signal?.aborted === true) {
      this.#settle({ kind: "aborted" });
      return;
    }
    let child: ChildProcess;
    try {
      child = spawn("sh", ["-c", command], {
        detached: true,
        stdio: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
        env: options.env === undefined ? process.env : { ...process.env, ...options.env },
      });
    } catch (cause) {
      this.#settle({ kind: "not_started", cause });
      return;
    }
    this.#child = child;
    this.#output = new ReadableReader(child.stdout!);
    this.#watch(child);
    if (options.stdin !== undefined) void this.#feed(options.stdin);
  }

  kill(): void {
    this.stop({ kind: "aborted" });
  }

  /** Kills it for a reason. */
  stop(reason: CommandStatus): void {
    if (this.#over || this.#stopped !== undefined) return;
    this.#stopped = reason;
    this.#killGroup("SIGTERM");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#killGroup("SIGKILL");
      // Whoever left the group and holds the output open must not hold up the caller.
      this.#output?.destroy();
      this.#child?.stderr?.destroy();
      this.#timer = setTimeout(() => this.#settle(reason), TERM_TO_KILL_MS);
    }, TERM_TO_KILL_MS);
  }

  #watch(child: ChildProcess): void {
    if (child.pid !== undefined) {
      groups.add(child.pid);
      killGroupsAtExit();
    }
    child.stderr!.on("data", (chunk: Uint8Array) => this.#keepTail(chunk));
    child.stderr!.on("error", nothing);
    child.stdin?.on("error", nothing);
    child.on("error", (cause) => {
      // Also raised when a signal cannot be sent, which says nothing about the start.
      if (child.pid === undefined) this.#settle({ kind: "not_started", cause });
    });
    child.on("exit", (code, signal) => {
      this.#exit = signal !== null ? { kind: "signalled", signal } : { kind: "exited", code: code ?? 0 };
      if (this.#stopped === undefined) this.#awaitOutputEnd(false);
    });
    child.on("close", () => this.#settle(this.#stopped ?? this.#exit ?? { kind: "exited", code: 0 }));
    this.#signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  readonly #onAbort = (): void => this.kill();

  /** The shell has ended: see to it that its output does as well. A slow reader is no reason to interfere. */
  #awaitOutputEnd(killed: boolean): void {
    this.#timer = setTimeout(() => {
      if (!this.#output!.isWaiting && !this.#output!.hasEnded) return this.#awaitOutputEnd(killed);
      if (!killed) {
        this.#killGroup("SIGKILL");
        return this.#awaitOutputEnd(true);
      }
      this.#output!.destroy();
      this.#child!.stderr!.destroy();
      this.#settle(this.#exit!);
    }, LINGER_MS);
  }

  #killGroup(signal: "SIGTERM" | "SIGKILL"): void {
    if (this.#child?.pid !== undefined) killGroup(this.#child.pid, signal);
  }

  #keepTail(chunk: Uint8Array): void {
    const kept = this.#stderr.subarray(Math.max(0, this.#stderr.length + chunk.length - STDERR_TAIL));
    const added = chunk.subarray(Math.max(0, chunk.length - STDERR_TAIL));
    const tail = new Uint8Array(kept.length + added.length);
    tail.set(kept);
    tail.set(added, kept.length);
    this.#stderr = tail;
  }

  async *#chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#output === undefined) return;
    let complete = false;
    try {
      for (;;) {
        const chunk = await this.#output.next();
        if (chunk === undefined) break;
        yield chunk;
      }
      complete = true;
    } finally {
      if (!complete) {
        this.kill();
        this.#output.destroy();
      }
    }
  }

  async #feed(source: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
    const stdin = this.#child!.stdin!;
    if (source instanceof Uint8Array) {
      stdin.end(source);
      return;
    }
    // The pipe closes when the command stops reading (EPIPE) or ends: then nobody wants the rest.
    let isClosed = false;
    let onClosed = nothing;
    stdin.once("close", () => {
      isClosed = true;
      onClosed();
    });
    const iterator = source[Symbol.asyncIterator]();
    try {
      while (!isClosed) {
        const result = await new Promise<IteratorResult<Uint8Array> | undefined>((resolve, reject) => {
          onClosed = () => resolve(undefined);
          iterator.next().then(resolve, reject);
        });
        if (result === undefined) break;
        if (result.done === true) {
          stdin.end();
          return;
        }
        if (isClosed || stdin.write(result.value)) continue;
        await new Promise<void>((resolve) => {
          onClosed = resolve;
          stdin.once("drain", resolve);
        });
      }
      // Not awaited: a source that waits for its next chunk returns only when that has come.
      iterator.return?.()?.then(nothing, nothing);
    } catch (cause) {
      this.stop({ kind: "input_failed", cause });
      stdin.destroy();
    }
  }
}

function killGroup(leader: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(-leader, signal);
  } catch {
    // Nobody is left in it.
  }
}

/** Groups of their own do not notice when this process ends: so it tells them. */
function killGroupsAtExit(): void {
  if (killsGroupsAtExit) return;
  killsGroupsAtExit = true;
  process.on("exit", () => {
    for (const leader of groups) killGroup(leader, "SIGKILL");
  });
}

function nothing(): void {}
