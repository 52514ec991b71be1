/**
 * What came out of a benchmark, for people and for programs.
 *
 * @module
 */

import type { Client, ClientStats } from "../mod.ts";
import type { Mode } from "./bench.ts";
import type { Outcome, Progress } from "./bench_run.ts";
import type { ServerReport } from "./bench_server.ts";
import type { Console } from "./console.ts";
import { formatBytes, formatMilliseconds } from "./duration.ts";

const QUANTILES = [["p50", 0.5], ["p90", 0.9], ["p99", 0.99], ["p99.9", 0.999]] as const;

/** The flags with what stands for those that were left out. */
export interface Plan {
  readonly mode: Mode;
  readonly size: number;
  readonly concurrency: number;
  readonly connections: number;
  readonly durationMs: number;
  readonly warmUpMs: number;
  readonly rate: number | undefined;
}

/** CPU time, and what the server knows, at one moment. */
export interface Moment {
  readonly cpuMicros: number;
  readonly server: ServerReport | undefined;
  /** What became of events since the connections were made. */
  readonly delivered: number;
  readonly refused: number;
  readonly lost: number;
}

/** What a run has given. */
export interface Measured {
  readonly outcome: Outcome;
  /** A line for each connection that was lost. */
  readonly lost: readonly string[];
  readonly before: Moment;
  readonly after: Moment;
  readonly rss: number;
  readonly stats: ClientStats;
}

/** Everything that the result is told from. */
export interface Result extends Measured {
  readonly plan: Plan;
  readonly client: Client;
  readonly own: boolean;
}

/** One line about a run that goes on. */
export function progressText(plan: Plan, { isWarmUp, elapsedMs, messages, errors, latencies }: Progress): string {
  if (isWarmUp) return `${plan.mode}: warming up`;
  const parts = [`${formatCount(messages * 1000 / Math.max(elapsedMs, 1))} a second`];
  if (latencies.count > 0) {
    parts.push(`p50 ${formatNanos(latencies.quantile(0.5))}`, `p99 ${formatNanos(latencies.quantile(0.99))}`);
  }
  if (errors > 0) parts.push(`${errors} errors`);
  parts.push(`${(elapsedMs / 1000).toFixed(1)} of ${(plan.durationMs / 1000).toFixed(1)} s`);
  return `${plan.mode}: ${parts.join(", ")}`;
}

interface Figures {
  readonly seconds: number;
  readonly perSecond: number;
  /** Of payload in one direction. */
  readonly megabytes: number;
  readonly clientCpu: number;
  readonly serverCpu: number | undefined;
}

function figures({ plan, outcome, before, after }: Result): Figures {
  const seconds = outcome.elapsedMs / 1000;
  const perSecond = seconds > 0 ? outcome.messages / seconds : 0;
  const serverCpu = before.server !== undefined && after.server !== undefined
    ? (after.server.cpuMicros - before.server.cpuMicros) / 1e6
    : undefined;
  const clientCpu = (after.cpuMicros - before.cpuMicros) / 1e6;
  return { seconds, perSecond, megabytes: perSecond * plan.size / 1e6, clientCpu, serverCpu };
}

/** The result for people. */
export function resultText(result: Result, console: Console): string {
  const { plan, outcome, client, own, rss, after } = result;
  const { seconds, perSecond, megabytes, clientCpu, serverCpu } = figures(result);
  const { dim } = console.colors.stdout;
  const { kind, pattern, suite, ms } = client.handshake;
  const { udpPayload, congestion, packetsLost, packetsSent } = result.stats.transport;
  const isConnect = plan.mode === "connect";
  const size = isConnect ? "" : `, ${formatBytes(plan.size)}`;
  const over = isConnect ? "" : ` over ${plan.connections === 1 ? "1 connection" : `${plan.connections} connections`}`;
  const load = plan.rate === undefined ? "" : `, ${formatCount(plan.rate)} a second asked for`;
  const rows: [string, string][] = [
    ["node", own ? `${client.url} (its own process)` : client.url],
    ["handshake", `${formatMilliseconds(ms)} (${kind}, ${pattern}, ${suite})`],
    ["load", `${plan.mode}${size}, ${plan.concurrency} at a time${over}${load}`],
    ["time", `${seconds.toFixed(2)} s`],
    [
      isConnect ? "connections" : "messages",
      `${formatCount(outcome.messages)}, ${formatCount(perSecond)} a second${
        isConnect ? "" : `, ${megabytes.toFixed(2)} MB/s${plan.mode === "event" ? "" : " each way"}`
      }`,
    ],
    ["latency", latencyText(outcome)],
  ];
  if (outcome.unstarted > 0) {
    rows.push(["unstarted", `${formatCount(outcome.unstarted)}: the load asked for was not reached`]);
  }
  rows.push(["errors", errorText(outcome)], ["CPU", cpuText(outcome.messages, clientCpu, serverCpu)]);
  const memory = after.server === undefined ? "" : `, server ${formatBytes(after.server.rss)}`;
  rows.push(["memory", `client ${formatBytes(rss)}${memory}`]);
  if (!isConnect) {
    rows.push([
      "path",
      `${udpPayload} bytes a datagram, ${congestion.name}, ${packetsLost} of ${packetsSent} packets lost`,
    ]);
  }
  return rows.map(([name, text]) => `${dim(name)}${" ".repeat(13 - name.length)}${text}\n`).join("");
}

function latencyText({ latencies }: Outcome): string {
  if (latencies.count === 0) return "none was measured";
  const parts = QUANTILES.map(([name, q]) => `${name} ${formatNanos(latencies.quantile(q))}`);
  return `${parts.join(", ")}, max ${formatNanos(latencies.max)} (${formatCount(latencies.count)} samples)`;
}

function errorText({ errors }: Outcome): string {
  if (errors.size === 0) return "0";
  const total = [...errors.values()].reduce((sum, count) => sum + count, 0);
  return `${total} (${[...errors].map(([code, count]) => `${code} ${count}`).join(", ")})`;
}

function cpuText(messages: number, client: number, server: number | undefined): string {
  const part = (name: string, seconds: number): string => {
    const each = messages > 0 ? ` (${(seconds * 1e6 / messages).toFixed(2)} µs each)` : "";
    return `${name} ${seconds.toFixed(2)} s${each}`;
  };
  return server === undefined ? part("client", client) : `${part("client", client)}, ${part("server", server)}`;
}

/** The result for programs. */
export function resultObject(result: Result): unknown {
  const { plan, outcome, client, own, rss, after, stats, lost } = result;
  const { seconds, perSecond, megabytes, clientCpu, serverCpu } = figures(result);
  const { latencies, messages } = outcome;
  const each = (cpu: number | undefined): number | null =>
    cpu === undefined || messages === 0 ? null : round(cpu * 1e6 / messages);
  return {
    mode: plan.mode,
    size: plan.mode === "connect" ? null : plan.size,
    concurrency: plan.concurrency,
    connections: plan.connections,
    rate: plan.rate ?? null,
    duration_s: round(seconds),
    warmup_s: plan.warmUpMs / 1000,
    messages,
    messages_per_second: round(perSecond),
    megabytes_per_second: plan.mode === "connect" ? null : round(megabytes),
    latency_ms: {
      count: latencies.count,
      ...Object.fromEntries(QUANTILES.map(([name, q]) => [name, toMs(latencies.quantile(q))])),
      max: latencies.count === 0 ? null : toMs(latencies.max),
    },
    errors: Object.fromEntries(outcome.errors),
    unstarted: outcome.unstarted,
    connections_lost: lost.length,
    cpu_s: { client: round(clientCpu), server: serverCpu === undefined ? null : round(serverCpu) },
    cpu_us_per_message: { client: each(clientCpu), server: each(serverCpu) },
    rss_bytes: { client: rss, server: after.server?.rss ?? null },
    server: { url: client.url, own },
    handshake: stats.handshake,
    transport: stats.transport,
  };
}

/** Nanoseconds as milliseconds to the tenth of a microsecond; null for what there is none of. */
function toMs(nanos: number): number | null {
  return Number.isNaN(nanos) ? null : Math.round(nanos / 100) / 10_000;
}

function formatNanos(nanos: number): string {
  return nanos < 100_000 ? `${(nanos / 1000).toFixed(1)} µs` : formatMilliseconds(nanos / 1e6);
}

/** A number with its thousands apart. */
function formatCount(value: number): string {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, " ");
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
