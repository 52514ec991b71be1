/**
 * Kills a node at random moments while agents register at it, starts it again on the same file, and looks whether every
 * registration that it had acknowledged is there.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { connect, generateIdentity } from "../mod.ts";
import { SeededRandom } from "../lib/testing/seeded_random.ts";

/** What a run is to do. */
export interface KillRunOptions {
  /** The program and its leading arguments. */
  readonly program: readonly string[];
  readonly kills: number;
  readonly seed: number;
  /** Told after each kill. */
  readonly onKill?: (round: KillRound) => void;
}

/** One life of the node. */
export interface KillRound {
  readonly round: number;
  /** How long it lived once it was ready, in milliseconds. */
  readonly lifeMs: number;
  /** Registrations that it acknowledged. */
  readonly acknowledged: number;
  /** Registrations that were under way when it was killed. */
  readonly interrupted: number;
}

/** What a run found. */
export interface KillRunResult {
  readonly acknowledged: number;
  readonly interrupted: number;
  /** Ids that were acknowledged and were not there after a restart. */
  readonly missing: readonly string[];
  /** Agents that were there at the end without having been acknowledged: allowed, they were stored before the kill. */
  readonly surplus: number;
}

/** Registrations under way at a time. */
const WORKERS = 8;
/** The longest life of a node. */
const LONGEST_LIFE_MS = 500;

/** Does it. Rejects if the node does not start. */
export async function killRun({ program, kills, seed, onKill }: KillRunOptions): Promise<KillRunResult> {
  const random = new SeededRandom(seed);
  const folder = await mkdtemp(join(tmpdir(), "mxp-kills-"));
  const known = new Set<string>();
  let interruptedCount = 0;
  let listen = "127.0.0.1:0";
  try {
    for (let round = 1; round <= kills; round++) {
      const node = await startNode(program, folder, listen);
      listen = node.url.slice(node.url.indexOf("@") + 1);
      try {
        const missing = await missingOf(node.url, known);
        if (missing.length > 0) return { acknowledged: known.size, interrupted: interruptedCount, missing, surplus: 0 };
        const lifeMs = Math.floor(random.next() * LONGEST_LIFE_MS);
        const before = known.size;
        const interrupted = await registerUntilKilled(node, lifeMs, round, known);
        interruptedCount += interrupted;
        onKill?.({ round, lifeMs, acknowledged: known.size - before, interrupted });
      } finally {
        await node.kill();
      }
    }
    const last = await startNode(program, folder, listen);
    try {
      const missing = await missingOf(last.url, known);
      const surplus = await count(last.url) - known.size + missing.length;
      return { acknowledged: known.size, interrupted: interruptedCount, missing, surplus };
    } finally {
      await last.kill();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Node {
  readonly url: string;
  /** Kills it, and waits until it is dead. */
  kill(): Promise<void>;
}

async function startNode(program: readonly string[], folder: string, listen: string): Promise<Node> {
  const [file, ...leading] = program;
  const args = [...leading, "serve", "--listen", listen, "--db", join(folder, "registry.db")];
  const env = { ...process.env, XDG_CONFIG_HOME: folder, NO_COLOR: "1" };
  const child = spawn(file, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "", errors = "";
  child.stderr.on("data", (chunk: Uint8Array) => errors += new TextDecoder().decode(chunk));
  const dead = once(child, "close");
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on("data", (chunk: Uint8Array) => {
      output += new TextDecoder().decode(chunk);
      const line = /^listening (\S+)\n/.exec(output);
      if (line !== null) resolve(line[1]);
    });
    dead.then(() => reject(new Error(`the node did not start: ${errors}`)), reject);
  });
  return {
    url,
    kill: async () => {
      if (child.exitCode === null && child.signalCode === null) process.kill(child.pid!, "SIGKILL");
      await dead;
    },
  };
}

/** Registers one agent after another, each under an id of its own, until the node is killed; says how many had no answer. */
async function registerUntilKilled(node: Node, lifeMs: number, round: number, known: Set<string>): Promise<number> {
  // A key of its own for each round: one key may not have so many agents.
  const client = await connect(node.url, { identity: generateIdentity() });
  let interrupted = 0;
  let isOver = false;
  let counter = 0;
  const work = async (): Promise<void> => {
    while (!isOver && counter < 1_000) {
      const name = `agent ${round}-${counter++}`;
      try {
        known.add((await client.register({ name, capabilities: ["test"], leaseMs: 600_000 }, { timeoutMs: 0 })).id);
      } catch {
        interrupted++;
        return;
      }
    }
  };
  const workers = Array.from({ length: WORKERS }, work);
  await new Promise((resolve) => setTimeout(resolve, lifeMs));
  await node.kill();
  isOver = true;
  // Closed here, the registrations end; otherwise they would find back by themselves, and hide what is missing.
  await client.close();
  await Promise.all(workers);
  return interrupted;
}

async function missingOf(url: string, known: ReadonlySet<string>): Promise<string[]> {
  const client = await connect(url);
  try {
    const there = new Set((await client.discover()).map(({ id }) => id));
    return [...known].filter((id) => !there.has(id));
  } finally {
    await client.close();
  }
}

async function count(url: string): Promise<number> {
  const client = await connect(url);
  try {
    return (await client.discover()).length;
  } finally {
    await client.close();
  }
}
