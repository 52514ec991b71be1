import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, serve } from "../../mod.ts";
import { memoryPlatform } from "./support/platform.ts";

/** The same values in plain objects: what class an object is of does not matter here. */
function withoutClasses(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutClasses);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutClasses(inner)]));
}

test("the statistics of a client and of a server's connections are plain, whole and say what happened", async () => {
  const platform = memoryPlatform();
  const settings = { maxStreamData: 65_536, maxStreamWindow: 65_536, maxData: 1 << 20, maxDataWindow: 1 << 20 };
  await using server = await serve({ listen: "127.0.0.1:0", platform, settings }, {
    call: (payload) => payload,
    stream: async (stream) => void await stream.bytes(),
    event: () => {},
  });
  await using client = await connect(server.url, { platform });
  await client.call(new Uint8Array(500_000));
  const stream = client.stream();
  await stream.write(new Uint8Array(300_000));
  await stream.close();
  await stream.text();
  const open = client.stream();
  await open.write("x");
  await client.emit("x", "y", { ack: true });

  const stats = client.stats();
  const { handshake, calls, streams, transport, socket } = stats;
  assert.deepEqual(handshake, client.handshake);
  assert.deepEqual([handshake.kind, handshake.pattern], ["full", "IK"]);
  assert.match(handshake.suite, /^(ChaCha20-Poly1305|AES-256-GCM)$/);
  assert.deepEqual([calls.ok, streams.ok, streams.open], [2, 1, 1]);
  assert.deepEqual([socket.sendErrors, socket.faults], [0, 0]);
  assert.ok(transport.bytesSent > 800_000 && transport.packetsSent > 0 && transport.smoothedRtt > 0);
  assert.ok(transport.udpPayload >= 1200);
  const { flow, congestion } = transport;
  assert.ok(flow.sendUsed > 800_000 && flow.sendUsed <= flow.sendLimit, JSON.stringify(flow));
  assert.ok(flow.received >= 500_000 && flow.consumed === flow.received, JSON.stringify(flow));
  assert.ok(flow.updatesReceived > 0, "the window of 64 KiB had to move on");
  assert.ok(flow.blocked.stream > 0, "and was used up in between");
  assert.ok(congestion.name !== "" && congestion.state !== "" && congestion.window > 0);

  const [connection, ...others] = server.connections();
  assert.deepEqual(others, []);
  assert.equal(connection.address, client.local.replace("0.0.0.0", "127.0.0.1"));
  assert.deepEqual([connection.calls, connection.streams], [0, 1]);
  assert.ok(connection.transport.flow.updatesSent > 0);
  assert.equal(connection.transport.flow.received, flow.sendUsed);

  for (const whole of [stats, server.stats(), connection]) {
    assert.deepEqual(JSON.parse(JSON.stringify(whole)), withoutClasses(whole), "nothing is lost in JSON");
  }
  open.cancel();
});
