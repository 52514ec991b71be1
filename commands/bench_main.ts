/**
 * What `mxp bench` does, at either end.
 *
 * @module
 */

import process from "node:process";
import type { Client, Identity } from "../mod.ts";
import { type BenchFlags, DEFAULT_SIZE, type Mode } from "./bench.ts";
import { operationOf } from "./bench_modes.ts";
import { type Measured, type Moment, type Plan, progressText, resultObject, resultText } from "./bench_result.ts";
import { BenchRun, type Outcome } from "./bench_run.ts";
import { benchHandlers, BenchServer, isBenchChild, parentGone, serverReport } from "./bench_server.ts";
import { openConnection } from "./connection.ts";
import type { Console } from "./console.ts";
import { Deadline } from "./deadline.ts";
import { CliError, messageOf } from "./errors.ts";
import { callerIdentity, nodeIdentity } from "./identity.ts";
import type { Settings } from "./settings.ts";
import type { StopSignal } from "./signals.ts";
import type { Run } from "./spec.ts";

const DEFAULT_DURATION_MS = 5_000;
const DEFAULT_WARM_UP_MS = 1_000;
const DEFAULT_CONCURRENCY: Readonly<Record<Mode, number>> = { call: 64, stream: 16, event: 64, connect: 16 };
const REDRAW_MS = 200;
/** How long a node may take to answer a PING when the time is over. */
const PROBE_TIMEOUT_MS = 4_000;

/** Runs the command. */
export async function runBench({ args, flags, settings, console, stop }: Run<BenchFlags>): Promise<number> {
  if (flags.server) return await runServer(args[0], flags, settings, console, stop);
  if (flags.listen !== undefined) throw new CliError("usage", "--listen is for --server");
  const plan = planOf(flags);
  const { signal } = stop;
  await using own = args[0] === undefined ? await BenchServer.start(signal) : undefined;
  const identity = await benchIdentity(settings, own !== undefined);
  const clients: Client[] = [];
  try {
    const request = { settings, console, signal, identity, trustNew: flags.trustNew === true };
    const { parseMxpUrl } = await import("../mod.ts");
    for (let i = 0; i < plan.connections; i++) {
      const url = parseMxpUrl(i > 0 ? clients[0].url : own?.url ?? args[0]!);
      clients.push(await openConnection({ ...request, url, deadline: new Deadline(settings.timeoutMs) }));
    }
    const measured = await measure(plan, clients, identity, settings.timeoutMs, console, signal);
    const { outcome } = measured;
    if (outcome.messages === 0 && !signal.aborted) {
      throw outcome.firstError ?? new CliError("deadline", "not one message was through in the time given");
    }
    const result = { plan, client: clients[0], own: own !== undefined, ...measured };
    if (console.json) await console.value(resultObject(result));
    else await console.write(resultText(result, console));
    for (const text of measured.lost) console.error(`mxp: ${text}\n`);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
  return stop.exitCode;
}

function planOf(flags: BenchFlags): Plan {
  const { mode = "call", size = DEFAULT_SIZE, connections = 1, rate } = flags;
  const concurrency = flags.concurrency ?? Math.max(connections, DEFAULT_CONCURRENCY[mode]);
  const durationMs = flags.duration ?? DEFAULT_DURATION_MS;
  if (durationMs === 0) throw new CliError("usage", "--duration is 0; nothing can be measured in no time");
  if (mode === "connect" && flags.size !== undefined) {
    throw new CliError("usage", "--size has no meaning with --mode connect, which sends no messages");
  }
  if (mode === "connect" && connections > 1) {
    throw new CliError(
      "usage",
      "--connections has no meaning with --mode connect; --concurrency says how many at a time",
    );
  }
  return { mode, size, connections, rate, concurrency, durationMs, warmUpMs: flags.warmup ?? DEFAULT_WARM_UP_MS };
}

/** Who we are: for a server of our own anybody, else whom the settings name. */
async function benchIdentity(settings: Settings, isOwn: boolean): Promise<Identity> {
  const { generateIdentity } = await import("../mod.ts");
  return (isOwn ? undefined : await callerIdentity(settings)) ?? generateIdentity();
}

/** The other end. */
async function runServer(
  url: string | undefined,
  flags: BenchFlags,
  cliSettings: Settings,
  console: Console,
  stop: StopSignal,
): Promise<number> {
  if (url !== undefined) throw new CliError("usage", "--server is reached by others; it takes no URL");
  const { generateIdentity, parseHostPort, serve } = await import("../mod.ts");
  const isChild = isBenchChild();
  const identity = isChild ? generateIdentity() : await nodeIdentity(cliSettings, console);
  const listen = parseHostPort(flags.listen ?? "127.0.0.1:0");
  // What is to be measured is the work of handshakes, not the defence against too many of them.
  const settings = { retry: "never", helloRate: 1e9, helloBudget: 1e9 } as const;
  await using server = await serve({ listen, identity, settings }, benchHandlers());
  if (console.json) await console.value({ event: "listening", url: server.url });
  else await console.line(`listening ${server.url}`);
  if (isChild) {
    await parentGone();
    return 0;
  }
  const { signal } = stop;
  await Promise.race([
    server.closed,
    new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    }),
  ]);
  return stop.exitCode;
}

async function measure(
  plan: Plan,
  clients: readonly Client[],
  identity: Identity,
  timeoutMs: number | undefined,
  console: Console,
  signal: AbortSignal,
): Promise<Measured> {
  const operation = await operationOf(plan.mode, { clients, identity, size: plan.size, timeoutMs });
  let before = await moment(clients);
  const run = new BenchRun(operation, { ...plan, signal });
  let isSettled: Promise<unknown> = Promise.resolve();
  let after: Moment | undefined;
  let lost: Promise<LostConnection[]> = Promise.resolve([]);
  // Both are asked while the load is on: an answer takes its turn among the others.
  run.onCounting = () => isSettled = moment(clients).then((now) => before = now);
  run.onCounted = () => {
    lost = lostOnes(clients, signal);
    isSettled = isSettled.then(() => moment(clients)).then((now) => after = now);
  };
  const timer = console.stderrIsTerminal && console.notes
    ? setInterval(() => console.transient(progressText(plan, run.progress())), REDRAW_MS)
    : undefined;
  try {
    const outcome = await run.run();
    await isSettled;
    const stats = clients[0].stats();
    return {
      outcome: counted(plan, outcome, before, after!, await lost),
      lost: (await lost).map(({ text }) => text),
      before,
      after: after!,
      rss: process.memoryUsage().rss,
      stats,
    };
  } finally {
    clearInterval(timer);
    console.clearTransient();
  }
}

/** Events count when they have arrived, not when they were handed over. */
function counted(
  plan: Plan,
  outcome: Outcome,
  before: Moment,
  after: Moment,
  lost: readonly LostConnection[],
): Outcome {
  if (plan.mode !== "event") return outcome;
  const messages = before.server !== undefined && after.server !== undefined
    ? after.server.events - before.server.events
    : after.delivered - before.delivered;
  const errors = new Map(outcome.errors);
  // Those that wait for room are operations that have not come back, and counted already.
  const open = lost.map(({ client }) => client.stats().events).reduce((sum, one) => sum + one.pending - one.queued, 0);
  for (const [code, count] of [["overloaded", after.refused], ["connection_lost", after.lost + open]] as const) {
    if (count > 0) errors.set(code, (errors.get(code) ?? 0) + count);
  }
  return { ...outcome, messages, errors };
}

/** A connection whose node does not answer any more. */
interface LostConnection {
  readonly client: Client;
  /** What there is to say. */
  readonly text: string;
}

async function lostOnes(clients: readonly Client[], signal: AbortSignal): Promise<LostConnection[]> {
  const all = await Promise.all(clients.map(async (client) => {
    try {
      await client.ping({ timeoutMs: PROBE_TIMEOUT_MS, signal });
    } catch (error) {
      if (signal.aborted) return undefined;
      return { client, text: `the connection to ${client.peer.address} was lost: ${messageOf(error)}` };
    }
  }));
  return all.filter((one) => one !== undefined);
}

async function moment(clients: readonly Client[]): Promise<Moment> {
  const server = await serverReport(clients[0]);
  const { user, system } = process.cpuUsage();
  const events = clients.map((client) => client.stats().events);
  const total = (name: "delivered" | "refused" | "lost"): number => events.reduce((sum, one) => sum + one[name], 0);
  const [delivered, refused, lost] = [total("delivered"), total("refused"), total("lost")];
  return { cpuMicros: user + system, server, delivered, refused, lost };
}
