import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Client,
  connect,
  type PubSubStats,
  type ReceivedEvent,
  serve,
  type ServeOptions,
  type Server,
} from "../../mod.ts";
import { deferred } from "../../lib/agent/deferred.ts";
import type { Platform } from "../../lib/agent/platform.ts";
import { EventMessages } from "../../lib/mesh/event_messages.ts";
import { MessageWriter } from "../../lib/mesh/message_writer.ts";
import { StreamError } from "../../lib/wire/error_codes.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";
import { RawPeer } from "./support/raw_peer.ts";
import { failsWith, sleep, until } from "./support/wait.ts";

function node(platform: Platform, options: Partial<ServeOptions> = {}): Promise<Server> {
  return serve({ listen: "127.0.0.1:0", platform, pubsub: true, ...options }, {});
}

async function take(events: AsyncIterable<ReceivedEvent>, count: number): Promise<ReceivedEvent[]> {
  const taken: ReceivedEvent[] = [];
  const iterator = events[Symbol.asyncIterator]();
  while (taken.length < count) {
    const { value, done } = await iterator.next();
    if (done) break;
    taken.push(value);
  }
  return taken;
}

const SMALL = 64 << 10;
/** So that little fits between a node and a subscriber that does not read. */
const SMALL_WINDOWS = {
  maxData: 4 * SMALL,
  maxDataWindow: 4 * SMALL,
  maxStreamData: SMALL,
  maxStreamWindow: SMALL,
};
const pubsub = (server: Server): PubSubStats => server.stats().pubsub!;
const line = ({ topic, data, missed }: ReceivedEvent): string =>
  `${topic} ${data.length}${missed > 0 ? ` -${missed}` : ""}`;

for (const [name, makePlatform] of platforms) {
  test(`a subscriber gets what is published under its patterns, each once and in order, whatever its size, ${name}`, async () => {
    const platform = makePlatform();
    await using server = await node(platform);
    await using publisher = await connect(server.url, { platform });
    await using client = await connect(server.url, { platform });
    const events = client.subscribe(["a.*", "a.b", "big.>"]);
    await events.ready;
    assert.deepEqual(events.granted, { maxEvents: 1_024, maxBytes: 1 << 20 });
    const ack = { ack: true };
    for (const topic of ["a.b", "a", "a.b.c", "a.c", "c.a", "big", "big.x.y"]) await publisher.emit(topic, topic, ack);
    await publisher.emit("big.z", new Uint8Array(3_000_000), ack);
    await publisher.emit("a.last", "", ack);
    const taken = await take(events, 5);
    assert.deepEqual(taken.map(line), ["a.b 3", "a.c 3", "big.x.y 7", "big.z 3000000", "a.last 0"]);
    await events.close();
    await until(() => pubsub(server).subscriptions === 0, "the node has let go of it");
    const { queuedBytes, patterns, subscribed, published, unwanted, delivered, dropped } = pubsub(server);
    assert.deepEqual([queuedBytes, patterns, subscribed, published, unwanted, delivered, dropped], [
      0,
      0,
      1,
      9,
      4,
      5,
      0,
    ]);
    assert.equal(server.stats().memory.used, 0);
  });
}

test("a subscriber sees who has published an event and what was sent along, and so does the node's own handler", async () => {
  const platform = memoryPlatform();
  const own: string[] = [];
  await using server = await serve({ listen: "127.0.0.1:0", platform, pubsub: true }, {
    event: (topic, _data, { peer, publisher }) => void own.push(`${topic} ${peer.publicKeyText} ${publisher}`),
  });
  await using publisher = await connect(server.url, { platform });
  await using client = await connect(server.url, { platform });
  const events = client.subscribe(">");
  await events.ready;
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const options = { traceparent, contentType: "text/plain", metadata: { k: "v" }, idempotencyKey: "once", ack: true };
  await publisher.emit("a.b", "data", options);
  const [event] = await take(events, 1);
  const { topic, from, publicKey, traceId, contentType, metadata, idempotencyKey, missed, unreliable } = event;
  assert.deepEqual([topic, event.text(), traceId, event.traceparent, contentType, idempotencyKey, missed, unreliable], [
    "a.b",
    "data",
    "8448eb211c80319c",
    traceparent,
    "text/plain",
    "once",
    0,
    false,
  ]);
  assert.deepEqual({ ...metadata }, { k: "v" });
  const [line] = own;
  assert.equal(line, `a.b ${from} undefined`);
  assert.equal(publicKey.length, 32);
  assert.notEqual(from, server.identity.publicKeyText);
});

test("leaving the loop, closing, and the signal end a subscription on both sides", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform);
  await using client = await connect(server.url, { platform });
  const controller = new AbortController();
  const [left, closed, aborted] = [{}, {}, { signal: controller.signal }].map((options) =>
    client.subscribe("a", options)
  );
  await Promise.all([left.ready, closed.ready, aborted.ready]);
  assert.equal(pubsub(server).subscriptions, 3);
  await client.emit("a", "x", { ack: true });
  for await (const event of left) {
    assert.equal(event.text(), "x");
    break;
  }
  await take(closed, 1);
  const rest = take(closed, 2);
  await closed.close();
  assert.deepEqual(await rest, [], "who reads comes to the end");
  await take(aborted, 1);
  const failing = assert.rejects(take(aborted, 1), failsWith("cancelled", /subscription/));
  controller.abort();
  await failing;
  await until(() => pubsub(server).subscriptions === 0, "none is left");
  assert.throws(() => client.subscribe("a", { signal: controller.signal }), failsWith("cancelled"));
});

test("a slow subscriber loses what its policy says and is told how much; others, and the publisher, feel nothing", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform, { settings: { sendBuffer: SMALL } });
  await using publisher = await connect(server.url, { platform });
  await using slow = await connect(server.url, { platform, settings: SMALL_WINDOWS });
  await using quick = await connect(server.url, { platform });
  const limits = { maxEvents: 10, maxBytes: 1 << 20 };
  const policies = ["drop_oldest", "drop_newest", "close"] as const;
  const slowOnes = policies.map((policy) => slow.subscribe("load.>", { slow: policy, ...limits }));
  const fast = quick.subscribe("load.>", { maxEvents: 65_536, maxBytes: 16 << 20 });
  await Promise.all([...slowOnes, fast].map(({ ready }) => ready));
  // Far more than the windows of three unread streams hold.
  const total = 200;
  const size = 4 << 10;
  const seen = take(fast, total);
  for (let i = 0; i < total; i++) await publisher.emit(`load.${i}`, new Uint8Array(size), { ack: true });
  assert.deepEqual((await seen).map(({ topic }) => topic), Array.from({ length: total }, (_, i) => `load.${i}`));
  const stats = pubsub(server);
  assert.ok(stats.dropped > 100 && stats.tooSlow === 1 && stats.subscriptions === 3, JSON.stringify(stats));
  assert.ok(stats.queuedBytes <= 45 * (size + 200), `${stats.queuedBytes} bytes wait`);
  await publisher.emit("load.end", "", { ack: true });
  const [oldest, newest, ended] = slowOnes;
  const told = async (
    events: AsyncIterable<ReceivedEvent>,
    last: string,
  ): Promise<{ topics: string[]; missed: number }> => {
    const topics: string[] = [];
    let missed = 0;
    for await (const event of events) {
      missed += event.missed;
      topics.push(event.topic);
      if (event.topic === last) break;
    }
    return { topics, missed };
  };
  const first = await told(oldest, "load.end");
  assert.equal(first.topics.length + first.missed, total + 1, "every event arrives or is counted");
  assert.ok(first.topics.includes(`load.${total - 1}`), "the newest ones are there");
  assert.equal(first.missed, oldest.missed);
  const taken: ReceivedEvent[] = [];
  const whole = (async () => {
    for await (const event of newest) taken.push(event);
  })();
  await until(() => taken.length + newest.missed === total + 1, "every event has come or is said to be missing");
  await newest.close();
  await whole;
  assert.deepEqual(taken.slice(0, 10).map(({ topic }) => topic), Array.from({ length: 10 }, (_, i) => `load.${i}`));
  // When there was room again depends on the path; what is missing is told where it is missing in any case.
  let next = 0;
  for (const { topic, missed } of taken) {
    next += missed;
    assert.equal(topic, next === total ? "load.end" : `load.${next}`);
    next++;
  }
  assert.ok(newest.missed > 100, `${newest.missed} are missing`);
  await assert.rejects(told(ended, "load.end"), failsWith("overloaded", /more than 10 events were waiting/));
  await until(() => pubsub(server).queuedBytes === 0, "nothing waits any more");
  assert.equal((await publisher.ping()).rttMs >= 0, true);
});

test("what waits for a slow subscriber waits in its queue, where it can be dropped, and not in the transport", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform);
  await using publisher = await connect(server.url, { platform });
  await using slow = await connect(server.url, { platform, settings: SMALL_WINDOWS });
  const events = slow.subscribe("load", { slow: "drop_oldest", maxEvents: 4 });
  await events.ready;
  const total = 64;
  for (let i = 0; i < total; i++) {
    const data = new Uint8Array(16 << 10).fill(i);
    await publisher.emit("load", data, { ack: true });
  }
  // The subscriber's window holds 64 KiB, the transport as much again, and the queue four events.
  assert.ok(pubsub(server).dropped >= total - 16, `${pubsub(server).dropped} of ${total} were dropped`);
  let last = 0, taken = 0;
  for await (const { data } of events) {
    taken++;
    last = data[0];
    if (last === total - 1) break;
  }
  assert.equal(taken + events.missed, total);
});

test("unreliable events go unreliably to those who take them so, and reliably to everybody else", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform);
  await using publisher = await connect(server.url, { platform });
  await using client = await connect(server.url, { platform });
  const quick = client.subscribe(["p.*", "p.a"], { unreliable: true });
  const other = client.subscribe("p.b", { unreliable: true });
  const sure = client.subscribe("p.>");
  await Promise.all([quick.ready, other.ready, sure.ready]);
  await publisher.emit("p.a", "now", { unreliable: true });
  await publisher.emit("p.b", "now", { unreliable: true });
  await publisher.ping();
  await publisher.emit("p.a", "sure", { ack: true });
  const show = (events: ReceivedEvent[]): string[] =>
    events.map(({ topic, unreliable }) => `${topic} ${unreliable}`).sort();
  assert.deepEqual(show(await take(quick, 3)), ["p.a false", "p.a true", "p.b true"]);
  assert.deepEqual(show(await take(other, 1)), ["p.b true"]);
  assert.deepEqual(show(await take(sure, 3)), ["p.a false", "p.a false", "p.b false"]);
  assert.deepEqual(
    [pubsub(server).unreliable, pubsub(server).delivered],
    [2, 4],
    "one DATAGRAM frame for a connection",
  );
});

test("what is not read of unreliable events gives way to newer ones, and is counted", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform);
  await using client = await connect(server.url, { platform });
  const events = client.subscribe("p", { unreliable: true });
  await events.ready;
  for (let i = 0; i < 1_100; i++) {
    await client.emit("p", `${i}`, { unreliable: true });
    if (i % 50 === 49) await client.ping();
  }
  await until(() => pubsub(server).unreliable === 1_100, "the node has sent all");
  await client.ping();
  const seen = await take(events, 1_024);
  assert.equal(seen[0].missed, 76);
  assert.equal(seen[1_023].text(), "1099");
});

test("patterns and limits that make no sense are refused, here and by the node, and the node counts them", async () => {
  const platform = memoryPlatform();
  const limits = { maxSubscriptionsPerConnection: 3, maxSubscriptions: 5, maxPatternsPerConnection: 4, maxPatterns: 7 };
  await using server = await node(platform, { pubsub: limits });
  const clients = await Promise.all([1, 2, 3].map(() => connect(server.url, { platform })));
  const [a, b, c] = clients;
  assert.throws(() => a.subscribe("a..b"), failsWith("usage", /the pattern "a\.\.b" has an empty token/));
  assert.throws(() => a.subscribe("a*"), failsWith("usage", /has a \* inside a token/));
  assert.throws(() => a.subscribe([]), failsWith("usage", /1 to 1024 patterns, got 0/));
  assert.throws(() => a.subscribe("a", { slow: "never" as never }), failsWith("usage", /slow is drop_oldest/));
  assert.throws(() => a.subscribe("a", { maxEvents: 0 }), failsWith("usage", /maxEvents/));
  await assert.rejects(node(platform, { pubsub: { maxPatterns: 0 } }), failsWith("usage", /pubsub: maxPatterns/));
  const refused = (client: Client, patterns: string[], pattern: RegExp): Promise<void> => {
    const events = client.subscribe(patterns);
    return assert.rejects(events.ready, failsWith("overloaded", pattern));
  };
  await Promise.all([1, 2, 3].map((i) => a.subscribe(`a.${i}`).ready));
  await refused(a, ["a.4"], /a connection may have 3 subscriptions/);
  await b.subscribe(["b.1", "b.2"]).ready;
  await refused(b, ["b.3", "b.4", "b.5"], /a connection may have 4 patterns/);
  await refused(c, ["c.1", "c.2", "c.3"], /all that this node takes at once/);
  await c.subscribe("c.1").ready;
  await refused(c, ["c.2"], /5 subscriptions are open/);
  // What an event costs grows with the tokens that it meets.
  await refused(b, [Array(64).fill("*").join(".")], /the patterns of a connection may have 64 tokens together/);
  assert.deepEqual({ ...pubsub(server).refused }, { LIMIT_REACHED: 3, OVERLOADED: 2 });
  await b.close();
  await until(() => pubsub(server).subscriptions === 4, "what a lost connection had is free again");
  const long = c.subscribe([Array(62).fill("*").join(".")]);
  await long.ready;
  await long.close();
  await c.subscribe(["c.2", "c.3"]).ready;
  for (const client of clients) await client.close();
  await until(() => pubsub(server).patterns === 0, "nothing is left");
});

test("a node that is not asked to has no subscriptions, and whoever reads learns it", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform }, (payload) => payload);
  await using client = await connect(server.url, { platform });
  const events = client.subscribe("a");
  await assert.rejects(take(events, 1), failsWith("agent_error", /nobody can subscribe to events here/));
  await assert.rejects(events.ready, failsWith("agent_error"));
  assert.equal(server.stats().pubsub, undefined);
});

test("a subscription that is to go on finds back to a node that was started anew, and says that events may be missing", async () => {
  const platform = memoryPlatform();
  const first = await node(platform);
  const { identity, address: { port } } = first;
  await using client = await connect(first.url, { platform });
  const states: string[] = [];
  const events = client.subscribe("a.>", { reconnect: true, onState: (state) => void states.push(state) });
  const lost = client.subscribe("a.>");
  await Promise.all([events.ready, lost.ready]);
  await client.emit("a.b", "before", { ack: true });
  const iterator = events[Symbol.asyncIterator]();
  assert.equal((await iterator.next()).value!.text(), "before");
  const next = iterator.next();
  await first.close();
  await assert.rejects(take(lost, 2), failsWith("connection_lost"));
  assert.throws(() => client.subscribe("a"), failsWith("connection_lost"));
  await using second = await node(platform, { identity, listen: `127.0.0.1:${port}` });
  await using other = await connect(second.url, { platform });
  await until(() => pubsub(second).subscriptions === 1, "it has found back");
  await other.emit("a.c", "after", { ack: true });
  const { value } = await next;
  assert.deepEqual([value!.text(), value!.missed], ["after", Infinity]);
  assert.deepEqual(states, ["reconnecting", "subscribed"]);
  assert.equal(events.losses, 1);
  await events.close();
  await until(() => second.stats().connections === 1, "its own connection is closed with it");
});

test("the signal also ends a subscription that tries on because its connection was lost before the node had it", async () => {
  const platform = memoryPlatform();
  const server = await node(platform);
  await using client = await connect(server.url, { platform });
  await client.ping();
  const closed = server.close();
  const abort = new AbortController();
  const trying = deferred<void>();
  const { signal } = abort;
  const events = client.subscribe("a", { reconnect: true, signal, onState: () => trying.resolve() });
  await assert.rejects(events.ready, failsWith("connection_lost"));
  const next = take(events, 1);
  await trying.promise;
  abort.abort();
  const late = sleep(2_000).then(() => "goes on");
  await assert.rejects(Promise.race([next, late]).finally(() => events.close()), failsWith("cancelled"));
  await closed;
});

test("a node that goes down tells its subscribers, and one that wants no more of it is let go", async () => {
  const platform = memoryPlatform();
  const server = await node(platform);
  await using client = await connect(server.url, { platform });
  const events = client.subscribe("a");
  await events.ready;
  const end = assert.rejects(take(events, 1), failsWith("closed", /the node is shutting down/));
  await server.drain({ timeoutMs: 2_000 });
  await end;
});

test("a peer that subscribes with rubbish, or that never reads, costs the node no more than its limits", async () => {
  const platform = memoryPlatform();
  const memoryBudget = 4 * SMALL;
  await using server = await node(platform, { pubsub: { memoryBudget }, settings: { sendBuffer: SMALL } });
  const peer = await RawPeer.connect(platform, server.url, SMALL_WINDOWS);
  await using client = await connect(server.url, { platform });
  try {
    const ids = { idHigh: 0, idLow: 7, traceHigh: 0, traceLow: 1 };
    const events = new EventMessages(new MessageWriter(platform.codec));
    const wish = { policy: "drop_oldest", unreliable: false, maxEvents: 0xffff_ffff, maxBytes: 0xffff_ffff } as const;
    const bad = events.subscribe(ids, { ...wish, patterns: ["a.>.b"] });
    const torn = events.subscribe(ids, { ...wish, patterns: ["a"] }).subarray(0, -9);
    for (const bytes of [bad, torn]) assert.ok((await peer.answer(peer.open(bytes))).bytes.length > 40);
    assert.equal(pubsub(server).refused.BAD_TOPIC, 1);
    for (let i = 0; i < 64; i++) {
      const id = peer.open(events.subscribe(ids, { ...wish, patterns: ["flood", `own.${i}`] }), true);
      peer.unread.add(id);
    }
    await peer.until(() => pubsub(server).subscriptions === 64);
    for (let i = 0; i < 200; i++) await client.emit("flood", new Uint8Array(5_000), { ack: true });
    const { queuedBytes, dropped } = pubsub(server);
    assert.ok(queuedBytes > 0 && queuedBytes <= memoryBudget, `${queuedBytes} bytes wait`);
    assert.ok(dropped > 0);
    const own = client.subscribe("own.*");
    await own.ready;
    await client.emit("own.5", "others are served", { ack: true });
    assert.equal((await take(own, 1))[0].text(), "others are served");
  } finally {
    peer.close();
  }
  await server.close();
  assert.equal(server.stats().memory.used, 0);
});

test("what is subscribed to cannot be spoofed: a Publisher message from a client counts for nothing", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform);
  const peer = await RawPeer.connect(platform, server.url);
  await using client = await connect(server.url, { platform });
  try {
    const events = client.subscribe("a");
    await events.ready;
    const messages = new EventMessages(new MessageWriter(platform.codec));
    const ids = { idHigh: 0, idLow: 7, traceHigh: 0, traceLow: 1 };
    const forged = new Uint8Array(32).fill(7);
    peer.openOneWay(messages.passedOn(ids, undefined, forged, { topic: "a", data: new Uint8Array(1) }, false));
    const [event] = await take(events, 1);
    assert.notDeepEqual([...event.publicKey], [...forged]);
    const id = peer.openOneWay(messages.event(ids, undefined, { topic: "a..b", data: forged }, false), false);
    await peer.until(() => peer.received(id).stopCode === StreamError.MALFORMED);
    assert.equal(server.stats().events.refused, 1);
  } finally {
    peer.close();
  }
});
