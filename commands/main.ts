/**
 * The program: arguments in, exit code out.
 *
 * @module
 */

import process from "node:process";
import { Console, OutputClosed } from "./console.ts";
import { codeOf, ExitCode, exitCodeOf, messageOf, usageError } from "./errors.ts";
import { parse, type Parsed } from "./parser.ts";
import type { LogLevel } from "./settings.ts";
import { StopSignal } from "./signals.ts";
import { COMMANDS } from "./table.ts";

/** Runs the program with these arguments; resolves to its exit code once everything has been written. */
export async function main(argv: readonly string[]): Promise<number> {
  // What can be said before anything is parsed, for the case that parsing fails.
  const options = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
  const early = {
    json: options.includes("--json") || /^(1|true|yes|on)$/i.test(process.env.MXP_JSON ?? ""),
    color: !options.includes("--no-color"),
    logLevel: "warn" as LogLevel,
  };
  let console = new Console(early);
  try {
    const { bold } = console.colors.stdout;
    const width = Math.max(40, Math.min(process.stdout.columns || 100, 120));
    const parsed = parse(COMMANDS, argv, { env: process.env, width, bold });
    if (parsed.kind === "run") console = new Console(parsed.settings);
    return await carryOut(parsed, console);
  } catch (error) {
    return await report(error, console);
  } finally {
    await console.flush();
  }
}

async function carryOut(parsed: Parsed, console: Console): Promise<number> {
  switch (parsed.kind) {
    case "text":
      await console.write(parsed.text);
      return ExitCode.OK;
    case "nothing":
      // Programs read what is wrong; the help is for people.
      if (console.json) throw usageError("no command is given");
      console.error(parsed.text);
      return ExitCode.USAGE;
    case "run": {
      const { command, args, flags, variables, settings } = parsed;
      const stop = new StopSignal();
      const failed = failure();
      try {
        const run = command.run({ args, flags, variables, settings, console, stop });
        return await Promise.race([run, failed.promise]) ?? ExitCode.OK;
      } catch (error) {
        // Whatever broke because of the signal, the signal is what happened.
        if (stop.received === undefined || error instanceof OutputClosed) throw error;
        await report(stop.signal.reason, console);
        return stop.exitCode;
      } finally {
        failed.stop();
        stop.release();
      }
    }
  }
}

/** One line about an error, for people or for programs. */
async function report(error: unknown, console: Console): Promise<number> {
  // Nobody reads what we write: `mxp … | head -1` is over, and that is all right.
  if (error instanceof OutputClosed) return ExitCode.OK;
  const message = await safe(messageOf(error));
  if (console.json) {
    const written = console.write(JSON.stringify({ error: { code: codeOf(error), message, ...said(error) } }) + "\n");
    await written.catch(() => {});
  } else if (console.errors) {
    console.error(`${console.colors.stderr.red("mxp:")} ${message}\n`);
  }
  if (error instanceof Error && error.stack !== undefined) console.debug(await safeLines(error));
  return exitCodeOf(error);
}

/** Text that may hold what a peer or a file said, made harmless for a terminal. */
async function safe(text: string): Promise<string> {
  // Most texts are plain; the library is only needed for the others.
  if (/^[\x20-\x7e…–·]*$/.test(text)) return text;
  const { printable } = await import("../mod.ts");
  return printable(text);
}

/** What the other side said of an error, for programs. */
function said(error: unknown): { readonly remote?: string; readonly retryable?: boolean } {
  const { cause } = error as { cause?: unknown };
  const { remoteName, retryable } = (codeOf(cause) === codeOf(error) ? cause : error) as {
    readonly remoteName?: string;
    readonly retryable?: boolean;
  };
  return {
    ...(remoteName !== undefined && { remote: remoteName }),
    ...(retryable === true && { retryable }),
  };
}

async function safeLines(error: Error): Promise<string> {
  const lines = (error.stack ?? "").split("\n");
  if (error.cause instanceof Error) lines.push(`caused by ${error.cause.stack ?? error.cause.message}`);
  return (await Promise.all(lines.flatMap((line) => line.split("\n")).map(safe))).join("\n");
}

/** Rejects with what nobody caught, so that it is reported as everything else is. */
function failure(): { promise: Promise<never>; stop: () => void } {
  let onFailure: (error: unknown) => void = () => {};
  const promise = new Promise<never>((_, reject) => onFailure = reject);
  promise.catch(() => {});
  process.on("uncaughtException", onFailure);
  process.on("unhandledRejection", onFailure);
  return {
    promise,
    stop: () => void process.off("uncaughtException", onFailure).off("unhandledRejection", onFailure),
  };
}
