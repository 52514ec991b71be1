/**
 * A peer that speaks the transport correctly and may say anything on its streams.
 *
 * @module
 */

import { address } from "../../../lib/base/address.ts";
import { type CloseReason, type ConnectionEvent } from "../../../lib/transport/events.ts";
import { Endpoint } from "../../../lib/transport/endpoint.ts";
import type { Connection } from "../../../lib/transport/connection.ts";
import type { TransportSettings } from "../../../lib/transport/settings.ts";
import type { StreamId } from "../../../lib/wire/stream_id.ts";
import { type Driver, type Link, startDriver } from "../../../lib/agent/driver.ts";
import { keyPairOf, newIdentity } from "../../../lib/agent/identity.ts";
import { parseMxpUrl } from "../../../lib/agent/mxp_url.ts";
import type { Platform } from "../../../lib/agent/platform.ts";

/** What came back on a stream. */
export interface Received {
  readonly bytes: Uint8Array;
  readonly finished: boolean;
  readonly resetCode: number | undefined;
  readonly stopCode: number | undefined;
}

/** A connection whose streams the test writes by hand. */
export class RawPeer {
  readonly events: ConnectionEvent[] = [];
  readonly #driver: Driver;
  readonly #chunks = new Map<StreamId, Uint8Array[]>();
  /** Streams whose data stays unread. */
  readonly unread = new Set<StreamId>();
  link!: Link;

  private constructor(driver: Driver) {
    this.#driver = driver;
  }

  static async connect(platform: Platform, url: string, settings: Partial<TransportSettings> = {}): Promise<RawPeer> {
    const { host, port, publicKey } = parseMxpUrl(url);
    const { crypto, random, clock, bindUdp } = platform;
    const identity = keyPairOf(newIdentity(crypto, random));
    const endpoint = new Endpoint({ identity, crypto, random, settings, accept: false });
    const driver = await startDriver({
      endpoint,
      clock,
      bindUdp,
      local: { host: "0.0.0.0", port: 0 },
      udpPayload: 1200,
    });
    const peer = new RawPeer(driver);
    peer.link = driver.connect(address(host, port), { peerKey: publicKey }, {
      onEvent: (event) => peer.#onEvent(event),
    });
    await peer.until(() => peer.connection.state === "established");
    return peer;
  }

  get connection(): Connection {
    return this.link.connection;
  }

  get closeReason(): CloseReason | undefined {
    return this.connection.closeReason;
  }

  /** Sends data in a DATAGRAM frame. */
  sendDatagram(data: Uint8Array): void {
    if (this.connection.datagrams.send(data) !== "queued") throw new Error("the frame cannot be sent");
    this.#driver.touch(this.link);
  }

  /** Opens a one-way stream and writes to it. */
  openOneWay(bytes: Uint8Array, fin = true): StreamId {
    return this.open(bytes, fin, true);
  }

  /** Opens a stream and writes to it. */
  open(bytes: Uint8Array, fin = true, oneWay = false): StreamId {
    const id = this.connection.openStream(oneWay, 1);
    if (id === -1) throw new Error("no stream left");
    this.write(id, bytes, fin);
    return id;
  }

  write(id: StreamId, bytes: Uint8Array, fin = true): number {
    const accepted = this.connection.write(id, bytes, fin);
    this.#driver.touch(this.link);
    return accepted;
  }

  reset(id: StreamId, code: number): void {
    this.connection.resetStream(id, code);
    this.#driver.touch(this.link);
  }

  stop(id: StreamId, code: number): void {
    this.connection.stopSending(id, code);
    this.#driver.touch(this.link);
  }

  /** What has arrived on a stream. */
  received(id: StreamId): Received {
    const code = (type: "stream_reset" | "stop_sending"): number | undefined => {
      const event = this.events.find((event) => event.type === type && event.id === id);
      return event !== undefined && "code" in event ? event.code : undefined;
    };
    const bytes = Uint8Array.from((this.#chunks.get(id) ?? []).flatMap((chunk) => [...chunk]));
    return {
      bytes,
      finished: this.connection.readFinished(id),
      resetCode: code("stream_reset"),
      stopCode: code("stop_sending"),
    };
  }

  /** Waits for the end of what comes back on a stream. */
  async answer(id: StreamId): Promise<Received> {
    await this.until(() => this.connection.readFinished(id) || this.received(id).resetCode !== undefined);
    return this.received(id);
  }

  async until(condition: () => boolean): Promise<void> {
    for (let i = 0; i < 1000; i++) {
      if (condition()) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error("timed out");
  }

  /** Ends the connection, and says so. */
  async end(code: number): Promise<void> {
    this.connection.close(this.#driver.clock.now(), code, "");
    this.#driver.touch(this.link);
    await this.until(() => this.closeReason !== undefined);
  }

  close(): void {
    this.#driver.close();
  }

  #onEvent(event: ConnectionEvent): void {
    this.events.push(event);
    if (event.type !== "readable" || this.unread.has(event.id)) return;
    const chunks = this.#chunks.get(event.id) ?? [];
    this.#chunks.set(event.id, chunks);
    for (let chunk = this.connection.read(event.id); chunk !== undefined; chunk = this.connection.read(event.id)) {
      chunks.push(chunk);
    }
    this.#driver.touch(this.link);
  }
}
