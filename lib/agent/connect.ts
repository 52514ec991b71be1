/**
 * Getting from a URL to a client: which key to expect, which address answers, whether to trust a key that was never
 * seen.
 *
 * @module
 */

import { address, formatHostPort } from "../base/address.ts";
import { bytesEqual, toBase64Url } from "../base/bytes.ts";
import { MxpError } from "../base/errors.ts";
import { millis } from "../base/time.ts";
import { MAX_PAYLOAD_BYTES } from "../codec/message_header.ts";
import { CallMessages } from "../mesh/call_messages.ts";
import { Endpoint } from "../transport/endpoint.ts";
import { largestDatagram } from "../transport/mtu_discovery.ts";
import type { TransportSettings } from "../transport/settings.ts";
import { TransportError } from "../wire/error_codes.ts";
import { type ConnectionEnd, connectionEnded, describeClose } from "./calls/call_failure.ts";
import type { HostOptions } from "./agent_host.ts";
import { Client, type ClientParts } from "./client.ts";
import { defaultPlatform } from "./default_platform.ts";
import { deferred } from "./deferred.ts";
import { startDriver } from "./driver.ts";
import { type Identity, keyPairOf, newIdentity } from "./identity.ts";
import { canonicalIpv6, isIpv4 } from "./ip_address.ts";
import type { KnownPeer, KnownPeers } from "./known_peers.ts";
import { formatMxpUrl, type MxpUrl, parseMxpUrl } from "./mxp_url.ts";
import { noAnswer } from "./no_answer.ts";
import { type PeerInfo, peerInfo } from "./peer_info.ts";
import type { Platform } from "./platform.ts";
import { Resumption } from "./tickets/resumption.ts";
import { Session } from "./session.ts";
import type { TicketStore } from "./tickets/tickets.ts";
import { checkTimeout } from "./time_limit.ts";
import { clientSettings } from "./transport_settings.ts";

/** How long a handshake may take unless `connect` is told otherwise. */
export const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
/** Head start of each address of a host over the next one (RFC 8305 §8 recommends 250 ms). */
const ADDRESS_STAGGER_MS = 250;
/** Addresses of a host that are tried. */
const MAX_ADDRESSES = 4;

/** What to do about a node whose key neither the URL nor the known-peers file names. */
export type Trust = "known" | "new" | ((peer: PeerInfo) => boolean | Promise<boolean>);

/** What `connect` may be told. */
export interface ConnectOptions extends HostOptions {
  /** Who we are; default: a fresh identity for this connection. */
  readonly identity?: Identity;
  /** Keys seen before. A URL without a key is looked up here; keys that are trusted are added. */
  readonly knownPeers?: KnownPeers;
  /**
   * For a node that nothing vouches for: `known` refuses it (the default), `new` trusts it and remembers it, a function
   * is asked before anything else is sent.
   */
  readonly trust?: Trust;
  /** How long the handshake may take; default 10 000. */
  readonly timeoutMs?: number;
  /** Gives the attempt up. */
  readonly signal?: AbortSignal;
  /** Told of a fault of this library, which has ended the connection. */
  readonly onInternalError?: (error: unknown) => void;
  /**
   * Tickets of earlier connections, and where new ones are kept: with one, the handshake costs both sides less. The node knows that it is the same
   * client, even one without an identity. Without a store every connection begins with a full handshake.
   */
  readonly tickets?: TicketStore;
  /**
   * With a ticket at hand, return at once, and connect when the first call is made, which goes along with the first UDP datagram if it is
   * `idempotent`. That nobody answers, or that the node refuses us, is then said by calls. Without a ticket, nothing changes.
   */
  readonly early?: boolean;
  /** Tunes the transport. */
  readonly settings?: Partial<TransportSettings>;
  /** Replaces sockets, time, randomness and cryptography; for tests. */
  readonly platform?: Platform;
}

/** What vouches for a node's key. */
interface Expectation {
  readonly publicKey: Uint8Array;
  /** The line of the known-peers file; undefined if it is the URL. */
  readonly known: KnownPeer | undefined;
}

/** What an attempt to reach one address needs. */
interface Attempt {
  readonly platform: Platform;
  readonly url: MxpUrl;
  readonly options: ConnectOptions;
  readonly identity: Identity;
  readonly expected: Expectation | undefined;
  readonly timeoutMs: number;
  readonly resumption: Resumption;
}

/** A connection that got as far as a handshake that succeeded. */
interface Reached {
  readonly session: Session;
  readonly messages: CallMessages;
  readonly ended: Promise<ConnectionEnd>;
}

/**
 * Connects to a node.
 *
 * @param target `mxp://[KEY@]HOST[:PORT][/AGENT]`, as text or as a URL, or its parts.
 * @throws {MxpError} `usage` (the URL), `connect_failed` (nobody answers), `key_mismatch` (the node holds another key,
 * or nothing vouches for its key), `handshake_failed`, `refused`, `cancelled`, `config` (the known-peers file).
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../mod.ts";
 * await using server = await serve({ listen: "127.0.0.1:0" }, (payload) => payload);
 * await using client = await connect(server.url, { timeoutMs: 2_000 });
 * const reply = await client.call("hello", { timeoutMs: 1_000 });
 * console.log(reply.text()); // hello
 * ```
 *
 * Either side of a connection may ask the other. With `handlers`, this one answers, too:
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../mod.ts";
 * await using server = await serve({ listen: "127.0.0.1:0" }, async (_payload, context) => {
 *   const name = await context.client().call("who are you?");
 *   return `hello, ${name.text()}`;
 * });
 * await using client = await connect(server.url, { handlers: { call: () => "Ada" } });
 * console.log((await client.call()).text()); // hello, Ada
 * ```
 */
export async function connect(target: string | URL | MxpUrl, options: ConnectOptions = {}): Promise<Client> {
  if (target instanceof URL) target = target.href;
  if (typeof target !== "string" && typeof (target as Partial<MxpUrl> | null | undefined)?.host !== "string") {
    const seen = target === null ? "null" : typeof target;
    throw new MxpError("usage", `a target is a URL as text, or its parts with a host, got ${seen}`);
  }
  const url = parseMxpUrl(typeof target === "string" ? target : formatMxpUrl(target));
  const { signal, knownPeers, timeoutMs = DEFAULT_CONNECT_TIMEOUT_MS } = options;
  checkTimeout(timeoutMs);
  if (timeoutMs === 0) throw new MxpError("usage", "timeoutMs must be above 0, got 0");
  const where = formatHostPort(url.host, url.port);
  throwIfAborted(signal, where);
  const platform = options.platform ?? defaultPlatform();
  const identity = options.identity ?? newIdentity(platform.crypto, platform.random);
  const expected = await expectation(url, knownPeers);
  const resumption = new Resumption(options.tickets, options.identity?.publicKey);
  if (expected !== undefined) await resumption.take(expected.publicKey);
  const attempt: Attempt = { platform, url, options, identity, expected, timeoutMs, resumption };
  const addresses = preferred(await addressesOf(platform, url, where), resumption.taken?.address);
  if (options.early === true && expected !== undefined && resumption.taken !== undefined) {
    return await prepare(attempt, addresses[0], expected.publicKey, where);
  }
  const reached = await reachAny(attempt, addresses, where);
  const { session } = reached;
  try {
    const { connection } = session.link;
    const peer = peerInfo(platform.crypto, connection.peerKey!, connection.remote.key, url.host, url.port);
    if (expected === undefined) await judge(peer, options, where);
    throwIfAborted(signal, where);
    if (session.closeReason !== undefined) {
      throw connectionEnded(session.closeReason, `the connection to ${where}`, true);
    }
    resumption.trust(peer.publicKey, connection.remote.host);
    return new Client({ platform, url, peer, resumption, ...anew(attempt, peer), ...reached });
  } catch (error) {
    session.close(TransportError.NOT_ALLOWED, "");
    await release(session);
    throw error;
  }
}

/** A client whose connection begins with what is first asked of it. */
async function prepare(attempt: Attempt, host: string, nodeKey: Uint8Array, where: string): Promise<Client> {
  const { platform, url, options, resumption } = attempt;
  const { signal } = options;
  throwIfAborted(signal, where);
  const opened = await open(attempt, host, where, true);
  const { session, messages, ended, established } = opened;
  const onAbort = (): void => session.close();
  signal?.addEventListener("abort", onAbort, { once: true });
  const stopListening = (): void => signal?.removeEventListener("abort", onAbort);
  established.then(stopListening, stopListening);
  if (signal?.aborted) onAbort();
  throwIfAborted(signal, where);
  const { remote } = session.link.connection;
  const peer = peerInfo(platform.crypto, nodeKey, remote.key, url.host, url.port);
  resumption.trust(nodeKey, remote.host);
  return new Client({ platform, url, peer, session, messages, ended, resumption, ...anew(attempt, peer) });
}

/** What a client needs to make another connection like its own. */
function anew(
  { url, options, identity }: Attempt,
  { publicKey }: PeerInfo,
): Pick<ClientParts, "reconnect" | "identity" | "connect" | "hosting"> {
  const { handlers, onHandlerError, knownPeers, settings, tickets, platform } = options;
  return {
    identity,
    hosting: { ...(handlers && { handlers }), ...(onHandlerError && { onHandlerError }) },
    // Whom the application trusts to be this node says nothing about others: they need a key, or a known one.
    connect: (other, signal) =>
      connect(other, {
        identity,
        signal,
        ...(knownPeers && { knownPeers }),
        ...(settings && { settings }),
        ...(tickets && { tickets }),
        ...(platform && { platform }),
      }),
    reconnect: (signal) => connect({ ...url, publicKey }, { ...options, identity, early: false, signal }),
  };
}

/** The address at which the node was when it gave the ticket goes first, if it is still one of them. */
function preferred(addresses: readonly string[], address: string | undefined): readonly string[] {
  if (address === undefined || !addresses.includes(address)) return addresses;
  return [address, ...addresses.filter((other) => other !== address)];
}

/** The key that the node must hold: the URL says, else the known-peers file. */
async function expectation(url: MxpUrl, knownPeers: KnownPeers | undefined): Promise<Expectation | undefined> {
  if (url.publicKey !== undefined) return { publicKey: url.publicKey, known: undefined };
  const known = await knownPeers?.lookup(url.host, url.port);
  return known && { publicKey: known.publicKey, known };
}

/** Decides about a key that nothing vouches for. */
async function judge(peer: PeerInfo, options: ConnectOptions, where: string): Promise<void> {
  const { trust = "known", knownPeers } = options;
  const isTrusted = trust === "new" || (typeof trust === "function" && await trust(peer));
  if (!isTrusted) {
    const why = typeof trust === "function"
      ? "was not trusted"
      : "is not known: put it into the URL (mxp://KEY@HOST) or trust it as new";
    throw new MxpError("key_mismatch", `the key of ${where}, ${peer.publicKeyText} (${peer.fingerprint}), ${why}`);
  }
  await knownPeers?.add(peer.host, peer.port, peer.publicKey);
}

async function addressesOf(platform: Platform, url: MxpUrl, where: string): Promise<readonly string[]> {
  if (isIpv4(url.host) || canonicalIpv6(url.host) !== undefined) return [url.host];
  try {
    return (await platform.resolveHost(url.host)).slice(0, MAX_ADDRESSES).map(({ host }) => host);
  } catch (cause) {
    if (cause instanceof MxpError) throw cause;
    throw new MxpError("connect_failed", `cannot find the host of ${where}: ${(cause as Error).message}`, { cause });
  }
}

/** Tries the addresses, each a little later than the one before; the first that answers wins (RFC 8305). */
async function reachAny(attempt: Attempt, addresses: readonly string[], where: string): Promise<Reached> {
  if (addresses.length === 1) return await reach(attempt, addresses[0], where, attempt.options.signal, true);
  const stop = new AbortController();
  const follow = (): void => stop.abort();
  attempt.options.signal?.addEventListener("abort", follow, { once: true });
  try {
    const attempts = addresses.map(async (host, index) => {
      if (index > 0) await new Promise((resolve) => setTimeout(resolve, index * ADDRESS_STAGGER_MS));
      // A ticket works once.
      const reached = await reach(attempt, host, where, stop.signal, index === 0);
      if (!stop.signal.aborted) {
        stop.abort();
        return reached;
      }
      reached.session.close();
      await release(reached.session);
      throw cancelled(where, undefined);
    });
    return await Promise.any(attempts);
  } catch (error) {
    throwIfAborted(attempt.options.signal, where);
    // The first address's reason says most.
    throw error instanceof AggregateError ? error.errors[0] : error;
  } finally {
    attempt.options.signal?.removeEventListener("abort", follow);
  }
}

/** One attempt at one address, with the ticket if there is one and it is this attempt's to use. */
async function reach(
  attempt: Attempt,
  host: string,
  where: string,
  signal: AbortSignal | undefined,
  hasTicket: boolean,
): Promise<Reached> {
  const { expected } = attempt;
  throwIfAborted(signal, where);
  const { session, messages, ended, established } = await open(attempt, host, where, false, hasTicket);
  const onAbort = (): void => session.close();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    if (signal?.aborted) onAbort();
    await established;
  } catch (error) {
    session.driver.close();
    throwIfAborted(signal, where);
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
  if (expected !== undefined && !bytesEqual(session.link.connection.peerKey!, expected.publicKey)) {
    throw new MxpError("internal", `the handshake with ${where} ended with another key than it began with`);
  }
  return { session, messages, ended };
}

/** A connection that was begun, or is held until something is asked of it. */
interface Opened extends Reached {
  /** Settles when it stands, or cannot. */
  readonly established: Promise<void>;
}

/** Opens a socket and begins a connection. */
async function open(
  attempt: Attempt,
  host: string,
  where: string,
  held: boolean,
  hasTicket = true,
): Promise<Opened> {
  const { platform, options, identity, expected, timeoutMs, url, resumption } = attempt;
  const settings = { ...clientSettings(options.settings), handshakeTimeout: millis(timeoutMs) };
  const endpoint = makeEndpoint(platform, identity, settings);
  const local = { host: host.includes(":") ? "::" : "0.0.0.0", port: 0 };
  let fail = (_message: string): void => {};
  const driver = await startDriver({
    endpoint,
    local,
    clock: platform.clock,
    bindUdp: platform.bindUdp,
    udpPayload: largestDatagram(endpoint.settings),
    onSocketError: (error) => fail(error.message),
    ...(options.onInternalError && { onFault: options.onInternalError }),
  }).catch((cause) => {
    throw new MxpError("connect_failed", `cannot open a socket for ${where}: ${cause.message}`, { cause });
  });
  const messages = new CallMessages(platform.codec);
  const ended = deferred<ConnectionEnd>();
  const established = deferred<void>();
  // Nobody may be waiting any more when it fails.
  established.promise.catch(() => {});
  const session: Session = new Session({
    driver,
    messages,
    maxAnswerBytes: MAX_PAYLOAD_BYTES,
    onTicket: (ticket, lifetime) => resumption.onTicket(ticket, lifetime),
    peer: () =>
      peerInfo(
        platform.crypto,
        session.link.connection.peerKey!,
        session.link.connection.remote.key,
        url.host,
        url.port,
      ),
    owner: {
      onEstablished: ({ link }) => {
        if (ticket !== undefined) resumption.onEstablished(link.connection.pattern);
        established.resolve();
      },
      onClosed: (_session, reason) => {
        established.reject(attemptFailure(reason, where, timeoutMs, driver.sendErrors, expected, options.knownPeers));
        ended.resolve(reason);
        void release(session);
      },
    },
  });
  fail = (message) => session.abandon(message);
  const ticket = hasTicket ? resumption.taken : undefined;
  const peerKey = expected?.publicKey;
  try {
    const options = { peerKey, ticket, held, tickets: resumption.wanted };
    session.attach(driver.connect(address(host, url.port), options, session));
  } catch (error) {
    driver.close();
    throw error;
  }
  return { session, messages, ended: ended.promise, established: established.promise };
}

function makeEndpoint(platform: Platform, identity: Identity, settings: Partial<TransportSettings>): Endpoint {
  const { crypto, random } = platform;
  try {
    return new Endpoint({ identity: keyPairOf(identity), crypto, random, settings, accept: false });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new MxpError("usage", `settings: ${cause.message}`, { cause });
  }
}

/** Lets the last packets out, then gives the socket back. */
async function release(session: Session): Promise<void> {
  await session.driver.flush();
  session.driver.close();
}

/** Why a handshake did not succeed. */
function attemptFailure(
  reason: ConnectionEnd,
  where: string,
  timeoutMs: number,
  refused: number,
  expected: Expectation | undefined,
  knownPeers: KnownPeers | undefined,
): MxpError {
  switch (reason.by) {
    case "handshake_timeout":
      if (reason.hint === "rejected_key" && expected !== undefined) {
        const key = toBase64Url(expected.publicKey);
        const text = expected.known === undefined
          ? `the node at ${where} does not hold the key in the URL (${key})`
          : `the node at ${where} does not hold the key it had before (${key}, ${knownPeers?.path} line ${expected.known.line}): ` +
            "its key has changed, or somebody else answers; if its owner says that it has changed, delete that line";
        return new MxpError("key_mismatch", text);
      }
      if (reason.hint === "overloaded") {
        return new MxpError("connect_failed", `the node at ${where} has no room for another connection`, {
          retryable: true,
        });
      }
      return noAnswer(where, timeoutMs, refused);
    case "peer":
      return connectionEnded(reason, `the connection to ${where}`, true);
    case "local":
      return new MxpError("handshake_failed", `the handshake with ${where} failed: ${describeClose(reason)}`);
    default:
      return new MxpError("handshake_failed", `the handshake with ${where} failed: ${reason.message}`);
  }
}

function cancelled(where: string, signal: AbortSignal | undefined): MxpError {
  return new MxpError("cancelled", `connecting to ${where} was cancelled`, { cause: signal?.reason });
}

function throwIfAborted(signal: AbortSignal | undefined, where: string): void {
  if (signal?.aborted) throw cancelled(where, signal);
}
