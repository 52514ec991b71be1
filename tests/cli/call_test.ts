import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import test from "node:test";
import type { CliResult } from "../support/cli.ts";
import { assertFails, assertWorks, noise, scratch } from "./nodes.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("a call prints the answer's bytes and nothing else, wherever the payload comes from", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  await writeFile(here.path("in"), "from a file\n");
  const cases: [args: string[], stdin: string | undefined, answer: string][] = [
    [["hello"], undefined, "hello"],
    [["@in"], undefined, "@in"],
    [["-d", "from -d"], undefined, "from -d"],
    [["-d", "@in"], undefined, "from a file\n"],
    [["-d", "@-"], "from a pipe", "from a pipe"],
    [["--data=x=y"], undefined, "x=y"],
    [["ünïcödé 🙂"], undefined, "ünïcödé 🙂"],
    [["--", "--json"], undefined, "--json"],
    [[""], undefined, ""],
    [[], "is not read", ""],
  ];
  await Promise.all(cases.map(async ([args, stdin, answer]) => {
    const result = await here.mxp(["call", node.url, ...args], { stdin });
    assertWorks(result);
    assert.equal(result.stdout, answer);
    assert.equal(result.stderr, "");
  }));
});

test("binary payloads come back as they were", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  const bytes = new Uint8Array(1024).map((_, i) => i);
  const result = await here.mxp(["call", node.url, "-d", "@-"], { stdin: bytes });
  assertWorks(result);
  assert.deepEqual(result.stdoutBytes, bytes);
});

test("a payload of 16 MiB is too large by a little, and one that just fits comes back whole", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  const most = noise((16 << 20) - 4096);
  await writeFile(here.path("big"), most);
  const result = await here.mxp(["call", node.url, "-d", "@big"]);
  assertWorks(result);
  assert.ok(equal(result.stdoutBytes, most), "the same bytes");
  assert.equal(result.stderr, "", "no progress where nobody looks");
  await writeFile(here.path("bigger"), noise((16 << 20) + 1));
  assertFails(await here.mxp(["call", node.url, "-d", "@bigger"]), 2, /bigger is larger than a message may be/);
  assertFails(await here.mxp(["call", node.url, "-d", "@/dev/zero"]), 2, /larger than a message may be/);
});

test("--json describes the answer as one object", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  const text = await here.mxp(["call", node.url, "héllo", "--json"]);
  assertWorks(text);
  assert.match(text.stdout, /^\{.*\}\n$/);
  const reply = JSON.parse(text.stdout);
  assert.deepEqual(Object.keys(reply), ["ok", "bytes", "text", "url", "early", "trace_id", "message_id", "timing_ms"]);
  assert.equal(reply.ok, true);
  assert.equal(reply.bytes, 6);
  assert.equal(reply.text, "héllo");
  assert.equal(reply.url, node.url);
  assert.match(reply.trace_id, /^[0-9a-f]{16}$/);
  assert.match(reply.message_id, /^[0-9a-f]{16}$/);
  const { handshake, sent, first_byte, done } = reply.timing_ms;
  assert.ok(handshake > 0 && sent >= 0 && first_byte > 0 && done >= first_byte, text.stdout);

  const bytes = new Uint8Array([0xff, 0xfe, 0, 1]);
  const binary = JSON.parse((await here.mxp(["call", node.url, "-d", "@-", "--json"], { stdin: bytes })).stdout);
  assert.equal("text" in binary, false);
  assert.deepEqual(Uint8Array.from(atob(binary.base64), (c) => c.charCodeAt(0)), bytes);
});

test("--timing goes to standard error and names the trace that the node logs", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo", "--log-level", "info"]);
  const result = await here.mxp(["call", node.url, "hello", "--timing", "--method", "greet"]);
  assertWorks(result);
  assert.equal(result.stdout, "hello");
  assert.match(
    result.stderr,
    /^handshake .*\(full, IK, \S+\)\nsent .*ms\nfirst byte .*ms\ndone .*ms\ntrace +[0-9a-f]{16}\n$/,
  );
  const trace = /trace +(\S+)/.exec(result.stderr)![1];
  const line = await node.logLine(trace);
  assert.match(line, /^\d{4}-\d\d-\d\dT\S+Z info call ok /);
  assert.match(line, / method=greet in=5 out=5 ms=/);
});

test("a reader that goes away is no error", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  await writeFile(here.path("big"), noise(8 << 20));
  const pipe = `{ mxp call ${node.url} -d @big; echo $? > code; } | head -c 1 | wc -c`;
  const result = await here.shell(pipe);
  assert.equal(result.stdout.trim(), "1");
  assert.equal(result.stderr, "");
  assert.equal((await readFile(here.path("code"), "utf8")).trim(), "0");
  const help = await here.shell("{ mxp --help; echo $? > code; } | true");
  assert.equal(help.stderr, "");
  assert.equal((await readFile(here.path("code"), "utf8")).trim(), "0");
});

test("a full disk is an error", async (t) => {
  await using here = await scratch();
  if ((await here.shell("test -c /dev/full")).code !== 0) return t.skip("there is no /dev/full");
  const result = await here.shell("mxp completion bash > /dev/full");
  assertFails(result, 3, /^mxp: cannot write to standard output: the disk is full\n$/);
});

test("with --retry, a call that was under way survives that its node is killed and started anew", async () => {
  await using here = await scratch();
  const call = ["hello", "--timeout", "40s", "--json", "--log-level", "debug"];
  const results: Promise<CliResult>[] = [];
  let listen = "127.0.0.1:0";
  {
    await using node = await here.node(["--exec", "touch started-$MXP_METHOD; sleep 15"]);
    listen = node.where;
    results.push(here.mxp(["call", node.url, ...call, "--method", "a", "--retry", "9", "--idempotent"]));
    results.push(here.mxp(["call", node.url, ...call, "--method", "b", "--retry", "9"]));
    await Promise.all(["a", "b"].map(async (method) => {
      while (!await stat(here.path(`started-${method}`)).then(() => true, () => false)) await sleep(20);
    }));
    await node.stop("SIGKILL");
  }
  await using node = await here.node(["--echo", "--listen", listen]);
  const [repeated, once] = await Promise.all(results);
  assertWorks(repeated);
  assert.deepEqual([JSON.parse(repeated.stdout).text, JSON.parse(repeated.stdout).attempts], ["hello", 2]);
  assert.match(repeated.stderr, /does not know this connection any more .*; attempt 2 in /);
  // It may have been carried out: nobody has said that twice does no harm.
  assert.equal(once.code, 4);
  assert.equal(JSON.parse(once.stdout).error.retryable, true);

  const hedged = await here.mxp(["call", node.url, "x", "--hedge", "5s", "--idempotent", "--json"]);
  assert.equal(JSON.parse(hedged.stdout).attempts, 1);
  assertFails(await here.mxp(["call", node.url, "x", "--hedge", "5s"]), 2, /say --idempotent/);
  const both = ["--hedge", "5s", "--idempotent", "--idempotency-key", "k"];
  assertFails(await here.mxp(["call", node.url, "x", ...both]), 2, /carried out once/);
});

test("IPv6 addresses, names and IPv4 addresses all reach the node", async () => {
  await using here = await scratch();
  await using six = await here.node(["--echo", "--listen", "[::1]:0"]);
  assert.match(six.url, /^mxp:\/\/[\w-]{43}@\[::1\]:\d+$/);
  assert.equal((await here.mxp(["call", six.url, "over six"])).stdout, "over six");
  await using four = await here.node(["--echo"]);
  const named = four.url.replace("127.0.0.1", "localhost");
  assert.equal((await here.mxp(["call", named, "by name"])).stdout, "by name");
  assert.equal((await here.mxp(["call", `${four.url}/`, "slash"])).stdout, "slash");
});

test("a node answers under its name, and nobody else's", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo", "--name", "parrot"]);
  assert.equal((await here.mxp(["call", `${node.url}/parrot`, "hi"])).stdout, "hi");
  assertFails(await here.mxp(["call", `${node.url}/cat`, "hi"]), 6, /cat|no agent/);
});

test("a node without --echo and --exec has nobody to answer", async () => {
  await using here = await scratch();
  await using node = await here.node([]);
  await node.logLine(/nobody answers calls here yet/);
  assertFails(await here.mxp(["call", node.url, "hi"]), 6, /nobody answers calls at this node/);
});

test("a script can make 200 calls at once over one connection", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  const { connect } = await import("../../mod.ts");
  await using client = await connect(node.url);
  const replies = await Promise.all(
    Array.from({ length: 200 }, (_, i) => client.call(`call ${i}`, { timeoutMs: 20_000 })),
  );
  assert.deepEqual(replies.map((reply) => reply.text()), Array.from({ length: 200 }, (_, i) => `call ${i}`));
  assert.equal(new Set(replies.map((reply) => reply.messageId)).size, 200);
  assert.equal(client.stats().calls.ok, 200);
});

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
