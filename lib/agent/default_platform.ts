/**
 * The platform that this runtime offers, and the functions of the public library that need nothing but that.
 *
 * @module
 */

import { MessageCodec } from "../codec/message.ts";
import { selectProvider } from "../crypto/select.ts";
import { builtInZstd, defaultBindUdp, resolveHost, SystemClock, SystemRandom } from "../runtime/mod.ts";
import { fingerprintWith, type Identity, newIdentity } from "./identity.ts";
import type { Platform } from "./platform.ts";

/** Made when it is first needed: importing the library does nothing. */
let shared: Platform | undefined;

/** Sockets, clock, randomness and cryptography of this runtime. The same object every time. */
export function defaultPlatform(): Platform {
  return shared ??= {
    crypto: selectProvider(),
    codec: new MessageCodec(),
    random: new SystemRandom(),
    clock: new SystemClock(),
    compressor: builtInZstd(),
    bindUdp: defaultBindUdp(),
    resolveHost,
  };
}

/**
 * Makes a new identity.
 *
 * @example
 * ```ts
 * import { generateIdentity } from "../../mod.ts";
 * const identity = generateIdentity();
 * console.log(identity.publicKeyText, identity.fingerprint);
 * ```
 */
export function generateIdentity(): Identity {
  const { crypto, random } = defaultPlatform();
  return newIdentity(crypto, random);
}

/**
 * A public key's short form for people: `SHA256:` and the unpadded base64 of the SHA-256 of its 32 bytes, as
 * `ssh-keygen -l` prints it.
 *
 * @example
 * ```ts
 * import { fingerprintOf, generateIdentity } from "../../mod.ts";
 * const identity = generateIdentity();
 * console.log(fingerprintOf(identity.publicKey) === identity.fingerprint); // true
 * ```
 */
export function fingerprintOf(publicKey: Uint8Array): string {
  return fingerprintWith(defaultPlatform().crypto, publicKey);
}
