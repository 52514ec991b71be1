/**
 * X25519 over `node:crypto`, from raw 32-byte keys. `node:crypto` only takes key objects, and how they are made decides the
 * speed: parsing DER takes Node 20 (OpenSSL 3) 0.7 ms, a JSON web key 0.05 ms; Deno and Bun do not mind.
 *
 * @module
 */

import { concatBytes, constantTimeEqual, fromBase64Url, fromHex, toBase64Url } from "../base/bytes.ts";
import { type NodeCrypto, nodeCrypto, type NodeKey, type NodeKeyInput } from "./node_crypto.ts";
import type { Dh } from "./types.ts";
import { checkPrivateKey, isAcceptablePublicKey, isAllZero, X25519_KEY_LENGTH } from "./x25519_public_key.ts";

/** How raw keys are dressed for the import. */
export type KeyEncoding = "jwk" | "der";

/** The encodings, in the order in which they are worth trying. */
export const KEY_ENCODINGS: readonly KeyEncoding[] = ["jwk", "der"];

// RFC 8410: everything in front of the 32 bytes of the key.
const PKCS8_PREFIX = fromHex("302e020100300506032b656e04220420")!;
const SPKI_PREFIX = fromHex("302a300506032b656e032100")!;

/** A private key web key names its public key too; the runtimes compute that themselves and do not look at this one. */
const ANY_PUBLIC_KEY = toBase64Url(Uint8Array.from({ length: X25519_KEY_LENGTH }, (_, i) => i === 0 ? 9 : 0));

/** Makes X25519, if the runtime has what it takes. */
export function nativeX25519(crypto: NodeCrypto = nodeCrypto, encoding: KeyEncoding = "jwk"): Dh | undefined {
  const { createPrivateKey, createPublicKey, diffieHellman } = crypto;
  if (createPrivateKey === undefined || createPublicKey === undefined || diffieHellman === undefined) return undefined;
  const importPrivate = (key: Uint8Array): NodeKey => createPrivateKey(privateKeyInput(key, encoding));
  const cache = new PrivateKeyCache(importPrivate);
  return {
    noiseName: "25519",
    publicKey(privateKey: Uint8Array): Uint8Array {
      checkPrivateKey(privateKey);
      // Exporting is cheaper than a multiplication with the base point: the runtime has a table for it, or knows it already.
      const { x } = cache.get(privateKey).export({ format: "jwk" });
      const publicKey = x === undefined ? undefined : fromBase64Url(x);
      if (publicKey?.length !== X25519_KEY_LENGTH) throw new TypeError("the runtime exported no X25519 public key");
      return publicKey;
    },
    shared(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
      checkPrivateKey(privateKey);
      if (!isAcceptablePublicKey(publicKey)) return undefined;
      const key = cache.get(privateKey);
      let secret: Uint8Array;
      try {
        const peer = createPublicKey(publicKeyInput(publicKey, encoding));
        secret = new Uint8Array(diffieHellman({ privateKey: key, publicKey: peer }));
      } catch {
        return undefined; // Whatever else a runtime may object to: a peer's bytes never throw.
      }
      return isAllZero(secret) ? undefined : secret;
    },
  };
}

function privateKeyInput(key: Uint8Array, encoding: KeyEncoding): NodeKeyInput {
  return encoding === "jwk"
    ? { format: "jwk", key: { kty: "OKP", crv: "X25519", x: ANY_PUBLIC_KEY, d: toBase64Url(key) } }
    : { format: "der", type: "pkcs8", key: concatBytes(PKCS8_PREFIX, key) };
}

function publicKeyInput(key: Uint8Array, encoding: KeyEncoding): NodeKeyInput {
  return encoding === "jwk"
    ? { format: "jwk", key: { kty: "OKP", crv: "X25519", x: toBase64Url(key) } }
    : { format: "der", type: "spki", key: concatBytes(SPKI_PREFIX, key) };
}

/**
 * Key objects of private keys, kept exactly as long as the array that holds the private key: a static key is imported
 * once, an ephemeral one serves all operations of its handshake and then goes with it. There is never more in here than
 * private keys are alive.
 */
class PrivateKeyCache {
  readonly #entries = new WeakMap<Uint8Array, { readonly bytes: Uint8Array; readonly key: NodeKey }>();
  readonly #import: (key: Uint8Array) => NodeKey;

  constructor(importKey: (key: Uint8Array) => NodeKey) {
    this.#import = importKey;
  }

  get(privateKey: Uint8Array): NodeKey {
    const known = this.#entries.get(privateKey);
    // The array is the caller's: it may hold another key by now.
    if (known !== undefined && constantTimeEqual(known.bytes, privateKey)) return known.key;
    const entry = { bytes: privateKey.slice(), key: this.#import(privateKey) };
    this.#entries.set(privateKey, entry);
    return entry.key;
  }
}
