/**
 * Who is at the other end of a connection.
 *
 * @module
 */

import { toBase64Url } from "../base/bytes.ts";
import type { CryptoProvider } from "../crypto/types.ts";
import { fingerprintWith } from "./identity.ts";

/** A peer: the key that it proved, and where it is. */
export interface PeerInfo {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The key as it stands in URLs. */
  readonly publicKeyText: string;
  /** Short form of the key for people, `SHA256:…`. */
  readonly fingerprint: string;
  /** `IP:PORT`, IPv6 in brackets. */
  readonly address: string;
  /** The host as it was asked for; a peer that connected to us has its IP address here. */
  readonly host: string;
  /** UDP port. */
  readonly port: number;
}

/** Describes a peer. */
export function peerInfo(
  crypto: CryptoProvider,
  publicKey: Uint8Array,
  address: string,
  host: string,
  port: number,
): PeerInfo {
  return {
    publicKey,
    publicKeyText: toBase64Url(publicKey),
    fingerprint: fingerprintWith(crypto, publicKey),
    address,
    host,
    port,
  };
}
