import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import {
  type CallContext,
  type Client,
  connect,
  type Handlers,
  MxpError,
  serve,
  type ServeOptions,
  type Server,
} from "../../mod.ts";
import type { Platform } from "../../lib/agent/platform.ts";
import { CallMessages } from "../../lib/mesh/call_messages.ts";
import { EventMessages } from "../../lib/mesh/event_messages.ts";
import { StreamError } from "../../lib/wire/error_codes.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";
import { RawPeer } from "./support/raw_peer.ts";
import { failsWith, sleep, until } from "./support/wait.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

async function withPair(
  platform: Platform,
  handlers: Handlers,
  body: (pair: { readonly server: Server; readonly client: Client }) => Promise<void>,
  serveOptions: Partial<ServeOptions> = {},
): Promise<void> {
  await using server = await serve({ listen: "127.0.0.1:0", platform, ...serveOptions }, handlers);
  await using client = await connect(server.url, { platform });
  await body({ server, client });
}

for (const [name, makePlatform] of platforms) {
  test(`events arrive, whatever their size, each of them once, ${name}`, async () => {
    const seen: [topic: string, data: number][] = [];
    const event = (topic: string, data: Uint8Array): void => void seen.push([topic, data.length]);
    await withPair(makePlatform(), { event }, async ({ client, server }) => {
      const sizes = [0, 1, 500, 5_000, 200_000, 3_000_000];
      for (const size of sizes) await client.emit("size", new Uint8Array(size));
      for (let i = 0; i < 300; i++) await client.emit(`many.${i}`, "x");
      await until(() => seen.length === sizes.length + 300, "all have arrived");
      assert.deepEqual(seen.filter(([topic]) => topic === "size").map(([, size]) => size).sort((a, b) => a - b), sizes);
      assert.equal(new Set(seen.map(([topic]) => topic)).size, 301);
      await until(() => client.stats().events.pending === 0, "all are acknowledged");
      assert.deepEqual(client.stats().events, {
        emitted: 306,
        delivered: 306,
        refused: 0,
        lost: 0,
        cancelled: 0,
        pending: 0,
        queued: 0,
        unreliable: 0,
      });
      assert.deepEqual(server.stats().events, {
        running: 0,
        total: 306,
        ok: 306,
        failed: 0,
        refused: 0,
        dropped: 0,
        repeated: 0,
      });
      assert.equal(server.stats().memory.used, 0);
    });
  });

  test(`what was emitted arrives although the client closes at once, ${name}`, async () => {
    let bytes = 0;
    await withPair(makePlatform(), { event: (_topic, data) => void (bytes += data.length) }, async ({ client }) => {
      const emitted = Array.from({ length: 40 }, () => client.emit("big", new Uint8Array(50_000)));
      await client.close();
      await Promise.all(emitted);
      assert.throws(() => client.stream(), failsWith("closed"));
    });
    assert.equal(bytes, 2_000_000);
  });
}

test("with ack, emit waits for the handler, and fails as it does", async () => {
  const done: string[] = [];
  const errors: unknown[] = [];
  const event = async (topic: string): Promise<void> => {
    await sleep(5);
    if (topic === "bad") throw new Error("cannot take it");
    if (topic === "busy") throw new MxpError("overloaded", "later", { retryable: true });
    if (topic === "slow") await sleep(500);
    done.push(topic);
  };
  const onHandlerError = (error: unknown, _context: CallContext): void => void errors.push(error);
  await withPair(memoryPlatform(), { event }, async ({ client, server }) => {
    await client.emit("good", "x", { ack: true, metadata: { a: "b" } });
    assert.deepEqual(done, ["good"]);
    await assert.rejects(client.emit("bad", "x", { ack: true }), failsWith("agent_error", /cannot take it/));
    await assert.rejects(client.emit("busy", "x", { ack: true }), failsWith("overloaded", /later/));
    await assert.rejects(client.emit("slow", "x", { ack: true, timeoutMs: 40 }), failsWith("deadline"));
    const controller = new AbortController();
    const aborted = client.emit("slow", "x", { ack: true, signal: controller.signal });
    await until(() => server.stats().events.total === 5, "the handler has the event");
    controller.abort();
    await assert.rejects(aborted, failsWith("cancelled"));
    await assert.rejects(client.emit("good", "x", { signal: AbortSignal.abort() }), failsWith("cancelled"));
    assert.equal(errors.length, 1, "an MxpError is an answer");
    assert.equal(server.stats().events.total, 5);
    assert.equal(client.stats().events.emitted, 0, "these count as calls");
  }, { onHandlerError });
});

test("an event whose signal, or whose client, gives up while its body is still being collected is not sent", async () => {
  const taken: string[] = [];
  const event = (topic: string): void => void taken.push(topic);
  async function* body(): AsyncGenerator<string> {
    yield "a";
    await sleep(20);
    yield "b";
  }
  await withPair(memoryPlatform(), { event }, async ({ client }) => {
    for (const ack of [true, false]) {
      const stop = new AbortController();
      const emitted = client.emit("aborted", body(), { ack, signal: stop.signal, timeoutMs: 1_000 });
      stop.abort();
      await assert.rejects(emitted, failsWith("cancelled"));
    }
    const kinds = [{ ack: true }, { ack: false }, { unreliable: true }];
    const others = kinds.map((kind) => client.emit("closed", body(), { ...kind, timeoutMs: 1_000 }));
    const nothing = deferred();
    let isStopped = false;
    async function* endless(): AsyncGenerator<string> {
      try {
        yield "a";
        await nothing.promise;
        yield "b";
      } finally {
        isStopped = true;
      }
    }
    others.push(client.emit("endless", endless()));
    await client.close();
    for (const other of others) await assert.rejects(other, failsWith("closed"));
    nothing.resolve();
    await until(() => isStopped, "the source is told");
    assert.deepEqual(taken, []);
  });
});

test("a handler sees who sent the event and everything that was sent along", async () => {
  const seen = deferred<unknown>();
  const handlers: Handlers = {
    event: (topic, data, context) => {
      const { metadata, traceparent, traceId, contentType, agent, method, peer } = context;
      assert.equal(peer.publicKey.length, 32);
      assert.equal(context.remainingMs(), Infinity);
      seen.resolve([topic, text(data), { ...metadata }, traceparent, traceId, contentType, agent, method]);
    },
  };
  await withPair(memoryPlatform(), handlers, async ({ client }) => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await client.emit("a.b", "data", { metadata: { k: "v" }, traceparent, contentType: "text/plain" });
    assert.deepEqual(await seen.promise, [
      "a.b",
      "data",
      { k: "v" },
      traceparent,
      "8448eb211c80319c",
      "text/plain",
      undefined,
      undefined,
    ]);
  });
});

test("a handler that fails is reported and counted, and disturbs nothing", async () => {
  const errors: unknown[] = [];
  const handlers: Handlers = {
    call: (payload) => payload,
    event: (topic) => {
      if (topic === "sync") throw new Error("at once");
      return Promise.reject(new Error("later"));
    },
  };
  const onHandlerError = (error: unknown): void => void errors.push((error as Error).message);
  await withPair(memoryPlatform(), handlers, async ({ client, server }) => {
    await client.emit("sync");
    await client.emit("async");
    await until(() => server.stats().events.failed === 2, "both have failed");
    assert.deepEqual(errors, ["at once", "later"]);
    assert.equal((await client.call("on")).text(), "on");
  }, { onHandlerError });
});

test("a node that nobody listens at turns events away, and counts them", async () => {
  await withPair(memoryPlatform(), { call: (payload) => payload }, async ({ client, server }) => {
    await client.emit("x");
    await until(() => server.stats().events.refused === 1, "it was turned away");
    await assert.rejects(client.emit("x", "y", { ack: true }), failsWith("agent_error", /nobody listens/));
    await assert.rejects(
      (async () => {
        for (;;) await client.emit("x", new Uint8Array(8_000_000));
      })(),
      failsWith("overloaded", /turned the event away/),
    );
    assert.equal(server.stats().events.total, 0);
    assert.equal(server.stats().events.refused, 3);
    assert.equal(client.stats().events.refused, 1, "the large one, which was not all there yet");
  });
});

test("slow handlers hold the sender up, and no event is lost", async () => {
  const gate = deferred<void>();
  let begun = 0, ended = 0;
  const event = async (): Promise<void> => {
    begun++;
    await gate.promise;
    ended++;
  };
  await withPair(memoryPlatform(), { event }, async ({ client, server }) => {
    const emitted = Array.from({ length: 2_000 }, () => client.emit("x", "y"));
    await until(() => begun === 256, "as many run as may");
    await sleep(50);
    assert.equal(begun, 256);
    assert.ok(client.stats().events.queued > 0, "further ones wait here");
    gate.resolve();
    await Promise.all(emitted);
    await until(() => ended === 2_000, "all were handled");
    assert.equal(server.stats().events.total, 2_000);
  });
});

test("what is no event, or too large, is turned away by its stream and counted", async () => {
  const platform = memoryPlatform();
  const event = (): void => {};
  await using server = await serve({ listen: "127.0.0.1:0", platform, maxMessageBytes: 100_000 }, { event });
  const peer = await RawPeer.connect(platform, server.url);
  try {
    const ids = { idHigh: 0, idLow: 9, traceHigh: 0, traceLow: 1 };
    const calls = new CallMessages(platform.codec);
    const events = new EventMessages(calls.writer);
    const good = events.event(ids, undefined, { topic: "t", data: new Uint8Array(10) }, false);
    const large = events.event(ids, undefined, { topic: "t", data: new Uint8Array(200_000) }, false);
    const cases: [what: string, bytes: Uint8Array, fin: boolean, code: number | undefined][] = [
      ["rubbish", new Uint8Array(100).fill(7), false, StreamError.MALFORMED],
      ["a Call", calls.call(ids, undefined, new Uint8Array(16), 0, new Uint8Array(5)), false, StreamError.MALFORMED],
      [
        "a wish for an Ack",
        events.event(ids, undefined, { topic: "t", data: good }, true),
        false,
        StreamError.MALFORMED,
      ],
      ["too large", large, false, StreamError.TOO_LARGE],
      ["half an event", good.subarray(0, 30), true, undefined],
      ["nothing", new Uint8Array(0), true, undefined],
      ["more behind it", Uint8Array.from([...good, 1]), false, StreamError.MALFORMED],
    ];
    for (const [i, [what, bytes, fin, code]] of cases.entries()) {
      const id = peer.openOneWay(bytes, fin);
      await until(() => server.stats().events.refused === i + 1, what);
      if (code !== undefined) await peer.until(() => peer.received(id).stopCode === code);
    }
    assert.equal(server.stats().events.total, 0);
    peer.openOneWay(good, true);
    await until(() => server.stats().events.total === 1, "a good one");
    // On a two-way stream, an event must want an answer.
    const id = peer.open(good);
    const answer = await peer.answer(id);
    assert.ok(answer.bytes.length > 0, "an Error");
    assert.equal(server.stats().memory.used, 0);
    assert.equal(peer.closeReason, undefined);
  } finally {
    peer.close();
  }
});

test("topics and data that cannot be sent are refused before anything is", async () => {
  await withPair(memoryPlatform(), { event: () => {} }, async ({ client }) => {
    await assert.rejects(client.emit("x".repeat(1_025)), failsWith("usage", /topic "x+…" has 1025 bytes/));
    await assert.rejects(client.emit("a.*"), failsWith("usage", /the topic "a.\*" has a \*, which only patterns have/));
    await assert.rejects(
      client.emit("a", "", { agent: "x", capability: "y" }),
      failsWith("usage", /an agent or to a capability/),
    );
    await assert.rejects(client.emit(5 as never), failsWith("usage", /topic/));
    await assert.rejects(client.emit("x", new Uint8Array(16_777_216)), failsWith("too_large"));
    await assert.rejects(client.emit("x", new Uint8Array(16_777_216), { ack: true }), failsWith("too_large"));
    await assert.rejects(client.emit("x", "y", { traceparent: "z" }), failsWith("usage"));
    await client.emit("x", new Uint8Array(16_777_213));
    assert.equal(client.stats().events.emitted, 1);
  });
  const bad = (handlers: unknown): Promise<Server> =>
    serve({ listen: "127.0.0.1:0", platform: memoryPlatform() }, handlers as Handlers);
  await assert.rejects(bad({ event: 5 }), failsWith("usage", /expected a function/));
  await assert.rejects(
    bad({ agents: { a: { event: 5 } } }),
    failsWith("usage", /the events of the agent "a" is number/),
  );
});

test("an event that waits for its node is taken back by its signal, and leaves others their order and the client its end", async () => {
  const gate = deferred<void>();
  const topics = new Set<string>();
  const event = async (topic: string): Promise<void> => {
    topics.add(topic);
    await gate.promise;
  };
  await withPair(memoryPlatform(), { event }, async ({ client }) => {
    const others = Array.from({ length: 2_000 }, () => client.emit("other", "y"));
    await until(() => client.stats().events.queued > 0, "further ones wait here");
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = Array.from({ length: 3 }, () => client.emit("mine", "x", { signal }));
    const behind = client.emit("behind", "x");
    await sleep(5);
    controller.abort(new Error("no more"));
    for (const emitted of waiting) await assert.rejects(emitted, failsWith("cancelled"));
    gate.resolve();
    await Promise.all([...others, behind]);
    await client.drain();
    assert.deepEqual([...topics], ["other", "behind"]);
    const { emitted, delivered, cancelled, pending } = client.stats().events;
    assert.deepEqual([emitted, delivered, cancelled, pending], [2_004, 2_001, 3, 0]);
  });
});

test("an event of which the transport has a part is taken back, too", async () => {
  const platform = memoryPlatform();
  const settings = { maxData: 65_536, maxDataWindow: 65_536, maxStreamData: 65_536, maxStreamWindow: 65_536 };
  const topics: string[] = [];
  const gate = deferred<void>();
  const handlers = {
    event: async (topic: string): Promise<void> => {
      topics.push(topic);
      await gate.promise;
    },
  };
  await using server = await serve({ listen: "127.0.0.1:0", platform, settings }, handlers);
  await using client = await connect(server.url, { platform });
  const controller = new AbortController();
  const large = client.emit("large", new Uint8Array(8 << 20), { signal: controller.signal });
  await until(() => client.stats().events.pending === 1, "it is on its way");
  controller.abort();
  await assert.rejects(large, failsWith("cancelled"));
  await client.emit("next", "x");
  await until(() => topics.length > 0, "the next one comes");
  gate.resolve();
  assert.deepEqual(topics, ["next"]);
  assert.equal(server.stats().memory.used, 0);
});

test("the end of the connection ends what waits", async () => {
  await withPair(memoryPlatform(), { event: () => new Promise(() => {}) }, async ({ client, server }) => {
    const emitted = Array.from({ length: 2_000 }, () => client.emit("x", "y"));
    await until(() => server.stats().events.running === 256, "handlers run");
    const settled = Promise.allSettled(emitted);
    await server.close();
    const failures = (await settled).filter((result) => result.status === "rejected");
    assert.ok(failures.length > 0);
    for (const { reason } of failures) assert.ok(failsWith("connection_lost")(reason));
    await assert.rejects(client.emit("x"), failsWith("connection_lost"));
  });
});

test("unreliable events arrive whole where nothing is lost, also when the client closes at once", async () => {
  const seen = new Map<string, number>();
  const event = (topic: string, data: Uint8Array, context: CallContext): void => {
    assert.equal(context.metadata.k, topic === "last" ? "v" : undefined);
    seen.set(topic, data.length);
  };
  await withPair(memoryPlatform(), { event }, async ({ client, server }) => {
    for (let i = 0; i < 100; i++) await client.emit(`t${i}`, new Uint8Array(i), { unreliable: true });
    await until(() => seen.size === 100, "all have arrived");
    for (let i = 0; i < 100; i++) assert.equal(seen.get(`t${i}`), i);
    const { events, transport } = client.stats();
    assert.deepEqual([events.unreliable, events.emitted, transport.datagramFrames.sent], [100, 0, 100]);
    await client.emit("last", "x", { unreliable: true, metadata: { k: "v" } });
    await client.close();
    await until(() => seen.has("last"), "the last one, too");
    assert.equal(server.stats().events.ok, 101);
  });
});

test("unreliable events that are lost stay lost, and nothing waits for them", async () => {
  let count = 0, isLossy = false, seen = 0;
  const platform = memoryPlatform({ fault: () => isLossy && ++count % 2 === 0 ? [] : [0] });
  await withPair(platform, { event: () => void seen++, call: (payload) => payload }, async ({ client }) => {
    isLossy = true;
    for (let i = 0; i < 60; i++) {
      await client.emit("x", "y", { unreliable: true });
      await sleep(1);
    }
    isLossy = false;
    assert.equal((await client.call("done")).text(), "done");
    assert.equal(client.stats().transport.datagramFrames.sent, 60);
    assert.ok(seen < 60 && seen > 0, `${seen} of 60 have arrived`);
    await until(() => client.stats().transport.datagramFrames.lost > 0, "the sender knows of losses");
  });
});

test("an unreliable event has to fit into a packet, to a node that takes such, and wants no Ack", async () => {
  await withPair(memoryPlatform(), { event: () => {} }, async ({ client }) => {
    await assert.rejects(
      client.emit("x", new Uint8Array(60_000), { unreliable: true }),
      failsWith("too_large", /send it reliably/),
    );
    await assert.rejects(client.emit("x", "y", { unreliable: true, ack: true }), failsWith("usage", /either/));
  });
  await withPair(memoryPlatform(), { event: () => {} }, async ({ client }) => {
    await assert.rejects(client.emit("x", "y", { unreliable: true }), failsWith("refused", /no unreliable events/));
  }, { settings: { maxDatagramFrame: 0 } });
});

test("unreliable events to a busy node, and what is none, are dropped and counted", async () => {
  const gate = deferred<void>();
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform }, { event: () => gate.promise });
  const client = await connect(server.url, { platform });
  for (let i = 0; i < 400; i++) await client.emit("x", "y", { unreliable: true });
  await until(() => server.stats().events.dropped === 144, "256 run, the others are dropped");
  gate.resolve();
  await until(() => server.stats().events.ok === 256, "those that ran are done");
  await client.close();

  const peer = await RawPeer.connect(platform, server.url);
  const ids = { idHigh: 0, idLow: 9, traceHigh: 0, traceLow: 1 };
  const calls = new CallMessages(platform.codec);
  const events = new EventMessages(calls.writer);
  const event = { topic: "t", data: new Uint8Array(3) };
  const good = events.event(ids, undefined, event, false);
  const bad = [
    new Uint8Array(0),
    new Uint8Array(50),
    good.slice(0, good.length - 1),
    Uint8Array.from([...good, ...good]),
    events.event(ids, undefined, event, true),
    calls.call(ids, undefined, new Uint8Array(16), 0, new Uint8Array(3)),
  ];
  for (const data of bad) peer.sendDatagram(data);
  await until(() => server.stats().events.refused === bad.length, "each is counted");
  peer.sendDatagram(good);
  await until(() => server.stats().events.ok === 257, "a good one is taken");
  assert.equal(peer.closeReason, undefined);
  peer.close();
});
