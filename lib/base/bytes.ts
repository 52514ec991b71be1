/**
 * Small functions over bytes: little-endian integers, comparison, hex, base64url.
 *
 * 64-bit values come in two forms (docs/adr/0004): counters and limits are safe integers (`readSafeU64` says −1 for
 * anything above 2^53 − 1), ids are two 32-bit halves.
 *
 * @module
 */

const TWO_32 = 0x1_0000_0000;
/** Exclusive upper bound of the high half of a safe integer. */
const SAFE_HIGH = 0x20_0000;

/** Reads a u16. */
export function readU16(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8);
}

/** Reads a u32. */
export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

/** Reads a u64 that must be a safe integer; −1 if it is above 2^53 − 1. */
export function readSafeU64(bytes: Uint8Array, at: number): number {
  const high = readU32(bytes, at + 4);
  return high >= SAFE_HIGH ? -1 : high * TWO_32 + readU32(bytes, at);
}

/** Writes a u16; returns the position behind it. */
export function writeU16(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  return at + 2;
}

/** Writes a u32; returns the position behind it. */
export function writeU32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
  return at + 4;
}

/** Writes a safe integer as a u64; returns the position behind it. */
export function writeSafeU64(bytes: Uint8Array, at: number, value: number): number {
  writeU32(bytes, at, value >>> 0);
  return writeU32(bytes, at + 4, (value / TWO_32) >>> 0);
}

/** Whether two byte strings are equal. Takes as long as the common prefix: never use it on secrets. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Whether two secrets are equal, in time that depends on their length alone. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

/** Joins byte strings into a new one. */
export function concatBytes(...parts: Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += bytes[i].toString(16).padStart(2, "0");
  return text;
}

/** Parses hex of either case; undefined if it is not hex. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return out;
}

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** base64url without padding (RFC 4648 §5). */
export function toBase64Url(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const group = (bytes[i] << 16) | ((left > 1 ? bytes[i + 1] : 0) << 8) |
      (left > 2 ? bytes[i + 2] : 0);
    text += BASE64URL[group >>> 18] + BASE64URL[(group >>> 12) & 63];
    if (left > 1) text += BASE64URL[(group >>> 6) & 63];
    if (left > 2) text += BASE64URL[group & 63];
  }
  return text;
}

/** Parses canonical base64url without padding; undefined if it is anything else. */
export function fromBase64Url(text: string): Uint8Array | undefined {
  if (text.length % 4 === 1) return undefined;
  const out = new Uint8Array(Math.floor(text.length * 3 / 4));
  let at = 0, group = 0, bits = 0;
  for (const character of text) {
    const value = BASE64URL.indexOf(character);
    if (value < 0) return undefined;
    group = (group << 6) | value;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = group >>> bits;
      group &= (1 << bits) - 1;
    }
  }
  return group === 0 ? out : undefined;
}
