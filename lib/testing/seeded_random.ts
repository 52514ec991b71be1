/**
 * Reproducible randomness for tests and simulations. Never use it for keys of real connections.
 *
 * @module
 */

import type { Random } from "../base/random.ts";

/** A small generator (xoshiro128**) that is good enough for simulations and the same everywhere. */
export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** Takes the low 32 bits of the seed. */
  constructor(seed: number) {
    // splitmix32 spreads small seeds over the state.
    let state = seed >>> 0;
    const next = (): number => {
      state = (state + 0x9e3779b9) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next();
  }

  /** A uniform 32-bit number. */
  nextU32(): number {
    const scrambled = Math.imul(this.#b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** A uniform number in [0, 1). */
  next(): number {
    return this.nextU32() / 0x1_0000_0000;
  }

  /** A uniform integer in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** Fills `out` with reproducible bytes. */
  fill(out: Uint8Array): void {
    for (let i = 0; i < out.length; i++) out[i] = this.nextU32() >>> 24;
  }

  fillPublic(out: Uint8Array): void {
    this.fill(out);
  }

  fillSecret(out: Uint8Array): void {
    this.fill(out);
  }

  /** An independent generator, so that one consumer's appetite does not shift another's numbers. */
  fork(): SeededRandom {
    return new SeededRandom(this.nextU32());
  }
}
