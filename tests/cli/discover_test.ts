import { LifecycleClient } from "../../lib/agent/registry/lifecycle_client.ts";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import test from "node:test";
import { type Client, connect, generateIdentity, type Identity } from "../../mod.ts";
import { killRun } from "../../scripts/kill_run.ts";
import { program } from "../support/cli.ts";
import { testSeed } from "../support/seed.ts";
import { assertFails, assertWorks, scratch } from "./nodes.ts";

/** Why tests of `--db` are left out: the program runs on something that has no SQLite. */
const skip: string | false = await (async () => {
  await using here = await scratch();
  await writeFile(here.path("notes.txt"), "no registry");
  const result = await here.mxp(["serve", "--listen", "127.0.0.1:0", "--db", "notes.txt"]);
  assertFails(result, 3, /cannot open notes\.txt: (it is not an SQLite file|this runtime has no SQLite)/);
  return result.stderr.includes("no SQLite") && "this runtime has no SQLite, and says so";
})();

/** Connects as an agent does. */
function agentAt(url: string, identity: Identity = generateIdentity()): Promise<Client> {
  return connect(url, { identity });
}

test("agents are listed in a table and as JSON, and found by capability, name and id", async () => {
  await using here = await scratch();
  await using node = await here.node([]);
  const none = await here.mxp(["discover", node.url]);
  assertWorks(none);
  assert.deepEqual([none.stdout, none.stderr], ["", "mxp: no agents\n"]);
  const identity = generateIdentity();
  await using agent = await agentAt(node.url, identity);
  await using first = await agent.register({
    name: "first",
    capabilities: ["text.echo", "text.upper"],
    version: "1.0",
  });
  await using second = await agent.register({ name: "second", capabilities: ["image.scale"] });
  const find = async (...args: string[]): Promise<string[]> => {
    const result = await here.mxp(["discover", ...args, "--json"]);
    assertWorks(result);
    const { count, agents } = JSON.parse(result.stdout);
    assert.equal(count, agents.length);
    return agents.map(({ name }: { name: string }) => name).sort();
  };
  assert.deepEqual(await find(node.url), ["first", "second"]);
  assert.deepEqual(await find(node.url, "--capability", "text.*"), ["first"]);
  assert.deepEqual(await find(node.url, "--capability", "image.scale"), ["second"]);
  assert.deepEqual(await find(node.url, "--name", "second"), ["second"]);
  assert.deepEqual(await find(`${node.url}/second`), ["second"]);
  assertFails(await here.mxp(["discover", `${node.url}/third`]), 6, /knows no agent "third"/);
  assert.deepEqual(await find(`${node.url}/${first.id}`), ["first"]);
  assert.deepEqual((await find(node.url, "--limit", "1")).length, 1);
  const json = JSON.parse((await here.mxp(["discover", node.url, "--name", "first", "--json"])).stdout);
  assert.equal(json.url, node.url);
  const { heartbeatAgeMs, registeredAtMs, ...facts } = json.agents[0];
  assert.ok(heartbeatAgeMs < 30_000 && registeredAtMs > 1_700_000_000_000);
  assert.deepEqual(facts, {
    id: first.id,
    name: "first",
    capabilities: ["text.echo", "text.upper"],
    publicKey: identity.publicKeyText,
    version: "1.0",
    tags: [],
    metadata: {},
    status: "online",
    leaseMs: 30_000,
  });
  const { stdout } = await here.mxp(["discover", node.url]);
  const [head, ...rows] = stdout.trimEnd().split("\n");
  assert.match(head, /^NAME +STATUS +LOAD +HEARTBEAT +ID +CAPABILITIES$/);
  assert.equal(rows.length, 2);
  assert.match(stdout, new RegExp(`^first +online +- +[\\d.]+ m?s ago +${first.id} +text.echo text.upper$`, "m"));
  assert.equal(second.state, "registered");
});

test("names that are made to mislead are shown as what they are", async () => {
  await using here = await scratch();
  await using node = await here.node(["--log-level", "info"]);
  await using agent = await agentAt(node.url);
  const evil = "a\n\x1b[31m\u009b2J\u202e" + "x".repeat(100);
  // Whoever wants to mislead does not use a library that refuses such names.
  const { register } = LifecycleClient.prototype;
  LifecycleClient.prototype.register = function (card, options) {
    return register.call(this, { ...card, name: evil, capabilities: ["c\r\x00"] }, options);
  };
  await using registration = await agent.register({ name: "a" }).finally(() => {
    LifecycleClient.prototype.register = register;
  });
  for (const args of [[], ["--json"]]) {
    const { stdout } = await here.mxp(["discover", node.url, ...args]);
    // deno-lint-ignore no-control-regex -- these are what must not be there
    assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
    assert.equal(stdout.trimEnd().split("\n").length, args.length === 0 ? 2 : 1);
  }
  const json = JSON.parse((await here.mxp(["discover", node.url, "--json"])).stdout);
  assert.equal(json.agents[0].name, evil);
  const line = await node.logLine("audit action=register decision=allowed");
  assert.ok(line.includes(registration.id) && !line.includes("\x1b") && !line.includes("\u202e"));
});

test("--watch tells what comes, changes and goes, as text and as JSON", async () => {
  await using here = await scratch();
  await using node = await here.node([]);
  await using agent = await agentAt(node.url);
  await using first = await agent.register({ name: "first", capabilities: ["text.echo"] });
  const text = here.start(["discover", node.url, "--watch"]);
  const json = here.start(["discover", node.url, "--watch", "--json", "--no-reconnect"]);
  const next = async (): Promise<unknown[]> => {
    const { type, agent, count } = JSON.parse(await json.nextLine());
    return type === "listed" ? [type, count] : [type, agent.name, agent.status, agent.load];
  };
  const at = "\\d\\d:\\d\\d:\\d\\d";
  assert.deepEqual(await next(), ["up", "first", "online", undefined]);
  assert.deepEqual(await next(), ["listed", 1]);
  assert.match(await text.nextLine(), new RegExp(`^${at} up      ${first.id} first online \\(text.echo\\)$`));
  const second = await agent.register({ name: "second" });
  assert.deepEqual(await next(), ["up", "second", "online", undefined]);
  assert.match(await text.nextLine(), new RegExp(`^${at} up      ${second.id} second online$`));
  first.load = 900;
  assert.deepEqual(await next(), ["changed", "first", "online", 900]);
  assert.match(await text.nextLine(), new RegExp(`^${at} changed ${first.id} first online load 900 \\(text.echo\\)$`));
  await second.close();
  assert.deepEqual(await next(), ["down", "second", "online", undefined]);
  assert.match(await text.nextLine(), new RegExp(`^${at} down    ${second.id} second$`));
  process.kill(text.child.pid!, "SIGINT");
  assert.equal((await text.done).code, 130);
  // The node's end is told from the user's.
  await node.stop();
  const { code, stdout } = await json.done;
  assert.equal(code, 4);
  assert.match(stdout.trimEnd().split("\n").at(-1)!, /^\{"error":\{"code":"(closed|connection_lost)",/);
});

test("what cannot be asked for is a usage error, and a node that was never met is not asked", async () => {
  await using here = await scratch();
  await using node = await here.node([]);
  for (
    const [args, pattern] of [
      [["--capability", "a", "--name", "b"], /give one of --capability, --name/],
      [["--capability", ""], /--capability is empty/],
      [["--limit", "0"], /--limit: "0" is not a whole number/],
      [["--watch", "--limit", "3"], /--limit has no meaning with --watch/],
    ] as const
  ) {
    assertFails(await here.mxp(["discover", node.url, ...args]), 2, pattern);
  }
  assertFails(await here.mxp(["discover", `${node.url}/x`, "--name", "b"]), 2, /give one of/);
  assertFails(await here.mxp(["discover", node.keyless]), 9, /never met/);
});

test(
  "with --db, agents are there again after a restart, and the file is in use by one node at a time",
  { skip },
  async () => {
    await using here = await scratch();
    const identity = generateIdentity();
    await using first = await here.node(["--db", "registry.db"]);
    {
      await using agent = await agentAt(first.url, identity);
      await agent.register({ name: "kept", capabilities: ["a.b"] });
    }
    const second = await here.mxp(["serve", "--listen", "127.0.0.1:0", "--db", "registry.db"]);
    assertFails(second, 3, /cannot open registry\.db: it is in use by another node/);
    await first.stop("SIGKILL");
    await using again = await here.node(["--db", "registry.db"]);
    const { agents } = JSON.parse((await here.mxp(["discover", again.url, "--json"])).stdout);
    assert.deepEqual(agents.map(({ name }: { name: string }) => name), ["kept"]);
    assert.equal(agents[0].publicKey, identity.publicKeyText);
  },
);

test("a file that cannot be a registry ends the node with a word about it", { skip }, async () => {
  await using here = await scratch();
  await writeFile(here.path("notes.txt"), "remember the milk\n".repeat(100));
  const serve = (file: string) => here.mxp(["serve", "--listen", "127.0.0.1:0", "--db", file]);
  assertFails(await serve("notes.txt"), 3, /cannot open notes\.txt: it is not an SQLite file/);
  assert.match(await readFile(here.path("notes.txt"), "utf8"), /^remember the milk/);
});

test(
  "a disk that is full is told to registrants and the log, and the node goes on with what it has",
  { skip },
  async () => {
    await using here = await scratch();
    const limited = [
      "-c",
      // No file may grow beyond 100 KiB, and writing on is an error rather than the end of the process.
      `trap "" XFSZ; ulimit -f 100; exec "$@"`,
      "bash",
      ...program,
      ...["serve", "--listen", "127.0.0.1:0", "--db", here.path("registry.db"), "--echo"],
    ];
    const child = spawn("bash", limited, { env: { ...process.env, ...here.env }, stdio: ["ignore", "pipe", "pipe"] });
    let errors = "";
    child.stderr.on("data", (chunk: Uint8Array) => errors += new TextDecoder().decode(chunk));
    const closed = once(child, "close");
    try {
      const [line] = await once(child.stdout, "data") as [Uint8Array];
      const url = new TextDecoder().decode(line).replace(/^listening /, "").trim();
      await using agent = await agentAt(url);
      const stored: string[] = [];
      const failure = await (async () => {
        for (let n = 0; n < 200; n++) {
          stored.push((await agent.register({ name: `agent ${n}`, description: "x".repeat(4_000) })).id);
        }
      })().catch((error) => error);
      assert.ok(stored.length > 3 && stored.length < 100, `${stored.length} were stored; ${errors}`);
      assert.deepEqual([failure.code, failure.retryable], ["closed", true], failure.message);
      assert.match(failure.message, /^the registry cannot be written: /);
      assert.ok(!failure.message.includes("registry.db"), "paths are nobody else's business");
      assert.deepEqual((await agent.discover()).map(({ id }) => id), [...stored].sort());
      assert.equal((await agent.call("still there")).text(), "still there");
      assert.match(errors, /error registry not stored reason="the registry cannot be written/);
      process.kill(child.pid!, "SIGKILL");
      await closed;
      await using node = await here.node(["--db", "registry.db"]);
      await using again = await agentAt(node.url);
      assert.deepEqual((await again.discover()).map(({ id }) => id), [...stored].sort());
    } finally {
      if (child.exitCode === null && child.signalCode === null) process.kill(child.pid!, "SIGKILL");
      await closed;
    }
  },
);

test("a node that is killed at ten random moments has every registration that it acknowledged", { skip }, async () => {
  const { acknowledged, missing } = await killRun({ program, kills: 10, seed: testSeed });
  assert.deepEqual(missing, []);
  assert.ok(acknowledged > 0, "nothing was acknowledged, so nothing was shown");
});

test("why --db cannot be used is said, with what to do", { skip }, async () => {
  await using here = await scratch();
  const serve = (path: string) => here.mxp(["serve", "--listen", "127.0.0.1:0", "--db", path]);
  await writeFile(here.path("file"), "");
  await mkdir(here.path("folder"));
  assertFails(await serve("nowhere/registry.db"), 3, /there is no folder \S+nowhere; make it/);
  assertFails(await serve("file/registry.db"), 3, /file is no folder/);
  assertFails(await serve("folder"), 3, /it is a folder; name a file in it/);
  assertFails(await serve("/dev/null"), 3, /it is no regular file/);
  // Nothing is forbidden to root.
  if (process.getuid?.() === 0) return;
  await chmod(here.path("file"), 0o444);
  assertFails(await serve("file"), 3, /no permission to read and write it/);
  await chmod(here.path("folder"), 0o555);
  assertFails(await serve("folder/registry.db"), 3, /no permission to make files in \S+folder/);
});
