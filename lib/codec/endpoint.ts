/**
 * IP addresses and ports as bytes and as text. IPv6 text is written as RFC 5952 recommends.
 *
 * @module
 */

import { type Address, address } from "../base/address.ts";
import { readU16 } from "../base/bytes.ts";

/** Length of an IPv4 endpoint: four address bytes in network order, port u16 (little-endian, like everything else). */
export const ENDPOINT4_BYTES = 6;
/** Length of an IPv6 endpoint: sixteen address bytes in network order, port u16. */
export const ENDPOINT6_BYTES = 18;

/** The four bytes of an IPv4 address in dotted decimal, without leading zeros; undefined for anything else. */
export function parseIpv4(text: string): Uint8Array | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  const out = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = match[i + 1];
    const value = Number(part);
    if (value > 255 || (part.length > 1 && part[0] === "0")) return undefined;
    out[i] = value;
  }
  return out;
}

/** The sixteen bytes of an IPv6 address without brackets or zone; undefined for anything else. */
export function parseIpv6(text: string): Uint8Array | undefined {
  if (text.length > 45 || !/^[0-9a-fA-F:.]+$/.test(text)) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groups(halves[0], halves.length === 1);
  const tail = groups(halves[1] ?? "", true);
  if (head === undefined || tail === undefined) return undefined;
  const count = head.length + tail.length;
  // `::` stands for at least one group of zeros.
  if (halves.length === 1 ? count !== 16 : count > 14) return undefined;
  const out = new Uint8Array(16);
  out.set(head, 0);
  out.set(tail, 16 - tail.length);
  return out;
}

/** The bytes of groups between colons; the last may be an IPv4 address where that is allowed. */
function groups(text: string, ipv4Allowed: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const out: number[] = [];
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (part.includes(".")) {
      const ipv4 = ipv4Allowed && i === parts.length - 1 ? parseIpv4(part) : undefined;
      if (ipv4 === undefined) return undefined;
      out.push(...ipv4);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      const value = parseInt(part, 16);
      out.push(value >>> 8, value & 0xff);
    }
  }
  return out.length > 16 ? undefined : out;
}

/** The text of the four bytes at `at`. */
export function formatIpv4(bytes: Uint8Array, at = 0): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** The text of the sixteen bytes at `at`: lower case, the longest run of zero groups as `::`, IPv4-mapped in dotted decimal. */
export function formatIpv6(bytes: Uint8Array, at = 0): string {
  const values = Array.from({ length: 8 }, (_, i) => (bytes[at + 2 * i] << 8) | bytes[at + 2 * i + 1]);
  if (values.slice(0, 5).every((value) => value === 0) && values[5] === 0xffff) {
    return `::ffff:${formatIpv4(bytes, at + 12)}`;
  }
  let bestStart = -1, bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && values[start + length] === 0) length++;
    if (length > bestLength) bestStart = start, bestLength = length;
  }
  const hex = values.map((value) => value.toString(16));
  if (bestStart < 0) return hex.join(":");
  return `${hex.slice(0, bestStart).join(":")}::${hex.slice(bestStart + bestLength).join(":")}`;
}

/** The endpoint in the 6 bytes at `at`; undefined for 0.0.0.0:0, which means "over this connection". */
export function readEndpoint4(bytes: Uint8Array, at: number): Address | undefined {
  const port = readU16(bytes, at + 4);
  const host = formatIpv4(bytes, at);
  return port === 0 && host === "0.0.0.0" ? undefined : address(host, port);
}

/** The endpoint in the 18 bytes at `at`. */
export function readEndpoint6(bytes: Uint8Array, at: number): Address {
  return address(formatIpv6(bytes, at), readU16(bytes, at + 16));
}

/**
 * Parses `1.2.3.4:9000` or `[2001:db8::1]:9000`. Undefined for anything else, names included.
 */
export function parseEndpoint(text: string): Address | undefined {
  const match = /^(?:\[([^\]]{2,45})\]|([0-9.]{7,15})):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  if (match[1] === undefined) return parseIpv4(match[2]) === undefined ? undefined : address(match[2], port);
  const bytes = parseIpv6(match[1]);
  return bytes === undefined ? undefined : address(formatIpv6(bytes), port);
}
