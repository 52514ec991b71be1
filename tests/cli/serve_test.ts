import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import test from "node:test";
import { assertFails, assertWorks, eventually, isAlive, scratch } from "./nodes.ts";

test("the first line says where the node listens, in text and in JSON", async () => {
  await using here = await scratch();
  await using text = await here.node(["--echo"]);
  assert.match(text.firstLine, /^listening mxp:\/\/[\w-]{43}@127\.0\.0\.1:[1-9]\d*$/);
  await using json = await here.node(["--echo", "--json"]);
  assert.deepEqual(JSON.parse(json.firstLine), { event: "listening", url: json.url });
  assert.equal(text.key, json.key, "the same identity");
});

test("the default identity is made at the first use, and told of", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  const note = await node.logLine(/made a new identity: /);
  const path = /identity: (\S+)/.exec(note)![1];
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await here.mxp(["pubkey"])).stdout, `${node.key}\n`);
});

test("--identity takes another identity, which must be there", async () => {
  await using here = await scratch();
  assertWorks(await here.mxp(["keygen", "-o", "node.key"]));
  await using node = await here.node(["--echo", "--identity", "node.key"]);
  assert.equal((await here.mxp(["pubkey", "node.key"])).stdout, `${node.key}\n`);
  assertFails(await here.mxp(["serve", "--echo", "--identity", "other.key"]), 3, /other\.key/);
});

test("addresses that cannot be listened on exit with 3", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  assertFails(
    await here.mxp(["serve", "--echo", "--listen", node.where]),
    3,
    new RegExp(`${node.where}.*port is taken`),
  );
  assertFails(await here.mxp(["serve", "--echo", "--listen", "192.0.2.1:0"]), 3, /192\.0\.2\.1:0.*no such address/);
  assertFails(await here.mxp(["serve", "--echo", "--listen", "no-such-host.invalid:0"]), 3, /no-such-host\.invalid/);
});

test("SIGTERM and SIGINT end a node in order, with 143 and 130", async () => {
  await using here = await scratch();
  for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
    await using node = await here.node(["--echo", "--json"]);
    const result = await node.stop(signal);
    assert.equal(result.code, code);
    // The second line is the proof that it was no sudden death.
    assert.equal(result.stdout, `${node.firstLine}\n{"event":"draining","calls":0,"streams":0}\n`);
  }
});

test("a node that is asked to end lets its calls end, and takes no more", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "touch started; sleep 1.5; echo finished"]);
  const call = here.mxp(["call", node.url, "x"]);
  await eventually("the call runs", () => stat(here.path("started")).then(() => true, () => false));
  node.signal("SIGTERM");
  await node.logLine(/waiting for 1 call to end/);
  const late = await here.mxp(["call", node.url, "x", "--timeout", "3s"]);
  assert.notEqual(late.code, 0);
  const result = await call;
  assertWorks(result);
  assert.equal(result.stdout, "finished\n");
  assert.equal((await node.cli.done).code, 143);
});

test("--timeout limits how long a node waits for its calls when it ends", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "echo $$ > pid; exec sleep 300", "--timeout", "500ms"]);
  const call = here.mxp(["call", node.url, "x"]);
  const pid = (): Promise<number> => readFile(here.path("pid"), "utf8").then(Number, () => 0);
  await eventually("the call runs", async () => await pid() > 0);
  const running = await pid();
  assert.equal((await node.stop()).code, 143);
  assert.equal((await call).code, 4);
  await eventually("the command has ended", async () => !await isAlive(running));
});

test("a second signal ends a node at once, and its processes with it", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "echo $$ > pid; exec sleep 300"]);
  const call = here.mxp(["call", node.url, "x", "--timeout", "5s"]);
  const pid = (): Promise<number> => readFile(here.path("pid"), "utf8").then(Number, () => 0);
  await eventually("the call runs", async () => await pid() > 0);
  const running = await pid();
  node.signal("SIGINT");
  await node.logLine(/waiting for 1 call/);
  const startedAt = performance.now();
  assert.equal((await node.stop("SIGINT")).code, 130);
  assert.ok(performance.now() - startedAt < 5000, "at once");
  await eventually("the command has ended", async () => !await isAlive(running));
  assert.notEqual((await call).code, 0);
});

test("whoever still waits for a node learns at once of its second signal", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "touch started; exec sleep 300"]);
  const call = here.mxp(["call", node.url, "x", "--timeout", "25s"]);
  await eventually("the call runs", () => stat(here.path("started")).then(() => true, () => false));
  node.signal("SIGTERM");
  await node.logLine(/waiting for 1 call/);
  assert.equal((await node.stop("SIGTERM")).code, 143);
  // Not 5, its deadline.
  assertFails(await call, 4, /shutting down/);
});

test("a call ends with 129, 130 or 143 when it is asked to", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "touch started; sleep 60"]);
  for (const [signal, code] of [["SIGHUP", 129], ["SIGINT", 130], ["SIGTERM", 143]] as const) {
    const call = here.start(["call", node.url, "x"]);
    await eventually("the call runs", () => stat(here.path("started")).then(() => true, () => false));
    await here.shell("rm started");
    call.child.kill(signal);
    const result = await call.done;
    assert.equal(result.code, code);
    assert.equal(result.stdout, "");
    assert.equal(result.stderr, `mxp: ended by ${signal}\n`);
  }
  const waiting = here.start(["call", node.url, "-d", "@-"]);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  waiting.child.kill("SIGINT");
  assert.equal((await waiting.done).code, 130);
});

test("the log tells of calls with whatever a peer sent made harmless", async () => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "exit 1", "--log-level", "info"]);
  await using json = await here.node(["--echo", "--log-level", "info", "--json"]);
  const evil = 'x"\n2026-01-01 info forged\x1b[31m\u202e';
  assert.equal((await here.mxp(["call", node.url, "x", "--method", evil])).code, 7);
  const line = await node.logLine("call failed");
  assert.ok(line.includes(String.raw`method="x\"\u000a2026-01-01 info forged\u001b[31m\u202e"`), line);
  assertWorks(await here.mxp(["call", json.url, "x", "--method", evil]));
  const record = await json.logLine("call ok");
  assert.ok(!record.includes("\u202e"));
  const { time, level, event, method, trace } = JSON.parse(record);
  assert.deepEqual([level, event, method], ["info", "call ok", evil]);
  assert.ok(!Number.isNaN(Date.parse(time)));
  assert.match(trace, /^[0-9a-f]{16}$/);
});

test("--log-level says how much is told", async () => {
  await using here = await scratch();
  for (
    const [level, expected] of [["silent", /^$/], ["error", /^$/], ["warn", /call failed/], [
      "debug",
      /process ended/,
    ]] as const
  ) {
    await using node = await here.node(["--exec", "exit 1", "--log-level", level, "--name", level]);
    assert.equal((await here.mxp(["call", node.url, "x"])).code, 7);
    const { stderr } = await node.stop();
    assert.match(stderr.replace(/^mxp: made a new identity.*\n/, ""), expected, level);
  }
});

test("a node whose standard output nobody reads goes on", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo", "--json"]);
  node.cli.child.stdout!.destroy();
  assert.equal((await here.mxp(["call", node.url, "still there"])).stdout, "still there");
  // It would announce that it is draining.
  assert.equal((await node.stop()).code, 143);
});

test("a node asks for cookies and for work where it is told to, and clients comply", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo", "--retry", "always", "--proof-of-work", "6"]);
  const called = await here.mxp(["call", node.url, "hello"]);
  assertWorks(called);
  assert.equal(called.stdout.trimEnd(), "hello");
  assertFails(
    await here.mxp(["serve", "--echo", "--retry", "often"]),
    2,
    /--retry.*"often" is not one of auto, always/,
  );
  assertFails(await here.mxp(["serve", "--echo", "--proof-of-work", "19"]), 2, /--proof-of-work.*from 0 to 18/);
});

test("a client learns at once that its node was killed and started anew", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo", "--log-level", "info"]);
  const pinging = here.mxp(["ping", "--count", "1000", "--interval", "100ms", node.url]);
  await node.logLine(/action=connect decision=allowed/);
  await node.stop("SIGKILL");
  await using _anew = await here.node(["--echo", "--listen", node.where]);
  const result = await pinging;
  assert.equal(result.code !== 0 && /does not know this connection any more/.test(result.stderr), true, result.stderr);
});

test("a node tells its numbers and its health over HTTP where it is asked to", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo", "--json", "--metrics", "127.0.0.1:0"]);
  const { metrics } = JSON.parse(node.firstLine) as { metrics: string };
  assertWorks(await here.mxp(["call", node.url, "hello"]));
  const numbers = await (await fetch(metrics)).text();
  assert.match(numbers, /^mxp_calls_ok 1$/m);
  assert.match(numbers, /^mxp_endpoint_connections_accepted 1$/m);
  assert.match(numbers, /^mxp_transport_dropped_unauthentic 0$/m);
  for (const line of numbers.trimEnd().split("\n")) assert.match(line, /^mxp_[a-z0-9_]+(\{code="\w+"\})? -?[\d.e+]+$/);
  const health = await fetch(metrics.replace("/metrics", "/healthz"));
  assert.deepEqual([health.status, await health.text()], [200, "ok\n"]);
  const other = await fetch(metrics.replace("/metrics", "/etc/passwd"));
  assert.deepEqual([other.status, await other.text()], [404, "there are /metrics and /healthz\n"]);
  const posted = await fetch(metrics, { method: "POST", body: "x" });
  assert.equal(posted.status, 405);
  await posted.body?.cancel();
  const taken = new URL(metrics).host;
  assertFails(
    await here.mxp(["serve", "--echo", "--listen", "127.0.0.1:0", "--metrics", taken]),
    3,
    /--metrics: cannot listen/,
  );
});

test("where --metrics cannot listen is said in words, and it takes no port that nobody named", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo", "--metrics", "127.0.0.1:0", "--json"]);
  const taken = new URL(JSON.parse(node.firstLine).metrics).host;
  const cases: [where: string, code: number, message: RegExp][] = [
    [taken, 3, /: the port is taken; choose another$/m],
    ["192.0.2.1:9100", 3, /192\.0\.2\.1:9100: this machine has no such address$/m],
    ["no-such-host.invalid:9100", 3, /no-such-host\.invalid:9100: the host name is unknown$/m],
    ["127.0.0.1", 2, /--metrics needs a port, such as 127\.0\.0\.1:9100$/m],
    ["foo", 2, /--metrics needs a port, such as foo:9100$/m],
  ];
  for (const [where, code, message] of cases) {
    assertFails(await here.mxp(["serve", "--echo", "--listen", "127.0.0.1:0", "--metrics", where]), code, message);
  }
});

test("a variable that holds a wrong address is wrong configuration, whenever it is found", async () => {
  await using here = await scratch();
  for (const [name, value] of [["MXP_JOIN", "foo"], ["MXP_LISTEN", "a:b"], ["MXP_METRICS", "127.0.0.1"]]) {
    const result = await here.mxp(["serve", "--echo"], { env: { [name]: value } });
    assertFails(result, 3, new RegExp(`in the environment, ${name}: `));
  }
});
