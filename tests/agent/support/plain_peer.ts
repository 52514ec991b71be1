/**
 * Programs that speak the plain carrier, for tests: a socket, and messages that are laid out by hand, not by the library's
 * own writers.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Address, address } from "../../../lib/base/address.ts";
import { fromHex } from "../../../lib/base/bytes.ts";
import { createXxh3 } from "../../../lib/codec/xxh3/create.ts";
import type { Platform, UdpSocket } from "../../../mod.ts";

const xxh3 = createXxh3();

/** One message, as the published crate writes it: everything little-endian, XXH3 over all that stands before it. */
export function message(
  type: number,
  flags: number,
  id: bigint,
  trace: bigint,
  payload: Uint8Array | string,
): Uint8Array {
  const body = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  const bytes = new Uint8Array(32 + body.length + 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x4d585031, true);
  view.setUint8(4, type);
  view.setUint8(5, flags);
  view.setBigUint64(8, id, true);
  view.setBigUint64(16, trace, true);
  view.setBigUint64(24, BigInt(body.length), true);
  bytes.set(body, 32);
  xxh3.seal(bytes, 0, 32 + body.length);
  return bytes;
}

/** The bytes of a message whose header and checksum are known: hex, text, hex. */
export function golden(header: string, payload: string, checksum: string): Uint8Array {
  const body = new TextEncoder().encode(payload);
  const bytes = new Uint8Array(32 + body.length + 8);
  bytes.set(fromHex(header)!, 0);
  bytes.set(body, 32);
  bytes.set(fromHex(checksum)!, 32 + body.length);
  return bytes;
}

/** A message that came, taken apart by hand. */
export class Received {
  readonly bytes: Uint8Array;
  readonly from: Address;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, from: Address) {
    assert.ok(bytes.length >= 40, `only ${bytes.length} bytes`);
    this.bytes = bytes;
    this.from = from;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset);
    assert.equal(this.#view.getUint32(0, true), 0x4d585031);
    assert.equal(this.#view.getBigUint64(24, true), BigInt(bytes.length - 40));
    const copy = bytes.slice();
    xxh3.seal(copy, 0, bytes.length - 8);
    assert.deepEqual(copy, bytes, "the checksum is right");
  }

  get type(): number {
    return this.#view.getUint8(4);
  }

  get id(): bigint {
    return this.#view.getBigUint64(8, true);
  }

  get trace(): bigint {
    return this.#view.getBigUint64(16, true);
  }

  get payload(): Uint8Array {
    return this.bytes.subarray(32, -8);
  }

  get text(): string {
    return new TextDecoder().decode(this.payload);
  }

  // deno-lint-ignore no-explicit-any
  get json(): any {
    return JSON.parse(this.text);
  }
}

/** A socket with an ear. */
export class PlainPeer {
  readonly #node: Address;
  readonly #waiting: ((message: Received) => void)[] = [];
  readonly #arrived: Received[] = [];
  #socket!: UdpSocket;
  /** Bytes that have come, whatever they say. */
  bytesReceived = 0;

  private constructor(node: Address) {
    this.#node = node;
  }

  /** @param node where the plain port is. */
  static async bind(
    platform: Platform,
    node: string,
    local: { readonly host?: string; readonly port?: number } = {},
  ): Promise<PlainPeer> {
    const at = node.lastIndexOf(":");
    const peer = new PlainPeer(address(node.slice(0, at), Number(node.slice(at + 1))));
    peer.#socket = await platform.bindUdp({ host: local.host ?? "127.0.0.1", port: local.port ?? 0 }, {
      onDatagram: (bytes, from) => {
        peer.bytesReceived += bytes.length;
        const received = new Received(bytes.slice(), from);
        const waiting = peer.#waiting.shift();
        if (waiting === undefined) peer.#arrived.push(received);
        else waiting(received);
      },
      onBatchEnd: () => {},
      onError: (error) => assert.fail(error.message),
    });
    return peer;
  }

  get address(): Address {
    return this.#socket.local;
  }

  /** Messages that nobody has asked for. */
  get unread(): number {
    return this.#arrived.length;
  }

  /** Sends to the node, or to wherever. */
  send(bytes: Uint8Array, to: Address = this.#node): void {
    this.#socket.send(bytes, to);
    this.#socket.flush();
  }

  /** The next message that comes. */
  async next(what = "a message"): Promise<Received> {
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) return arrived;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer: ${what}`)), 5_000);
    });
    const next = new Promise<Received>((resolve) => this.#waiting.push(resolve));
    try {
      return await Promise.race([next, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends, and takes what comes next for the answer. */
  ask(bytes: Uint8Array, what?: string): Promise<Received> {
    const answer = this.next(what);
    this.send(bytes);
    return answer;
  }

  close(): void {
    this.#socket.close();
  }
}
