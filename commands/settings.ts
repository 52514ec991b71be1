/**
 * The global options, and what they are when they are not given: flag, then environment, then default.
 *
 * @module
 */

import type { OptionSpec } from "./spec.ts";
import { duration, notEmpty, oneOf } from "./values.ts";

/** How much is told on standard error, from nothing to everything. */
export const LOG_LEVELS = ["silent", "error", "warn", "info", "debug"] as const;

/** One of {@link LOG_LEVELS}. */
export type LogLevel = typeof LOG_LEVELS[number];

/** What the global options say. */
export interface Settings {
  /** Results, errors and events as JSON on standard output. */
  readonly json: boolean;
  /** Key file; undefined: the default one. */
  readonly identity: string | undefined;
  /** Known-peers file; undefined: the default one. */
  readonly knownPeers: string | undefined;
  /** Milliseconds; undefined if nobody said. 0: no limit. */
  readonly timeoutMs: number | undefined;
  readonly logLevel: LogLevel;
  /** False with `--no-color`; `NO_COLOR` and what is no terminal are looked at elsewhere. */
  readonly color: boolean;
}

/** The global options. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { flags: "--json", description: "results and errors as JSON on standard output", env: "MXP_JSON" },
  {
    flags: "--identity <FILE>",
    description: "key file of this side; where there is none, callers get a key for that one run, nodes make it",
    env: "MXP_IDENTITY",
    fallback: "~/.config/mxp/identity",
    parse: notEmpty,
  },
  {
    flags: "--known-peers <FILE>",
    description: "public keys of nodes met before",
    env: "MXP_KNOWN_PEERS",
    fallback: "~/.config/mxp/known_peers",
    parse: notEmpty,
  },
  {
    flags: "--timeout <TIME>",
    description: "limit for the whole command, such as 5s, 300ms, 2m; 0 for none",
    env: "MXP_TIMEOUT",
    fallback: "30s",
    parse: duration,
  },
  {
    flags: "--log-level <LEVEL>",
    description: `how much is told on standard error: ${LOG_LEVELS.join(", ")}`,
    env: "MXP_LOG_LEVEL",
    fallback: "warn",
    parse: oneOf(LOG_LEVELS),
  },
  { flags: "--no-color", description: "no colors (also: NO_COLOR in the environment)" },
];

/** Makes settings of parsed flags. */
export function settingsFrom(flags: Readonly<Record<string, unknown>>): Settings {
  return {
    json: flags.json === true,
    identity: flags.identity as string | undefined,
    knownPeers: flags.knownPeers as string | undefined,
    timeoutMs: flags.timeout as number | undefined,
    logLevel: (flags.logLevel as LogLevel | undefined) ?? "warn",
    color: flags.color !== false,
  };
}
