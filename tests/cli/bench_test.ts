import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import test from "node:test";
import { assertFails, assertWorks, eventually, type Scratch, scratch } from "./nodes.ts";

const SHORT = ["--duration", "300ms", "--warmup", "100ms"];

/** Whether nobody listens on a UDP port of this machine. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => resolve(false));
    socket.bind({ port, address: "127.0.0.1", exclusive: true }, () => socket.close(() => resolve(true)));
  });
}

const portOf = (url: string): number => Number(url.slice(url.lastIndexOf(":") + 1));

// deno-lint-ignore no-explicit-any
async function measure(here: Scratch, args: readonly string[]): Promise<any> {
  const result = await here.mxp(["bench", ...args, ...SHORT, "--json"]);
  assertWorks(result);
  assert.equal(result.stderr, "");
  assert.match(result.stdout, /^\{.*\}\n$/);
  return JSON.parse(result.stdout);
}

for (const mode of ["call", "stream", "event", "connect"]) {
  test(`bench --mode ${mode} measures a server of its own, which is gone afterwards`, async () => {
    await using here = await scratch();
    const size = mode === "connect" ? [] : ["--size", "1KiB"];
    const result = await measure(here, ["--mode", mode, ...size, "-c", "4"]);
    assert.equal(result.mode, mode);
    assert.equal(result.size, mode === "connect" ? null : 1024);
    assert.deepEqual([result.concurrency, result.connections, result.rate], [4, 1, null]);
    assert.ok(result.messages > 0 && result.messages_per_second > 0);
    const { count, p50, p90, p99, max } = result.latency_ms;
    assert.ok(count > 0 && p50 > 0 && p50 <= p90 && p90 <= p99 && p99 <= max, JSON.stringify(result.latency_ms));
    assert.ok(result.latency_ms["p99.9"] <= max);
    assert.deepEqual([result.errors, result.unstarted, result.connections_lost], [{}, 0, 0]);
    assert.ok(result.cpu_s.client > 0 && result.cpu_s.server > 0, "of both processes");
    assert.ok(result.rss_bytes.client > 0 && result.rss_bytes.server > 0);
    assert.equal(result.server.own, true);
    assert.equal(result.handshake.kind, "full");
    assert.ok(result.transport.packetsSent > 0);
    await eventually("the server has ended", () => isFree(portOf(result.server.url)));
  });
}

test("bench measures any node with calls, streams and events", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  for (const mode of ["call", "stream", "event"]) {
    const result = await measure(here, [node.url, "--mode", mode, "-c", "4", "--connections", "2"]);
    assert.ok(result.messages > 0, mode);
    assert.deepEqual(result.server, { url: node.url, own: false });
    assert.deepEqual([result.cpu_s.server, result.rss_bytes.server], [null, null], "nobody there tells");
    assert.equal(result.connections, 2);
  }
});

test("bench --server is the other end of a benchmark, and tells what only it knows", async () => {
  await using here = await scratch();
  await using server = here.start(["bench", "--server"]);
  const url = (await server.nextLine()).replace(/^listening /, "");
  const result = await measure(here, [url, "--mode", "event", "-c", "8"]);
  assert.ok(result.messages > 0 && result.cpu_s.server >= 0 && result.rss_bytes.server > 0);
  assert.equal(result.server.own, false);
  server.child.kill("SIGINT");
  assert.equal((await server.done).code, 130);
});

test("at a rate, as many operations are counted as were due", async () => {
  await using here = await scratch();
  const result = await measure(here, ["--rate", "200"]);
  assert.equal(result.rate, 200);
  assert.ok(Math.abs(result.latency_ms.count - 60) <= 1, `${result.latency_ms.count} of 60`);
});

test("the result for people names everything, and a line tells of the progress on a terminal alone", async (t) => {
  await using here = await scratch();
  const { stdout, stderr, code } = await here.mxp(["bench", ...SHORT, "--log-level", "info"]);
  assert.deepEqual([code, stderr], [0, ""]);
  for (const name of ["node", "handshake", "load", "time", "messages", "latency", "errors", "CPU", "memory", "path"]) {
    assert.match(stdout, new RegExp(`^${name} +\\S`, "m"));
  }
  assert.match(stdout, /^load +call, 64 bytes, 64 at a time over 1 connection$/m);
  assert.match(stdout, /^latency +p50 .*, p90 .*, p99 .*, p99\.9 .*, max .* samples\)$/m);
  const shown = await here.terminal("mxp bench --duration 1s --warmup 300ms");
  if (shown === undefined) return t.skip("there is no program script(1) to make a terminal with");
  assert.match(shown, /call: warming up/);
  assert.match(shown, /call: [\d ]+ a second, p50 .*, p99 .* of 1\.0 s/);
  assert.match(shown, /exit=0/);
});

test("SIGINT ends a benchmark with what it has so far, and its server", async () => {
  await using here = await scratch();
  // On a busy machine it may have nothing by then: later, it has.
  for (let delay = 300;; delay *= 3) {
    await using bench = here.start(["bench", "--duration", "50s", "--warmup", "0", "--json", "--log-level", "debug"]);
    const port = await connectedPort(bench);
    await new Promise((resolve) => setTimeout(resolve, delay));
    bench.child.kill("SIGINT");
    const { code, stdout } = await bench.done;
    assert.equal(code, 130);
    await eventually("the server has ended", () => isFree(port));
    const { messages = 0, duration_s } = JSON.parse(stdout || "{}");
    if (messages === 0 && delay < 8_000) continue;
    assert.ok(messages > 0 && duration_s < 50, stdout);
    return;
  }
});

test("a benchmark that is killed takes its server with it", async () => {
  await using here = await scratch();
  await using bench = here.start(["bench", "--duration", "50s", "--log-level", "debug"]);
  const port = await connectedPort(bench);
  assert.equal(await isFree(port), false);
  bench.child.kill("SIGKILL");
  await bench.done;
  await eventually("the server has ended", () => isFree(port));
});

test("a node that goes away ends the benchmark, with an error if nothing was through", async () => {
  await using here = await scratch();
  await using silent = await here.node([]);
  assertFails(await here.mxp(["bench", silent.url, ...SHORT]), 6, /nobody answers calls/);
  const flags = ["--duration", "50s", "--warmup", "0", "--json", "--log-level", "debug"];
  // On a busy machine nothing may have come through by then: later, something has.
  for (let delay = 300;; delay *= 3) {
    await using node = await here.node(["--echo"]);
    await using bench = here.start(["bench", node.url, ...flags]);
    await connectedPort(bench);
    await new Promise((resolve) => setTimeout(resolve, delay));
    await node.stop();
    const { code, stdout } = await bench.done;
    if (code !== 0 && delay < 8_000) continue;
    assert.equal(code, 0, "much was through");
    const result = JSON.parse(stdout);
    const codes = Object.keys(result.errors);
    assert.ok(result.messages > 0 && codes.length > 0, stdout);
    assertFails(await here.mxp(["bench", node.url, ...SHORT, "--timeout", "500ms"]), 4, /no answer from/);
    return;
  }
});

test("large events do not run over the node, and its refusals end nothing", async () => {
  await using here = await scratch();
  const result = await measure(here, ["--mode", "event", "--size", "100KiB", "-c", "64"]);
  assert.deepEqual(result.errors, {});
  assert.ok(result.messages > 1);
});

test("what a node that is killed leaves behind is counted and told", async () => {
  await using here = await scratch();
  const flags = ["-c", "4", "--warmup", "0", "--json", "--log-level", "debug"];
  for (const mode of ["call", "event", "connect"]) {
    // On a busy machine nothing may have come through by then: later, something has.
    for (let delay = 400;; delay *= 3) {
      await using node = await here.node(["--echo"]);
      await using bench = here.start([
        "bench",
        node.url,
        "--mode",
        mode,
        "--duration",
        `${2.5 * delay}ms`,
        ...flags,
      ]);
      let told = "";
      bench.child.stderr!.on("data", (chunk: Uint8Array) => told += new TextDecoder().decode(chunk));
      await connectedPort(bench);
      await new Promise((resolve) => setTimeout(resolve, delay));
      await node.stop("SIGKILL");
      const { code, stdout } = await bench.done;
      if (code === 5 && delay < 5_000) continue;
      assert.equal(code, 0, `${mode}: much was through`);
      const result = JSON.parse(stdout);
      const failed = Object.values<number>(result.errors).reduce((sum, count) => sum + count, 0);
      assert.ok(result.messages > 0 && failed >= 3, `${mode}: ${stdout}`);
      assert.equal(result.connections_lost, 1);
      assert.match(told, /the connection to 127\.0\.0\.1:\d+ was lost/);
      break;
    }
  }
});

test("arguments that make no sense are refused", async () => {
  await using here = await scratch();
  const cases: [args: string[], message: RegExp][] = [
    [["--mode", "dance"], /--mode: "dance" is not one of call, stream, event, connect/],
    [["--size", "1x"], /--size: "1x" is not a size/],
    [["--size", "17MiB"], /is not a size from 0 to 16777216/],
    [["--duration", "0"], /--duration is 0/],
    [["--mode", "connect", "--size", "1"], /--size has no meaning/],
    [["--mode", "connect", "--connections", "2"], /--connections has no meaning/],
    [["--listen", "127.0.0.1:0"], /--listen is for --server/],
    [["--server", "mxp://127.0.0.1"], /takes no URL/],
    [["--rate", "0"], /--rate/],
  ];
  await Promise.all(cases.map(async ([args, message]) => assertFails(await here.mxp(["bench", ...args]), 2, message)));
});

/** The port of the node that a run with `--log-level debug` says it has connected to. */
function connectedPort(cli: ReturnType<Scratch["start"]>): Promise<number> {
  let text = "";
  return new Promise((resolve, reject) => {
    cli.child.stderr!.on("data", (chunk: Uint8Array) => {
      text += new TextDecoder().decode(chunk);
      const port = /connected to \S+:(\d+):/.exec(text)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
    cli.done.then(() => reject(new Error(`it ended without connecting: ${text}`)), reject);
  });
}
