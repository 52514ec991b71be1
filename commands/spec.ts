/**
 * What a subcommand is made of: how it is called, and what it does.
 *
 * @module
 */

import type { Console } from "./console.ts";
import type { Settings } from "./settings.ts";
import type { StopSignal } from "./signals.ts";

/** One option, in the notation that help texts use: `-o, --output <FILE>`, or `--echo` for a switch. */
export interface OptionSpec {
  readonly flags: string;
  readonly description: string;
  /** May be given more than once; the values are collected. */
  readonly repeat?: boolean;
  /** Must not be given twice. Without this and `repeat`, the last one counts, so that aliases can be overruled. */
  readonly once?: boolean;
  /** Environment variable that is taken where the option is not given. */
  readonly env?: string;
  /** The default as help shows it. */
  readonly fallback?: string;
  /** Turns the text into a value; `name` stands for the option or variable in errors. Throws a CliError `usage`. */
  readonly parse?: ((text: string, name: string) => unknown) & {
    /** All values, where there are only a few; completions offer them. */
    readonly words?: readonly string[];
  };
}

/** One positional argument: `<URL>` is needed, `[DATA]` is not. */
export interface ArgumentSpec {
  readonly name: string;
  readonly description: string;
  /** All values, where there are only a few; completions offer them. */
  readonly words?: readonly string[];
}

/** One example: the command line, and what it does. */
export type Example = readonly [line: string, what: string];

/** What a command is started with. */
export interface Run<Flags> {
  /** Positional arguments in order; undefined for those left out. */
  readonly args: readonly (string | undefined)[];
  readonly flags: Flags;
  /** The environment variable of each flag whose value comes from there, for errors that are found after parsing. */
  readonly variables: ReadonlyMap<string, string>;
  readonly settings: Settings;
  readonly console: Console;
  /** Says when SIGINT or SIGTERM came. Commands that never ask are ended by the signal. */
  readonly stop: StopSignal;
}

/** A subcommand. Its module is small: whatever is heavy is imported when it runs. */
export interface CommandSpec<Flags = Record<string, unknown>> {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  readonly arguments?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  /** Paragraphs below the options. */
  readonly details?: readonly string[];
  readonly examples: readonly Example[];
  /** Does the work. Rejects with an error that has a code; resolves to an exit code, nothing = 0. */
  run(run: Run<Flags>): Promise<number | void>;
}
