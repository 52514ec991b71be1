/**
 * Every implementation of every primitive that this runtime has, so that one test covers all of them.
 *
 * @module
 */

import { NATIVE, nativeAes256Gcm, nativeChaCha20Poly1305, nativeSha256 } from "../../lib/crypto/native.ts";
import { KEY_ENCODINGS, nativeX25519 } from "../../lib/crypto/native_x25519.ts";
import { NOBLE, nobleAes256Gcm, nobleChaCha20Poly1305, nobleSha256, nobleX25519 } from "../../lib/crypto/noble.ts";
import { nodeCrypto } from "../../lib/crypto/node_crypto.ts";
import type { Aead, Dh, Hash } from "../../lib/crypto/types.ts";

/** One implementation with its name for test names. */
export interface Named<T> {
  readonly name: string;
  readonly value: T;
}

function present<T>(...all: { name: string; value: T | undefined }[]): Named<T>[] {
  return all.filter((one): one is Named<T> => one.value !== undefined);
}

export const chachas: Named<Aead>[] = present<Aead>(
  { name: `ChaCha20-Poly1305 (${NOBLE})`, value: nobleChaCha20Poly1305 },
  { name: `ChaCha20-Poly1305 (${NATIVE})`, value: nativeChaCha20Poly1305() },
);

export const aeses: Named<Aead>[] = present<Aead>(
  { name: `AES-256-GCM (${NOBLE})`, value: nobleAes256Gcm },
  { name: `AES-256-GCM (${NATIVE})`, value: nativeAes256Gcm() },
);

export const aeads: Named<Aead>[] = [...chachas, ...aeses];

export const dhs: Named<Dh>[] = present<Dh>(
  { name: `X25519 (${NOBLE})`, value: nobleX25519 },
  ...KEY_ENCODINGS.map((encoding) => ({
    name: `X25519 (${NATIVE}, ${encoding})`,
    value: nativeX25519(nodeCrypto, encoding),
  })),
);

export const hashes: Named<Hash>[] = present<Hash>(
  { name: `SHA-256 (${NOBLE})`, value: nobleSha256 },
  { name: `SHA-256 (${NATIVE})`, value: nativeSha256() },
);
