import assert from "node:assert/strict";
import test from "node:test";
import { connect, generateIdentity } from "../../mod.ts";
import { assertFails, assertWorks, scratch } from "./nodes.ts";

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.fail(`timed out waiting until ${what}`);
}

test("events reach whoever has subscribed, one line each, also over a restart of the node, and a pipe that closes ends it", async () => {
  await using here = await scratch();
  await using node = await here.node([]);
  const identity = generateIdentity();
  await using json = here.start(["subscribe", node.url, "once.*", "b.>", "--json", "--count", "2"]);
  await using fragile = here.start(["subscribe", node.url, "a.x", "--no-reconnect", "--json"]);
  const first = JSON.parse(await json.nextLine());
  assert.deepEqual(first, { type: "subscribed", topics: ["once.*", "b.>"], url: node.url });
  await fragile.nextLine();
  {
    await using client = await connect(node.url, { identity });
    await using plain = here.start(["subscribe", node.url, "a.*"]);
    const piped = here.shell(`mxp subscribe ${node.url} 'a.*' | head -1; echo "\${PIPESTATUS[*]}"`);
    // Nothing tells when these two are there but their events.
    let isOver = false;
    void piped.then(() => isOver = true);
    let lines = 0;
    void plain.nextLine().then(() => lines++);
    await until(async () => {
      await client.emit("a.only.seen.by.nobody", "x");
      await client.emit("a.evil", "one\u001b[31m\ntwo\tthree", { ack: true });
      return isOver && lines > 0;
    }, "both have printed");
    assert.equal((await piped).stdout, "one\\u001b[31m\\u000atwo\tthree\n0 0\n");
    await client.emit("once.evil\u202e", "one\u001b[31m\ntwo\tthree", { ack: true });
    const event = JSON.parse(await json.nextLine());
    const { type, topic, text, from, traceId } = event;
    assert.deepEqual([type, topic, text, from], [
      "event",
      "once.evil\u202e",
      "one\u001b[31m\ntwo\tthree",
      identity.publicKeyText,
    ]);
    assert.match(traceId, /^[0-9a-f]{16}$/);
    plain.child.kill("SIGTERM");
    const ended = await plain.done;
    assert.equal(ended.code, 143);
    assert.match(ended.stdout, /^(one\\u001b\[31m\\u000atwo\tthree\n)+$/);
  }
  const { port } = new URL(node.url.replace("mxp:", "http:"));
  await node.stop();
  const lost = await fragile.done;
  assert.equal(lost.code, 4, lost.stderr);
  await using again = await here.node(["--listen", `127.0.0.1:${port}`]);
  assert.equal(again.url, node.url);
  await using client = await connect(again.url, { identity });
  let isDone = false;
  void json.done.then(() => isDone = true);
  await until(async () => {
    await client.emit("b.after", Uint8Array.of(0xff, 0x00), { ack: true });
    return isDone;
  }, "the second event has come");
  const result = await json.done;
  assert.equal(result.code, 0, result.stderr);
  const told = result.stdout.trim().split("\n").map((line) => JSON.parse(line));
  const types = told.map(({ type }) => type);
  assert.ok(types.includes("reconnecting"), types.join(" "));
  assert.deepEqual(told.find(({ type }) => type === "missed"), { type: "missed", count: null });
  const last = told[told.length - 1];
  assert.deepEqual([last.topic, last.base64], ["b.after", "/wA="]);
  assert.match(result.stderr, /was lost|subscribed again/);
});

test("mxp event reaches one agent alone, says whether that has accepted it, and tries again until it has", async () => {
  await using here = await scratch();
  await using node = await here.node(["--name", "home", "--log-level", "info"]);
  await using client = await connect(node.url);
  const seen: string[] = [];
  await client.register({ name: "keeper", capabilities: ["keep.all"] }, {
    handlers: { event: (topic, data) => void seen.push(`${topic} ${new TextDecoder().decode(data)}`) },
  });
  // Who has no identity yet gets one that lasts: with a key for each run, nothing would be the same.
  await using other = await scratch();
  const keyed = ["event", node.url, "a.c", "two", "--capability", "keep.*", "--ack", "--idempotency-key", "k"];
  const good = [
    ["event", `${node.url}/keeper`, "a.b", "one", "--ack", "--retry", "2"],
    ["event", `${node.url}/home`, "a.d", "three", "--ack"],
  ];
  await Promise.all([...good.map((args) => here.mxp(args)), other.mxp(keyed), other.mxp(keyed)].map(async (run) => {
    assertWorks(await run);
  }));
  assert.deepEqual(seen.sort(), ["a.b one", "a.c two"], "the same key is the same event");
  await node.logLine(/event topic=a\.d bytes=5/);
  const failures: [args: string[], code: number, pattern: RegExp][] = [
    [["event", `${node.url}/nobody`, "a", "--ack"], 6, /no agent "nobody"/],
    [["event", node.url, "a..b"], 2, /the topic "a\.\.b" has an empty token/],
    [["subscribe", node.url, "a*"], 2, /the pattern "a\*" has a \* inside a token/],
    [["subscribe", `${node.url}/keeper`, "a"], 2, /leave \/keeper out of the URL/],
  ];
  await Promise.all(failures.map(async ([args, code, pattern]) => assertFails(await here.mxp(args), code, pattern)));
});
