/**
 * Text from outside (URLs, files, peers) made safe to show in an error, a log line or a terminal.
 *
 * @module
 */

/** C0, DEL, C1, bidirectional controls, line separators, byte-order mark, lone surrogates. */
// deno-lint-ignore no-control-regex -- these are what must not reach a terminal
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\p{Surrogate}"\\]/gu;

function escape(character: string): string {
  if (character === '"' || character === "\\") return "\\" + character;
  return "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0");
}

/**
 * Puts text in double quotes on one line: control and bidirectional characters are escaped, long text is cut with `…`.
 *
 * @example
 * ```ts
 * import { quote } from "./quote.ts";
 * console.log(quote("a\u001b[31mb")); // "a\u001b[31mb", with the escape spelled out
 * ```
 */
export function quote(text: string, maxLength = 80): string {
  const cut = text.length > maxLength;
  return '"' + (cut ? text.slice(0, maxLength) : text).replace(UNSAFE, escape) + (cut ? "…" : "") + '"';
}

/** The same escapes without the quotes and without the cut: for columns of a table. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (character) => character === '"' || character === "\\" ? character : escape(character));
}
