/**
 * Which datagrams a link loses: single ones, several in a row, or in spells during which the link is bad (Gilbert–Elliott).
 *
 * @module
 */

import type { SeededRandom } from "./seeded_random.ts";

/** Bad spells, as radio links have them. Probabilities are between 0 and 1; both changes are decided at each datagram. */
export interface BadSpells {
  /** Probability that a spell begins. */
  readonly begin: number;
  /** Probability that it ends. */
  readonly end: number;
  /** Share of the datagrams that is lost meanwhile. */
  readonly loss: number;
}

/** How much is lost, and how. */
export interface LossProfile {
  /** Share of datagrams that get lost on the way, outside of bad spells. */
  readonly loss: number;
  /** How many of them are lost in a row; the share stays the same. */
  readonly lossBurst: number;
  /** When the link is bad for a while; undefined if it never is. */
  readonly badSpells?: BadSpells | undefined;
}

/** Decides about one datagram after the other. */
export class LossModel {
  /** Whether the link is bad now. */
  isBad = false;
  readonly #lossRandom: SeededRandom;
  readonly #spellRandom: SeededRandom;
  #burstLeft = 0;

  /** `lossRandom` decides about losses outside of bad spells, `spellRandom` about the rest. */
  constructor(lossRandom: SeededRandom, spellRandom: SeededRandom) {
    this.#lossRandom = lossRandom;
    this.#spellRandom = spellRandom;
  }

  /** Whether the next datagram is lost. */
  isNextLost(profile: LossProfile): boolean {
    const isLost = this.#isLostAlone(profile.loss, profile.lossBurst);
    const { badSpells } = profile;
    if (badSpells === undefined) {
      this.isBad = false;
      return isLost;
    }
    this.isBad = this.#spellRandom.chance(this.isBad ? 1 - badSpells.end : badSpells.begin);
    const isLostInSpell = this.#spellRandom.chance(badSpells.loss);
    return this.isBad ? isLostInSpell : isLost;
  }

  #isLostAlone(loss: number, burst: number): boolean {
    // Losses come `burst` at a time, so they have to begin more seldom.
    const begins = this.#lossRandom.chance(burst > 1 ? loss / (burst - loss * (burst - 1)) : loss);
    if (this.#burstLeft > 0) {
      this.#burstLeft--;
      return true;
    }
    if (begins) this.#burstLeft = burst - 1;
    return begins;
  }
}
