/**
 * Identities, known peers and tickets in files.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import {
  appendLine,
  configDirectory,
  fileKind,
  isPrivate,
  listDirectory,
  readText,
  removeFile,
  writeSecretFile,
} from "../runtime/mod.ts";
import { defaultPlatform } from "./default_platform.ts";
import { formatKeyFile, type Identity, parseKeyFile as parseKeyFileWith } from "./identity.ts";
import { KnownPeers, type KnownPeersStorage } from "./known_peers.ts";
import { TicketFiles, type TicketStorage } from "./tickets/ticket_files.ts";

/** A key file has three lines; whatever is longer than this is none. */
const MAX_KEY_FILE = 1 << 16;

/** Where this user's identity is unless something else is said: `identity` in the configuration directory. */
export function defaultIdentityPath(): string {
  return `${configDirectory()}/identity`;
}

/** Where this user's known peers are unless something else is said: `known_peers` in the configuration directory. */
export function defaultKnownPeersPath(): string {
  return `${configDirectory()}/known_peers`;
}

/**
 * Reads the text of a key file.
 *
 * @param source names the file in errors.
 * @throws {MxpError} `config`; the key is never part of the text.
 */
export function parseKeyFile(text: string, source: string): Identity {
  return parseKeyFileWith(text, source, defaultPlatform().crypto);
}

/**
 * Reads an identity from a key file that only its owner can read.
 *
 * @throws {MxpError} `config` if it is not there, can be read by others, or is not a key file. A pipe is read as well, anything
 * else that is not a regular file is not.
 *
 * @example
 * ```ts
 * import { generateIdentity, loadIdentity, saveIdentity } from "../../mod.ts";
 * const path = `/tmp/mxp-example-${Date.now()}`;
 * await saveIdentity(path, generateIdentity());
 * console.log((await loadIdentity(path)).publicKeyText);
 * ```
 */
export async function loadIdentity(path: string): Promise<Identity> {
  let text: string;
  try {
    // Permissions are no matter for what cannot be a key file.
    const kind = await fileKind(path);
    if (kind === "directory" || kind === "other") {
      const what = kind === "directory" ? "it is a folder" : "it is not a regular file";
      throw new MxpError("config", `cannot read the identity ${path}: ${what}`);
    }
    if (!await isPrivate(path)) {
      throw new MxpError("config", `${path} can be read by others than its owner: chmod 600 ${path}`);
    }
    text = await readText(path, MAX_KEY_FILE);
  } catch (cause) {
    if (cause instanceof MxpError) throw cause;
    throw new MxpError("config", `cannot read the identity ${path}: ${reason(cause)}`, { cause });
  }
  return parseKeyFile(text, path);
}

/**
 * Writes an identity to a key file with mode 0600, missing folders included.
 *
 * @throws {MxpError} `config` if it cannot be written, or exists and `overwrite` is not set.
 */
export async function saveIdentity(
  path: string,
  identity: Identity,
  options: { readonly overwrite?: boolean } = {},
): Promise<void> {
  try {
    await writeSecretFile(path, formatKeyFile(identity), { overwrite: options.overwrite === true });
  } catch (cause) {
    const isMissing = (cause as { code?: string }).code === "ENOENT";
    const why = isMissing ? "no file can be made there" : reason(cause);
    throw new MxpError("config", `cannot write the identity ${path}: ${why}`, { cause });
  }
}

/**
 * The known-peers file at a path; it need not exist yet.
 *
 * @param onProblem told of lines that cannot be read.
 */
export function knownPeersFile(path: string, onProblem?: (message: string) => void): KnownPeers {
  return new KnownPeers(path, STORAGE, onProblem);
}

const STORAGE: KnownPeersStorage = {
  async readText(path) {
    try {
      // What is appended to is a file. Without an end of its own it would be read for ever, at every lookup.
      if (await fileKind(path) === "pipe") throw new Error("it is not a regular file");
      return await readText(path);
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") return undefined;
      throw new Error(reason(error), { cause: error });
    }
  },
  async appendLine(path, line) {
    try {
      // Makes missing folders, which appending does not.
      await writeSecretFile(path, line + "\n");
    } catch (error) {
      if ((error as { code?: string }).code !== "EEXIST") throw new Error(reason(error), { cause: error });
      await appendLine(path, line);
    }
  },
};

/**
 * The tickets of earlier connections in a folder, a file with mode 0600 for each; it need not exist yet. Several processes can share it.
 *
 * @param onProblem told of files that cannot be used.
 */
export function ticketFiles(folder: string, onProblem?: (message: string) => void): TicketFiles {
  const { random } = defaultPlatform();
  return new TicketFiles(folder, TICKET_STORAGE, (out) => random.fillPublic(out), onProblem);
}

/** Where tickets are kept that belong to a known-peers file: in a folder of that name and `.tickets`. */
export function ticketsBeside(knownPeersPath: string): string {
  return `${knownPeersPath}.tickets`;
}

const TICKET_STORAGE: TicketStorage = {
  list: listDirectory,
  async read(path) {
    try {
      return await isPrivate(path) ? await readText(path) : undefined;
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") return undefined;
      throw error;
    }
  },
  write: (path, text) => writeSecretFile(path, text, { overwrite: true, durable: false }),
  remove: removeFile,
};

/** What the system says, without its noise. */
function reason(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  switch (code) {
    case "ENOENT":
      return "there is no such file (make an identity with: mxp keygen)";
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "EEXIST":
      return "it exists already (mxp keygen --force replaces it; its key is lost then)";
    case "EISDIR":
      return "it is a folder";
    case "ENOSPC":
      return "the disk is full";
    default:
      return message ?? String(error);
  }
}
