/**
 * A host of a simulated network that runs an endpoint: what the driver is over real sockets, without anything asynchronous.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { type Micros, NEVER } from "../base/time.ts";
import { generateKeyPair } from "../crypto/key_pair.ts";
import { selectProvider } from "../crypto/select.ts";
import type { CryptoProvider, KeyPair } from "../crypto/types.ts";
import type { Connection } from "../transport/connection.ts";
import { Endpoint } from "../transport/endpoint.ts";
import type { ConnectOptions } from "../transport/initiator_plan.ts";
import type { CloseReason, ConnectionEvent } from "../transport/events.ts";
import { largestDatagram } from "../transport/mtu_discovery.ts";
import type { TransportSettings } from "../transport/settings.ts";
import type { Invariants } from "./invariants.ts";
import type { SimulatedHost, SimulatedNetwork } from "./simulated_network.ts";

/** What uses the connections of a node. */
export interface NodeApplication {
  /** One event. May call any method of the connection. */
  onEvent(node: SimulatedNode, connection: Connection, event: ConnectionEvent): void;
}

/** What a node is made of. */
export interface SimulatedNodeOptions {
  /** Where it is. */
  readonly address: Address;
  /** The runtime's own by default. */
  readonly crypto?: CryptoProvider;
  /** Drawn from the network's randomness by default. */
  readonly identity?: KeyPair;
  /** What differs from the defaults. */
  readonly settings?: Partial<TransportSettings>;
  /** Whether connections of others are taken; true by default. */
  readonly accept?: boolean;
  /** Decides about peers by their key; everybody is welcome by default. */
  readonly authorize?: (peerKey: Uint8Array) => boolean;
  /** What uses the connections. Without one, nobody reads what arrives. */
  readonly application?: NodeApplication;
  /** Rules to check at every step. */
  readonly invariants?: Invariants;
}

/** A connection that is over. */
export interface EndedConnection {
  /** Which one. */
  readonly connection: Connection;
  /** Why it ended. */
  readonly reason: CloseReason;
  /** When. */
  readonly at: Micros;
}

/** When a connection's wake-up is set for. */
interface Alarm {
  at: Micros;
  /** Undefined once it is over. */
  connection: Connection | undefined;
}

/** Turns of one connection without time passing; a real one needs two or three. */
const MOST_TURNS = 100;

/**
 * An endpoint with an address in a simulated network.
 *
 * @example
 * ```ts
 * import { address } from "../base/address.ts";
 * import { SimulatedNetwork } from "./simulated_network.ts";
 * import { SimulatedNode } from "./simulated_node.ts";
 *
 * const network = new SimulatedNetwork({ seed: 1 });
 * const server = new SimulatedNode(network, { address: address("10.0.0.1", 1) });
 * const client = new SimulatedNode(network, { address: address("10.0.0.2", 1) });
 * const connection = client.connect(server.address, { peerKey: server.identity.publicKey });
 * network.run(() => connection.confirmed);
 * ```
 */
export class SimulatedNode implements SimulatedHost {
  /** What it is attached to. */
  readonly network: SimulatedNetwork;
  /** Its static key pair. */
  readonly identity: KeyPair;
  /** What it runs. */
  readonly endpoint: Endpoint;
  /** What uses the connections; may be set later. */
  application: NodeApplication | undefined;
  /** Every connection that there ever was, in the order in which they began. */
  readonly connections: Connection[] = [];
  /** Those that have reported `closed`. */
  readonly ended: EndedConnection[] = [];
  /** Datagrams that arrived while it was suspended. */
  missed = 0;
  readonly #options: SimulatedNodeOptions;
  readonly #invariants: Invariants | undefined;
  readonly #alarms = new Map<Connection, Alarm>();
  readonly #out: Uint8Array;
  #address: Address;
  #state: "running" | "suspended" | "dead" = "running";

  /** Attaches itself to the network. */
  constructor(network: SimulatedNetwork, options: SimulatedNodeOptions) {
    const { invariants } = options;
    const random = network.random.fork();
    const crypto = options.crypto ?? selectProvider();
    this.network = network;
    this.#options = options;
    this.#address = options.address;
    this.identity = options.identity ?? generateKeyPair(crypto.dh, random);
    this.application = options.application;
    this.#invariants = invariants;
    this.endpoint = new Endpoint({
      identity: this.identity,
      crypto: invariants === undefined ? crypto : invariants.watch(crypto, options.address),
      random,
      settings: options.settings,
      accept: options.accept ?? true,
      authorize: options.authorize,
    });
    this.#out = new Uint8Array(largestDatagram(this.endpoint.settings));
    invariants?.addNode(this);
    network.attach(this);
  }

  /** Where it is. */
  get address(): Address {
    return this.#address;
  }

  /** Whether it takes part: neither suspended nor dead. */
  get isRunning(): boolean {
    return this.#state === "running";
  }

  /**
   * Is at another address from now on. Its connections are `told` if it has joined another network; they are not, behind a NAT that has forgotten
   * its port. The links to and from `peers` go on as they are; what is under way to the old address is lost.
   */
  moveTo(address: Address, peers: Iterable<Address>, told = false): void {
    const { network } = this, before = this.#address;
    for (const peer of peers) {
      for (
        const [old, fresh] of [[network.link(before, peer), network.link(address, peer)], [
          network.link(peer, before),
          network.link(peer, address),
        ]]
      ) {
        fresh.profile = old.profile;
        fresh.shared = old.shared;
        fresh.down = old.down;
      }
    }
    network.detach(before);
    this.#address = address;
    network.attach(this);
    this.#invariants?.addNode(this);
    if (!told) return;
    for (const connection of [...this.endpoint.connections]) {
      connection.onLocalAddressChange(network.now);
      this.#pump(connection);
    }
  }

  /** Stands still, as a machine that sleeps: hears nothing, and no timer of its own runs. */
  suspend(): void {
    if (this.#state === "running") this.#state = "suspended";
  }

  /** Goes on. The time that has passed meanwhile is seen all at once. */
  resume(): void {
    if (this.#state !== "suspended") return;
    this.#state = "running";
    this.pump();
  }

  /** Is gone from one moment to the next, as after `kill -9`; whoever takes its address knows nothing of its connections. */
  kill(): void {
    this.#state = "dead";
    this.network.detach(this.#address);
  }

  /** Kills it, and starts another one at the same address with the same identity, which knows nothing of the past. */
  restart(application: NodeApplication | undefined): SimulatedNode {
    this.kill();
    const { identity } = this;
    return new SimulatedNode(this.network, { ...this.#options, address: this.#address, identity, application });
  }

  /** Begins a connection: IK with the peer's key, XX without, NNpsk0 with a ticket. */
  connect(remote: Address, options: ConnectOptions = {}): Connection {
    const connection = this.endpoint.connect(this.network.now, remote, options);
    this.#pump(connection);
    return connection;
  }

  receive(from: Address, bytes: Uint8Array): void {
    if (this.#state !== "running") {
      this.missed++;
      return;
    }
    this.#invariants?.onReceived(this, from, bytes.length);
    const connection = this.endpoint.handleDatagram(this.network.now, from, bytes);
    const displaced = this.endpoint.takeDisplaced();
    if (displaced !== undefined) this.#pump(displaced);
    if (connection !== undefined) this.#pump(connection);
    this.#sendAnswers();
  }

  /** Lets connections do what is due. Call it after using one from outside of an event; without an argument all have their turn. */
  pump(connection?: Connection): void {
    if (connection !== undefined) this.#pump(connection);
    else for (const each of [...this.endpoint.connections]) this.#pump(each);
  }

  #pump(connection: Connection): void {
    if (this.#state !== "running" || (connection.state === "closed" && !this.#alarms.has(connection))) return;
    const alarm = this.#alarmOf(connection);
    for (let turn = 0; this.#turn(connection); turn++) {
      if (turn < MOST_TURNS) continue;
      throw new Error(`${this.address.key} is busy for ever at ${this.network.now} µs, ${connection.state}`);
    }
    this.#invariants?.afterStep(this, connection);
    if (connection.state === "closed") this.#forget(connection);
    else this.#arm(connection, alarm);
  }

  /** Timers, events, datagrams, once; whether there may be more to do. */
  #turn(connection: Connection): boolean {
    const { now } = this.network;
    let busy = connection.pollTimeout() <= now;
    if (busy) connection.handleTimeout(now);
    for (let event = connection.pollEvent(); event !== undefined; event = connection.pollEvent()) {
      busy = true;
      this.#invariants?.onEvent(this, connection, event);
      if (event.type === "closed") this.ended.push({ connection, reason: event.reason, at: now });
      this.application?.onEvent(this, connection, event);
    }
    this.#invariants?.beforeTransmit(this, connection);
    for (let size; (size = connection.pollTransmit(now, this.#out)) > 0;) {
      busy = true;
      this.#invariants?.afterTransmit(this, connection);
      this.#send(connection.transmitRemote, size, connection);
    }
    return busy;
  }

  #sendAnswers(): void {
    for (let size; (size = this.endpoint.pollTransmit(this.#out)) > 0;) {
      this.#send(this.endpoint.transmitRemote, size, undefined);
    }
  }

  #send(to: Address, size: number, connection: Connection | undefined): void {
    this.#invariants?.onSent(this, to, size, connection);
    this.network.send(this.address, to, this.#out.subarray(0, size));
  }

  #alarmOf(connection: Connection): Alarm {
    let alarm = this.#alarms.get(connection);
    if (alarm === undefined) {
      alarm = { at: NEVER, connection };
      this.#alarms.set(connection, alarm);
      this.connections.push(connection);
    }
    return alarm;
  }

  /** A wake-up that comes too early is harmless and sets itself anew, so only an earlier one has to be asked for. */
  #arm(connection: Connection, alarm: Alarm): void {
    const at = connection.pollTimeout();
    if (at >= alarm.at) return;
    alarm.at = at;
    this.network.clock.wakeAt(at, () => {
      const { connection } = alarm;
      if (alarm.at !== at || connection === undefined) return;
      alarm.at = NEVER;
      if (this.#state !== "running") return;
      if (connection.pollTimeout() <= this.network.now) this.#pump(connection);
      else if (connection.state !== "closed") this.#arm(connection, alarm);
    });
  }

  #forget(connection: Connection): void {
    // A wake-up that is still to come must not keep the connection alive.
    this.#alarmOf(connection).connection = undefined;
    this.#alarms.delete(connection);
    this.endpoint.forget(connection);
  }
}
