/**
 * The SymmetricState of the Noise framework (§5.2): chaining key and transcript hash.
 *
 * @module
 */

import { noiseHkdf2, noiseHkdf3 } from "../crypto/hkdf.ts";
import type { Aead, Hash } from "../crypto/types.ts";
import { CipherState } from "./cipher_state.ts";

/** Length of an AEAD key, to which 64-byte hashes are cut. */
const KEY_LENGTH = 32;

/**
 * Mixes keys and transcript. The arrays inside are replaced and never written to, so that {@link clone} is a matter of
 * references: that is how a message is tried without touching the state that would have to survive its failure.
 */
export class SymmetricState {
  readonly #hash: Hash;
  readonly #aead: Aead;
  #cipher: CipherState;
  #chainingKey: Uint8Array;
  #handshakeHash: Uint8Array;

  private constructor(
    hash: Hash,
    aead: Aead,
    cipher: CipherState,
    chainingKey: Uint8Array,
    handshakeHash: Uint8Array,
  ) {
    this.#hash = hash;
    this.#aead = aead;
    this.#cipher = cipher;
    this.#chainingKey = chainingKey;
    this.#handshakeHash = handshakeHash;
  }

  /** InitializeSymmetric, with the full protocol name in ASCII. */
  static initialize(protocolName: string, hash: Hash, aead: Aead): SymmetricState {
    const name = Uint8Array.from(protocolName, (character) => character.charCodeAt(0));
    let handshakeHash = new Uint8Array(hash.hashLength);
    if (name.length <= hash.hashLength) handshakeHash.set(name);
    else handshakeHash = new Uint8Array(hash.hash(name));
    return new SymmetricState(hash, aead, new CipherState(aead), handshakeHash.slice(), handshakeHash);
  }

  /** The transcript so far. Not a copy: do not write to it. */
  get handshakeHash(): Uint8Array {
    return this.#handshakeHash;
  }

  /** How much longer the next sealed thing is than its plaintext. */
  get overhead(): number {
    return this.#cipher.overhead;
  }

  /** MixHash: adds data to the transcript. */
  mixHash(data: Uint8Array): void {
    this.#handshakeHash = this.#hash.hash(this.#handshakeHash, data);
  }

  /** MixKey: adds the result of a key agreement. */
  mixKey(keyingMaterial: Uint8Array): void {
    const [chainingKey, key] = noiseHkdf2(this.#hash, this.#chainingKey, keyingMaterial);
    this.#chainingKey = chainingKey;
    this.#cipher.initializeKey(key.subarray(0, KEY_LENGTH));
  }

  /** MixKeyAndHash: adds a pre-shared key. */
  mixKeyAndHash(keyingMaterial: Uint8Array): void {
    const [chainingKey, toHash, key] = noiseHkdf3(this.#hash, this.#chainingKey, keyingMaterial);
    this.#chainingKey = chainingKey;
    this.mixHash(toHash);
    this.#cipher.initializeKey(key.subarray(0, KEY_LENGTH));
  }

  /** Seals under the transcript and adds the result to it. Writes to the start of `out`; returns how many bytes. */
  encryptAndHash(plain: Uint8Array, out: Uint8Array): number {
    const length = this.#cipher.encryptWithAd(this.#handshakeHash, plain, out);
    this.mixHash(out.subarray(0, length));
    return length;
  }

  /** Opens what {@link encryptAndHash} made. Undefined, with nothing changed, if it does not authenticate. */
  decryptAndHash(sealed: Uint8Array): Uint8Array | undefined {
    const plain = this.#cipher.decryptWithAd(this.#handshakeHash, sealed);
    if (plain !== undefined) this.mixHash(sealed);
    return plain;
  }

  /** Split: the secret of the initiator's direction, then the responder's, cut to 32 bytes. Forgets all keys. */
  split(): [Uint8Array, Uint8Array] {
    const [first, second] = noiseHkdf2(this.#hash, this.#chainingKey, new Uint8Array(0));
    this.#chainingKey.fill(0);
    this.#cipher.clear();
    return [first.slice(0, KEY_LENGTH), second.slice(0, KEY_LENGTH)];
  }

  /** An independent copy. */
  clone(): SymmetricState {
    return new SymmetricState(this.#hash, this.#aead, this.#cipher.clone(), this.#chainingKey, this.#handshakeHash);
  }
}
