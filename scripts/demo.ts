/**
 * The main job end to end, with nothing to configure: two nodes in processes of their own, calls from further processes,
 * and the trace id that ties both sides together. Ends by itself and leaves nothing behind.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { projectRoot } from "./source_files.ts";

/** No step takes longer, unless something is wrong. */
const STEP_LIMIT_MS = 60_000;
const EXIT_CODES: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143, SIGKILL: 137 };
/** How long a log line may take to arrive after the answer that it is about. */
const LOG_LIMIT_MS = 5_000;

const program = [process.execPath, "run", "-A", `--config=${projectRoot}deno.json`, `${projectRoot}cli.ts`];
const running = new Set<ChildProcess>();
const folder = await mkdtemp(join(tmpdir(), "mxp-demo-"));
const color = process.stdout.isTTY === true && !process.env.NO_COLOR;
const dim = (text: string): string => color ? `\x1b[2m${text}\x1b[0m` : text;
const bold = (text: string): string => color ? `\x1b[1m${text}\x1b[0m` : text;

function title(text: string): void {
  console.log(`\n${bold(text)}`);
}

/** Shows what one of the processes printed, indented under its name. */
function show(who: string, text: string): void {
  for (const line of text.trimEnd().split("\n")) console.log(`  ${dim(who.padEnd(6))} ${line}`);
}

/** Starts the program in a process of its own, with a configuration folder that is made for this demonstration. */
function start(args: readonly string[]): ChildProcess {
  const env: Record<string, string | undefined> = { ...process.env, XDG_CONFIG_HOME: folder, NO_COLOR: "1" };
  for (const name of Object.keys(env)) if (/^MXP_/.test(name)) delete env[name];
  const child = spawn(program[0], [...program.slice(1), ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.on("exit", () => running.delete(child));
  return child;
}

/** Runs the program to its end. */
async function mxp(args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = start(args);
  let stdout = "", stderr = "";
  child.stdout!.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr!.setEncoding("utf8").on("data", (text) => stderr += text);
  const ended = new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
  const code = await within(ended, STEP_LIMIT_MS, `mxp ${args[0]}`);
  return { code, stdout, stderr };
}

/** The same, for calls that have to work. */
async function mustWork(args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  const result = await mxp(args);
  if (result.code !== 0) throw new Error(`mxp ${args.join(" ")} ended with ${result.code}: ${result.stderr}`);
  return result;
}

/** A node in a process of its own. */
interface Node {
  readonly child: ChildProcess;
  readonly url: string;
  /** Resolves to the log line with this trace id. */
  logLine(trace: string): Promise<string>;
}

async function startNode(args: readonly string[]): Promise<Node> {
  const child = start(["serve", "--listen", "127.0.0.1:0", "--log-level", "info", ...args]);
  const log: string[] = [];
  let onLine = (): void => {};
  createInterface({ input: child.stderr! }).on("line", (line) => {
    log.push(line);
    onLine();
  });
  const ready = new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).once("line", resolve);
    child.on("error", reject).on("exit", (code) => reject(new Error(`the node ended with ${code}: ${log.join("; ")}`)));
  });
  const line = await within(ready, STEP_LIMIT_MS, "starting the node");
  const url = line.replace(/^listening /, "");
  const logLine = (trace: string): Promise<string> => {
    const found = new Promise<string>((resolve) => {
      onLine = () => {
        const line = log.find((line) => line.includes(trace));
        if (line !== undefined) resolve(line);
      };
      onLine();
    });
    return within(found, LOG_LIMIT_MS, `the log line of trace ${trace}`);
  };
  return { child, url, logLine };
}

/** Ends a node in order; resolves to its exit code. */
async function stopNode({ child }: Node): Promise<number> {
  // Deno tells of 128 + 15 as of the signal itself.
  const ended = new Promise<number>((resolve) =>
    child.on("exit", (code, signal) => resolve(code ?? EXIT_CODES[signal!]))
  );
  child.kill("SIGTERM");
  return await within(ended, STEP_LIMIT_MS, "stopping the node");
}

async function within<T>(promise: Promise<T>, milliseconds: number, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The trace id in what `--timing` prints. */
function traceOf(timing: string): string {
  const trace = /^trace +([0-9a-f]{16})$/m.exec(timing)?.[1];
  if (trace === undefined) throw new Error(`no trace id in ${JSON.stringify(timing)}`);
  return trace;
}

function expect(what: string, seen: unknown, expected: unknown): void {
  if (seen !== expected) throw new Error(`${what} is ${JSON.stringify(seen)}, expected ${JSON.stringify(expected)}`);
}

async function demonstrate(): Promise<void> {
  title("1. An identity, which is what a node is known by");
  const key = join(folder, "shout.key");
  show("keygen", (await mustWork(["keygen", "-o", key])).stdout.replace(folder, "…"));

  title("2. Two nodes, each in a process of its own, on free ports");
  const echo = await startNode(["--echo"]);
  show("echo", echo.url);
  const shout = await startNode(["--identity", key, "--exec", 'tr a-z A-Z; [ "$MXP_METHOD" != fail ] || exit 3']);
  show("shout", shout.url);

  title("3. How far away is the first one?");
  show("ping", (await mustWork(["ping", echo.url, "--count", "3"])).stdout);

  title("4. A call: the answer on standard output, what --timing says on standard error");
  const hello = await mustWork(["call", echo.url, "hello, mesh", "--timing"]);
  show("call", hello.stdout);
  show("call", hello.stderr);
  expect("the echo", hello.stdout, "hello, mesh");
  console.log("  The node's log has the same trace id:");
  show("echo", await echo.logLine(traceOf(hello.stderr)));

  title("5. A call that a command answers, a process for each call; read by a program");
  const answer = await mustWork(["call", shout.url, "--method", "upper", "can you hear me?", "--json"]);
  show("call", answer.stdout);
  const { text, trace_id: trace } = JSON.parse(answer.stdout);
  expect("the answer", text, "CAN YOU HEAR ME?");
  show("shout", await shout.logLine(trace));

  title("6. When the command fails, the caller is told, and scripts see it in the exit code");
  const failure = await mxp(["call", shout.url, "--method", "fail", "x"]);
  show("call", failure.stderr);
  show("call", `exit code ${failure.code}`);
  expect("the exit code", failure.code, 7);

  title("7. Nobody else can answer in a node's place: another key in the URL is refused");
  const forged = await mxp(["call", echo.url.replace(/\/\/[^@]+/, `//${shout.url.slice(6, 49)}`), "hello"]);
  show("call", forged.stderr);
  show("call", `exit code ${forged.code}`);
  expect("the exit code", forged.code, 9);

  title("8. The nodes end in order when they are asked to");
  for (const [name, node] of [["echo", echo], ["shout", shout]] as const) {
    const code = await stopNode(node);
    show(name, `SIGTERM, exit code ${code}`);
    expect("the exit code", code, 143);
  }
}

function killRunning(): void {
  for (const child of running) child.kill("SIGKILL");
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    killRunning();
    void rm(folder, { recursive: true, force: true }).finally(() => process.exit(signal === "SIGINT" ? 130 : 143));
  });
}
const startedAt = performance.now();
try {
  console.log(`mxp in ${dim(folder)}`);
  await demonstrate();
  console.log(`\nThat was all, in ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`);
} catch (error) {
  console.error(`\nThe demonstration failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  killRunning();
  await rm(folder, { recursive: true, force: true });
}
process.exit();
