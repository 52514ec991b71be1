/**
 * Connecting to a node: who we are, whom we trust, how long we wait.
 *
 * @module
 */

import type { Client, Identity, MxpUrl, PeerInfo } from "../mod.ts";
import type { Console } from "./console.ts";
import type { Deadline } from "./deadline.ts";
import { CliError } from "./errors.ts";
import { checkFolder } from "./folder.ts";
import { callerIdentity, lastingIdentity } from "./identity.ts";
import type { Settings } from "./settings.ts";
import type { OptionSpec } from "./spec.ts";

/** The option that commands with a URL share. */
export const TRUST_NEW: OptionSpec = {
  flags: "--trust-new",
  description: "accept the key of a node that was never met, and remember it in the known-peers file",
};

/** What help says about URLs, below the options of commands that take one. */
export const URL_HELP: readonly string[] = [
  "URL is mxp://[KEY@]HOST[:PORT][/AGENT]: KEY the node's public key (43 characters), PORT 9000 if left out, AGENT an " +
  "agent's name or UUID, HOST a name, an IPv4 address or an IPv6 address in brackets.",
  "Without KEY, the known-peers file says which key the node must have. A node that is not in it is asked for its key: " +
  "on a terminal you decide, elsewhere it is refused (exit code 9) unless --trust-new is given. A changed key is always " +
  "refused.",
];

/** What {@link openConnection} needs. */
export interface ConnectionRequest {
  readonly url: MxpUrl;
  readonly settings: Settings;
  readonly console: Console;
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
  readonly trustNew: boolean;
  /** Use and keep tickets; `early`: and connect no sooner than with the first call, if there is one. */
  readonly tickets?: "resume" | "early" | undefined;
  /** Find out how large datagrams the path carries, and do not wait for data that would profit from it. */
  readonly probePath?: boolean;
  /** Who we are; default: as the settings say. */
  readonly identity?: Identity;
  /** The node has to know us again: the default identity is made if it is missing. */
  readonly lasting?: boolean;
}

/**
 * Connects to a node as the settings say.
 *
 * @throws {MxpError} as `connect` does; {@link CliError} `unknown_key` for a node that nobody vouches for.
 */
export async function openConnection(request: ConnectionRequest): Promise<Client> {
  const { url, settings, console, deadline, signal, trustNew } = request;
  const { connect, defaultKnownPeersPath, formatMxpUrl, knownPeersFile, ticketFiles, ticketsBeside } = await import(
    "../mod.ts"
  );
  if (settings.knownPeers !== undefined) await checkFolder(settings.knownPeers, "--known-peers");
  const identity = request.identity ??
    await (request.lasting ? lastingIdentity(settings, console) : callerIdentity(settings));
  const path = settings.knownPeers ?? defaultKnownPeersPath();
  const knownPeers = knownPeersFile(path, (problem) => console.note(problem));
  const tickets = request.tickets && ticketFiles(ticketsBeside(path), (problem) => console.note(problem));
  let refused: PeerInfo | undefined;
  let trusted: PeerInfo | undefined;
  let isLate = false;
  let client: Client;
  try {
    client = await connect(url, {
      identity,
      knownPeers,
      ...(tickets && { tickets, early: request.tickets === "early" }),
      ...(request.probePath && { settings: { pathMtuDiscovery: "always" } }),
      timeoutMs: deadline.forConnecting,
      signal,
      trust: async (peer) => {
        const late = deadline.isChosen ? AbortSignal.timeout(deadline.left) : undefined;
        if (trustNew || await askAbout(peer, path, console, late ? AbortSignal.any([signal, late]) : signal)) {
          trusted = peer;
        } else refused = peer;
        isLate = late?.aborted === true;
        return trusted !== undefined;
      },
    });
  } catch (error) {
    if (refused === undefined) throw error;
    if (isLate) {
      const text = `nobody has said in time whether to trust the node at ${refused.address}; allow more with --timeout`;
      throw new CliError("deadline", text);
    }
    throw new CliError(
      "unknown_key",
      `the node at ${refused.address} was never met; its fingerprint is ${refused.fingerprint}. If that is right, add ` +
        `--trust-new, or use the URL with its key: ${formatMxpUrl({ ...url, publicKey: refused.publicKey })}`,
    );
  }
  if (trusted !== undefined && trustNew) {
    console.note(`new node ${trusted.address}, fingerprint ${trusted.fingerprint}: added to ${path}`);
  }
  const { kind, pattern, suite, ms } = client.handshake;
  // An early connection begins with the first call.
  if (ms > 0) console.debug(`connected to ${client.peer.address}: ${kind}, ${pattern}, ${suite}, ${ms.toFixed(2)} ms`);
  return client;
}

/** Asks whoever sits at the terminal; false if nobody does. */
async function askAbout(peer: PeerInfo, path: string, console: Console, signal: AbortSignal): Promise<boolean> {
  if (!console.canAsk) return false;
  const { bold } = console.colors.stderr;
  const answer = await console.ask(
    `The node at ${peer.address} was never met. Compare its fingerprint with what its owner says:\n` +
      `  key          ${peer.publicKeyText}\n  fingerprint  ${bold(peer.fingerprint)}\n` +
      `Trust it, and remember it in ${path}? (y/N) `,
    signal,
  );
  return /^y(es)?$/i.test(answer.trim());
}
