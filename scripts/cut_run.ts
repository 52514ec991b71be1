/**
 * Streams lines to an agent behind a node and back, each of the three in a process of its own, kills the node again and again,
 * and looks whether every line has come back, once and in order.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { SeededRandom } from "../lib/testing/seeded_random.ts";

/** What a run is to do. */
export interface CutRunOptions {
  /** The program and its leading arguments. */
  readonly program: readonly string[];
  readonly kills: number;
  readonly seed: number;
  /** Told after each kill. */
  readonly onKill?: (kill: number, sent: number, received: number) => void;
}

/** What a run found. */
export interface CutRunResult {
  /** Lines that were sent. */
  readonly sent: number;
  /** Lines that came back as they have to, from the first one on. */
  readonly good: number;
  /** What came in place of the next one; undefined if nothing was wrong. */
  readonly wrong: string | undefined;
  /** What the client has said: how often the stream went on. */
  readonly words: string;
  readonly exitCode: number | null;
  /** The longest time between two lines that came back, in milliseconds. */
  readonly longestGapMs: number;
}

/** Between two lines. */
const PAUSE_MS = 2;
/** The longest time between two kills, beyond what it takes to start a node. */
const LONGEST_LIFE_MS = 1_500;
/** How long the last lines have. */
const PATIENCE_MS = 60_000;
/** Answers line by line, and at once. */
const SHOUT = "sed -u y/abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMNOPQRSTUVWXYZ/";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Does it. Rejects if a process does not start. */
export async function cutRun({ program, kills, seed, onKill }: CutRunOptions): Promise<CutRunResult> {
  const random = new SeededRandom(seed);
  const folder = await mkdtemp(join(tmpdir(), "mxp-cuts-"));
  const children: Child[] = [];
  const start = (args: readonly string[]): Child => {
    const child = new Child(program, folder, args);
    children.push(child);
    return child;
  };
  try {
    await start(["keygen", "-o", join(folder, "agent.key")]).ended;
    let node = start(["serve", "--listen", "127.0.0.1:0"]);
    const url = (await node.line(/^listening (\S+)$/m))[1];
    const where = url.slice(url.indexOf("@") + 1);
    const agent = ["--name", "shout", "--exec", SHOUT, "--log-level", "info"];
    const join_ = ["--identity", join(folder, "agent.key"), "--join", url];
    await start(["serve", "--listen", "127.0.0.1:0", ...join_, ...agent]).line(/joined/);
    const client = start(["stream", `${url}/shout`, "--lines", "--resume"]);
    const check = new Check(client);

    let isOver = false;
    let sent = 0;
    const sending = (async () => {
      for (; !isOver; sent++) {
        client.process.stdin!.write(`line ${sent} of many\n`);
        await sleep(PAUSE_MS);
      }
      client.process.stdin!.end();
    })();
    await check.reaches(() => 1);
    for (let kill = 1; kill <= kills; kill++) {
      await sleep(random.next() * LONGEST_LIFE_MS);
      await node.kill();
      const missing = sent;
      node = start(["serve", "--listen", where]);
      await node.line(/^listening /m);
      await check.reaches(() => missing);
      onKill?.(kill, sent, check.good);
    }
    isOver = true;
    await sending;
    await check.reaches(() => sent);
    await Promise.race([client.ended, sleep(PATIENCE_MS)]);
    const { good, wrong, longestGapMs } = check;
    return { sent, good, wrong, longestGapMs, words: client.errors.trim(), exitCode: client.process.exitCode };
  } finally {
    for (const child of children) await child.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Compares what comes back. */
class Check {
  good = 0;
  wrong: string | undefined;
  longestGapMs = 0;
  #unread = "";
  #last = performance.now();

  constructor(client: Child) {
    client.process.stdout!.on("data", (chunk: Uint8Array) => {
      const lines = (this.#unread + new TextDecoder().decode(chunk)).split("\n");
      this.#unread = lines.pop()!;
      for (const line of lines) {
        if (line === `LINE ${this.good} OF MANY` && this.wrong === undefined) this.good++;
        else this.wrong ??= line;
      }
      const now = performance.now();
      this.longestGapMs = Math.max(this.longestGapMs, now - this.#last);
      this.#last = now;
    });
  }

  /** Waits until so many lines are back, or one was wrong, or for {@link PATIENCE_MS}. */
  async reaches(count: () => number): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (this.good < count() && this.wrong === undefined && performance.now() < deadline) await sleep(5);
  }
}

/** A process of the program. */
class Child {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;
  errors = "";
  #output = "";

  constructor([file, ...leading]: readonly string[], folder: string, args: readonly string[]) {
    const env = { ...process.env, XDG_CONFIG_HOME: folder, NO_COLOR: "1" };
    this.process = spawn(file, [...leading, ...args], { env, stdio: ["pipe", "pipe", "pipe"] });
    this.process.stderr!.on("data", (chunk: Uint8Array) => this.errors += new TextDecoder().decode(chunk));
    this.process.stdin!.on("error", () => {});
    if (args[0] !== "stream") {
      this.process.stdout!.on("data", (chunk: Uint8Array) => this.#output += new TextDecoder().decode(chunk));
    }
    this.ended = once(this.process, "close");
  }

  /** What the process says, on whichever output, as soon as it matches. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#output) ?? pattern.exec(this.errors);
      if (found !== null) return found;
      if (this.process.exitCode !== null) throw new Error(`a process did not start: ${this.errors}`);
      await sleep(5);
    }
  }

  /** Kills it, and waits until it is dead. */
  async kill(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) process.kill(this.process.pid!, "SIGKILL");
    await this.ended;
  }
}
