/**
 * Processes of a script that plays several parties: each says something in lines of JSON on standard output, is asked with
 * lines on standard input, and ends with it.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { projectRoot } from "./source_files.ts";
import { resolveBun, resolveDeno } from "./tools.ts";

/** What a party runs on. */
export type PartyRuntime = "deno" | "bun";

/** One process. */
export class Party implements AsyncDisposable {
  readonly runtime: PartyRuntime;
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** Starts one of the files in `scripts/`. */
  constructor(runtime: PartyRuntime, file: string, args: readonly string[]) {
    const script = `${projectRoot}scripts/${file}`;
    const [program, leading] = runtime === "deno"
      ? [resolveDeno(), ["run", "-A", `--config=${projectRoot}deno.json`, script]] as const
      : [resolveBun(), [script]] as const;
    // Ends by itself when this process does: its standard input is closed then.
    const stdio = ["pipe", "pipe", "inherit"] as const;
    this.child = spawn(program, [...leading, ...args], { cwd: projectRoot, stdio: [...stdio] });
    this.child.stdin!.on("error", () => {});
    this.runtime = runtime;
    this.#lines = lines(this.child);
  }

  /** Asks it something, and waits for what it says. */
  async ask(question: string): Promise<unknown> {
    this.child.stdin!.write(`${question}\n`);
    return await this.next();
  }

  /** What it says next. */
  async next(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("a process ended before it had answered");
    return JSON.parse(value);
  }

  /** Kills it, unless it has ended, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const dead = once(this.child, "close");
    this.child.kill("SIGKILL");
    await dead;
  }
}

/** In a party: says something. */
export function say(value: unknown): void {
  process.stdout.write(JSON.stringify(value) + "\n");
}

/** In a party: answers questions until nobody can ask any more, then ends the process. */
export async function answerQuestions(answer: (question: string) => void | Promise<void>): Promise<never> {
  const decoder = new TextDecoder();
  for await (const chunk of process.stdin) {
    for (const line of decoder.decode(chunk as Uint8Array).trim().split("\n")) await answer(line);
  }
  process.exit(0);
}

async function* lines(child: ChildProcess): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of child.stdout!) {
    rest += decoder.decode(chunk as Uint8Array, { stream: true });
    const parts = rest.split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}
