/**
 * Raw UDP through the same adapters, without any protocol: what calls and bulk transfers of the same run are held against.
 *
 * @module
 */

import type { UdpHandlers, UdpSocket } from "../lib/agent/udp_socket.ts";
import { type Address, address } from "../lib/base/address.ts";
import { readU32, writeU32 } from "../lib/base/bytes.ts";
import { defaultBindUdp } from "../lib/runtime/mod.ts";
import type { Histogram } from "../commands/histogram.ts";
import { DATAGRAM_BYTES } from "./rows.ts";

const HOST = "127.0.0.1";
/** First byte of a datagram: what the server does with it. */
const ECHO = 1, COUNT = 2, RESET = 3;
/** Datagrams on their way at once: what a default socket buffer takes. */
const WINDOW = 64;
/** A gap in the answers after which what is missing counts as lost. */
const LOST_MS = 100;

/** Answers pings at once and one-way datagrams once a batch, with their number. The result is the port. */
export async function serveYardstick(): Promise<number> {
  const bindUdp = defaultBindUdp();
  const echo = new Uint8Array(DATAGRAM_BYTES), report = new Uint8Array(4);
  let counted = 0;
  let echoTo: Address | undefined, reportTo: Address | undefined;
  let echoSize = 0;
  const socket: UdpSocket = await bindUdp({ host: HOST, port: 0 }, {
    onDatagram(bytes, remote) {
      if (bytes[0] === COUNT) {
        counted++;
        reportTo = remote;
      } else if (bytes[0] === RESET) counted = 0;
      else {
        echo.set(bytes);
        echoSize = bytes.length;
        echoTo = remote;
      }
    },
    onBatchEnd() {
      if (echoTo !== undefined) socket.send(echo.subarray(0, echoSize), echoTo);
      if (reportTo !== undefined) {
        writeU32(report, 0, counted);
        socket.send(report.slice(), reportTo);
      }
      echoTo = reportTo = undefined;
      socket.flush();
    },
    onError: fail,
  });
  return socket.local.port;
}

/** The asking side. */
export class Yardstick {
  readonly #socket: UdpSocket;
  readonly #handlers: UdpHandlers;
  readonly #remote: Address;

  private constructor(socket: UdpSocket, handlers: UdpHandlers, remote: Address) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.#remote = remote;
  }

  /** Opens a socket towards a server's port. */
  static async connect(port: number): Promise<Yardstick> {
    const bindUdp = defaultBindUdp();
    const handlers: UdpHandlers = { onDatagram: nothing, onBatchEnd: nothing, onError: fail };
    const socket = await bindUdp({ host: HOST, port: 0 }, {
      onDatagram: (bytes, remote) => handlers.onDatagram(bytes, remote),
      onBatchEnd: () => handlers.onBatchEnd(),
      onError: fail,
    });
    return new Yardstick(socket, handlers, address(HOST, port));
  }

  /** Ping-pong for a time; round trips in nanoseconds. */
  pingPong(bytes: number, ms: number, into: Histogram): Promise<void> {
    const ping = new Uint8Array(bytes).fill(ECHO);
    const end = performance.now() + ms;
    return new Promise((resolve) => {
      let sentAt = 0;
      const send = (): void => {
        this.#socket.send(ping, this.#remote);
        this.#socket.flush();
        sentAt = performance.now();
      };
      // One that is lost is sent again; it does not count.
      const watchdog = setInterval(() => performance.now() - sentAt > LOST_MS && send(), LOST_MS);
      this.#handlers.onBatchEnd = () => {
        const now = performance.now();
        into.record((now - sentAt) * 1e6);
        if (now < end) return send();
        clearInterval(watchdog);
        this.#handlers.onBatchEnd = nothing;
        resolve();
      };
      send();
    });
  }

  /** One way for a time; datagrams a second that arrived. */
  oneWay(ms: number): Promise<number> {
    const datagram = new Uint8Array(DATAGRAM_BYTES).fill(COUNT);
    const begun = performance.now();
    return new Promise((resolve) => {
      let sent = 0, arrived = 0, lost = 0, progress = begun;
      const fill = (): void => {
        for (; sent - arrived - lost < WINDOW; sent++) this.#socket.send(datagram, this.#remote);
        this.#socket.flush();
      };
      const watchdog = setInterval(() => {
        if (performance.now() - progress < LOST_MS) return;
        lost = sent - arrived;
        fill();
      }, LOST_MS);
      this.#handlers.onDatagram = (bytes) => {
        arrived = Math.max(arrived, readU32(bytes, 0));
        progress = performance.now();
      };
      this.#handlers.onBatchEnd = () => {
        if (progress - begun < ms) return fill();
        clearInterval(watchdog);
        this.#handlers.onDatagram = this.#handlers.onBatchEnd = nothing;
        resolve(arrived * 1000 / (progress - begun));
      };
      this.#socket.send(new Uint8Array(1).fill(RESET), this.#remote);
      fill();
    });
  }

  /** Closes the socket. */
  close(): void {
    this.#socket.close();
  }
}

function nothing(): void {}

function fail(error: Error): void {
  throw error;
}
