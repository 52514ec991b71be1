/**
 * The processes of A11 and A12: a server, and clients that come in numbers. Each is told what to do by one JSON argument and says what came of
 * it in JSON lines; a server ends with its standard input.
 *
 * @module
 */

import process from "node:process";
import { type Client, connect, serve } from "../../mod.ts";

/** What a worker is to do. */
export type ScaleJob =
  | { readonly role: "server"; readonly streams: number }
  | {
    readonly role: "connections";
    readonly url: string;
    readonly count: number;
    readonly seconds: number;
    readonly batch: number;
  }
  | { readonly role: "streams"; readonly url: string; readonly held: number; readonly small: number };

/** What clients with many connections found. Times in milliseconds. */
export interface ConnectionsReport {
  readonly connected: number;
  readonly connect_s: number;
  readonly calls: number;
  readonly failed: number;
  readonly firstFailure: string | undefined;
  /** Latencies of all calls, in a histogram of 0.1 ms, so that two reports can be added up. */
  readonly tenths: readonly number[];
  readonly rss: number;
}

/** What a client with many streams found. */
export interface StreamsReport {
  readonly answered: number;
  readonly smallAnswered: number;
  readonly heap: readonly number[];
  readonly rssHeld: number;
  readonly serverRssHeld: number;
  readonly serverHeap: readonly number[];
}

/** Longest latency that has a place of its own in the histogram. */
const MOST_TENTHS = 100_000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Bytes in use after a collection; NaN where it cannot be asked for. */
async function settledHeap(): Promise<number> {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) return NaN;
  for (let i = 0; i < 3; i++) {
    gc();
    await pause(50);
  }
  return process.memoryUsage().heapUsed;
}

/** Echoes; `held` answers only when the method `release` is called; `memory` and `heap` say how much there is. */
async function runServer(streams: number): Promise<void> {
  let release = (): void => {};
  let held = new Promise<void>((resolve) => release = resolve);
  const server = await serve({
    listen: "127.0.0.1:0",
    maxConcurrentCalls: streams + 16,
    // Credit for streams comes in portions: what has ended is given back when there is half of the window of it.
    settings: { maxStreamsBidi: 2 * streams + 64 },
  }, {
    call: (payload) => payload,
    methods: {
      held: async (payload) => {
        await held;
        return payload;
      },
      release: () => {
        release();
        held = new Promise((resolve) => release = resolve);
      },
      memory: () => String(process.memoryUsage().rss),
      heap: async () => String(await settledHeap()),
    },
  });
  console.log(JSON.stringify({ url: server.url }));
  process.stdin.on("end", () => process.exit(0));
  process.stdin.resume();
}

async function runConnections(job: ScaleJob & { role: "connections" }): Promise<void> {
  const begin = performance.now();
  const clients: Client[] = [];
  const tenths = new Array<number>(MOST_TENTHS + 1).fill(0);
  let calls = 0, failed = 0, measuring = false, stopped = false;
  let firstFailure: string | undefined;
  const fail = (error: unknown): void => {
    failed++;
    firstFailure ??= error instanceof Error ? error.message : String(error);
  };
  const callEverySecond = async (client: Client, offset: number): Promise<void> => {
    await pause(offset);
    for (let due = performance.now(); !stopped; due += 1000) {
      await pause(Math.max(0, due - performance.now()));
      const start = performance.now();
      try {
        await client.call("once a second", { timeoutMs: 10_000 });
        if (!measuring) continue;
        calls++;
        tenths[Math.min(MOST_TENTHS, Math.round((performance.now() - start) * 10))]++;
      } catch (error) {
        if (!stopped) fail(error);
        return;
      }
    }
  };
  const running: Promise<void>[] = [];
  for (let i = 0; i < job.count; i += job.batch) {
    await Promise.all(Array.from({ length: Math.min(job.batch, job.count - i) }, async (_, j) => {
      try {
        const client = await connect(job.url, { timeoutMs: 60_000 });
        clients.push(client);
        running.push(callEverySecond(client, (i + j) * 7919 % 1000));
      } catch (error) {
        fail(error);
      }
    }));
  }
  const connect_s = (performance.now() - begin) / 1000;
  console.log(JSON.stringify({ connected: clients.length }));
  // The other workers have to be ready as well.
  await new Promise<void>((resolve) => process.stdin.once("data", () => resolve()));
  measuring = true;
  await pause(job.seconds * 1000);
  measuring = false;
  const { rss } = process.memoryUsage();
  stopped = true;
  const report: ConnectionsReport = { connected: clients.length, connect_s, calls, failed, firstFailure, tenths, rss };
  console.log(JSON.stringify({ report }));
  process.exit(0);
}

async function runStreams(job: ScaleJob & { role: "streams" }): Promise<void> {
  const client = await connect(job.url);
  const payload = new Uint8Array(32).fill(1);
  const numberFrom = async (method: string): Promise<number> => Number((await client.call(method, "")).text());
  const small = async (): Promise<number> => {
    const answers = await Promise.allSettled(Array.from({ length: job.small }, () => client.call(payload)));
    return answers.filter((answer) => answer.status === "fulfilled" && answer.value.bytes.length === 32).length;
  };
  const hold = async (): Promise<{ answered: number; rssHeld: number; serverRssHeld: number }> => {
    const calls = Array.from({ length: job.held }, () => client.call("held", payload));
    // By then all of them have reached the server.
    await pause(2000);
    const serverRssHeld = await numberFrom("memory");
    const rssHeld = process.memoryUsage().rss;
    await client.call("release", "");
    const answers = await Promise.allSettled(calls);
    return { answered: answers.filter(({ status }) => status === "fulfilled").length, rssHeld, serverRssHeld };
  };
  // Once to warm up: compiled code and tables that have grown to their size are part of the baseline.
  await small();
  await hold();
  const heap = [await settledHeap()], serverHeap = [await numberFrom("heap")];
  const smallAnswered = await small();
  heap.push(await settledHeap());
  serverHeap.push(await numberFrom("heap"));
  const held = await hold();
  heap.push(await settledHeap());
  serverHeap.push(await numberFrom("heap"));
  const report: StreamsReport = { ...held, smallAnswered, heap, serverHeap };
  console.log(JSON.stringify({ report }));
  await client.close();
  process.exit(0);
}

const job = JSON.parse(process.argv[2]) as ScaleJob;
switch (job.role) {
  case "server":
    await runServer(job.streams);
    break;
  case "connections":
    await runConnections(job);
    break;
  case "streams":
    await runStreams(job);
    break;
}
