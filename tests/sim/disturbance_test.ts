import assert from "node:assert/strict";
import { test } from "node:test";
import { type Micros, seconds } from "../../lib/base/time.ts";
import { runUpload } from "../../lib/testing/upload_run.ts";
import { crypto, establishedPair, micros, millis, roughLink, SEEDS } from "./shared.ts";

for (const percent of [5, 30]) {
  test(`damaged datagrams are never believed, at ${percent} % of them`, () => {
    for (const seed of SEEDS) {
      const pair = establishedPair({ seed, profile: { ...roughLink(0), corrupt: percent / 100 } });
      const bytes = percent > 10 ? 200_000 : 1_000_000;
      pair.clientTraffic.send(pair.client, pair.connection, bytes);
      pair.serverTraffic.send(pair.server, pair.serverConnection!, 50_000);
      const isDone = (): boolean =>
        pair.serverTraffic.delivered === bytes && pair.clientTraffic.delivered === 50_000 &&
        pair.serverTraffic.open + pair.clientTraffic.open === 0;
      assert.ok(pair.drive(isDone, seconds(3600)), `seed ${seed}`);
      assert.ok(pair.serverConnection!.stats().dropped.unauthentic > 0);
      assert.equal(pair.server.connections.length, 1);
    }
  });
}

test("a connection does not mind that every datagram arrives twice", () => {
  const profile = { delay: millis(25), rate: 100 };
  const clean = runUpload({ seed: 1, crypto, bytes: 2_000_000, profile });
  const doubled = runUpload({ seed: 1, crypto, bytes: 2_000_000, profile: { ...profile, duplicate: 1 } });
  assert.ok(clean.complete && doubled.complete);
  assert.equal(doubled.connections, 1);
  assert.ok(doubled.goodput >= 0.8 * clean.goodput, `${doubled.goodput} of ${clean.goodput} Mbit/s`);
  assert.equal(doubled.stats.spuriousLosses, 0);
});

for (const depth of [3, 10, 100, 1000]) {
  test(`reordering by ${depth} packets is learnt, and costs little afterwards`, () => {
    const bytes = 4_000_000;
    const profile = { delay: millis(25), rate: 100, queue: 4 << 20, reorder: 0.01, reorderDepth: depth };
    const { complete, stats } = runUpload({ seed: 1, crypto, bytes, profile });
    assert.ok(complete);
    assert.ok(stats.spuriousLosses <= 0.01 * stats.packetsSent + 20, `${stats.spuriousLosses} of ${stats.packetsSent}`);
  });
}

test("jitter of half a round trip does not break anything", () => {
  for (const seed of SEEDS) {
    const profile = { ...roughLink(1), jitter: millis(25) };
    assert.ok(runUpload({ seed, crypto, bytes: 300_000, profile }).complete, `seed ${seed}`);
  }
});

test("losses in bursts do not break anything", () => {
  for (const seed of SEEDS) {
    const profile = { ...roughLink(10), lossBurst: 10 };
    assert.ok(runUpload({ seed, crypto, bytes: 300_000, profile }).complete, `seed ${seed}`);
  }
});

test("a queue of three packets does not break anything", () => {
  const profile = { delay: millis(25), rate: 1, queue: 3600 };
  assert.ok(runUpload({ seed: 1, crypto, bytes: 300_000, profile }).complete);
});

test("after a black hole of 3 s a transfer resumes within a probe timeout", () => {
  for (const seed of SEEDS) {
    const pair = establishedPair({ seed, profile: roughLink(0) });
    pair.clientTraffic.send(pair.client, pair.connection, 3_000_000);
    assert.ok(pair.drive(() => pair.serverTraffic.delivered > 1_000_000, seconds(60)));
    pair.up.down = pair.down.down = true;
    pair.advance(seconds(3));
    pair.up.down = pair.down.down = false;
    const returned = pair.network.now;
    const before = pair.serverTraffic.delivered;
    assert.ok(pair.drive(() => pair.serverTraffic.delivered > before, seconds(60)));
    // The timeout has doubled all along, so the pause until the next probe is at most as long as the outage.
    assert.ok(pair.network.now - returned <= seconds(3.1), `resumed after ${pair.network.now - returned} µs`);
    assert.ok(pair.drive(() => pair.serverTraffic.delivered === 3_000_000, seconds(60)), `seed ${seed}`);
    assert.equal(pair.server.connections.length, 1);
  }
});

test("a link that is up for 5 s and down for 2 s carries a transfer to its end", () => {
  const pair = establishedPair({ profile: { ...roughLink(1), rate: 2 } });
  const toggle = (down: boolean, after: Micros): void => {
    pair.up.down = pair.down.down = down;
    pair.network.clock.wakeAt(micros(pair.network.now + after), () => toggle(!down, down ? seconds(5) : seconds(2)));
  };
  toggle(false, seconds(5));
  pair.clientTraffic.send(pair.client, pair.connection, 4_000_000);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 4_000_000, seconds(600)));
  assert.ok(pair.network.now > seconds(17), "it has seen at least two outages");
});

test("20 s of 50 % loss are survived", () => {
  for (const seed of SEEDS) {
    const pair = establishedPair({ seed, profile: roughLink(0) });
    pair.network.change(pair.client.address, pair.server.address, { loss: 0.5 });
    pair.clientTraffic.send(pair.client, pair.connection, 2_000_000);
    pair.advance(seconds(20));
    assert.equal(pair.connection.state, "established", `seed ${seed}`);
    assert.ok(pair.serverTraffic.delivered > 0);
    pair.network.change(pair.client.address, pair.server.address, { loss: 0 });
    assert.ok(pair.drive(() => pair.serverTraffic.delivered === 2_000_000, seconds(60)), `seed ${seed}`);
  }
});

test("one way that loses nothing and one that loses half carry a transfer", () => {
  for (const seed of SEEDS) {
    const ways = [{ down: { loss: 0.5 } }, { up: { loss: 0.3 } }];
    for (const way of ways) {
      assert.ok(runUpload({ seed, crypto, bytes: 200_000, profile: roughLink(0), ...way }).complete, `seed ${seed}`);
    }
  }
});
