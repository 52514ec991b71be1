import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { type Micros, micros, millis, seconds } from "../../lib/base/time.ts";
import { type Pair, SERVER_ADDRESS } from "../../lib/testing/pair.ts";
import { runUpload } from "../../lib/testing/upload_run.ts";
import { CONGESTION_NAMES } from "../../lib/transport/congestion/create.ts";
import type { TransportSettings } from "../../lib/transport/settings.ts";
import { crypto, establishedPair, SEEDS } from "./shared.ts";

/** UDP payload that fits under an MTU of 1 500 and of 1 280, IPv4. */
const ETHERNET = 1472, TUNNEL = 1252;
const MEGABYTE = 1_000_000;
const ON: Partial<TransportSettings> = { pathMtuDiscovery: "bulk" };

/** Makes the path smaller, both ways, and says how long nothing more was delivered afterwards. */
function shrink(pair: Pair, mtu: number): Micros {
  const { network } = pair;
  pair.up.profile = { ...pair.up.profile, mtu };
  pair.down.profile = { ...pair.down.profile, mtu };
  const delivered = (): number => pair.serverTraffic.delivered + pair.clientTraffic.delivered;
  const since = network.now;
  // What is on the way already still arrives.
  pair.advance(pair.up.profile.delay);
  let last = delivered(), lastAt = network.now, longest = 0;
  const until = micros(since + seconds(10));
  pair.drive(() => {
    if (delivered() > last) {
      longest = Math.max(longest, network.now - lastAt);
      last = delivered();
      lastAt = network.now;
    }
    return network.now >= until;
  }, seconds(11));
  return micros(Math.max(longest, network.now - lastAt));
}

for (const congestion of CONGESTION_NAMES) {
  for (const rtt of [20, 100, 300]) {
    test(`a path that becomes smaller in silence holds ${congestion} up for less than 3 s (${rtt} ms)`, () => {
      for (const direction of ["upload", "download"] as const) {
        for (const loss of [0, 0.01]) {
          const profile = { delay: millis(rtt / 2), rate: 4, mtu: ETHERNET, loss };
          const pair = establishedPair({ profile, settings: { ...ON, congestion } });
          const isUpload = direction === "upload";
          const connection = isUpload ? pair.connection : pair.serverConnection!;
          const from = isUpload ? pair.clientTraffic : pair.serverTraffic;
          from.send(isUpload ? pair.client : pair.server, connection, 50 * MEGABYTE);
          pair.advance(seconds(rtt < 300 ? 4 : 10));
          assert.equal(connection.stats().udpPayload, ETHERNET);
          const gap = shrink(pair, TUNNEL);
          const { paths, udpPayload } = connection.stats();
          const context = `${direction}, ${loss} loss`;
          assert.ok(gap <= seconds(3), `${context}: ${gap} µs without progress`);
          assert.equal(paths.blackHoles, 1, context);
          assert.ok(udpPayload > TUNNEL - 20 && udpPayload <= TUNNEL, `${context}: ${udpPayload}`);
        }
      }
    });
  }
}

test("larger datagrams are found within a second, and are no congestion where they do not pass", () => {
  for (
    const [mtu, expected] of [[1200, 1200], [1300, 1284], [1452, 1452], [1460, 1452], [ETHERNET, ETHERNET], [
      9000,
      ETHERNET,
    ]]
  ) {
    // A rate at which the window never fills: every loss would be a probe's.
    const pair = establishedPair({ profile: { delay: millis(10), rate: 100, queue: 4 << 20, mtu }, settings: ON });
    pair.clientTraffic.send(pair.client, pair.connection, 20 * MEGABYTE);
    pair.advance(seconds(1));
    const { udpPayload, congestion, paths } = pair.connection.stats();
    assert.ok(udpPayload <= mtu && udpPayload >= expected && udpPayload < expected + 16, `${udpPayload} of ${mtu}`);
    assert.deepEqual([congestion.congestionEvents, paths.blackHoles], [0, 0], `${mtu}`);
  }
});

test("jumbo frames are found where they are asked for", () => {
  const settings = { ...ON, maxProbedUdpPayload: 8972 };
  for (const [mtu, expected] of [[8972, 8972], [8952, 8952], [5000, 4352], [ETHERNET, ETHERNET]]) {
    const pair = establishedPair({ profile: { delay: millis(10), rate: 100, mtu }, settings });
    pair.clientTraffic.send(pair.client, pair.connection, 10 * MEGABYTE);
    pair.advance(seconds(1));
    assert.equal(pair.connection.stats().udpPayload, expected);
  }
});

test("a few calls try nothing", () => {
  const pair = establishedPair({ profile: { mtu: ETHERNET }, settings: ON });
  for (let i = 0; i < 20; i++) {
    pair.clientTraffic.send(pair.client, pair.connection, 300, { unidirectional: false });
    pair.advance(millis(100));
  }
  let largest = 0;
  pair.network.onSend = (_from, _to, bytes) => largest = Math.max(largest, bytes.length);
  pair.advance(seconds(5));
  assert.deepEqual([pair.connection.stats().udpPayload, largest <= 1200], [1200, true]);
});

test("who wishes it knows the size of an idle path a few round trips after the handshake", () => {
  for (const mtu of [1200, 1300, ETHERNET]) {
    const pair = establishedPair({ profile: { mtu }, settings: { pathMtuDiscovery: "always" } });
    pair.advance(seconds(20));
    const { udpPayload, congestion } = pair.connection.stats();
    assert.ok(udpPayload <= mtu && udpPayload > mtu - 20, `${udpPayload} of ${mtu}`);
    assert.equal(congestion.congestionEvents, 0);
    const { datagramsSent } = pair.connection.stats();
    pair.advance(seconds(5));
    assert.ok(pair.connection.stats().datagramsSent - datagramsSent <= 1, "and is silent then");
  }
});

for (const loss of [0, 1, 5, 20]) {
  test(`looking for larger datagrams costs next to nothing where there are none (${loss} % loss)`, () => {
    for (const seed of SEEDS) {
      const profile = { delay: millis(25), rate: 50, mtu: 1200, loss: loss / 100 };
      const upload = { seed, crypto, bytes: (loss > 1 ? 2 : 10) * MEGABYTE, profile };
      const plain = runUpload(upload), searching = runUpload({ ...upload, settings: ON });
      assert.equal(searching.failure, undefined);
      assert.equal(searching.stats.paths.blackHoles, 0);
      // Under loss two runs with different packets differ by chance.
      const least = loss === 0 ? 0.97 : 0.5;
      assert.ok(
        searching.goodput >= least * plain.goodput,
        `${searching.goodput}, ${plain.goodput} Mbit/s, seed ${seed}`,
      );
    }
  });
}

test("a path that was announced as larger than it is works all the same", () => {
  const pair = establishedPair({ profile: { delay: millis(10), rate: 20, mtu: 1300 }, settings: { udpPayload: 1472 } });
  pair.clientTraffic.send(pair.client, pair.connection, 3 * MEGABYTE);
  pair.serverTraffic.send(pair.server, pair.serverConnection!, 3 * MEGABYTE);
  assert.ok(
    pair.drive(() => pair.serverTraffic.delivered + pair.clientTraffic.delivered === 6 * MEGABYTE, seconds(10)),
  );
  assert.deepEqual([pair.connection.stats().paths.blackHoles, pair.serverConnection!.stats().paths.blackHoles], [1, 1]);
});

test("a blackout is no black hole for large packets alone", () => {
  for (const seed of SEEDS) {
    const pair = establishedPair({
      seed,
      profile: { delay: millis(25), rate: 10, mtu: ETHERNET, loss: 0.01 },
      settings: ON,
    });
    pair.clientTraffic.send(pair.client, pair.connection, 8 * MEGABYTE);
    pair.advance(seconds(2));
    for (let i = 0; i < 2; i++) {
      pair.up.down = pair.down.down = true;
      pair.advance(seconds(2));
      pair.up.down = pair.down.down = false;
      pair.advance(seconds(3));
    }
    assert.ok(pair.drive(() => pair.serverTraffic.delivered === 8 * MEGABYTE, seconds(60)));
    assert.ok(pair.connection.stats().udpPayload >= 1452, `${pair.connection.stats().udpPayload}, seed ${seed}`);
  }
});

test("on a new path the size is found anew; behind a changed port it stays as it was", () => {
  const pair = establishedPair({ profile: { delay: millis(10), rate: 20, mtu: ETHERNET }, settings: ON });
  pair.clientTraffic.send(pair.client, pair.connection, 50 * MEGABYTE);
  pair.serverTraffic.send(pair.server, pair.serverConnection!, 50 * MEGABYTE);
  pair.advance(seconds(2));
  pair.client.moveTo(address(pair.client.address.host, 77), [SERVER_ADDRESS]);
  pair.advance(millis(100));
  assert.equal(pair.serverConnection!.stats().udpPayload, ETHERNET);
  const narrow = address("10.0.9.9", 9);
  for (const link of [pair.network.link(narrow, SERVER_ADDRESS), pair.network.link(SERVER_ADDRESS, narrow)]) {
    link.profile = { ...link.profile, mtu: 1300 };
  }
  pair.client.moveTo(narrow, [], true);
  pair.advance(seconds(3));
  for (const connection of [pair.connection, pair.serverConnection!]) {
    const { udpPayload, paths } = connection.stats();
    assert.ok(udpPayload > 1280 && udpPayload <= 1300, `${udpPayload}`);
    assert.equal(paths.blackHoles, 0, "nobody took it to be as large as the old one");
  }
});
