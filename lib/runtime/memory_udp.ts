/**
 * UDP inside one process: for tests, demos and agents that live together. Datagrams are copied, delivered in order in a
 * later turn of the event loop, and lost like real ones when nobody is bound to where they go.
 *
 * @module
 */

import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { type Address, address } from "../base/address.ts";
import type { BindUdp, UdpHandlers, UdpSocket } from "../agent/udp_socket.ts";
import { checkPort } from "./socket_errors.ts";

/** As on IPv4: 65 535 less the IP and UDP headers. */
const MAX_PAYLOAD = 65_507;
/** First of the dynamic ports (RFC 6335 §6). */
const FIRST_EPHEMERAL = 49_152;
/** Datagrams that one socket has waiting before more are lost, like a full receive buffer. */
const DEFAULT_QUEUE_LIMIT = 4_096;

/**
 * Decides what becomes of a datagram: one entry for each copy to deliver, the number of milliseconds it is delayed by.
 * `[]` loses it, `[0]` delivers it, `[0, 0]` duplicates it, `[20]` delays it (and so lets later ones overtake).
 * `bytes` may be changed in place (corruption); the sender's own buffer is not affected.
 */
export type MemoryFault = (from: Address, to: Address, bytes: Uint8Array) => readonly number[];

/** Options of {@link MemoryNetwork}. */
export interface MemoryNetworkOptions {
  /** Called for every datagram. Default: all are delivered at once. */
  fault?: MemoryFault;
  /** Datagrams that one socket may have waiting; default 4096. */
  queueLimit?: number;
}

/**
 * A network of its own. Sockets of different networks never meet. Every IP address belongs to the one machine of this
 * network; `0.0.0.0` and `::` stand for all of them.
 *
 * @example
 * ```ts
 * import { MemoryNetwork } from "./memory_udp.ts";
 *
 * const network = new MemoryNetwork({ fault: () => [0, 0] }); // doubles every datagram
 * const delivered = Promise.withResolvers<void>();
 * let datagrams = 0;
 * const socket = await network.bind({ host: "127.0.0.1", port: 0 }, {
 *   onDatagram: () => datagrams++,
 *   onBatchEnd: delivered.resolve,
 *   onError: delivered.reject,
 * });
 * socket.send(Uint8Array.of(1, 2, 3), socket.local);
 * await delivered.promise;
 * console.log(datagrams); // 2
 * socket.close();
 * ```
 */
export class MemoryNetwork {
  /** Binds a socket on this network. Rejects with `code` `EADDRINUSE` if the port is taken. */
  readonly bind: BindUdp;
  /** Decides about every datagram; may be replaced while the network runs. */
  fault: MemoryFault | undefined;
  readonly #queueLimit: number;
  readonly #bound = new Map<string, MemoryUdpSocket>();
  readonly #ready: MemoryUdpSocket[] = [];
  readonly #timers = new Map<MemoryUdpSocket, Set<ReturnType<typeof setTimeout>>>();
  #nextPort = FIRST_EPHEMERAL;
  #scheduled = false;
  #lost = 0;

  constructor(options: MemoryNetworkOptions = {}) {
    this.fault = options.fault;
    this.#queueLimit = options.queueLimit ?? DEFAULT_QUEUE_LIMIT;
    // deno-lint-ignore require-await -- async so that everything it throws becomes a rejection
    this.bind = async (local, handlers) => this.#bind(local.host, local.port, handlers);
  }

  /** Datagrams that went nowhere: lost by the fault hook, sent to nobody, or beyond the queue limit. */
  get lost(): number {
    return this.#lost;
  }

  #bind(host: string, port: number, handlers: UdpHandlers): UdpSocket {
    checkPort(port);
    const local = address(host, port === 0 ? this.#freePort(host) : port);
    if (this.#isTaken(local)) {
      throw Object.assign(new Error(`bind EADDRINUSE ${local.key}`), { code: "EADDRINUSE" });
    }
    const socket = new MemoryUdpSocket(local, handlers, {
      send: (bytes, remote) => this.#send(socket, bytes, remote),
      closed: () => this.#unbind(socket),
    });
    this.#bound.set(local.key, socket);
    return socket;
  }

  #isTaken(local: Address): boolean {
    return this.#bound.has(local.key) || this.#find(local) !== undefined;
  }

  #freePort(host: string): number {
    for (let tries = FIRST_EPHEMERAL; tries <= 65_535; tries++) {
      const port = this.#nextPort;
      this.#nextPort = port === 65_535 ? FIRST_EPHEMERAL : port + 1;
      if (!this.#isTaken(address(host, port))) return port;
    }
    throw Object.assign(new Error(`bind EADDRINUSE ${host}: no port is free`), { code: "EADDRINUSE" });
  }

  #unbind(socket: MemoryUdpSocket): void {
    this.#bound.delete(socket.local.key);
    for (const timer of this.#timers.get(socket) ?? []) clearTimeout(timer);
    this.#timers.delete(socket);
  }

  /** The socket that receives for an address: bound to it, or to all addresses of its family, or to all. */
  #find(to: Address): MemoryUdpSocket | undefined {
    const exact = this.#bound.get(to.key);
    if (exact !== undefined) return exact;
    const ipv6 = to.host.includes(":");
    return (ipv6 ? undefined : this.#bound.get(`0.0.0.0:${to.port}`)) ?? this.#bound.get(`[::]:${to.port}`);
  }

  #send(sender: MemoryUdpSocket, bytes: Uint8Array, remote: Address): void {
    const receiver = this.#find(remote);
    if (receiver === undefined) {
      this.#lost++;
      return;
    }
    const from = sender.sourceFor(remote);
    const copy = bytes.slice();
    const delays = this.fault?.(from, remote, copy);
    if (delays === undefined) {
      this.#enqueue(receiver, copy, from);
      return;
    }
    if (delays.length === 0) this.#lost++;
    for (const delay of delays) {
      if (delay <= 0) this.#enqueue(receiver, copy, from);
      else this.#enqueueLater(receiver, copy, from, delay);
    }
  }

  #enqueueLater(receiver: MemoryUdpSocket, bytes: Uint8Array, from: Address, delayMs: number): void {
    let timers = this.#timers.get(receiver);
    if (timers === undefined) this.#timers.set(receiver, timers = new Set());
    const timer = setTimeout(() => {
      timers.delete(timer);
      this.#enqueue(receiver, bytes, from);
    }, delayMs);
    timers.add(timer);
  }

  #enqueue(receiver: MemoryUdpSocket, bytes: Uint8Array, from: Address): void {
    if (receiver.waiting >= this.#queueLimit) {
      this.#lost++;
      return;
    }
    if (receiver.waiting === 0) this.#ready.push(receiver);
    receiver.enqueue(bytes, from);
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Never a microtask: two sockets that answer each other would keep timers from running.
    setImmediate(() => this.#deliver());
  }

  #deliver(): void {
    this.#scheduled = false;
    const receivers = this.#ready.splice(0);
    // Queued before anybody can send, so it comes before the next delivery, and behind all that awaits in this one.
    setImmediate(() => {
      for (const socket of receivers) socket.endBatch();
    });
    for (const socket of receivers) socket.deliver();
  }
}

class MemoryUdpSocket implements UdpSocket {
  readonly adapter = "memory";
  readonly local: Address;
  readonly #handlers: UdpHandlers;
  readonly #network: { send(bytes: Uint8Array, remote: Address): void; closed(): void };
  #queue: { readonly bytes: Uint8Array; readonly from: Address }[] = [];
  #sendErrors = 0;
  #tooLarge = 0;
  #closed = false;

  constructor(
    local: Address,
    handlers: UdpHandlers,
    network: { send(bytes: Uint8Array, remote: Address): void; closed(): void },
  ) {
    this.local = local;
    this.#handlers = handlers;
    this.#network = network;
  }

  get sendErrors(): number {
    return this.#sendErrors;
  }

  get tooLarge(): number {
    return this.#tooLarge;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  send(bytes: Uint8Array, remote: Address): void {
    if (this.#closed) return;
    const impossible = remote.port === 0 ||
      (remote.host.includes(":") !== this.local.host.includes(":") && this.local.host !== "::");
    if (bytes.length > MAX_PAYLOAD) this.#tooLarge++;
    else if (impossible) this.#sendErrors++;
    else this.#network.send(bytes, remote);
  }

  flush(): Promise<void> | undefined {
    return undefined;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    this.#network.closed();
  }

  /** Where a datagram to `remote` appears to come from. */
  sourceFor(remote: Address): Address {
    if (this.local.host !== "0.0.0.0" && this.local.host !== "::") return this.local;
    return address(remote.host.includes(":") ? "::1" : "127.0.0.1", this.local.port);
  }

  enqueue(bytes: Uint8Array, from: Address): void {
    if (!this.#closed) this.#queue.push({ bytes, from });
  }

  deliver(): void {
    const run = this.#queue;
    this.#queue = [];
    for (const { bytes, from } of run) {
      if (this.#closed) return;
      this.#handlers.onDatagram(bytes, from);
    }
  }

  endBatch(): void {
    if (!this.#closed) this.#handlers.onBatchEnd();
  }
}
