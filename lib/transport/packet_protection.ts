/**
 * Packet protection: sealing and opening packets under one direction's key (SPEC §6).
 *
 * @module
 */

import { readSafeU64, readU16 } from "../base/bytes.ts";
import { hkdfExpand } from "../crypto/hkdf.ts";
import { type Aead, type AeadKey, type Hash, SUITE_AES_256_GCM } from "../crypto/types.ts";
import type { ConnectionId } from "../wire/connection_id.ts";
import {
  HeaderOffset,
  MAX_SAFE_U64,
  MIN_PROTECTED_BODY_SIZE,
  NONCE_SIZE,
  PACKET_HEADER_SIZE,
  PACKET_TAG_SIZE,
  PacketFlag,
  UNDEFINED_PACKET_FLAGS,
} from "../wire/constants.ts";
import { HeaderMask } from "../wire/header_protection.ts";
import { writePacketHeader } from "../wire/packet_header.ts";

/** Most packets that one key may seal with ChaCha20-Poly1305 (SPEC §6). */
export const CHACHA20_POLY1305_SEAL_LIMIT = 2 ** 48;
/** Most packets that one key may seal with AES-256-GCM (SPEC §6, RFC 9001 §6.6). */
export const AES_256_GCM_SEAL_LIMIT = 2 ** 23;

const SECRET_SIZE = 32;
/** Flags that a protected packet must not have. */
const FORBIDDEN_FLAGS = UNDEFINED_PACKET_FLAGS | PacketFlag.HANDSHAKE;
const NO_BYTES = new Uint8Array(0);

/**
 * The keys of one direction in one epoch. Each side has two: one that seals and one that opens.
 *
 * @example
 * ```ts
 * import { nobleProvider } from "../crypto/mod.ts";
 * import { ConnectionId } from "../wire/connection_id.ts";
 * import { PACKET_HEADER_SIZE, PacketFlag } from "../wire/constants.ts";
 * import { PacketKeys } from "./packet_protection.ts";
 * import { ReplayWindow } from "./replay_window.ts";
 *
 * const { chacha20poly1305, sha256 } = nobleProvider, secret = new Uint8Array(32);
 * const peerId = new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
 * const packet = new Uint8Array(1200), scratch = new Uint8Array(1200);
 * packet.set([1, 2, 3], PACKET_HEADER_SIZE); // the frames
 * const sealer = new PacketKeys(chacha20poly1305, sha256, secret);
 * const end = sealer.seal(packet, 0, PACKET_HEADER_SIZE + 3, peerId, 0, PacketFlag.ACK_ELICITING);
 *
 * const opener = new PacketKeys(chacha20poly1305, sha256, secret), seen = new ReplayWindow();
 * if (opener.open(packet, 0, end, scratch) && seen.isFresh(opener.packetNumber)) {
 *   seen.mark(opener.packetNumber);
 *   scratch.subarray(opener.plaintextStart, opener.plaintextEnd); // 1, 2, 3
 * }
 * ```
 */
export class PacketKeys {
  /** After {@link unmask} or {@link open}: the packet's number. Proven only if {@link open} said true. */
  packetNumber = 0;
  /** After {@link unmask} or {@link open}: the packet's flags. Proven only if {@link open} said true. */
  flags = 0;
  /** After {@link open} said true: where the plaintext begins in the scratch buffer. */
  plaintextStart = 0;
  /** After {@link open} said true: where the plaintext ends in the scratch buffer. */
  plaintextEnd = 0;
  /** Packets sealed so far. */
  sealedPackets = 0;
  /** Packets that reached the AEAD and did not authenticate; RFC 9001 §6.6 wants their number bounded. */
  failedPackets = 0;
  /** {@link seal} throws once this many packets have been sealed; close or update before. */
  readonly sealLimit: number;

  readonly #aead: Aead;
  readonly #hash: Hash;
  readonly #key: AeadKey;
  readonly #iv: Uint8Array;
  readonly #mask: HeaderMask;
  readonly #nextSecret: Uint8Array;
  /** The header in clear: associated data in both directions. */
  readonly #header = new Uint8Array(PACKET_HEADER_SIZE);
  readonly #nonce = new Uint8Array(NONCE_SIZE);
  /** A view of {@link #sealBuffer} from the body on; senders keep sealing at the same place. */
  #sealBody: Uint8Array = NO_BYTES;
  #sealBuffer: Uint8Array = NO_BYTES;
  #sealStart = -1;

  /**
   * Derives the keys of an epoch from its 32-byte secret, which is not kept.
   *
   * @param mask the first epoch's header protection, which all later epochs share; derived from `secret` if left out
   */
  constructor(aead: Aead, hash: Hash, secret: Uint8Array, mask?: HeaderMask) {
    if (secret.length !== SECRET_SIZE) throw new RangeError(`a secret has ${SECRET_SIZE} bytes, got ${secret.length}`);
    this.#aead = aead;
    this.#hash = hash;
    this.#key = aead.key(hkdfExpand(hash, secret, "mxp1 key", 32));
    this.#iv = hkdfExpand(hash, secret, "mxp1 iv", NONCE_SIZE);
    this.#mask = mask ?? new HeaderMask(hkdfExpand(hash, secret, "mxp1 hp", 32));
    this.#nextSecret = hkdfExpand(hash, secret, "mxp1 ku", SECRET_SIZE);
    this.sealLimit = aead.suite === SUITE_AES_256_GCM ? AES_256_GCM_SEAL_LIMIT : CHACHA20_POLY1305_SEAL_LIMIT;
  }

  /** The next epoch's secret, a copy (for the key log). */
  get nextSecret(): Uint8Array {
    return this.#nextSecret.slice();
  }

  /** The next epoch's keys; header protection stays the same. */
  nextEpoch(): PacketKeys {
    return new PacketKeys(this.#aead, this.#hash, this.#nextSecret, this.#mask);
  }

  /**
   * Seals the plaintext at `out[start + 32 … plaintextEnd)` in place: writes the header before it and the tag behind it, and
   * masks. Returns where the packet ends. Throws a RangeError for an empty plaintext, too small a buffer, flags or a packet
   * number out of range, or a used-up key; the caller sees to it that no packet number is ever used twice.
   */
  seal(
    out: Uint8Array,
    start: number,
    plaintextEnd: number,
    dst: ConnectionId,
    packetNumber: number,
    flags: number,
  ): number {
    const bodyStart = start + PACKET_HEADER_SIZE, end = plaintextEnd + PACKET_TAG_SIZE;
    const length = end - bodyStart;
    if (length < MIN_PROTECTED_BODY_SIZE || length > 0xffff || end > out.length) {
      throw new RangeError(`cannot seal ${length - PACKET_TAG_SIZE} bytes at ${start} of ${out.length}`);
    }
    if ((flags & ~0xff) !== 0 || (flags & FORBIDDEN_FLAGS) !== 0) throw new RangeError(`bad packet flags ${flags}`);
    if (!(packetNumber >= 0 && packetNumber <= MAX_SAFE_U64)) throw new RangeError(`bad packet number ${packetNumber}`);
    if (this.sealedPackets >= this.sealLimit) throw new RangeError("the key has sealed as many packets as it may");
    this.sealedPackets++;
    if (this.#sealBuffer !== out || this.#sealStart !== start) {
      this.#sealBuffer = out;
      this.#sealStart = start;
      this.#sealBody = out.subarray(bodyStart);
    }
    this.#computeNonce(packetNumber);
    writePacketHeader(this.#header, 0, dst, packetNumber, flags, length, this.#nonce);
    const body = this.#sealBody;
    this.#key.seal(this.#nonce, this.#header, body.subarray(0, length - PACKET_TAG_SIZE), body);
    for (let i = 0; i < PACKET_HEADER_SIZE; i++) out[start + i] = this.#header[i];
    this.#mask.apply(out, start);
    return end;
  }

  /**
   * Reads the masked header of the packet at `start`–`end` into {@link packetNumber} and {@link flags}, without proof; false if
   * it cannot be a protected packet. Only needed ahead of {@link decrypt}, to choose between epochs by KEY_PHASE.
   */
  unmask(datagram: Uint8Array, start: number, end: number): boolean {
    if (end - start < PACKET_HEADER_SIZE + MIN_PROTECTED_BODY_SIZE || end > datagram.length) return false;
    const header = this.#header;
    this.#mask.unmask(datagram, start, header);
    const flags = header[HeaderOffset.FLAGS];
    // The HANDSHAKE bit is not masked: a packet that carries it is none of ours.
    if ((flags & FORBIDDEN_FLAGS) !== 0 || header[HeaderOffset.RESERVED] !== 0) return false;
    if (readU16(header, HeaderOffset.LENGTH) !== end - start - PACKET_HEADER_SIZE) return false;
    const packetNumber = readSafeU64(header, HeaderOffset.PACKET_NUMBER);
    if (packetNumber < 0) return false;
    this.flags = flags;
    this.packetNumber = packetNumber;
    return true;
  }

  /**
   * Opens the packet that {@link unmask} has just said true for. Writes the plaintext to the start of `scratch`, whose content is
   * unspecified on false. The datagram is not changed.
   */
  decrypt(datagram: Uint8Array, start: number, end: number, scratch: Uint8Array): boolean {
    const plaintextSize = end - start - PACKET_HEADER_SIZE - PACKET_TAG_SIZE;
    if (plaintextSize > scratch.length) return false;
    const nonce = this.#nonce, header = this.#header;
    this.#computeNonce(this.packetNumber);
    let difference = 0;
    for (let i = 0; i < NONCE_SIZE; i++) difference |= nonce[i] ^ header[HeaderOffset.NONCE + i];
    if (difference !== 0) return false;
    if (!this.#key.open(nonce, header, datagram.subarray(start + PACKET_HEADER_SIZE, end), scratch)) {
      this.failedPackets++;
      return false;
    }
    this.plaintextStart = 0;
    this.plaintextEnd = plaintextSize;
    return true;
  }

  /**
   * Opens the packet at `start`–`end` of a UDP datagram: {@link unmask} and {@link decrypt}. False, and nothing may be believed, for
   * anything that is not a packet sealed under this key. Consult the replay window only after true.
   *
   * @param scratch receives the plaintext; as long as the largest UDP payload, since a longer packet does not open
   */
  open(datagram: Uint8Array, start: number, end: number, scratch: Uint8Array): boolean {
    return this.unmask(datagram, start, end) && this.decrypt(datagram, start, end, scratch);
  }

  /** iv with the packet number, as a little-endian u64, XORed into its last eight bytes. */
  #computeNonce(packetNumber: number): void {
    const nonce = this.#nonce, iv = this.#iv;
    const low = packetNumber >>> 0, high = (packetNumber / 0x1_0000_0000) >>> 0;
    for (let i = 0; i < 4; i++) {
      nonce[i] = iv[i];
      nonce[4 + i] = iv[4 + i] ^ (low >>> (8 * i));
      nonce[8 + i] = iv[8 + i] ^ (high >>> (8 * i));
    }
  }
}
