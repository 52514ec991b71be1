/**
 * `mxp bench`: how many, how fast, at which latency.
 *
 * @module
 */

import { TRUST_NEW, URL_HELP } from "./connection.ts";
import { MAX_PAYLOAD } from "./data.ts";
import type { CommandSpec } from "./spec.ts";
import { byteCount, duration, notEmpty, oneOf, wholeNumber } from "./values.ts";

/** What can be measured. */
export const MODES = ["call", "stream", "event", "connect"] as const;
/** One of {@link MODES}. */
export type Mode = typeof MODES[number];

/** What the command is told. */
export interface BenchFlags {
  readonly mode?: Mode;
  readonly size?: number;
  readonly concurrency?: number;
  readonly connections?: number;
  readonly duration?: number;
  readonly warmup?: number;
  readonly rate?: number;
  readonly server?: boolean;
  readonly listen?: string;
  readonly trustNew?: boolean;
}

/** Bytes of a message. */
export const DEFAULT_SIZE = 64;

/** The command. */
export const bench: CommandSpec<BenchFlags> = {
  name: "bench",
  summary: "measure calls, streams, events or connections",
  arguments: [{ name: "[URL]", description: "the node; without it, a server is started on this machine for the time" }],
  options: [
    {
      flags: "--mode <MODE>",
      description: `what to do: ${MODES.join(", ")}`,
      fallback: "call",
      parse: oneOf(MODES),
    },
    {
      flags: "--size <BYTES>",
      description: "bytes of each message, such as 64, 4KiB, 1MiB",
      fallback: String(DEFAULT_SIZE),
      parse: byteCount(0, MAX_PAYLOAD),
    },
    {
      flags: "-c, --concurrency <N>",
      description: "operations under way at a time, on all connections together (default: 64; streams, connect: 16)",
      parse: wholeNumber(1, 100_000),
    },
    {
      flags: "--connections <N>",
      description: "connections to spread them over",
      fallback: "1",
      parse: wholeNumber(1, 1_000),
    },
    { flags: "--duration <TIME>", description: "how long to measure", fallback: "5s", parse: duration },
    { flags: "--warmup <TIME>", description: "how long to run before, uncounted", fallback: "1s", parse: duration },
    {
      flags: "--rate <N>",
      description: "begin N operations a second, whatever the answers do; latency counts from when each was due",
      parse: wholeNumber(1, 10_000_000),
    },
    { flags: "--server", description: "be the other end of a benchmark, for mxp bench URL on another machine" },
    { flags: "--listen <HOST:PORT>", description: "where --server listens", fallback: "127.0.0.1:0", parse: notEmpty },
    TRUST_NEW,
  ],
  details: [
    "call: a call and its answer. stream: a chunk there and back, on a stream that stays open for each operation at a time. " +
    "event: events that nobody waits for; among them goes, one at a time, one whose Ack gives the latency. connect: a " +
    "handshake with a known key, and the end of the connection; latency is that of the handshake.",
    "Without --rate, the next operation begins when one has ended: a server that stalls is then asked less often, and its " +
    "stall shows in few samples only. With --rate it shows in full. Operations that could not begin before the end, because " +
    "--concurrency others had not come back, are told as unstarted, and count with the time that they had waited. While it " +
    "waits for the next one to be due, the client turns its event loop, so its CPU time says little then.",
    "Latencies are good to 0.8 %. CPU is user and system time of both processes; the server's is only known of a server that " +
    "mxp bench has started, here or elsewhere with --server. Any node that answers calls can be measured with --mode call.",
    'With --json: {"mode", "size", "concurrency", "connections", "rate", "duration_s", "warmup_s", "messages", ' +
    '"messages_per_second", "megabytes_per_second" (of payload, each way), "latency_ms": {"count", "p50", "p90", "p99", ' +
    '"p99.9", "max"}, "errors": {code: count}, "unstarted", "connections_lost", "cpu_s": {"client", "server"}, "cpu_us_per_message": {…}, ' +
    '"rss_bytes": {…}, "server": {"url", "own"}, "handshake", "transport" (of the first connection)}.',
    "Operations that the node refuses, and those that have not come back some five seconds after the end, are errors, and end " +
    "nothing else. A node that does not answer at the end is told on standard error: its connection was lost.",
    "The exit code is 0 if any message was through; else that of the first error. --timeout limits connecting and each " +
    "operation (to 10 s at most, a chunk on a stream excepted), not the whole command, which may take ten seconds longer than " +
    "--warmup and --duration with a node that does not answer.",
    ...URL_HELP,
  ],
  examples: [
    ["mxp bench", "64 calls of 64 bytes at a time, for five seconds, on this machine"],
    ["mxp bench --rate 20000 --duration 30s", "latency at a load that does not wait for answers"],
    ["mxp bench --mode stream --size 16KiB -c 4 --json > result.json", "chunks, for a program to read"],
    ["mxp bench mxp://KEY@192.0.2.7:9000 --connections 8", "a node somewhere else, over eight connections"],
    ["mxp bench --server --listen 0.0.0.0:9000", "the server for it, on the other machine"],
  ],
  async run(run) {
    return await (await import("./bench_main.ts")).runBench(run);
  },
};
