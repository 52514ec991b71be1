/**
 * `mxp ping`: is a node there, how far is it, and what was agreed with it.
 *
 * @module
 */

import type { Client } from "../mod.ts";
import { openConnection, TRUST_NEW, URL_HELP } from "./connection.ts";
import type { Console } from "./console.ts";
import { Deadline, DEFAULT_TIMEOUT_MS } from "./deadline.ts";
import { formatBytes, formatMilliseconds } from "./duration.ts";
import { CliError, codeOf } from "./errors.ts";
import type { CommandSpec } from "./spec.ts";
import { duration, wholeNumber } from "./values.ts";

interface Flags {
  readonly count?: number;
  readonly interval?: number;
  readonly trustNew?: boolean;
  readonly resume?: boolean;
}

const DEFAULT_COUNT = 4;
const DEFAULT_INTERVAL_MS = 200;

/** The command. */
export const ping: CommandSpec<Flags> = {
  name: "ping",
  summary: "measure the handshake and round trips to a node",
  arguments: [{ name: "<URL>", description: "the node: mxp://[KEY@]HOST[:PORT]" }],
  options: [
    {
      flags: "-c, --count <N>",
      description: "how many round trips to measure",
      fallback: String(DEFAULT_COUNT),
      parse: wholeNumber(1, 1_000_000),
    },
    {
      flags: "--interval <TIME>",
      description: "pause between two of them",
      fallback: `${DEFAULT_INTERVAL_MS}ms`,
      parse: duration,
    },
    {
      flags: "--resume",
      description: "use a ticket of an earlier connection if there is one, and keep new ones, as mxp call --early does",
    },
    TRUST_NEW,
  ],
  details: [
    "A round trip is a PING frame and its acknowledgement inside the encrypted connection: it costs the node no call. " +
    "--timeout limits connecting and each round trip, not the whole command.",
    'With --json: {"url", "address", "handshake": {"kind", "pattern", "suite", "ms"}, "rtt_ms": {"count", "min", "avg", ' +
    '"p50", "max", "samples"}, "path_mtu", "congestion": {"controller", "state", "window"}}. path_mtu and window are bytes.',
    "The handshake is full where the node's key was known, a first contact where it had to be learned, and resumed where --resume " +
    "has found a ticket.",
    ...URL_HELP,
  ],
  examples: [
    ["mxp ping mxp://KEY@127.0.0.1:9000", "four round trips"],
    ["mxp ping mxp://192.0.2.7 -c 100 --interval 20ms --json --trust-new", "a hundred, for a program to read"],
  ],
  async run({ args, flags, settings, console, stop }) {
    const { parseMxpUrl } = await import("../mod.ts");
    const url = parseMxpUrl(args[0]!);
    if (url.agent !== undefined) {
      throw new CliError("usage", `ping: round trips are measured to a node; leave /${url.agent} out of the URL`);
    }
    const { signal } = stop;
    const deadline = new Deadline(settings.timeoutMs);
    const trustNew = flags.trustNew === true;
    const tickets = flags.resume ? "resume" : undefined;
    const client = await openConnection({
      url,
      settings,
      console,
      deadline,
      signal,
      trustNew,
      tickets,
      probePath: true,
    });
    try {
      if (!console.json) await console.write(head(client, console));
      const count = flags.count ?? DEFAULT_COUNT;
      const limit = settings.timeoutMs === 0 ? Infinity : settings.timeoutMs ?? DEFAULT_TIMEOUT_MS;
      const samples: number[] = [];
      for (let i = 0; i < count; i++) {
        if (i > 0) await pause(flags.interval ?? DEFAULT_INTERVAL_MS, signal);
        // What was measured before somebody pressed Ctrl-C is worth a summary.
        if (signal.aborted) break;
        try {
          samples.push((await client.ping({ timeoutMs: limit, signal })).rttMs);
        } catch (error) {
          if (!signal.aborted || codeOf(error) === "internal") throw error;
          break;
        }
        if (!console.json) await console.line(`round trip ${i + 1}  ${formatMilliseconds(samples[i])}`);
      }
      if (samples.length === 0) throw signal.reason;
      if (console.json) await console.value(summaryObject(client, samples));
      else await console.write(summary(client, samples, console));
      return stop.exitCode;
    } finally {
      await client.close();
    }
  },
};

function head(client: Client, console: Console): string {
  const { dim } = console.colors.stdout;
  const { kind, pattern, suite, ms } = client.handshake;
  return `${dim("node")}          ${client.url} (${client.peer.address})\n` +
    `${dim("handshake")}     ${formatMilliseconds(ms)} (${kind}, ${pattern}, ${suite})\n`;
}

function summary(client: Client, samples: readonly number[], console: Console): string {
  const { dim } = console.colors.stdout;
  const { min, avg, p50, max, count } = aggregate(samples);
  const { udpPayload, congestion } = client.stats().transport;
  const trips = count === 1 ? "1 round trip" : `${count} round trips`;
  const times = [["min", min], ["avg", avg], ["p50", p50], ["max", max]] as const;
  const text = times.map(([name, value]) => `${name} ${formatMilliseconds(value)}`).join(", ");
  return `${dim("round trips")}   ${text} (${trips})\n` +
    `${dim("path MTU")}      ${udpPayload} bytes a UDP datagram\n` +
    `${dim("congestion")}    ${congestion.name}, ${congestion.state.replaceAll("_", " ")}, window ${
      formatBytes(congestion.window)
    }\n`;
}

function summaryObject(client: Client, samples: readonly number[]): unknown {
  const { min, avg, p50, max, count } = aggregate(samples);
  const { udpPayload, congestion } = client.stats().transport;
  const { kind, pattern, suite, ms } = client.handshake;
  return {
    url: client.url,
    address: client.peer.address,
    handshake: { kind, pattern, suite, ms: round(ms) },
    rtt_ms: { count, min: round(min), avg: round(avg), p50: round(p50), max: round(max), samples: samples.map(round) },
    path_mtu: udpPayload,
    congestion: { controller: congestion.name, state: congestion.state, window: congestion.window },
  };
}

interface Aggregate {
  readonly min: number;
  readonly avg: number;
  /** The middle one; of an even number the lower one of the two. */
  readonly p50: number;
  readonly max: number;
  readonly count: number;
}

function aggregate(samples: readonly number[]): Aggregate {
  const sorted = [...samples].sort((a, b) => a - b);
  const count = sorted.length;
  const sum = sorted.reduce((total, sample) => total + sample, 0);
  return { min: sorted[0], avg: sum / count, p50: sorted[(count - 1) >> 1], max: sorted[count - 1], count };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done, { once: true });
  });
}
