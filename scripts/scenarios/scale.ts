/**
 * A11, A12: very many connections, and very many streams on one, over real sockets between processes of their own.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import process from "node:process";
import { address } from "../../lib/base/address.ts";
import { seconds } from "../../lib/base/time.ts";
import { Invariants } from "../../lib/testing/invariants.ts";
import { SERVER_ADDRESS } from "../../lib/testing/pair.ts";
import { Pattern } from "../../lib/testing/pattern.ts";
import { PatternTraffic } from "../../lib/testing/pattern_traffic.ts";
import { SimulatedNetwork } from "../../lib/testing/simulated_network.ts";
import { SimulatedNode } from "../../lib/testing/simulated_node.ts";
import { projectRoot } from "../source_files.ts";
import { resolveDeno } from "../tools.ts";
import { type CellContext, link, type Outcome, round, type Scenario } from "./scenario.ts";
import type { ConnectionsReport, ScaleJob, StreamsReport } from "./scale_worker.ts";

const MIB = 2 ** 20;
/** Longer than a whole run. */
const WORKER_LIMIT_MS = 420_000;

/** A process that says JSON lines. */
class Worker {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #unread: string[] = [];
  readonly #waiting: ((line: string | undefined) => void)[] = [];
  #ended = false;

  constructor(job: ScaleJob) {
    const args = ["run", "-A", "--v8-flags=--expose-gc", `${projectRoot}scripts/scenarios/scale_worker.ts`];
    this.#child = spawn(resolveDeno(), [...args, JSON.stringify(job)], {
      cwd: projectRoot,
      env: { ...process.env, NO_COLOR: "1" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#timer = setTimeout(() => this.stop(), WORKER_LIMIT_MS);
    this.#lines = createInterface(this.#child.stdout!);
    this.#lines.on("line", (line) => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#unread.push(line);
      else next(line);
    });
    this.#lines.on("close", () => {
      this.#ended = true;
      for (const next of this.#waiting.splice(0)) next(undefined);
    });
  }

  /** What it says next. Rejects if it ends without. */
  async next<T>(): Promise<T> {
    const line = this.#unread.shift() ??
      (this.#ended ? undefined : await new Promise<string | undefined>((resolve) => this.#waiting.push(resolve)));
    if (line === undefined) throw new Error("a worker ended without saying what it should");
    return JSON.parse(line) as T;
  }

  /** Lets it go on. */
  go(): void {
    this.#child.stdin!.write("go\n");
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#child.kill("SIGKILL");
  }
}

/** Resident memory of a server, from outside of the connections that are counted. */
async function memoryOf(url: string): Promise<number> {
  const { connect } = await import("../../mod.ts");
  const client = await connect(url);
  try {
    return Number((await client.call("memory", "")).text());
  } finally {
    await client.close();
  }
}

async function manyConnections({ quick }: CellContext, most: number): Promise<Outcome> {
  const count = quick ? 200 : most, duration = quick ? 3 : 60, workers = quick ? 1 : 2;
  const server = new Worker({ role: "server", streams: 1024 });
  const clients: Worker[] = [];
  try {
    const { url } = await server.next<{ url: string }>();
    const before = await memoryOf(url);
    for (let i = 0; i < workers; i++) {
      clients.push(new Worker({ role: "connections", url, count: count / workers, seconds: duration, batch: 50 }));
    }
    await Promise.all(clients.map((client) => client.next()));
    for (const client of clients) client.go();
    const reports = await Promise.all(clients.map((client) => client.next<{ report: ConnectionsReport }>()));
    const after = await memoryOf(url);
    return judgeConnections(reports.map(({ report }) => report), count, duration, before, after);
  } finally {
    for (const worker of [server, ...clients]) worker.stop();
  }
}

function judgeConnections(
  reports: readonly ConnectionsReport[],
  count: number,
  duration: number,
  before: number,
  after: number,
): Outcome {
  const sum = (pick: (report: ConnectionsReport) => number): number => reports.reduce((a, b) => a + pick(b), 0);
  const calls = sum(({ calls }) => calls), connected = sum(({ connected }) => connected), failed = sum((r) => r.failed);
  const latency = (share: number): number => {
    let left = share * calls;
    for (let tenth = 0;; tenth++) {
      left -= sum(({ tenths }) => tenths[tenth] ?? 0);
      if (left <= 0 || tenth >= 100_000) return tenth / 10;
    }
  };
  const firstFailure = reports.find((report) => report.firstFailure !== undefined)?.firstFailure;
  return {
    ok: connected === count && failed === 0,
    figures: {
      connected,
      failed,
      calls,
      calls_per_s: Math.round(calls / duration),
      p50_ms: latency(0.5),
      p99_ms: latency(0.99),
      connect_s: round(Math.max(...reports.map(({ connect_s }) => connect_s)), 1),
      server_kib_per_connection: round((after - before) / 1024 / count, 1),
      server_rss_mib: round(after / MIB, 0),
      client_rss_mib: round(sum(({ rss }) => rss) / MIB, 0),
      ...(firstFailure === undefined ? {} : { first_failure: firstFailure }),
    },
    asked: "none fails; p99 and memory per connection reported",
  };
}

async function manyStreams({ quick }: CellContext): Promise<Outcome> {
  const held = quick ? 500 : 10_000, small = quick ? 199 : 1999;
  const server = new Worker({ role: "server", streams: held });
  let client: Worker | undefined;
  try {
    const { url } = await server.next<{ url: string }>();
    client = new Worker({ role: "streams", url, held, small });
    const { report } = await client.next<{ report: StreamsReport }>();
    const { answered, smallAnswered, heap, serverHeap, rssHeld, serverRssHeld } = report;
    const growth = Math.max(
      ...[heap, serverHeap].flatMap(([base, ...later]) => later.map((value) => value / base - 1)),
    );
    const most = Math.max(rssHeld, serverRssHeld);
    return {
      ok: answered === held && smallAnswered === small && most <= 128 * MIB && growth <= 0.05,
      figures: {
        streams_held: answered,
        small_answered: smallAnswered,
        client_rss_mib: round(rssHeld / MIB, 1),
        server_rss_mib: round(serverRssHeld / MIB, 1),
        client_heap_mib: heap.map((bytes) => round(bytes / MIB, 2)).join(" "),
        server_heap_mib: serverHeap.map((bytes) => round(bytes / MIB, 2)).join(" "),
        worst_growth_percent: round(growth * 100, 1),
      },
      asked: "10 000 streams open at once ≤ 128 MiB resident on either side; all answered; heap back to ± 5 %",
    };
  } finally {
    server.stop();
    client?.stop();
  }
}

/** As many in virtual time, with every rule checked: each client is a node of its own. */
function simulatedConnections({ seed, crypto, quick }: CellContext): Outcome {
  const count = quick ? 50 : 1000, rounds = quick ? 3 : 10;
  const network = new SimulatedNetwork({ seed, profile: link(30, 100, { loss: 0.01 }) });
  const invariants = new Invariants(() => network.now);
  const pattern = new Pattern(), traffic = new PatternTraffic(pattern), asker = new PatternTraffic(pattern);
  traffic.replySize = 64;
  const common = { crypto, invariants };
  const server = new SimulatedNode(network, { ...common, address: SERVER_ADDRESS, application: traffic });
  const clients = Array.from({ length: count }, (_, i) => {
    const from = address(`10.1.${i >> 8}.${i & 255}`, 40_000);
    return new SimulatedNode(network, { ...common, address: from, application: asker, accept: false });
  });
  const connections = clients.map((client) => client.connect(SERVER_ADDRESS, { peerKey: server.identity.publicKey }));
  for (let round = 0; round < rounds; round++) {
    clients.forEach((client, i) => asker.send(client, connections[i], 64, { unidirectional: false, streamClass: 1 }));
    network.advance(seconds(1));
  }
  const expected = count * rounds * 64;
  const done = network.run(() => asker.delivered === expected && traffic.delivered === expected, seconds(30));
  const ended = server.ended.length + clients.reduce((sum, client) => sum + client.ended.length, 0);
  return {
    ok: done && ended === 0 && server.endpoint.connectionCount === count,
    figures: {
      connections: server.endpoint.connectionCount,
      calls: count * rounds,
      exact: done,
      checks: invariants.checks,
    },
    asked: "every call answered, no connection ends, no rule broken",
  };
}

/** Connections. */
export const A11: Scenario = {
  name: "A11",
  title:
    "10 000 connections, a call a second on each, 60 s; every client with a socket of its own, server and clients on this machine; 1 000 in the simulator",
  asked: "none fails; p99 and memory per connection reported",
  cells: [
    { name: "connections=10000", isReal: true, run: (context) => manyConnections(context, 10_000) },
    { name: "connections=1000", isReal: true, run: (context) => manyConnections(context, 1000) },
    { name: "simulated=1000", inGate: true, run: simulatedConnections },
  ],
};

/** Streams. */
export const A12: Scenario = {
  name: "A12",
  title: "10 000 calls open at once on one connection, then 1 999 of 32 bytes; heap after a collection",
  asked: "≤ 128 MB RSS; all answered; heap back to the baseline ± 5 %",
  cells: [{ name: "streams=10000", isReal: true, run: manyStreams }],
};
