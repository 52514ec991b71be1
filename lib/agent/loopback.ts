/**
 * A node's connection to itself, for handlers that call agents at their own node: the same way as everybody else's, but for the network,
 * so that routing, limits and streams need no second implementation.
 *
 * @module
 */

import type { TransportSettings } from "../transport/settings.ts";
import { Endpoint } from "../transport/endpoint.ts";
import { largestDatagram } from "../transport/mtu_discovery.ts";
import { MemoryNetwork } from "../runtime/memory_udp.ts";
import type { Client } from "./client.ts";
import { connect } from "./connect.ts";
import { type Driver, type Link, startDriver } from "./driver.ts";
import { type Identity, keyPairOf } from "./identity.ts";
import type { Platform } from "./platform.ts";
import type { Session } from "./session.ts";

/** What it is made from. */
export interface LoopbackParts {
  readonly platform: Platform;
  readonly identity: Identity;
  readonly settings: Partial<TransportSettings> | undefined;
  /** Serves the node's end of it. */
  readonly accept: (link: Link, driver: Driver) => Session;
}

/** The connection, made when it is first needed. */
export class Loopback {
  readonly #parts: LoopbackParts;
  #open: Promise<{ readonly client: Client; close(): Promise<void> }> | undefined;

  constructor(parts: LoopbackParts) {
    this.#parts = parts;
  }

  /** Who asks the node. */
  async client(): Promise<Client> {
    this.#open ??= open(this.#parts);
    return (await this.#open).client;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await (await this.#open?.catch(() => undefined))?.close();
  }
}

/** Nobody hears of it; it has to be something. */
const HOST = "127.0.0.1";

async function open(
  { platform, identity, settings = {}, accept }: LoopbackParts,
): Promise<{ readonly client: Client; close(): Promise<void> }> {
  const { bind: bindUdp } = new MemoryNetwork();
  const { crypto, random, clock } = platform;
  const endpoint = new Endpoint({ crypto, random, settings, identity: keyPairOf(identity), accept: true });
  const driver: Driver = await startDriver({
    endpoint,
    clock,
    bindUdp,
    local: { host: HOST, port: 0 },
    udpPayload: largestDatagram(endpoint.settings),
    onConnection: (link) => accept(link, driver),
  });
  const { publicKey } = identity;
  const url = { host: HOST, port: driver.local.port, publicKey };
  try {
    const client = await connect(url, { platform: { ...platform, bindUdp }, identity, settings });
    return {
      client,
      close: async () => {
        await client.close();
        driver.close();
      },
    };
  } catch (error) {
    driver.close();
    throw error;
  }
}
