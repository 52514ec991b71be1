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
import { bindError, checkPort } from "./bind_error.ts";
import { SendTracker } from "./send_tracker.ts";
import { SOCKET_BUFFER_BYTES } from "./socket_buffers.ts";

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
  askForBuffers(socket);
  return new NodeUdpSocket(socket, family === 6, handlers);
};

class NodeUdpSocket implements UdpSocket {
  readonly adapter = "node";
  readonly local: Address;
  readonly #socket: Socket;
  readonly #handlers: UdpHandlers;
  readonly #ipv6: boolean;
  readonly #sources = addressTable();
  readonly #tracker = new SendTracker();
  #sendErrors = 0;
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
    return this.#sendErrors;
  }

  send(bytes: Uint8Array, remote: Address): void {
    if (this.#closed) return;
    // An IPv6 socket reaches IPv4 peers only under their mapped address.
    const host = this.#ipv6 && !remote.host.includes(":") ? `::ffff:${remote.host}` : remote.host;
    this.#tracker.begin();
    try {
      this.#socket.send(bytes, remote.port, host, this.#onSent);
    } catch {
      this.#sendErrors++;
      this.#tracker.end();
    }
  }

  flush(): Promise<void> | undefined {
    return this.#tracker.settled();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.removeListener("message", this.#onMessage);
    closeQuietly(this.#socket);
  }

  readonly #onSent = (error: Error | null): void => {
    if (error && !this.#closed) this.#sendErrors++;
    this.#tracker.end();
  };

  readonly #onMessage = (bytes: Uint8Array, source: RemoteInfo): void => {
    if (this.#closed) return;
    this.#handlers.onDatagram(bytes, this.#sources.get(source.address, source.port));
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
