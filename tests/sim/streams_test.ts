import assert from "node:assert/strict";
import { test } from "node:test";
import { seconds } from "../../lib/base/time.ts";
import { StreamError } from "../../lib/wire/error_codes.ts";
import { establishedPair, makePair, millis, roughLink, SEEDS } from "./shared.ts";

test("both sides send to each other at the same time over a bad link", () => {
  for (const seed of SEEDS) {
    const pair = establishedPair({ seed, profile: roughLink(3) });
    pair.clientTraffic.send(pair.client, pair.connection, 400_000);
    pair.serverTraffic.send(pair.server, pair.serverConnection!, 600_000);
    const isDone = (): boolean => pair.serverTraffic.delivered === 400_000 && pair.clientTraffic.delivered === 600_000;
    assert.ok(pair.drive(isDone, seconds(600)), `seed ${seed}`);
  }
});

test("200 two-way streams at once are all answered, each of them once", () => {
  for (const seed of SEEDS) {
    const pair = establishedPair({ seed, profile: roughLink(2) });
    pair.serverTraffic.replySize = 3000;
    for (let i = 0; i < 200; i++) {
      pair.clientTraffic.send(pair.client, pair.connection, 10 * i, { unidirectional: false, streamClass: i % 3 });
    }
    const isDone = (): boolean =>
      pair.clientTraffic.incoming.length === 200 && pair.clientTraffic.open === 0 && pair.serverTraffic.open === 0;
    assert.ok(pair.drive(isDone, seconds(600)), `seed ${seed}`);
    assert.deepEqual([pair.clientTraffic.delivered, pair.serverTraffic.delivered], [200 * 3000, 10 * 199 * 100]);
    pair.advance(seconds(5));
    assert.deepEqual(
      [pair.connection.stats().openStreams, pair.serverConnection!.stats().openStreams],
      [0, 0],
      "streams that are over are forgotten",
    );
  }
});

test("more streams than the peer allows wait for their turn", () => {
  const pair = establishedPair({ settings: { maxStreamsBidi: 4, maxStreamsUni: 2 }, profile: roughLink(2) });
  pair.serverTraffic.replySize = 100;
  for (let i = 0; i < 60; i++) {
    pair.clientTraffic.send(pair.client, pair.connection, 500, { unidirectional: i % 2 === 0 });
  }
  const isDone = (): boolean =>
    pair.clientTraffic.incoming.length === 30 && pair.clientTraffic.open + pair.serverTraffic.open === 0;
  assert.ok(pair.drive(isDone, seconds(600)));
  assert.equal(pair.serverTraffic.incoming.length, 60);
});

test("tiny windows slow a transfer down and do not stop it", () => {
  const settings = { maxData: 1 << 14, maxStreamData: 1 << 12, sendBuffer: 1 << 12 };
  const pair = establishedPair({ settings, profile: roughLink(5) });
  for (let i = 0; i < 8; i++) pair.clientTraffic.send(pair.client, pair.connection, 40_000);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 320_000, seconds(600)));
});

test("empty streams and streams of one byte arrive", () => {
  const pair = establishedPair({ profile: roughLink(10) });
  for (let i = 0; i < 20; i++) pair.clientTraffic.send(pair.client, pair.connection, i % 2);
  const isDone = (): boolean => pair.serverTraffic.incoming.length === 20 && pair.serverTraffic.open === 0;
  assert.ok(pair.drive(isDone, seconds(60)));
  assert.equal(pair.serverTraffic.delivered, 10);
});

test("a stream that its sender gives up is reported as reset, and the others go on", () => {
  const pair = establishedPair({ profile: roughLink(5) });
  const doomed = pair.clientTraffic.send(pair.client, pair.connection, 4_000_000);
  pair.clientTraffic.send(pair.client, pair.connection, 200_000);
  pair.advance(millis(300));
  assert.ok(doomed.id !== -1);
  pair.connection.resetStream(doomed.id, StreamError.CANCELLED);
  pair.client.pump();
  const other = (): boolean => pair.serverTraffic.incoming[1]?.outcome === "finished";
  assert.ok(pair.drive(() => other() && pair.serverTraffic.open === 0, seconds(600)));
  const [first, second] = pair.serverTraffic.incoming;
  assert.deepEqual([first.outcome, first.resetCode], ["reset", StreamError.CANCELLED]);
  assert.deepEqual([second.outcome, second.received], ["finished", 200_000]);
  assert.ok(first.received < 4_000_000);
  assert.ok(pair.drive(() => pair.connection.stats().openStreams === 0, seconds(60)));
});

test("a receiver that has enough stops the sender", () => {
  const pair = establishedPair({ profile: roughLink(5) });
  const stream = pair.clientTraffic.send(pair.client, pair.connection, 4_000_000);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered > 100_000, seconds(60)));
  assert.ok(stream.id !== -1);
  pair.serverConnection!.stopSending(stream.id, StreamError.CANCELLED);
  assert.ok(pair.drive(() => stream.outcome === "stopped", seconds(60)));
  assert.ok(pair.drive(() => pair.connection.stats().openStreams === 0, seconds(60)));
  assert.ok(stream.written < 4_000_000);
  // What was discarded is no loss of credit: the next stream may use all of it.
  const before = pair.serverTraffic.delivered;
  pair.clientTraffic.send(pair.client, pair.connection, 9_000_000);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === before + 9_000_000, seconds(600)));
});

test("a receiver that does not read holds up its stream at the window, and the sender's memory with it", () => {
  const settings = { maxData: 1 << 20, maxStreamData: 1 << 18, maxStreamWindow: 1 << 18, sendBuffer: 1 << 17 };
  const pair = establishedPair({ settings });
  pair.serverTraffic.paused = true;
  const stream = pair.clientTraffic.send(pair.client, pair.connection, 5_000_000);
  pair.advance(seconds(20));
  assert.equal(pair.invariants?.dataSent(pair.connection), 1 << 18, "the window is used up and not exceeded");
  const kept = stream.written - (1 << 18);
  assert.ok(kept <= Math.max(1 << 17, 3 * pair.connection.congestionWindow), `${kept} bytes are kept`);
  // The other way is free.
  pair.serverTraffic.send(pair.server, pair.serverConnection!, 100_000);
  assert.ok(pair.drive(() => pair.clientTraffic.delivered === 100_000, seconds(10)));
  pair.serverTraffic.resume(pair.server);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 5_000_000, seconds(60)));
});

test("a slow stream leaves the others their share of the connection's window", () => {
  const pair = establishedPair({ settings: { maxData: 1 << 20, maxStreamData: 1 << 18 } });
  const { serverTraffic } = pair;
  serverTraffic.paused = true;
  const slow = pair.clientTraffic.send(pair.client, pair.connection, 1_000_000).id;
  pair.advance(seconds(1));
  serverTraffic.paused = false;
  pair.clientTraffic.send(pair.client, pair.connection, 1_000_000);
  assert.ok(pair.drive(() => serverTraffic.incoming[1]?.outcome === "finished", seconds(60)));
  assert.deepEqual([serverTraffic.incoming[0].id, serverTraffic.incoming[0].received], [slow, 0]);
});

test("data that is ready before the handshake is done leaves with its end", () => {
  const pair = makePair({ profile: { delay: millis(25) } });
  const connection = pair.connect();
  pair.clientTraffic.send(pair.client, connection, 500);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 500, seconds(1)));
  assert.equal(pair.network.now, millis(75));
});
