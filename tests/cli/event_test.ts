import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import test from "node:test";
import { connect } from "../../mod.ts";
import { assertFails, assertWorks, scratch } from "./nodes.ts";

test("an event reaches the node's log, wherever its data comes from", async () => {
  await using here = await scratch();
  await using node = await here.node(["--log-level", "info"]);
  await writeFile(here.path("in"), "from a file");
  const cases: [args: string[], stdin: string | undefined, logged: RegExp][] = [
    [["a.plain", "hello"], undefined, /info event topic=a\.plain bytes=5 data=hello trace=[0-9a-f]{16} peer=/],
    [["a.file", "-d", "@in"], undefined, /topic=a\.file bytes=11 data="from a file"/],
    [["a.pipe", "-d", "@-"], "from a pipe", /topic=a\.pipe bytes=11 data="from a pipe"/],
    [["a.none"], undefined, /topic=a\.none bytes=0 trace=/],
    [["a.ack", "x", "--ack"], undefined, /topic=a\.ack bytes=1/],
    [["a.datagram", "x", "--unreliable"], undefined, /topic=a\.datagram bytes=1/],
  ];
  await Promise.all(cases.map(async ([args, stdin, logged]) => {
    const result = await here.mxp(["event", node.url, ...args], { stdin });
    assertWorks(result);
    assert.equal(result.stdout + result.stderr, "");
    await node.logLine(logged);
  }));
});

test("--json tells of an event on both sides, with what a peer sent made harmless", async () => {
  await using here = await scratch();
  await using node = await here.node(["--log-level", "info", "--json"]);
  const result = await here.mxp([
    "event",
    node.url,
    "evil.\u202e\u2028",
    "héllo",
    "--ack",
    "--json",
    "--meta",
    "k=v",
  ]);
  assertWorks(result);
  assert.deepEqual(JSON.parse(result.stdout), {
    ok: true,
    topic: "evil.\u202e\u2028",
    bytes: 6,
    acknowledged: true,
    unreliable: false,
    url: node.url,
  });
  const line = await node.logLine("evil");
  assert.ok(!line.includes("\u202e") && !line.includes("\u2028"));
  const { event, topic, data, bytes } = JSON.parse(line);
  assert.deepEqual([event, topic, data, bytes], ["event", "evil.\u202e\u2028", "héllo", 6]);
});

test("a large event arrives whole before the command ends, one that is too large is refused", async () => {
  await using here = await scratch();
  await using node = await here.node(["--log-level", "info"]);
  await writeFile(here.path("big"), new Uint8Array(5_000_000));
  assertWorks(await here.mxp(["event", node.url, "big", "-d", "@big"]));
  await node.logLine(/topic=big bytes=5000000 /);
  await writeFile(here.path("bigger"), new Uint8Array(16 << 20));
  assertFails(
    await here.mxp(["event", node.url, "bigger", "-d", "@bigger"]),
    2,
    /data and topic are larger than 16777216 bytes together: .* 16777208 bytes/,
  );
  assertFails(await here.mxp(["event", node.url, "big", "-d", "@big", "--unreliable"]), 2, /send it reliably/);
});

test("a node that does not allow the key refuses every kind of event, and says so", async () => {
  await using here = await scratch();
  await using other = await scratch();
  const key = /[\w-]{43}/.exec((await other.mxp(["keygen", "-o", other.path("key")])).stdout)![0];
  await using node = await here.node(["--allow", key]);
  for (const args of [[], ["--ack"], ["--unreliable"]]) {
    const result = await here.mxp(["event", node.url, "a", "x", ...args]);
    assertFails(result, 4, /does not allow this key/);
    assert.doesNotMatch(result.stderr, /ping|call/);
  }
});

test("what cannot be an event is said at once", async () => {
  await using here = await scratch();
  const url = "mxp://127.0.0.1:1";
  assertFails(await here.mxp(["event", `${url}/agent`, "x", "--capability", "c"]), 2, /not both/);
  assertFails(await here.mxp(["event", url, "x", "--retry", "3"]), 2, /without --ack/);
  assertFails(await here.mxp(["event", url, ""]), 2, /TOPIC is empty/);
  assertFails(await here.mxp(["event", url, "x", "--ack", "--unreliable"]), 2, /exclude each other/);
  assertFails(await here.mxp(["event", url]), 2, /missing required argument/);
  assertFails(await here.mxp(["event", url, "x", "a", "-d", "b"]), 2, /both DATA and -d/);
});

test("a node answers streams: --echo chunk by chunk, --exec with what its command prints, as it comes", async () => {
  await using here = await scratch();
  await using echo = await here.node(["--echo", "--name", "parrot", "--log-level", "info"]);
  await using client = await connect(echo.url + "/parrot");
  const stream = client.stream();
  const chunks = stream[Symbol.asyncIterator]();
  for (const word of ["one", "two"]) {
    await stream.write(word);
    assert.equal(new TextDecoder().decode((await chunks.next()).value!), word);
  }
  await stream.close();
  assert.equal((await chunks.next()).done, true);
  await echo.logLine(/info stream ok .*agent=parrot in=6 out=6/);

  await using exec = await here.node(["--exec", 'while read -r line; do echo "got $line"; done; exit $MXP_METHOD']);
  await using other = await connect(exec.url);
  const good = other.stream("0");
  const lines = good[Symbol.asyncIterator]();
  for (const line of ["a", "b"]) {
    await good.write(`${line}\n`);
    assert.equal(new TextDecoder().decode((await lines.next()).value!), `got ${line}\n`);
  }
  await good.close();
  assert.equal((await lines.next()).done, true);
  const bad = other.stream("3");
  await bad.close();
  await assert.rejects(bad.text(), /exit code 3/);
  await exec.logLine(/warn(ing)? stream failed .*exit code 3/);
});

test("a stream that is given up ends its command", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "echo $$; exec sleep 300", "--log-level", "debug"]);
  await using client = await connect(node.url);
  const stream = client.stream();
  const { value } = await stream[Symbol.asyncIterator]().next();
  assert.ok(Number(new TextDecoder().decode(value!)) > 0);
  stream.cancel();
  await node.logLine(/process ended .*not wanted any more/);
});
