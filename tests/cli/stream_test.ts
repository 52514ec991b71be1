import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import test from "node:test";
import { assertFails, assertWorks, noise, scratch } from "./nodes.ts";

test("standard input goes to the agent and its answer to standard output, byte for byte", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo", "--name", "parrot"]);
  const bytes = noise(3_000_000);
  await writeFile(here.path("in"), bytes);
  const result = await here.shell(`mxp stream ${node.url}/parrot < in`);
  assertWorks(result);
  assert.equal(result.stderr, "");
  assert.ok(result.stdoutBytes.length === bytes.length && result.stdoutBytes.every((byte, i) => byte === bytes[i]));
  assert.equal((await here.mxp(["stream", node.url])).stdout, "", "an empty input");
});

test("10 000 lines through a command come back exact and in order", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "tr a-z A-Z"]);
  const lines = Array.from({ length: 10_000 }, (_, i) => `line ${i} of many\n`).join("");
  const result = await here.mxp(["stream", node.url, "--lines"], { stdin: lines });
  assertWorks(result);
  assert.equal(result.stdout, lines.toUpperCase());
});

test("what arrives is printed before the stream ends, in both directions", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", 'while read -r line; do echo "got $line"; done; echo end']);
  await using stream = here.start(["stream", node.url]);
  for (const word of ["one", "two", "three"]) {
    stream.child.stdin!.write(`${word}\n`);
    assert.equal(await stream.nextLine(), `got ${word}`);
  }
  stream.child.stdin!.end();
  assert.equal(await stream.nextLine(), "end");
  assert.equal((await stream.done).code, 0);
});

test("with --lines a chunk is a line, with --json a line is an object", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  const lines = await here.mxp(["stream", node.url, "--lines", "--json"], { stdin: "a\nb\n\nlast" });
  assertWorks(lines);
  const objects = lines.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  const end = objects.pop();
  assert.deepEqual(objects, ["a\n", "b\n", "\n", "last"].map((text) => ({ event: "chunk", text })));
  assert.match(end.trace_id, /^[0-9a-f]{16}$/);
  assert.deepEqual({ ...end, trace_id: "" }, { event: "end", sent: 9, received: 9, chunks: 4, trace_id: "" });
  assert.equal((await here.mxp(["stream", node.url, "--lines"], { stdin: "a\nlast" })).stdout, "a\nlast");
  assert.equal((await here.mxp(["stream", node.url, "--raw"], { stdin: "a\nlast" })).stdout, "a\nlast");
  const resumable = await here.mxp(["stream", node.url, "--resume"], { stdin: lines.stdout });
  assertWorks(resumable);
  assert.deepEqual([resumable.stdout, resumable.stderr], [lines.stdout, ""]);
  const binary = await here.mxp(["stream", node.url, "--json"], { stdin: new Uint8Array([0xff, 0]) });
  assert.equal(JSON.parse(binary.stdout.split("\n")[0]).base64, "/wA=");
});

test("an agent that has heard enough ends the stream, and a reader that goes away is no error", async () => {
  await using here = await scratch();
  await using head = await here.node(["--exec", "head -n 1"]);
  const enough = await here.shell(`yes | mxp stream ${head.url}`);
  assertWorks(enough);
  assert.equal(enough.stdout, "y\n");
  await using endless = await here.node(["--exec", "yes", "--log-level", "debug"]);
  const first = await here.shell(`{ mxp stream ${endless.url}; echo $? >&2; } | head -n 1`);
  assert.deepEqual([first.stdout, first.stderr], ["y\n", "0\n"]);
  await endless.logLine(/process ended .*not wanted any more/);
});

test("failures have their exit codes", async () => {
  await using here = await scratch();
  await using fails = await here.node(["--exec", "cat >/dev/null; echo so far; echo why >&2; exit 3"]);
  const failed = await here.mxp(["stream", fails.url], { stdin: "x" });
  assert.deepEqual([failed.code, failed.stdout], [7, "so far\n"]);
  assert.match(failed.stderr, /^mxp: the agent ended the stream with an error: exit code 3: why\n$/);
  await using nobody = await here.node([]);
  const ghost = await here.mxp(["stream", `${nobody.url}/ghost`], { stdin: "x" });
  assertFails(ghost, 6, /no agent "ghost" at 127\.0\.0\.1:\d+\n$/);
  await using slow = await here.node(["--exec", "sleep 30"]);
  assertFails(await here.mxp(["stream", slow.url, "--timeout", "500ms"]), 5, /not over within 500 ms/);
  assertFails(await here.mxp(["stream", slow.url, "--lines", "--raw"]), 2, /exclude each other/);
  const stopped = here.start(["stream", slow.url]);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  stopped.child.kill("SIGINT");
  assert.equal((await stopped.done).code, 130);
});
