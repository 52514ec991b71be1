/**
 * UDP through `node:dgram`: the adapter for Node, and for Deno without `--unstable-net`. It also runs on Bun.
 *
 * Node delivers every datagram in a callback of its own and runs ticks and microtasks after each, so the first moment at
 * which no more datagrams are at hand is `setImmediate`, right behind the poll phase.
 *
 * @module
 */

import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { Address } from "../base/address.ts";
import type { BindUdp, UdpHandlers, UdpSocket } from "../agent/udp_socket.ts";
import { address } from "../base/address.ts";
import { addressTable } from "./address_table.ts";
import { bindError, checkPort, isTooLarge } from "./socket_errors.ts";
import { detectRuntime } from "./detect.ts";
import { OrderedSender } from "./ordered_sender.ts";
import { SOCKET_BUFFER_BYTES, tuneDenoSocket } from "./socket_options.ts";

/** Binds with `node:dgram`. Rejects with Node's error, whose `code` is a name such as `EADDRINUSE`. */
export const bindNodeUdp: BindUdp = async (local, handlers) => {
  checkPort(local.port);
  const family = isIPv6(local.host) ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? "udp6" : "udp4",
    // Every host is an IP address already; the default lookup would put each send through one more tick.
    lookup: (host, _options, callback) => callback(null, host, family),
  });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ address: local.host, port: local.port, exclusive: true }, () => {
        socket.removeListener("error", reject);
        resolve();
      });
    });
  } catch (error) {
    closeQuietly(socket);
    throw bindError(error);
  }
  const bound = new NodeUdpSocket(socket, family === 6, handlers);
  // Deno's node:dgram allocates as many bytes for each datagram as this option says: 4 MiB make a round trip take 2 ms.
  if (detectRuntime() === "deno") tuneDenoSocket(bound.local);
  else askForBuffers(socket);
  return bound;
};

class NodeUdpSocket implements UdpSocket {
  readonly adapter = "node";
  readonly local: Address;
  readonly #socket: Socket;
  readonly #handlers: UdpHandlers;
  readonly #ipv6: boolean;
  readonly #sources = addressTable();
  readonly #sender = new OrderedSender((bytes, remote) => this.#issue(bytes, remote));
  #sendErrors = 0;
  #tooLarge = 0;
  #batchOpen = false;
  #closed = false;

  constructor(socket: Socket, ipv6: boolean, handlers: UdpHandlers) {
    this.#socket = socket;
    this.#ipv6 = ipv6;
    this.#handlers = handlers;
    const bound = socket.address();
    this.local = address(bound.address, bound.port);
    socket.on("message", this.#onMessage);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
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
    this.#socket.removeListener("message", this.#onMessage);
    this.#sender.drop();
    closeQuietly(this.#socket);
  }

  #issue(bytes: Uint8Array, remote: Address): void {
    // An IPv6 socket reaches IPv4 peers only under their mapped address.
    const host = this.#ipv6 && !remote.host.includes(":") ? `::ffff:${remote.host}` : remote.host;
    try {
      this.#socket.send(bytes, remote.port, host, this.#onSent);
    } catch (error) {
      this.#onSent(error as Error);
    }
  }

  readonly #onSent = (error: Error | null): void => {
    if (error && !this.#closed) isTooLarge(error) ? this.#tooLarge++ : this.#sendErrors++;
    this.#sender.ended();
  };

  readonly #onMessage = (bytes: Uint8Array, source: RemoteInfo): void => {
    if (this.#closed) return;
    // A Buffer's slice() is no copy: whoever keeps a datagram with it would keep a view.
    const datagram = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#handlers.onDatagram(datagram, this.#sources.get(source.address, source.port));
    if (this.#batchOpen) return;
    this.#batchOpen = true;
    setImmediate(this.#endBatch);
  };

  readonly #endBatch = (): void => {
    this.#batchOpen = false;
    if (!this.#closed) this.#handlers.onBatchEnd();
  };

  /** Single ICMP answers arrive here as well on some runtimes; the socket lives on after those. */
  #lastError: Error | undefined;

  readonly #onError = (error: Error): void => {
    this.#lastError = error;
  };

  readonly #onClose = (): void => {
    if (this.#closed) return;
    this.#closed = true;
    this.#handlers.onError(this.#lastError ?? new Error("udp socket closed by the runtime"));
  };
}

/** More room than the default 208 KB, which overflows at some 64 full-size packets. The system may grant less. */
function askForBuffers(socket: Socket): void {
  try {
    socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
    socket.setSendBufferSize(SOCKET_BUFFER_BYTES);
  } catch {
    // Not every runtime and system allows it, and everything works without.
  }
}

function closeQuietly(socket: Socket): void {
  try {
    socket.close();
  } catch {
    // Already closed.
  }
}
