/**
 * Which public key each node showed when it was met first: the `known_peers` file, one `HOST:PORT KEY [comment]` a line.
 *
 * @module
 */

import { bytesEqual, toBase64Url } from "../base/bytes.ts";
import { formatHostPort } from "../base/address.ts";
import { MxpError } from "../base/errors.ts";
import { parseHostPort, parsePublicKey } from "./mxp_url.ts";
import { quote } from "./quote.ts";

/** One line of the file. */
export interface KnownPeer {
  /** Name or IP address; IPv6 without brackets. */
  readonly host: string;
  /** UDP port. */
  readonly port: number;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Everything behind the key; empty if nothing stands there. */
  readonly comment: string;
  /** Line in the file, from 1. */
  readonly line: number;
}

/** A line that could not be read. The others count all the same. */
export interface KnownPeersProblem {
  /** Line in the file, from 1. */
  readonly line: number;
  /** One line: what was seen, what was expected. */
  readonly message: string;
}

/** What a known-peers file says. */
export interface KnownPeersContent {
  /** One for each host and port, in the order of the file. */
  readonly peers: readonly KnownPeer[];
  /** The lines that do not count, and why. */
  readonly problems: readonly KnownPeersProblem[];
  /** How many of these lines are not of this file's shape at all. */
  readonly unreadable: number;
}

/** What {@link KnownPeers} needs of the file system; the runtime's file service satisfies it. */
export interface KnownPeersStorage {
  /** The file's text; undefined if there is no such file. Rejects if it cannot be read. */
  readText(path: string): Promise<string | undefined>;
  /** Adds one line (given without its end) in one write, creating the file (and missing folders) with mode 0600. */
  appendLine(path: string, line: string): Promise<void>;
}

/**
 * Reads the text of a known-peers file. The first line for a host and port wins; a later one with another key is a
 * problem.
 */
export function parseKnownPeers(text: string): KnownPeersContent {
  const peers: KnownPeer[] = [];
  const problems: KnownPeersProblem[] = [];
  let conflicts = 0;
  const byHost = new Map<string, KnownPeer>();
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i].trim();
    if (line === "" || line.startsWith("#")) continue;
    try {
      const [hostPort, key, ...rest] = line.split(/\s+/);
      if (key === undefined) throw new MxpError("config", `${quote(line)} is not HOST:PORT KEY [comment]`);
      const { host, port } = parseHostPort(hostPort);
      if (port === 0) throw new MxpError("config", "port 0; expected 1 to 65535");
      const peer: KnownPeer = {
        host,
        port,
        publicKey: parsePublicKey(key, "the key"),
        comment: rest.join(" "),
        line: i + 1,
      };
      const name = formatHostPort(host, port);
      const earlier = byHost.get(name);
      if (earlier === undefined) {
        byHost.set(name, peer);
        peers.push(peer);
      } else if (!bytesEqual(earlier.publicKey, peer.publicKey)) {
        conflicts++;
        throw new MxpError("config", `another key for ${name} than in line ${earlier.line}, which counts`);
      }
    } catch (error) {
      problems.push({ line: i + 1, message: `line ${i + 1}: ${(error as Error).message}` });
    }
  }
  return { peers, problems, unreadable: problems.length - conflicts };
}

/** Writes one line, without its end. */
export function formatKnownPeer(host: string, port: number, publicKey: Uint8Array, comment = ""): string {
  const clean = comment.replace(/[\p{C}\s]+/gu, " ").trim();
  return `${formatHostPort(host, port)} ${toBase64Url(publicKey)}${clean === "" ? "" : " " + clean}`;
}

/**
 * The known-peers file at a path. It is read anew for every lookup, so that several processes can share it, and only
 * ever appended to; people remove lines with an editor.
 *
 * @example
 * ```ts
 * import { knownPeersFile } from "../../mod.ts";
 * const known = knownPeersFile("/tmp/known_peers_example");
 * console.log(await known.lookup("127.0.0.1", 9000)); // undefined
 * ```
 */
export class KnownPeers {
  /** Where the file is. */
  readonly path: string;
  readonly #storage: KnownPeersStorage;
  readonly #onProblem: (message: string) => void;

  /**
   * Nothing is read before it is asked for.
   *
   * @param path where the file is, or will be once there is something to remember.
   * @param storage what reads and appends to it.
   * @param onProblem told of lines that cannot be read.
   */
  constructor(path: string, storage: KnownPeersStorage, onProblem: (message: string) => void = () => {}) {
    this.path = path;
    this.#storage = storage;
    this.#onProblem = onProblem;
  }

  /**
   * Everything that the file says; nothing if it does not exist.
   *
   * @throws {MxpError} `config` if it cannot be read, or is another kind of file.
   */
  async read(): Promise<KnownPeersContent> {
    return this.#parse(await this.#readText());
  }

  /** The peer remembered for a host and port. Unreadable lines go to the `onProblem` callback. */
  async lookup(host: string, port: number): Promise<KnownPeer | undefined> {
    const content = await this.read();
    for (const problem of content.problems) this.#onProblem(`${this.path}: ${problem.message}`);
    return find(content, host, port);
  }

  /**
   * Remembers a key. Does nothing if the file has it already.
   *
   * @throws {MxpError} `key_mismatch` if the file holds another key for this host and port; `config` if it cannot be
   * written.
   */
  async add(host: string, port: number, publicKey: Uint8Array, comment = ""): Promise<void> {
    const text = await this.#readText();
    const known = find(this.#parse(text), host, port);
    if (known !== undefined) {
      if (bytesEqual(known.publicKey, publicKey)) return;
      throw new MxpError(
        "key_mismatch",
        `${this.path} line ${known.line} holds another key for ${
          formatHostPort(host, port)
        }: remove that line if the change is meant`,
      );
    }
    try {
      // Somebody's editor left the last line open.
      if (text !== "" && !text.endsWith("\n")) await this.#storage.appendLine(this.path, "");
      await this.#storage.appendLine(this.path, formatKnownPeer(host, port, publicKey, comment));
    } catch (error) {
      throw new MxpError("config", `cannot write the known-peers file ${this.path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** Whoever names a wrong file must hear so before anything is added to it: a line more makes some kinds useless. */
  #parse(text: string): KnownPeersContent {
    if (/^\s*mxp-private-key/m.test(text)) {
      throw new MxpError("config", `${this.path} is a private key file, not one of known peers; name another`);
    }
    const content = parseKnownPeers(text);
    if (content.unreadable > content.peers.length) {
      const [{ message }] = content.problems;
      throw new MxpError(
        "config",
        `${this.path} does not look like a known-peers file: ${content.unreadable} unreadable lines, ` +
          `${content.peers.length} readable ones; ${message}`,
      );
    }
    return content;
  }

  async #readText(): Promise<string> {
    try {
      return await this.#storage.readText(this.path) ?? "";
    } catch (error) {
      throw new MxpError("config", `cannot read the known-peers file ${this.path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}

function find(content: KnownPeersContent, host: string, port: number): KnownPeer | undefined {
  return content.peers.find((peer) => peer.port === port && peer.host === host);
}
