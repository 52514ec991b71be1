/**
 * Header protection: hides flags, packet number and nonce from observers (SPEC §6).
 *
 * The keystream is one ChaCha20 block. It is computed here, on 32-bit locals, because a general cipher's set-up would
 * cost more than the block, and this runs once for every packet in either direction.
 *
 * @module
 */

import { readU32 } from "../base/bytes.ts";
import { HeaderOffset, PACKET_HEADER_SIZE } from "./constants.ts";

/** The sample is the body's bytes 4–15. */
const SAMPLE_OFFSET = PACKET_HEADER_SIZE + 4;
/** HANDSHAKE is never masked, so that the kind of a packet is readable without keys. */
const MASKED_FLAGS = 0xfe;

/**
 * One ChaCha20 block (RFC 8439 §2.3), 64 bytes at the start of `out`. The plain form, for tests and tools.
 *
 * @param key 32 bytes
 * @param nonce 12 bytes
 */
export function chacha20Block(key: Uint8Array, counter: number, nonce: Uint8Array, out: Uint8Array): void {
  const state = new Uint32Array(16);
  for (let i = 0; i < 8; i++) state[i] = readU32(key, 4 * i);
  const words = new Int32Array(16);
  block(state, counter, readU32(nonce, 0), readU32(nonce, 4), readU32(nonce, 8), words);
  for (let i = 0; i < 64; i++) out[i] = words[i >> 2] >>> (8 * (i & 3));
}

/**
 * Masks and unmasks packet headers under one key. One instance serves a direction for as long as the connection lives.
 *
 * @example
 * ```ts
 * import { HeaderMask } from "./header_protection.ts";
 *
 * const packet = new Uint8Array(64); // as it was sealed
 * const mask = new HeaderMask(new Uint8Array(32).fill(7));
 * mask.apply(packet, 0); // flags, packet number and nonce are hidden
 * mask.apply(packet, 0); // and readable again
 * ```
 */
export class HeaderMask {
  readonly #key = new Uint32Array(8);
  readonly #words = new Int32Array(16);

  /** @param key the 32-byte `hp` key; copied */
  constructor(key: Uint8Array) {
    if (key.length !== 32) throw new RangeError(`a header protection key has 32 bytes, got ${key.length}`);
    for (let i = 0; i < 8; i++) this.#key[i] = readU32(key, 4 * i);
  }

  /**
   * Masks (or unmasks) in place the header of the packet that begins at `start`. At least 16 bytes of body must follow the
   * header, which a protected packet's tag sees to.
   */
  apply(packet: Uint8Array, start: number): void {
    this.#keystream(packet, start);
    this.#mask(packet, start);
  }

  /** Copies the 32-byte header at `start` into the start of `header`, unmasked, and leaves `packet` as it is. */
  unmask(packet: Uint8Array, start: number, header: Uint8Array): void {
    this.#keystream(packet, start);
    for (let i = 0; i < PACKET_HEADER_SIZE; i++) header[i] = packet[start + i];
    this.#mask(header, 0);
  }

  #keystream(packet: Uint8Array, start: number): void {
    const sample = start + SAMPLE_OFFSET;
    block(
      this.#key,
      0,
      readU32(packet, sample),
      readU32(packet, sample + 4),
      readU32(packet, sample + 8),
      this.#words,
    );
  }

  /** XORs keystream bytes 0, 1–8 and 9–20; unrolled, which makes masking about a tenth faster than a loop does. */
  #mask(bytes: Uint8Array, start: number): void {
    const words = this.#words;
    const w0 = words[0], w1 = words[1], w2 = words[2], w3 = words[3], w4 = words[4], w5 = words[5];
    bytes[start + HeaderOffset.FLAGS] ^= w0 & MASKED_FLAGS;
    let at = start + HeaderOffset.PACKET_NUMBER;
    bytes[at] ^= w0 >>> 8;
    bytes[at + 1] ^= w0 >>> 16;
    bytes[at + 2] ^= w0 >>> 24;
    bytes[at + 3] ^= w1;
    bytes[at + 4] ^= w1 >>> 8;
    bytes[at + 5] ^= w1 >>> 16;
    bytes[at + 6] ^= w1 >>> 24;
    bytes[at + 7] ^= w2;
    at = start + HeaderOffset.NONCE;
    bytes[at] ^= w2 >>> 8;
    bytes[at + 1] ^= w2 >>> 16;
    bytes[at + 2] ^= w2 >>> 24;
    bytes[at + 3] ^= w3;
    bytes[at + 4] ^= w3 >>> 8;
    bytes[at + 5] ^= w3 >>> 16;
    bytes[at + 6] ^= w3 >>> 24;
    bytes[at + 7] ^= w4;
    bytes[at + 8] ^= w4 >>> 8;
    bytes[at + 9] ^= w4 >>> 16;
    bytes[at + 10] ^= w4 >>> 24;
    bytes[at + 11] ^= w5;
  }
}

/** RFC 8439 §2.3.1 on locals; the first eight words of `key` are the key, the result goes to `out` as 16 words. */
function block(key: Uint32Array, counter: number, n0: number, n1: number, n2: number, out: Int32Array): void {
  const k0 = key[0] | 0, k1 = key[1] | 0, k2 = key[2] | 0, k3 = key[3] | 0;
  const k4 = key[4] | 0, k5 = key[5] | 0, k6 = key[6] | 0, k7 = key[7] | 0;
  let a = 0x61707865, b = 0x3320646e, c = 0x79622d32, d = 0x6b206574;
  let e = k0, f = k1, g = k2, h = k3, i = k4, j = k5, k = k6, l = k7;
  let m = counter | 0, n = n0 | 0, o = n1 | 0, p = n2 | 0;
  for (let round = 0; round < 10; round++) {
    // Columns: (a e i m) (b f j n) (c g k o) (d h l p).
    a = (a + e) | 0, m ^= a, m = (m << 16) | (m >>> 16);
    i = (i + m) | 0, e ^= i, e = (e << 12) | (e >>> 20);
    a = (a + e) | 0, m ^= a, m = (m << 8) | (m >>> 24);
    i = (i + m) | 0, e ^= i, e = (e << 7) | (e >>> 25);
    b = (b + f) | 0, n ^= b, n = (n << 16) | (n >>> 16);
    j = (j + n) | 0, f ^= j, f = (f << 12) | (f >>> 20);
    b = (b + f) | 0, n ^= b, n = (n << 8) | (n >>> 24);
    j = (j + n) | 0, f ^= j, f = (f << 7) | (f >>> 25);
    c = (c + g) | 0, o ^= c, o = (o << 16) | (o >>> 16);
    k = (k + o) | 0, g ^= k, g = (g << 12) | (g >>> 20);
    c = (c + g) | 0, o ^= c, o = (o << 8) | (o >>> 24);
    k = (k + o) | 0, g ^= k, g = (g << 7) | (g >>> 25);
    d = (d + h) | 0, p ^= d, p = (p << 16) | (p >>> 16);
    l = (l + p) | 0, h ^= l, h = (h << 12) | (h >>> 20);
    d = (d + h) | 0, p ^= d, p = (p << 8) | (p >>> 24);
    l = (l + p) | 0, h ^= l, h = (h << 7) | (h >>> 25);
    // Diagonals: (a f k p) (b g l m) (c h i n) (d e j o).
    a = (a + f) | 0, p ^= a, p = (p << 16) | (p >>> 16);
    k = (k + p) | 0, f ^= k, f = (f << 12) | (f >>> 20);
    a = (a + f) | 0, p ^= a, p = (p << 8) | (p >>> 24);
    k = (k + p) | 0, f ^= k, f = (f << 7) | (f >>> 25);
    b = (b + g) | 0, m ^= b, m = (m << 16) | (m >>> 16);
    l = (l + m) | 0, g ^= l, g = (g << 12) | (g >>> 20);
    b = (b + g) | 0, m ^= b, m = (m << 8) | (m >>> 24);
    l = (l + m) | 0, g ^= l, g = (g << 7) | (g >>> 25);
    c = (c + h) | 0, n ^= c, n = (n << 16) | (n >>> 16);
    i = (i + n) | 0, h ^= i, h = (h << 12) | (h >>> 20);
    c = (c + h) | 0, n ^= c, n = (n << 8) | (n >>> 24);
    i = (i + n) | 0, h ^= i, h = (h << 7) | (h >>> 25);
    d = (d + e) | 0, o ^= d, o = (o << 16) | (o >>> 16);
    j = (j + o) | 0, e ^= j, e = (e << 12) | (e >>> 20);
    d = (d + e) | 0, o ^= d, o = (o << 8) | (o >>> 24);
    j = (j + o) | 0, e ^= j, e = (e << 7) | (e >>> 25);
  }
  out[0] = a + 0x61707865;
  out[1] = b + 0x3320646e;
  out[2] = c + 0x79622d32;
  out[3] = d + 0x6b206574;
  out[4] = e + k0;
  out[5] = f + k1;
  out[6] = g + k2;
  out[7] = h + k3;
  out[8] = i + k4;
  out[9] = j + k5;
  out[10] = k + k6;
  out[11] = l + k7;
  out[12] = m + counter;
  out[13] = n + n0;
  out[14] = o + n1;
  out[15] = p + n2;
}
