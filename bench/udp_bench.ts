/**
 * What the UDP adapters alone can do, two processes over loopback: ping-pong latency, echoes with 32 in flight, and
 * one-way datagrams with at most 64 in flight (the receiver reports what it has at the end of each batch).
 *
 * ```
 * deno run -A --unstable-net bench/udp_bench.ts [adapter …]
 * bun bench/udp_bench.ts [adapter …]
 * ```
 *
 * Adapters: deno, bun, node; default: those of this runtime. Rounds alternate between adapters, and medians are printed,
 * because neighbours on the machine disturb whole seconds.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { BindUdp, UdpHandlers, UdpSocket } from "../lib/agent/udp_socket.ts";
import { type Address, address } from "../lib/base/address.ts";
import { readU32, writeU32 } from "../lib/base/bytes.ts";
import { bindBunUdp, bindDenoUdp, bindNodeUdp, detectRuntime, hasBunUdp, hasDenoUdp } from "../lib/runtime/mod.ts";

const BINDS: Readonly<Record<string, BindUdp>> = { deno: bindDenoUdp, bun: bindBunUdp, node: bindNodeUdp };
const SIZES = [64, 1452];
const ROUNDS = 7;
const PING_PONGS = 1_500;
const ECHOES = 8_000, ECHO_WINDOW = 32;
const ONE_WAY = 10_000, ONE_WAY_WINDOW = 64;
/** First byte of a datagram: what the server does with it. */
const ECHO = 1, COUNT = 2, RESET = 3;

async function main(): Promise<void> {
  const available = [hasDenoUdp() ? "deno" : "", hasBunUdp() ? "bun" : "", "node"].filter((name) => name !== "");
  const wanted = process.argv.slice(2);
  const adapters = wanted.length > 0 ? wanted : available;
  const clients: Client[] = [];
  for (const adapter of adapters) clients.push(await Client.start(adapter));
  const rows = new Map<string, { p50: number[]; p99: number[]; echo: number[]; oneWay: number[]; lost: number }>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const client of clients) {
      for (const size of SIZES) {
        const key = `${client.adapter} ${size} B`;
        const row = rows.get(key) ?? { p50: [], p99: [], echo: [], oneWay: [], lost: 0 };
        rows.set(key, row);
        const latencies = (await client.pingPong(size)).sort((a, b) => a - b);
        const echo = await client.windowed(size, ECHO, ECHOES, ECHO_WINDOW);
        const oneWay = await client.windowed(size, COUNT, ONE_WAY, ONE_WAY_WINDOW);
        row.lost += echo.lost + oneWay.lost;
        if (round === 0) continue;
        row.p50.push(latencies[latencies.length >> 1]);
        row.p99.push(latencies[Math.floor(latencies.length * 0.99)]);
        row.echo.push(echo.perSecond);
        row.oneWay.push(oneWay.perSecond);
      }
    }
  }
  console.log(`${detectRuntime()}: medians (best) of ${ROUNDS - 1} rounds`);
  for (const [key, { p50, p99, echo, oneWay, lost }] of rows) {
    console.log(
      `${key.padEnd(12)} ping-pong p50 ${show(p50, 1, Math.min)} µs, p99 ${show(p99, 1, Math.min)} µs; ` +
        `echoes ${show(echo, 1e-3, Math.max)} k/s; one-way ${show(oneWay, 1e-3, Math.max)} k/s; lost ${lost}`,
    );
  }
  for (const client of clients) client.stop();
}

function show(values: number[], scale: number, best: (...values: number[]) => number): string {
  const sorted = [...values].sort((a, b) => a - b);
  return `${(sorted[sorted.length >> 1] * scale).toFixed(0)} (${(best(...values) * scale).toFixed(0)})`;
}

class Client {
  readonly adapter: string;
  readonly #socket: UdpSocket;
  readonly #handlers: UdpHandlers;
  readonly #server: ChildProcess;
  readonly #remote: Address;

  constructor(adapter: string, socket: UdpSocket, handlers: UdpHandlers, server: ChildProcess, remote: Address) {
    this.adapter = adapter;
    this.#socket = socket;
    this.#handlers = handlers;
    this.#server = server;
    this.#remote = remote;
  }

  static async start(adapter: string): Promise<Client> {
    const bind = BINDS[adapter];
    if (bind === undefined) throw new RangeError(`unknown adapter ${adapter}`);
    const file = fileURLToPath(import.meta.url);
    const runtimeArguments = detectRuntime() === "deno" ? ["run", "-A", "--unstable-net", file] : [file];
    const server = spawn(process.execPath, [...runtimeArguments, "serve", adapter], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.once("exit", () => reject(new Error("the server process ended")));
      server.stdout!.once("data", (chunk: Uint8Array) => resolve(Number(new TextDecoder().decode(chunk))));
    });
    const handlers: UdpHandlers = { onDatagram: nothing, onBatchEnd: nothing, onError: fail };
    const socket = await bind({ host: "127.0.0.1", port: 0 }, {
      onDatagram: (bytes, remote) => handlers.onDatagram(bytes, remote),
      onBatchEnd: () => handlers.onBatchEnd(),
      onError: fail,
    });
    return new Client(adapter, socket, handlers, server, address("127.0.0.1", port));
  }

  stop(): void {
    this.#socket.close();
    this.#server.kill();
  }

  /** Round-trip times in µs. */
  pingPong(size: number): Promise<number[]> {
    const message = new Uint8Array(size).fill(ECHO);
    const latencies: number[] = [];
    return new Promise((resolve) => {
      let begun = performance.now();
      this.#handlers.onDatagram = nothing;
      this.#handlers.onBatchEnd = () => {
        const now = performance.now();
        latencies.push((now - begun) * 1000);
        if (latencies.length === PING_PONGS) return resolve(latencies);
        begun = now;
        this.#send(message, 1);
      };
      this.#send(message, 1);
    });
  }

  /** Keeps `window` datagrams in flight until `total` have been answered (echoed, or counted by the server). */
  windowed(size: number, kind: number, total: number, window: number): Promise<{ perSecond: number; lost: number }> {
    const message = new Uint8Array(size).fill(kind);
    return new Promise((resolve) => {
      let sent = 0, done = 0, lost = 0, progress = performance.now();
      const begun = progress;
      const fill = (): void => {
        const room = Math.min(window - (sent - done - lost), total - sent);
        if (room > 0) this.#send(message, room);
        sent += Math.max(room, 0);
      };
      const watchdog = setInterval(() => {
        if (performance.now() - progress < 300) return;
        lost = sent - done;
        finishOrFill();
      }, 50);
      const finishOrFill = (): void => {
        if (done + lost < total) return fill();
        clearInterval(watchdog);
        this.#handlers.onDatagram = this.#handlers.onBatchEnd = nothing;
        resolve({ perSecond: done * 1000 / (progress - begun), lost });
      };
      this.#handlers.onDatagram = (bytes) => {
        done = kind === ECHO ? done + 1 : Math.max(done, readU32(bytes, 0));
        progress = performance.now();
      };
      this.#handlers.onBatchEnd = finishOrFill;
      if (kind === COUNT) this.#send(new Uint8Array(1).fill(RESET), 1);
      fill();
    });
  }

  #send(message: Uint8Array, times: number): void {
    for (let i = 0; i < times; i++) this.#socket.send(message, this.#remote);
    this.#socket.flush();
  }
}

async function serve(bind: BindUdp): Promise<void> {
  const slab = new Uint8Array(8 << 20);
  const answers: { bytes: Uint8Array; remote: Address }[] = [];
  const counts = Array.from({ length: 64 }, () => new Uint8Array(4));
  let at = 0, counted = 0, reports = 0;
  let reportTo: Address | undefined;
  const socket = await bind({ host: "127.0.0.1", port: 0 }, {
    onDatagram(bytes, remote) {
      if (bytes[0] === ECHO) {
        if (at + bytes.length > slab.length) at = 0;
        slab.set(bytes, at);
        answers.push({ bytes: slab.subarray(at, at += bytes.length), remote });
      } else if (bytes[0] === RESET) counted = 0;
      else counted++, reportTo = remote;
    },
    onBatchEnd() {
      for (const { bytes, remote } of answers) socket.send(bytes, remote);
      answers.length = 0;
      if (reportTo !== undefined) {
        const report = counts[reports++ % counts.length];
        writeU32(report, 0, counted);
        socket.send(report, reportTo);
        reportTo = undefined;
      }
      socket.flush();
    },
    onError: fail,
  });
  console.log(socket.local.port);
}

function nothing(): void {}

function fail(error: Error): void {
  throw error;
}

if (process.argv[2] === "serve") await serve(BINDS[process.argv[3]]);
else await main();
