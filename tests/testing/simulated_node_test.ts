import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { micros, millis, seconds } from "../../lib/base/time.ts";
import { CLIENT_ADDRESS, SERVER_ADDRESS } from "../../lib/testing/pair.ts";
import { PatternTraffic } from "../../lib/testing/pattern_traffic.ts";
import { establishedPair } from "../sim/shared.ts";

test("a node that moves is reached at its new address alone, over links like those before", () => {
  const pair = establishedPair({ profile: { delay: millis(15), rate: 50 } });
  const elsewhere = address("10.0.0.99", 7);
  pair.client.moveTo(elsewhere, [SERVER_ADDRESS]);
  assert.equal(pair.client.address, elsewhere);
  assert.deepEqual(pair.network.link(elsewhere, SERVER_ADDRESS).profile, pair.up.profile);
  const { unreachable } = pair.network;
  pair.network.send(SERVER_ADDRESS, CLIENT_ADDRESS, new Uint8Array(1));
  pair.advance(millis(20));
  assert.equal(pair.network.unreachable, unreachable + 1);
  pair.connection.ping();
  pair.advance(millis(10));
  assert.ok(pair.network.link(elsewhere, SERVER_ADDRESS).counters.sent > 0);
});

test("a node that is suspended hears nothing and does nothing until it goes on", () => {
  const pair = establishedPair({ settings: { idleTimeout: micros(0) } });
  pair.client.suspend();
  pair.clientTraffic.send(pair.client, pair.connection, 1000);
  pair.serverTraffic.send(pair.server, pair.serverConnection!, 1000);
  const { sent } = pair.up.counters;
  pair.advance(seconds(600));
  assert.equal(pair.up.counters.sent, sent);
  assert.ok(pair.client.missed > 0);
  assert.equal(pair.serverTraffic.delivered + pair.clientTraffic.delivered, 0);
  pair.client.resume();
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 1000, seconds(1)));
  // The other side's timer has doubled all the time.
  assert.ok(pair.drive(() => pair.clientTraffic.delivered === 1000, seconds(3600)));
});

test("a node that is restarted has its identity and nothing else", () => {
  const pair = establishedPair();
  const traffic = new PatternTraffic();
  const again = pair.server.restart(traffic);
  assert.deepEqual(again.identity.publicKey, pair.server.identity.publicKey);
  assert.deepEqual([again.address, again.endpoint.connectionCount], [SERVER_ADDRESS, 0]);
  assert.deepEqual([pair.server.isRunning, again.isRunning], [false, true]);
  const connection = pair.client.connect(SERVER_ADDRESS, { peerKey: again.identity.publicKey });
  pair.clientTraffic.send(pair.client, connection, 5000);
  assert.ok(pair.drive(() => traffic.delivered === 5000, seconds(2)));
  assert.equal(pair.serverTraffic.delivered, 0);
});
