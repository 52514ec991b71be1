/**
 * HalfSipHash-2-4 (Aumasson and Bernstein) of texts: 32 bits that nobody can predict who does not know the key.
 *
 * The runtimes' own tables hash texts with functions that are known, and in one of them without a key: whoever chooses
 * the keys can make all of them collide. With this hash he cannot.
 *
 * @module
 */

/** A key for {@link hashText}: 64 bits that stay inside the process. */
export interface HashKey {
  /** The first four bytes. */
  readonly low: number;
  /** The last four. */
  readonly high: number;
}

/** The hash of the text's UTF-16 code units, little-endian. */
export function hashText({ low, high }: HashKey, text: string): number {
  let v0 = low | 0;
  let v1 = high | 0;
  let v2 = 0x6c79_6765 ^ low;
  let v3 = 0x7465_6462 ^ high;
  const { length } = text;
  const words = length >>> 1;
  // One word for each pair of units, then one with what is left and the length in bytes, then the finalisation.
  for (let i = 0; i <= words + 1; i++) {
    let word = 0;
    let rounds = 2;
    if (i < words) word = text.charCodeAt(2 * i) | (text.charCodeAt(2 * i + 1) << 16);
    else if (i === words) word = (length << 25) | ((length & 1) === 0 ? 0 : text.charCodeAt(length - 1));
    else {
      v2 ^= 0xff;
      rounds = 4;
    }
    v3 ^= word;
    for (; rounds > 0; rounds--) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    v0 ^= word;
  }
  return (v1 ^ v3) >>> 0;
}
