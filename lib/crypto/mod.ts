/**
 * Cryptography: interfaces, the provider that this runtime gets, key derivation.
 *
 * @module
 */

export * from "./types.ts";
export { hkdf, hkdfExpand, hkdfExtract, noiseHkdf2, noiseHkdf3 } from "./hkdf.ts";
export { generateKeyPair, keyPairFrom } from "./key_pair.ts";
export { nobleProvider } from "./noble.ts";
export {
  chooseSuite,
  preferredSuites,
  type PrimitiveName,
  type RefusedPrimitive,
  type SelectedProvider,
  type SelectOptions,
  selectProvider,
} from "./select.ts";
export { isAcceptablePublicKey, X25519_KEY_LENGTH } from "./x25519_public_key.ts";
