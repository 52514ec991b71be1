/**
 * What the plain carrier of a node may be told, and what it tells.
 *
 * @module
 */

import { isLoopback } from "../../base/address.ts";
import { MxpError } from "../../base/errors.ts";
import { parseHostPort } from "../mxp_url.ts";
import type { SocketStats } from "../connection_info.ts";
import { quote } from "../quote.ts";

/**
 * How a node serves programs of the published Rust runtime, which send messages in clear (SPEC §3.2). There is no encryption, and
 * nobody is who they say: whoever can send to the port, or fake the address of somebody who can, may register agents that
 * no key vouches for, find and call those, and call the node itself.
 */
export interface PlainOptions {
  /** Where to listen: `HOST:PORT` on this machine, such as `127.0.0.1:9001`. Port 0 takes any free one. */
  readonly listen: string;
  /** Allows addresses that other machines can reach. Default: such an address is refused. */
  readonly force?: boolean;
  /**
   * The one agent, by name or UUID, that may be called from here although it is connected with a key; calls without a
   * target go to it. Default: nobody, and calls without a target go to the node itself.
   */
  readonly callTarget?: string;
  /** Datagrams a second from one source: a port of this machine, or another machine. What is more is dropped. Default 500. */
  readonly maxRatePerSource?: number;
  /** Requests a second from everybody together. Default 5000. */
  readonly maxRate?: number;
  /** Calls from here that may run at once, and calls to agents here that may wait for an answer. Default 256 of each. */
  readonly maxCalls?: number;
  /** How long a call may take whose caller does not say, and the longest that any may. Default 60 000. */
  readonly callTimeoutMs?: number;
}

/** Numbers about a plain carrier. */
export interface PlainStats {
  /** Agents that are registered from here. */
  readonly agents: number;
  /** UDP datagrams that arrived. */
  readonly received: number;
  /** UDP datagrams that were sent. */
  readonly sent: number;
  /** Calls from here that run. */
  readonly running: number;
  /** Calls from here. */
  readonly calls: number;
  /** Calls to agents here: under way, made, answered (if only with an Error), and given up at their deadline. */
  readonly passedOn: {
    readonly running: number;
    readonly total: number;
    readonly answered: number;
    readonly expired: number;
  };
  /** Requests that were answered with an Error, by the name of the code; `application` and `unknown` for agents' own. */
  readonly refused: Readonly<Record<string, number>>;
  /** Datagrams that were dropped without an answer, and answers that were not sent, by the reason. */
  readonly dropped: Readonly<Record<PlainDrop, number>>;
  /** Its socket. */
  readonly socket: SocketStats;
}

/** Why nothing was done with a datagram. */
export type PlainDrop =
  /** Not one whole message: the named errors of SPEC §2.4. */
  | "short_buffer"
  | "wrong_magic"
  | "unknown_type"
  | "bad_flags"
  | "reserved_not_zero"
  | "payload_too_large"
  | "checksum_mismatch"
  | "trailing_bytes"
  /** More than the sender, or all together, may ask. */
  | "rate_limited"
  /** From an address that cannot be one. */
  | "bad_source"
  /** An answer to nothing that was asked there. */
  | "unmatched"
  /** An Ack or an extension message. */
  | "ignored"
  /** The same call again, while it runs. */
  | "duplicate"
  /** A call of this node that came back to it. */
  | "own_call"
  /** An answer longer than three times the question, to another machine whose budget of bytes is used up. */
  | "amplification";

/** All of them, so that each is visible before it has happened. */
export function noDrops(): Record<PlainDrop, number> {
  return {
    short_buffer: 0,
    wrong_magic: 0,
    unknown_type: 0,
    bad_flags: 0,
    reserved_not_zero: 0,
    payload_too_large: 0,
    checksum_mismatch: 0,
    trailing_bytes: 0,
    rate_limited: 0,
    bad_source: 0,
    unmatched: 0,
    ignored: 0,
    duplicate: 0,
    own_call: 0,
    amplification: 0,
  };
}

/** The options with defaults in place of what was left out. */
export interface PlainSettings extends Required<Omit<PlainOptions, "listen" | "callTarget">> {
  readonly listen: { readonly host: string; readonly port: number };
  readonly callTarget: string | undefined;
}

/** @throws {MxpError} `usage` for what makes no sense, and for an address that is not this machine's alone. */
export function plainSettings(options: PlainOptions): PlainSettings {
  const { force = false, callTarget } = options;
  const listen = parseHostPort(options.listen, 1);
  // The protocol's own port belongs to the secure carrier, so there is no default.
  if (listen.port !== parseHostPort(options.listen, 2).port) {
    throw new MxpError("usage", `the plain carrier needs a port, such as ${options.listen.replace(/:$/, "")}:9001`);
  }
  if (callTarget === "") throw new MxpError("usage", "the plain carrier's call target is empty");
  const settings = {
    listen,
    force,
    callTarget,
    maxRatePerSource: options.maxRatePerSource ?? 500,
    maxRate: options.maxRate ?? 5_000,
    maxCalls: options.maxCalls ?? 256,
    callTimeoutMs: options.callTimeoutMs ?? 60_000,
  };
  for (const name of ["maxRatePerSource", "maxRate", "maxCalls", "callTimeoutMs"] as const) {
    if (settings[name] >= 1 && Number.isFinite(settings[name])) continue;
    throw new MxpError("usage", `plain.${name} must be at least 1, got ${settings[name]}`);
  }
  return settings;
}

/** @throws {MxpError} `usage` if other machines can reach an address, and nobody said that they may. */
export function checkReach(host: string, { listen, force }: PlainSettings): void {
  if (force || isLoopback(host)) return;
  throw new MxpError(
    "usage",
    `other machines can reach ${quote(listen.host)}, and the plain carrier has no encryption and no keys; ` +
      "listen on 127.0.0.1, or force it (--plain-force, plain.force) if everybody there may do everything",
  );
}
