import assert from "node:assert/strict";
import { test } from "node:test";
import { seconds } from "../../lib/base/time.ts";
import type { ConnectionEvent } from "../../lib/transport/events.ts";
import { TransportError } from "../../lib/wire/error_codes.ts";
import { establishedPair, micros, millis } from "./shared.ts";

const APPLICATION_CODE = 0x123;

test("closing tells the peer why, and both sides forget the connection after three probe timeouts", () => {
  const pair = establishedPair();
  const { connection } = pair;
  connection.close(pair.network.now, APPLICATION_CODE, "gone fishing");
  assert.equal(connection.state, "closing");
  assert.ok(pair.drive(() => pair.server.ended.length === 1, seconds(1)));
  const { reason } = pair.server.ended[0];
  assert.deepEqual([reason.by, reason.code, reason.message], ["peer", APPLICATION_CODE, "gone fishing"]);
  assert.equal(pair.serverConnection?.state, "draining");
  assert.deepEqual(
    pair.client.ended.map((ended) => [ended.reason.by, ended.reason.code]),
    [["local", APPLICATION_CODE]],
  );
  pair.advance(seconds(1));
  assert.deepEqual([connection.state, pair.serverConnection?.state], ["closed", "closed"]);
  assert.deepEqual([pair.client.endpoint.connectionCount, pair.server.endpoint.connectionCount], [0, 0]);
});

test("closing twice, or after the peer has, changes nothing", () => {
  const pair = establishedPair();
  pair.connection.close(pair.network.now, 1, "first");
  pair.connection.close(pair.network.now, 2, "second");
  pair.advance(millis(15));
  pair.serverConnection!.close(pair.network.now, 3, "third");
  pair.advance(seconds(2));
  assert.deepEqual([pair.client.ended[0].reason.code, pair.server.ended[0].reason.code], [1, 1]);
  assert.deepEqual([pair.client.ended.length, pair.server.ended.length], [1, 1]);
});

test("both sides may close at the same time", () => {
  const pair = establishedPair();
  pair.connection.close(pair.network.now, 1, "one");
  pair.serverConnection!.close(pair.network.now, 2, "two");
  pair.advance(seconds(2));
  assert.deepEqual([pair.client.ended[0].reason.by, pair.server.ended[0].reason.by], ["local", "local"]);
  assert.deepEqual([pair.client.endpoint.connectionCount, pair.server.endpoint.connectionCount], [0, 0]);
});

test("a lost CLOSE is repeated when the peer goes on sending", () => {
  const pair = establishedPair();
  const { connection } = pair;
  let dropped = 0;
  pair.down.intercept = () => dropped++ < 2 ? "drop" : "pass";
  pair.serverConnection!.close(pair.network.now, APPLICATION_CODE, "over");
  pair.server.pump();
  pair.clientTraffic.send(pair.client, connection, 50_000);
  assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(1)));
  assert.equal(pair.client.ended[0].reason.code, APPLICATION_CODE);
});

test("a closing side answers a peer that goes on sending less and less often, and a draining one never", () => {
  const pair = establishedPair({ profile: { delay: millis(100) } });
  pair.clientTraffic.send(pair.client, pair.connection, 200_000);
  pair.advance(millis(150));
  // A second flight is on its way when CLOSE arrives after another 100 ms.
  pair.serverConnection!.close(pair.network.now, APPLICATION_CODE, "over");
  const before = { down: pair.down.counters.sent, up: pair.up.counters.delivered };
  pair.advance(millis(110));
  const sent = pair.up.counters.sent;
  pair.advance(millis(400));
  const received = pair.up.counters.delivered - before.up;
  const closes = pair.down.counters.sent - before.down;
  assert.ok(received > 10, `${received} datagrams arrived`);
  assert.ok(closes >= 2 && closes <= 9, `${closes} CLOSEs`);
  pair.advance(seconds(5));
  assert.equal(pair.up.counters.sent, sent, "nothing was sent after CLOSE was received");
});

test("streams that are cut off by closing end once, as closed", () => {
  const pair = establishedPair({ profile: { rate: 10 } });
  const outgoing = pair.clientTraffic.send(pair.client, pair.connection, 10_000_000);
  const waiting = pair.serverTraffic.send(pair.server, pair.serverConnection!, 10_000_000, { unidirectional: false });
  pair.advance(millis(200));
  assert.equal(pair.serverTraffic.incoming.length, 1);
  pair.connection.close(pair.network.now, 0, "");
  pair.advance(seconds(2));
  assert.deepEqual([outgoing.outcome, waiting.outcome], ["closed", "closed"]);
  assert.deepEqual([pair.clientTraffic.open, pair.serverTraffic.open], [0, 0]);
});

test("a closed connection takes no more commands, and does not mind being asked", () => {
  const pair = establishedPair();
  const { connection } = pair;
  const id = connection.openStream(false, 1);
  assert.ok(id !== -1);
  connection.close(pair.network.now, 0, "");
  assert.equal(connection.openStream(false, 1), -1);
  assert.equal(connection.write(id, new Uint8Array(10), false), 0);
  connection.resetStream(id, 1);
  connection.stopSending(id, 1);
  connection.ping();
  pair.advance(seconds(2));
  assert.deepEqual([connection.state, connection.pollEvent()], ["closed", undefined]);
});

test("a connection on which nothing happens ends on both sides when the idle timeout is over", () => {
  const pair = establishedPair({ settings: { idleTimeout: seconds(7) } });
  const established = pair.network.now;
  assert.ok(pair.drive(() => pair.client.ended.length + pair.server.ended.length === 2, seconds(60)));
  for (const { reason, at } of [...pair.client.ended, ...pair.server.ended]) {
    assert.equal(reason.by, "idle_timeout");
    assert.ok(at > established + seconds(6.9) && at < established + seconds(7.2), `at ${at}`);
  }
  const sent = pair.up.counters.sent + pair.down.counters.sent;
  pair.advance(seconds(60));
  assert.equal(pair.up.counters.sent + pair.down.counters.sent, sent, "it ends silently");
});

test("the shorter idle timeout of both sides applies", () => {
  const pair = establishedPair({
    clientSettings: { idleTimeout: seconds(60) },
    serverSettings: { idleTimeout: seconds(3) },
  });
  assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(4)));
});

test("keep-alive keeps an idle connection for as long as the peer answers, at little cost", () => {
  const pair = establishedPair({ settings: { idleTimeout: seconds(10) }, clientSettings: { keepAlive: seconds(4) } });
  const before = pair.up.counters.sent;
  pair.advance(seconds(400));
  assert.deepEqual([pair.connection.state, pair.serverConnection?.state], ["established", "established"]);
  assert.ok(pair.up.counters.sent - before <= 2 * 100 + 10, `${pair.up.counters.sent - before} datagrams in 400 s`);
  pair.down.down = true;
  assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(60)));
  assert.equal(pair.client.ended[0].reason.by, "idle_timeout");
});

test("without an idle timeout silence is no reason to end", () => {
  const pair = establishedPair({ settings: { idleTimeout: micros(0) } });
  pair.advance(seconds(86400));
  assert.equal(pair.connection.state, "established");
});

test("a peer that vanishes in the middle of a transfer is given up when the idle timeout is over", () => {
  const pair = establishedPair({ settings: { idleTimeout: seconds(10) }, profile: { rate: 10 } });
  const stream = pair.clientTraffic.send(pair.client, pair.connection, 10_000_000);
  pair.advance(millis(200));
  pair.up.down = pair.down.down = true;
  const gone = pair.network.now;
  assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(60)));
  assert.equal(pair.client.ended[0].reason.by, "idle_timeout");
  assert.ok(pair.network.now - gone < seconds(12), `${pair.network.now - gone} µs`);
  assert.equal(stream.outcome, "closed");
});

test("a ping measures the round trip", () => {
  const pair = establishedPair({ profile: { delay: millis(35) } });
  const pongs: ConnectionEvent[] = [];
  pair.clientTraffic.onOther = (_node, _connection, event) => {
    if (event.type === "pong") pongs.push(event);
  };
  const tokens = [pair.connection.ping(), pair.connection.ping()];
  assert.ok(pair.drive(() => pongs.length === 2, seconds(1)));
  assert.deepEqual(pongs, tokens.map((token) => ({ type: "pong", token, rtt: millis(70) })));
});

test("a packet for a connection that is gone is counted, and answered with something smaller that is not answered again", () => {
  const pair = establishedPair();
  const packets: Uint8Array[] = [];
  pair.up.intercept = (bytes) => {
    packets.push(bytes.slice());
    return "pass";
  };
  pair.connection.ping();
  pair.advance(millis(100));
  pair.up.intercept = undefined;
  pair.connection.close(pair.network.now, TransportError.NO_ERROR, "");
  pair.advance(seconds(2));
  const before = pair.down.counters.sent;
  const dropped = pair.server.endpoint.counters.droppedUnknownConnection;
  for (const bytes of packets) pair.network.send(pair.client.address, pair.server.address, bytes);
  pair.advance(seconds(1));
  const { resetsSent } = pair.server.endpoint.counters;
  assert.ok(resetsSent > 0 && resetsSent <= packets.length);
  assert.equal(pair.down.counters.sent, before + resetsSent);
  assert.ok(pair.server.endpoint.counters.droppedUnknownConnection >= dropped + packets.length / 2);
});
