import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { seconds } from "../../lib/base/time.ts";
import { HostilePeer } from "../../lib/testing/hostile_peer.ts";
import { type Pair, SERVER_ADDRESS } from "../../lib/testing/pair.ts";
import { SimulatedNode } from "../../lib/testing/simulated_node.ts";
import { testSeed } from "../support/seed.ts";
import { crypto, establishedPair, makePair, millis } from "./shared.ts";

for (const pattern of ["IK", "XX"] as const) {
  test(`with a cookie asked for, an ${pattern} handshake takes two round trips until streams can be opened`, () => {
    const pair = makePair({ pattern, profile: { delay: millis(25) }, serverSettings: { retry: "always" } });
    const connection = pair.connect();
    assert.ok(pair.drive(() => connection.state === "established", seconds(5)));
    assert.equal(pair.network.now, millis(100));
    assert.ok(pair.drive(() => connection.confirmed && pair.serverConnection?.confirmed === true, seconds(5)));
    assert.equal(pair.server.connections.length, 1);
  });

  test(`none of 40 ${pattern} handshakes with cookies fails at 30 % loss each way with duplicates`, () => {
    for (let seed = testSeed; seed < testSeed + 40; seed++) {
      const profile = { delay: millis(25), loss: 0.3, duplicate: 0.2, jitter: millis(20) };
      const pair = makePair({ seed, pattern, profile, serverSettings: { retry: "always", proofOfWork: 4 } });
      assert.ok(pair.establish(), `seed ${seed}`);
    }
  });
}

/** Puts a new server with the same identity in the place of the old one. */
function restart(pair: Pair): SimulatedNode {
  pair.server.kill();
  const { identity } = pair.server, { invariants } = pair;
  return new SimulatedNode(pair.network, { address: SERVER_ADDRESS, crypto, identity, invariants });
}

test("a client learns of a restarted server within one round trip of what it sends next", () => {
  const pair = establishedPair({ profile: { delay: millis(40) } });
  pair.advance(seconds(1));
  restart(pair);
  pair.clientTraffic.send(pair.client, pair.connection, 100);
  const sent = pair.network.now;
  assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(60)));
  assert.deepEqual([pair.client.ended[0].reason.by, pair.client.ended[0].at - sent], ["reset", millis(80)]);
});

test("a client in the middle of an upload learns of a restart within one round trip, at random moments", () => {
  for (let seed = testSeed; seed < testSeed + 20; seed++) {
    const pair = establishedPair({ seed, profile: { delay: millis(20), rate: 20 } });
    pair.clientTraffic.send(pair.client, pair.connection, 2_000_000);
    pair.advance(millis(100 + seed % 300));
    restart(pair);
    const gone = pair.network.now;
    assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(60)), `seed ${seed}`);
    const { reason, at } = pair.client.ended[0];
    // A round trip and the queue of the link, which is one round trip long.
    assert.deepEqual([reason.by, at - gone <= millis(81)], ["reset", true], `seed ${seed}: ${at - gone} µs`);
  }
});

test("a client that was about to finish its handshake learns of a restart, too, and can begin again", () => {
  const pair = makePair({ profile: { delay: millis(20) } });
  const connection = pair.connect();
  assert.ok(pair.drive(() => connection.state === "established", seconds(5)));
  const anew = restart(pair);
  pair.clientTraffic.send(pair.client, connection, 100);
  assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(5)));
  assert.equal(pair.client.ended[0].reason.by, "reset");
  const second = pair.client.connect(SERVER_ADDRESS, { peerKey: anew.identity.publicKey });
  assert.ok(pair.network.run(() => second.confirmed, seconds(5)));
});

test("under a flood of hellos in other names an honest handshake takes one round trip more, and no longer", () => {
  const pair = makePair({ serverSettings: { maxHalfOpen: 64, retryHalfOpen: 16 }, profile: { delay: millis(20) } });
  const key = pair.server.identity.publicKey;
  const flood = (): void => {
    for (let i = 0; i < 40; i++) {
      const from = address(`10.9.${pair.network.now % 251}.${i}`, 1000 + i);
      const peer = new HostilePeer(pair.network, { address: from, crypto, finishes: false, followsRetries: false });
      peer.connect(SERVER_ADDRESS, key);
    }
  };
  for (let round = 0; round < 5; round++) {
    flood();
    pair.advance(millis(25));
  }
  const begun = pair.network.now;
  const connection = pair.connect();
  for (let round = 0; connection.state !== "established"; round++) {
    assert.ok(round < 20, "it does not get in");
    flood();
    pair.drive(() => connection.state === "established", millis(5));
  }
  assert.ok(pair.network.now - begun <= millis(81), `${pair.network.now - begun} µs`);
  const { retriesSent, cookiesAccepted } = pair.server.endpoint.counters;
  assert.equal(cookiesAccepted, 1);
  assert.ok(retriesSent > 100 && pair.server.endpoint.halfOpenCount <= 17);
});
