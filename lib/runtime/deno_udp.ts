/**
 * UDP through `Deno.listenDatagram`, which exists with `--unstable-net`.
 *
 * What decides the design (measured, see bench/udp_bench.ts):
 *
 * - An operation that can complete at once does so before the call returns, and its promise settles two microtasks
 *   later. One receive at a time therefore drains the socket inside one turn of the event loop; several concurrent ones
 *   only add wake-ups (ping-pong 42 µs with 16 of them against 28 µs with one).
 * - `process.nextTick` runs when the microtask queue is empty, and not earlier: when no datagram is at hand any more and
 *   everything that awaits something in answer to the datagrams has had its turn. That is the end of a batch.
 *
 * @module
 */

import process from "node:process";
import type { Address } from "../base/address.ts";
import type { BindUdp, UdpHandlers, UdpSocket } from "../agent/udp_socket.ts";
import { address } from "../base/address.ts";
import { AddressTable, addressTable } from "./address_table.ts";
import { bindError, checkPort, isTooLarge } from "./socket_errors.ts";
import { OrderedSender } from "./ordered_sender.ts";
import { tuneDenoSocket } from "./socket_options.ts";

/** What Deno calls a UDP address. */
interface DenoAddress {
  transport: "udp";
  hostname: string;
  port: number;
}

interface DatagramConn {
  readonly addr: DenoAddress;
  receive(buffer: Uint8Array): Promise<[Uint8Array, DenoAddress]>;
  send(bytes: Uint8Array, remote: DenoAddress): Promise<number>;
  close(): void;
}

interface DenoNet {
  listenDatagram?(options: DenoAddress): DatagramConn;
}

/** Largest UDP payload (and more: an IPv6 payload without extension headers ends at 65 527). */
const RECEIVE_BUFFER = 65_535;
/**
 * Datagrams in one run. Then answers leave and the event loop turns, or a flood would starve timers. Half of the 128
 * operations that Deno completes in one turn, so that as many answers still leave at once.
 */
const MAX_RUN = 64;
/** Receive errors in a row after which the socket counts as broken. Single ones are a peer's ICMP messages. */
const MAX_RECEIVE_ERRORS = 16;

/** Whether this runtime is a Deno that was started with `--unstable-net`. */
export function hasDenoUdp(): boolean {
  return typeof denoNet()?.listenDatagram === "function";
}

/** Binds with `Deno.listenDatagram`. Rejects with `code` `ENOSYS` where that is missing. */
// deno-lint-ignore require-await -- async so that everything it throws becomes a rejection
export const bindDenoUdp: BindUdp = async (local, handlers) => {
  checkPort(local.port);
  const net = denoNet();
  if (net?.listenDatagram === undefined) {
    throw Object.assign(new Error("Deno.listenDatagram is missing (start deno with --unstable-net)"), {
      code: "ENOSYS",
    });
  }
  let conn: DatagramConn;
  try {
    conn = net.listenDatagram({ transport: "udp", hostname: local.host, port: local.port });
  } catch (error) {
    throw bindError(error);
  }
  const socket = new DenoUdpSocket(conn, handlers);
  tuneDenoSocket(socket.local);
  return socket;
};

class DenoUdpSocket implements UdpSocket {
  readonly adapter = "deno";
  readonly local: Address;
  readonly #conn: DatagramConn;
  readonly #handlers: UdpHandlers;
  readonly #buffer = new Uint8Array(RECEIVE_BUFFER);
  readonly #sources = addressTable();
  readonly #targets = new AddressTable<DenoAddress>((hostname, port) => ({ transport: "udp", hostname, port }));
  readonly #sender = new OrderedSender((bytes, remote) => this.#issue(bytes, remote));
  #sendErrors = 0;
  #tooLarge = 0;
  #receiveErrors = 0;
  #run = 0;
  #batchOpen = false;
  #closed = false;

  constructor(conn: DatagramConn, handlers: UdpHandlers) {
    this.#conn = conn;
    this.#handlers = handlers;
    this.local = address(conn.addr.hostname, conn.addr.port);
    this.#receive();
  }

  get sendErrors(): number {
    return this.#sendErrors + this.#sender.refused;
  }

  get tooLarge(): number {
    return this.#tooLarge;
  }

  send(bytes: Uint8Array, remote: Address): void {
    if (!this.#closed) this.#sender.send(bytes, remote);
  }

  flush(): Promise<void> | undefined {
    return this.#sender.flush();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
    this.#sender.drop();
  }

  #issue(bytes: Uint8Array, remote: Address): void {
    this.#conn.send(bytes, this.#targets.get(remote.host, remote.port)).then(this.#onSent, this.#onSendError);
  }

  readonly #onSent = (): void => this.#sender.ended();

  readonly #onSendError = (error: unknown): void => {
    if (!this.#closed) isTooLarge(error) ? this.#tooLarge++ : this.#sendErrors++;
    this.#sender.ended();
  };

  #receive(): void {
    this.#conn.receive(this.#buffer).then(this.#onReceived, this.#onReceiveError);
  }

  readonly #onReceived = (result: [Uint8Array, DenoAddress]): void => {
    if (this.#closed) return;
    this.#receiveErrors = 0;
    const source = result[1];
    this.#handlers.onDatagram(result[0], this.#sources.get(source.hostname, source.port));
    if (this.#closed) return;
    if (!this.#batchOpen) {
      this.#batchOpen = true;
      process.nextTick(this.#endBatch);
    }
    if (++this.#run < MAX_RUN) this.#receive();
  };

  readonly #endBatch = (): void => {
    this.#batchOpen = false;
    const full = this.#run >= MAX_RUN;
    this.#run = 0;
    if (this.#closed) return;
    this.#handlers.onBatchEnd();
    if (full) setImmediate(this.#resume);
  };

  readonly #resume = (): void => {
    if (!this.#closed) this.#receive();
  };

  readonly #onReceiveError = (error: unknown): void => {
    if (this.#closed) return;
    if (++this.#receiveErrors < MAX_RECEIVE_ERRORS) {
      setImmediate(this.#resume);
      return;
    }
    this.close();
    this.#handlers.onError(error instanceof Error ? error : new Error(String(error)));
  };
}

function denoNet(): DenoNet | undefined {
  return (globalThis as unknown as { Deno?: DenoNet }).Deno;
}
