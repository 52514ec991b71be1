/**
 * Checks that everything that a file of the library exports says what it is, in a docstring. A block of constants
 * without an empty line in between may share one, overloads of a function too. What the public entries export is looked
 * at more closely by `deno doc --lint`.
 *
 * @module
 */

import process from "node:process";
import { blankNonCode, type Finding, readSources, report, type SourceFile } from "./source_files.ts";

const EXPORT =
  /^export (?:default )?(?:declare )?(?:abstract )?(?:async )?(function\*?|class|interface|type|const|let) +(\w+)/;

/** One finding for each exported name without a docstring, and for each file without one for the module. */
export function checkDocs(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const { path, text } of files) {
    const lines = text.split("\n");
    const code = blankNonCode(text).split("\n");
    if (!/^(?:#!.*\n)?\/\*\*(?:[^*]|\*(?!\/))*@module/.test(text)) {
      findings.push({ path, line: 1, message: "does not begin with a docstring that ends in @module" });
    }
    const documented = new Set<string>();
    for (let i = 0; i < code.length; i++) {
      const match = EXPORT.exec(code[i]);
      if (match === null) continue;
      const [, kind, name] = match;
      const inherits = documented.has(name) || (kind === "const" && i > 0 && sharesBlock(code, i, documented));
      if (inherits || isDocumented(lines, i)) documented.add(name);
      else findings.push({ path, line: i + 1, message: `${name} is exported without a docstring` });
    }
  }
  return findings;
}

/** Whether a comment `/** … *\/` ends right above line `at`. */
function isDocumented(lines: readonly string[], at: number): boolean {
  let above = at - 1;
  while (above >= 0 && /^\/\/ deno-lint-ignore/.test(lines[above])) above--;
  if (above < 0 || !lines[above].trimEnd().endsWith("*/")) return false;
  while (above >= 0 && !/^\s*\/\*/.test(lines[above])) above--;
  return above >= 0 && /^\s*\/\*\*/.test(lines[above]);
}

/** Whether line `at` follows directly on a documented constant. */
function sharesBlock(code: readonly string[], at: number, documented: ReadonlySet<string>): boolean {
  const above = EXPORT.exec(code[at - 1]);
  return above !== null && above[1] === "const" && documented.has(above[2]);
}

if (import.meta.main) {
  const files = readSources().filter(({ path }) => path.startsWith("lib/") && !path.endsWith(".wasm.ts"));
  process.exitCode = report("docs", files.length, checkDocs(files));
}
