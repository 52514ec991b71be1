/** What the tests in the simulator share. */

import { micros, millis } from "../../lib/base/time.ts";
import { selectProvider } from "../../lib/crypto/select.ts";
import type { CryptoProvider } from "../../lib/crypto/types.ts";
import type { LinkProfile } from "../../lib/testing/link.ts";
import { Pair, type PairOptions } from "../../lib/testing/pair.ts";
import { testSeed } from "../support/seed.ts";

/** The real cryptography of this runtime; chosen once, because choosing tests it. */
export const crypto: CryptoProvider = selectProvider();

/** Seeds that are always tried, and one that is new every time. */
export const SEEDS: readonly number[] = [1, 2, testSeed];

/** A link as the acceptance runs use it: 50 ms, 100 Mbit/s, a little reordering and duplication. */
export function roughLink(lossPercent: number, rtt = 50): Partial<LinkProfile> {
  return {
    delay: millis(rtt / 2),
    rate: 100,
    loss: lossPercent / 100,
    reorder: 0.01,
    duplicate: 0.01,
  };
}

/** A pair with the shared provider. */
export function makePair(options: Partial<PairOptions> = {}): Pair {
  return new Pair({ seed: 1, crypto, ...options });
}

/** A pair that is connected, over a link of 20 ms without faults unless told otherwise. */
export function establishedPair(options: Partial<PairOptions> = {}): Pair {
  const pair = makePair(options);
  if (!pair.establish()) throw new Error("the pair did not connect");
  return pair;
}

/** Whether a UDP datagram begins with a handshake packet. */
export function isHandshake(bytes: Uint8Array): boolean {
  return (bytes[16] & 1) !== 0;
}

/** Kind of the handshake message that a UDP datagram begins with. */
export function handshakeKind(bytes: Uint8Array): number {
  return bytes[32];
}

export { micros, millis };
