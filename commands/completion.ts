/**
 * `mxp completion`: lets a shell complete commands and options.
 *
 * @module
 */

import { GLOBAL_OPTIONS } from "./settings.ts";
import type { CommandSpec, OptionSpec } from "./spec.ts";
import { oneOf } from "./values.ts";

const SHELLS = ["bash", "zsh", "fish", "pwsh"] as const;

/** What a shell is told about one command. */
interface Completions {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionSpec[];
  /** Whether its arguments are files. */
  readonly files: boolean;
  /** What its argument can be, if that is one of a few words. */
  readonly values: readonly string[];
}

/** The command; it describes the others, which exist by the time that it runs. */
export function completion(commands: () => readonly CommandSpec[]): CommandSpec {
  return {
    name: "completion",
    summary: "print a script that completes commands and options in a shell",
    arguments: [{ name: "<SHELL>", description: SHELLS.join(", "), words: SHELLS }],
    examples: [
      ["source <(mxp completion bash)", "for this bash, or in ~/.bashrc for each"],
      ["mxp completion zsh > ~/.zsh/completions/_mxp", "zsh, for a folder in $fpath"],
      ["mxp completion fish > ~/.config/fish/completions/mxp.fish", "fish"],
      ["mxp completion pwsh >> $PROFILE", "PowerShell"],
    ],
    async run({ args, console }) {
      const shell = oneOf(SHELLS)(args[0]!, "completion");
      const described = commands().map(({ name, summary, options = [], arguments: positional = [] }) => ({
        name,
        summary,
        options: [...options, ...GLOBAL_OPTIONS],
        files: positional.some((argument) => argument.name.includes("FILE")),
        values: positional.flatMap(({ words = [] }) => words),
      }));
      await console.write(SCRIPTS[shell](described));
    },
  };
}

const SCRIPTS: Readonly<Record<typeof SHELLS[number], (commands: readonly Completions[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
  pwsh: pwshScript,
};

/** `-o, --output <FILE>` → `["-o", "--output"]`. */
function names(option: OptionSpec): string[] {
  return option.flags.split(/,\s*/).map((flag) => flag.split(" ")[0]);
}

function words(command: Completions): string {
  return [...command.options.flatMap(names), "--help"].join(" ");
}

/** What can follow each option of a command that takes one of a few words. */
function choices({ options }: Completions): [names: string[], words: readonly string[]][] {
  return options.flatMap((option) => option.parse?.words === undefined ? [] : [[names(option), option.parse.words]]);
}

/** All options that a file name follows. */
function fileOptions(commands: readonly Completions[]): string[] {
  const all = commands.flatMap(({ options }) => options).filter(({ flags }) => flags.includes("FILE"));
  return [...new Set(all.flatMap(names))];
}

function bashScript(commands: readonly Completions[]): string {
  const cases = commands.map((command) =>
    `    ${command.name}) words="${[...command.values, words(command)].join(" ")}" ;;`
  ).join("\n");
  const chosen = commands.flatMap((command) =>
    choices(command).map(([names, values]) =>
      `    ${names.map((name) => `${command.name}:${name}`).join("|")}) ` +
      `COMPREPLY=($(compgen -W "${values.join(" ")}" -- "$word")); return ;;`
    )
  ).join("\n");
  const files = commands.filter((command) => command.files).map(({ name }) => name).join("|");
  return `# Completion for mxp in bash: source <(mxp completion bash)
_mxp() {
  local word="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command="" words i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in
      ${commands.map(({ name }) => name).join("|")}) command="\${COMP_WORDS[i]}"; break ;;
    esac
  done
  case "$previous" in
    ${fileOptions(commands).join("|")}) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case "$command:$previous" in
${chosen}
  esac
  case "$command" in
${cases}
    *) words="${[...commands.map(({ name }) => name), "help", "--version", "--help"].join(" ")}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  case "$command" in
    ${files}) [[ "$word" == -* ]] || COMPREPLY+=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _mxp mxp
`;
}

function zshScript(commands: readonly Completions[]): string {
  const list = commands.map(({ name, summary }) => `    ${zshQuote(`${name}:${summary}`)}`).join("\n");
  const cases = commands.map((command) => {
    const options = command.options.flatMap((option) =>
      names(option).map((name) => `      ${zshQuote(zshOption(name, option))}`)
    );
    const rest = command.files
      ? "'*:file:_files'"
      : command.values.length > 0
      ? `'1: :(${command.values.join(" ")})'`
      : "'*: :_default'";
    return `    ${command.name})\n      _arguments \\\n${
      options.map((line) => line + " \\\n").join("")
    }      ${rest} ;;`;
  }).join("\n");
  return `#compdef mxp
# Completion for mxp in zsh: a file _mxp in a folder of $fpath.
_mxp() {
  local -a commands=(
${list}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$command" in
${cases}
  esac
}
(( $+functions[compdef] )) && compdef _mxp mxp
`;
}

function zshOption(name: string, option: OptionSpec): string {
  const text = option.description.replace(/[[\]:]/g, " ");
  const value = /<([^>]*)>/.exec(option.flags)?.[1];
  const argument = value === undefined
    ? ""
    : `:${value.replaceAll(":", " ")}:${
      value.includes("FILE") ? "_files" : option.parse?.words === undefined ? "" : `(${option.parse.words.join(" ")})`
    }`;
  return `${option.repeat ? "*" : ""}${name}[${text}]${argument}`;
}

function zshQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishScript(commands: readonly Completions[]): string {
  const quote = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const lines = ["# Completion for mxp in fish: ~/.config/fish/completions/mxp.fish", "complete -c mxp -f"];
  for (const command of commands) {
    const { name, summary, options, files } = command;
    lines.push(`complete -c mxp -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`);
    const when = `-n '__fish_seen_subcommand_from ${name}'`;
    if (files) lines.push(`complete -c mxp ${when} -F`);
    if (command.values.length > 0) lines.push(`complete -c mxp ${when} -a ${quote(command.values.join(" "))}`);
    for (const option of options) {
      const flags = names(option).map((flag) => flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`);
      const value = option.flags.includes("FILE") ? " -r -F" : option.flags.includes("<") ? " -x" : "";
      const few = option.parse?.words === undefined ? "" : ` -a ${quote(option.parse.words.join(" "))}`;
      lines.push(`complete -c mxp ${when} ${flags.join(" ")}${value}${few} -d ${quote(option.description)}`);
    }
  }
  return lines.join("\n") + "\n";
}

function pwshScript(commands: readonly Completions[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  const table = commands.map((command) =>
    `    ${quote(command.name)} = @(${[...command.values, ...words(command).split(" ")].map(quote).join(", ")})`
  ).join("\n");
  const chosen = commands.flatMap((command) =>
    choices(command).flatMap(([names, values]) =>
      names.map((name) => `    ${quote(`${command.name} ${name}`)} = @(${values.map(quote).join(", ")})`)
    )
  ).join("\n");
  return `# Completion for mxp in PowerShell: a line of $PROFILE
Register-ArgumentCompleter -Native -CommandName mxp -ScriptBlock {
  param($word, $ast, $cursor)
  $options = @{
${table}
  }
  $command = $ast.CommandElements | ForEach-Object { "$_" } | Where-Object { $options.ContainsKey($_) } | Select-Object -First 1
  $values = @{
${chosen}
  }
  $before = @($ast.CommandElements | ForEach-Object { "$_" })
  if ($word -ne '') { $before = @($before | Select-Object -SkipLast 1) }
  $option = "$command $($before | Select-Object -Last 1)"
  $words = if ($values.ContainsKey($option)) { $values[$option] } elseif ($command) { $options[$command] } else { @(${
    [...commands.map(({ name }) => name), "help", "--version", "--help"].map(quote).join(", ")
  }) }
  $words | Where-Object { $_ -like "$word*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`;
}
