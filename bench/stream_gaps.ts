/**
 * How soon the chunks of a stream arrive, one written every few milliseconds: directly, and through a node. Client, node and agent
 * are processes of their own that talk over loopback. README.md in this folder says what the columns mean.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { loadavg } from "node:os";
import process from "node:process";
import { type Client, connect, type Handlers, serve } from "../mod.ts";
import { type OptionSpec, readOptions, UsageError } from "../scripts/options.ts";
import { projectRoot } from "../scripts/source_files.ts";
import { resolveBun, resolveDeno } from "../scripts/tools.ts";

const OPTIONS = {
  chunks: { type: "count", default: 1_000 },
  every: { type: "count", default: 5 },
  runtime: { type: "word", default: "all", words: ["all", "deno", "bun"] },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

const HELP = `deno run -A bench/stream_gaps.ts [--chunks N] [--every MS] [--runtime deno|bun]`;
/** Streams that are opened one after the other to see how long the first chunk takes. */
const OPENINGS = 50;
/** Calls that compare the clocks of two processes. */
const CLOCK_CALLS = 200;
const CHUNK_BYTES = 32;

/** What a process is to do. */
type Job =
  | { readonly role: "node" }
  | { readonly role: "agent"; readonly node: string }
  | {
    readonly role: "client";
    readonly node: string;
    readonly agent: string;
    readonly chunks: number;
    readonly every: number;
  };

/** What came out of one way, in milliseconds. */
interface Figures {
  readonly way: string;
  /** From opening a stream to its first chunk. */
  readonly first: readonly [median: number, p99: number];
  /** From writing a chunk to its arrival. */
  readonly delay: readonly [median: number, p99: number, max: number];
  /** From one arrival to the next. */
  readonly gap: readonly [median: number, p99: number, max: number];
  /** Chunks that had arrived before the next one was written. */
  readonly inTime: number;
}

const HANDLERS: Handlers = {
  call: () => String(performance.now()),
  stream: async function* (_stream, { metadata }) {
    const [chunks, every] = [Number(metadata.chunks), Number(metadata.every)];
    const startedAt = performance.now();
    for (let i = 0; i < chunks; i++) {
      const wait = startedAt + i * every - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      yield String(performance.now()).padEnd(CHUNK_BYTES);
    }
  },
};

async function runNode(): Promise<void> {
  const server = await serve({ listen: "127.0.0.1:0", registry: true }, HANDLERS);
  console.log(server.url);
}

async function runAgent(node: string): Promise<void> {
  const server = await serve({ listen: "127.0.0.1:0" }, HANDLERS);
  const client = await connect(node);
  await client.register({ name: "tokens", capabilities: ["tokens"] }, { handlers: HANDLERS });
  console.log(server.url);
}

async function runClient({ node, agent, chunks, every }: Extract<Job, { role: "client" }>): Promise<void> {
  await using direct = await connect(agent);
  await using relayed = await connect(node);
  const offset = await clockOffset(direct);
  console.log(JSON.stringify([
    await measure("direct", direct, undefined, offset, chunks, every),
    await measure("through a node", relayed, "tokens", offset, chunks, every),
  ]));
}

/** How far the agent's clock is ahead of ours, in milliseconds: by the quickest of many calls. */
async function clockOffset(client: Client): Promise<number> {
  let quickest = Infinity, offset = 0;
  for (let i = 0; i < CLOCK_CALLS; i++) {
    const before = performance.now();
    const there = Number((await client.call("")).text());
    const after = performance.now();
    if (after - before >= quickest) continue;
    quickest = after - before;
    offset = there - (before + after) / 2;
  }
  return offset;
}

async function measure(
  way: string,
  client: Client,
  capability: string | undefined,
  offset: number,
  chunks: number,
  every: number,
): Promise<Figures> {
  const firsts: number[] = [];
  for (let i = 0; i < OPENINGS; i++) {
    const openedAt = performance.now();
    const stream = client.stream({ capability, metadata: { chunks: "1", every: "1" } });
    await stream.close();
    for await (const _ of stream) firsts.push(performance.now() - openedAt);
  }
  const arrivals: number[] = [], writes: number[] = [];
  const stream = client.stream({ capability, metadata: { chunks: String(chunks), every: String(every) } });
  await stream.close();
  for await (const chunk of stream) {
    arrivals.push(performance.now());
    writes.push(Number(new TextDecoder().decode(chunk)) - offset);
  }
  if (arrivals.length !== chunks) throw new Error(`${arrivals.length} chunks of ${chunks} have arrived`);
  const delays = arrivals.map((at, i) => at - writes[i]);
  const gaps = arrivals.slice(1).map((at, i) => at - arrivals[i]);
  const inTime = arrivals.filter((at, i) => i + 1 === chunks || at < writes[i + 1]).length;
  return {
    way,
    first: [quantile(firsts, 0.5), quantile(firsts, 0.99)],
    delay: [quantile(delays, 0.5), quantile(delays, 0.99), Math.max(...delays)],
    gap: [quantile(gaps, 0.5), quantile(gaps, 0.99), Math.max(...gaps)],
    inTime,
  };
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

async function main(chunks: number, every: number, runtime: string): Promise<void> {
  const bun = runtime === "deno" ? undefined : resolveBun();
  const programs = {
    ...(runtime !== "bun" && { deno: [resolveDeno(), "run", "-A", "--unstable-net"] }),
    ...(bun !== undefined && { bun: [bun] }),
  };
  console.log(`load ${loadavg()[0].toFixed(1)}; median / p99 / most`);
  for (const [name, program] of Object.entries(programs)) {
    const children: ChildProcess[] = [];
    const start = (job: Job): Promise<string> => {
      const [command, ...flags] = program as string[];
      const child = spawn(command, [...flags, "bench/stream_gaps.ts", JSON.stringify(job)], {
        cwd: projectRoot,
        stdio: ["ignore", "pipe", "inherit"],
      });
      children.push(child);
      return lineOf(child, 60_000 + 4 * chunks * every);
    };
    try {
      const node = await start({ role: "node" });
      const agent = await start({ role: "agent", node });
      const results = JSON.parse(await start({ role: "client", node, agent, chunks, every })) as Figures[];
      console.log(`${name}: ${chunks} chunks of ${CHUNK_BYTES} bytes, one every ${every} ms`);
      for (const { way, first, delay, gap, inTime } of results) {
        const [f, d, g] = [first, delay, gap].map((values) => values.map((value) => value.toFixed(2)).join(" / "));
        console.log(`  ${way.padEnd(14)}  first chunk ${f} ms   delay ${d} ms   gap ${g} ms   in time ${inTime}`);
      }
    } finally {
      for (const child of children) child.kill();
    }
  }
}

/** The first line that a child prints. */
function lineOf(child: ChildProcess, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error("nothing heard in time")), timeoutMs);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`a process ended with ${code} before it said anything`));
    });
    child.stdout!.on("data", (data: Uint8Array) => {
      text += new TextDecoder().decode(data);
      const end = text.indexOf("\n");
      if (end < 0) return;
      clearTimeout(timer);
      resolve(text.slice(0, end));
    });
  });
}

const first = process.argv[2];
if (first?.startsWith("{")) {
  const job = JSON.parse(first) as Job;
  if (job.role === "node") await runNode();
  else if (job.role === "agent") await runAgent(job.node);
  else await runClient(job);
} else {
  try {
    const { help, chunks, every, runtime } = readOptions(OPTIONS, process.argv.slice(2));
    if (help) console.log(HELP);
    else await main(chunks, every, runtime);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    process.exitCode = 2;
  }
}
