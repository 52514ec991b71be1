/**
 * Which requests a node has seen lately, so that one that is repeated takes effect once (SPEC §8.7, §8.16).
 *
 * @module
 */

import { KeyedMap, newHashKey } from "../base/keyed_map.ts";
import type { Random } from "../base/random.ts";
import { type Micros, seconds } from "../base/time.ts";

/** How much is remembered, and for how long. */
export interface SeenLimits {
  /** For how long after it was settled. */
  readonly lifetime: Micros;
  /** Requests altogether, … */
  readonly maxRequests: number;
  /** … and those of one sender. */
  readonly maxRequestsPerSender: number;
  /** What the answers may weigh together, … */
  readonly maxWeight: number;
  /** … and those of one sender. */
  readonly maxWeightPerSender: number;
  /** Repetitions that may wait for one request that is still being handled. */
  readonly maxWaiting: number;
}

/** What a node remembers unless it is told otherwise. */
export const DEFAULT_SEEN_LIMITS: SeenLimits = {
  lifetime: seconds(300),
  maxRequests: 65_536,
  maxRequestsPerSender: 8_192,
  maxWeight: 64 << 20,
  maxWeightPerSender: 8 << 20,
  maxWaiting: 64,
};

/** Told how the first of several equal requests has ended: its answer, or undefined if it has none and may be tried again. */
export type SeenWaiter<T> = (answer: T | undefined) => void;

/** One request. Its members are for {@link SeenRequests} to change. */
export class SeenRequest<T extends object> {
  /** What tells it from all others: the sender and its key. */
  readonly name: string;
  readonly sender: SeenSender<T>;
  /** How it was answered; undefined while it is being handled. */
  answer: T | undefined = undefined;
  settledAt: Micros = 0 as Micros;
  weight = 0;
  waiting: SeenWaiter<T>[] = [];
  /** Its place among those that were settled, of all senders and of its own: older ones come first. */
  readonly inAll: Links<T> = { older: undefined, newer: undefined };
  readonly inSender: Links<T> = { older: undefined, newer: undefined };

  constructor(name: string, sender: SeenSender<T>) {
    this.name = name;
    this.sender = sender;
  }
}

interface Links<T extends object> {
  older: SeenRequest<T> | undefined;
  newer: SeenRequest<T> | undefined;
}

/** What is remembered of one sender. */
interface SeenSender<T extends object> {
  readonly name: string;
  /** Its requests, those included that are being handled. */
  size: number;
  weight: number;
  readonly settled: SettledList<T>;
}

/** Requests in the order in which they were settled. */
class SettledList<T extends object> {
  oldest: SeenRequest<T> | undefined = undefined;
  #newest: SeenRequest<T> | undefined = undefined;
  readonly #links: (request: SeenRequest<T>) => Links<T>;

  constructor(links: (request: SeenRequest<T>) => Links<T>) {
    this.#links = links;
  }

  add(request: SeenRequest<T>): void {
    const newest = this.#newest;
    this.#links(request).older = newest;
    if (newest === undefined) this.oldest = request;
    else this.#links(newest).newer = request;
    this.#newest = request;
  }

  remove(request: SeenRequest<T>): void {
    const { older, newer } = this.#links(request);
    if (older === undefined) this.oldest = newer;
    else this.#links(older).newer = newer;
    if (newer === undefined) this.#newest = older;
    else this.#links(newer).older = older;
  }
}

/**
 * A table of requests by who sent them and under which key. Requests that are being handled are never forgotten; of the settled
 * ones those are that were settled first: of a sender that has too many its own, so that none can push out what others sent.
 *
 * @example
 * ```ts
 * import { DEFAULT_SEEN_LIMITS, SeenRequests } from "./seen_requests.ts";
 * import { SystemRandom } from "../runtime/random.ts";
 * import { micros } from "../base/time.ts";
 *
 * const seen = new SeenRequests<{ readonly text: string }>(DEFAULT_SEEN_LIMITS, new SystemRandom());
 * const request = seen.open(micros(0), "a key of 32 bytes as text", "order-17")!;
 * seen.settle(micros(1), request, { text: "done" }, 4);
 * seen.find(micros(2), "a key of 32 bytes as text", "order-17")?.answer; // { text: "done" }
 * ```
 */
export class SeenRequests<T extends object> {
  /** Those that were found again: settled ones, and those that were being handled. */
  repeated = 0;
  /** Those that could not be remembered because too many were being handled, of all senders or of one. */
  unremembered = 0;
  readonly #limits: SeenLimits;
  readonly #requests: KeyedMap<SeenRequest<T>>;
  readonly #senders: KeyedMap<SeenSender<T>>;
  readonly #settled = new SettledList<T>((request) => request.inAll);
  #weight = 0;

  /** @throws RangeError for limits below 1. */
  constructor(limits: SeenLimits, random: Random) {
    for (const [name, value] of Object.entries(limits)) {
      if (!(value >= 1)) throw new RangeError(`${name} must be at least 1, got ${value}`);
    }
    this.#limits = limits;
    this.#requests = new KeyedMap(newHashKey(random));
    this.#senders = new KeyedMap(newHashKey(random));
  }

  /** Requests that are remembered, those included that are being handled. */
  get size(): number {
    return this.#requests.size;
  }

  /** Senders of which something is remembered. */
  get senders(): number {
    return this.#senders.size;
  }

  /** What the answers weigh together. */
  get weight(): number {
    return this.#weight;
  }

  /**
   * The request with this key; undefined if there was none lately. One without an answer is being handled: see {@link join}.
   *
   * @param sender text without spaces, such as the public key of the connection.
   */
  find(now: Micros, sender: string, key: string): SeenRequest<T> | undefined {
    this.#forgetOld(now);
    const request = this.#requests.get(nameOf(sender, key));
    if (request !== undefined) this.repeated++;
    return request;
  }

  /**
   * Remembers a request that is going to be handled, which {@link find} has not found. It has to be followed by {@link settle} or
   * {@link forget}. Undefined if too many are being handled: then it is handled without being remembered.
   */
  open(now: Micros, sender: string, key: string): SeenRequest<T> | undefined {
    this.#forgetOld(now);
    const { maxRequests, maxRequestsPerSender } = this.#limits;
    let owner = this.#senders.get(sender);
    if (owner !== undefined && owner.size >= maxRequestsPerSender && !this.#forgetOldest(owner.settled)) {
      this.unremembered++;
      return undefined;
    }
    if (this.#requests.size >= maxRequests && !this.#forgetOldest(this.#settled)) {
      this.unremembered++;
      return undefined;
    }
    // What was forgotten may have been the last of this sender.
    owner = this.#senders.get(sender);
    if (owner === undefined) {
      owner = { name: sender, size: 0, weight: 0, settled: new SettledList((request) => request.inSender) };
      this.#senders.set(sender, owner);
    }
    const request = new SeenRequest<T>(nameOf(sender, key), owner);
    owner.size++;
    this.#requests.set(request.name, request);
    return request;
  }

  /** Waits for a request that is being handled. False if too many wait for it already. */
  join(request: SeenRequest<T>, waiter: SeenWaiter<T>): boolean {
    if (request.waiting.length >= this.#limits.maxWaiting) return false;
    request.waiting.push(waiter);
    return true;
  }

  /**
   * A request was answered, and repetitions of it are to get the same answer. An answer that is heavier than all that may be kept of
   * a sender is not kept: whoever waits for it gets it, and a later repetition is handled anew.
   */
  settle(now: Micros, request: SeenRequest<T>, answer: T, weight: number): void {
    const { maxWeight, maxWeightPerSender } = this.#limits;
    const { sender, waiting } = request;
    if (weight > Math.min(maxWeight, maxWeightPerSender)) this.#remove(request);
    else {
      while (sender.weight + weight > maxWeightPerSender && this.#forgetOldest(sender.settled));
      while (this.#weight + weight > maxWeight && this.#forgetOldest(this.#settled));
      request.answer = answer;
      request.settledAt = now;
      request.weight = weight;
      sender.weight += weight;
      this.#weight += weight;
      this.#settled.add(request);
      sender.settled.add(request);
    }
    request.waiting = [];
    for (const waiter of waiting) waiter(answer);
  }

  /** A request came to nothing, and a repetition of it is to be handled. Whoever waits for it is told so. */
  forget(request: SeenRequest<T>): void {
    const { waiting } = request;
    request.waiting = [];
    this.#remove(request);
    for (const waiter of waiting) waiter(undefined);
  }

  #forgetOld(now: Micros): void {
    const { lifetime } = this.#limits;
    for (let oldest = this.#settled.oldest; oldest !== undefined && now - oldest.settledAt >= lifetime;) {
      this.#remove(oldest);
      oldest = this.#settled.oldest;
    }
  }

  #forgetOldest({ oldest }: SettledList<T>): boolean {
    if (oldest === undefined) return false;
    this.#remove(oldest);
    return true;
  }

  #remove(request: SeenRequest<T>): void {
    const { sender } = request;
    this.#requests.delete(request.name);
    if (request.answer !== undefined) {
      this.#settled.remove(request);
      sender.settled.remove(request);
      sender.weight -= request.weight;
      this.#weight -= request.weight;
    }
    if (--sender.size === 0) this.#senders.delete(sender.name);
  }
}

function nameOf(sender: string, key: string): string {
  return `${sender} ${key}`;
}
