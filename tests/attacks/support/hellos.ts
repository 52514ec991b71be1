/**
 * Handshake messages as honest peers never send them.
 *
 * @module
 */

import { bytesEqual, concatBytes, fromHex } from "../../../lib/base/bytes.ts";
import { generateKeyPair } from "../../../lib/crypto/key_pair.ts";
import type { CryptoProvider, Dh, KeyPair } from "../../../lib/crypto/types.ts";
import { HandshakeState } from "../../../lib/noise/handshake_state.ts";
import { PATTERN_IK } from "../../../lib/noise/patterns.ts";
import type { SeededRandom } from "../../../lib/testing/seeded_random.ts";
import { type ConnectionId, randomConnectionId, ZERO_CONNECTION_ID } from "../../../lib/wire/connection_id.ts";
import { HandshakeKind, HandshakePattern, PACKET_HEADER_SIZE, WIRE_VERSION } from "../../../lib/wire/constants.ts";
import { encodeHandshakeMessage } from "../../../lib/wire/handshake_message.ts";
import { writeHandshakePacket } from "../../../lib/wire/packet_header.ts";
import { encodePaddingParameters } from "../../../lib/wire/transport_parameters.ts";
import { crypto } from "./scene.ts";

/** Where the body of a hello's packet begins. */
export const BODY_AT = PACKET_HEADER_SIZE;
/** Where its ephemeral key begins. */
export const EPHEMERAL_AT = BODY_AT + 1;
/** Where its pattern byte is. */
export const PATTERN_AT = BODY_AT + 35;

/** A handshake packet with any message, alone in its UDP datagram, followed by zeros up to `size`. */
export function handshakeDatagram(
  message: Uint8Array,
  sender: ConnectionId,
  dst: ConnectionId = ZERO_CONNECTION_ID,
  size = 0,
): Uint8Array {
  const out = new Uint8Array(Math.max(size, PACKET_HEADER_SIZE + message.length));
  writeHandshakePacket(out, 0, dst, 0, sender, WIRE_VERSION, message);
  return out;
}

/** An XX hello whose key nobody has: it costs its sender nothing. */
export function cheapHello(random: SeededRandom, id: ConnectionId = randomConnectionId(random)): Uint8Array {
  const ephemeral = new Uint8Array(32);
  random.fillPublic(ephemeral);
  ephemeral[31] &= 0x3f;
  const payload = concatBytes(Uint8Array.of(HandshakePattern.XX), encodePaddingParameters(1132));
  return handshakeDatagram(encodeHandshakeMessage(HandshakeKind.INITIATOR_HELLO, ephemeral, payload), id);
}

/** An IK hello that is authentic, with any bytes in place of its parameters. */
export function ikHello(random: SeededRandom, responderKey: Uint8Array, parameters: Uint8Array): Uint8Array {
  const id = randomConnectionId(random);
  const noise = new HandshakeState({
    pattern: PATTERN_IK,
    initiator: true,
    prologue: concatBytes(Uint8Array.of(0x4d, 0x58, 0x50, 0x31, WIRE_VERSION, 0, 0, 0, HandshakePattern.IK), id.bytes),
    dh: crypto.dh,
    aead: crypto.chacha20poly1305,
    hash: crypto.sha256,
    random,
    staticKey: generateKeyPair(crypto.dh, random),
    remoteStatic: responderKey,
  });
  const message = noise.writeMessage(parameters);
  const payload = concatBytes(Uint8Array.of(HandshakePattern.IK), message.subarray(32));
  return handshakeDatagram(
    encodeHandshakeMessage(HandshakeKind.INITIATOR_HELLO, message.subarray(0, 32), payload),
    id,
    ZERO_CONNECTION_ID,
    1200,
  );
}

/** Public keys that no handshake may succeed with: points of low order and their other spellings, and keys out of range. */
export const BAD_KEYS: readonly Uint8Array[] = [
  "00".repeat(32),
  "01" + "00".repeat(31),
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ec" + "ff".repeat(30) + "7f",
  "ed" + "ff".repeat(30) + "7f",
  "ee" + "ff".repeat(30) + "7f",
  "00".repeat(31) + "80",
  "ff".repeat(32),
  "09" + "00".repeat(30) + "80",
].map((hex) => fromHex(hex)!);

/**
 * Cryptography of somebody who shows `publicKey` where a key pair is to be shown, and computes what the other side would arrive at if it
 * did not look: nothing but zeros.
 *
 * @param which whether his static key is bad, or his ephemeral ones are
 */
export function badKeyCrypto(publicKey: Uint8Array, identity: KeyPair, which: "static" | "ephemeral"): CryptoProvider {
  const isBad = (privateKey: Uint8Array): boolean =>
    bytesEqual(privateKey, identity.privateKey) === (which === "static");
  const dh: Dh = {
    noiseName: crypto.dh.noiseName,
    publicKey: (privateKey) => isBad(privateKey) ? publicKey.slice() : crypto.dh.publicKey(privateKey),
    shared: (privateKey, other) => isBad(privateKey) ? new Uint8Array(32) : crypto.dh.shared(privateKey, other),
  };
  return { ...crypto, dh };
}

/** A static key pair with that public key. */
export function badIdentity(publicKey: Uint8Array): KeyPair {
  return { privateKey: new Uint8Array(32).fill(0x42), publicKey };
}

/** Cryptography that counts key agreements. */
export function countedCrypto(): { readonly crypto: CryptoProvider; agreements: number } {
  const counted = {
    agreements: 0,
    crypto: {
      ...crypto,
      dh: {
        noiseName: crypto.dh.noiseName,
        publicKey: (key: Uint8Array) => crypto.dh.publicKey(key),
        shared: (privateKey: Uint8Array, publicKey: Uint8Array) => {
          counted.agreements++;
          return crypto.dh.shared(privateKey, publicKey);
        },
      },
    },
  };
  return counted;
}
