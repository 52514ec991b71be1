/**
 * How much anybody may ask over the plain carrier, and how much is answered to addresses that have proven nothing.
 *
 * @module
 */

import { type Address, isLoopback } from "../../base/address.ts";
import type { Random } from "../../base/random.ts";
import type { Micros } from "../../base/time.ts";
import type { Hash } from "../../crypto/types.ts";
import { AddressLimits, RateLimit } from "../../transport/rate_limit.ts";

/** An answer may be so many times as long as the question, whoever seems to have asked: as the transport does it (SPEC §5). */
export const AMPLIFICATION = 3;
/** What answers are longer than that is counted in pieces of so many bytes, … */
const PIECE_BYTES = 1_024;
/** … of which another machine gets so many a second, … */
const PIECES_PER_SECOND = 64;
/** … and so many at once, … */
const PIECES_BURST = 256;
/** … and all of them together so many times as many. */
const EVERYBODY = 16;

/** Requests a second. What may be asked at once is twice as much for an address, and as much for all together. */
export interface PlainRates {
  /** From one source: on this machine a port, elsewhere an address. */
  readonly perSource: number;
  readonly altogether: number;
}

/** The limits of one plain port. Its memory does not depend on who sends. */
export class PlainLimits {
  readonly #bySource: AddressLimits;
  readonly #all: RateLimit;
  readonly #pieces: AddressLimits;
  readonly #allPieces = new RateLimit(EVERYBODY * PIECES_PER_SECOND, EVERYBODY * PIECES_BURST);

  constructor({ perSource, altogether }: PlainRates, hash: Hash, random: Random) {
    const secret = (): Uint8Array => {
      const key = new Uint8Array(32);
      random.fillSecret(key);
      return key;
    };
    this.#bySource = new AddressLimits(perSource, 2 * perSource, hash, secret());
    this.#all = new RateLimit(altogether, altogether);
    this.#pieces = new AddressLimits(PIECES_PER_SECOND, PIECES_BURST, hash, secret());
  }

  /** Whether one more datagram of a source is looked at. */
  admit(now: Micros, { host, port }: Address): boolean {
    // Everybody on this machine has the same address; what tells them apart is the port.
    const bucket = this.#bySource.bucketOf(isLoopback(host) ? `loopback ${port}` : host);
    return this.#bySource.take(now, bucket);
  }

  /** Whether a request is carried out that costs as much as `cost` usual ones. */
  admitRequest(now: Micros, cost: number): boolean {
    return this.#all.take(now, cost);
  }

  /**
   * Whether an answer of so many bytes may go to whoever seems to have sent a question of so many. Nobody is attacked with
   * answers by whoever is on the same machine; others can write any address on their questions.
   */
  mayAnswer(now: Micros, { host }: Address, questionBytes: number, answerBytes: number): boolean {
    const excess = answerBytes - AMPLIFICATION * questionBytes;
    if (excess <= 0 || isLoopback(host)) return true;
    const pieces = Math.ceil(excess / PIECE_BYTES);
    return this.#pieces.take(now, this.#pieces.bucketOf(host), pieces) && this.#allPieces.take(now, pieces);
  }
}
