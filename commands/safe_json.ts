/**
 * JSON that may be looked at on a terminal, whoever chose the texts in it.
 *
 * @module
 */

/** JSON on one line, without characters that only mislead or command a terminal; JSON itself escapes some of them. */
export function safeJson(value: unknown): string {
  return JSON.stringify(value).replace(/[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, escaped);
}

function escaped(character: string): string {
  return "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0");
}
