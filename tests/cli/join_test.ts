import assert from "node:assert/strict";
import test from "node:test";
import { assertFails, assertWorks, eventually, scratch } from "./nodes.ts";
import { generateIdentity } from "../../mod.ts";

test("an agent behind a node is found, called and streamed to by capability, name and id", async () => {
  await using here = await scratch();
  await using node = await here.node(["--log-level", "info"]);
  await here.mxp(["keygen", "-o", "agent.key"]);
  const join = ["--identity", "agent.key", "--join", node.url];
  await using agent = await here.node([
    ...join,
    "--name",
    "upper",
    "--capability",
    "text.upper",
    "--exec",
    "tr a-z A-Z",
  ]);
  await agent.logLine("joined mxp://");
  const { agents } = JSON.parse((await here.mxp(["discover", node.url, "--json"])).stdout);
  assert.deepEqual(
    agents.map((
      { name, capabilities, publicKey, status }: Record<string, unknown>,
    ) => [name, capabilities, publicKey, status]),
    [["upper", ["text.upper"], agent.key, "online"]],
  );
  for (const args of [[node.url, "--capability", "text.*"], [`${node.url}/upper`], [`${node.url}/${agents[0].id}`]]) {
    const [url, ...flags] = args;
    const result = await here.mxp(["call", url, "hello", "--timing", ...flags]);
    assertWorks(result);
    assert.equal(result.stdout, "HELLO");
    const trace = /trace +([0-9a-f]{16})/.exec(result.stderr)![1];
    await node.logLine(new RegExp(`call passed on outcome=ok trace=${trace} .* agent=upper id=${agents[0].id}`));
  }
  assertFails(
    await here.mxp(["call", node.url, "x", "--capability", "text.lower"]),
    6,
    /no agent here has the capability/,
  );
  assertFails(await here.mxp(["call", `${node.url}/upper`, "x", "--capability", "a"]), 2, /not both/);
  const upper = `${node.url}/upper`, long = "compresses well, ".repeat(200);
  const another = generateIdentity().publicKeyText;
  const [sealed, streamed, misled, noKey, compressed] = await Promise.all([
    here.mxp(["call", upper, "a secret", "--e2e", agent.key]),
    here.mxp(["stream", upper, "--e2e", agent.key], { stdin: "a stream\n" }),
    here.mxp(["call", upper, "a secret", "--e2e", another]),
    here.mxp(["call", upper, "x", "--e2e", "KEY"]),
    here.mxp(["call", upper, long, "--compress"]),
  ]);
  assertWorks(sealed);
  assert.equal(sealed.stdout, "A SECRET");
  assertWorks(streamed);
  assert.equal(streamed.stdout, "A STREAM\n");
  assertFails(misled, 7, /^mxp: the message is not sealed to this agent's key.*says a node on the way/);
  assertFails(noKey, 2, /--e2e has 3 characters; expected 43/);
  // Node 20 has no zstd, and says so.
  if (compressed.code === 2) assertFails(compressed, 2, /no zstd/);
  else assert.equal(compressed.stdout, long.toUpperCase());
  const lines = Array.from({ length: 10_000 }, (_, i) => `line ${i} of many\n`).join("");
  const [shouted, named, both] = await Promise.all([
    here.mxp(["stream", node.url, "--capability", "text.upper", "--lines"], { stdin: lines }),
    here.mxp(["stream", upper], { stdin: "by name" }),
    here.mxp(["stream", upper, "--capability", "a"]),
  ]);
  assertWorks(shouted);
  assert.ok(shouted.stdout === lines.toUpperCase(), "10 000 lines come back exact and in order");
  assert.equal(named.stdout, "BY NAME");
  assertFails(both, 2, /not both/);
  // A farewell, so that nobody is sent there any more.
  assert.equal((await agent.stop()).code, 143);
  assertFails(await here.mxp(["call", node.url, "x", "--capability", "text.upper"]), 6, /no agent here/);
});

test("an agent that says where it listens is called and streamed to directly, under the caller's own key", async () => {
  await using here = await scratch();
  await using node = await here.node([]);
  const [, caller] = await Promise.all(["agent.key", "caller.key"].map((file) => here.mxp(["keygen", "-o", file])));
  const agentArgs = ["--identity", "agent.key", "--capability", "who", "--exec", 'printf %s "$MXP_PEER"'];
  await using agent = await here.node([...agentArgs, "--join", node.url, "--advertise", "127.0.0.1:0"]);
  await agent.logLine("joined mxp://");
  const direct = (...args: string[]) => here.mxp([...args, "--direct", "--identity", "caller.key"], { stdin: "" });
  const name = `agent-${agent.key.slice(0, 8)}`;
  const [called, streamed, nobody, badAddress] = await Promise.all([
    direct("call", node.url, "--capability", "who"),
    direct("stream", `${node.url}/${name}`),
    direct("call", node.url),
    here.mxp(["serve", "--join", node.url, "--echo", "--advertise", "224.0.0.1:9"]),
  ]);
  for (const result of [called, streamed]) {
    assertWorks(result);
    assert.ok(caller.stdout.includes(result.stdout) && result.stdout.length === 43, result.stdout);
  }
  assertFails(nobody, 2, /--direct needs an agent/);
  assertFails(badAddress, 2, /--advertise.*is not IP:PORT of a machine/);
});

test("an agent that is asked to end finishes the call that it was passed, and gets no other", async () => {
  await using here = await scratch();
  await using node = await here.node([]);
  await using agent = await here.node([
    "--join",
    node.url,
    "--name",
    "slow",
    "--exec",
    "touch started; sleep 1; echo done",
  ]);
  await agent.logLine("joined mxp://");
  const call = here.mxp(["call", `${node.url}/slow`, ""]);
  await eventually("the call runs", async () => (await here.shell("test -e started")).code === 0);
  const ended = agent.stop();
  await eventually(
    "the agent has left",
    async () => JSON.parse((await here.mxp(["discover", node.url, "--json"])).stdout).count === 0,
  );
  const result = await call;
  assertWorks(result);
  assert.equal(result.stdout, "done\n");
  const { code, stderr } = await ended;
  assert.equal(code, 143);
  assert.doesNotMatch(stderr, /lost|again/, "nothing was lost: it went itself");
});

test("an agent finds back to a node that was killed and started anew", async () => {
  await using here = await scratch();
  await here.mxp(["keygen", "-o", "node.key"]);
  const first = await here.node(["--identity", "node.key"]);
  await using agent = await here.node(["--join", first.url, "--name", "echo", "--capability", "echo", "--echo"]);
  await agent.logLine("joined mxp://");
  await first.stop("SIGKILL");
  await using again = await here.node(["--identity", "node.key", "--listen", first.where]);
  assert.equal(again.url, first.url);
  await eventually(
    "it is registered again",
    async () => JSON.parse((await here.mxp(["discover", again.url, "--json"])).stdout).count === 1,
  );
  assert.equal((await here.mxp(["call", again.url, "hello", "--capability", "echo"])).stdout, "hello");
});

test("what --join cannot do is said before anything is served", async () => {
  await using here = await scratch();
  await using node = await here.node([]);
  const serve = (...args: string[]) => here.mxp(["serve", "--listen", "127.0.0.1:0", ...args]);
  assertFails(await serve("--capability", "x"), 2, /give both/);
  assertFails(await serve("--join", node.url), 2, /add --echo or --exec/);
  assertFails(await serve("--join", `${node.url}/x`, "--echo"), 2, /leave \/x out/);
});

test("a node whose other node is not there yet serves, says so, and joins it once it is", async () => {
  await using here = await scratch();
  await here.mxp(["keygen", "-o", "node.key"]);
  const first = await here.node(["--identity", "node.key"]);
  await first.stop();
  await using agent = await here.node(["--join", first.url, "--name", "echo", "--echo"]);
  const line = await agent.logLine("cannot join");
  assert.equal(line, `mxp: cannot join ${first.url} yet: no answer so far; trying again`);
  assert.equal((await here.mxp(["call", agent.url, "hello"])).stdout, "hello");
  await using again = await here.node(["--identity", "node.key", "--listen", first.where]);
  await agent.logLine(`joined ${again.url}`);
  assert.equal((await here.mxp(["call", `${again.url}/echo`, "hello"])).stdout, "hello");
});

test("a node that waits for its other node ends when it is asked to", async () => {
  await using here = await scratch();
  const first = await here.node([]);
  await first.stop();
  await using agent = await here.node(["--join", first.url, "--echo"]);
  await agent.logLine("cannot join");
  assert.equal((await agent.stop()).code, 143);
});

test("with --json a node tells on standard output that it has joined", async () => {
  await using here = await scratch();
  await using node = await here.node([]);
  await using agent = await here.node(["--join", node.url, "--echo", "--json"]);
  const { event, url } = JSON.parse(await agent.cli.nextLine());
  assert.deepEqual({ event, url }, { event: "joined", url: node.url });
});

test("a join that cannot work ends the node and says why", async () => {
  await using here = await scratch();
  await here.mxp(["keygen", "-o", "other.key"]);
  const other = (await here.mxp(["pubkey", "other.key"])).stdout.trim();
  await using closed = await here.node(["--allow", other, "--identity", "other.key"]);
  await using node = await here.node([]);
  const cases: [url: string, code: number, message: RegExp][] = [
    [closed.keyless, 9, /never met/],
    [`mxp://${node.key}@${closed.where}`, 9, /does not hold the key in the URL/],
    [closed.url, 4, /refused|does not allow this key/],
  ];
  for (const [url, code, message] of cases) {
    await using agent = await here.node(["--join", url, "--echo"]);
    const result = await agent.cli.done;
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, message);
  }
});
