import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import test from "node:test";
import { assertFails, assertWorks, eventually, isAlive, noise, scratch } from "./nodes.ts";

test("--exec answers with what the command prints, and gives it the payload", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "tr a-z A-Z"]);
  const result = await here.mxp(["call", node.url, "hello"]);
  assertWorks(result);
  assert.equal(result.stdout, "HELLO");
});

test("--exec takes 16 MiB through a process and back", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "cat"]);
  const bytes = noise((16 << 20) - 4096, 7);
  await writeFile(here.path("big"), bytes);
  const result = await here.mxp(["call", node.url, "-d", "@big"]);
  assertWorks(result);
  const hash = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");
  assert.equal(hash(result.stdoutBytes), hash(bytes));
});

test("a command that reads nothing, prints nothing or prints first is as good as any", async () => {
  await using here = await scratch();
  await using silent = await here.node(["--exec", "true"]);
  await writeFile(here.path("big"), noise(4 << 20));
  const nothing = await here.mxp(["call", silent.url, "-d", "@big"]);
  assertWorks(nothing);
  assert.equal(nothing.stdout, "");
  await using early = await here.node(["--exec", "echo early; exec cat >/dev/null"]);
  assert.equal((await here.mxp(["call", early.url, "-d", "@big"])).stdout, "early\n");
});

test("the command finds out about its call from the environment", async () => {
  await using here = await scratch();
  const names = ["MXP_METHOD", "MXP_PEER", "MXP_TRACE_ID", "MXP_MESSAGE_ID", "MXP_PEER_ADDRESS", "MXP_REMAINING_MS"];
  names.push("MXP_SEALED_BY");
  const command = `for name in ${names.join(" ")} MXP_METADATA; do eval "printf '%s\\n' \\"\\$$name\\""; done`;
  await using node = await here.node(["--exec", command]);
  assertWorks(await here.mxp(["keygen", "-o", "me.key"]));
  const me = (await here.mxp(["pubkey", "me.key"])).stdout.trim();
  const args = ["--identity", "me.key", "--method", "do it; $(now)", "--meta", "PATH=/x", "--meta", "k=v w", "--json"];
  args.push("--e2e", node.key);
  const reply = JSON.parse((await here.mxp(["call", node.url, "x", ...args, "--timeout", "20s"])).stdout);
  const [method, peer, trace, message, address, remaining, sealedBy, metadata] = reply.text.split("\n");
  assert.equal(method, "do it; $(now)");
  assert.deepEqual([peer, sealedBy], [me, me]);
  assert.equal(trace, reply.trace_id);
  assert.equal(message, reply.message_id);
  assert.match(address, /^127\.0\.0\.1:\d+$/);
  assert.ok(Number(remaining) > 1000 && Number(remaining) <= 20_000, remaining);
  assert.deepEqual(JSON.parse(metadata), { PATH: "/x", k: "v w" });
});

test("a command that fails makes an error with the last that it said", async () => {
  await using here = await scratch();
  await using node = await here.node([
    "--exec",
    "echo half an answer; echo one >&2; printf 'two\\033[31m\\n' >&2; exit 3",
  ]);
  const result = await here.mxp(["call", node.url, "x"]);
  assertFails(result, 7, /the agent answered with an error: exit code 3: one \| two\\u001b\[31m/);
  const json = await here.mxp(["call", node.url, "x", "--json"]);
  assert.equal(json.code, 7);
  assert.equal(JSON.parse(json.stdout).error.code, "agent_error");
  await using killed = await here.node(["--exec", "kill -SEGV $$"]);
  assertFails(await here.mxp(["call", killed.url, "x"]), 7, /killed by SIGSEGV/);
  await using missing = await here.node(["--exec", "/no/such/program"]);
  assertFails(await here.mxp(["call", missing.url, "x"]), 7, /exit code 127: .*\/no\/such\/program/);
});

test("an answer that no message can carry makes an error, and ends the command", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "echo $$ > pid; exec cat /dev/zero"]);
  const result = await here.mxp(["call", node.url, "x"]);
  assertFails(result, 7, /larger/);
  const pid = Number(await readFile(here.path("pid"), "utf8"));
  await eventually("the command has ended", async () => !await isAlive(pid));
});

test("at the deadline the command ends, with everything that it started", async () => {
  await using here = await scratch();
  await using node = await here.node([
    "--exec",
    "sleep 300 & echo $! > child; (trap '' TERM; sleep 301) & echo $$ > shell; wait",
  ]);
  const result = await here.mxp(["call", node.url, "x", "--timeout", "2s"]);
  assertFails(result, 5, /within 2/);
  for (const name of ["child", "shell"]) {
    const pid = Number(await readFile(here.path(name), "utf8"));
    assert.ok(pid > 1);
    await eventually(`${name} has ended`, async () => !await isAlive(pid));
  }
});

test("a caller that gives up ends the command", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "echo $$ > pid; exec sleep 300"]);
  const call = here.start(["call", node.url, "x"]);
  const pid = (): Promise<number> => readFile(here.path("pid"), "utf8").then(Number, () => 0);
  await eventually("the command runs", async () => await pid() > 0);
  call.child.kill("SIGINT");
  assert.equal((await call.done).code, 130);
  const running = await pid();
  await eventually("the command has ended", async () => !await isAlive(running));
});

test("no more processes run than --max-exec says; calls wait, and too many are turned away", async () => {
  await using here = await scratch();
  // Each process counts those that run beside it.
  const command = "mkdir -p run; touch run/$$; ls run | wc -l; sleep 0.1; rm run/$$";
  await using node = await here.node(["--max-exec", "2", "--exec", command]);
  const { connect } = await import("../../mod.ts");
  await using client = await connect(node.url);
  const settled = await Promise.allSettled(Array.from({ length: 40 }, () => client.call("x", { timeoutMs: 20_000 })));
  const answers = settled.filter((result) => result.status === "fulfilled").map(({ value }) => Number(value.text()));
  assert.equal(answers.length, 34, "2 ran, 32 waited");
  assert.ok(Math.max(...answers) <= 2, `at most two at once, not ${Math.max(...answers)}`);
  for (const result of settled) {
    if (result.status === "fulfilled") continue;
    assert.equal(result.reason.code, "overloaded");
    assert.equal(result.reason.retryable, true);
  }
});

test("a call that waits for a process still keeps its deadline, and gives its place up", async () => {
  await using here = await scratch();
  await using node = await here.node(["--max-exec", "1", "--exec", "read line; touch begun; sleep $line; echo done"]);
  const long = here.mxp(["call", node.url, "8\n"]);
  await eventually("the first command runs", () => existsSync(here.path("begun")));
  assertFails(await here.mxp(["call", node.url, "0\n", "--timeout", "500ms"]), 5, /./);
  assert.equal((await long).stdout, "done\n");
  assert.equal((await here.mxp(["call", node.url, "0\n"])).stdout, "done\n");
});
