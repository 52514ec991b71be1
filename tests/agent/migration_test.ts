import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, type MxpError, serve, type Server } from "../../mod.ts";
import { parseMxpUrl } from "../../lib/agent/mxp_url.ts";
import { address } from "../../lib/base/address.ts";
import { millis } from "../../lib/base/time.ts";
import { defaultBindUdp, SystemClock } from "../../lib/runtime/mod.ts";
import { UdpProxy } from "../../lib/testing/udp_proxy.ts";
import { memoryPlatform } from "./support/platform.ts";

/** A node whose handler takes as long as it is told. */
function slowServer(): Promise<Server> {
  return serve({ listen: "127.0.0.1:0" }, {
    methods: {
      echo: (payload) => payload,
      wait: async (payload) => {
        await new Promise((resolve) => setTimeout(resolve, Number(new TextDecoder().decode(payload))));
        return "done";
      },
    },
  });
}

/** Waits until something holds; says whether it did within five seconds. */
async function eventually(holds: () => boolean): Promise<boolean> {
  for (let i = 0; i < 500 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  return holds();
}

/** Where the only client of a server is, as the server sees it. */
function clientAddress(server: Server): string {
  return server.connections()[0]?.address.replace("0.0.0.0", "127.0.0.1") ?? "";
}

test("a client that goes over to another socket keeps its connection, its stream and the calls that are under way", async () => {
  await using server = await slowServer();
  await using client = await connect(server.url);
  await client.call("echo", "warm");
  const before = client.local;
  const waiting = client.call("wait", "200");
  const bulk = client.call("echo", new Uint8Array(3_000_000).fill(7));
  await client.migrate();
  assert.notEqual(client.local, before);
  assert.ok(await eventually(() => clientAddress(server).endsWith(client.local.split(":").at(-1)!)));
  assert.equal((await waiting).text(), "done");
  assert.deepEqual((await bulk).bytes, new Uint8Array(3_000_000).fill(7));
  assert.equal(server.stats().endpoint.connectionsAccepted, 1);
  assert.equal(server.connections()[0].transport.paths.migrations, 1);
  assert.equal(client.stats().transport.paths.pathsValidated, 1);
});

test("a client may move again and again, and a second move at the same time is refused", async () => {
  await using server = await slowServer();
  await using client = await connect(server.url);
  await client.call("echo", "warm");
  for (let i = 0; i < 4; i++) {
    const [first, second] = await Promise.allSettled([client.migrate(), client.migrate()]);
    assert.equal(first.status, "fulfilled");
    assert.equal(second.status, "rejected");
    assert.equal((second as PromiseRejectedResult).reason.code, "overloaded");
    assert.equal((await client.call("echo", `${i}`)).text(), `${i}`);
    // The id for the next move takes a round trip.
    assert.ok(await eventually(() => clientAddress(server).endsWith(client.local.split(":").at(-1)!)));
    await client.ping();
  }
  assert.equal(server.stats().endpoint.connectionsAccepted, 1);
  await client.close();
  await assert.rejects(client.migrate(), (error: MxpError) => error.code === "closed");
});

test("a client that is not heard on its new socket goes back, and says so", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform }, (payload) => payload);
  await using client = await connect(server.url, { platform });
  await client.call("warm");
  const before = client.local;
  // Whatever does not come from the first socket is lost.
  const port = Number(before.split(":").at(-1));
  platform.network.fault = (from, to) => from.port === port || to.port === port ? [0] : [];
  await assert.rejects(client.migrate(), (error: MxpError) => error.code === "connect_failed" && error.retryable);
  assert.equal(client.local, before);
  assert.equal((await client.call("again")).text(), "again");
});

test("calls survive a translator that changes the port of their connection, on a real socket", async () => {
  await using server = await slowServer();
  const { host, port } = server.address;
  const proxy = await UdpProxy.start({
    bindUdp: defaultBindUdp(),
    clock: new SystemClock(),
    listen: { host: "127.0.0.1", port: 0 },
    to: address(host, port),
    seed: 1,
  });
  try {
    const { publicKey } = parseMxpUrl(server.url);
    const url = server.url.replace(`:${port}`, `:${proxy.local.port}`);
    assert.ok(publicKey !== undefined);
    await using client = await connect(url, { settings: { keepAlive: millis(100) } });
    await client.call("echo", "warm");
    for (let round = 1; round <= 3; round++) {
      const before = clientAddress(server);
      const waiting = client.call("wait", "150");
      await new Promise((resolve) => setTimeout(resolve, 30));
      await proxy.rebind();
      const bulk = client.call("echo", new Uint8Array(500_000).fill(round));
      assert.equal((await waiting).text(), "done");
      assert.deepEqual((await bulk).bytes, new Uint8Array(500_000).fill(round));
      assert.ok(await eventually(() => clientAddress(server) !== before), "the server still answers at the old port");
    }
    assert.equal(server.stats().endpoint.connectionsAccepted, 1);
    const { paths } = server.connections()[0].transport;
    assert.ok(paths.migrations >= 3 && paths.pathsValidated >= paths.migrations, JSON.stringify(paths));
  } finally {
    proxy.close();
  }
});
