/**
 * Two nodes and a link between them: the harness that most simulations start from.
 *
 * @module
 */

import { type Address, address } from "../base/address.ts";
import { type Micros, seconds } from "../base/time.ts";
import { selectProvider } from "../crypto/select.ts";
import type { CryptoProvider } from "../crypto/types.ts";
import type { Connection } from "../transport/connection.ts";
import type { ResumptionTicket } from "../transport/resumed_handshake.ts";
import type { TransportSettings } from "../transport/settings.ts";
import { Invariants } from "./invariants.ts";
import type { Link, LinkProfile } from "./link.ts";
import { Pattern } from "./pattern.ts";
import { PatternTraffic } from "./pattern_traffic.ts";
import { SimulatedNetwork } from "./simulated_network.ts";
import { SimulatedNode } from "./simulated_node.ts";

/** What a pair is made of. */
export interface PairOptions {
  /** Everything random follows from it. */
  readonly seed: number;
  /** Both directions of the link. */
  readonly profile?: Partial<LinkProfile>;
  /** What differs on the way from client to server. */
  readonly up?: Partial<LinkProfile>;
  /** What differs on the way from server to client. */
  readonly down?: Partial<LinkProfile>;
  /** What differs from the defaults, on both sides. Larger datagrams than the first ones are not tried unless this says so: links have no MTU by default. */
  readonly settings?: Partial<TransportSettings>;
  /** What differs on the client's side alone. */
  readonly clientSettings?: Partial<TransportSettings>;
  /** What differs on the server's side alone. */
  readonly serverSettings?: Partial<TransportSettings>;
  /** IK by default. */
  readonly pattern?: "IK" | "XX";
  /** The runtime's own by default. Tests share one: choosing it takes some milliseconds. */
  readonly crypto?: CryptoProvider;
  /** Whom the server lets in; everybody by default. */
  readonly authorize?: (peerKey: Uint8Array) => boolean;
  /** Whether the invariants are checked; true by default. */
  readonly checked?: boolean;
  /** Whether the network keeps a trace. */
  readonly trace?: boolean;
}

/** Where the client is. */
export const CLIENT_ADDRESS: Address = address("10.0.0.1", 40001);
/** Where the server is. */
export const SERVER_ADDRESS: Address = address("10.0.0.2", 9000);

/** What is measured here depends on the size of datagrams, so that has to be known. */
const SETTINGS: Partial<TransportSettings> = { pathMtuDiscovery: "off" };
const ESTABLISH_LIMIT = seconds(60);

/**
 * A client and a server.
 *
 * @example
 * ```ts
 * import { millis } from "../base/time.ts";
 * import { Pair } from "./pair.ts";
 *
 * const pair = new Pair({ seed: 7, profile: { delay: millis(25), rate: 100, loss: 0.01 } });
 * pair.connect();
 * pair.clientTraffic.send(pair.client, pair.connection, 100_000);
 * pair.drive(() => pair.serverTraffic.delivered === 100_000);
 * console.log(pair.connection.stats().packetsLost);
 * ```
 */
export class Pair {
  /** What is between them. */
  readonly network: SimulatedNetwork;
  /** The side that connects. */
  readonly client: SimulatedNode;
  /** The side that accepts. */
  readonly server: SimulatedNode;
  /** What uses the client's connections. */
  readonly clientTraffic: PatternTraffic;
  /** What uses the server's connections. */
  readonly serverTraffic: PatternTraffic;
  /** The rules that are checked; undefined if they are not. */
  readonly invariants: Invariants | undefined;
  /** What protects everything, before it is watched. */
  readonly crypto: CryptoProvider;
  /** A ticket of the server, for the next connection. */
  ticket: ResumptionTicket | undefined = undefined;
  readonly #pattern: "IK" | "XX";
  #connection: Connection | undefined;

  /** Nothing happens until {@link connect}. */
  constructor(options: PairOptions) {
    const network = new SimulatedNetwork({ seed: options.seed, profile: options.profile, trace: options.trace });
    const invariants = options.checked === false ? undefined : new Invariants(() => network.now);
    this.crypto = options.crypto ?? selectProvider();
    const shared = { crypto: this.crypto, invariants };
    const bytes = new Pattern();
    this.network = network;
    this.invariants = invariants;
    this.clientTraffic = new PatternTraffic(bytes);
    this.serverTraffic = new PatternTraffic(bytes);
    this.client = new SimulatedNode(network, {
      ...shared,
      address: CLIENT_ADDRESS,
      settings: { ...SETTINGS, ...options.settings, ...options.clientSettings },
      accept: false,
      application: this.clientTraffic,
    });
    this.server = new SimulatedNode(network, {
      ...shared,
      address: SERVER_ADDRESS,
      settings: { ...SETTINGS, ...options.settings, ...options.serverSettings },
      authorize: options.authorize,
      application: this.serverTraffic,
    });
    this.up.profile = { ...this.up.profile, ...options.up };
    this.down.profile = { ...this.down.profile, ...options.down };
    this.#pattern = options.pattern ?? "IK";
  }

  /** From client to server. */
  get up(): Link {
    return this.network.link(CLIENT_ADDRESS, SERVER_ADDRESS);
  }

  /** From server to client. */
  get down(): Link {
    return this.network.link(SERVER_ADDRESS, CLIENT_ADDRESS);
  }

  /** The client's connection, once {@link connect} was called; a TypeError before. */
  get connection(): Connection {
    if (this.#connection === undefined) throw new TypeError("the pair is not connected");
    return this.#connection;
  }

  /** The server's newest connection, over or not. */
  get serverConnection(): Connection | undefined {
    return this.server.connections.at(-1);
  }

  /** Begins a connection; time has to pass before it stands. */
  connect(): Connection {
    const peerKey = this.#pattern === "IK" ? this.server.identity.publicKey : undefined;
    const { ticket } = this;
    this.ticket = undefined;
    this.#connection = this.client.connect(SERVER_ADDRESS, { peerKey, ticket });
    return this.#connection;
  }

  /** Connects, and lets time pass until both sides have confirmed it. False if that does not happen within a minute. */
  establish(): boolean {
    const connection = this.connect();
    return this.drive(() => connection.confirmed && this.serverConnection?.confirmed === true, ESTABLISH_LIMIT);
  }

  /**
   * Lets time pass until `done` says so; false if `limit` of virtual time (an hour by default) passes before, or nothing more happens. What
   * was done to connections before is taken into account first.
   */
  drive(done: () => boolean, limit?: Micros): boolean {
    this.client.pump();
    this.server.pump();
    return this.network.run(done, limit);
  }

  /** Lets a time pass. */
  advance(duration: Micros): void {
    this.drive(() => false, duration);
  }
}
