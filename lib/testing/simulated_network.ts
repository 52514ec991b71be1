/**
 * A network in memory with a virtual clock: hosts with addresses, a link for each direction between two of them. The same seed
 * gives the same run, to the last byte.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { type Micros, micros, NEVER, seconds } from "../base/time.ts";
import { Link, type LinkProfile } from "./link.ts";
import { ManualClock } from "./manual_clock.ts";
import { SeededRandom } from "./seeded_random.ts";
import { TraceHash } from "./trace_hash.ts";

/** Whatever has an address in a simulated network. */
export interface SimulatedHost {
  /** Where it is. */
  readonly address: Address;
  /** A UDP datagram arrived. The bytes are the host's. */
  receive(from: Address, bytes: Uint8Array): void;
}

/** What a network is made of. */
export interface SimulatedNetworkOptions {
  /** Everything random follows from it. */
  readonly seed: number;
  /** What links do unless they are told otherwise. */
  readonly profile?: Partial<LinkProfile>;
  /** Whether {@link SimulatedNetwork.trace} takes note of every datagram; costs about a nanosecond a byte. */
  readonly trace?: boolean;
}

/** How long {@link SimulatedNetwork.run} goes on by default, virtual time. */
const DEFAULT_LIMIT = seconds(3600);

/**
 * Hosts and the links between them.
 *
 * @example
 * ```ts
 * import { address } from "../base/address.ts";
 * import { millis } from "../base/time.ts";
 * import { SimulatedNetwork } from "./simulated_network.ts";
 *
 * const network = new SimulatedNetwork({ seed: 7, profile: { delay: millis(25), loss: 0.05 } });
 * const here = address("10.0.0.1", 1), there = address("10.0.0.2", 1);
 * let arrived = 0;
 * network.attach({ address: there, receive: () => arrived++ });
 * network.send(here, there, new Uint8Array(100));
 * network.run(() => arrived > 0);
 * ```
 */
export class SimulatedNetwork {
  /** What time it is, and what happens when. */
  readonly clock: ManualClock = new ManualClock();
  /** The source of everything random; fork it. */
  readonly random: SeededRandom;
  /** Every datagram with its time, if the options asked for it. */
  readonly trace: TraceHash | undefined;
  /** Sees every datagram that is sent, before anything happens to it. Must not keep or change the bytes. */
  onSend: ((from: Address, to: Address, bytes: Uint8Array) => void) | undefined;
  /** Datagrams to addresses where nobody is. */
  unreachable = 0;
  readonly #profile: Partial<LinkProfile>;
  readonly #hosts = new Map<string, SimulatedHost>();
  readonly #links = new Map<string, Link>();
  readonly #linkRandom: SeededRandom;

  /** An empty network at time 0. */
  constructor(options: SimulatedNetworkOptions) {
    this.random = new SeededRandom(options.seed);
    this.#linkRandom = this.random.fork();
    this.#profile = options.profile ?? {};
    this.trace = options.trace ? new TraceHash() : undefined;
  }

  /** What time it is. */
  get now(): Micros {
    return this.clock.now();
  }

  /** Puts a host at its address, in place of whoever was there. */
  attach(host: SimulatedHost): void {
    this.#hosts.set(host.address.key, host);
  }

  /** Takes the host at an address away; what is under way to it is lost. */
  detach(at: Address): void {
    this.#hosts.delete(at.key);
  }

  /** The link from one address to another. It is made when it is first asked for, so ask in a fixed order. */
  link(from: Address, to: Address): Link {
    const key = `${from.key}>${to.key}`;
    let link = this.#links.get(key);
    if (link === undefined) {
      link = new Link(this.#profile, this.clock, this.#linkRandom.fork(), (bytes) => this.#deliver(from, to, bytes));
      this.#links.set(key, link);
    }
    return link;
  }

  /** Forgets the links of addresses where nobody is, except those between these two. Who runs for days needs that. */
  forgetLinks(a: Address, b: Address): void {
    for (const key of this.#links.keys()) {
      const [from, to] = key.split(">");
      if ([from, to].every((end) => this.#hosts.has(end) || end === a.key || end === b.key)) continue;
      this.#links.delete(key);
    }
  }

  /** Changes both directions between two addresses. */
  change(a: Address, b: Address, profile: Partial<LinkProfile>): void {
    for (const link of [this.link(a, b), this.link(b, a)]) link.profile = { ...link.profile, ...profile };
  }

  /** Sends a datagram. The bytes may be used again afterwards. */
  send(from: Address, to: Address, bytes: Uint8Array): void {
    this.trace?.note(this.now, from.key, to.key, bytes);
    this.onSend?.(from, to, bytes);
    this.link(from, to).send(bytes);
  }

  /**
   * Lets time pass until `done` says so, which it is asked after everything that happens. False if nothing more happens, or `limit` of virtual time
   * (an hour by default) passes before.
   */
  run(done: () => boolean, limit: Micros = DEFAULT_LIMIT): boolean {
    const end = micros(this.now + limit);
    while (!done()) {
      const next = this.clock.nextTime;
      if (next === NEVER) return false;
      if (next > end) {
        this.clock.advance(end);
        return false;
      }
      this.clock.step();
    }
    return true;
  }

  /** Lets a time pass. */
  advance(duration: Micros): void {
    this.clock.advance(micros(this.now + duration));
  }

  #deliver(from: Address, to: Address, bytes: Uint8Array): void {
    const host = this.#hosts.get(to.key);
    if (host === undefined) this.unreachable++;
    else host.receive(from, bytes);
  }
}
