/**
 * Two endpoints without a network: the test carries every UDP datagram itself.
 *
 * @module
 */

import { type Address, address } from "../../lib/base/address.ts";
import { type Micros, micros, millis } from "../../lib/base/time.ts";
import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import { selectProvider } from "../../lib/crypto/select.ts";
import type { KeyPair } from "../../lib/crypto/types.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import { Endpoint, type EndpointOptions } from "../../lib/transport/endpoint.ts";
import type { ConnectionEvent } from "../../lib/transport/events.ts";

/** Chosen once: it takes some milliseconds. */
export const crypto = selectProvider();
/** Where the initiator is. */
export const HERE: Address = address("192.0.2.1", 40000);
/** Where the responder is. */
export const THERE: Address = address("192.0.2.2", 9000);
/** Where somebody else is. */
export const ELSEWHERE: Address = address("203.0.113.9", 6666);

const out = new Uint8Array(1200);

/** Every UDP datagram that a connection has to send now. */
export function transmit(connection: Connection, now: Micros): Uint8Array[] {
  const datagrams: Uint8Array[] = [];
  for (let size; (size = connection.pollTransmit(now, out)) > 0;) datagrams.push(out.slice(0, size));
  return datagrams;
}

/** Every answer that an endpoint has to send without a connection. */
export function answers(endpoint: Endpoint): Uint8Array[] {
  const datagrams: Uint8Array[] = [];
  for (let size; (size = endpoint.pollTransmit(out)) > 0;) datagrams.push(out.slice(0, size));
  return datagrams;
}

/** Every event of a connection that waits. */
export function events(connection: Connection): ConnectionEvent[] {
  const found: ConnectionEvent[] = [];
  for (let event; (event = connection.pollEvent()) !== undefined;) found.push(event);
  return found;
}

/** Their names. */
export function eventTypes(connection: Connection): string[] {
  return events(connection).map(({ type }) => type);
}

/** An initiator's endpoint and a responder's. */
export class TwoEndpoints {
  readonly serverIdentity: KeyPair;
  readonly client: Endpoint;
  readonly server: Endpoint;
  now: Micros = micros(1_000_000);

  constructor(options: { seed?: number; client?: Partial<EndpointOptions>; server?: Partial<EndpointOptions> } = {}) {
    const random = new SeededRandom(options.seed ?? 1);
    const clientIdentity = generateKeyPair(crypto.dh, random);
    this.serverIdentity = generateKeyPair(crypto.dh, random);
    const shared = { crypto, random };
    this.client = new Endpoint({ ...shared, identity: clientIdentity, accept: false, ...options.client });
    this.server = new Endpoint({ ...shared, identity: this.serverIdentity, accept: true, ...options.server });
  }

  /** Begins a connection: IK, or XX without the responder's key. */
  connect(pattern: "IK" | "XX" = "IK"): Connection {
    return this.client.connect(this.now, THERE, pattern === "IK" ? { peerKey: this.serverIdentity.publicKey } : {});
  }

  /** Lets time pass. */
  wait(milliseconds: number): void {
    this.now = micros(this.now + millis(milliseconds));
  }

  /** Carries datagrams to the responder; its connection, if one has to do with them. */
  toServer(datagrams: readonly Uint8Array[], from: Address = HERE): Connection | undefined {
    let connection: Connection | undefined;
    for (const bytes of datagrams) connection = this.server.handleDatagram(this.now, from, bytes.slice()) ?? connection;
    return connection;
  }

  /** Carries datagrams to the initiator. */
  toClient(datagrams: readonly Uint8Array[], from: Address = THERE): Connection | undefined {
    let connection: Connection | undefined;
    for (const bytes of datagrams) connection = this.client.handleDatagram(this.now, from, bytes.slice()) ?? connection;
    return connection;
  }

  /** A connection that both sides have confirmed, with no events waiting. */
  establish(pattern: "IK" | "XX" = "IK"): { client: Connection; server: Connection } {
    const client = this.connect(pattern);
    const server = this.toServer(transmit(client, this.now))!;
    this.exchange(client, server);
    events(client);
    events(server);
    return { client, server };
  }

  /** Carries datagrams to and fro, 5 ms each way, until both sides have nothing to send at once. */
  exchange(client: Connection, server: Connection): number {
    let count = 0;
    for (let quiet = 0; quiet < 2; quiet++) {
      this.wait(5);
      const down = transmit(server, this.now);
      this.toClient(down);
      const up = transmit(client, this.now);
      this.toServer(up);
      if (down.length + up.length > 0) quiet = -1;
      count += down.length + up.length;
      if (count > 100_000) throw new Error("they never come to an end");
    }
    return count;
  }
}
