/**
 * Impairments on real sockets: a relay between clients and one server on this machine, with a simulated link each way.
 *
 * @module
 */

import { isIpv4 } from "../agent/ip_address.ts";
import type { BindUdp, UdpSocket } from "../agent/udp_socket.ts";
import { type Address, isLoopback } from "../base/address.ts";
import type { Clock } from "../base/time.ts";
import { Link, type LinkCounters, type LinkProfile } from "./link.ts";
import { SeededRandom } from "./seeded_random.ts";

/** What a proxy is made of. */
export interface UdpProxyOptions {
  /** Opens its sockets. */
  readonly bindUdp: BindUdp;
  /** Real time. */
  readonly clock: Clock;
  /** Where clients come to; an address of this machine's loopback, port 0 for any free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Where the server is; on loopback, too. */
  readonly to: Address;
  /** Everything random follows from it. What happens when does not, since time is real. */
  readonly seed: number;
  /** Both directions of the links. */
  readonly profile?: Partial<LinkProfile>;
  /** What differs on the way to the server. */
  readonly up?: Partial<LinkProfile>;
  /** What differs on the way from the server. */
  readonly down?: Partial<LinkProfile>;
}

/** What happens to a datagram that no link takes. */
export interface UdpProxyCounters {
  /** From newcomers when there were too many clients already. */
  refusedClients: number;
  /** From somebody else than the server, to a socket that only the server should know. */
  strangers: number;
  /** Arrived while the socket behind was not open yet, and too many others waited. */
  early: number;
  /** Times that all clients got new ports. */
  rebindings: number;
}

/** A client address with its own socket behind the proxy, as a NAT has it. */
interface Client {
  readonly address: Address;
  readonly up: Link;
  readonly down: Link;
  socket: UdpSocket | undefined;
  readonly waiting: Uint8Array[];
}

/** Each has a socket, and descriptors are limited. */
const MOST_CLIENTS = 512;
/** Opening a socket takes a turn of the event loop or two. */
const MOST_WAITING = 64;

/**
 * The relay. It accepts and sends on loopback alone.
 *
 * @example
 * ```ts
 * import { address } from "../base/address.ts";
 * import { millis } from "../base/time.ts";
 * import { defaultBindUdp, SystemClock } from "../runtime/mod.ts";
 * import { UdpProxy } from "./udp_proxy.ts";
 *
 * const proxy = await UdpProxy.start({
 *   bindUdp: defaultBindUdp(),
 *   clock: new SystemClock(),
 *   listen: { host: "127.0.0.1", port: 0 },
 *   to: address("127.0.0.1", 9000),
 *   seed: 1,
 *   profile: { delay: millis(25), loss: 0.01 },
 * });
 * console.log(proxy.local.key);
 * proxy.close();
 * ```
 */
export class UdpProxy {
  /** What happened outside of links. */
  readonly counters: UdpProxyCounters = { refusedClients: 0, strangers: 0, early: 0, rebindings: 0 };
  readonly #options: UdpProxyOptions;
  readonly #random: SeededRandom;
  readonly #clients = new Map<string, Client>();
  #front!: UdpSocket;
  #up: Partial<LinkProfile>;
  #down: Partial<LinkProfile>;
  #isDown = false;
  #closed = false;

  /** Opens the socket for clients. Rejects with a RangeError for addresses that are not on loopback, and with the runtime's error. */
  static async start(options: UdpProxyOptions): Promise<UdpProxy> {
    for (const { host } of [options.listen, options.to]) {
      // A name such as 127.example.com would be looked up.
      if (!isLoopback(host) || (!isIpv4(host) && !host.includes(":"))) {
        throw new RangeError(`the proxy works on loopback only, not on ${host}`);
      }
    }
    const proxy = new UdpProxy(options);
    proxy.#front = await options.bindUdp(options.listen, {
      onDatagram: (bytes, remote) => proxy.#fromClient(bytes, remote),
      onBatchEnd: () => {},
      onError: () => proxy.close(),
    });
    return proxy;
  }

  private constructor(options: UdpProxyOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#up = { ...options.profile, ...options.up };
    this.#down = { ...options.profile, ...options.down };
  }

  /** Where clients come to. */
  get local(): Address {
    return this.#front.local;
  }

  /** How many clients there are. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /** What has happened on the way to the server, all clients together. */
  get up(): LinkCounters {
    return total([...this.#clients.values()].map(({ up }) => up.counters));
  }

  /** What has happened on the way from the server. */
  get down(): LinkCounters {
    return total([...this.#clients.values()].map(({ down }) => down.counters));
  }

  /** Changes what all links do, those of later clients too. */
  change(profile: Partial<LinkProfile>): void {
    this.#up = { ...this.#up, ...profile };
    this.#down = { ...this.#down, ...profile };
    for (const { up, down } of this.#clients.values()) {
      for (const link of [up, down]) link.profile = { ...link.profile, ...profile };
    }
  }

  /** Opens a hole into which everything falls, or closes it. */
  setDown(isDown: boolean): void {
    this.#isDown = isDown;
    for (const { up, down } of this.#clients.values()) up.down = down.down = isDown;
  }

  /** Gives every client a new port, as a NAT does that has forgotten it: what is sent to the old one gets lost. */
  async rebind(): Promise<void> {
    this.counters.rebindings++;
    await Promise.all(
      [...this.#clients.values()].map(async (client) => {
        const before = client.socket;
        const socket = await this.#bindBehind(client);
        if (this.#closed) return socket.close();
        client.socket = socket;
        before?.close();
      }),
    );
  }

  /** Closes all sockets. What is under way is lost. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#front.close();
    for (const { socket } of this.#clients.values()) socket?.close();
  }

  #fromClient(bytes: Uint8Array, remote: Address): void {
    let client = this.#clients.get(remote.key);
    if (client === undefined) {
      if (this.#clients.size >= MOST_CLIENTS) {
        this.counters.refusedClients++;
        return;
      }
      client = this.#newClient(remote);
    }
    client.up.send(bytes);
  }

  #newClient(remote: Address): Client {
    const { clock } = this.#options;
    const client: Client = {
      address: remote,
      up: new Link(this.#up, clock, this.#random.fork(), (bytes) => this.#toServer(client, bytes)),
      down: new Link(this.#down, clock, this.#random.fork(), (bytes) => this.#send(this.#front, bytes, remote)),
      socket: undefined,
      waiting: [],
    };
    client.up.down = client.down.down = this.#isDown;
    this.#clients.set(remote.key, client);
    this.#bindBehind(client).then((socket) => {
      if (this.#closed) return socket.close();
      client.socket = socket;
      for (const bytes of client.waiting.splice(0)) this.#toServer(client, bytes);
    }, () => this.#clients.delete(remote.key));
    return client;
  }

  #bindBehind(client: Client): Promise<UdpSocket> {
    const { bindUdp, to } = this.#options;
    return bindUdp({ host: to.host.includes(":") ? "::1" : "127.0.0.1", port: 0 }, {
      onDatagram: (bytes, remote) => {
        if (remote.key === to.key) client.down.send(bytes);
        else this.counters.strangers++;
      },
      onBatchEnd: () => {},
      onError: () => this.#clients.delete(client.address.key),
    });
  }

  #toServer(client: Client, bytes: Uint8Array): void {
    if (client.socket !== undefined) this.#send(client.socket, bytes, this.#options.to);
    else if (client.waiting.length < MOST_WAITING) client.waiting.push(bytes);
    else this.counters.early++;
  }

  #send(socket: UdpSocket, bytes: Uint8Array, remote: Address): void {
    if (this.#closed) return;
    socket.send(bytes, remote);
    // Links hand over copies, so nobody has to wait until the socket has taken them.
    void socket.flush();
  }
}

function total(all: readonly LinkCounters[]): LinkCounters {
  const sum: LinkCounters = {
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
  for (const counters of all) {
    for (const name of Object.keys(sum) as (keyof LinkCounters)[]) sum[name] += counters[name];
  }
  return sum;
}
