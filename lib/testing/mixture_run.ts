/**
 * Everything at once, from one seed: several nodes that call each other over links that lose, duplicate, damage, delay and reorder, while nodes
 * are cut off, restarted, moved and put to sleep; then the network heals. What was wrong must not have happened (the invariants, every byte
 * compared, every stream ended at most once), and afterwards everything must work again.
 *
 * @module
 */

import { type Address, address } from "../base/address.ts";
import { type Micros, micros, millis, seconds } from "../base/time.ts";
import type { CryptoProvider } from "../crypto/types.ts";
import type { Connection } from "../transport/connection.ts";
import type { TransportSettings } from "../transport/settings.ts";
import { streamRole } from "../wire/stream_id.ts";
import { Invariants } from "./invariants.ts";
import { type LinkProfile, perfectLink } from "./link.ts";
import { Pattern } from "./pattern.ts";
import { type OutgoingStream, PatternTraffic } from "./pattern_traffic.ts";
import type { SeededRandom } from "./seeded_random.ts";
import { SimulatedNetwork } from "./simulated_network.ts";
import { SimulatedNode } from "./simulated_node.ts";

/** What a mixture is made of. */
export interface MixtureOptions {
  /** Everything follows from it, the number of nodes and what happens to them included. */
  readonly seed: number;
  /** The runtime's own by default. */
  readonly crypto?: CryptoProvider;
  /** What differs from the defaults, on every node. */
  readonly settings?: Partial<TransportSettings>;
  /** How long things go wrong; 20 s of virtual time by default. */
  readonly duration?: Micros;
  /** Whether a fingerprint of every datagram is taken. */
  readonly trace?: boolean;
}

/** How it went. */
export interface MixtureResult {
  /** Everything worked again in time, between any two nodes, and nothing was left open. */
  readonly live: boolean;
  /** What did not; undefined if everything did. */
  readonly failure: string | undefined;
  /** How many there were. */
  readonly nodes: number;
  /** Calls that were begun. Those of a node that is restarted are forgotten with it. */
  readonly calls: number;
  /** Calls whose answers arrived whole. */
  readonly answered: number;
  /** Calls that ended with their connections. */
  readonly closed: number;
  /** Times that a node was replaced by one that knew nothing. */
  readonly restarts: number;
  /** Times that two nodes did not hear each other for a while. */
  readonly partitions: number;
  /** Times that a node changed its address. */
  readonly moves: number;
  /** Times that a node stood still for a while. */
  readonly naps: number;
  /** Bytes that arrived, each compared. */
  readonly delivered: number;
  /** Until everything worked again. */
  readonly healedAfter: Micros;
  /** Most connections that a node held at once. */
  readonly mostConnections: number;
  /** How often a rule was checked. */
  readonly checks: number;
  /** Fingerprint of all datagrams, if the options asked for it. */
  readonly trace: string | undefined;
}

/** A call of the last round, which has to be answered. */
interface Probe {
  readonly from: number;
  readonly to: number;
  stream: OutgoingStream | undefined;
}

const DEFAULT_DURATION = seconds(20);
/** A connection whose peer has forgotten it may take an idle timeout to notice, and the next one a handshake. */
const HEALING_LIMIT = seconds(120);
const PORT = 9000;
const PROBE_SIZE = 10_000;
const MOST_CALL_BYTES = 60_000;

/** Runs a mixture. Throws an `InvariantError` if a rule is broken or a wrong byte is delivered. */
export function runMixture(options: MixtureOptions): MixtureResult {
  const mixture = new Mixture(options);
  mixture.goWrong(options.duration ?? DEFAULT_DURATION);
  return mixture.heal();
}

class Mixture {
  readonly #options: MixtureOptions;
  readonly #network: SimulatedNetwork;
  readonly #random: SeededRandom;
  readonly #invariants: Invariants;
  readonly #pattern = new Pattern();
  readonly #nodes: SimulatedNode[] = [];
  readonly #traffic: PatternTraffic[] = [];
  readonly #counts = { calls: 0, restarts: 0, partitions: 0, moves: 0, naps: 0 };
  /** Of nodes that are gone. */
  readonly #past = { delivered: 0, answered: 0, closed: 0 };
  #isHealed = false;
  #addresses = 0;
  #mostConnections = 0;

  constructor(options: MixtureOptions) {
    this.#options = options;
    this.#network = new SimulatedNetwork({ seed: options.seed, trace: options.trace });
    this.#random = this.#network.random.fork();
    this.#invariants = new Invariants(() => this.#network.now);
    const count = 3 + this.#random.below(6);
    for (let i = 0; i < count; i++) {
      const traffic = this.#newTraffic();
      this.#traffic.push(traffic);
      this.#nodes.push(
        new SimulatedNode(this.#network, {
          address: this.#newAddress(),
          crypto: options.crypto,
          settings: options.settings,
          application: traffic,
          invariants: this.#invariants,
        }),
      );
    }
    this.#forEachLink((from, to) => {
      this.#network.link(from, to).profile = this.#badProfile();
    });
  }

  /** Calls, and whatever else may happen, for a while. */
  goWrong(duration: Micros): void {
    const network = this.#network, random = this.#random;
    const end = micros(network.now + duration);
    while (network.now < end) {
      network.advance(micros(random.next() * 100_000));
      this.#noteConnections();
      if (random.chance(0.7)) this.#someCall();
      else this.#someTrouble(random.below(100));
    }
  }

  #someTrouble(die: number): void {
    const random = this.#random;
    const which = random.below(this.#nodes.length);
    if (die < 30) this.#partition(which, random.below(this.#nodes.length), micros(random.next() * 4_000_000));
    else if (die < 40) this.#cutOff(which, micros(random.next() * 4_000_000));
    else if (die < 50) this.#restart(which);
    else if (die < 60) this.#move(which);
    else if (die < 65) this.#nap(which, micros(random.next() * 3_000_000));
    else {
      const other = this.#nodes[random.below(this.#nodes.length)];
      this.#network.link(this.#nodes[which].address, other.address).profile = this.#badProfile();
    }
  }

  /** Ends all trouble, and says whether everything works again. */
  heal(): MixtureResult {
    const network = this.#network;
    const healedAt = network.now;
    this.#isHealed = true;
    this.#forEachLink((from, to) => {
      const link = network.link(from, to);
      link.profile = { ...perfectLink, rate: 100 };
      link.down = false;
    });
    for (const node of this.#nodes) node.resume();
    const probes: Probe[] = [];
    for (let from = 0; from < this.#nodes.length; from++) {
      for (let to = 0; to < this.#nodes.length; to++) {
        if (from !== to) probes.push({ from, to, stream: undefined });
      }
    }
    let waiting = probes;
    const end = micros(network.now + HEALING_LIMIT);
    while (network.now < end && (waiting.length > 0 || this.#open > 0)) {
      waiting = waiting.filter((probe) => !this.#hasWorked(probe));
      network.advance(millis(20));
      this.#noteConnections();
    }
    return this.#result(waiting, healedAt);
  }

  #result(waiting: readonly Probe[], healedAt: Micros): MixtureResult {
    const failures = waiting.map(({ from, to }) => `node ${from} does not reach node ${to}`);
    if (this.#open > 0) failures.push(`${this.#open} halves of streams are still open`);
    const sum = { ...this.#past };
    for (const traffic of this.#traffic) this.#addUp(traffic, sum);
    return {
      live: failures.length === 0,
      failure: failures.length === 0 ? undefined : failures.join(", "),
      nodes: this.#nodes.length,
      ...this.#counts,
      ...sum,
      healedAfter: micros(this.#network.now - healedAt),
      mostConnections: this.#mostConnections,
      checks: this.#invariants.checks,
      trace: this.#network.trace?.value,
    };
  }

  /** Whether a probe has been answered; begins it anew if the connection that it was on has ended. */
  #hasWorked(probe: Probe): boolean {
    const { stream } = probe;
    if (stream !== undefined && this.#isAnswered(this.#traffic[probe.from], stream)) return true;
    if (stream === undefined || stream.connection.closeReason !== undefined) {
      probe.stream = this.#call(probe.from, probe.to, PROBE_SIZE);
    }
    return false;
  }

  #isAnswered(traffic: PatternTraffic, { connection, id }: OutgoingStream): boolean {
    return traffic.incoming.some((answer) =>
      answer.connection === connection && answer.id === id && answer.outcome === "finished"
    );
  }

  /** Halves of streams that have not ended, on all nodes that are there. */
  get #open(): number {
    return this.#traffic.reduce((sum, { open }) => sum + open, 0);
  }

  #addUp(traffic: PatternTraffic, sum: { delivered: number; answered: number; closed: number }): void {
    sum.delivered += traffic.delivered;
    for (const stream of traffic.outgoing) {
      // Answers are sent on the streams of others.
      if (stream.id !== -1 && streamRole(stream.id) !== (stream.connection.role === "initiator" ? 0 : 1)) continue;
      if (stream.outcome === "closed") sum.closed++;
      else if (stream.outcome === "finished" && this.#isAnswered(traffic, stream)) sum.answered++;
    }
  }

  #someCall(): void {
    const random = this.#random;
    const from = random.below(this.#nodes.length), to = random.below(this.#nodes.length);
    const size = random.chance(0.5) ? random.below(200) : random.below(MOST_CALL_BYTES);
    if (from === to || !this.#nodes[from].isRunning) return;
    this.#call(from, to, size);
  }

  /** On a connection that is there, or a new one. */
  #call(from: number, to: number, size: number): OutgoingStream {
    const node = this.#nodes[from], peer = this.#nodes[to];
    const connection = this.#connectionTo(node, peer.address) ??
      node.connect(peer.address, { peerKey: peer.identity.publicKey });
    this.#counts.calls++;
    const streamClass = size < 1000 ? 1 : 2;
    return this.#traffic[from].send(node, connection, size, { unidirectional: false, streamClass });
  }

  #connectionTo(node: SimulatedNode, peer: Address): Connection | undefined {
    for (const connection of node.endpoint.connections) {
      const { role, remote, state } = connection;
      if (role === "initiator" && remote.key === peer.key && (state === "established" || state === "handshake")) {
        return connection;
      }
    }
    return undefined;
  }

  /** Two nodes do not hear each other for a while. */
  #partition(a: number, b: number, duration: Micros): void {
    if (a === b) return;
    this.#counts.partitions++;
    const [from, to] = [this.#nodes[a].address, this.#nodes[b].address];
    const links = [this.#network.link(from, to), this.#network.link(to, from)];
    for (const link of links) link.down = true;
    this.#later(duration, () => {
      for (const link of links) link.down = false;
    });
  }

  /** A node is alone for a while. */
  #cutOff(which: number, duration: Micros): void {
    for (let other = 0; other < this.#nodes.length; other++) this.#partition(which, other, duration);
  }

  #restart(which: number): void {
    this.#counts.restarts++;
    this.#addUp(this.#traffic[which], this.#past);
    const traffic = this.#newTraffic();
    this.#traffic[which] = traffic;
    this.#nodes[which] = this.#nodes[which].restart(traffic);
  }

  #move(which: number): void {
    this.#counts.moves++;
    const peers = this.#nodes.filter((_node, i) => i !== which).map((node) => node.address);
    this.#nodes[which].moveTo(this.#newAddress(), peers);
  }

  #nap(which: number, duration: Micros): void {
    this.#counts.naps++;
    const node = this.#nodes[which];
    node.suspend();
    this.#later(duration, () => node.resume());
  }

  #later(duration: Micros, action: () => void): void {
    const network = this.#network;
    network.clock.wakeAt(micros(network.now + duration), () => {
      if (!this.#isHealed) action();
    });
  }

  #noteConnections(): void {
    for (const { endpoint } of this.#nodes) {
      this.#mostConnections = Math.max(this.#mostConnections, endpoint.connectionCount);
    }
  }

  #newTraffic(): PatternTraffic {
    const traffic = new PatternTraffic(this.#pattern);
    traffic.replySize = this.#random.below(5000);
    return traffic;
  }

  #newAddress(): Address {
    return address(`10.0.0.${++this.#addresses}`, PORT);
  }

  #badProfile(): LinkProfile {
    const random = this.#random;
    return {
      ...perfectLink,
      delay: micros(1000 + random.next() * 80_000),
      jitter: micros(random.next() * 20_000),
      rate: 1 + random.next() * 99,
      loss: random.next() * 0.3,
      lossBurst: 1 + random.below(3),
      mtu: random.chance(0.2) ? 1252 + random.below(250) : Infinity,
      duplicate: random.next() * 0.2,
      corrupt: random.next() * 0.05,
      reorder: random.next() * 0.1,
      reorderDepth: 1 + random.below(20),
    };
  }

  #forEachLink(action: (from: Address, to: Address) => void): void {
    for (const { address: from } of this.#nodes) {
      for (const { address: to } of this.#nodes) if (from !== to) action(from, to);
    }
  }
}
