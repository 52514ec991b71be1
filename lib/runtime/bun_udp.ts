/**
 * UDP through `Bun.udpSocket`, with batch sends.
 *
 * Bun reads a socket until it is empty, with a callback for every datagram and ticks and microtasks after each. Two
 * things follow (measured):
 *
 * - The first moment at which no more datagrams are at hand is `setImmediate`. Against answering each datagram at once the
 *   ping-pong latency is the same, and up to 1.5 times as many datagrams are answered.
 * - Who sends faster than the callbacks work keeps Bun inside that loop for good (54 000 datagrams and 2.2 s without one
 *   timer, in a flood for 2 s). So the callback handles a run and only queues the rest, which is faster than anybody
 *   sends; the rest is handled outside.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import type { BindUdp, UdpHandlers, UdpSocket } from "../agent/udp_socket.ts";
import { address } from "../base/address.ts";
import { addressTable } from "./address_table.ts";
import { bindError, checkPort, isTooLarge } from "./socket_errors.ts";
import { tuneBunSocket } from "./socket_options.ts";

/** The part of Bun's socket that is used here. */
interface BunSocket {
  readonly address: { readonly address: string; readonly port: number };
  readonly closed: boolean;
  readonly fd?: number;
  /** False if the socket takes nothing now; throws what the system answers. */
  send(bytes: Uint8Array, port: number, host: string): boolean;
  /** How many of the (bytes, port, host) triples went; throws if the first of them fails. */
  sendMany(packets: readonly unknown[]): number;
  close(): void;
}

interface BunNet {
  udpSocket?(options: {
    hostname: string;
    port: number;
    binaryType: "uint8array";
    socket: {
      data(socket: BunSocket, bytes: Uint8Array, port: number, host: string): void;
      drain(socket: BunSocket): void;
      error(error: Error): void;
    };
  }): Promise<BunSocket>;
}

/** Datagrams that are handled in one turn of the event loop, before answers leave and timers run. */
const MAX_RUN = 64;
/** What waits to be handled, like a receive buffer: beyond either, datagrams are lost. */
const MAX_WAITING = 2_048, MAX_WAITING_BYTES = 8 * 1024 * 1024;
/** Datagrams in one `sendMany`, so that a queue that is never flushed does not grow. */
const MAX_BATCH = 512;
/** Datagrams that wait while the socket does not take any. */
const MAX_HELD = 4_096;

/** Whether this runtime is Bun. */
export function hasBunUdp(): boolean {
  return typeof bunNet()?.udpSocket === "function";
}

/** Binds with `Bun.udpSocket`. Rejects with `code` `ENOSYS` where that is missing. */
export const bindBunUdp: BindUdp = async (local, handlers) => {
  checkPort(local.port);
  const net = bunNet();
  if (net?.udpSocket === undefined) throw Object.assign(new Error("Bun.udpSocket is missing"), { code: "ENOSYS" });
  const socket = new BunUdpSocket(handlers);
  let bound: BunSocket;
  try {
    bound = await net.udpSocket({
      hostname: local.host,
      port: local.port,
      binaryType: "uint8array",
      socket: { data: socket.onData, drain: socket.onDrain, error: socket.onSocketError },
    });
  } catch (error) {
    throw bindError(error);
  }
  socket.attach(bound);
  if (bound.fd !== undefined) await tuneBunSocket(bound.fd);
  return socket;
};

class BunUdpSocket implements UdpSocket {
  readonly adapter = "bun";
  local!: Address;
  #socket!: BunSocket;
  readonly #handlers: UdpHandlers;
  readonly #sources = addressTable();
  /** Triples of bytes, port, host, as sendMany takes them. */
  #queue: unknown[] = [];
  /** Whether the socket refused the head of the queue and has not called for more since. */
  #blocked = false;
  #drained: Promise<void> | undefined;
  #onDrained: (() => void) | undefined;
  #sendErrors = 0;
  #tooLarge = 0;
  /** Datagrams handled since the last batch end. */
  #run = 0;
  #turnScheduled = false;
  /** Left over for later turns; the first #handled of them have been handled. */
  readonly #waiting: Uint8Array[] = [];
  readonly #waitingFrom: Address[] = [];
  #handled = 0;
  #waitingBytes = 0;
  #closed = false;

  constructor(handlers: UdpHandlers) {
    this.#handlers = handlers;
  }

  attach(socket: BunSocket): void {
    this.#socket = socket;
    const bound = socket.address;
    this.local = address(bound.address, bound.port);
  }

  get sendErrors(): number {
    return this.#sendErrors;
  }

  get tooLarge(): number {
    return this.#tooLarge;
  }

  send(bytes: Uint8Array, remote: Address): void {
    if (this.#closed) return;
    if (this.#blocked && this.#queue.length >= 3 * MAX_HELD) {
      this.#sendErrors++;
      return;
    }
    this.#queue.push(bytes, remote.port, remote.host);
    if (this.#queue.length >= 3 * MAX_BATCH && !this.#blocked) this.#push();
  }

  flush(): Promise<void> | undefined {
    if (!this.#blocked && this.#queue.length > 0) this.#push();
    if (!this.#blocked) return undefined;
    return this.#drained ??= new Promise((resolve) => {
      this.#onDrained = resolve;
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
    this.#queue = [];
    this.#waiting.length = this.#waitingFrom.length = this.#handled = 0;
    this.#unblock();
  }

  /** Sends the whole queue, or sets #blocked and keeps the rest. */
  #push(): void {
    const queue = this.#queue;
    const count = queue.length / 3;
    let sent = 0;
    try {
      if (count === 1) sent = this.#socket.send(queue[0] as Uint8Array, queue[1] as number, queue[2] as string) ? 1 : 0;
      else sent = this.#socket.sendMany(queue);
    } catch {
      // The head failed; #pushSingly finds out why.
    }
    if (sent < count) sent = this.#pushSingly(queue, sent);
    this.#blocked = sent < count;
    if (this.#blocked) queue.splice(0, 3 * sent);
    else queue.length = 0;
  }

  /** Sends from the given datagram on, one by one, and drops those that fail. Returns where it got stuck. */
  #pushSingly(queue: unknown[], from: number): number {
    const count = queue.length / 3;
    for (let i = from; i < count; i++) {
      if (!this.#sendOne(queue[3 * i] as Uint8Array, queue[3 * i + 1] as number, queue[3 * i + 2] as string)) return i;
    }
    return count;
  }

  /** False if the socket takes nothing now. */
  #sendOne(bytes: Uint8Array, port: number, host: string): boolean {
    // Linux reports the ICMP answer to an earlier datagram as the failure of the next send, whoever that one is for, and
    // then forgets it: one dead peer would cost a living one a packet. So the first failure is not believed.
    let failure: unknown;
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        return this.#socket.send(bytes, port, host);
      } catch (error) {
        failure = error;
        if (this.#socket.closed) break;
      }
    }
    if (isTooLarge(failure)) this.#tooLarge++;
    else this.#sendErrors++;
    return true;
  }

  #unblock(): void {
    this.#blocked = false;
    const resolve = this.#onDrained;
    this.#drained = this.#onDrained = undefined;
    resolve?.();
  }

  readonly onDrain = (): void => {
    if (this.#closed || !this.#blocked) return;
    this.#push();
    if (!this.#blocked) this.#unblock();
  };

  readonly onData = (_socket: BunSocket, bytes: Uint8Array, port: number, host: string): void => {
    if (this.#closed) return;
    const from = this.#sources.get(host, port);
    if (!this.#turnScheduled) {
      this.#turnScheduled = true;
      setImmediate(this.#turn);
    }
    if (this.#run < MAX_RUN && this.#waiting.length === 0) {
      this.#run++;
      this.#handlers.onDatagram(bytes, from);
    } else if (
      this.#waiting.length - this.#handled < MAX_WAITING && this.#waitingBytes + bytes.length <= MAX_WAITING_BYTES
    ) {
      this.#waiting.push(bytes);
      this.#waitingFrom.push(from);
      this.#waitingBytes += bytes.length;
    }
  };

  /** Ends the last run, and begins another if datagrams have been left over. */
  readonly #turn = (): void => {
    this.#turnScheduled = false;
    this.#run = 0;
    if (!this.#closed) this.#handlers.onBatchEnd();
    if (this.#closed || this.#waiting.length === 0) return;
    this.#turnScheduled = true;
    setImmediate(this.#turn);
    const end = Math.min(this.#waiting.length, this.#handled + MAX_RUN);
    while (this.#handled < end && !this.#closed) {
      const bytes = this.#waiting[this.#handled], from = this.#waitingFrom[this.#handled];
      this.#handled++;
      this.#waitingBytes -= bytes.length;
      this.#handlers.onDatagram(bytes, from);
    }
    if (this.#handled === this.#waiting.length || this.#handled >= MAX_WAITING) this.#forgetHandled();
  };

  #forgetHandled(): void {
    if (this.#handled === this.#waiting.length) {
      this.#waiting.length = this.#waitingFrom.length = 0;
    } else {
      this.#waiting.splice(0, this.#handled);
      this.#waitingFrom.splice(0, this.#handled);
    }
    this.#handled = 0;
  }

  /** Mostly ICMP answers to something that was sent. The socket lives on after those. */
  readonly onSocketError = (error: Error): void => {
    if (this.#closed || this.#socket === undefined || !this.#socket.closed) return;
    this.close();
    this.#handlers.onError(error);
  };
}

function bunNet(): BunNet | undefined {
  return (globalThis as unknown as { Bun?: BunNet }).Bun;
}
