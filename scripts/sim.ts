/**
 * Uploads and handshakes over simulated networks: `deno task sim -- --loss 5 --rtt 50 --rate 100 --seed 7 --json`.
 *
 * @module
 */

import { createHash } from "node:crypto";
import process from "node:process";
import { type Micros, micros, millis } from "../lib/base/time.ts";
import { selectProvider } from "../lib/crypto/select.ts";
import { runHandshake } from "../lib/testing/handshake_run.ts";
import { InvariantError } from "../lib/testing/invariants.ts";
import type { LinkProfile } from "../lib/testing/link.ts";
import { Pattern } from "../lib/testing/pattern.ts";
import { patternOf } from "../lib/testing/pattern_traffic.ts";
import { runUpload, type UploadResult } from "../lib/testing/upload_run.ts";
import { CONGESTION_NAMES } from "../lib/transport/congestion/create.ts";
import { defaultSettings } from "../lib/transport/settings.ts";
import { makeStreamId, StreamKind, StreamRole } from "../lib/wire/stream_id.ts";
import { type OptionSpec, readOptions, UsageError } from "./options.ts";

const HELP = `Uploads data over one connection through a simulated network, in virtual time.

  deno task sim -- [options]

  --bytes SIZE      how much to upload, with KB, MB, GB or KiB, MiB, GiB (10MB)
  --loss PERCENT    datagrams lost, each way (0)
  --burst N         how many are lost in a row (1)
  --bad-begin, --bad-end, --bad-loss PERCENT
                    bad spells (Gilbert–Elliott): probability, at each datagram, that one begins and that it
                    ends, and the share that is lost meanwhile (0, 10, 50)
  --rtt MS          round trip (50)
  --jitter MS       up to this much longer, each way (0)
  --rate MBIT       rate of the link in Mbit/s, each way (100)
  --queue SIZE      queue in front of it (one bandwidth-delay product, at least 64KiB)
  --mtu BYTES       larger UDP payloads vanish (none do)
  --reorder PERCENT datagrams held back, each way (0)
  --depth N         how many others overtake them (3)
  --duplicate PERCENT  datagrams that arrive twice (0)
  --corrupt PERCENT datagrams with flipped bits (0)
  --congestion NAME ${CONGESTION_NAMES.join(" or ")} (${defaultSettings.congestion})
  --pattern ik|xx   handshake: responder's key known or not (ik)
  --seed N          everything random follows from it (1)
  --runs N          N runs with the seeds SEED, SEED+1, … (1)
  --handshakes N    no upload: N handshakes instead
  --json            one JSON object a line
  --help

Exit code: 0 if every run was ok, 1 if one was not, 2 for wrong usage.`;

const OPTIONS = {
  bytes: { type: "size", default: 10_000_000 },
  loss: { type: "percent", default: 0 },
  burst: { type: "count", default: 1 },
  "bad-begin": { type: "percent", default: 0 },
  "bad-end": { type: "percent", default: 0.1 },
  "bad-loss": { type: "percent", default: 0.5 },
  rtt: { type: "number", default: 50 },
  jitter: { type: "number", default: 0 },
  rate: { type: "number", default: 100, least: 0.001 },
  queue: { type: "size", default: 0 },
  mtu: { type: "count", default: 65507 },
  reorder: { type: "percent", default: 0 },
  depth: { type: "count", default: 3 },
  duplicate: { type: "percent", default: 0 },
  corrupt: { type: "percent", default: 0 },
  congestion: { type: "word", default: defaultSettings.congestion, words: CONGESTION_NAMES },
  pattern: { type: "word", default: "ik", words: ["ik", "xx"] },
  seed: { type: "integer", default: 1 },
  runs: { type: "count", default: 1 },
  handshakes: { type: "integer", default: 0 },
  json: { type: "flag" },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

type Options = ReturnType<typeof readOptions<typeof OPTIONS>>;

const crypto = selectProvider();

function main(args: readonly string[]): number {
  const options = readOptions(OPTIONS, args);
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (options.handshakes > 0) return handshakes(options);
  const expected = sha256OfPattern(options.bytes);
  let failed = 0;
  for (let run = 0; run < options.runs; run++) if (!upload(options, options.seed + run, expected)) failed++;
  return failed === 0 ? 0 : 1;
}

function profileOf(options: Options): LinkProfile {
  return {
    delay: millis(options.rtt / 2),
    jitter: millis(options.jitter),
    rate: options.rate,
    queue: options.queue,
    mtu: options.mtu,
    loss: options.loss,
    lossBurst: options.burst,
    badSpells: options["bad-begin"] === 0
      ? undefined
      : { begin: options["bad-begin"], end: options["bad-end"], loss: options["bad-loss"] },
    duplicate: options.duplicate,
    corrupt: options.corrupt,
    reorder: options.reorder,
    reorderDepth: options.depth,
    reorderDelay: millis(10),
  };
}

/** One upload; whether it was ok. */
function upload(options: Options, seed: number, expected: string): boolean {
  const hash = createHash("sha256");
  let result: UploadResult;
  try {
    result = runUpload({
      seed,
      profile: profileOf(options),
      pattern: options.pattern === "ik" ? "IK" : "XX",
      crypto,
      settings: { congestion: CONGESTION_NAMES.find((name) => name === options.congestion) },
      bytes: options.bytes,
      onDelivered: (bytes) => void hash.update(bytes),
    });
  } catch (error) {
    if (!(error instanceof InvariantError)) throw error;
    console.error(`seed ${seed}: ${error.message}`);
    if (options.json) console.log(JSON.stringify({ ok: false, error: error.message, seed }));
    return false;
  }
  const { stats } = result;
  const isHashEqual = hash.digest("hex") === expected;
  const ok = result.complete && isHashEqual && result.connections === 1;
  if (result.failure !== undefined) console.error(`seed ${seed}: ${result.failure}`);
  const line = {
    ok,
    sha256_ok: isHashEqual,
    virtual_s: round(result.duration / 1e6, 6),
    goodput_mbit: round(result.goodput, 3),
    steady_goodput_mbit: round(result.steadyGoodput, 3),
    packets_sent: stats.packetsSent,
    packets_lost: stats.packetsLost,
    retransmitted_bytes: stats.retransmittedBytes,
    spurious_retransmissions: stats.spuriousLosses,
    handshakes: result.connections,
    seed,
  };
  if (options.json) console.log(JSON.stringify(line));
  else {
    console.log(
      `seed ${seed}: ${ok ? "ok" : "FAILED"}, ${options.bytes} bytes in ${round(line.virtual_s, 3)} s, ` +
        `${line.goodput_mbit} Mbit/s (second half ${line.steady_goodput_mbit}), ${line.packets_sent} packets, ` +
        `${line.packets_lost} lost, ${line.retransmitted_bytes} bytes sent again, ` +
        `${line.spurious_retransmissions} spurious`,
    );
  }
  return ok;
}

/** Many handshakes; the exit code. */
function handshakes(options: Options): number {
  const times: Micros[] = [];
  let failed = 0;
  for (let i = 0; i < options.handshakes; i++) {
    const seed = options.seed + i;
    try {
      const result = runHandshake({
        seed,
        profile: profileOf(options),
        pattern: options.pattern === "ik" ? "IK" : "XX",
        crypto,
      });
      if (result.complete) times.push(result.established);
      else {
        failed++;
        console.error(`seed ${seed}: ${result.failure}`);
      }
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      failed++;
      console.error(`seed ${seed}: ${error.message}`);
    }
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number => round((times[Math.floor(share * (times.length - 1))] ?? micros(0)) / 1e6, 6);
  const line = {
    ok: failed === 0,
    handshakes: options.handshakes,
    failed,
    p50_s: at(0.5),
    p90_s: at(0.9),
    max_s: at(1),
    seed: options.seed,
  };
  if (options.json) console.log(JSON.stringify(line));
  else {
    console.log(
      `${line.handshakes} handshakes from seed ${line.seed} on: ${failed} failed, ` +
        `p50 ${line.p50_s} s, p90 ${line.p90_s} s, slowest ${line.max_s} s`,
    );
  }
  return failed === 0 ? 0 : 1;
}

/** What the first stream of an initiator, one-way, should deliver. */
function sha256OfPattern(bytes: number): string {
  const pattern = new Pattern();
  const stream = patternOf(makeStreamId(0, StreamRole.INITIATOR, StreamKind.UNIDIRECTIONAL), StreamRole.INITIATOR);
  const hash = createHash("sha256");
  for (let at = 0; at < bytes;) {
    const piece = pattern.piece(stream, at, bytes - at);
    hash.update(piece);
    at += piece.length;
  }
  return hash.digest("hex");
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`sim: ${error.message}`);
  process.exitCode = 2;
}
