/**
 * Command line options of the scripts: `--name value` and `--name=value`, checked, with one line of text for whatever is wrong.
 *
 * @module
 */

/** What an option takes. Percentages become shares from 0 to 1, sizes bytes. */
export type OptionSpec =
  | { readonly type: "size" | "percent" | "integer" | "count"; readonly default: number }
  | { readonly type: "number"; readonly default: number; readonly least?: number }
  | { readonly type: "word"; readonly default: string; readonly words: readonly string[] }
  | { readonly type: "text"; readonly default: string }
  | { readonly type: "flag" };

/** The values that a set of options has. */
export type OptionValues<S extends Record<string, OptionSpec>> = {
  readonly [Name in keyof S]: S[Name]["type"] extends "flag" ? boolean
    : S[Name]["type"] extends "word" | "text" ? string
    : number;
};

/** The command line is wrong; the message says how, on one line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** Reads the options. A lone `--`, which task runners pass on, is skipped. Throws a {@link UsageError}. */
export function readOptions<S extends Record<string, OptionSpec>>(specs: S, args: readonly string[]): OptionValues<S> {
  const values: Record<string, number | string | boolean> = {};
  for (const [name, spec] of Object.entries(specs)) values[name] = spec.type === "flag" ? false : spec.default;
  for (let i = 0; i < args.length; i++) {
    const argument = args[i];
    if (argument === "--") continue;
    if (!argument.startsWith("--")) throw new UsageError(`unexpected argument ${JSON.stringify(argument)}`);
    const equals = argument.indexOf("=");
    const name = equals < 0 ? argument.slice(2) : argument.slice(2, equals);
    const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
    if (spec === undefined) throw new UsageError(`unknown option ${JSON.stringify(`--${name}`)}, see --help`);
    if (spec.type === "flag") {
      if (equals >= 0) throw new UsageError(`--${name} takes no value`);
      values[name] = true;
      continue;
    }
    const value = equals >= 0 ? argument.slice(equals + 1) : args[++i];
    if (value === undefined || value === "--") throw new UsageError(`--${name} needs a value`);
    values[name] = parse(name, spec, value);
  }
  return values as OptionValues<S>;
}

function parse(name: string, spec: Exclude<OptionSpec, { type: "flag" }>, text: string): number | string {
  switch (spec.type) {
    case "text":
      return text;
    case "word":
      if (spec.words.includes(text.toLowerCase())) return text.toLowerCase();
      throw new UsageError(`--${name} is ${spec.words.join(" or ")}, not ${JSON.stringify(text)}`);
    case "size": {
      const match = /^(\d+(?:\.\d+)?)\s*([kmg]?i?b?)$/i.exec(text);
      const unit = match === null ? undefined : UNITS[match[2].toLowerCase()];
      if (match === null || unit === undefined) {
        throw new UsageError(`--${name} is a size such as 500KB or 10MB, not ${JSON.stringify(text)}`);
      }
      return Math.round(Number(match[1]) * unit);
    }
    case "percent": {
      const value = numberOf(text);
      if (value >= 0 && value <= 100) return value / 100;
      throw new UsageError(`--${name} is a percentage from 0 to 100, not ${JSON.stringify(text)}`);
    }
    case "integer":
    case "count": {
      const value = numberOf(text), least = spec.type === "count" ? 1 : 0;
      if (Number.isSafeInteger(value) && value >= least) return value;
      throw new UsageError(`--${name} is a whole number from ${least} up, not ${JSON.stringify(text)}`);
    }
    case "number": {
      const value = numberOf(text), least = spec.least ?? 0;
      if (Number.isFinite(value) && value >= least) return value;
      throw new UsageError(`--${name} is a number from ${least} up, not ${JSON.stringify(text)}`);
    }
  }
}

/** NaN for anything that is no plain decimal number. */
function numberOf(text: string): number {
  return /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : NaN;
}
