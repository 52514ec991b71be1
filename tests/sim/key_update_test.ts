import assert from "node:assert/strict";
import { test } from "node:test";
import { micros, seconds } from "../../lib/base/time.ts";
import type { Pair } from "../../lib/testing/pair.ts";
import type { TransportSettings } from "../../lib/transport/settings.ts";
import { establishedPair, roughLink, SEEDS } from "./shared.ts";

/** Every key is replaced as soon as the rules allow it. */
const ALWAYS: Partial<TransportSettings> = { keyUpdateInterval: micros(0) };

/** Key updates that either side began. */
function updates(pair: Pair): number {
  return pair.connection.stats().keyUpdatesSent + pair.serverConnection!.stats().keyUpdatesSent;
}

function assertUntroubled(pair: Pair, seed: number): void {
  for (const connection of [pair.connection, pair.serverConnection!]) {
    const { dropped, keyUpdatesSent, keyUpdatesReceived } = connection.stats();
    assert.equal(connection.state, "established", `seed ${seed}`);
    assert.equal(dropped.unauthentic, 0, `seed ${seed}`);
    assert.equal(dropped.oldKeys, 0, `seed ${seed}`);
    assert.ok(keyUpdatesSent + keyUpdatesReceived > 0, `seed ${seed}`);
  }
}

/** Lets bytes go both ways, to the end. */
function transfer(pair: Pair, up: number, down: number): void {
  const { clientTraffic, serverTraffic } = pair;
  const upGoal = serverTraffic.delivered + up, downGoal = clientTraffic.delivered + down;
  if (up > 0) clientTraffic.send(pair.client, pair.connection, up);
  if (down > 0) serverTraffic.send(pair.server, pair.serverConnection!, down);
  const isDone = (): boolean => serverTraffic.delivered === upGoal && clientTraffic.delivered === downGoal;
  assert.ok(pair.drive(isDone, seconds(600)), "everything arrives");
}

for (
  const [who, options] of [
    ["the sender replaces", { clientSettings: ALWAYS }],
    ["the receiver replaces", { serverSettings: ALWAYS }],
    ["both sides replace", { settings: ALWAYS }],
  ] as const
) {
  test(`with keys that ${who} as often as allowed nothing is lost, at 5 % loss with reordering`, () => {
    for (const seed of SEEDS) {
      const pair = establishedPair({ seed, profile: { ...roughLink(5), reorderDepth: 20 }, ...options });
      transfer(pair, 3_000_000, 200_000);
      assertUntroubled(pair, seed);
      assert.ok(updates(pair) >= 10, `${updates(pair)} updates, seed ${seed}`);
    }
  });
}

test("keys are replaced after their packets, by the side that sends them, and both directions together", () => {
  const pair = establishedPair({ clientSettings: { keyUpdatePackets: 500 }, profile: { ...roughLink(0), rate: 10 } });
  transfer(pair, 5_000_000, 0);
  const [client, server] = [pair.connection.stats(), pair.serverConnection!.stats()];
  assertUntroubled(pair, 1);
  assert.ok(client.keyUpdatesSent >= 5, `${client.keyUpdatesSent} updates of ${client.packetsSent} packets`);
  assert.equal(server.keyUpdatesSent, 0);
  assert.ok(server.keyUpdatesReceived >= client.keyUpdatesSent - 1);
});

test("keys are replaced after a minute, although nothing but keep-alives is sent, and by one side alone", () => {
  const pair = establishedPair({ clientSettings: { keepAlive: seconds(4) } });
  pair.advance(seconds(290));
  assertUntroubled(pair, 1);
  assert.equal(pair.connection.stats().keyUpdatesSent, 4);
  assert.equal(pair.serverConnection!.stats().keyUpdatesReceived, 4);
});

test("a connection that sends nothing replaces no keys and is not woken for it", () => {
  const pair = establishedPair({ settings: { ...ALWAYS, idleTimeout: micros(0) } });
  pair.advance(seconds(10));
  const before = [updates(pair), pair.up.counters.sent + pair.down.counters.sent];
  pair.advance(seconds(3600));
  assert.deepEqual([updates(pair), pair.up.counters.sent + pair.down.counters.sent], before);
});

test("updates at the same moment on both sides meet as one, again and again", () => {
  const pair = establishedPair({ settings: ALWAYS });
  for (let round = 1; round <= 10; round++) {
    transfer(pair, 20_000 * round, 20_000 * round);
    pair.advance(seconds(2));
    for (const connection of [pair.connection, pair.serverConnection!]) {
      const { keyUpdatesSent, keyUpdatesReceived } = connection.stats();
      assert.deepEqual([keyUpdatesSent, keyUpdatesReceived], [round - 1, 0]);
    }
  }
  assertUntroubled(pair, 1);
});

test("an update during a black hole is made up for when the link returns", () => {
  const pair = establishedPair({ settings: ALWAYS, profile: roughLink(0) });
  pair.clientTraffic.send(pair.client, pair.connection, 3_000_000);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered > 500_000, seconds(60)));
  pair.up.down = pair.down.down = true;
  pair.advance(seconds(3));
  pair.up.down = pair.down.down = false;
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 3_000_000, seconds(60)));
  assertUntroubled(pair, 1);
});

test("damaged packets are dropped and disturb no update", () => {
  for (const seed of SEEDS) {
    const pair = establishedPair({ seed, settings: ALWAYS, profile: { ...roughLink(2), corrupt: 0.05 } });
    transfer(pair, 500_000, 50_000);
    assert.ok(pair.serverConnection!.stats().dropped.unauthentic > 0);
    assert.ok(updates(pair) > 0);
  }
});
