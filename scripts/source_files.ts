/**
 * What the check scripts share: which files belong to the project, and a view of their code in which comments and the
 * contents of strings are blank, so that a word in a comment is never taken for code.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A file of the project. */
export interface SourceFile {
  /** Path from the project's root, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** Something that a check found. */
export interface Finding {
  readonly path: string;
  /** Counted from 1. */
  readonly line: number;
  readonly message: string;
}

/** The project's root folder, with a slash at the end. */
export const projectRoot: string = fileURLToPath(new URL("..", import.meta.url));

const SKIPPED_FOLDERS = new Set(["node_modules", "dist", "coverage", ".git"]);

/** Paths (from `root`, with `/`) of the files whose name ends in one of `endings`, sorted. */
export function listFiles(root: string, endings: readonly string[]): string[] {
  const found: string[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(root + folder, { withFileTypes: true })) {
      if (entry.isDirectory()) {
        if (!SKIPPED_FOLDERS.has(entry.name)) visit(`${folder}${entry.name}/`);
      } else if (endings.some((ending) => entry.name.endsWith(ending))) {
        found.push(folder + entry.name);
      }
    }
  };
  visit("");
  return found.sort();
}

/** The TypeScript files below `root`, with their text. */
export function readSources(root: string = projectRoot): SourceFile[] {
  return listFiles(root, [".ts", ".mts"]).map((path) => ({ path, text: readFileSync(root + path, "utf8") }));
}

/** The line, counted from 1, on which the character at `index` stands. */
export function lineAt(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < index; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

/** Prints findings and the verdict; the value is the exit code. */
export function report(what: string, files: number, findings: readonly Finding[]): number {
  for (const { path, line, message } of findings) console.error(`${path}:${line}: ${message}`);
  console.error(`${what}: ${files} files, ${findings.length === 0 ? "nothing found" : `${findings.length} found`}`);
  return findings.length === 0 ? 0 : 1;
}

/** A slash behind one of these (or behind one of the words) begins a regular expression, not a division. */
const BEFORE_REGEX = new Set([..."(,=:[!&|?{};+-*%<>~^}"]);
const WORDS_BEFORE_REGEX = /(?:^|[^\w$.])(?:return|typeof|case|in|of|throw|new|delete|void|do|else|await|yield)$/;

/**
 * The same text, as long as before, in which comments, the insides of strings and regular expressions and the fixed
 * parts of templates are spaces. Quotes and line ends stay, code inside `${…}` stays.
 */
export function blankNonCode(text: string): string {
  const out = text.split("");
  const blank = (from: number, to: number): void => {
    for (let i = from; i < to && i < out.length; i++) if (out[i] !== "\n") out[i] = " ";
  };
  /** For every template that is open: how many braces are open inside its current `${…}`. */
  const templates: number[] = [];
  let at = 0;

  const skipTemplateText = (): void => {
    const start = at;
    while (at < text.length && text[at] !== "`" && !text.startsWith("${", at)) at += text[at] === "\\" ? 2 : 1;
    blank(start, at);
    if (text[at] === "`") {
      templates.pop();
      at++;
    } else at += 2;
  };

  while (at < text.length) {
    const character = text[at];
    if (text.startsWith("//", at)) {
      const end = text.indexOf("\n", at);
      const stop = end < 0 ? text.length : end;
      blank(at, stop);
      at = stop;
    } else if (text.startsWith("/*", at)) {
      const end = text.indexOf("*/", at + 2);
      const stop = end < 0 ? text.length : end + 2;
      blank(at, stop);
      at = stop;
    } else if (character === '"' || character === "'") {
      const start = ++at;
      while (at < text.length && text[at] !== character && text[at] !== "\n") at += text[at] === "\\" ? 2 : 1;
      blank(start, at);
      at++;
    } else if (character === "`") {
      templates.push(0);
      at++;
      skipTemplateText();
    } else if (character === "/" && regexMayStart(out, at)) {
      const start = ++at;
      for (let inClass = false; at < text.length && text[at] !== "\n" && (inClass || text[at] !== "/"); at++) {
        if (text[at] === "\\") at++;
        else if (text[at] === "[") inClass = true;
        else if (text[at] === "]") inClass = false;
      }
      blank(start, at);
      at++;
    } else {
      const top = templates.length - 1;
      if (character === "{" && top >= 0) templates[top]++;
      else if (character === "}" && top >= 0 && templates[top]-- === 0) {
        templates[top] = 0;
        at++;
        skipTemplateText();
        continue;
      }
      at++;
    }
  }
  return out.join("");
}

function regexMayStart(code: readonly string[], at: number): boolean {
  let before = at - 1;
  while (before >= 0 && /\s/.test(code[before])) before--;
  if (before < 0 || BEFORE_REGEX.has(code[before])) return true;
  return WORDS_BEFORE_REGEX.test(code.slice(Math.max(0, before - 12), before + 1).join(""));
}
