/**
 * Who is at the other end of a connection.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { toBase64Url } from "../base/bytes.ts";
import type { CryptoProvider } from "../crypto/types.ts";
import { fingerprintWith } from "./identity.ts";

/** A peer: the key that it proved, and where it is. Who comes over the plain carrier has proven nothing, not even the address. */
export interface PeerInfo {
  /** 32 bytes; none over the plain carrier. */
  readonly publicKey: Uint8Array;
  /** The key as it stands in URLs; empty over the plain carrier. */
  readonly publicKeyText: string;
  /** Short form of the key for people, `SHA256:…`; empty over the plain carrier. */
  readonly fingerprint: string;
  /** What brought it, if not a connection. */
  readonly carrier?: "plain";
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

/** Describes whoever sent a datagram of the plain carrier. */
export function plainPeerInfo({ key, host, port }: Address): PeerInfo {
  return {
    publicKey: new Uint8Array(0),
    publicKeyText: "",
    fingerprint: "",
    carrier: "plain",
    address: key,
    host,
    port,
  };
}
