/**
 * What the protocol needs of cryptography, as interfaces. Providers implement them; nothing else in the project names an
 * algorithm's implementation. Everything is synchronous.
 *
 * @module
 */

/** AEAD suites by their number on the wire (SPEC §5). */
export const SUITE_CHACHA20_POLY1305 = 0x01;
export const SUITE_AES_256_GCM = 0x02;

/** Length of an authentication tag, both suites. */
export const TAG_LENGTH = 16;

/** A key, ready for use. */
export interface AeadKey {
  /**
   * Seals `plain` under a 12-byte nonce. Writes `plain.length + 16` bytes to the start of `out`, which may begin at the
   * same byte as `plain` (in place) but must not overlap it otherwise.
   */
  seal(nonce: Uint8Array, aad: Uint8Array, plain: Uint8Array, out: Uint8Array): void;
  /**
   * Opens ciphertext + tag. Writes `sealed.length - 16` bytes to the start of `out` (which may begin at the same byte as
   * `sealed`) and says true; says false, with `out` unspecified, when it does not authenticate or is shorter than a tag.
   */
  open(nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array, out: Uint8Array): boolean;
}

/** An AEAD algorithm with 32-byte keys, 12-byte nonces and 16-byte tags. */
export interface Aead {
  /** Number on the wire. */
  readonly suite: number;
  /** Name in Noise protocol names. */
  readonly noiseName: "ChaChaPoly" | "AESGCM";
  /** Prepares a 32-byte key. The bytes are copied. */
  key(key: Uint8Array): AeadKey;
}

/** X25519. */
export interface Dh {
  /** Name in Noise protocol names. */
  readonly noiseName: "25519";
  /** The public key of a 32-byte private key. */
  publicKey(privateKey: Uint8Array): Uint8Array;
  /**
   * The 32-byte shared secret; undefined when the public key is non-canonical (bit 255 set, or ≥ 2^255 − 19) or the
   * result is all zero (low-order point).
   */
  shared(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined;
}

/** A hash with HMAC and HKDF over it. */
export interface Hash {
  /** Name in Noise protocol names. */
  readonly noiseName: "SHA256" | "BLAKE2s" | "SHA512" | "BLAKE2b";
  /** Bytes of a hash, HASHLEN in Noise. */
  readonly hashLength: number;
  /** Bytes of a block, BLOCKLEN in Noise. */
  readonly blockLength: number;
  /** The hash of the parts, one behind the other. */
  hash(...parts: Uint8Array[]): Uint8Array;
  /** HMAC (RFC 2104) over the parts, one behind the other. */
  hmac(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array;
}

/** Everything together, as chosen at start for this runtime. */
export interface CryptoProvider {
  /** For logs and `ping`, such as `node:crypto` or `noble`. */
  readonly name: string;
  /** X25519. */
  readonly dh: Dh;
  /** SHA-256. */
  readonly sha256: Hash;
  /** ChaCha20-Poly1305 (RFC 8439). */
  readonly chacha20poly1305: Aead;
  /** AES-256-GCM (NIST SP 800-38D). */
  readonly aes256gcm: Aead;
  /** Suites that this side offers, most preferred first; decided by speed (docs/adr). Always includes ChaCha20-Poly1305. */
  readonly suites: readonly number[];
}

/** A static X25519 key pair. `privateKey` never leaves the process. */
export interface KeyPair {
  /** 32 bytes, secret. */
  readonly privateKey: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}
