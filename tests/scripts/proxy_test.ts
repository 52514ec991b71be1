import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { defaultBindUdp } from "../../lib/runtime/mod.ts";
import { eventually, Recorder } from "../runtime/udp_harness.ts";
import { runScript, startScript } from "../support/script.ts";

test("the proxy says where it listens, relays, and reports at a signal", async () => {
  using server = await Recorder.bind(defaultBindUdp());
  using client = await Recorder.bind(defaultBindUdp());
  const child = startScript("proxy.ts", ["--to", server.socket.local.key, "--mtu", "1280", "--json"]);
  try {
    const lines: string[] = [];
    const reader = createInterface(child.stdout!).on("line", (line) => lines.push(line));
    await once(reader, "line");
    const [, port] = /^listening 127\.0\.0\.1:(\d+)$/.exec(lines[0])!;
    for (const size of [1281, 1280]) client.socket.send(new Uint8Array(size), address("127.0.0.1", Number(port)));
    await client.socket.flush();
    assert.ok(await eventually(() => server.datagrams.length === 1));
    child.kill("SIGTERM");
    await once(child, "close");
    const { clients, up } = JSON.parse(lines[1]);
    assert.deepEqual([clients, up.sent, up.oversized, up.delivered], [1, 2, 1, 1]);
  } finally {
    child.kill("SIGKILL");
  }
});

test("the proxy refuses other machines and wrong addresses, on one line", async () => {
  for (
    const [to, message] of [
      ["192.0.2.1:9000", /^proxy: the proxy works on loopback only, not on 192\.0\.2\.1\n$/],
      ["localhost", /^proxy: --to is an address such as 127\.0\.0\.1:9000, not "localhost"\n$/],
      ["", /^proxy: --to is missing: where is the server\?\n$/],
    ] as const
  ) {
    const { code, stdout, stderr } = await runScript("proxy.ts", to === "" ? [] : ["--to", to]);
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [2, ""]);
  }
});
