/**
 * A crypto provider that shows what is sealed, before it is: how the simulator sees nonces and plaintext without any help from
 * the code that it watches.
 *
 * @module
 */

import type { Aead, AeadKey, CryptoProvider } from "../crypto/types.ts";

/** Called before anything is sealed. Must not keep or change the bytes. */
export type OnSeal = (key: WatchedKey, nonce: Uint8Array, aad: Uint8Array, plain: Uint8Array) => void;

/** One AEAD key, whoever holds it: the same bytes under the same suite are the same key. */
export interface WatchedKey {
  readonly suite: number;
  /** Nonces that were used to seal, each as a string of 12 characters. */
  readonly nonces: Set<string>;
}

/** Every key that was made, so that two holders of one key share one set of nonces. */
export class KeyRegistry {
  readonly #keys = new Map<string, WatchedKey>();

  /** How many keys there are. */
  get size(): number {
    return this.#keys.size;
  }

  /** The entry of a key. */
  of(suite: number, key: Uint8Array): WatchedKey {
    const name = `${suite} ${String.fromCharCode(...key)}`;
    let entry = this.#keys.get(name);
    if (entry === undefined) {
      entry = { suite, nonces: new Set() };
      this.#keys.set(name, entry);
    }
    return entry;
  }
}

/** The same provider, with every seal shown to `onSeal`. Give all parties the same registry. */
export function watchCrypto(crypto: CryptoProvider, registry: KeyRegistry, onSeal: OnSeal): CryptoProvider {
  const watch = (aead: Aead): Aead => ({
    suite: aead.suite,
    noiseName: aead.noiseName,
    key: (bytes): AeadKey => {
      const watched = registry.of(aead.suite, bytes);
      const key = aead.key(bytes);
      return {
        seal: (nonce, aad, plain, out) => {
          onSeal(watched, nonce, aad, plain);
          key.seal(nonce, aad, plain, out);
        },
        open: (nonce, aad, sealed, out) => key.open(nonce, aad, sealed, out),
      };
    },
  });
  return {
    name: crypto.name,
    dh: crypto.dh,
    sha256: crypto.sha256,
    chacha20poly1305: watch(crypto.chacha20poly1305),
    aes256gcm: watch(crypto.aes256gcm),
    suites: crypto.suites,
  };
}
