/**
 * Who a node or a client is: a static X25519 key pair, its text forms and its key file.
 *
 * @module
 */

import { bytesEqual, fromBase64Url, toBase64Url } from "../base/bytes.ts";
import { MxpError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { CryptoProvider, KeyPair } from "../crypto/types.ts";
import type { ReplayWindow } from "../mesh/replay_window.ts";
import type { SharedSecrets } from "../noise/shared_secrets.ts";
import { parsePublicKey } from "./mxp_url.ts";

const KEY_LENGTH = 32;
/** The same in base64url. */
const KEY_CHARACTERS = 43;
/** First word of the one line that matters in a key file. */
const PRIVATE_KEY_TAG = "mxp-private-key-v1";

/** The private half, for this folder alone; `mod.ts` does not pass it on. */
let privateKeyOf: (identity: Identity) => Uint8Array;
/** What sealing has to remember, likewise. */
let sealsOf: (identity: Identity) => SealMemory;

/** What is remembered about sealed messages for as long as a key is in use, by whichever server or client of this process. */
export interface SealMemory {
  /** Those that were taken. */
  window: ReplayWindow | undefined;
  /** What the key has in common with others. */
  secrets: SharedSecrets | undefined;
}

/**
 * A static key pair. What prints, inspects or serialises it sees the public half only.
 *
 * @example
 * ```ts
 * import { generateIdentity } from "../../mod.ts";
 * const identity = generateIdentity();
 * console.log(identity.publicKeyText, identity.fingerprint);
 * ```
 */
export class Identity {
  readonly #privateKey: Uint8Array;
  readonly #seals: SealMemory = { window: undefined, secrets: undefined };
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The public key as it stands in URLs: 43 characters of base64url. */
  readonly publicKeyText: string;
  /** Short form for people to compare, see {@link fingerprintOf}. */
  readonly fingerprint: string;

  /** Use {@link generateIdentity}, {@link identityFromPrivateKey} or {@link parseKeyFile}. */
  constructor(pair: KeyPair, fingerprint: string) {
    this.#privateKey = pair.privateKey;
    this.publicKey = pair.publicKey;
    this.publicKeyText = toBase64Url(pair.publicKey);
    this.fingerprint = fingerprint;
  }

  static {
    privateKeyOf = (identity) => identity.#privateKey;
    sealsOf = (identity) => identity.#seals;
  }

  /** The public key; never the private one. */
  toString(): string {
    return `Identity(${this.publicKeyText})`;
  }

  /** The public half. */
  toJSON(): { publicKey: string; fingerprint: string } {
    return { publicKey: this.publicKeyText, fingerprint: this.fingerprint };
  }

  /** What `console.log` shows on Node and Bun. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  /** What `console.log` shows on Deno. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}

/** The key pair inside, for the handshake. Not part of the public library. */
export function keyPairOf(identity: Identity): KeyPair {
  return { privateKey: privateKeyOf(identity), publicKey: identity.publicKey };
}

/** What sealing has to remember of an identity. Not part of the public library. */
export function sealMemoryOf(identity: Identity): SealMemory {
  return sealsOf(identity);
}

/** Makes a new key pair from secret randomness. */
export function newIdentity(crypto: CryptoProvider, random: Random): Identity {
  const privateKey = new Uint8Array(KEY_LENGTH);
  random.fillSecret(privateKey);
  return identityFromPrivateKey(privateKey, crypto);
}

/**
 * Makes the identity of a 32-byte private key. The bytes are copied.
 *
 * @throws {RangeError} if there are not 32 bytes.
 */
export function identityFromPrivateKey(privateKey: Uint8Array, crypto: CryptoProvider): Identity {
  if (privateKey.length !== KEY_LENGTH) throw new RangeError(`a private key has 32 bytes, got ${privateKey.length}`);
  const copy = privateKey.slice();
  const publicKey = crypto.dh.publicKey(copy);
  return new Identity({ privateKey: copy, publicKey }, fingerprintWith(crypto, publicKey));
}

/**
 * A public key's fingerprint: `SHA256:` and the unpadded base64 of the SHA-256 of the 32 key bytes, 50 characters in
 * all. The same shape as `ssh-keygen -l` prints, over the bare key.
 */
export function fingerprintWith(crypto: CryptoProvider, publicKey: Uint8Array): string {
  return "SHA256:" + toBase64Url(crypto.sha256.hash(publicKey)).replaceAll("-", "+").replaceAll("_", "/");
}

/**
 * The text of a key file: comment lines, then `mxp-private-key-v1` and the private key in base64url. It is a secret;
 * write it with mode 0600.
 */
export function formatKeyFile(identity: Identity): string {
  return "# mxp private key. Whoever can read this file can be this node.\n" +
    `# public key: ${identity.publicKeyText}\n` +
    `${PRIVATE_KEY_TAG} ${toBase64Url(privateKeyOf(identity))}\n`;
}

/**
 * Reads the text of a key file. Blank lines and lines that begin with `#` are skipped.
 *
 * @param source names the file in the error text.
 * @throws {MxpError} `config`, saying what was expected where; never with the key in it.
 */
export function parseKeyFile(text: string, source: string, crypto: CryptoProvider): Identity {
  const wrong = (what: string): MxpError => new MxpError("config", `${source}: ${what}`);
  let identity: Identity | undefined;
  const lines = text.split(/\r?\n/);
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i].trim();
    if (line === "" || line.startsWith("#")) continue;
    const words = line.split(/\s+/);
    const where = `line ${i + 1}`;
    if (words[0] !== PRIVATE_KEY_TAG) {
      if (/^mxp-private-key-/.test(words[0])) {
        throw wrong(`${where} is a private key of another version; this program reads ${PRIVATE_KEY_TAG}`);
      }
      throw wrong(`not an mxp key file: ${where} does not begin with ${PRIVATE_KEY_TAG} (make one with: mxp keygen)`);
    }
    if (words.length !== 2) throw wrong(`${where} has ${words.length} words; expected ${PRIVATE_KEY_TAG} and the key`);
    if (identity !== undefined) throw wrong(`a second private key in ${where}; a key file holds one`);
    const key = fromBase64Url(words[1]);
    if (key === undefined || key.length !== KEY_LENGTH) {
      throw wrong(`the private key in ${where} is damaged: ${damage(words[1])}`);
    }
    identity = identityFromPrivateKey(key, crypto);
    key.fill(0);
  }
  if (identity === undefined) throw wrong("no private key in it (make one with: mxp keygen)");
  return identity;
}

/** What is wrong with the text of a private key, without any of its characters. */
function damage(text: string): string {
  if (text.length !== KEY_CHARACTERS) return `expected ${KEY_CHARACTERS} characters of base64url, got ${text.length}`;
  if (/[^A-Za-z0-9_-]/.test(text)) return "one of its characters is not base64url (A–Z a–z 0–9 - _)";
  return "its last character has stray bits";
}

/** Whether text or bytes given as a public key are the given key's. Both are public, so this is not constant time. */
export function isPublicKey(given: string | Uint8Array, key: Uint8Array): boolean {
  return bytesEqual(typeof given === "string" ? parsePublicKey(given) : given, key);
}
