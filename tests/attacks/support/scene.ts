/**
 * Where attacks take place: a victim, attackers, and an honest peer beside them, over one simulated network; and what must hold whatever
 * the attackers do.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { type Address, address } from "../../../lib/base/address.ts";
import { type Micros, millis, seconds } from "../../../lib/base/time.ts";
import { selectProvider } from "../../../lib/crypto/select.ts";
import type { CryptoProvider } from "../../../lib/crypto/types.ts";
import { HostilePeer, type HostilePeerOptions } from "../../../lib/testing/hostile_peer.ts";
import { Invariants } from "../../../lib/testing/invariants.ts";
import { Pattern } from "../../../lib/testing/pattern.ts";
import { PatternTraffic } from "../../../lib/testing/pattern_traffic.ts";
import { SimulatedNetwork } from "../../../lib/testing/simulated_network.ts";
import { type NodeApplication, SimulatedNode } from "../../../lib/testing/simulated_node.ts";
import type { Connection } from "../../../lib/transport/connection.ts";
import type { ConnectionEvent } from "../../../lib/transport/events.ts";
import type { TransportSettings } from "../../../lib/transport/settings.ts";

/** Chosen once: it takes some milliseconds. */
export const crypto: CryptoProvider = selectProvider();
/** Where the victim is. */
export const VICTIM: Address = address("10.0.0.1", 9000);
/** Where the honest peer is. */
export const HONEST: Address = address("10.0.0.2", 9000);
/** What the honest peer transfers: some hundred packets. */
const HONEST_BYTES = 100_000;
/** Addresses of attackers. */
const ATTACKER_ADDRESSES = 32;
/** Long enough for anything that is not an attack. */
const LIMIT = seconds(120);

/** Which side of the handshake an attacker is on; a stranger never finishes one. */
export type AttackerRole = "initiator" | "responder" | "stranger";

/** What a scene is made of. */
export interface SceneOptions {
  readonly role: AttackerRole;
  readonly seed: number;
  /** What differs from the victim's defaults. */
  readonly settings?: Partial<TransportSettings> | undefined;
  /** The victim's cryptography; the runtime's own by default. */
  readonly victimCrypto?: CryptoProvider | undefined;
  /** Whether the rules of every simulation are checked, which takes memory for every packet. */
  readonly checked?: boolean;
}

/** An attacker and the victim's end of its connection. */
export interface Attacker {
  readonly peer: HostilePeer;
  readonly connection: Connection;
}

/** Reads and forgets whatever attackers send; what the honest peer sends is compared byte by byte. */
class VictimApplication implements NodeApplication {
  readonly traffic: PatternTraffic;

  constructor(traffic: PatternTraffic) {
    this.traffic = traffic;
  }

  onEvent(node: SimulatedNode, connection: Connection, event: ConnectionEvent): void {
    if (connection.remote.key === HONEST.key) this.traffic.onEvent(node, connection, event);
    else if (event.type === "readable") { while (connection.read(event.id) !== undefined); }
  }
}

/** How often the processor's time is looked at, milliseconds: as much as an event may seem longer than it was. */
const LOOK_EVERY_MS = 2;

/** Milliseconds that this thread has had of a processor; where the system does not say, this process with all of its threads. */
function processorTime(): number {
  try {
    return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ", 1)[0]) / 1e6;
  } catch {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  }
}

/** One scene. */
export class Scene {
  readonly network: SimulatedNetwork;
  readonly role: AttackerRole;
  readonly victim: SimulatedNode;
  readonly honest: SimulatedNode;
  /** Longest time that one event took, in milliseconds. */
  longestStep = 0;
  /** How long the honest peer took from its first hello to the last byte; −1 as long as it is not done. */
  honestTime: Micros | -1 = -1;
  readonly #honestTraffic: PatternTraffic;
  readonly #victimTraffic: PatternTraffic;
  #honestBegan: Micros | -1 = -1;
  #attackers = 0;
  readonly #droppedBefore = new Map<string, number>();

  constructor(options: SceneOptions) {
    const network = new SimulatedNetwork({ seed: options.seed });
    this.network = network;
    this.role = options.role;
    const invariants = options.checked ? new Invariants(() => network.now) : undefined;
    const pattern = new Pattern();
    this.#honestTraffic = new PatternTraffic(pattern);
    this.#victimTraffic = new PatternTraffic(pattern);
    this.victim = new SimulatedNode(network, {
      address: VICTIM,
      crypto: options.victimCrypto ?? crypto,
      settings: options.settings,
      application: new VictimApplication(this.#victimTraffic),
      invariants,
    });
    this.honest = new SimulatedNode(network, { address: HONEST, crypto, application: this.#honestTraffic });
    network.change(VICTIM, HONEST, { rate: 20, delay: millis(10) });
  }

  /** The next address of an attacker; used again after a while, because a simulated network remembers each. */
  nextAddress(): Address {
    return address(`10.6.6.${this.#attackers++ % ATTACKER_ADDRESSES}`, 6666);
  }

  /** An attacker that has finished an honest handshake on the side that this scene gives it. */
  attacker(options: Partial<HostilePeerOptions> = {}): Attacker {
    const peer = new HostilePeer(this.network, { address: this.nextAddress(), crypto, ...options });
    this.prune();
    if (this.role === "responder") this.victim.connect(peer.address, { peerKey: peer.identity.publicKey });
    else peer.connect(VICTIM, this.victim.identity.publicKey);
    const found = (): Connection | undefined =>
      this.victim.connections.findLast(({ remote, state }) => remote.key === peer.address.key && state !== "closed");
    if (!this.run(() => found()?.confirmed === true && peer.isEstablished, seconds(20))) {
      throw new Error("an attacker did not get through its handshake");
    }
    return { peer, connection: found()! };
  }

  /** The honest peer begins: it says hello to the victim, or the victim to it, and then a transfer goes to the victim's side of things. */
  beginHonest(): void {
    this.#honestBegan = this.network.now;
    if (this.role === "responder") {
      const connection = this.victim.connect(HONEST, { peerKey: this.honest.identity.publicKey });
      this.#victimTraffic.send(this.victim, connection, HONEST_BYTES);
    } else {
      const connection = this.honest.connect(VICTIM, { peerKey: this.victim.identity.publicKey });
      this.#honestTraffic.send(this.honest, connection, HONEST_BYTES);
    }
  }

  /** Whether the honest peer was begun. */
  get hasBegun(): boolean {
    return this.#honestBegan !== -1;
  }

  /** Lets the honest peer come to its end, if it can. */
  endHonest(): void {
    this.run(() => this.honestTime !== -1, LIMIT);
  }

  /** Lets a time pass. */
  tick(milliseconds: number): void {
    this.run(() => false, millis(milliseconds));
  }

  /** Lets time pass until `done` says so, and looks at how long each event takes. */
  run(done: () => boolean, limit: Micros): boolean {
    let began = performance.now(), looked = began, busy = processorTime();
    return this.network.run(() => {
      const now = performance.now();
      // Who waits for a busy machine is not stalled: where the clock says that it took long, the processor has the last word.
      if (now - began > this.longestStep) {
        this.longestStep = Math.max(this.longestStep, Math.min(now - began, processorTime() - busy));
      }
      this.#noteHonest();
      const isDone = done();
      began = performance.now();
      // To look costs more than most events do.
      if (began - looked > LOOK_EVERY_MS) {
        looked = began;
        busy = processorTime();
      }
      return isDone;
    }, limit);
  }

  #noteHonest(): void {
    if (this.honestTime !== -1 || this.#honestBegan === -1) return;
    const traffic = this.role === "responder" ? this.#honestTraffic : this.#victimTraffic;
    if (traffic.delivered === HONEST_BYTES) this.honestTime = (this.network.now - this.#honestBegan) as Micros;
  }

  /** Forgets connections that are over. A simulated node remembers them all; here that would look like memory that an attack takes. */
  prune(): void {
    const { connections, ended } = this.victim;
    ended.length = 0;
    for (const connection of connections.splice(0)) {
      if (connection.state !== "closed") connections.push(connection);
      else if (connection.remote.key !== HONEST.key) this.#tally(connection);
    }
  }

  #tally(connection: Connection): void {
    for (const [name, count] of Object.entries(connection.stats().dropped)) {
      this.#droppedBefore.set(name, (this.#droppedBefore.get(name) ?? 0) + count);
    }
  }

  /** Sum of a counter over all connections that the victim has had with attackers. */
  dropped(name: keyof ReturnType<Connection["stats"]>["dropped"]): number {
    let sum = this.#droppedBefore.get(name) ?? 0;
    for (const connection of this.victim.connections) {
      if (connection.remote.key !== HONEST.key) sum += connection.stats().dropped[name];
    }
    return sum;
  }
}
