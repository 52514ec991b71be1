/**
 * Whose a registration is that came in clear: nobody's but the address's that it came from (SPEC §3.2).
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { ENDPOINT6_BYTES, parseIpv4, parseIpv6 } from "../codec/endpoint.ts";
import { PUBLIC_KEY_BYTES } from "../codec/payloads/agent_record.ts";

/**
 * The owner that stands for a source address: the address and the port. It is shorter than every key, so no address is
 * ever taken for the owner of what belongs to a key, nor the other way round. Undefined for what is no IP address.
 */
export function plainOwner({ host, port }: Address): Uint8Array | undefined {
  const [plain] = host.split("%", 1);
  const ipv4 = parseIpv4(plain);
  const ipv6 = ipv4 === undefined ? parseIpv6(plain) : undefined;
  if (ipv4 === undefined && ipv6 === undefined) return undefined;
  const owner = new Uint8Array(ENDPOINT6_BYTES);
  if (ipv6 !== undefined) owner.set(ipv6);
  else {
    // As IPv6 writes IPv4 addresses (RFC 4291 §2.5.5.2).
    owner.fill(0xff, 10, 12);
    owner.set(ipv4!, 12);
  }
  owner[16] = port;
  owner[17] = port >>> 8;
  return owner;
}

/** Whether an owner is an address rather than a key. */
export function isPlainOwner(owner: Uint8Array): boolean {
  return owner.length !== PUBLIC_KEY_BYTES;
}
