import assert from "node:assert/strict";
import { test } from "node:test";
import { seconds } from "../../lib/base/time.ts";
import { runUpload } from "../../lib/testing/upload_run.ts";
import { CONGESTION_NAMES } from "../../lib/transport/congestion/create.ts";
import { HandshakeKind } from "../../lib/wire/constants.ts";
import { crypto, establishedPair, handshakeKind, isHandshake, makePair, millis } from "./shared.ts";

for (const congestion of CONGESTION_NAMES) {
  test(`a round trip of a second, three times what is assumed of it, makes nothing look lost to ${congestion}`, () => {
    const { complete, stats } = runUpload({
      seed: 1,
      crypto,
      bytes: 1_000_000,
      profile: { delay: millis(500), rate: 50, queue: 8 << 20 },
      settings: { congestion },
    });
    assert.ok(complete);
    assert.equal(stats.spuriousLosses, 0);
    assert.ok(stats.retransmittedBytes <= 20_000, `${stats.retransmittedBytes} bytes sent again`);
    assert.ok(stats.probeTimeouts <= 4, `${stats.probeTimeouts} probe timeouts`);
  });

  test(`a round trip that becomes ten times longer, and short again, is got used to by ${congestion}`, () => {
    const pair = establishedPair({ profile: { delay: millis(20), rate: 10 }, settings: { congestion } });
    const { client, server, serverTraffic, network } = pair;
    pair.clientTraffic.send(client, pair.connection, 1e12);
    pair.advance(seconds(3));
    network.change(client.address, server.address, { delay: millis(200) });
    pair.advance(seconds(10));
    const slow = serverTraffic.delivered;
    pair.advance(seconds(5));
    assert.ok(serverTraffic.delivered - slow > 500_000, `${serverTraffic.delivered - slow} bytes in 5 s`);
    network.change(client.address, server.address, { delay: millis(20) });
    pair.advance(seconds(12));
    const fast = serverTraffic.delivered;
    pair.advance(seconds(5));
    const rate = (serverTraffic.delivered - fast) * 8 / seconds(5);
    assert.ok(rate > 6, `${rate} of 10 Mbit/s`);
    const { smoothedRtt, spuriousLosses, packetsSent } = pair.connection.stats();
    assert.ok(smoothedRtt < millis(160), `${smoothedRtt} µs`);
    assert.ok(spuriousLosses < 0.02 * packetsSent, `${spuriousLosses} of ${packetsSent}`);
  });
}

test("a round trip of 5 ms is learnt from the first acknowledgement when the handshake could not tell", () => {
  const pair = makePair({ profile: { delay: millis(2.5) } });
  const connection = pair.connect();
  let hellos = 0;
  // The first hello is lost, so the answer to the second may be one to the first; and of the data, the first datagram is lost.
  pair.up.intercept = (bytes) => {
    if (isHandshake(bytes) && handshakeKind(bytes) === HandshakeKind.INITIATOR_HELLO) {
      return ++hellos === 1 ? "drop" : "pass";
    }
    return "pass";
  };
  assert.ok(pair.drive(() => connection.confirmed, seconds(10)));
  let dropped = 0;
  pair.up.intercept = () => dropped++ === 0 ? "drop" : "pass";
  const start = pair.network.now;
  pair.clientTraffic.send(pair.client, connection, 500);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 500, seconds(10)));
  // Three times the assumed 333 ms, once; not again and again.
  assert.ok(pair.network.now - start <= seconds(1.1), `${pair.network.now - start} µs`);
  pair.advance(millis(100));
  dropped = 0;
  const again = pair.network.now;
  pair.clientTraffic.send(pair.client, connection, 500);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 1000, seconds(10)));
  assert.ok(pair.network.now - again <= millis(150), `${pair.network.now - again} µs`);
});

test("a client that has nothing in flight goes on confirming itself, so that a server held by the amplification limit is let go", () => {
  for (const pattern of ["IK", "XX"] as const) {
    const pair = makePair({ pattern, profile: { delay: millis(25) } });
    const connection = pair.connect();
    // Everything behind the hello is lost for three seconds: the server may not send more than three times what it got.
    pair.up.intercept = (bytes, _index, now) => {
      const isHello = isHandshake(bytes) && handshakeKind(bytes) === HandshakeKind.INITIATOR_HELLO;
      return isHello || now > seconds(3) ? "pass" : "drop";
    };
    assert.ok(pair.drive(() => connection.state === "established", seconds(2)), pattern);
    assert.ok(
      pair.drive(() => connection.confirmed && pair.serverConnection?.confirmed === true, seconds(10)),
      pattern,
    );
    assert.ok(pair.network.now <= seconds(3.6), `${pattern}: ${pair.network.now} µs`);
  }
});

test("an outage of several probe timeouts is persistent congestion: the window begins anew, and the flow with it", () => {
  const pair = establishedPair({ profile: { delay: millis(25), rate: 20 } });
  pair.clientTraffic.send(pair.client, pair.connection, 1e12);
  pair.advance(seconds(2));
  const before = pair.connection.congestionWindow;
  // Packets are sent all along, and every one of them is lost.
  pair.up.intercept = () => "drop";
  pair.advance(seconds(2));
  pair.up.intercept = undefined;
  let smallest = before;
  const from = pair.serverTraffic.delivered;
  pair.network.onSend = () => smallest = Math.min(smallest, pair.connection.congestionWindow);
  pair.advance(seconds(5));
  assert.ok(smallest <= 4 * 1200, `${smallest} bytes`);
  assert.ok(pair.serverTraffic.delivered - from > 5_000_000, `${pair.serverTraffic.delivered - from} bytes in 5 s`);
});

test("what a tail loses is probed for after a probe timeout, without waiting for the peer where it was asked not to wait", () => {
  // One datagram in five is lost: windows of a few packets, in which the last is often the one that is lost.
  const upload = { seed: 1, crypto, bytes: 400_000, profile: { delay: millis(25), rate: 100, loss: 0.2 } };
  const { complete, goodput } = runUpload(upload);
  assert.ok(complete);
  const expected = 1.22 * 1132 * 8 / (0.05 * Math.sqrt(0.2)) / 1e6;
  assert.ok(goodput >= 0.7 * expected, `${goodput} Mbit/s, the formula gives ${expected}`);
});
