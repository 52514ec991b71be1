/**
 * The keys that one direction of a connection has been sealed with, seen from outside: whether key updates keep to SPEC §6.1.
 *
 * @module
 */

import type { WatchedKey } from "./watched_crypto.ts";

/** What the opposite direction has shown, as far as the rules of key updates depend on it. */
export interface OppositeDirection {
  /** How many updates it has seen; undefined if nobody watches it. */
  readonly epoch: number | undefined;
  /** The highest packet of this direction that it has acknowledged; −1 before there is one. */
  readonly acknowledged: number;
}

/** One direction's keys, in the order of their use. */
export class KeyHistory {
  #current: WatchedKey | undefined;
  #firstPacket = 0;
  #epoch = 0;
  readonly #former = new Set<WatchedKey>();

  /** How many updates there have been. */
  get epoch(): number {
    return this.#epoch;
  }

  /** A packet is sealed, with KEY_PHASE set or not: what is wrong with that, undefined if nothing is. */
  onSeal(key: WatchedKey, packetNumber: number, phase: boolean, opposite: OppositeDirection): string | undefined {
    if (this.#former.has(key)) return `sealed packet ${packetNumber} with a key of an earlier epoch`;
    const before = this.#current;
    if (before !== undefined && before !== key) {
      const problem = this.#onUpdate(packetNumber, opposite);
      if (problem !== undefined) return problem;
      this.#former.add(before);
      // It never seals again, so there is nothing left to compare with.
      before.nonces.clear();
      this.#epoch++;
    }
    if (before !== key) this.#firstPacket = packetNumber;
    this.#current = key;
    const expected = (this.#epoch & 1) === 1;
    return phase === expected ? undefined : `packet ${packetNumber} of epoch ${this.#epoch} has KEY_PHASE ${phase}`;
  }

  #onUpdate(packetNumber: number, opposite: OppositeDirection): string | undefined {
    if (opposite.epoch === undefined || opposite.epoch > this.#epoch) return undefined;
    if (opposite.epoch < this.#epoch) return `packet ${packetNumber} begins an epoch before the peer has followed`;
    return opposite.acknowledged >= this.#firstPacket
      ? undefined
      : `packet ${packetNumber} begins an epoch, and none from ${this.#firstPacket} on was acknowledged`;
  }
}
