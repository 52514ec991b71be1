/**
 * Runs the stages of the gate, prints a line for each, and adds up what they report.
 *
 * One stage follows the other, but for those that have a queue of their own: its stages run one at a time, too, beside all others. So
 * tests in virtual time, which compute, take what is left idle by tests with sockets and of the command line, which mostly wait.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { type Counts, judgeTests, type Runner } from "./test_counts.ts";

/** One step of the gate: a command, and how to read its result. */
export interface Stage {
  readonly name: string;
  /** Program and arguments. A string instead says why the stage is skipped. */
  readonly command: readonly string[] | string;
  /** Whose test summary to read; `check` counts as one that passed or failed by its exit code. */
  readonly counts: "check" | Runner;
  /** After so many seconds the stage is killed and has failed. */
  readonly limit: number;
  /** The queue that it runs in, beside the stages that follow and those of other queues. */
  readonly queue?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** What became of a stage. */
export interface StageResult extends Counts {
  readonly note?: string;
  readonly seconds: number;
  /** Everything that it printed. */
  readonly output: string;
}

/** Runs one stage to its end or its time limit. Never rejects. */
export async function runStage(stage: Stage, folder: string): Promise<StageResult> {
  if (typeof stage.command === "string") {
    return { passed: 0, failed: 0, skipped: 1, note: stage.command, seconds: 0, output: "" };
  }
  const start = performance.now();
  const { exitCode, timedOut, output } = await runCommand(stage.command, folder, stage.limit, stage.env ?? {});
  const seconds = (performance.now() - start) / 1000;
  if (timedOut) return { passed: 0, failed: 1, skipped: 0, note: `killed after ${stage.limit} s`, seconds, output };
  if (stage.counts !== "check") return { ...judgeTests(stage.counts, exitCode, output), seconds, output };
  const failed = exitCode === 0 ? 0 : 1;
  return { passed: 1 - failed, failed, skipped: 0, ...(failed && { note: `exit code ${exitCode}` }), seconds, output };
}

interface CommandResult {
  readonly exitCode: number;
  readonly timedOut: boolean;
  readonly output: string;
}

/** Processes of the stages that run now, to be ended with the gate. */
const running = new Set<() => void>();

/** Ends whatever stages run now, with all processes that they started. */
export function killRunning(): void {
  for (const kill of running) kill();
}

function runCommand(
  command: readonly string[],
  folder: string,
  limit: number,
  env: Readonly<Record<string, string>>,
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const [program, ...args] = command;
    // A process group of its own, so that the servers that a test left behind end with it.
    const ownGroup = process.platform !== "win32";
    const child = spawn(program, args, {
      cwd: folder,
      env: { ...process.env, NO_COLOR: "1", RUST_BACKTRACE: "0", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: ownGroup,
    });
    const kill = (): void => {
      try {
        if (ownGroup && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
        else child.kill("SIGKILL");
      } catch {
        // The group is already gone.
      }
    };
    running.add(kill);
    const chunks: string[] = [];
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
    }, limit * 1000);
    const finish = (exitCode: number): void => {
      clearTimeout(timer);
      running.delete(kill);
      resolve({ exitCode, timedOut, output: chunks.join("") });
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => chunks.push(text));
    }
    child.on("error", (error) => {
      chunks.push(`${program}: ${error.message}\n`);
      finish(127);
    });
    // "exit", then what is left in the pipes: "close" alone would wait for every orphan that inherited them.
    child.on("exit", (code) => {
      kill();
      const grace = setTimeout(() => finish(code ?? 1), 1000);
      child.on("close", () => {
        clearTimeout(grace);
        finish(code ?? 1);
      });
    });
  });
}

/** Runs all stages, whatever becomes of them, and prints one line each when it is done, with the output of those that fail. */
export async function runStages(
  stages: readonly Stage[],
  folder: string,
  print: (line: string) => void,
): Promise<Counts> {
  let passed = 0, failed = 0, skipped = 0;
  const failures: string[] = [];
  const run = async (stage: Stage): Promise<void> => {
    const result = await runStage(stage, folder);
    passed += result.passed;
    failed += result.failed;
    skipped += result.skipped;
    if (result.failed > 0) {
      failures.push(stage.name);
      print(result.output.trimEnd());
    }
    print(describe(stage, result));
  };
  const queues = new Map<string, Promise<void>>();
  for (const stage of stages) {
    const { queue } = stage;
    if (queue === undefined) await run(stage);
    else queues.set(queue, (queues.get(queue) ?? Promise.resolve()).then(() => run(stage)));
  }
  await Promise.all(queues.values());
  if (failures.length > 0) print(`failed: ${failures.join(", ")}`);
  if (skipped > 0) print(`${skipped} skipped`);
  print(`${passed} passed, ${failed} failed`);
  return { passed, failed, skipped };
}

function describe(stage: Stage, result: StageResult): string {
  if (typeof stage.command === "string") return `skip  ${stage.name.padEnd(24)} ${stage.command}`;
  const parts = [`${result.passed} passed`];
  if (result.failed > 0) parts.push(`${result.failed} failed`);
  if (result.skipped > 0) parts.push(`${result.skipped} skipped`);
  if (result.note !== undefined) parts.push(result.note);
  const what = stage.counts === "check" && result.failed === 0 ? "" : parts.join(", ");
  const verdict = result.failed > 0 ? "FAIL" : "ok  ";
  return `${verdict}  ${stage.name.padEnd(24)} ${`${result.seconds.toFixed(1)} s`.padStart(8)}  ${what}`.trimEnd();
}
