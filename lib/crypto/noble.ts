/**
 * Every primitive in JavaScript, from the noble libraries: what a runtime gets for which nothing native is there, and the
 * reference that the native ones are compared with. JavaScript cannot promise constant time (big integers, AES tables);
 * that is one more reason to prefer a native primitive, and never to offer AES without one.
 *
 * @module
 */

import { gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import type { CHash } from "@noble/hashes/utils.js";
import { checkKey, checkOpen, checkSeal } from "./aead_arguments.ts";
import {
  type Aead,
  type AeadKey,
  type CryptoProvider,
  type Dh,
  type Hash,
  SUITE_AES_256_GCM,
  SUITE_CHACHA20_POLY1305,
  TAG_LENGTH,
} from "./types.ts";
import { checkPrivateKey, isAcceptablePublicKey, isAllZero } from "./x25519_public_key.ts";

/** What this module's primitives are called in logs. */
export const NOBLE = "noble";

/** ChaCha20-Poly1305 (RFC 8439 §2.8). */
export const nobleChaCha20Poly1305: Aead = {
  suite: SUITE_CHACHA20_POLY1305,
  noiseName: "ChaChaPoly",
  key(bytes: Uint8Array): AeadKey {
    checkKey(bytes);
    const key = bytes.slice();
    return {
      seal(nonce, aad, plain, out): void {
        checkSeal(nonce, plain, out);
        chacha20poly1305(key, nonce, aad).encrypt(plain, out.subarray(0, plain.length + TAG_LENGTH));
      },
      open(nonce, aad, sealed, out): boolean {
        if (!checkOpen(nonce, sealed, out)) return false;
        const cipher = chacha20poly1305(key, nonce, aad);
        try {
          cipher.decrypt(sealed, out.subarray(0, sealed.length - TAG_LENGTH));
          return true;
        } catch {
          return false; // The arguments are in order, so this can only be the tag.
        }
      },
    };
  },
};

/** AES-256-GCM (NIST SP 800-38D) with 96-bit nonces. */
export const nobleAes256Gcm: Aead = {
  suite: SUITE_AES_256_GCM,
  noiseName: "AESGCM",
  key(bytes: Uint8Array): AeadKey {
    checkKey(bytes);
    const key = bytes.slice();
    return {
      seal(nonce, aad, plain, out): void {
        checkSeal(nonce, plain, out);
        out.set(gcm(key, nonce, aad).encrypt(plain));
      },
      open(nonce, aad, sealed, out): boolean {
        if (!checkOpen(nonce, sealed, out)) return false;
        const cipher = gcm(key, nonce, aad);
        let plain: Uint8Array;
        try {
          plain = cipher.decrypt(sealed);
        } catch {
          return false;
        }
        out.set(plain);
        return true;
      },
    };
  },
};

/** X25519 (RFC 7748 §5). */
export const nobleX25519: Dh = {
  noiseName: "25519",
  publicKey(privateKey: Uint8Array): Uint8Array {
    checkPrivateKey(privateKey);
    return x25519.getPublicKey(privateKey);
  },
  shared(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
    checkPrivateKey(privateKey);
    if (!isAcceptablePublicKey(publicKey)) return undefined;
    let secret: Uint8Array;
    try {
      secret = x25519.getSharedSecret(privateKey, publicKey);
    } catch {
      return undefined; // Whatever else the library may object to: a peer's bytes never throw.
    }
    return isAllZero(secret) ? undefined : secret;
  },
};

/** Makes a {@link Hash} from one of noble's. */
export function nobleHash(noiseName: Hash["noiseName"], algorithm: CHash): Hash {
  return {
    noiseName,
    hashLength: algorithm.outputLen,
    blockLength: algorithm.blockLen,
    hash(...parts: Uint8Array[]): Uint8Array {
      const state = algorithm.create();
      for (const part of parts) state.update(part);
      return state.digest();
    },
    hmac(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array {
      const state = hmac.create(algorithm, key);
      for (const part of parts) state.update(part);
      return state.digest();
    },
  };
}

/** SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104). */
export const nobleSha256: Hash = nobleHash("SHA256", sha256);

/**
 * The provider that needs nothing of the runtime.
 *
 * @example
 * ```ts
 * import { nobleProvider } from "./noble.ts";
 *
 * const key = nobleProvider.chacha20poly1305.key(new Uint8Array(32));
 * const packet = new Uint8Array(5 + 16);
 * key.seal(new Uint8Array(12), new Uint8Array(0), packet.subarray(0, 5), packet);
 * ```
 */
export const nobleProvider: CryptoProvider = {
  name: NOBLE,
  dh: nobleX25519,
  sha256: nobleSha256,
  chacha20poly1305: nobleChaCha20Poly1305,
  aes256gcm: nobleAes256Gcm,
  suites: [SUITE_CHACHA20_POLY1305],
};
