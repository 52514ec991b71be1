/**
 * The part of `node:crypto` that is used here, every function optional: the runtimes differ in what they have, and tests
 * put broken ones in their place.
 *
 * @module
 */

import * as module from "node:crypto";

/** A cipher object of `createCipheriv`. */
export interface NodeCipher {
  setAAD(aad: Uint8Array): unknown;
  update(plain: Uint8Array): Uint8Array;
  final(): Uint8Array;
  getAuthTag(): Uint8Array;
}

/** A decipher object of `createDecipheriv`. */
export interface NodeDecipher {
  setAAD(aad: Uint8Array): unknown;
  setAuthTag(tag: Uint8Array): unknown;
  update(sealed: Uint8Array): Uint8Array;
  /** Throws when the tag does not fit. */
  final(): Uint8Array;
}

/** A hash or HMAC object. */
export interface NodeHash {
  update(part: Uint8Array): unknown;
  digest(): Uint8Array;
}

/** An imported key. */
export interface NodeKey {
  export(options: { format: "jwk" }): { x?: string };
}

/** What a key is imported from: a JSON web key (RFC 8037) or DER (RFC 8410). */
export type NodeKeyInput =
  | { format: "jwk"; key: { kty: "OKP"; crv: "X25519"; x: string; d?: string } }
  | { format: "der"; type: "pkcs8" | "spki"; key: Uint8Array };

/** The functions. */
export interface NodeCrypto {
  createCipheriv?(
    algorithm: string,
    key: Uint8Array,
    nonce: Uint8Array,
    options: { authTagLength: number },
  ): NodeCipher;
  createDecipheriv?(
    algorithm: string,
    key: Uint8Array,
    nonce: Uint8Array,
    options: { authTagLength: number },
  ): NodeDecipher;
  createHash?(algorithm: string): NodeHash;
  createHmac?(algorithm: string, key: Uint8Array): NodeHash;
  createPrivateKey?(input: NodeKeyInput): NodeKey;
  createPublicKey?(input: NodeKeyInput): NodeKey;
  diffieHellman?(keys: { privateKey: NodeKey; publicKey: NodeKey }): Uint8Array;
}

/** `node:crypto` of this runtime. */
export const nodeCrypto: NodeCrypto = module as unknown as NodeCrypto;
