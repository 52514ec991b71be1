/**
 * Bad datagrams at a real node in a process of its own, over a real socket: `deno task fuzz:node -- --count 100000 --seed 7`.
 * Says what came back, whether the node still serves, and how its memory went.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { createInterface } from "node:readline";
import { address } from "../lib/base/address.ts";
import { bindNodeUdp } from "../lib/runtime/node_udp.ts";
import { DatagramFuzzer } from "../lib/testing/datagram_fuzzer.ts";
import { PlainFuzzer } from "../lib/testing/plain_fuzzer.ts";
import { SeededRandom } from "../lib/testing/seeded_random.ts";
import { connect } from "../mod.ts";
import { type OptionSpec, readOptions, UsageError } from "./options.ts";
import { resolveBun, resolveDeno } from "./tools.ts";

const HELP = `Sends random, truncated and mutated datagrams to a real node on loopback, and says how it took them.

  deno task fuzz:node -- [options]

  --count N        datagrams (100000)
  --seed N         everything random follows from it (1)
  --runtime NAME   what the node runs on: deno or bun (deno)
  --carrier NAME   the port that they go to: secure or plain (secure)
  --json
  --help`;

const OPTIONS = {
  count: { type: "integer", default: 100_000 },
  seed: { type: "integer", default: 1 },
  runtime: { type: "word", default: "deno", words: ["deno", "bun"] },
  carrier: { type: "word", default: "secure", words: ["secure", "plain"] },
  json: { type: "flag" },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

/** Few enough that the kernel's receive buffer takes them, so that the node really sees them. */
const BURST = 50;
const CALLS_BETWEEN = 200;
/** The plain carrier takes so much from one source, and from all, that it takes several and some patience to be heard. */
const PLAIN_SOURCES = 16, PLAIN_PAUSE_MS = 12;

/** Resident memory of a process in MiB; NaN where there is no /proc. */
function residentMiB(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
  } catch {
    return NaN;
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function calls(url: string): Promise<void> {
  await using client = await connect(url);
  for (let i = 0; i < CALLS_BETWEEN; i++) {
    if ((await client.call(`call ${i}`)).text() !== `call ${i}`) throw new Error("the node answered wrongly");
  }
}

/** What {@link attack} counted. */
interface Traffic {
  sent: number;
  sentBytes: number;
  answers: number;
  answerBytes: number;
}

/** A relay between honest clients and the node, so that the fuzzer learns real packets; then the fuzzer speaks from its address. */
async function attack(port: number, key: string, count: number, seed: number, rss: () => void): Promise<Traffic> {
  const fuzzer = new DatagramFuzzer(new SeededRandom(seed));
  const node = address("127.0.0.1", port);
  const traffic: Traffic = { sent: 0, sentBytes: 0, answers: 0, answerBytes: 0 };
  let attacking = false;
  let client = node;
  const socket = await bindNodeUdp({ host: "127.0.0.1", port: 0 }, {
    onDatagram(bytes, remote) {
      const copy = bytes.slice();
      if (attacking) {
        if (remote.port !== port) return;
        traffic.answers++;
        traffic.answerBytes += bytes.length;
        return;
      }
      fuzzer.learn(copy);
      if (remote.port !== port) client = remote;
      socket.send(copy, remote.port === port ? client : node);
    },
    onBatchEnd: () => void socket.flush(),
    onError(error) {
      throw error;
    },
  });
  try {
    const honest = await connect(`mxp://${key}@127.0.0.1:${socket.local.port}`);
    for (let i = 0; i < 50; i++) await honest.call("x".repeat(i * 100));
    attacking = true;
    while (traffic.sent < count) {
      for (let i = 0; i < BURST && traffic.sent < count; i++) {
        const bytes = fuzzer.next();
        traffic.sent++;
        traffic.sentBytes += bytes.length;
        socket.send(bytes, node);
      }
      await socket.flush();
      await pause(1);
      if (traffic.sent % 20_000 < BURST) rss();
    }
    await pause(500);
    attacking = false;
    await honest.close();
  } finally {
    socket.close();
  }
  return traffic;
}

/** Messages in clear from several ports, none of which makes sense. */
async function attackInClear(port: number, count: number, seed: number, rss: () => void): Promise<Traffic> {
  const fuzzer = new PlainFuzzer(new SeededRandom(seed));
  const node = address("127.0.0.1", port);
  const traffic: Traffic = { sent: 0, sentBytes: 0, answers: 0, answerBytes: 0 };
  const handlers = {
    onDatagram(bytes: Uint8Array) {
      traffic.answers++;
      traffic.answerBytes += bytes.length;
    },
    onBatchEnd: () => {},
    onError(error: Error) {
      throw error;
    },
  };
  const local = { host: "127.0.0.1", port: 0 };
  const sockets = await Promise.all(Array.from({ length: PLAIN_SOURCES }, () => bindNodeUdp(local, handlers)));
  while (traffic.sent < count) {
    for (let i = 0; i < BURST && traffic.sent < count; i++) {
      const bytes = fuzzer.next();
      traffic.sentBytes += bytes.length;
      sockets[traffic.sent++ % PLAIN_SOURCES].send(bytes, node);
    }
    for (const socket of sockets) await socket.flush();
    await pause(PLAIN_PAUSE_MS);
    if (traffic.sent % 20_000 < BURST) rss();
  }
  await pause(500);
  for (const socket of sockets) socket.close();
  return traffic;
}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(OPTIONS, args);
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const home = mkdtempSync(`${tmpdir()}/mxp-fuzz-`);
  const [command, ...first] = options.runtime === "bun" ? [resolveBun()] : [resolveDeno(), "run", "-A"];
  const serve = ["serve", "--listen", "127.0.0.1:0", "--echo", "--json", "--plain", "127.0.0.1:0"];
  const child = spawn(command, [...first, "cli.ts", ...serve], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, XDG_CONFIG_HOME: home },
  });
  try {
    const [line] = await once(createInterface(child.stdout!), "line") as [string];
    const { url, plain } = JSON.parse(line) as { url: string; plain: string };
    const [, key, port] = /mxp:\/\/(.+)@.+:(\d+)$/.exec(url)!;
    for (let i = 0; i < 5; i++) await calls(url);
    const memory = [residentMiB(child.pid!)];
    const { count, seed, carrier } = options;
    const rss = () => memory.push(residentMiB(child.pid!));
    const traffic = carrier === "secure"
      ? await attack(Number(port), key, count, seed, rss)
      : await attackInClear(Number(plain.split(":")[1]), count, seed, rss);
    for (let i = 0; i < 5; i++) await calls(url);
    await pause(1_000);
    memory.push(residentMiB(child.pid!));
    const factor = traffic.answerBytes / traffic.sentBytes;
    const ok = child.exitCode === null && factor <= 3;
    const rounded = memory.map((value) => Math.round(value));
    if (options.json) {
      console.log(JSON.stringify({ ok, seed: options.seed, ...traffic, factor, resident_mib: rounded }));
    } else {
      console.log(
        `${ok ? "ok" : "FAILED"}  seed ${options.seed}: ${traffic.sent} datagrams, ${traffic.sentBytes} bytes sent`,
      );
      console.log(
        `answered with ${traffic.answers} datagrams, ${traffic.answerBytes} bytes: ${factor.toFixed(4)} times as much`,
      );
      console.log(`the node serves on; its resident memory: ${rounded.join(", ")} MiB`);
    }
    return ok ? 0 : 1;
  } finally {
    child.kill("SIGTERM");
    await once(child, "exit");
    rmSync(home, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(`fuzz: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
