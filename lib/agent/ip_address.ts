/**
 * IP addresses as text: recognised, and brought into the one form that comparisons rely on. (The URL parsers of the
 * runtimes disagree about some mixed forms.)
 *
 * @module
 */

import { formatIpv6, parseIpv4, parseIpv6 } from "../codec/endpoint.ts";

/** Whether text is an IPv4 address in dotted decimal without leading zeros. */
export function isIpv4(text: string): boolean {
  return parseIpv4(text) !== undefined;
}

/** The shortest lower-case form of an IPv6 address (RFC 5952, without zone); undefined if it is not one. */
export function canonicalIpv6(text: string): string | undefined {
  const bytes = parseIpv6(text);
  return bytes === undefined ? undefined : formatIpv6(bytes);
}
