/**
 * UTF-8, strictly: no overlong forms, no surrogates, nothing cut off.
 *
 * @module
 */

/** A byte order mark is a character like any other. */
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Up to this length a loop over ASCII beats a call of the decoder. */
const SHORT = 64;

/** The text of `bytes[start, end)`; undefined if it is not valid UTF-8. */
export function readUtf8(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start <= SHORT) {
    let text = "";
    let at = start;
    for (; at < end && bytes[at] < 0x80; at++) text += String.fromCharCode(bytes[at]);
    if (at === end) return text;
  }
  try {
    return DECODER.decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
}

/** How many bytes a text takes as UTF-8. A lone surrogate counts as the U+FFFD that {@link writeUtf8} makes of it. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    length++;
    if (unit < 0x800) continue;
    length++;
    // A pair is two units and four bytes, so its second unit adds nothing more.
    if (isPair(text, i, unit)) i++;
  }
  return length;
}

/** Writes a text as UTF-8; returns the position behind it. The caller has made room. */
export function writeUtf8(out: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) {
    let unit = text.charCodeAt(i);
    if (unit < 0x80) {
      out[at++] = unit;
    } else if (unit < 0x800) {
      out[at++] = 0xc0 | (unit >> 6);
      out[at++] = 0x80 | (unit & 0x3f);
    } else if (isPair(text, i, unit)) {
      const point = text.codePointAt(i++) ?? 0;
      out[at++] = 0xf0 | (point >> 18);
      out[at++] = 0x80 | ((point >> 12) & 0x3f);
      out[at++] = 0x80 | ((point >> 6) & 0x3f);
      out[at++] = 0x80 | (point & 0x3f);
    } else {
      if (unit >= 0xd800 && unit <= 0xdfff) unit = 0xfffd;
      out[at++] = 0xe0 | (unit >> 12);
      out[at++] = 0x80 | ((unit >> 6) & 0x3f);
      out[at++] = 0x80 | (unit & 0x3f);
    }
  }
  return at;
}

/** A text as UTF-8, in bytes of its own. */
export function toUtf8(text: string): Uint8Array {
  const out = new Uint8Array(utf8Length(text));
  writeUtf8(out, 0, text);
  return out;
}

/** Whether the units at `i` and behind it are a surrogate pair. */
function isPair(text: string, i: number, unit: number): boolean {
  if (unit < 0xd800 || unit > 0xdbff) return false;
  const next = text.charCodeAt(i + 1);
  return next >= 0xdc00 && next <= 0xdfff;
}
