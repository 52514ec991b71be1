/**
 * Bad datagrams and senseless frames into live endpoints: `deno task fuzz -- --count 1000000 --seed 7`.
 *
 * @module
 */

import process from "node:process";
import { millis } from "../lib/base/time.ts";
import { selectProvider } from "../lib/crypto/select.ts";
import { runFrameFuzz } from "../lib/testing/frame_fuzz_run.ts";
import { runFuzz } from "../lib/testing/fuzz_run.ts";
import { runPackedFuzz } from "../lib/testing/packed_fuzz_run.ts";
import { transportErrorName } from "../lib/wire/error_codes.ts";
import { type OptionSpec, readOptions, UsageError } from "./options.ts";

const HELP = `Attacks live endpoints in a simulated network, and says what breaks.

  deno task fuzz -- [options]

  --count N    random, truncated and mutated datagrams, with an honest transfer beside (1000000)
  --peers N    peers that finish the handshake and then send frames without sense (5000)
  --packed N   pieces of compressed and sealed data that were changed (100000)
  --seed N     everything random follows from it (1)
  --json       one JSON object a line
  --help

They are sent in runs of 20000 datagrams or pieces, or 500 peers, each with the next seed, which a failure names.
Exit code: 0 if nothing was found, 1 if something was, 2 for wrong usage.`;

const OPTIONS = {
  count: { type: "integer", default: 1_000_000 },
  peers: { type: "integer", default: 5000 },
  packed: { type: "integer", default: 100_000 },
  seed: { type: "integer", default: 1 },
  json: { type: "flag" },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

const DATAGRAMS_PER_RUN = 20_000;
const PEERS_PER_RUN = 500;
const crypto = selectProvider();

/** What a run found, for people and for programs. */
interface Report {
  readonly ok: boolean;
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

function main(args: readonly string[]): number {
  const options = readOptions(OPTIONS, args);
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const datagramsOk = inRuns(options.count, DATAGRAMS_PER_RUN, options.seed, options.json, datagrams);
  const framesOk = inRuns(options.peers, PEERS_PER_RUN, options.seed, options.json, frames);
  const packedOk = inRuns(options.packed, DATAGRAMS_PER_RUN, options.seed, options.json, packed);
  return datagramsOk && framesOk && packedOk ? 0 : 1;
}

function inRuns(
  total: number,
  size: number,
  seed: number,
  json: boolean,
  run: (seed: number, count: number) => Report,
): boolean {
  let ok = true;
  for (let left = total; left > 0; left -= size, seed++) {
    try {
      const report = run(seed, Math.min(size, left));
      ok &&= report.ok;
      console.log(json ? JSON.stringify({ ok: report.ok, seed, ...report.json }) : `seed ${seed}: ${report.text}`);
    } catch (error) {
      ok = false;
      console.error(`seed ${seed}, ${run.name}:`, error);
      if (json) console.log(JSON.stringify({ ok: false, seed, error: String(error) }));
    }
  }
  return ok;
}

function datagrams(seed: number, count: number): Report {
  const profile = { delay: millis(10), rate: 50, loss: 0.01 };
  const result = runFuzz({ seed, count, crypto, pattern: seed % 2 === 0 ? "XX" : "IK", profile });
  const ok = result.complete && result.answeredBytes <= 3 * result.sentBytes;
  const text = `${ok ? "ok" : "FAILED"}, ${result.sent} datagrams, ${result.answeredBytes} bytes of answers to ` +
    `${result.sentBytes}, honest transfer ${result.complete ? "arrived" : "did not arrive"}, ` +
    `at most ${result.mostConnections} connections`;
  return { ok, text, json: { ...result } };
}

function frames(seed: number, count: number): Report {
  const { packets, closes, leftConnections } = runFrameFuzz({ seed, crypto, peers: count });
  const ok = leftConnections === 0;
  const reasons = Object.fromEntries([...closes].map(([code, times]) => [transportErrorName(code), times]));
  const text =
    `${ok ? "ok" : "FAILED"}, ${count} peers, ${packets} packets, cut off with ${JSON.stringify(reasons)}, ` +
    `${leftConnections} connections left`;
  return { ok, text, json: { peers: count, packets, closes: reasons, leftConnections } };
}

function packed(seed: number, count: number): Report {
  const { executions, framesTaken, headsOpened } = runPackedFuzz(seed, count, crypto);
  const text =
    `ok, ${executions} pieces, ${framesTaken} frames still good, ${headsOpened} envelopes with only a bad body`;
  return { ok: true, text, json: { packed: executions, framesTaken, headsOpened } };
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`fuzz: ${error.message}`);
  process.exitCode = 2;
}
