/**
 * Addresses to listen on: what a name stands for, and what is in the way.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import { canonicalIpv6, isIpv4 } from "./ip_address.ts";
import type { Platform } from "./platform.ts";

/** The IP address of a host. @throws {MxpError} `config` if the name is unknown. */
export async function addressOf(platform: Platform, host: string): Promise<string> {
  if (isIpv4(host) || canonicalIpv6(host) !== undefined) return host;
  try {
    const addresses = await platform.resolveHost(host);
    // `localhost` has two, and the older one is what most others expect.
    return (addresses.find((address) => isIpv4(address.host)) ?? addresses[0]).host;
  } catch (cause) {
    throw new MxpError("config", `cannot listen on ${host}: ${(cause as Error).message}`, { cause });
  }
}

/** Why a socket could not be bound, in words. */
export function bindProblem(cause: unknown): string {
  const { code, message } = cause as { code?: string; message?: string };
  switch (code) {
    case "EADDRINUSE":
      return "the port is taken (is another node running there?)";
    case "EACCES":
      return "no permission (ports below 1024 need privileges)";
    case "EADDRNOTAVAIL":
      return "this machine has no such address";
    default:
      return message ?? String(cause);
  }
}
