/**
 * Makes UDP datagrams that nobody should believe: noise, pieces of real ones, real ones with changes.
 *
 * @module
 */

import { concatBytes, writeSafeU64, writeU16, writeU32 } from "../base/bytes.ts";
import { HANDSHAKE_MESSAGE_OVERHEAD, HeaderOffset, PACKET_HEADER_SIZE, PacketFlag } from "../wire/constants.ts";
import type { SeededRandom } from "./seeded_random.ts";

/** Real datagrams that are kept to be mutilated; later ones take the places of earlier ones. */
const CORPUS_SIZE = 256;
/** Handshake packets among them that are kept for good: there are few, and they are the way in. */
const HANDSHAKES = 64;
const LARGEST = 1500;
/** Values at which lengths, numbers and ids tend to be handled wrongly. */
const EDGES: readonly number[] = [
  0,
  1,
  2,
  15,
  16,
  17,
  31,
  32,
  33,
  127,
  128,
  255,
  256,
  1167,
  1168,
  1199,
  1200,
  32767,
  32768,
  65535,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 2,
  2 ** 53 - 1,
];

/** A generator of bad datagrams that learns from good ones. */
export class DatagramFuzzer {
  readonly #random: SeededRandom;
  readonly #corpus: Uint8Array[] = [];
  readonly #handshakes: Uint8Array[] = [];
  #seen = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** Learns a real datagram; a copy is kept. */
  learn(bytes: Uint8Array): void {
    const isHandshake = bytes.length > HeaderOffset.FLAGS && bytes[HeaderOffset.FLAGS] === PacketFlag.HANDSHAKE;
    if (isHandshake && this.#handshakes.length < HANDSHAKES) this.#handshakes.push(bytes.slice());
    const place = this.#seen++ % CORPUS_SIZE;
    this.#corpus[place] = bytes.slice();
  }

  /** The next datagram, at most 1 500 bytes. */
  next(): Uint8Array {
    const random = this.#random;
    const known = this.#corpus.length > 0;
    switch (random.below(known ? 10 : 3)) {
      case 0:
        return this.#noise(random.below(LARGEST + 1));
      case 1:
        return this.#handshakePacket();
      case 2:
        return this.#protectedPacket();
      case 3:
        return this.#truncated();
      case 4:
        return this.#flipped();
      case 5:
        return this.#edged();
      case 6:
        return this.#spliced();
      case 7:
        return this.#shifted();
      case 8:
        return this.#joined();
      default:
        return this.#pick().slice();
    }
  }

  #pick(): Uint8Array {
    const random = this.#random, handshakes = this.#handshakes;
    if (handshakes.length > 0 && random.chance(0.3)) return handshakes[random.below(handshakes.length)];
    return this.#corpus[this.#random.below(this.#corpus.length)];
  }

  #noise(length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.#random.fill(out);
    return out;
  }

  #edge(): number {
    return EDGES[this.#random.below(EDGES.length)];
  }

  /** Noise in the form of a handshake packet, often one that goes a long way. */
  #handshakePacket(): Uint8Array {
    const random = this.#random;
    const length = random.chance(0.7) ? 1200 : HANDSHAKE_MESSAGE_OVERHEAD + PACKET_HEADER_SIZE + random.below(1100);
    const out = this.#noise(length);
    if (random.chance(0.7)) out.fill(0, HeaderOffset.DESTINATION, HeaderOffset.DESTINATION + 8);
    else if (this.#corpus.length > 0) out.set(this.#pick().subarray(0, 8));
    out[HeaderOffset.FLAGS] = PacketFlag.HANDSHAKE;
    out[HeaderOffset.RESERVED] = 0;
    writeU16(out, HeaderOffset.LENGTH, length - PACKET_HEADER_SIZE);
    writeU32(out, HeaderOffset.NONCE + 8, random.chance(0.9) ? 1 : this.#edge() >>> 0);
    out[PACKET_HEADER_SIZE] = random.chance(0.5) ? 1 : random.below(8);
    out[PACKET_HEADER_SIZE + 32] &= 0x7f; // a canonical key more often than not
    writeU16(out, PACKET_HEADER_SIZE + 33, length - PACKET_HEADER_SIZE - HANDSHAKE_MESSAGE_OVERHEAD);
    out[PACKET_HEADER_SIZE + HANDSHAKE_MESSAGE_OVERHEAD] = random.chance(0.5) ? 2 : random.below(4);
    if (random.chance(0.5)) {
      // The padding that an XX hello carries in clear: type 0, its length, zeros.
      const at = PACKET_HEADER_SIZE + HANDSHAKE_MESSAGE_OVERHEAD + 1;
      out.fill(0, at);
      if (at + 3 <= length) writeU16(out, at + 1, length - at - 3);
    }
    return out;
  }

  /** Noise in the form of a protected packet for a connection that exists. */
  #protectedPacket(): Uint8Array {
    const out = this.#noise(PACKET_HEADER_SIZE + 17 + this.#random.below(1150));
    if (this.#corpus.length > 0) out.set(this.#pick().subarray(0, 8));
    out[HeaderOffset.FLAGS] &= 0xfe;
    out[HeaderOffset.RESERVED] = 0;
    writeU16(out, HeaderOffset.LENGTH, out.length - PACKET_HEADER_SIZE);
    return out;
  }

  #truncated(): Uint8Array {
    const bytes = this.#pick();
    return bytes.slice(0, this.#random.below(bytes.length + 1));
  }

  #flipped(): Uint8Array {
    const random = this.#random;
    const out = this.#pick().slice();
    for (let i = 1 + random.below(8); i > 0 && out.length > 0; i--) {
      out[random.below(out.length)] ^= 1 << random.below(8);
    }
    return out;
  }

  /** A value that is often handled wrongly, somewhere. */
  #edged(): Uint8Array {
    const random = this.#random;
    const out = this.#pick().slice();
    if (out.length < PACKET_HEADER_SIZE) return out;
    const at = random.chance(0.6)
      ? random.below(PACKET_HEADER_SIZE + HANDSHAKE_MESSAGE_OVERHEAD)
      : random.below(out.length);
    const width = [1, 2, 4, 8][random.below(4)];
    if (at + width > out.length) return out;
    const value = this.#edge();
    if (width === 1) out[at] = value;
    else if (width === 2) writeU16(out, at, value);
    else if (width === 4) writeU32(out, at, value);
    else if (random.chance(0.2)) out.fill(0xff, at, at + 8);
    else writeSafeU64(out, at, value);
    return out;
  }

  /** The beginning of one and the end of another. */
  #spliced(): Uint8Array {
    const a = this.#pick(), b = this.#pick();
    return concatBytes(a.subarray(0, this.#random.below(a.length + 1)), b.subarray(this.#random.below(b.length + 1)))
      .slice(0, LARGEST);
  }

  /** Some bytes put in or taken out. */
  #shifted(): Uint8Array {
    const random = this.#random;
    const bytes = this.#pick();
    const at = random.below(bytes.length + 1), count = 1 + random.below(16);
    if (random.chance(0.5)) {
      return concatBytes(bytes.subarray(0, at), bytes.subarray(Math.min(at + count, bytes.length)));
    }
    return concatBytes(bytes.subarray(0, at), this.#noise(count), bytes.subarray(at)).slice(0, LARGEST);
  }

  /** Two packets in one datagram. */
  #joined(): Uint8Array {
    return concatBytes(this.#pick(), this.#pick()).slice(0, LARGEST);
  }
}
