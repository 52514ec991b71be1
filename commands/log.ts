/**
 * A node's log: one line an event on standard error, `key=value`, or JSON with `--json`.
 *
 * @module
 */

import { configureSync, getLogger, type Logger, type LogLevel as LogTapeLevel, type LogRecord } from "@logtape/logtape";
import process from "node:process";
import { quote } from "../mod.ts";
import { safeJson } from "./safe_json.ts";
import type { LogLevel } from "./settings.ts";

const LEVELS: Readonly<Record<Exclude<LogLevel, "silent">, LogTapeLevel>> = {
  error: "error",
  warn: "warning",
  info: "info",
  debug: "debug",
};

/** Characters of a value: peers choose some of them, such as the names of agents and methods. */
const MAX_TEXT = 300;
/** The same in JSON, which programs read. */
const MAX_JSON_TEXT = 1_000;

/** Sets logging up and returns the node's logger. Call it once. */
export function openLog(level: LogLevel, json: boolean): Logger {
  const format = json ? jsonLine : textLine;
  configureSync({
    sinks: { stderr: (record) => void process.stderr.write(format(record)) },
    loggers: [
      level === "silent"
        ? { category: ["mxp"], sinks: [], lowestLevel: null }
        : { category: ["mxp"], sinks: ["stderr"], lowestLevel: LEVELS[level] },
      // The library's own remarks about its configuration.
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "error" },
    ],
    reset: true,
  });
  return getLogger(["mxp", "node"]);
}

function textLine(record: LogRecord): string {
  let line = `${new Date(record.timestamp).toISOString()} ${record.level} ${record.message.join("")}`;
  for (const [key, value] of Object.entries(record.properties)) {
    if (value !== undefined) line += ` ${key}=${textValue(value)}`;
  }
  return line + "\n";
}

/** Bare if it is a plain word; else quoted, with everything escaped that a terminal or a parser could trip over. */
function textValue(value: unknown): string {
  const text = String(value);
  return text.length <= MAX_TEXT && /^[A-Za-z0-9_.:/+[\]-]+$/.test(text) ? text : quote(text, MAX_TEXT);
}

function jsonLine(record: LogRecord): string {
  const { timestamp, level, message, properties } = record;
  const facts: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(properties)) facts[key] = typeof value === "string" ? cut(value) : value;
  return safeJson({ time: new Date(timestamp).toISOString(), level, event: message.join(""), ...facts }) + "\n";
}

function cut(text: string): string {
  return text.length > MAX_JSON_TEXT ? text.slice(0, MAX_JSON_TEXT).toWellFormed() + "…" : text;
}
