/**
 * Checks that no source file is longer than 600 lines. Tests may be, and so may generated `*.wasm.ts` files.
 *
 * @module
 */

import process from "node:process";
import { type Finding, readSources, report, type SourceFile } from "./source_files.ts";

/** One idea per file: whoever needs more lines has more than one. */
export const MAX_LINES = 600;

/** One finding for each file that is too long. */
export function checkSize(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const { path, text } of files) {
    if (path.startsWith("tests/") || path.endsWith(".wasm.ts")) continue;
    const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
    if (lines > MAX_LINES) {
      findings.push({ path, line: MAX_LINES + 1, message: `${lines} lines, at most ${MAX_LINES} allowed` });
    }
  }
  return findings;
}

if (import.meta.main) {
  const files = readSources();
  process.exitCode = report("size", files.length, checkSize(files));
}
