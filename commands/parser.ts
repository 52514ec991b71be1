/**
 * From arguments to a command, its options and its settings. Nothing here runs a command, prints or exits.
 *
 * @module
 */

import { Command, CommanderError, Option } from "commander";
import { CliError, usageError } from "./errors.ts";
import { GLOBAL_OPTIONS, type Settings, settingsFrom } from "./settings.ts";
import type { CommandSpec, Example, OptionSpec } from "./spec.ts";
import { VERSION } from "./version.ts";

const EXIT_CODES =
  "0 ok, 1 internal error, 2 usage, 3 configuration, key file or output, 4 connect or handshake failed, " +
  "5 deadline passed, 6 no such agent, 7 the agent answered with an error, 8 cancelled by the peer, 9 key mismatch, " +
  "129, 130 and 143 ended by SIGHUP, SIGINT and SIGTERM";
/** Characters of an error; arguments may be of any length. */
const MAX_MESSAGE = 300;

/** What the arguments ask for. */
export type Parsed =
  | {
    readonly kind: "run";
    readonly command: CommandSpec;
    readonly args: readonly (string | undefined)[];
    readonly flags: Record<string, unknown>;
    readonly variables: ReadonlyMap<string, string>;
    readonly settings: Settings;
  }
  /** Help or the version: text for standard output. */
  | { readonly kind: "text"; readonly text: string }
  /** Nothing at all: the help, as a reminder. */
  | { readonly kind: "nothing"; readonly text: string };

/** What the parser takes from its surroundings. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Columns that help may use. */
  readonly width?: number;
  /** Writes headings and names in bold. */
  readonly bold?: (text: string) => string;
}

/**
 * Parses arguments (without the program's own name).
 *
 * @throws {CliError} `usage`; `config` for a wrong value in the environment.
 */
export function parse(
  commands: readonly CommandSpec[],
  argv: readonly string[],
  { env, width = 80, bold = (text) => text }: Surroundings,
): Parsed {
  let printed = "";
  let selected: { spec: CommandSpec; command: Command } | undefined;
  const program = new Command("mxp");
  // Inherited by the subcommands, so it comes first.
  program
    .exitOverride()
    .configureOutput({
      writeOut: (text) => printed += text,
      writeErr: (text) => printed += text,
      // What is wrong travels in the exception.
      outputError: () => {},
      getOutHelpWidth: () => width,
      getErrHelpWidth: () => width,
      getOutHasColors: () => true,
      getErrHasColors: () => true,
    })
    .configureHelp({ showGlobalOptions: true, styleTitle: bold, styleSubcommandText: bold, sortSubcommands: false })
    .description("Agents that find, call and stream to each other over encrypted UDP.")
    .usage("[options] <command> [arguments]")
    .version(VERSION, "--version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help for a command")
    .addHelpText("after", programNotes(commands, width, bold));
  for (const option of GLOBAL_OPTIONS) program.addOption(makeOption(option));
  for (const spec of commands) {
    const command = program.command(spec.name).summary(spec.summary).description(capital(spec.summary) + ".");
    for (const { name, description } of spec.arguments ?? []) command.argument(name, description);
    for (const option of spec.options ?? []) command.addOption(makeOption(option));
    command.allowExcessArguments(false).addHelpText("after", commandNotes(spec, width, bold));
    command.action(() => {
      selected = { spec, command };
    });
  }

  try {
    program.parse(argv, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.version") return { kind: "text", text: printed };
    if (error.code === "commander.helpDisplayed") {
      const command = wrongCommand(commands, argv);
      if (command !== undefined) throw usageError(`unknown command '${cut(command)}'`);
      return { kind: "text", text: printed };
    }
    // `mxp` alone, and `mxp help nonsense`, which shows the same.
    if (error.code === "commander.help") {
      const unknown = argv[0] === "help" && argv[1] !== undefined && !commands.some(({ name }) => name === argv[1]);
      if (unknown) throw usageError(`unknown command '${cut(argv[1])}'`);
      return argv[0] === "help" ? { kind: "text", text: printed } : { kind: "nothing", text: printed };
    }
    throw usageError(oneLine(error.message), selectedName(commands, argv));
  }
  if (selected === undefined) return { kind: "nothing", text: program.helpInformation() };
  const { spec, command } = selected;
  const flags = { ...command.opts() };
  const variables = applyEnvironment(flags, spec.options ?? [], env);
  const globalFlags = { ...program.opts() };
  applyEnvironment(globalFlags, GLOBAL_OPTIONS, env);
  return {
    kind: "run",
    command: spec,
    args: command.processedArgs.flat(),
    flags,
    variables,
    settings: settingsFrom(globalFlags),
  };
}

function makeOption(spec: OptionSpec): Option {
  const notes = [
    ...(spec.fallback === undefined ? [] : [`default: ${spec.fallback}`]),
    ...(spec.env === undefined ? [] : [`env: ${spec.env}`]),
  ];
  const option = new Option(spec.flags, spec.description + (notes.length > 0 ? ` (${notes.join(", ")})` : ""));
  if (!spec.flags.includes("<")) return option;
  const name = option.long ?? spec.flags;
  return option.argParser((text: string, previous: unknown) => {
    const value = spec.parse === undefined ? text : spec.parse(text, name);
    if (spec.repeat) return [...(previous as unknown[] | undefined ?? []), value];
    if (spec.once && previous !== undefined) throw usageError(`${name} is given twice`);
    return value;
  });
}

/**
 * Fills in what the environment says about options that were not given; returns the variable of each. Empty variables count as
 * absent.
 */
function applyEnvironment(
  flags: Record<string, unknown>,
  options: readonly OptionSpec[],
  env: Readonly<Record<string, string | undefined>>,
): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  for (const spec of options) {
    const text = spec.env === undefined ? undefined : env[spec.env];
    if (text === undefined || text === "") continue;
    const key = new Option(spec.flags).attributeName();
    if (flags[key] !== undefined) continue;
    variables.set(key, spec.env!);
    try {
      if (!spec.flags.includes("<")) flags[key] = truth(text, spec.env!);
      else flags[key] = spec.parse === undefined ? text : spec.parse(text, spec.env!);
    } catch (error) {
      throw error instanceof CliError ? new CliError("config", `in the environment, ${error.message}`) : error;
    }
  }
  return variables;
}

function truth(text: string, name: string): boolean {
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  throw new CliError("config", `${name}: "${text.slice(0, 60)}" is not 1 or 0`);
}

/** `error: unknown option '--ech'\n(Did you mean --echo?)` → `unknown option '--ech'; did you mean --echo?` */
function oneLine(message: string): string {
  const line = message
    .replace(/^error: /, "")
    .replace(/\n?\(Did you mean (one of )?(.*?)\?\)\s*$/, (_, _several, names) => `; did you mean ${names}?`)
    .replace(
      /^(too many arguments for '\w+')\. Expected (\d+) arguments?.*$/s,
      "$1, which takes $2 (quote what has spaces)",
    );
  return cut(line);
}

function cut(text: string): string {
  return text.length > MAX_MESSAGE ? text.slice(0, MAX_MESSAGE) + "…" : text;
}

/** The word in the place of the command, where there is no such command: help that was asked for is not that one's. */
function wrongCommand(commands: readonly CommandSpec[], argv: readonly string[]): string | undefined {
  for (let i = 0; i < argv.length; i++) {
    const option = GLOBAL_OPTIONS.find(({ flags }) => flags.split(" ")[0] === argv[i]);
    if (option?.flags.includes("<")) i++;
    else if (!argv[i].startsWith("-")) {
      return argv[i] === "help" || commands.some(({ name }) => name === argv[i]) ? undefined : argv[i];
    }
  }
  return undefined;
}

/** The command whose help is to be looked at, if the arguments get that far. */
function selectedName(commands: readonly CommandSpec[], argv: readonly string[]): string | undefined {
  return commands.find(({ name }) => argv.includes(name))?.name;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function programNotes(commands: readonly CommandSpec[], width: number, bold: (text: string) => string): string {
  const examples = commands.flatMap(({ examples }) => examples.slice(0, 1));
  const codes = wrap(EXIT_CODES, width - 2).replaceAll(/^/gm, "  ");
  return `\n${exampleBlock(examples, bold)}\n\n${bold("Exit codes:")}\n${codes}`;
}

function commandNotes(spec: CommandSpec, width: number, bold: (text: string) => string): string {
  const details = (spec.details ?? []).map((paragraph) => `\n${wrap(paragraph, width)}\n`).join("");
  return `${details}\n${exampleBlock(spec.examples, bold)}`;
}

function exampleBlock(examples: readonly Example[], bold: (text: string) => string): string {
  const lines = examples.map(([line, what]) => `  ${line}\n      ${what}`);
  return [bold(examples.length === 1 ? "Example:" : "Examples:"), ...lines].join("\n");
}

/** Breaks text between words. */
function wrap(text: string, width: number): string {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.length - 1;
    if (last >= 0 && lines[last].length + 1 + word.length <= width) lines[last] += ` ${word}`;
    else lines.push(word);
  }
  return lines.join("\n");
}
