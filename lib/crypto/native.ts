/**
 * Primitives over `node:crypto`. Each function gives undefined when the runtime has nothing to build it from (Bun 1.4 has
 * no ChaCha20-Poly1305); whether what it has is right is for the self-test to say.
 *
 * @module
 */

import { checkKey, checkOpen, checkSeal, KEY_LENGTH, NONCE_LENGTH } from "./aead_arguments.ts";
import { type NodeCrypto, nodeCrypto, type NodeHash } from "./node_crypto.ts";
import { type Aead, type AeadKey, type Hash, SUITE_AES_256_GCM, SUITE_CHACHA20_POLY1305, TAG_LENGTH } from "./types.ts";

/** What primitives over `node:crypto` are called in logs. */
export const NATIVE = "node:crypto";

const TAG_OPTION = { authTagLength: TAG_LENGTH };

/** ChaCha20-Poly1305 (RFC 8439 §2.8), if the runtime knows it. */
export function nativeChaCha20Poly1305(crypto: NodeCrypto = nodeCrypto): Aead | undefined {
  return nativeAead(crypto, "chacha20-poly1305", SUITE_CHACHA20_POLY1305, "ChaChaPoly");
}

/** AES-256-GCM (NIST SP 800-38D) with 96-bit nonces, if the runtime knows it. */
export function nativeAes256Gcm(crypto: NodeCrypto = nodeCrypto): Aead | undefined {
  return nativeAead(crypto, "aes-256-gcm", SUITE_AES_256_GCM, "AESGCM");
}

function nativeAead(
  crypto: NodeCrypto,
  algorithm: string,
  suite: number,
  noiseName: Aead["noiseName"],
): Aead | undefined {
  const { createCipheriv, createDecipheriv } = crypto;
  if (createCipheriv === undefined || createDecipheriv === undefined) return undefined;
  try {
    createCipheriv(algorithm, new Uint8Array(KEY_LENGTH), new Uint8Array(NONCE_LENGTH), TAG_OPTION).final();
  } catch {
    return undefined; // An algorithm that is not known is a throw, in every runtime.
  }
  return {
    suite,
    noiseName,
    key(bytes: Uint8Array): AeadKey {
      checkKey(bytes);
      // A KeyObject in place of the bytes was measured: it is no faster, and slower in Deno.
      const key = bytes.slice();
      return {
        seal(nonce, aad, plain, out): void {
          checkSeal(nonce, plain, out);
          const cipher = createCipheriv(algorithm, key, nonce, TAG_OPTION);
          if (aad.length > 0) cipher.setAAD(aad);
          // The result has a buffer of its own, so it does not matter whether `out` begins where `plain` does.
          if (plain.length > 0) out.set(cipher.update(plain));
          cipher.final();
          out.set(cipher.getAuthTag(), plain.length);
        },
        open(nonce, aad, sealed, out): boolean {
          if (!checkOpen(nonce, sealed, out)) return false;
          const length = sealed.length - TAG_LENGTH;
          const decipher = createDecipheriv(algorithm, key, nonce, TAG_OPTION);
          if (aad.length > 0) decipher.setAAD(aad);
          decipher.setAuthTag(sealed.subarray(length));
          const plain = length > 0 ? decipher.update(sealed.subarray(0, length)) : undefined;
          try {
            decipher.final();
          } catch {
            return false;
          }
          // Only now: what did not authenticate is never seen outside.
          if (plain !== undefined) out.set(plain);
          return true;
        },
      };
    },
  };
}

/** SHA-256 and HMAC-SHA-256, if the runtime has them. */
export function nativeSha256(crypto: NodeCrypto = nodeCrypto): Hash | undefined {
  const { createHash, createHmac } = crypto;
  if (createHash === undefined || createHmac === undefined) return undefined;
  return {
    noiseName: "SHA256",
    hashLength: 32,
    blockLength: 64,
    hash: (...parts: Uint8Array[]): Uint8Array => digest(createHash("sha256"), parts),
    hmac: (key: Uint8Array, ...parts: Uint8Array[]): Uint8Array => digest(createHmac("sha256", key), parts),
  };
}

function digest(state: NodeHash, parts: readonly Uint8Array[]): Uint8Array {
  for (const part of parts) state.update(part);
  // A copy: a Buffer's `slice` is not a Uint8Array's, and it may sit in a pool shared with others.
  return new Uint8Array(state.digest());
}
