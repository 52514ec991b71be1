/**
 * Option values: from text to what a command works with.
 *
 * @module
 */

import { DURATION_SHAPE, parseDuration } from "./duration.ts";
import { CliError } from "./errors.ts";

/** A duration in milliseconds. */
export function duration(text: string, name: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds === undefined) {
    throw new CliError("usage", `${name}: ${show(text)} is not a duration; expected ${DURATION_SHAPE}`);
  }
  return milliseconds;
}

/** A whole number between two bounds, both included. */
export function wholeNumber(least: number, most: number): (text: string, name: string) => number {
  return (text, name) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (!(value >= least && value <= most)) {
      throw new CliError("usage", `${name}: ${show(text)} is not a whole number from ${least} to ${most}`);
    }
    return value;
  };
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1000,
  k: 1024,
  kib: 1024,
  mb: 1_000_000,
  m: 1 << 20,
  mib: 1 << 20,
};

/** A number of bytes between two bounds, both included, with a unit or without: `64`, `4KiB`, `1MB`. */
export function byteCount(least: number, most: number): (text: string, name: string) => number {
  return (text, name) => {
    const match = /^(\d{1,12}) ?([a-z]*)$/i.exec(text);
    const value = match === null ? NaN : Number(match[1]) * (BYTE_UNITS[match[2].toLowerCase()] ?? NaN);
    if (!(value >= least && value <= most)) {
      throw new CliError(
        "usage",
        `${name}: ${show(text)} is not a size from ${least} to ${most}, such as 64, 4KiB, 1MB`,
      );
    }
    return value;
  };
}

/** A parser that takes a few words, and can say which. */
export interface WordParser<T extends string> {
  (text: string, name: string): T;
  readonly words: readonly T[];
}

/** One of a few words. */
export function oneOf<T extends string>(words: readonly T[]): WordParser<T> {
  const parse = (text: string, name: string): T => {
    const word = words.find((word) => word === text);
    if (word === undefined) throw new CliError("usage", `${name}: ${show(text)} is not one of ${words.join(", ")}`);
    return word;
  };
  return Object.assign(parse, { words });
}

/** How urgent a request is. */
export const PRIORITY: WordParser<"interactive" | "bulk"> = oneOf(["interactive", "bulk"]);

/** Text that has at least one character. */
export function notEmpty(text: string, name: string): string {
  if (text === "") throw new CliError("usage", `${name} is empty`);
  return notLong(text, name, MAX_TEXT_BYTES);
}

/** Something that an agent can do. */
export function capability(text: string, name: string): string {
  if (!text.endsWith("*")) return notEmpty(text, name);
  throw new CliError("usage", `${name}: ${show(text)} asks for all that begin so; list each one that the agent has`);
}

/** What an agent is to be called: nothing that a URL would take for an agent's id. */
export function agentName(text: string, name: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) {
    throw new CliError("usage", `${name}: ${show(text)} looks like an agent's id (UUID), and would be taken for one`);
  }
  if (text.trim() === "") throw new CliError("usage", `${name} is empty`);
  return notEmpty(text, name);
}

/** The longest name or value that is sent along with a message, and the longest key of metadata, in bytes. */
const MAX_TEXT_BYTES = 65_000;
const MAX_KEY_BYTES = 255;

function notLong(text: string, name: string, most: number): string {
  const length = new TextEncoder().encode(text).length;
  if (length > most) throw new CliError("usage", `${name} has ${length} bytes; at most ${most} are sent`);
  return text;
}

/** `key=value`. */
export function keyValue(text: string, name: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at <= 0) throw new CliError("usage", `${name}: ${show(text)} is not KEY=VALUE`);
  const [key, value] = [text.slice(0, at), text.slice(at + 1)];
  notLong(key, `${name}: the key`, MAX_KEY_BYTES);
  notLong(value, `${name} ${cut(key)}: the value`, MAX_TEXT_BYTES);
  return [key, value];
}

/** Text in quotes, not too much of it. Control characters are escaped where the error is printed. */
export function show(text: string): string {
  return `"${cut(text)}"`;
}

function cut(text: string): string {
  return text.length > 60 ? text.slice(0, 60) + "…" : text;
}

/** The pairs of `--meta` as an object; undefined if there are none. */
export function metadata(pairs: readonly (readonly [string, string])[] = []): Record<string, string> | undefined {
  return pairs.length === 0 ? undefined : Object.fromEntries(pairs);
}

/** What `promise` gives, unless the signal comes first. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw signal.reason;
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
