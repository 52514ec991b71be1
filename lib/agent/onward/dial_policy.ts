/**
 * Whom a client dials because a node has named the address (SPEC §8.15). The address is whatever the agent has said of itself, and nobody
 * has checked it; only the key is proven. So nothing is told to a stranger, but the first packet still goes somewhere: it must not go where
 * only this machine and its neighbours can send.
 *
 * @module
 */

import type { Address } from "../../base/address.ts";
import { MxpError } from "../../base/errors.ts";
import { parseEndpoint, parseIpv4, parseIpv6 } from "../../codec/endpoint.ts";
import type { Agent } from "../registry/agent_card.ts";
import { aboutOthers } from "../handler_failure.ts";
import { type MxpUrl, parsePublicKey } from "../mxp_url.ts";
import { quote } from "../quote.ts";

/** What kind of address it is, as far as dialling it is concerned. Private networks are where meshes live: they are routed ones. */
export type AddressKind =
  /** May be reached from elsewhere. */
  | "routed"
  /** Means another machine to everybody: its own. */
  | "loopback"
  /** Means another machine on every link; where clouds keep the secrets of their machines. */
  | "link_local"
  /** Nobody in particular: multicast, broadcast, reserved, or no address at all. */
  | "nobody";

/** @param host an IP address. */
export function addressKind(host: string): AddressKind {
  const ipv4 = parseIpv4(host);
  if (ipv4 !== undefined) return kindOfIpv4(ipv4);
  const ipv6 = parseIpv6(host);
  if (ipv6 === undefined) return "nobody";
  const embedded = embeddedIpv4(ipv6);
  if (embedded !== undefined) return kindOfIpv4(embedded);
  const isZero = ipv6.subarray(0, 15).every((byte) => byte === 0);
  if (isZero) return ipv6[15] === 1 ? "loopback" : "nobody";
  if (ipv6[0] === 0xff) return "nobody";
  return ipv6[0] === 0xfe && (ipv6[1] & 0xc0) === 0x80 ? "link_local" : "routed";
}

function kindOfIpv4([first, second]: Uint8Array): AddressKind {
  // RFC 6890: 0/8 is this host, 240/4 is reserved, broadcast included.
  if (first === 0 || first >= 224) return "nobody";
  if (first === 127) return "loopback";
  return first === 169 && second === 254 ? "link_local" : "routed";
}

/** The IPv4 address that an IPv6 address stands for: mapped (::ffff:0:0/96), translated (64:ff9b::/96, RFC 6052), or 6to4 (2002::/16, RFC 3056). */
function embeddedIpv4(ipv6: Uint8Array): Uint8Array | undefined {
  if (ipv6[0] === 0x20 && ipv6[1] === 0x02) return ipv6.subarray(2, 6);
  const isMapped = ipv6.subarray(0, 10).every((byte) => byte === 0) && ipv6[10] === 0xff && ipv6[11] === 0xff;
  const isTranslated = ipv6[0] === 0 && ipv6[1] === 0x64 && ipv6[2] === 0xff && ipv6[3] === 0x9b &&
    ipv6.subarray(4, 12).every((byte) => byte === 0);
  // The form that came before the mapped one (RFC 4291 §2.5.5.1); :: and ::1 are no such addresses.
  const isCompatible = ipv6.subarray(0, 12).every((byte) => byte === 0) && (ipv6[12] | ipv6[13] | ipv6[14]) !== 0;
  return isMapped || isTranslated || isCompatible ? ipv6.subarray(12) : undefined;
}

/** Why an address is not dialled; undefined if it may be. @param from the IP address of the node that has named it. */
export function whyNotDialled(host: string, from: string, allowLocal: boolean): string | undefined {
  const kind = addressKind(host);
  if (kind === "nobody") return "is no address that a single machine can have";
  if (kind === "routed" || allowLocal) return undefined;
  const node = addressKind(from);
  // A node on this machine, or on this link, may well know others there.
  if (node === "loopback" || node === kind) return undefined;
  return kind === "loopback"
    ? "is a loopback address, which means this machine, and the node is on another one"
    : "is a link-local address, and the node is not on this link";
}

/**
 * Whether others would dial an agent that registers this endpoint: `IP:PORT`, of one machine, that means the same to everybody. With
 * `allowLocal`, whether those on the same machine or link would.
 */
export function mayBeDialled(endpoint: string, { allowLocal = false }: DirectOptions = {}): boolean {
  const address = parseEndpoint(endpoint);
  if (address === undefined || address.port === 0) return false;
  const kind = addressKind(address.host);
  return kind === "routed" || (allowLocal && kind !== "nobody");
}

/** What a caller wants of an agent's own address. */
export interface DirectOptions {
  /** Dials loopback and link-local addresses, too, although the node that names them is elsewhere. */
  readonly allowLocal?: boolean;
}

/**
 * Which of the agents that a node has listed is dialled, and where: of those that say where, and are not offline, the one that
 * has the least to do.
 *
 * @param wanted names them in errors.
 * @param from the IP address of the node that has listed them.
 * @param turn so that equals take turns.
 * @throws {MxpError} `no_such_agent`; `connect_failed` if it cannot be dialled.
 */
export function directUrl(
  agents: readonly Agent[],
  wanted: string,
  from: string,
  { allowLocal = false }: DirectOptions,
  turn: number,
): MxpUrl & { readonly agent: string } {
  const alive = agents.filter(({ status }) => status !== "offline");
  if (alive.length === 0) throw aboutOthers(new MxpError("no_such_agent", `no agent ${wanted}`, { nothingDone: true }));
  let reason =
    `${wanted} has no address of its own: it is reached over the node's connection only; go through the node`;
  const choices: { readonly url: MxpUrl & { readonly agent: string }; readonly rank: number }[] = [];
  for (const { id, endpoint, publicKey, status, load = 0 } of alive) {
    const address = endpoint === undefined ? undefined : parseEndpoint(endpoint);
    if (address === undefined) continue;
    const why = address.port === 0 ? "has no port" : whyNotDialled(address.host, from, allowLocal);
    const key = keyOf(publicKey);
    if (why !== undefined || key === undefined) {
      reason = why === undefined ? `${wanted} has shown no key to the node` : notDialled(wanted, address, why);
      continue;
    }
    const url = { host: address.host, port: address.port, publicKey: key, agent: id };
    choices.push({ url, rank: load + (status === "degraded" ? 1_000_000 : 0) });
  }
  if (choices.length === 0) throw new MxpError("connect_failed", reason, { nothingDone: true });
  const least = Math.min(...choices.map(({ rank }) => rank));
  const best = choices.filter(({ rank }) => rank === least);
  return best[turn % best.length].url;
}

function notDialled(wanted: string, { key }: Address, why: string): string {
  return `${wanted} says that it is at ${key}, which ${why}; it was not dialled`;
}

/** Nodes verify keys, but who knows about this one. */
function keyOf(publicKey: string | undefined): Uint8Array | undefined {
  try {
    return publicKey === undefined ? undefined : parsePublicKey(publicKey);
  } catch {
    return undefined;
  }
}

/** Names in errors whom a direct call is for. */
export function wantedText(target: string | { readonly capability: string }, node: string): string {
  return typeof target === "string" ? `${quote(target)} at ${node}` : `with ${quote(target.capability)} at ${node}`;
}
