/**
 * UUIDs (RFC 9562) as 16 bytes in network order, and their text.
 *
 * @module
 */

import { bytesEqual, fromHex } from "./bytes.ts";

/** Length of a UUID in bytes. */
export const UUID_BYTES = 16;

/** The text of the nil UUID, which as a target means the node itself. */
export const NIL_UUID_TEXT = "00000000-0000-0000-0000-000000000000";

/** Two hex digits for every byte. Read only. */
const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The nil UUID, 16 zero bytes. New at every call, because bytes can be written to. */
export function nilUuid(): Uint8Array {
  return new Uint8Array(UUID_BYTES);
}

/** Whether the 16 bytes at `at` are the nil UUID. */
export function isNilUuid(bytes: Uint8Array, at = 0): boolean {
  let seen = 0;
  for (let i = 0; i < UUID_BYTES; i++) seen |= bytes[at + i];
  return seen === 0;
}

/** Whether two UUIDs are the same. */
export function uuidEqual(a: Uint8Array, b: Uint8Array): boolean {
  return bytesEqual(a, b);
}

/** The text of the 16 bytes at `at`: lower-case hex in the groups 8-4-4-4-12. */
export function formatUuid(bytes: Uint8Array, at = 0): string {
  if (!(at >= 0 && at + UUID_BYTES <= bytes.length)) {
    throw new RangeError(`a UUID at ${at} does not fit into ${bytes.length} bytes`);
  }
  const b = bytes;
  return HEX[b[at]] + HEX[b[at + 1]] + HEX[b[at + 2]] + HEX[b[at + 3]] + "-" +
    HEX[b[at + 4]] + HEX[b[at + 5]] + "-" + HEX[b[at + 6]] + HEX[b[at + 7]] + "-" +
    HEX[b[at + 8]] + HEX[b[at + 9]] + "-" +
    HEX[b[at + 10]] + HEX[b[at + 11]] + HEX[b[at + 12]] + HEX[b[at + 13]] + HEX[b[at + 14]] + HEX[b[at + 15]];
}

/**
 * Parses the text of a UUID: hex of either case in the groups 8-4-4-4-12, of any version and variant. Undefined for
 * anything else (braces, `urn:uuid:`, missing hyphens).
 */
export function parseUuid(text: string): Uint8Array | undefined {
  if (text.length !== 36) return undefined;
  if (text[8] !== "-" || text[13] !== "-" || text[18] !== "-" || text[23] !== "-") return undefined;
  return fromHex(text.slice(0, 8) + text.slice(9, 13) + text.slice(14, 18) + text.slice(19, 23) + text.slice(24));
}

/**
 * Makes a version 4 UUID of 16 random bytes, which are copied.
 *
 * @throws RangeError if there are not 16.
 */
export function uuidV4(random: Uint8Array): Uint8Array {
  if (random.length !== UUID_BYTES) throw new RangeError(`expected 16 random bytes, got ${random.length}`);
  const uuid = random.slice();
  uuid[6] = (uuid[6] & 0x0f) | 0x40;
  uuid[8] = (uuid[8] & 0x3f) | 0x80;
  return uuid;
}
