/**
 * The client of the measurements over sockets, through the public library. A process of its own, started by `main.ts`;
 * prints what `child.ts` reads.
 *
 * @module
 */

import process from "node:process";
import { type Client, connect, generateIdentity, MemoryTickets } from "../mod.ts";
import { printResults, readJob } from "./child.ts";
import { Histogram } from "../commands/histogram.ts";
import { type RoundValues, runRounds, type Workload } from "./rounds.ts";
import { DATAGRAM_BYTES, type Group, rowsOf } from "./rows.ts";
import { Yardstick } from "./udp_yardstick.ts";

const SMALL = new Uint8Array(64).fill(1), MEDIUM = new Uint8Array(65_536).fill(2), LARGE = new Uint8Array(8 << 20);
const IN_FLIGHT = 64;
const CONNECTING = 16;
const WARM_UP_CALLS = 20_000;

const job = readJob();
const { url, udpPort } = job.server!;
/** The same without the key: first contact. */
const bareUrl = url.replace(/\/\/[^@]*@/, "//");
const identity = generateIdentity();
const workloads: Workload[] = [];
const wants = (...groups: Group[]): boolean => rowsOf(groups).some((row) => job.rows.includes(row));

function connectIk(): Promise<Client> {
  return connect(url, { identity });
}

/** A connection that uses no larger datagrams than most of the internet carries, in both directions. */
function connectSmall(): Promise<Client> {
  return connect(url, { identity, settings: { udpPayload: DATAGRAM_BYTES, maxUdpPayload: DATAGRAM_BYTES } });
}

function connectXx(): Promise<Client> {
  return connect(bareUrl, { identity, trust: "new" });
}

/** p50 and p99 in µs of something that is done one at a time, for a round. What `after` does is not counted. */
async function latencies<T>(once: () => Promise<T>, after?: (result: T) => unknown): Promise<[number, number]> {
  const histogram = new Histogram();
  const end = performance.now() + job.roundMs;
  do {
    const before = performance.now();
    const result = await once();
    histogram.record((performance.now() - before) * 1e6);
    await after?.(result);
  } while (performance.now() < end);
  return [histogram.quantile(0.5) / 1000, histogram.quantile(0.99) / 1000];
}

/** How often a second something is done by so many at once, for a round. */
async function rate(atOnce: number, once: () => Promise<unknown>): Promise<{ perSecond: number; count: number }> {
  const begun = performance.now(), end = begun + job.roundMs;
  let count = 0;
  const one = async (): Promise<void> => {
    while (performance.now() < end) {
      await once();
      count++;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return { perSecond: count * 1000 / (performance.now() - begun), count };
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function serverCpuMicros(client: Client): Promise<number> {
  return Number((await client.call("cpu", "")).text());
}

function addYardstick(yardstick: Yardstick): void {
  workloads.push(async () => {
    const histogram = new Histogram();
    await yardstick.pingPong(SMALL.length, job.roundMs, histogram);
    const udp_one_way = await yardstick.oneWay(job.roundMs);
    return { udp_p50: histogram.quantile(0.5) / 1000, udp_p99: histogram.quantile(0.99) / 1000, udp_one_way };
  });
}

function addCall(client: Client): void {
  workloads.push(async () => {
    const [call_p50, call_p99] = await latencies(() => client.call(SMALL));
    const [call_64k_p50] = await latencies(() => client.call(MEDIUM));
    return { call_p50, call_p99, call_64k_p50 };
  });
}

function addCalls(name: string, client: Client): void {
  workloads.push(async () => {
    const serverBefore = await serverCpuMicros(client), clientBefore = cpuMicros();
    const { perSecond, count } = await rate(IN_FLIGHT, () => client.call(SMALL));
    const clientAfter = cpuMicros(), serverAfter = await serverCpuMicros(client);
    return {
      [name]: perSecond,
      [`${name}_client_cpu`]: (clientAfter - clientBefore) / count,
      [`${name}_server_cpu`]: (serverAfter - serverBefore) / count,
    };
  });
}

function addBulk(suffix: string, client: Client): void {
  workloads.push(async () => {
    const up = await rate(1, () => client.call("sink", LARGE));
    const size = String(LARGE.length);
    const down = await rate(1, async () => {
      const { bytes } = await client.call("source", size);
      if (bytes.length !== LARGE.length) throw new Error(`got ${bytes.length} bytes`);
    });
    const megabytes = LARGE.length / 1e6;
    return { [`bulk_up${suffix}`]: up.perSecond * megabytes, [`bulk_down${suffix}`]: down.perSecond * megabytes };
  });
}

function addConnect(pattern: "ik" | "xx"): void {
  const open = pattern === "ik" ? connectIk : connectXx;
  workloads.push(async () => {
    const [p50] = await latencies(async () => {
      const client = await open();
      await client.call(SMALL);
      return client;
    }, (client) => client.close());
    const { perSecond } = await rate(CONNECTING, async () => await (await open()).close());
    return { [`connect_call_${pattern}`]: p50, [`connections_${pattern}`]: perSecond };
  });
}

/** Each time a connection with a ticket that the one before has earned. */
function addEarly(): void {
  const tickets = new MemoryTickets();
  workloads.push(async () => {
    const [p50] = await latencies(async () => {
      const client = await connect(url, { identity, tickets, early: true });
      await client.call(SMALL, { idempotent: true });
      return client;
    }, async (client) => {
      await client.awaitTickets();
      await client.close();
    });
    return { connect_call_early: p50 };
  });
}

async function warmUp(client: Client): Promise<void> {
  for (let i = 0; i < WARM_UP_CALLS; i += IN_FLIGHT) {
    await Promise.all(Array.from({ length: IN_FLIGHT }, () => client.call(SMALL)));
  }
}

// Raw UDP first and always: without it the other figures say nothing about this machine.
const yardstick = await Yardstick.connect(udpPort);
addYardstick(yardstick);
const [client, smallClient] = [await connectIk(), await connectSmall()];
if (wants("call", "calls")) {
  await warmUp(client);
  await warmUp(smallClient);
}
if (wants("call")) addCall(client);
if (wants("calls")) {
  addCalls("calls_64", client);
  addCalls("calls_64_1200", smallClient);
}
if (wants("bulk")) {
  addBulk("", client);
  addBulk("_1200", smallClient);
}
if (wants("connect")) {
  addConnect("ik");
  addConnect("xx");
  addEarly();
}
const values: RoundValues = await runRounds(workloads, job.rounds);
printResults(values);
yardstick.close();
await Promise.all([client.close(), smallClient.close()]);
process.exit(0);
