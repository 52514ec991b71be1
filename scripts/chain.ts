/**
 * `deno task chain`: how soon a deadline, and the end of a caller's patience, stop every agent of a chain.
 *
 * @module
 */

import process from "node:process";
import { type Client, connect, type ServerStats } from "../mod.ts";
import { type ChainReport, type Stop, wallMs } from "./chain_party.ts";
import { type OptionSpec, readOptions, UsageError } from "./options.ts";
import { Party, type PartyRuntime } from "./party.ts";

const HELP =
  `A node and three agents, each in a process of its own (Deno, Deno, Bun, Deno), over real sockets: the first agent calls the second
through the node, the second the third, and the third waits until it is stopped. What is measured is when the handler of each has come
back, after the deadline of whoever called the first, or after that one has given up; with calls and with agent streams. Ends with exit code 1 if one
is more than 50 ms late, or still runs afterwards.

  deno task chain -- [options]

  --rounds N    of each kind (20)
  --deadline MS (300)
  --json
  --help`;

const OPTIONS = {
  rounds: { type: "count", default: 20 },
  deadline: { type: "number", default: 300, least: 10 },
  json: { type: "flag" },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

const NAMES = ["a", "b", "c"] as const;
const RUNTIMES: readonly PartyRuntime[] = ["deno", "bun", "deno"];
/** How late an agent may stop. */
const LATEST_MS = 50;
/** How long after that is waited for handlers to come back. */
const GRACE_MS = 100;
/** A run that takes longer is stuck. */
const LONGEST_MS = 300_000;
const PARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

/** One way for a request to end. */
interface Kind {
  readonly name: string;
  readonly isStream: boolean;
  readonly isCancelled: boolean;
}

const KINDS: readonly Kind[] = [
  { name: "call, deadline", isStream: false, isCancelled: false },
  { name: "call, cancelled", isStream: false, isCancelled: true },
  { name: "stream, deadline", isStream: true, isCancelled: false },
  { name: "stream, cancelled", isStream: true, isCancelled: true },
];

/** How late each agent stopped, in milliseconds, over all rounds. */
type Lateness = Record<typeof NAMES[number], number[]>;

async function main(args: readonly string[]): Promise<number> {
  const { rounds, deadline, json, help } = readOptions(OPTIONS, args);
  if (help) {
    console.log(HELP);
    return 0;
  }
  const stuck = setTimeout(() => {
    console.error(`chain: not done after ${LONGEST_MS / 1000} s`);
    process.exit(1);
  }, LONGEST_MS);
  const broken: string[] = [];
  const report: Record<string, Record<string, string>> = {};
  const parties: Party[] = [];
  try {
    const node = new Party("deno", "chain_party.ts", ["node"]);
    parties.push(node);
    const { url } = await node.next() as { readonly url: string };
    const agents = NAMES.map((name, i) =>
      new Party(RUNTIMES[i], "chain_party.ts", ["agent", name, url, ...NAMES.slice(i + 1, i + 2)])
    );
    parties.push(...agents);
    await Promise.all(agents.map((agent) => agent.next()));
    const client = await connect(url);
    for (const kind of KINDS) {
      const lateness: Lateness = { a: [], b: [], c: [] };
      for (let round = 0; round < rounds; round++) {
        const { stops, problems } = await runOnce(client, agents, kind, deadline);
        broken.push(...problems.map((problem) => `${kind.name}: ${problem}`));
        for (const [i, late] of stops.entries()) lateness[NAMES[i]].push(late);
      }
      report[kind.name] = Object.fromEntries(NAMES.map((name) => [name, figures(lateness[name])]));
    }
    const { calls, streams } = await node.ask("stats") as ServerStats;
    if (calls.running + streams.running > 0) {
      broken.push(`${calls.running + streams.running} requests still run at the node`);
    }
    await client.close();
  } finally {
    clearTimeout(stuck);
    await Promise.all(parties.map((party) => party[Symbol.asyncDispose]()));
  }
  if (json) console.log(JSON.stringify({ ok: broken.length === 0, broken, rounds, deadline, lateness_ms: report }));
  else print(report, rounds, deadline, broken);
  return broken.length === 0 ? 0 : 1;
}

/** One request through the chain, and how late each agent stopped. */
async function runOnce(
  client: Client,
  agents: readonly Party[],
  { isStream, isCancelled }: Kind,
  deadlineMs: number,
): Promise<{ readonly stops: readonly number[]; readonly problems: readonly string[] }> {
  const cancel = new AbortController();
  const options = {
    agent: NAMES[0],
    traceparent: PARENT,
    signal: cancel.signal,
    timeoutMs: isCancelled ? 30_000 : deadlineMs,
  };
  let over = wallMs() + deadlineMs;
  const ended = isStream ? client.stream(options).bytes() : client.call("", options);
  if (isCancelled) {
    setTimeout(() => {
      over = wallMs();
      cancel.abort();
    }, deadlineMs / 2);
  }
  await ended.then(() => {}, () => {});
  await new Promise((resolve) => setTimeout(resolve, LATEST_MS + GRACE_MS));
  const reports = await Promise.all(agents.map((agent) => agent.ask("report"))) as ChainReport[];
  const problems: string[] = [];
  const stops = reports.map(({ stops, running }, i) => {
    if (running > 0 || stops.length !== 1) {
      problems.push(`${NAMES[i]}: ${stops.length} handlers came back, ${running} run on`);
    }
    const late = (stops[0]?.endedAt ?? Infinity) - over;
    if (late > LATEST_MS) problems.push(`${NAMES[i]} stopped ${late.toFixed(1)} ms late`);
    return late;
  });
  problems.push(...brokenTrace(reports.map(({ stops }) => stops[0])));
  return { stops, problems };
}

/** All hops have the trace of the caller, and each its own span. */
function brokenTrace(stops: readonly (Stop | undefined)[]): string[] {
  const texts = stops.map((stop) => stop?.traceparent ?? "");
  const isOne = texts.every((text) => text.slice(0, 36) === PARENT.slice(0, 36));
  return isOne && new Set(texts).size === texts.length ? [] : [`the trace is broken: ${texts.join(", ")}`];
}

function figures(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  return `${sorted[sorted.length >> 1].toFixed(1)} / ${sorted[sorted.length - 1].toFixed(1)}`;
}

function print(
  report: Readonly<Record<string, Readonly<Record<string, string>>>>,
  rounds: number,
  deadline: number,
  broken: readonly string[],
): void {
  console.log(
    `${rounds} rounds of each kind, deadline ${deadline} ms; so many milliseconds late, median / most:\n`,
  );
  console.log(`  ${"".padEnd(20)}${NAMES.map((name, i) => `${name} (${RUNTIMES[i]})`.padEnd(16)).join("")}`);
  for (const [kind, agents] of Object.entries(report)) {
    console.log(`  ${kind.padEnd(20)}${NAMES.map((name) => agents[name].padEnd(16)).join("")}`);
  }
  console.log();
  for (const text of broken) console.log(`BROKEN: ${text}`);
  console.log(broken.length === 0 ? "ok" : "FAILED");
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`chain: ${error.message}`);
  process.exitCode = 2;
}
