import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { readFile, stat, writeFile } from "node:fs/promises";
import test from "node:test";
import { assertFails, assertWorks, type Scratch, scratch } from "./nodes.ts";

test("an unknown host exits with 4", async () => {
  await using here = await scratch();
  const result = await here.mxp(["call", "mxp://no-such-host.invalid", "x"]);
  assertFails(result, 4, /no-such-host\.invalid/);
});

test("where nobody listens, connecting fails with 4 within the timeout", async () => {
  await using here = await scratch();
  // Bound, but mute: the port belongs to us, so that nobody else answers.
  const mute = createSocket("udp4");
  await new Promise<void>((resolve) => mute.bind(0, "127.0.0.1", resolve));
  try {
    const where = `127.0.0.1:${mute.address().port}`;
    const startedAt = performance.now();
    const result = await here.mxp(["call", `mxp://${where}`, "x", "--timeout", "700ms"]);
    assertFails(result, 4, new RegExp(`no answer from ${where}`));
    assert.ok(performance.now() - startedAt < 8000, "within the timeout and a start of the program");
    assertFails(await here.mxp(["ping", `mxp://${where}`, "--timeout", "300ms"]), 4, /no answer from/);
  } finally {
    mute.close();
  }
});

test("another key in the URL exits with 9", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  assertWorks(await here.mxp(["keygen", "-o", "other.key"]));
  const other = (await here.mxp(["pubkey", "other.key"])).stdout.trim();
  const result = await here.mxp(["call", node.url.replace(node.key, other), "x", "--timeout", "5s"]);
  assertFails(result, 9, new RegExp(`does not hold the key in the URL \\(${other}\\)`));
});

test("a node that was never met is refused where nobody can be asked, and the line says how to go on", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  const result = await here.mxp(["call", node.keyless, "x"]);
  assertFails(result, 9, /--trust-new/);
  assert.ok(result.stderr.includes(node.key), "it shows the key");
  assert.match(result.stderr, /SHA256:/, "it shows the fingerprint");
  const json = await here.mxp(["call", node.keyless, "x", "--json"]);
  assert.equal(json.code, 9);
  assert.equal(JSON.parse(json.stdout).error.code, "unknown_key");
  await assert.rejects(stat(here.path("mxp/known_peers")), "nothing was remembered");
});

test("--trust-new accepts and remembers a node, and a node that is known needs no more", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  const first = await here.mxp(["call", node.keyless, "first", "--trust-new", "--timing"]);
  assertWorks(first);
  assert.equal(first.stdout, "first");
  assert.match(first.stderr, /first contact, XX/);
  const file = here.path("mxp/known_peers");
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.equal(await readFile(file, "utf8"), `${node.where} ${node.key}\n`);
  const second = await here.mxp(["call", node.keyless, "second", "--timing"]);
  assertWorks(second);
  assert.match(second.stderr, /full, IK/);
});

test("--known-peers and MXP_KNOWN_PEERS say which file remembers", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  assertWorks(await here.mxp(["call", node.keyless, "x", "--trust-new", "--known-peers", "mine"]));
  assert.equal(await readFile(here.path("mine"), "utf8"), `${node.where} ${node.key}\n`);
  assertWorks(await here.mxp(["call", node.keyless, "x"], { env: { MXP_KNOWN_PEERS: "mine" } }));
  assert.equal((await here.mxp(["call", node.keyless, "x"])).code, 9);
});

test("a changed key is refused, with --trust-new as well", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  assertWorks(await here.mxp(["keygen", "-o", "old.key"]));
  const old = (await here.mxp(["pubkey", "old.key"])).stdout.trim();
  const before = `${node.where} ${old} before\n`;
  await writeFile(here.path("known"), before, { mode: 0o600 });
  for (const more of [[], ["--trust-new"]]) {
    const result = await here.mxp(["call", node.keyless, "x", "--known-peers", "known", ...more]);
    assertFails(result, 9, /key has changed/);
    assert.match(result.stderr, /known line 1/, "it says where the old key stands");
  }
  assert.equal(await readFile(here.path("known"), "utf8"), before);
  assertWorks(await here.mxp(["call", node.url, "the URL goes before the file", "--known-peers", "known"]));
});

test("a known-peers file that cannot be read exits with 3, and a damaged line is told of", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  assertFails(await here.mxp(["call", node.keyless, "x", "--known-peers", here.folder]), 3, /known-peers file/);
  await writeFile(here.path("known"), `nonsense\n${node.where} ${node.key}\n`, { mode: 0o600 });
  const result = await here.mxp(["call", node.keyless, "hello", "--known-peers", "known"]);
  assertWorks(result);
  assert.equal(result.stdout, "hello");
  assert.match(result.stderr, /^mxp: known: line 1: .*\n$/);
});

test("--allow lets in the keys that it names, to do what it says, and the log tells who did not", async () => {
  await using here = await scratch();
  for (const name of ["a", "b", "c", "d"]) assertWorks(await here.mxp(["keygen", "-o", `${name}.key`]));
  const key = async (name: string): Promise<string> => (await here.mxp(["pubkey", `${name}.key`])).stdout.trim();
  await writeFile(
    here.path("friends"),
    `# those that may\n\n${await key("b")} call # the office\n${await key("d")} register\n`,
  );
  const node = await here.node(["--echo", "--allow", await key("a"), "--allow", "friends", "--log-level", "info"]);
  await using _node = node;
  const callAs = (name: string): ReturnType<Scratch["mxp"]> =>
    here.mxp(["call", node.url, name, "--identity", `${name}.key`, "--timeout", "5s"]);
  assert.equal((await callAs("a")).stdout, "a");
  assert.equal((await callAs("b")).stdout, "b");
  assertFails(await callAs("c"), 4, /does not allow this key/);
  assertFails(await callAs("d"), 7, /this key may not make calls here/);
  await node.logLine(
    new RegExp(`info audit action=connect decision=denied peer=${await key("c")} from=127\\.0\\.0\\.1:`),
  );
  await node.logLine(
    new RegExp(`info audit action=call decision=denied peer=${await key("d")} from=.* reason="this key`),
  );
  await node.logLine(new RegExp(`info audit action=connect decision=allowed peer=${await key("a")} from=`));
});

test("--allow refuses what is no key and no file of keys", async () => {
  await using here = await scratch();
  assertWorks(await here.mxp(["keygen", "-o", "k"]));
  await writeFile(here.path("empty"), "# nobody\n");
  await writeFile(here.path("wrong"), "ok?\n");
  await writeFile(here.path("twice"), "* call\n* register\n");
  const cases: [string, RegExp][] = [
    ["missing", /missing.*no such file, and it is not a key/],
    ["k", /private key file; --allow takes public keys: mxp pubkey k/],
    ["empty", /no keys in it/],
    ["wrong", /wrong line 1: the public key contains "\?".*; a line is KEY register,call # comment/],
    ["twice", /twice line 2: the key has a rule in line 1 already/],
  ];
  for (const [value, message] of cases) {
    assertFails(await here.mxp(["serve", "--echo", "--listen", "127.0.0.1:0", "--allow", value]), 3, message);
  }
});

test("ping tells of the handshake, the round trips, the path and the congestion controller", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  const text = await here.mxp(["ping", node.url, "--count", "3", "--interval", "10ms"]);
  assertWorks(text);
  assert.equal(text.stderr, "");
  assert.match(text.stdout, /^node +mxp:\/\/\S+ \(127\.0\.0\.1:\d+\)\nhandshake +[\d.]+ ms \(full, IK, \S+\)\n/);
  assert.equal(text.stdout.match(/^round trip \d/gm)!.length, 3);
  assert.match(text.stdout, /^round trips +min .* ms, avg .* ms, p50 .* ms, max .* ms \(3 round trips\)$/m);
  assert.match(text.stdout, /^path MTU +\d+ bytes/m);
  assert.match(text.stdout, /^congestion +\S+.*window/m);

  const json = JSON.parse(
    (await here.mxp(["ping", node.url, "-c", "5", "--interval", "0", "--json", "--timeout", "0"])).stdout,
  );
  assert.deepEqual(Object.keys(json), ["url", "address", "handshake", "rtt_ms", "path_mtu", "congestion"]);
  assert.equal(json.url, node.url);
  assert.equal(json.handshake.pattern, "IK");
  assert.equal(json.rtt_ms.count, 5);
  assert.equal(json.rtt_ms.samples.length, 5);
  assert.equal(json.rtt_ms.p50, [...json.rtt_ms.samples].sort((a: number, b: number) => a - b)[2]);
  assert.ok(json.rtt_ms.min > 0 && json.rtt_ms.min <= json.rtt_ms.avg && json.rtt_ms.avg <= json.rtt_ms.max);
  assert.ok(json.path_mtu >= 1200);
  assert.ok(json.congestion.window > 0);
});
