/**
 * Uploads and handshakes over simulated networks: `deno task sim -- --loss 5 --rtt 50 --rate 100 --seed 7 --json`; and the scenarios of
 * docs/reliability.md: `deno task sim -- --scenario A1 --cc newreno`.
 *
 * @module
 */

import process from "node:process";
import { type Micros, micros, millis } from "../lib/base/time.ts";
import { selectProvider } from "../lib/crypto/select.ts";
import { runHandshake } from "../lib/testing/handshake_run.ts";
import { InvariantError } from "../lib/testing/invariants.ts";
import type { LinkProfile } from "../lib/testing/link.ts";
import { CONGESTION_NAMES } from "../lib/transport/congestion/create.ts";
import { defaultSettings } from "../lib/transport/settings.ts";
import { type OptionSpec, readOptions, UsageError } from "./options.ts";
import { hashedUpload, type HashedUploadResult } from "./scenarios/hashed_upload.ts";
import { listScenarios, runScenarios, scenariosOf } from "./scenarios/run.ts";

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
  --congestion NAME, --cc NAME
                    ${CONGESTION_NAMES.join(", ")}, or, with --scenario, all (${defaultSettings.congestion})
  --pattern ik|xx   handshake: responder's key known or not (ik)
  --seed N          everything random follows from it (1)
  --runs N          N runs with the seeds SEED, SEED+1, … (1)
  --handshakes N    no upload: N handshakes instead
  --scenario NAME   no upload: a scenario of docs/reliability.md, or all of them; what shapes the link is ignored
  --cell TEXT       only its cell of that name, or those whose names contain it
  --quick           smaller ones, for a look
  --list            says which there are
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
  congestion: { type: "word", default: defaultSettings.congestion, words: [...CONGESTION_NAMES, "all"] },
  pattern: { type: "word", default: "ik", words: ["ik", "xx"] },
  seed: { type: "integer", default: 1 },
  runs: { type: "count", default: 1 },
  handshakes: { type: "integer", default: 0 },
  scenario: { type: "text", default: "" },
  cell: { type: "text", default: "" },
  quick: { type: "flag" },
  list: { type: "flag" },
  json: { type: "flag" },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

type Options = ReturnType<typeof readOptions<typeof OPTIONS>>;

const crypto = selectProvider();

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(OPTIONS, args.map((argument) => argument.replace(/^--cc(?==|$)/, "--congestion")));
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (options.list) {
    listScenarios(options.json);
    return 0;
  }
  if (options.scenario !== "") {
    if (scenariosOf(options.scenario) !== undefined) return await runScenarios({ ...options, crypto });
    throw new UsageError(`there is no scenario ${JSON.stringify(options.scenario)}, see --list`);
  }
  if (options.congestion === "all") throw new UsageError("--congestion all goes with --scenario");
  if (options.handshakes > 0) return handshakes(options);
  let failed = 0;
  for (let run = 0; run < options.runs; run++) if (!upload(options, options.seed + run)) failed++;
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
function upload(options: Options, seed: number): boolean {
  let result: HashedUploadResult;
  try {
    result = hashedUpload({
      seed,
      profile: profileOf(options),
      pattern: options.pattern === "ik" ? "IK" : "XX",
      crypto,
      settings: { congestion: CONGESTION_NAMES.find((name) => name === options.congestion) },
      bytes: options.bytes,
    });
  } catch (error) {
    if (!(error instanceof InvariantError)) throw error;
    console.error(`seed ${seed}: ${error.message}`);
    if (options.json) console.log(JSON.stringify({ ok: false, error: error.message, seed }));
    return false;
  }
  const { stats, isHashEqual, isExact: ok } = result;
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

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`sim: ${error.message}`);
  process.exitCode = 2;
}
