import assert from "node:assert/strict";
import { test } from "node:test";
import { transmit, TwoEndpoints } from "./two_endpoints.ts";

test("what connections have counted is added up, and stays when they are forgotten", () => {
  const pair = new TwoEndpoints();
  const { client, server } = pair.establish();
  const other = pair.establish();
  client.ping();
  const packets = transmit(client, pair.now);
  for (let i = 0; i < 3; i++) pair.toServer(packets);
  const forged = packets[0].slice();
  forged[forged.length - 1] ^= 1;
  pair.toServer([forged]);
  const before = pair.server.totals();
  assert.deepEqual([before.dropped.replayed, before.dropped.unauthentic], [2, 1]);
  assert.equal(before.bytesReceived, server.stats().bytesReceived + other.server.stats().bytesReceived);
  assert.equal(before.packetsReceived, server.stats().packetsReceived + other.server.stats().packetsReceived);

  server.close(pair.now, 0, "");
  transmit(server, pair.now);
  server.handleTimeout(server.pollTimeout());
  pair.server.forget(server);
  const after = pair.server.totals();
  assert.deepEqual([after.dropped.replayed, after.dropped.unauthentic], [2, 1]);
  assert.ok(after.bytesSent > before.bytesSent, "the CLOSE, too");
  assert.equal(after.bytesReceived, before.bytesReceived);
  after.dropped.replayed = 99;
  assert.equal(pair.server.totals().dropped.replayed, 2, "a copy");
});

test("every counter of a connection is in the totals", () => {
  const pair = new TwoEndpoints();
  const { server } = pair.establish();
  const totals = pair.server.totals() as unknown as Record<string, unknown>;
  // Gauges of one connection mean nothing when they are added up.
  const gauges = new Set([
    "smoothedRtt",
    "minRtt",
    "latestRtt",
    "rttVariation",
    "bytesInFlight",
    "handshakeTime",
    "udpPayload",
  ]);
  for (const [name, value] of Object.entries(server.stats())) {
    if (typeof value === "number" && !gauges.has(name)) assert.equal(typeof totals[name], "number", name);
  }
});
