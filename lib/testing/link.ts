/**
 * One direction of a simulated link: rate, queue, delay, and everything that can happen to a UDP datagram on its way.
 *
 * @module
 */

import { type Clock, type Micros, micros, millis } from "../base/time.ts";
import { Bottleneck } from "./bottleneck.ts";
import { LossModel, type LossProfile } from "./loss_model.ts";
import type { SeededRandom } from "./seeded_random.ts";

/** What a link does. Probabilities are between 0 and 1. */
export interface LinkProfile extends LossProfile {
  /** How long a datagram travels, one way. */
  readonly delay: Micros;
  /** Up to this much longer, uniformly; more than the gap between two datagrams reorders them. */
  readonly jitter: Micros;
  /** Mbit/s of UDP payload; Infinity if it takes no time to put a datagram on the wire. */
  readonly rate: number;
  /** Bytes that may wait for the wire before the tail is dropped. 0: one bandwidth-delay product, at least {@link LEAST_QUEUE}. */
  readonly queue: number;
  /** Bytes of UDP payload that fit into a packet; what is larger vanishes without a word, as behind a router that sends no ICMP. */
  readonly mtu: number;
  /** Probability that a datagram arrives twice. */
  readonly duplicate: number;
  /** Probability that some bits of a datagram flip. */
  readonly corrupt: number;
  /** Probability that a datagram is held back until others have overtaken it. */
  readonly reorder: number;
  /** How many others. */
  readonly reorderDepth: number;
  /** How long it is held back at most, if fewer follow. */
  readonly reorderDelay: Micros;
}

/** The least that a queue holds unless it is told otherwise: what slow networks are built with, too. */
export const LEAST_QUEUE = 64 * 1024;

/** A link that changes nothing: 10 ms, any rate. */
export const perfectLink: LinkProfile = {
  delay: millis(10),
  jitter: micros(0),
  rate: Infinity,
  queue: 0,
  mtu: Infinity,
  loss: 0,
  lossBurst: 1,
  badSpells: undefined,
  duplicate: 0,
  corrupt: 0,
  reorder: 0,
  reorderDepth: 3,
  reorderDelay: millis(10),
};

/** What a link counts, in datagrams. */
export interface LinkCounters {
  /** Handed to the link. */
  sent: number;
  /** Their bytes. */
  sentBytes: number;
  /** Arrived, second copies included. */
  delivered: number;
  /** Lost by chance, by a test's decision, or because the link was down (a black hole). */
  lost: number;
  /** Larger than the MTU. */
  oversized: number;
  /** Found the queue full. */
  queueDrops: number;
  /** Arrived twice. */
  duplicated: number;
  /** Arrived damaged. */
  corrupted: number;
  /** Held back. */
  reordered: number;
}

/** What a test decides about one datagram: `pass` leaves it to chance, a time holds it up that much longer, without chance. */
export type Interception = "pass" | "drop" | Micros;

/** A datagram that is held back until enough others have overtaken it. */
interface Held {
  readonly bytes: Uint8Array;
  overtakers: number;
  /** Calls off the arrival that happens if nobody overtakes. */
  cancel: () => void;
}

const MOST_FLIPPED_BITS = 8;
/** Mbit/s to bytes per microsecond. */
const BYTES_PER_MICROSECOND = 1 / 8;

/**
 * One direction of a link.
 *
 * @example
 * ```ts
 * import { millis } from "../base/time.ts";
 * import { Link } from "./link.ts";
 * import { ManualClock } from "./manual_clock.ts";
 * import { SeededRandom } from "./seeded_random.ts";
 *
 * const clock = new ManualClock();
 * const link = new Link({ delay: millis(20), loss: 0.01 }, clock, new SeededRandom(1), (bytes) => {
 *   console.log(`${bytes.length} bytes arrive at ${clock.now()}`);
 * });
 * link.send(new Uint8Array(1200));
 * clock.advance(millis(100));
 * ```
 */
export class Link {
  /** The wire of several links that share it; rate and queue of the profile have no meaning then. */
  shared: Bottleneck | undefined;
  /** A test's say in what happens to a datagram; `index` counts those that were sent, from 0. */
  intercept: ((bytes: Uint8Array, index: number, now: Micros) => Interception) | undefined;
  /** While it is down everything is lost. */
  down = false;
  /** What has happened so far. */
  readonly counters: LinkCounters = {
    sent: 0,
    sentBytes: 0,
    delivered: 0,
    lost: 0,
    oversized: 0,
    queueDrops: 0,
    duplicated: 0,
    corrupted: 0,
    reordered: 0,
  };
  readonly #clock: Clock;
  readonly #wire: Bottleneck;
  readonly #deliver: (bytes: Uint8Array) => void;
  readonly #lossModel: LossModel;
  // A generator for each concern, so that a change of one probability leaves the others' decisions as they were.
  readonly #duplicateRandom: SeededRandom;
  readonly #corruptRandom: SeededRandom;
  readonly #reorderRandom: SeededRandom;
  readonly #jitterRandom: SeededRandom;
  #profile: LinkProfile;
  #held: Held[] = [];

  /** `deliver` is called when a datagram arrives; the bytes are its own. What `profile` leaves out is perfect. */
  constructor(
    profile: Partial<LinkProfile>,
    clock: Clock,
    random: SeededRandom,
    deliver: (bytes: Uint8Array) => void,
  ) {
    this.#profile = { ...perfectLink, ...profile };
    this.#clock = clock;
    this.#wire = new Bottleneck(clock, this.#profile.rate, queueLimitOf(this.#profile));
    this.#deliver = deliver;
    const lossRandom = random.fork();
    this.#duplicateRandom = random.fork();
    this.#corruptRandom = random.fork();
    this.#reorderRandom = random.fork();
    this.#jitterRandom = random.fork();
    this.#lossModel = new LossModel(lossRandom, random.fork());
  }

  /** What it does. May change at any time; what is under way already arrives as it was going to. */
  get profile(): LinkProfile {
    return this.#profile;
  }

  set profile(profile: LinkProfile) {
    this.#profile = profile;
    this.#wire.rate = profile.rate;
    this.#wire.limit = queueLimitOf(profile);
  }

  /** Bytes that wait for the wire. */
  get backlog(): number {
    return (this.shared ?? this.#wire).backlog;
  }

  /** How many bytes may. */
  get queueLimit(): number {
    return (this.shared ?? this.#wire).limit;
  }

  /** Takes a datagram, of which it keeps a copy if it is to arrive. */
  send(bytes: Uint8Array): void {
    const { counters, profile } = this;
    const index = counters.sent++;
    counters.sentBytes += bytes.length;
    const interception = this.intercept === undefined ? "pass" : this.intercept(bytes, index, this.#clock.now());
    if (this.down || interception === "drop") {
      counters.lost++;
      return;
    }
    if (bytes.length > profile.mtu) {
      counters.oversized++;
      return;
    }
    const departure = (this.shared ?? this.#wire).depart(bytes.length);
    if (departure < 0) {
      counters.queueDrops++;
      return;
    }
    if (interception !== "pass") {
      this.#arriveAt(micros(departure + profile.delay + interception), bytes.slice());
      return;
    }
    const jitter = profile.jitter > 0 ? this.#jitterRandom.next() * profile.jitter : 0;
    const arrival = micros(departure + profile.delay + jitter);
    // Every generator is asked for every datagram, or one probability would shift another's decisions.
    const isLost = this.#lossModel.isNextLost(profile);
    const isDuplicated = this.#duplicateRandom.chance(profile.duplicate);
    const isCorrupted = this.#corruptRandom.chance(profile.corrupt);
    const isReordered = this.#reorderRandom.chance(profile.reorder);
    if (isLost) {
      counters.lost++;
      return;
    }
    if (isDuplicated) {
      counters.duplicated++;
      this.#arriveAt(arrival, bytes.slice());
    }
    const copy = bytes.slice();
    if (isCorrupted) this.#flipBits(copy);
    if (isReordered) this.#hold(arrival, copy);
    else {
      this.#arriveAt(arrival, copy);
      this.#overtake(arrival);
    }
  }

  #flipBits(bytes: Uint8Array): void {
    this.counters.corrupted++;
    const random = this.#corruptRandom;
    const count = 1 + random.below(MOST_FLIPPED_BITS);
    for (let i = 0; i < count; i++) bytes[random.below(bytes.length)] ^= 1 << random.below(8);
  }

  #hold(arrival: Micros, bytes: Uint8Array): void {
    this.counters.reordered++;
    const { reorderDepth, reorderDelay } = this.profile;
    const held: Held = { bytes, overtakers: reorderDepth, cancel: () => {} };
    held.cancel = this.#clock.wakeAt(micros(arrival + reorderDelay), () => {
      this.#held.splice(this.#held.indexOf(held), 1);
      this.#arrive(bytes);
    });
    this.#held.push(held);
  }

  /** A datagram that arrives at `arrival` overtakes those that are held back. */
  #overtake(arrival: Micros): void {
    for (let i = this.#held.length - 1; i >= 0; i--) {
      const held = this.#held[i];
      if (--held.overtakers > 0) continue;
      this.#held.splice(i, 1);
      held.cancel();
      this.#arriveAt(arrival, held.bytes);
    }
  }

  #arriveAt(at: Micros, bytes: Uint8Array): void {
    this.#clock.wakeAt(at, () => this.#arrive(bytes));
  }

  #arrive(bytes: Uint8Array): void {
    this.counters.delivered++;
    this.#deliver(bytes);
  }
}

/** One bandwidth-delay product unless the profile says more, or less. */
function queueLimitOf({ queue, rate, delay }: LinkProfile): number {
  return queue > 0 ? queue : Math.max(LEAST_QUEUE, 2 * delay * rate * BYTES_PER_MICROSECOND);
}
