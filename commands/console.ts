/**
 * Standard output for data, standard error for everything else.
 *
 * @module
 */

import process from "node:process";
import picocolors from "picocolors";
import { CliError } from "./errors.ts";
import { safeJson } from "./safe_json.ts";
import type { LogLevel } from "./settings.ts";

type Colors = ReturnType<typeof picocolors.createColors>;

/** Whoever read our output has gone: not an error, but a reason to stop. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** The two output streams of the process. */
export class Console {
  /** Colors for standard output and standard error; without effect where they are not wanted. */
  readonly colors: { readonly stdout: Colors; readonly stderr: Colors };
  /** Whether results are JSON. */
  readonly json: boolean;
  readonly #level: LogLevel;
  /** A line that is overwritten in place, while there is one. */
  #transient = false;

  constructor(options: { readonly json: boolean; readonly color: boolean; readonly logLevel: LogLevel }) {
    this.json = options.json;
    this.#level = options.logLevel;
    const wanted = (terminal: boolean): boolean =>
      options.color && !process.env.NO_COLOR && process.env.TERM !== "dumb" && terminal;
    this.colors = {
      stdout: picocolors.createColors(wanted(this.stdoutIsTerminal)),
      stderr: picocolors.createColors(wanted(this.stderrIsTerminal)),
    };
    // Without listeners, a reader that goes away would end the process with a stack trace. `write` reports it instead.
    process.stdout.on("error", () => {});
    process.stderr.on("error", () => {});
  }

  /** Whether somebody looks at standard output. */
  get stdoutIsTerminal(): boolean {
    return process.stdout.isTTY === true;
  }

  /** Whether somebody looks at standard error. */
  get stderrIsTerminal(): boolean {
    return process.stderr.isTTY === true;
  }

  /** Whether somebody can be asked: there is a terminal to ask on and one to answer from. */
  get canAsk(): boolean {
    return process.stdin.isTTY === true && this.stderrIsTerminal;
  }

  /**
   * Writes data as it is to standard output. Resolves when the operating system has it, so that exiting loses nothing.
   *
   * @throws {OutputClosed} if nobody reads it any more.
   * @throws {CliError} `config` if it cannot be written, as on a full disk.
   */
  async write(data: string | Uint8Array): Promise<void> {
    if (data.length === 0) return;
    this.clearTransient();
    const failure = DENO === undefined ? await writeTo(process.stdout, data) : await writeInDeno(DENO, data);
    if (failure === undefined) return;
    if (failure.code === "EPIPE" || failure.code === "ERR_STREAM_DESTROYED") throw new OutputClosed();
    throw new CliError("config", `cannot write to standard output: ${whyNotWritten(failure)}`, { cause: failure });
  }

  /** One line of text to standard output. */
  line(text: string): Promise<void> {
    return this.write(text + "\n");
  }

  /** One JSON value on a line of its own to standard output. */
  value(value: unknown): Promise<void> {
    return this.write(safeJson(value) + "\n");
  }

  /** Whether errors are wanted on standard error. */
  get errors(): boolean {
    return this.#level !== "silent";
  }

  /** Whether notes are wanted on standard error. */
  get notes(): boolean {
    return this.#level !== "silent" && this.#level !== "error";
  }

  /** One line to standard error, behind the program's name. */
  note(text: string): void {
    if (this.notes) this.error(`${this.colors.stderr.dim("mxp:")} ${text}\n`);
  }

  /** A note for `--log-level debug`. */
  debug(text: string): void {
    if (this.#level === "debug") this.note(text);
  }

  /** Text as it is to standard error. */
  error(text: string): void {
    this.clearTransient();
    process.stderr.write(text);
  }

  /** Ends a line that standard output has left open, if both streams are the same terminal. */
  endLine(): void {
    if (this.stderrIsTerminal) this.error("\n");
  }

  /** Shows a line on the terminal until the next output; nothing if standard error is no terminal. */
  transient(text: string): void {
    if (!this.stderrIsTerminal) return;
    const width = (process.stderr.columns || 80) - 1;
    process.stderr.write(`\r${text.slice(0, width)}\x1b[K`);
    this.#transient = true;
  }

  /** Takes the line of {@link transient} away. */
  clearTransient(): void {
    if (!this.#transient) return;
    this.#transient = false;
    process.stderr.write("\r\x1b[K");
  }

  /** Asks a question on the terminal; resolves to the line that was typed, without its end; to nothing if the signal comes first. */
  async ask(question: string, signal: AbortSignal): Promise<string> {
    this.error(question);
    const { createInterface } = await import("node:readline");
    const reader = createInterface({ input: process.stdin, terminal: false });
    return await new Promise((resolve) => {
      reader.once("line", (line) => {
        resolve(line);
        reader.close();
      });
      reader.once("close", () => resolve(""));
      const onAbort = (): void => {
        reader.close();
        this.error("\n");
      };
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Resolves when standard error has been taken, too. */
  async flush(): Promise<void> {
    this.clearTransient();
    await new Promise<void>((resolve) => process.stderr.write("", () => resolve()));
  }
}

/** What the system says, in words where it is what happens to people. */
function whyNotWritten({ code, message }: Error & { code?: string }): string {
  return code === "ENOSPC" || /no space left/i.test(message) ? "the disk is full" : message;
}

/** What Deno has of its own. */
interface DenoStdout {
  write(data: Uint8Array): Promise<number>;
}

const DENO: DenoStdout | undefined = (globalThis as { Deno?: { stdout: DenoStdout } }).Deno?.stdout;
const encoder = new TextEncoder();

/** In Deno, `process.stdout` stops everything else until a slow reader has made room: a connection would die of it. */
async function writeInDeno(
  stdout: DenoStdout,
  data: string | Uint8Array,
): Promise<(Error & { code?: string }) | undefined> {
  let rest = typeof data === "string" ? encoder.encode(data) : data;
  try {
    while (rest.length > 0) rest = rest.subarray(await stdout.write(rest));
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

function writeTo(
  stream: NodeJS.WriteStream,
  data: string | Uint8Array,
): Promise<(Error & { code?: string }) | undefined> {
  return new Promise((resolve) => {
    const settle = (error?: Error | null): void => resolve(error ?? undefined);
    try {
      stream.write(data, settle);
    } catch (error) {
      // Files are written at once, and some runtimes throw what went wrong.
      settle(error as Error);
    }
  });
}
