/**
 * Proof of work: a hello that has cost its sender more than it will cost us (SPEC §5 "Retry").
 *
 * @module
 */

import { concatBytes, writeU32 } from "../base/bytes.ts";
import type { Hash } from "../crypto/types.ts";
import { WORK_NONCE_SIZE } from "../wire/constants.ts";

/** Most zero bits that may be asked for: about 20 seconds of one core. */
export const MAX_DIFFICULTY = 22;
/** Hashes of one step: some milliseconds, so that whoever works still answers others. */
export const HASHES_PER_STEP = 1024;

/** Whether a nonce is worth the work that was asked for. */
export function provesWork(hash: Hash, cookie: Uint8Array, nonce: Uint8Array, difficulty: number): boolean {
  return difficulty === 0 || leadingZeroBits(hash.hash(cookie, nonce)) >= difficulty;
}

/** How many bits are 0 before the first 1, from the highest bit of the first byte on. */
export function leadingZeroBits(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length && bytes[at] === 0) at++;
  return at === bytes.length ? 8 * at : 8 * at + Math.clz32(bytes[at]) - 24;
}

/** The search for a nonce, in steps that somebody else paces. */
export class WorkSearch {
  /** What is worked on. */
  readonly cookie: Uint8Array;
  readonly #hash: Hash;
  readonly #difficulty: number;
  /** The cookie and the nonce behind it: what is hashed. */
  readonly #input: Uint8Array;
  #next = 0;

  constructor(hash: Hash, cookie: Uint8Array, difficulty: number) {
    this.cookie = cookie;
    this.#hash = hash;
    this.#difficulty = difficulty;
    this.#input = concatBytes(cookie, new Uint8Array(WORK_NONCE_SIZE));
  }

  /** Tries {@link HASHES_PER_STEP} nonces; the right one, undefined if it was not among them. */
  step(): Uint8Array | undefined {
    const input = this.#input, nonceAt = this.cookie.length;
    for (let i = 0; i < HASHES_PER_STEP; i++) {
      writeU32(input, nonceAt, this.#next++);
      if (leadingZeroBits(this.#hash.hash(input)) >= this.#difficulty) return input.slice(nonceAt);
    }
    return undefined;
  }
}
