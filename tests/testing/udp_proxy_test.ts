import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { connect } from "../../lib/agent/connect.ts";
import { serve } from "../../lib/agent/server.ts";
import { address } from "../../lib/base/address.ts";
import { millis } from "../../lib/base/time.ts";
import { defaultBindUdp, SystemClock } from "../../lib/runtime/mod.ts";
import type { LinkProfile } from "../../lib/testing/link.ts";
import { UdpProxy } from "../../lib/testing/udp_proxy.ts";
import { udpPlatform } from "../agent/support/platform.ts";
import { eventually, pause, Recorder } from "../runtime/udp_harness.ts";
import { testSeed } from "../support/seed.ts";

const bindUdp = defaultBindUdp();
const clock = new SystemClock();

function startProxy(port: number, profile: Partial<LinkProfile> = {}): Promise<UdpProxy> {
  const perfect = { delay: millis(0) };
  return UdpProxy.start({
    bindUdp,
    clock,
    listen: { host: "127.0.0.1", port: 0 },
    to: address("127.0.0.1", port),
    seed: testSeed,
    profile: { ...perfect, ...profile },
  });
}

/** A server that sends everything back, a client, and a proxy between them. */
async function withEcho(
  profile: Partial<LinkProfile>,
  body: (proxy: UdpProxy, client: Recorder, server: Recorder) => Promise<void>,
): Promise<void> {
  using server = await Recorder.bind(bindUdp);
  server.onDatagram = (bytes, remote) => {
    server.socket.send(bytes.slice(), remote);
    void server.socket.flush();
  };
  using client = await Recorder.bind(bindUdp);
  const proxy = await startProxy(server.socket.local.port, profile);
  try {
    await body(proxy, client, server);
  } finally {
    proxy.close();
  }
}

async function say(from: Recorder, proxy: UdpProxy, size: number): Promise<void> {
  from.socket.send(new Uint8Array(size), proxy.local);
  await from.socket.flush();
}

test("datagrams go to the server and back, and take the time that they are told to", async () => {
  await withEcho({ delay: millis(30) }, async (proxy, client, server) => {
    const begin = performance.now();
    await say(client, proxy, 100);
    assert.ok(await eventually(() => client.datagrams.length === 1));
    // The clocks of timers and of this test may differ by some microseconds.
    assert.ok(performance.now() - begin >= 59, `${performance.now() - begin} ms`);
    assert.equal(client.datagrams[0].remote.key, proxy.local.key);
    assert.notEqual(server.datagrams[0].remote.key, client.socket.local.key);
    assert.deepEqual([proxy.up.delivered, proxy.down.delivered, proxy.clientCount], [1, 1, 1]);
  });
});

test("every client has a port of its own towards the server, and another one after a rebinding", async () => {
  await withEcho({}, async (proxy, client, server) => {
    using other = await Recorder.bind(bindUdp);
    await say(client, proxy, 1);
    await say(other, proxy, 2);
    assert.ok(await eventually(() => client.datagrams.length === 1 && other.datagrams.length === 1));
    await proxy.rebind();
    await say(client, proxy, 3);
    assert.ok(await eventually(() => client.datagrams.length === 2));
    const portOf = (size: number): number => server.datagrams.find(({ bytes }) => bytes.length === size)!.remote.port;
    assert.equal(new Set([portOf(1), portOf(2), portOf(3)]).size, 3);
    assert.equal(proxy.counters.rebindings, 1);
  });
});

test("what is larger than the MTU, and what falls into a hole, vanishes; changes reach clients that are there", async () => {
  await withEcho({ mtu: 1280 }, async (proxy, client) => {
    await say(client, proxy, 1281);
    await say(client, proxy, 1280);
    assert.ok(await eventually(() => client.datagrams.length === 1));
    assert.equal(client.datagrams[0].bytes.length, 1280);
    assert.equal(proxy.up.oversized, 1);
    proxy.change({ mtu: 1000 });
    await say(client, proxy, 1001);
    assert.ok(await eventually(() => proxy.up.oversized === 2));
    proxy.setDown(true);
    await say(client, proxy, 10);
    assert.ok(await eventually(() => proxy.up.lost === 1));
    proxy.setDown(false);
    await say(client, proxy, 11);
    assert.ok(await eventually(() => client.datagrams.length === 2));
  });
});

test("only the server is heard behind the proxy", async () => {
  await withEcho({}, async (proxy, client, server) => {
    using stranger = await Recorder.bind(bindUdp);
    await say(client, proxy, 1);
    assert.ok(await eventually(() => client.datagrams.length === 1));
    stranger.socket.send(new Uint8Array(5), server.datagrams[0].remote);
    await stranger.socket.flush();
    assert.ok(await eventually(() => proxy.counters.strangers === 1));
    await pause(5);
    assert.equal(client.datagrams.length, 1);
  });
});

test("calls get through a bad network whole", async () => {
  const platform = udpPlatform();
  const server = await serve({ listen: "127.0.0.1:0", platform }, (payload) => payload);
  const { port } = new URL(server.url.replace("mxp:", "http:"));
  const profile = { delay: millis(3), jitter: millis(2), loss: 0.03, duplicate: 0.03, corrupt: 0.03, reorder: 0.03 };
  const proxy = await startProxy(Number(port), profile);
  try {
    const client = await connect(server.url.replace(`:${port}`, `:${proxy.local.port}`), { platform });
    const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
    const body = new Uint8Array(200_000).map((_, i) => (i * i) >>> 7);
    const reply = await client.call(body);
    assert.equal(hashOf(reply.bytes), hashOf(body));
    for (const { lost, duplicated, corrupted, reordered } of [proxy.up, proxy.down]) {
      assert.ok(lost > 0 || duplicated > 0 || corrupted > 0 || reordered > 0);
    }
    await client.close();
  } finally {
    proxy.close();
    await server.close();
  }
});

test("a proxy refuses to leave the machine", async () => {
  for (const host of ["192.0.2.1", "0.0.0.0", "127.example.com", "localhost", "2001:db8::1"]) {
    const good = { host: "127.0.0.1", port: 0 };
    const common = { bindUdp, clock, seed: 1 };
    await assert.rejects(UdpProxy.start({ ...common, listen: good, to: address(host, 9000) }), RangeError);
    await assert.rejects(
      UdpProxy.start({ ...common, listen: { host, port: 0 }, to: address("127.0.0.1", 9000) }),
      RangeError,
    );
  }
});
