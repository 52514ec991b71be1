/**
 * A node's connection to itself, for handlers that call agents at their own node: the same way as everybody else's, but for the network,
 * so that routing, limits and streams need no second implementation.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import type { TransportSettings } from "../../transport/settings.ts";
import { Endpoint } from "../../transport/endpoint.ts";
import { largestDatagram } from "../../transport/mtu_discovery.ts";
import { MemoryNetwork } from "../../runtime/memory_udp.ts";
import type { Client } from "../client.ts";
import { connect } from "../connect.ts";
import { type Driver, type Link, startDriver } from "../driver.ts";
import { type Identity, keyPairOf } from "../identity.ts";
import type { Platform } from "../platform.ts";
import type { Session } from "../session.ts";

/** What it is made from. */
export interface LoopbackParts {
  readonly platform: Platform;
  readonly identity: Identity;
  readonly settings: Partial<TransportSettings> | undefined;
  /** Serves the node's end of it. */
  readonly accept: (link: Link, driver: Driver) => Session;
}

/** One connection, and what has to be closed with it. */
interface Open {
  readonly client: Client;
  close(): Promise<void>;
}

/** The connection, made when it is needed: first, and again after it has ended, as it does while the machine sleeps. */
export class Loopback {
  readonly #parts: LoopbackParts;
  #open: Promise<Open> | undefined;
  #closed = false;

  constructor(parts: LoopbackParts) {
    this.#parts = parts;
  }

  /** Who asks the node. @throws {MxpError} `closed`. */
  async client(): Promise<Client> {
    if (this.#closed) throw new MxpError("closed", "the node is closed");
    return (await (this.#open ??= this.#make())).client;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await (await this.#open?.catch(() => undefined))?.close();
  }

  #make(): Promise<Open> {
    const made = open(this.#parts);
    const forget = (): void => {
      if (this.#open === made) this.#open = undefined;
    };
    made.then(async ({ client, close }) => {
      await client.closed;
      forget();
      await close();
    }).catch(forget);
    return made;
  }
}

/** Nobody hears of it; it has to be something. */
const HOST = "127.0.0.1";

async function open({ platform, identity, settings = {}, accept }: LoopbackParts): Promise<Open> {
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
