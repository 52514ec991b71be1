/**
 * The benchmark: runs everything on Deno and Bun, in processes of their own, and prints a table with the targets beside the
 * figures. README.md in this folder says what the rows mean.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { arch, cpus, loadavg, platform } from "node:os";
import process from "node:process";
import { type OptionSpec, type OptionValues, readOptions, UsageError } from "../scripts/options.ts";
import { BUN_VERSION, DENO_VERSION, resolveBun, resolveDeno } from "../scripts/tools.ts";
import { type Runtimes, runWorker, startServer } from "./child.ts";
import { type Effort, FULL, QUICK } from "./rounds.ts";
import { type Group, ROWS, rowsOf, type RuntimeName } from "./rows.ts";
import { type Result, tableOf, toResults } from "./table.ts";

const CPU_GROUPS: readonly Group[] = ["codec", "crypto", "handshake"];
const SOCKET_GROUPS: readonly Group[] = ["udp", "call", "calls", "bulk", "connect"];
/** Above this the machine has other things to do, and the figures say less. */
const QUIET_LOAD = 1.5;

const OPTIONS = {
  only: { type: "word", default: "all", words: ["all", ...CPU_GROUPS, ...SOCKET_GROUPS, ...Object.keys(ROWS)] },
  runtime: { type: "word", default: "all", words: ["all", "deno", "bun", "cross"] },
  quick: { type: "flag" },
  json: { type: "flag" },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

const HELP = `deno task bench [--only NAME] [--runtime deno|bun|cross] [--quick] [--json]

  --only NAME     a group (${[...CPU_GROUPS, ...SOCKET_GROUPS].join(", ")}) or a single row
  --runtime NAME  deno or bun on both sides, or cross: one on each
  --quick         short rounds: a look, not a figure to quote
  --json          one JSON object a line`;

/** A client and a server. */
type Pair = readonly [client: RuntimeName, server: RuntimeName];

async function main(options: OptionValues<typeof OPTIONS>): Promise<void> {
  const runtimes = findRuntimes(options.runtime);
  const names = Object.keys(runtimes) as RuntimeName[];
  const rows = options.only === "all"
    ? Object.keys(ROWS)
    : options.only in ROWS
    ? [options.only]
    : rowsOf([options.only as Group]);
  const effort = options.quick ? QUICK : FULL;
  const show = (title: string, results: readonly Result[]): void => {
    if (results.length === 0) return;
    if (options.json) { for (const result of results) console.log(JSON.stringify(result)); }
    else console.log(["", title, ...tableOf(results)].join("\n"));
  };
  describeMachine(options.json, names);

  const cpuRows = rowsIn(rows, CPU_GROUPS);
  if (cpuRows.length > 0 && options.runtime !== "cross") {
    for (const name of names) {
      const values = await runWorker(name, runtimes, "cpu_worker.ts", { ...effort, rows: cpuRows });
      show(`${name}, one core, no socket`, toResults(values, name, name));
    }
  }
  const socketRows = rowsIn(rows, SOCKET_GROUPS);
  if (socketRows.length === 0) return;
  for (const [client, server] of pairsOf(names, options.runtime)) {
    const title = client === server ? `${client}, two processes` : `${client} calls ${server}`;
    show(title, await measurePair(client, server, runtimes, effort, socketRows));
  }
}

async function measurePair(
  client: RuntimeName,
  server: RuntimeName,
  runtimes: Runtimes,
  effort: Effort,
  rows: readonly string[],
): Promise<Result[]> {
  const { ready, stop } = await startServer(server, runtimes, { ...effort, rows });
  try {
    const values = await runWorker(client, runtimes, "client_worker.ts", { ...effort, rows, server: ready });
    // Raw UDP is measured in every run; what else came along was not asked for.
    return toResults(values, client, server).filter(({ row }) => rows.includes(row) || ROWS[row].group === "udp");
  } finally {
    stop();
  }
}

function rowsIn(rows: readonly string[], groups: readonly Group[]): string[] {
  return rows.filter((row) => groups.includes(ROWS[row].group));
}

function pairsOf(names: readonly RuntimeName[], wanted: string): Pair[] {
  const same = names.map((name): Pair => [name, name]);
  const cross = names.flatMap((a) => names.filter((b) => b !== a).map((b): Pair => [a, b]));
  return wanted === "cross" ? cross : wanted === "all" ? [...same, ...cross] : same;
}

/** Where Deno and Bun are; says so if one that was not asked for by name is missing. */
function findRuntimes(wanted: string): Runtimes {
  const runtimes: Partial<Record<RuntimeName, string>> = {};
  if (wanted !== "bun") runtimes.deno = resolveDeno();
  if (wanted !== "deno") {
    try {
      runtimes.bun = resolveBun();
    } catch (error) {
      if (wanted !== "all") throw error;
      console.error(`without Bun: ${(error as Error).message}`);
    }
  }
  return runtimes;
}

function describeMachine(json: boolean, names: readonly RuntimeName[]): void {
  const versions: Record<RuntimeName, string> = { deno: process.versions.deno ?? DENO_VERSION, bun: BUN_VERSION };
  const machine = {
    date: new Date().toISOString(),
    system: `${platform()} ${arch()}`,
    cpu: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}`,
    load: loadNow(),
    runtimes: names.map((name) => `${name} ${versions[name]}`),
  };
  if (json) console.log(JSON.stringify({ machine }));
  else {console.log(
      `${machine.date}, ${machine.system}, ${machine.cpu}, load ${machine.load}, ${machine.runtimes.join(", ")}`,
    );}
  if (machine.load > QUIET_LOAD) console.error(`the machine is busy (load ${machine.load}): compare ratios at most`);
}

function loadNow(): number {
  try {
    return Number(readFileSync("/proc/loadavg", "utf8").split(" ")[0]);
  } catch {
    return loadavg()[0];
  }
}

try {
  const options = readOptions(OPTIONS, process.argv.slice(2));
  if (options.help) console.log(HELP);
  else await main(options);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
