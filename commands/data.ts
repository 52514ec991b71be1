/**
 * The payload of a call: from an argument, a file or standard input.
 *
 * @module
 */

import { fstatSync } from "node:fs";
import { open } from "node:fs/promises";
import type { Console } from "./console.ts";
import { CliError } from "./errors.ts";
import { formatBytes } from "./duration.ts";

/** The most that a message carries. */
export const MAX_PAYLOAD = 16 << 20;

/** What `-d` and DATA say about a payload. */
export type DataSource =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "stdin" }
  | { readonly kind: "none" };

/** Where the payload comes from. `-d` knows `@FILE` and `@-`; the argument is taken as it is. */
export function dataSource(argument: string | undefined, option: string | undefined): DataSource {
  if (argument !== undefined && option !== undefined) {
    throw new CliError("usage", "both DATA and -d are given; one call has one payload (quote DATA that has spaces)");
  }
  if (argument !== undefined) return { kind: "text", text: argument };
  if (option === undefined) return { kind: "none" };
  if (!option.startsWith("@")) return { kind: "text", text: option };
  if (option === "@-") return { kind: "stdin" };
  if (option === "@") throw new CliError("usage", "-d @ names no file; expected @FILE, or @- for standard input");
  return { kind: "file", path: option.slice(1) };
}

/**
 * Reads the payload.
 *
 * @throws {CliError} `config` for a file that cannot be read, `too_large` for more than a message carries.
 */
export async function readData(source: DataSource): Promise<string | Uint8Array> {
  switch (source.kind) {
    case "text":
      return source.text;
    case "none":
      return new Uint8Array(0);
    case "stdin":
      return await (await import("../mod.ts")).host.readAllStdin(MAX_PAYLOAD);
    case "file":
      return await readPayloadFile(source.path);
  }
}

/** Tells somebody at a terminal that what they pipe in is not read. Scripts, whose standard error goes elsewhere, hear nothing. */
export function hintUnreadInput(source: DataSource, console: Console): void {
  if (source.kind !== "none" || !console.stderrIsTerminal) return;
  try {
    const input = fstatSync(0);
    if (input.isFIFO() || (input.isFile() && input.size > 0)) {
      console.note("sending an empty payload: standard input is only read with -d @-");
    }
  } catch {
    // Standard input is closed: nothing to hint at.
  }
}

async function readPayloadFile(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path, "r");
    try {
      // Not only ordinary files: pipes and devices have no size to trust.
      return await collect(file.createReadStream({ autoClose: false, highWaterMark: 1 << 18 }), path);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError("config", `cannot read ${path} for -d: ${reasonOf(error)}`, { cause: error });
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>, what: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.length;
    if (length > MAX_PAYLOAD) {
      throw new CliError("too_large", `${what} is larger than a message may be (${formatBytes(MAX_PAYLOAD)})`);
    }
    parts.push(chunk);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Why a file could not be read, in words that every runtime shares. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  switch (code) {
    case "ENOENT":
      return "there is no such file";
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "EISDIR":
      return "it is a directory";
    case "ENOTDIR":
      return "a part of the path is not a directory";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
