import { test } from "node:test";
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { runStage, runStages, type Stage } from "../../scripts/gate_runner.ts";

/** A stage whose command is a shell script; there is none on Windows. */
function shell(script: string, more: Partial<Stage> = {}): Stage {
  return { name: "stage", command: ["/bin/sh", "-c", script], counts: "check", limit: 30, ...more };
}

/** Whether a process runs. One that has ended but whose end nobody has asked for (a zombie) does not. */
function isAlive(pid: number): boolean {
  const status = `/proc/${pid}/stat`;
  try {
    process.kill(pid, 0);
    return !existsSync(status) || !/\) Z/.test(readFileSync(status, "utf8"));
  } catch {
    return false;
  }
}

const noShell = process.platform === "win32" ? "needs /bin/sh" : false;

test("a check passes or fails by its exit code and keeps what it printed", { skip: noShell }, async () => {
  const good = await runStage(shell("echo out; echo err >&2"), tmpdir());
  assert.deepEqual([good.passed, good.failed], [1, 0]);
  assert.match(good.output, /out/);
  assert.match(good.output, /err/);
  const bad = await runStage(shell("exit 3"), tmpdir());
  assert.deepEqual([bad.passed, bad.failed, bad.note], [0, 1, "exit code 3"]);
});

test("a program that does not exist is a failure, not a crash", async () => {
  const stage: Stage = { name: "stage", command: ["/nonexistent/program"], counts: "check", limit: 30 };
  assert.equal((await runStage(stage, tmpdir())).failed, 1);
});

test("a stage over its time limit is killed with everything that it started", { skip: noShell }, async () => {
  const result = await runStage(shell("sleep 1000 & echo $!; sleep 1000", { limit: 0.3 }), tmpdir());
  assert.equal(result.failed, 1);
  assert.match(result.note ?? "", /killed/);
  const orphan = Number(result.output);
  assert.ok(orphan > 0);
  for (let tries = 0; isAlive(orphan) && tries < 100; tries++) await new Promise((wake) => setTimeout(wake, 20));
  assert.ok(!isAlive(orphan), "the background process still runs");
});

test("a process that a stage leaves behind does not hold the gate up", { skip: noShell }, async () => {
  const result = await runStage(shell("sleep 1000 & exit 0"), tmpdir());
  assert.deepEqual([result.passed, result.failed], [1, 0]);
});

test("the last line adds up all stages, and a failure does not stop the later ones", { skip: noShell }, async () => {
  const lines: string[] = [];
  const stages: Stage[] = [
    shell("true", { name: "first" }),
    shell("echo what went wrong; false", { name: "second" }),
    shell("echo 'ok | 12 passed | 0 failed (1ms)'", { name: "third", counts: "deno" }),
    { name: "fourth", command: "there is no Node", counts: "node", limit: 1 },
  ];
  const counts = await runStages(stages, tmpdir(), (line) => lines.push(line));
  assert.deepEqual(counts, { passed: 13, failed: 1, skipped: 1 });
  assert.equal(lines.at(-1), "13 passed, 1 failed");
  assert.ok(lines.some((line) => line.startsWith("skip") && line.includes("there is no Node")));
  assert.ok(lines.includes("what went wrong"));
  assert.ok(lines.includes("failed: second"));
});

test(
  "stages of a queue run one at a time, while those go on, and are waited for",
  { skip: noShell },
  async () => {
    const lines: string[] = [];
    const stages: Stage[] = [
      shell("true", { name: "before" }),
      shell("sleep 0.4", { name: "beside one", queue: "beside" }),
      shell("sleep 0.1; false", { name: "beside two", queue: "beside" }),
      shell("sleep 0.1", { name: "after" }),
    ];
    const counts = await runStages(stages, tmpdir(), (line) => lines.push(line));
    const names = lines.filter((line) => /^(ok|FAIL)/.test(line)).map((line) => line.split(/\s{2,}/)[1]);
    assert.deepEqual(names, ["before", "after", "beside one", "beside two"]);
    assert.deepEqual(counts, { passed: 3, failed: 1, skipped: 0 });
  },
);
