/**
 * Finding the object that belongs to an address without building a key.
 *
 * A runtime reports the source of every datagram as a fresh host string and a port. Building a `host:port` key for each
 * would cost more than the rest of the dispatch, so what was made for an address before is found again by its port and
 * the end of its host.
 *
 * @module
 */

import { type Address, address } from "../base/address.ts";

/** How many neighbouring slots an address may occupy. */
const WAYS = 4;
const INITIAL_SLOTS = 64;
/** Upper bound: peers choose addresses, so the table forgets instead of growing on. */
const MAX_SLOTS = 16_384;

/** A bounded, lossy map from (host, port) to something that can be made again. */
export class AddressTable<T> {
  readonly #make: (host: string, port: number) => T;
  #mask = INITIAL_SLOTS - 1;
  #hosts: (string | undefined)[] = new Array(INITIAL_SLOTS).fill(undefined);
  #ports = new Uint16Array(INITIAL_SLOTS);
  #values: (T | undefined)[] = new Array(INITIAL_SLOTS).fill(undefined);
  #size = 0;
  #victim = 0;
  #lastHost = "";
  #lastPort = -1;
  #last: T | undefined;

  constructor(make: (host: string, port: number) => T) {
    this.#make = make;
  }

  /** How many entries it holds now. */
  get size(): number {
    return this.#size;
  }

  /** The value of an address; made now if it is not (or no longer) known. */
  get(host: string, port: number): T {
    if (port === this.#lastPort && host === this.#lastHost) return this.#last!;
    const value = this.#find(host, port);
    this.#lastHost = host;
    this.#lastPort = port;
    this.#last = value;
    return value;
  }

  #find(host: string, port: number): T {
    const start = slotOf(host, port);
    for (let way = 0; way < WAYS; way++) {
      const slot = (start + way) & this.#mask;
      if (this.#ports[slot] === port && this.#hosts[slot] === host) return this.#values[slot]!;
    }
    const value = this.#make(host, port);
    if (this.#size > this.#mask >> 1 && this.#mask < MAX_SLOTS - 1) this.#grow();
    this.#insert(host, port, value);
    return value;
  }

  #insert(host: string, port: number, value: T): void {
    const start = slotOf(host, port);
    let slot = -1;
    for (let way = 0; way < WAYS && slot < 0; way++) {
      const candidate = (start + way) & this.#mask;
      if (this.#hosts[candidate] === undefined) slot = candidate;
    }
    if (slot < 0) {
      // Every way is taken: one of them is forgotten, in turn, so that two busy addresses do not always evict each other.
      this.#victim = (this.#victim + 1) % WAYS;
      slot = (start + this.#victim) & this.#mask;
    } else {
      this.#size++;
    }
    this.#hosts[slot] = host;
    this.#ports[slot] = port;
    this.#values[slot] = value;
  }

  #grow(): void {
    const hosts = this.#hosts, ports = this.#ports, values = this.#values;
    const slots = (this.#mask + 1) * 2;
    this.#mask = slots - 1;
    this.#hosts = new Array(slots).fill(undefined);
    this.#ports = new Uint16Array(slots);
    this.#values = new Array(slots).fill(undefined);
    this.#size = 0;
    for (let i = 0; i < hosts.length; i++) {
      const host = hosts[i];
      if (host !== undefined) this.#insert(host, ports[i], values[i]!);
    }
  }
}

/** A table from what the runtime reports to {@link Address}: IPv4-mapped IPv6 addresses come out as plain IPv4. */
export function addressTable(): AddressTable<Address> {
  return new AddressTable((host, port) => address(plainHost(host), port));
}

/**
 * An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) as plain IPv4; everything else unchanged. A socket
 * bound to `::` sees IPv4 peers in that form, and the same peer must have the same key whatever the socket is bound to.
 */
export function plainHost(host: string): string {
  if (!host.startsWith("::ffff:")) return host;
  const rest = host.slice(7);
  if (rest.includes(".")) return rest;
  const hex = /^([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(rest);
  if (hex === null) return host;
  const high = parseInt(hex[1], 16), low = parseInt(hex[2], 16);
  return `${high >>> 8}.${high & 255}.${low >>> 8}.${low & 255}`;
}

/** Where to begin to look. Many peers share a host or a port, seldom both its last characters and the port. */
function slotOf(host: string, port: number): number {
  const end = host.length;
  const tail = end < 2 ? end : (host.charCodeAt(end - 1) << 4) ^ host.charCodeAt(end - 2);
  return Math.imul(port + (tail << 3), 0x9e3779b1) >>> 15;
}
