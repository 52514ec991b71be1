import assert from "node:assert/strict";
import process from "node:process";
import test from "node:test";
import { type CommandStatus, runCommand, startCommand } from "../../lib/runtime/mod.ts";
import { CAN_RUN_CHILDREN, endOf, startChild, textOf } from "./children.ts";
import { eventually, pattern, pause } from "./udp_harness.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const exited = (code: number): CommandStatus => ({ kind: "exited", code });

/** Whether a process is there and not just waiting to be collected. */
async function isAlive(pid: number): Promise<boolean> {
  const { stdout } = await runCommand(`ps -o stat= -p ${pid} || true`);
  const state = decode(stdout).trim();
  return state !== "" && !state.startsWith("Z");
}

async function diesSoon(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 100; tries++) {
    if (!await isAlive(pid)) return true;
    await pause(20);
  }
  return false;
}

test("a command gets its input and gives its output and exit code", async () => {
  const result = await runCommand("tr a-z A-Z; echo oops >&2; exit 3", { stdin: encode("hello") });
  assert.deepEqual(result.status, exited(3));
  assert.equal(decode(result.stdout), "HELLO");
  assert.equal(result.stderrTail, "oops\n");
});

test("without input a command reads an empty one", async () => {
  const { status, stdout } = await runCommand("wc -c | tr -d ' '");
  assert.deepEqual(status, exited(0));
  assert.equal(decode(stdout), "0\n");
});

test("variables are added to the environment", async () => {
  const { stdout } = await runCommand('echo "$MXP_TEST_VARIABLE"; test -n "$PATH" && echo path', {
    env: { MXP_TEST_VARIABLE: "a b" },
  });
  assert.equal(decode(stdout), "a b\npath\n");
});

test("16 MiB go through cat and come back, from one buffer and from a source", async () => {
  const bytes = pattern(16 << 20, 3);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
  }
  for (const stdin of [bytes, chunks()]) {
    const { status, stdout } = await runCommand("cat", { stdin });
    assert.deepEqual(status, exited(0));
    assert.equal(stdout.length, bytes.length);
    assert.ok(stdout.every((byte, i) => byte === bytes[i]));
  }
});

test("a source is not asked for more than the command takes", async () => {
  let asked = 0;
  async function* source(): AsyncGenerator<Uint8Array> {
    for (; asked < 1000; asked++) yield new Uint8Array(65_536);
  }
  const controller = new AbortController();
  const result = runCommand("sleep 30", { stdin: source(), signal: controller.signal });
  await pause(100);
  assert.ok(asked < 50, `${asked} chunks of 64 KiB were taken`);
  controller.abort();
  assert.deepEqual((await result).status, { kind: "aborted" });
});

test("a command that does not read its input, or closes it, is no error", async () => {
  const big = new Uint8Array(4 << 20);
  assert.deepEqual((await runCommand("exit 0", { stdin: big })).status, exited(0));
  const closing = await runCommand("exec 0<&-; sleep 0.05; echo done", { stdin: big });
  assert.deepEqual(closing.status, exited(0));
  assert.equal(decode(closing.stdout), "done\n");
});

test("a source that never ends does not hold up a command that has ended, and is told", async () => {
  let returned = false;
  const source: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => {}),
      return: () => {
        returned = true;
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  };
  const { status } = await runCommand("echo hi", { stdin: source });
  assert.deepEqual(status, exited(0));
  assert.ok(await eventually(() => returned));
});

test("a source that throws kills the command and says why", async () => {
  const cause = new Error("the peer went away");
  // deno-lint-ignore require-yield
  async function* source(): AsyncGenerator<Uint8Array> {
    await pause(5);
    throw cause;
  }
  const { status } = await runCommand("sleep 30", { stdin: source() });
  assert.deepEqual(status, { kind: "input_failed", cause });
});

test("aborting kills the whole tree", async () => {
  const controller = new AbortController();
  const running = startCommand("sleep 31 & echo $!; sh -c 'echo $$; sleep 32; true'; true", {
    signal: controller.signal,
  });
  let output = "";
  for await (const chunk of running.stdout) {
    output += decode(chunk);
    if (output.split("\n").length === 3) controller.abort();
  }
  assert.deepEqual((await running.ended).status, { kind: "aborted" });
  const pids = output.trim().split("\n").map(Number);
  assert.equal(pids.length, 2);
  for (const pid of pids) assert.ok(await diesSoon(pid), `process ${pid} is still there`);
});

test("a command that ignores SIGTERM is killed all the same", async () => {
  const controller = new AbortController();
  const running = startCommand("trap '' TERM; echo ready; while :; do sleep 0.05; done", { signal: controller.signal });
  for await (const _chunk of running.stdout) controller.abort();
  assert.deepEqual((await running.ended).status, { kind: "aborted" });
});

test("a command may clean up when it is told to end", async () => {
  const controller = new AbortController();
  const running = startCommand("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done", {
    signal: controller.signal,
  });
  let output = "";
  for await (const chunk of running.stdout) {
    output += decode(chunk);
    if (output.startsWith("ready")) controller.abort();
  }
  assert.equal(output, "ready\nbye\n");
  assert.deepEqual((await running.ended).status, { kind: "aborted" });
});

test("a signal that has aborted already starts nothing", async () => {
  const { status, stdout } = await runCommand("echo hi", { signal: AbortSignal.abort() });
  assert.deepEqual(status, { kind: "aborted" });
  assert.equal(stdout.length, 0);
});

test("output above the maximum kills the command, and what fits is kept", async () => {
  const { status, stdout } = await runCommand("yes", { maxOutput: 100_001 });
  assert.deepEqual(status, { kind: "output_too_large", limit: 100_001 });
  assert.equal(stdout.length, 100_001);
  assert.deepEqual((await runCommand("printf 12345", { maxOutput: 5 })).status, exited(0));
  assert.deepEqual((await runCommand("printf 123456", { maxOutput: 5 })).status.kind, "output_too_large");
});

test("only the end of stderr is kept", async () => {
  const { stderrTail } = await runCommand("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done >&2");
  assert.equal(stderrTail.length, 4096);
  assert.ok(stderrTail.endsWith("line 2998\nline 2999\n"));
});

test("a signal from somebody else is reported", async () => {
  assert.deepEqual((await runCommand("kill -9 $$")).status, { kind: "signalled", signal: "SIGKILL" });
});

test("what is left running with the output open is killed after a while", async () => {
  const begun = performance.now();
  const { status, stdout } = await runCommand("sleep 33 & echo $!; exit 4");
  assert.deepEqual(status, exited(4));
  assert.ok(performance.now() - begun < 25_000);
  assert.ok(await diesSoon(Number(decode(stdout))));
});

test("what is left running on its own is left alone", async () => {
  const { status, stdout } = await runCommand("sleep 34 >/dev/null 2>&1 & echo $!");
  assert.deepEqual(status, exited(0));
  const pid = Number(decode(stdout));
  await pause(300);
  assert.ok(await isAlive(pid));
  process.kill(pid, "SIGKILL");
});

test("output that is written before the end is all there for a reader who comes late", async () => {
  const running = startCommand("head -c 50000 /dev/zero; exit 5");
  await pause(100);
  let length = 0;
  for await (const chunk of running.stdout) {
    length += chunk.length;
    await pause(1);
  }
  assert.equal(length, 50_000);
  assert.deepEqual((await running.ended).status, exited(5));
});

test("output comes while the command runs", async () => {
  let sawFirst = (): void => {};
  const firstSeen = new Promise<void>((resolve) => sawFirst = resolve);
  const running = startCommand("echo one; read answer; echo got $answer", {
    stdin: (async function* () {
      await firstSeen;
      yield encode("yes\n");
    })(),
  });
  const chunks: string[] = [];
  for await (const chunk of running.stdout) {
    chunks.push(decode(chunk));
    sawFirst();
  }
  assert.deepEqual(chunks, ["one\n", "got yes\n"]);
});

test("leaving the output early kills the command", async () => {
  const running = startCommand("echo $$; exec yes");
  let pid = 0;
  for await (const chunk of running.stdout) {
    pid = parseInt(decode(chunk));
    break;
  }
  assert.deepEqual((await running.ended).status, { kind: "aborted" });
  assert.ok(await diesSoon(pid));
});

test("a reader that waits holds the command back", async () => {
  const running = startCommand("head -c 10000000 /dev/zero; echo written >&2; exit 0");
  await pause(200);
  let length = 0;
  for await (const chunk of running.stdout) {
    if (length === 0) await pause(300);
    length += chunk.length;
  }
  assert.equal(length, 10_000_000);
  assert.deepEqual((await running.ended).status, exited(0));
});

test("a command that cannot be started is a status, not an exception", async () => {
  const { status } = await runCommand("echo \0");
  assert.equal(status.kind, "not_started");
  const elsewhere = await runCommand("echo hi", { env: { PATH: "/nonexistent" } });
  assert.equal(elsewhere.status.kind, "not_started");
});

test("commands do not outlive the process that started them", async () => {
  if (!CAN_RUN_CHILDREN) return console.error("skipped: the child process's source is not at hand");
  const child = startChild("orphan");
  const { code, stdout } = await endOf(child);
  assert.equal(code, 0);
  const pid = Number(textOf(stdout));
  assert.ok(pid > 0);
  assert.ok(await diesSoon(pid));
});
