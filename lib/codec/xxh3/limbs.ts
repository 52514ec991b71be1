/**
 * XXH3-64 in plain TypeScript: 64-bit words as two 32-bit limbs, nothing that a runtime could lack. The reference for the
 * WASM kernel, and what takes its place where there is no WebAssembly with SIMD.
 *
 * The algorithm is that of xxHash 0.8, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.
 *
 * @module
 */

import { readU32, writeU32 } from "../../base/bytes.ts";
import { checkHashRange, type Xxh3, type Xxh3Digest } from "./xxh3.ts";

const INVERSE_TWO_32 = 2 ** -32;
const MAX_U32 = 0xffff_ffff;

const PRIME32_1 = 0x9e3779b1;
/** 64-bit constants, high half first. */
const PRIME64_1_HIGH = 0x9e3779b1, PRIME64_1_LOW = 0x85ebca87;
const PRIME64_2_HIGH = 0xc2b2ae3d, PRIME64_2_LOW = 0x27d4eb4f;
const PRIME64_3_HIGH = 0x165667b1, PRIME64_3_LOW = 0x9e3779f9;
const AVALANCHE_HIGH = 0x16566791, AVALANCHE_LOW = 0x9e3779f9;
const RRMXMX_HIGH = 0x9fb21c65, RRMXMX_LOW = 0x1e98df25;

/** What the accumulators begin with, low half first. */
// deno-fmt-ignore
const FIRST_ACCUMULATORS: readonly number[] = [
  0xc2b2ae3d, 0, 0x85ebca87, 0x9e3779b1, 0x27d4eb4f, 0xc2b2ae3d, 0x9e3779f9, 0x165667b1,
  0xc2b2ae63, 0x85ebca77, 0x85ebca77, 0, 0x165667c5, 0x27d4eb2f, 0x9e3779b1, 0,
];

/** The default secret, as 32-bit words. */
// deno-fmt-ignore
const SECRET: readonly number[] = [
  0x396cfeb8, 0xbe4ba423, 0x2c81017c, 0x1cad21f7, 0xe96dd4de, 0xdb979083, 0xa4a44072, 0x1f67b3b7,
  0x4ee679cb, 0x78e5c0cc, 0x7dd05a82, 0x2172ffcc, 0x744608b8, 0x8e2443f7, 0xe69035e0, 0x4c263a81,
  0xbb52283c, 0xcb00c391, 0x8b65d088, 0xa32e531b, 0x97486471, 0x4ef90da2, 0x46ef1938, 0xd8acdea9,
  0x3f76faa8, 0x3f349ce3, 0xc7bbdcf9, 0x1d4f0bc7, 0x4be0518a, 0x3159b4cd, 0xc97e9fc8, 0x647378d9,
  0x83acc5ea, 0xc3ebd334, 0xffa081c5, 0xeb6313fa, 0x51dd0d17, 0x49daf0b7, 0x265516d3, 0x9e68d429,
  0x58be162b, 0xfca1477d, 0xd1b8f88f, 0xce31d07a, 0x8f3acb45, 0x28041695, 0xcafbd7af, 0x7e404bbb,
];

const STRIPE_BYTES = 64;
const STRIPES_PER_BLOCK = 16;
/** Where in the secret keys are taken from: words of {@link Secret.words}, of `words1`, of `words3`. */
const SCRAMBLE_WORD = 128 / 4;
const LAST_STRIPE_WORD1 = (121 - 1) / 4;
const MERGE_WORD3 = (11 - 3) / 4;
const SECOND_ROUND_WORD3 = 0;
const LAST_ROUND_WORD3 = (136 - 17 - 3) / 4;

/** A secret as 32-bit words: from its first byte on, and from the second and the fourth, where some keys begin. */
interface Secret {
  readonly words: Uint32Array;
  readonly words1: Uint32Array;
  readonly words3: Uint32Array;
}

/** A 64-bit register: low half, high half. */
type Register = Uint32Array;

/**
 * The upper 32 bits of a product of two u32, given the lower ones. The floating-point product is off by at most 2^10 and
 * so is the difference, so the quotient lies within 2^-21 of the whole number that is wanted.
 */
function upperProduct(a: number, b: number, low: number): number {
  return ((a * b - low) * INVERSE_TWO_32 + 0.5) >>> 0;
}

/** r *= b, modulo 2^64. */
function multiply(r: Register, bHigh: number, bLow: number): void {
  const aLow = r[0];
  const low = Math.imul(aLow, bLow) >>> 0;
  r[1] = upperProduct(aLow, bLow, low) + Math.imul(r[1], bLow) + Math.imul(aLow, bHigh);
  r[0] = low;
}

/** r += a. */
function add(r: Register, low: number, high: number): void {
  const sum = r[0] + low;
  r[0] = sum;
  r[1] = r[1] + high + (sum > MAX_U32 ? 1 : 0);
}

/** r += the low half of the 128-bit product a × b XORed with its high half. */
function addFoldedProduct(r: Register, aLow: number, aHigh: number, bLow: number, bHigh: number): void {
  const lowLow = Math.imul(aLow, bLow) >>> 0;
  const highLow = Math.imul(aHigh, bLow) >>> 0;
  const lowHigh = Math.imul(aLow, bHigh) >>> 0;
  const highHigh = Math.imul(aHigh, bHigh) >>> 0;
  // Sums of three or four u32: exact as floating-point numbers.
  const second = upperProduct(aLow, bLow, lowLow) + highLow + lowHigh;
  const third = upperProduct(aHigh, bLow, highLow) + upperProduct(aLow, bHigh, lowHigh) + highHigh +
    ((second * INVERSE_TWO_32) >>> 0);
  const fourth = upperProduct(aHigh, bHigh, highHigh) + ((third * INVERSE_TWO_32) >>> 0);
  add(r, (lowLow ^ third) >>> 0, ((second >>> 0) ^ fourth) >>> 0);
}

function avalanche(r: Register): void {
  r[0] ^= r[1] >>> 5;
  multiply(r, AVALANCHE_HIGH, AVALANCHE_LOW);
  r[0] ^= r[1];
}

/** The final mixing of XXH64, used for the shortest inputs. */
function avalancheXxh64(r: Register): void {
  r[0] ^= r[1] >>> 1;
  multiply(r, PRIME64_2_HIGH, PRIME64_2_LOW);
  r[0] ^= (r[0] >>> 29) | (r[1] << 3);
  r[1] ^= r[1] >>> 29;
  multiply(r, PRIME64_3_HIGH, PRIME64_3_LOW);
  r[0] ^= r[1];
}

function swapBytes(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

/** XXH3-64 in 32-bit limbs. */
export class LimbsXxh3 implements Xxh3 {
  readonly implementation = "limbs";
  readonly #result: Register = new Uint32Array(2);
  readonly #accumulators = new Uint32Array(16);
  readonly #secret: Secret = secretOf(Uint32Array.from(SECRET));

  seal(bytes: Uint8Array, start: number, end: number): void {
    checkHashRange(bytes, start, end);
    this.#hash(bytes, start, end - start, 0, 0);
    writeU32(bytes, writeU32(bytes, end, this.#result[0]), this.#result[1]);
  }

  matches(bytes: Uint8Array, start: number, end: number): boolean {
    checkHashRange(bytes, start, end);
    this.#hash(bytes, start, end - start, 0, 0);
    return readU32(bytes, end) === this.#result[0] && readU32(bytes, end + 4) === this.#result[1];
  }

  memoryOf(): undefined {
    return undefined;
  }

  digest(bytes: Uint8Array, seedLow = 0, seedHigh = 0): Xxh3Digest {
    this.#hash(bytes, 0, bytes.length, seedLow >>> 0, seedHigh >>> 0);
    return { low: this.#result[0], high: this.#result[1] };
  }

  #hash(bytes: Uint8Array, at: number, length: number, seedLow: number, seedHigh: number): void {
    if (length > 240) this.#hashLong(bytes, at, length, seedLow, seedHigh);
    else if (length > 128) this.#hash129To240(bytes, at, length, seedLow, seedHigh);
    else if (length > 16) this.#hash17To128(bytes, at, length, seedLow, seedHigh);
    else if (length > 8) this.#hash9To16(bytes, at, length, seedLow, seedHigh);
    else if (length > 3) this.#hash4To8(bytes, at, length, seedLow, seedHigh);
    else this.#hashUpTo3(bytes, at, length, seedLow, seedHigh);
  }

  /** result = the XOR of two secret words, then ± the seed. */
  #flip(word: number, sign: 1 | -1, seedLow: number, seedHigh: number): void {
    const { words } = this.#secret;
    const r = this.#result;
    const low = ((words[word] ^ words[word + 2]) >>> 0) + sign * seedLow;
    r[0] = low;
    r[1] = ((words[word + 1] ^ words[word + 3]) >>> 0) + sign * seedHigh + Math.floor(low * INVERSE_TWO_32);
  }

  #hashUpTo3(bytes: Uint8Array, at: number, length: number, seedLow: number, seedHigh: number): void {
    const r = this.#result;
    const { words } = this.#secret;
    if (length === 0) {
      r[0] = seedLow ^ words[14] ^ words[16];
      r[1] = seedHigh ^ words[15] ^ words[17];
    } else {
      const combined = (bytes[at] << 16) | (bytes[at + (length >>> 1)] << 24) | bytes[at + length - 1] | (length << 8);
      const low = ((words[0] ^ words[1]) >>> 0) + seedLow;
      r[0] = low ^ combined;
      r[1] = seedHigh + (low > MAX_U32 ? 1 : 0);
    }
    avalancheXxh64(r);
  }

  #hash4To8(bytes: Uint8Array, at: number, length: number, seedLow: number, seedHigh: number): void {
    const r = this.#result;
    this.#flip(2, -1, seedLow, (seedHigh ^ swapBytes(seedLow)) >>> 0);
    r[0] ^= readU32(bytes, at + length - 4);
    r[1] ^= readU32(bytes, at);
    const low = r[0];
    const high = r[1];
    // XOR with itself rotated left by 49 and by 24.
    r[0] = low ^ ((high << 17) | (low >>> 15)) ^ ((low << 24) | (high >>> 8));
    r[1] = high ^ ((low << 17) | (high >>> 15)) ^ ((high << 24) | (low >>> 8));
    multiply(r, RRMXMX_HIGH, RRMXMX_LOW);
    r[0] ^= (r[1] >>> 3) + length;
    multiply(r, RRMXMX_HIGH, RRMXMX_LOW);
    r[0] ^= (r[0] >>> 28) | (r[1] << 4);
    r[1] ^= r[1] >>> 28;
  }

  #hash9To16(bytes: Uint8Array, at: number, length: number, seedLow: number, seedHigh: number): void {
    const r = this.#result;
    this.#flip(6, 1, seedLow, seedHigh);
    const firstLow = (r[0] ^ readU32(bytes, at)) >>> 0;
    const firstHigh = (r[1] ^ readU32(bytes, at + 4)) >>> 0;
    this.#flip(10, -1, seedLow, seedHigh);
    const lastLow = (r[0] ^ readU32(bytes, at + length - 8)) >>> 0;
    const lastHigh = (r[1] ^ readU32(bytes, at + length - 4)) >>> 0;
    r[0] = length;
    r[1] = 0;
    add(r, swapBytes(firstHigh), swapBytes(firstLow));
    add(r, lastLow, lastHigh);
    addFoldedProduct(r, firstLow, firstHigh, lastLow, lastHigh);
    avalanche(r);
  }

  /** Adds the 16 bytes at `at`, mixed with four words of the secret and the seed. */
  #mix16(bytes: Uint8Array, at: number, keys: Uint32Array, key: number, seedLow: number, seedHigh: number): void {
    const low = keys[key] + seedLow;
    const high = keys[key + 1] + seedHigh + (low > MAX_U32 ? 1 : 0);
    const low2 = keys[key + 2] - seedLow;
    const high2 = keys[key + 3] - seedHigh - (low2 < 0 ? 1 : 0);
    addFoldedProduct(
      this.#result,
      (readU32(bytes, at) ^ low) >>> 0,
      (readU32(bytes, at + 4) ^ high) >>> 0,
      (readU32(bytes, at + 8) ^ low2) >>> 0,
      (readU32(bytes, at + 12) ^ high2) >>> 0,
    );
  }

  /** result = length × PRIME64_1. */
  #beginWithLength(length: number): void {
    this.#result[0] = length;
    this.#result[1] = 0;
    multiply(this.#result, PRIME64_1_HIGH, PRIME64_1_LOW);
  }

  #hash17To128(bytes: Uint8Array, at: number, length: number, seedLow: number, seedHigh: number): void {
    const { words } = this.#secret;
    this.#beginWithLength(length);
    // Pairs from both ends towards the middle.
    for (let i = (length - 1) >> 5; i >= 0; i--) {
      this.#mix16(bytes, at + 16 * i, words, 8 * i, seedLow, seedHigh);
      this.#mix16(bytes, at + length - 16 * (i + 1), words, 8 * i + 4, seedLow, seedHigh);
    }
    avalanche(this.#result);
  }

  #hash129To240(bytes: Uint8Array, at: number, length: number, seedLow: number, seedHigh: number): void {
    const { words, words3 } = this.#secret;
    this.#beginWithLength(length);
    for (let i = 0; i < 8; i++) this.#mix16(bytes, at + 16 * i, words, 4 * i, seedLow, seedHigh);
    avalanche(this.#result);
    const rounds = length >>> 4;
    for (let i = 8; i < rounds; i++) {
      this.#mix16(bytes, at + 16 * i, words3, SECOND_ROUND_WORD3 + 4 * (i - 8), seedLow, seedHigh);
    }
    this.#mix16(bytes, at + length - 16, words3, LAST_ROUND_WORD3, seedLow, seedHigh);
    avalanche(this.#result);
  }

  #hashLong(bytes: Uint8Array, at: number, length: number, seedLow: number, seedHigh: number): void {
    const seeded = seedLow !== 0 || seedHigh !== 0;
    const { words, words1, words3 } = seeded ? deriveSecret(seedLow, seedHigh) : this.#secret;
    const sums = this.#accumulators;
    sums.set(FIRST_ACCUMULATORS);
    const stripes = Math.floor((length - 1) / STRIPE_BYTES);
    for (let i = 0; i < stripes; i++) {
      const stripe = i % STRIPES_PER_BLOCK;
      accumulate(sums, bytes, at + i * STRIPE_BYTES, words, 2 * stripe);
      if (stripe === STRIPES_PER_BLOCK - 1) scramble(sums, words);
    }
    accumulate(sums, bytes, at + length - STRIPE_BYTES, words1, LAST_STRIPE_WORD1);

    this.#beginWithLength(length);
    for (let i = 0; i < 16; i += 4) {
      const key = MERGE_WORD3 + i;
      addFoldedProduct(
        this.#result,
        (sums[i] ^ words3[key]) >>> 0,
        (sums[i + 1] ^ words3[key + 1]) >>> 0,
        (sums[i + 2] ^ words3[key + 2]) >>> 0,
        (sums[i + 3] ^ words3[key + 3]) >>> 0,
      );
    }
    avalanche(this.#result);
  }
}

/** Mixes one stripe into the accumulators. */
function accumulate(sums: Uint32Array, bytes: Uint8Array, at: number, keys: Uint32Array, key: number): void {
  for (let lane = 0; lane < 16; lane += 2) {
    const low = readU32(bytes, at + 4 * lane);
    const high = readU32(bytes, at + 4 * lane + 4);
    // The data goes to the neighbouring accumulator, the product of its keyed halves to its own.
    const neighbour = lane ^ 2;
    let sum = sums[neighbour] + low;
    sums[neighbour] = sum;
    sums[neighbour + 1] = sums[neighbour + 1] + high + (sum > MAX_U32 ? 1 : 0);
    const keyedLow = (low ^ keys[key + lane]) >>> 0;
    const keyedHigh = (high ^ keys[key + lane + 1]) >>> 0;
    const product = Math.imul(keyedLow, keyedHigh) >>> 0;
    sum = sums[lane] + product;
    sums[lane] = sum;
    sums[lane + 1] = sums[lane + 1] + upperProduct(keyedLow, keyedHigh, product) + (sum > MAX_U32 ? 1 : 0);
  }
}

/** What happens to the accumulators at the end of a block. */
function scramble(sums: Uint32Array, words: Uint32Array): void {
  for (let lane = 0; lane < 16; lane += 2) {
    const high = (sums[lane + 1] ^ words[SCRAMBLE_WORD + lane + 1]) >>> 0;
    const low = (sums[lane] ^ (sums[lane + 1] >>> 15) ^ words[SCRAMBLE_WORD + lane]) >>> 0;
    const product = Math.imul(low, PRIME32_1) >>> 0;
    sums[lane] = product;
    sums[lane + 1] = upperProduct(low, PRIME32_1, product) + Math.imul(high, PRIME32_1);
  }
}

/** The secret for inputs of more than 240 bytes under a seed. */
function deriveSecret(seedLow: number, seedHigh: number): Secret {
  const words = Uint32Array.from(SECRET);
  for (let i = 0; i < words.length; i += 4) {
    const low = words[i] + seedLow;
    words[i] = low;
    words[i + 1] = words[i + 1] + seedHigh + (low > MAX_U32 ? 1 : 0);
    const low2 = words[i + 2] - seedLow;
    words[i + 2] = low2;
    words[i + 3] = words[i + 3] - seedHigh - (low2 < 0 ? 1 : 0);
  }
  return secretOf(words);
}

/** A secret with the words that begin one and three bytes further on. */
function secretOf(words: Uint32Array): Secret {
  const shift = (bits: number): Uint32Array =>
    Uint32Array.from(words.subarray(1), (next, i) => (words[i] >>> bits) | (next << (32 - bits)));
  return { words, words1: shift(8), words3: shift(24) };
}
