/**
 * From host names to IP addresses.
 *
 * @module
 */

import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { MxpError } from "../base/errors.ts";

/** What a host name stands for. */
export interface ResolvedHost {
  /** An IP address, IPv6 without brackets. */
  readonly host: string;
}

/**
 * The IP addresses of a host, in the system's order of preference and at least one. An IP address (IPv6 also in brackets)
 * is returned as it is, without asking anybody.
 *
 * Rejects with an {@link MxpError} `connect_failed`, `retryable` if the name server gave no answer.
 */
export async function resolveHost(host: string): Promise<readonly ResolvedHost[]> {
  const literal = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  if (isIP(literal) !== 0) return [{ host: literal }];
  let found: readonly { address: string }[];
  try {
    if (!isHostName(host)) throw Object.assign(new Error("not a host name"), { code: "EINVAL" });
    found = await lookup(host, { all: true, verbatim: true });
  } catch (cause) {
    const code = String((cause as { code?: unknown }).code ?? "unknown error");
    const retryable = code === "EAI_AGAIN" || code === "ETIMEOUT";
    throw new MxpError("connect_failed", `cannot find host ${JSON.stringify(host)}: ${explain(code)}`, {
      retryable,
      cause,
    });
  }
  const seen = new Set<string>();
  for (const { address } of found) seen.add(address);
  if (seen.size === 0) throw new MxpError("connect_failed", `host ${JSON.stringify(host)} has no address`);
  return [...seen].map((address) => ({ host: address }));
}

/** Excludes what no resolver could know, and what would look like something else in a message. */
function isHostName(host: string): boolean {
  return host.length > 0 && host.length <= 253 && !/[\s\p{Cc}/\\@:[\]?#]/u.test(host);
}

function explain(code: string): string {
  switch (code) {
    case "ENOTFOUND":
    case "ENODATA":
    case "EAI_NONAME":
      return "no such host";
    case "EAI_AGAIN":
    case "ETIMEOUT":
      return "the name server does not answer";
    case "EINVAL":
      return "not a host name";
    default:
      return code;
  }
}
