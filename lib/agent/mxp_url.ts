/**
 * `mxp://[KEY@]HOST[:PORT][/AGENT]`: where a node is, who it must be, and which agent behind it is meant.
 *
 * @module
 */

import { formatHostPort } from "../base/address.ts";
import { fromBase64Url, toBase64Url } from "../base/bytes.ts";
import { MxpError } from "../base/errors.ts";
import { isAcceptablePublicKey } from "../crypto/x25519_public_key.ts";
import { canonicalIpv6, isIpv4 } from "./ip_address.ts";
import { quote } from "./quote.ts";

/** Used when a URL names no port. */
export const DEFAULT_PORT = 9000;

/** A public key's length as text: base64url of 32 bytes, unpadded. */
const KEY_CHARACTERS = 43;
/** Longest agent name that a URL may carry, in bytes of UTF-8. */
const MAX_AGENT_BYTES = 255;

/** The parts of an `mxp://` URL. */
export interface MxpUrl {
  /** Host name or IPv4 address in lower case, or IPv6 address in its shortest form without brackets. */
  readonly host: string;
  /** UDP port, 1–65535. */
  readonly port: number;
  /** The public key that the node must hold, 32 bytes; absent if the URL does not say. */
  readonly publicKey?: Uint8Array;
  /** The agent behind the node: a UUID (lower case) or a name; absent for the node itself. */
  readonly agent?: string;
}

const SHAPE = "mxp://[KEY@]HOST[:PORT][/AGENT]";
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether an agent is named by its UUID (any version, either case). */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

function wrong(seen: string): MxpError {
  return new MxpError("usage", seen);
}

/**
 * Parses a URL.
 *
 * @throws {MxpError} `usage`, with one line that says what was seen and what was expected. What stands before an `@` is
 * never repeated: it may be a secret.
 *
 * @example
 * ```ts
 * import { parseMxpUrl } from "../../mod.ts";
 * const url = parseMxpUrl("mxp://127.0.0.1:9001/echo");
 * console.log(url.host, url.port, url.agent); // 127.0.0.1 9001 echo
 * ```
 */
export function parseMxpUrl(text: string): MxpUrl {
  if (typeof text !== "string") throw wrong(`a URL must be text, got ${typeof text}; expected ${SHAPE}`);
  if (text === "") throw wrong(`the URL is empty; expected ${SHAPE}`);
  if (/mxp-private-key/i.test(text)) {
    throw wrong(
      "the URL contains a private key: put the node's public key (mxp pubkey) there, and make a new identity",
    );
  }
  if (/^\s/.test(text)) throw wrong(`the URL ${quoteWithoutUser(text)} begins with a blank; leave it out`);
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text);
  if (scheme === null) {
    const hint = !text.includes("@") && /^[a-z0-9.-]+(:\d+)?(\/\S*)?$/i.test(text)
      ? `; did you mean ${quote("mxp://" + text)}?`
      : "";
    throw wrong(`a URL must begin with mxp://, got ${quoteWithoutUser(text)}${hint}`);
  }
  if (scheme[1].toLowerCase() !== "mxp") {
    throw wrong(`unknown scheme ${quote(scheme[1] + "://")} in a URL; expected mxp://`);
  }
  if (/\s/.test(text)) {
    throw wrong(`white space in the URL ${quoteWithoutUser(text)}; percent-encode it in an agent's name (%20)`);
  }
  const rest = text.slice(scheme[0].length);
  const mark = /[?#]/.exec(rest);
  if (mark !== null) {
    const part = mark[0] === "?" ? "query (?)" : "fragment (#)";
    throw wrong(`an mxp URL has no ${part}; percent-encode the character if it belongs to an agent's name`);
  }
  const slash = rest.indexOf("/");
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const path = slash < 0 ? "" : rest.slice(slash + 1);
  const at = authority.lastIndexOf("@");
  const publicKey = at < 0 ? undefined : parseKey(authority.slice(0, at));
  const { host, port } = parseHostPort(authority.slice(at + 1), DEFAULT_PORT);
  if (port === 0) throw wrong(`port 0 in the URL ${quoteWithoutUser(text)}; expected 1 to 65535`);
  const agent = path === "" ? undefined : parseAgent(path);
  return { host, port, ...(publicKey && { publicKey }), ...(agent !== undefined && { agent }) };
}

/**
 * Writes a URL, port always included. `parseMxpUrl` gives the same parts back.
 *
 * @throws {MxpError} `usage` for parts that no URL can hold.
 *
 * @example
 * ```ts
 * import { formatMxpUrl } from "../../mod.ts";
 * console.log(formatMxpUrl({ host: "::1", port: 9000 })); // mxp://[::1]:9000
 * ```
 */
export function formatMxpUrl(url: MxpUrl): string {
  const { host, port } = parseHostPort(formatHostPort(url.host, url.port), DEFAULT_PORT);
  if (port === 0) throw wrong("a URL needs a port from 1 to 65535, got 0");
  if (url.publicKey !== undefined && url.publicKey.length !== 32) {
    throw wrong(`a public key has 32 bytes, got ${url.publicKey.length}`);
  }
  if (url.publicKey !== undefined) checkUsable(url.publicKey, "the public key");
  const key = url.publicKey === undefined ? "" : toBase64Url(url.publicKey) + "@";
  const agent = url.agent === undefined ? "" : "/" + encodeAgent(checkAgent(url.agent));
  return `mxp://${key}${formatHostPort(host, port)}${agent}`;
}

/** `text` quoted, with everything before an `@` left out. */
function quoteWithoutUser(text: string): string {
  const at = text.lastIndexOf("@");
  return quote(at < 0 ? text : "…" + text.slice(at));
}

function parseKey(text: string): Uint8Array {
  if (text === "") {
    throw wrong("nothing before the @ of the URL; expected the node's public key (43 characters), or no @");
  }
  if (text.includes(":")) {
    throw wrong("an mxp URL has no user name and password; before the @ stands the node's public key (43 characters)");
  }
  return parsePublicKey(text, "the public key in the URL");
}

/**
 * Parses a public key as text: 43 characters of base64url.
 *
 * @param what names the key in the error text.
 * @throws {MxpError} `usage`. The text itself is not repeated.
 */
export function parsePublicKey(text: string, what = "the public key"): Uint8Array {
  const stray = /[^A-Za-z0-9_-]/u.exec(text);
  if (stray !== null) {
    const hint = "+/=".includes(stray[0]) ? " (this is base64; base64url writes - for +, _ for / and no =)" : "";
    throw wrong(`${what} contains ${quote(stray[0])}; expected 43 characters of A–Z a–z 0–9 - _${hint}`);
  }
  if (text.length !== KEY_CHARACTERS) {
    throw wrong(`${what} has ${text.length} characters; expected 43 (base64url of 32 bytes)`);
  }
  const key = fromBase64Url(text);
  if (key === undefined) {
    throw wrong(`${what} is not canonical base64url: its last character has stray bits; copy it again`);
  }
  return checkUsable(key, what);
}

/** A key that no handshake can succeed with was mistyped, or made up. */
function checkUsable(key: Uint8Array, what: string): Uint8Array {
  if (isAcceptablePublicKey(key)) return key;
  throw wrong(`${what} is none that X25519 can be used with; copy it again`);
}

/** A public key as it stands in URLs: 43 characters of base64url. */
export function publicKeyText(publicKey: Uint8Array): string {
  return toBase64Url(publicKey);
}

/**
 * Parses `HOST[:PORT]` or `[IPV6][:PORT]`. Port 0 is accepted here: it means any free port where one listens.
 *
 * @throws {MxpError} `usage`.
 */
export function parseHostPort(text: string, defaultPort: number = DEFAULT_PORT): { host: string; port: number } {
  if (text.startsWith("[")) {
    const close = text.indexOf("]");
    if (close < 0) throw wrong(`no ] behind the IPv6 address in ${quote(text)}; expected [ADDRESS]:PORT`);
    const behind = text.slice(close + 1);
    if (behind !== "" && !behind.startsWith(":")) {
      throw wrong(`${quote(behind)} behind the ] of ${quote(text)}; expected :PORT or nothing`);
    }
    const host = parseIpv6(text.slice(1, close));
    return { host, port: behind === "" ? defaultPort : parsePort(behind.slice(1), text) };
  }
  const colon = text.indexOf(":");
  if (colon !== text.lastIndexOf(":")) {
    throw wrong(`more than one colon in ${quote(text)}; an IPv6 address stands in brackets: [::1]:${defaultPort}`);
  }
  const host = colon < 0 ? text : text.slice(0, colon);
  if (host === "") throw wrong(`no host in ${quote(text)}; expected HOST:PORT, such as 127.0.0.1:${defaultPort}`);
  const port = colon < 0 ? defaultPort : parsePort(text.slice(colon + 1), text);
  return { host: parseHostName(host), port };
}

function parsePort(text: string, context: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65535) {
    const seen = text === "" ? "nothing" : quote(text, 20);
    throw wrong(`${seen} is not a port in ${quote(context)}; expected 1 to 65535`);
  }
  return Number(text);
}

function parseHostName(host: string): string {
  if (/^[\d.]+$/.test(host)) {
    if (!isIpv4(host)) {
      throw wrong(`${quote(host)} is not an IPv4 address; expected four numbers from 0 to 255, such as 127.0.0.1`);
    }
    return host;
  }
  const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/i;
  const name = host.endsWith(".") ? host.slice(0, -1) : host;
  if (name.length > 253 || !name.split(".").every((part) => label.test(part))) {
    const hint = /[^ -~]/.test(host) ? " (write international names in their xn-- form)" : "";
    throw wrong(`${quote(host)} is not a host name or IP address${hint}`);
  }
  return host.toLowerCase();
}

function parseIpv6(text: string): string {
  if (text.includes("%")) throw wrong(`an IPv6 zone (%…) in ${quote(text)} is not supported`);
  const canonical = canonicalIpv6(text);
  if (canonical === undefined) throw wrong(`${quote(text)} is not an IPv6 address; expected one such as [::1]`);
  return canonical;
}

function parseAgent(path: string): string {
  if (path.includes("/")) {
    throw wrong(
      `more than one / behind the host, in ${quote("/" + path)}; expected one agent (%2F is a slash in its name)`,
    );
  }
  let agent: string;
  try {
    agent = decodeURIComponent(path);
  } catch {
    throw wrong(`bad percent-encoding in the agent ${quote(path)}; % is followed by two hex digits of UTF-8`);
  }
  return checkAgent(agent);
}

function checkAgent(agent: string): string {
  if (agent === "") throw wrong("an agent's name is empty");
  if (/\p{Cc}|\p{Surrogate}/u.test(agent)) throw wrong(`control characters in the agent ${quote(agent)}`);
  const length = new TextEncoder().encode(agent).length;
  if (length > MAX_AGENT_BYTES) throw wrong(`the agent's name has ${length} bytes; at most ${MAX_AGENT_BYTES}`);
  return isUuid(agent) ? agent.toLowerCase() : agent;
}

/** Percent-encodes everything that a shell or a URL would read differently. */
function encodeAgent(agent: string): string {
  return encodeURIComponent(agent).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());
}
