/**
 * Which sealed messages were taken already (SPEC §8.14): whoever passed one on could pass it on again.
 *
 * @module
 */

import { readU32, toHex } from "../base/bytes.ts";
import { KeyedMap, newHashKey } from "../base/keyed_map.ts";
import type { Random } from "../base/random.ts";
import { type Micros, millis } from "../base/time.ts";

/** How far the sender's clock may be from ours, in milliseconds, the way of the message included. */
export const SEAL_WINDOW_MS = 120_000;
/** Messages that are remembered altogether, … */
const MAX_REMEMBERED = 262_144;
/** … and those of one sender: some 500 a second for as long as each has to be remembered. */
const MAX_REMEMBERED_OF_ONE = 65_536;
/** Messages are forgotten together, by the time that they bear. */
const SLICE_MS = 10_000;

/** Whether a message is taken, and why not. */
export type ReplayVerdict =
  | "fresh"
  /** It was here before. */
  | "repeated"
  /** Its time is too far from ours, … */
  | "too_old"
  | "too_new"
  /** … or it may have been here before what we remember begins: sealed anew, it would be taken. */
  | "before_memory"
  /** Too many are remembered, of this sender or of all. */
  | "full";

/** How many messages of a sender are remembered. */
interface Sender {
  readonly key: string;
  count: number;
}

/**
 * Remembers messages for as long as their time would let them in again. Times are milliseconds on the wall, ours and the
 * senders'; what depends on a clock that may be set is only what is refused, never that something is taken twice by this window. What one
 * before it took of a sender whose clock is ahead, with a time behind our start, we cannot know.
 *
 * @example
 * ```ts
 * import { micros } from "../base/time.ts";
 * import { SystemRandom } from "../runtime/random.ts";
 * import { ReplayWindow } from "./replay_window.ts";
 *
 * const window = new ReplayWindow(micros(0), 1_700_000_000_000, new SystemRandom());
 * const [sender, hash] = [new Uint8Array(32), new Uint8Array(32)];
 * window.admit(micros(5), 1_700_000_000_005, 1_700_000_000_001, sender, hash); // "fresh"
 * window.admit(micros(9), 1_700_000_000_009, 1_700_000_000_001, sender, hash); // "repeated"
 * ```
 */
export class ReplayWindow {
  readonly #startedAt: Micros;
  readonly #startedWall: number;
  readonly #limit: number;
  readonly #limitOfOne: number;
  /** By their times; in each, 53 bits of the hashes, which are SHA-256's, so that nobody chooses them well. */
  readonly #slices = new Map<number, Map<number, Sender>>();
  readonly #senders: KeyedMap<Sender>;
  #size = 0;
  /** The latest time in what was forgotten: with a clock that was set back, it would look fresh again. */
  #forgottenUpTo = -Infinity;

  /** @param now of the clock that nobody sets. @param wall milliseconds since 1970. */
  constructor(
    now: Micros,
    wall: number,
    random: Random,
    limits: { readonly all: number; readonly ofOne: number } = { all: MAX_REMEMBERED, ofOne: MAX_REMEMBERED_OF_ONE },
  ) {
    this.#startedAt = now;
    this.#startedWall = wall;
    this.#senders = new KeyedMap(newHashKey(random));
    this.#limit = limits.all;
    this.#limitOfOne = limits.ofOne;
  }

  /** Messages that are remembered. */
  get size(): number {
    return this.#size;
  }

  /**
   * Whether a message is taken; if so, it is remembered. Only for what is authentic.
   *
   * @param time what the message says. @param sender its key. @param hash what names it, 32 bytes.
   */
  admit(now: Micros, wall: number, time: number, sender: Uint8Array, hash: Uint8Array): ReplayVerdict {
    if (time < wall - SEAL_WINDOW_MS) return "too_old";
    if (time > wall + SEAL_WINDOW_MS) return "too_new";
    this.#forget(wall);
    const slice = Math.floor(time / SLICE_MS);
    const name = readU32(hash, 0) * 0x20_0000 + (readU32(hash, 4) >>> 11);
    if (this.#slices.get(slice)?.has(name)) return "repeated";
    // Who was here before us remembered what we do not. Later on, the time alone tells.
    const isYoung = now - this.#startedAt < millis(2 * SEAL_WINDOW_MS);
    if (time <= this.#forgottenUpTo || (isYoung && time < this.#startedWall)) return "before_memory";
    return this.#remember(slice, name, sender) ? "fresh" : "full";
  }

  #remember(slice: number, name: number, sender: Uint8Array): boolean {
    if (this.#size >= this.#limit) return false;
    const key = toHex(sender);
    let counted = this.#senders.get(key);
    if (counted === undefined) this.#senders.set(key, counted = { key, count: 0 });
    else if (counted.count >= this.#limitOfOne) return false;
    let messages = this.#slices.get(slice);
    if (messages === undefined) this.#slices.set(slice, messages = new Map());
    messages.set(name, counted);
    counted.count++;
    this.#size++;
    return true;
  }

  /** Forgets what is too old to be taken. There are at most as many slices as fit between the oldest and the newest time. */
  #forget(wall: number): void {
    for (const [slice, messages] of this.#slices) {
      const end = (slice + 1) * SLICE_MS;
      if (end >= wall - SEAL_WINDOW_MS) continue;
      this.#slices.delete(slice);
      this.#size -= messages.size;
      this.#forgottenUpTo = Math.max(this.#forgottenUpTo, end);
      for (const sender of messages.values()) if (--sender.count === 0) this.#senders.delete(sender.key);
    }
  }
}
