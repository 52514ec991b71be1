import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "../../lib/transport/connection.ts";
import type { StreamId } from "../../lib/wire/stream_id.ts";
import { events, eventTypes, TwoEndpoints } from "./two_endpoints.ts";

const SMALL = { maxStreamData: 4096, maxStreamWindow: 4096, maxData: 16_384, maxDataWindow: 16_384, maxStreamsUni: 2 };

function pair(): { both: TwoEndpoints; client: Connection; server: Connection } {
  const both = new TwoEndpoints({ server: { settings: SMALL } });
  const established = both.establish();
  both.exchange(established.client, established.server);
  events(established.client);
  events(established.server);
  return { both, ...established };
}

function open(connection: Connection, unidirectional: boolean): StreamId {
  const id = connection.openStream(unidirectional, 1);
  assert.notEqual(id, -1);
  return id as StreamId;
}

test("a one-way stream is reported as delivered once all of it was acknowledged, a two-way one is not", () => {
  const { both, client, server } = pair();
  const oneWay = open(client, true), twoWay = open(client, false);
  client.write(oneWay, new Uint8Array(100), false);
  client.write(twoWay, new Uint8Array(100), true);
  both.exchange(client, server);
  both.wait(30);
  client.handleTimeout(both.now);
  server.handleTimeout(both.now);
  both.exchange(client, server);
  assert.deepEqual(events(client), [], "its end is missing");
  client.write(oneWay, new Uint8Array(0), true);
  both.exchange(client, server);
  both.wait(30);
  server.handleTimeout(both.now);
  both.exchange(client, server);
  assert.deepEqual(events(client), [{ type: "delivered", id: oneWay }]);
  assert.ok(eventTypes(server).every((type) => type !== "delivered"));
});

test("a one-way stream that was reset is not reported as delivered", () => {
  const { both, client, server } = pair();
  const id = open(client, true);
  client.write(id, new Uint8Array(100), true);
  client.resetStream(id, 2);
  both.exchange(client, server);
  both.wait(30);
  server.handleTimeout(both.now);
  both.exchange(client, server);
  assert.equal(client.stats().openStreams, 0);
  assert.deepEqual(events(client), []);
});

test("the statistics tell of credit, of windows, and of what had to wait for them", () => {
  const { both, client, server } = pair();
  assert.deepEqual(client.stats().flow.blocked, { connection: 0, stream: 0, streams: 0 });
  const first = open(client, true), second = open(client, true);
  assert.equal(client.openStream(true, 1), -1);
  client.write(first, new Uint8Array(10_000), false);
  client.write(second, new Uint8Array(100), true);
  both.exchange(client, server);
  const sent = client.stats().flow, received = server.stats().flow;
  assert.deepEqual([sent.sendUsed, sent.sendLimit, sent.sendBlocked], [4196, 16_384, false]);
  assert.deepEqual([received.received, received.consumed, received.receiveLimit], [4196, 0, 16_384]);
  assert.equal(received.receiveWindow, 16_384);
  assert.deepEqual([sent.blocked.stream, sent.blocked.streams], [1, 1], "of data, and of a third stream");
  while (server.read(first) !== undefined);
  assert.equal(server.stats().flow.consumed, 4096);
  both.exchange(client, server);
  const { updatesSent } = server.stats().flow;
  assert.ok(updatesSent >= 1, "of the stream's limit at least");
  assert.equal(client.stats().flow.updatesReceived, updatesSent);
  assert.equal(client.stats().flow.sendUsed, 4196 + 4096);
});
