import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import {
  type CallContext,
  type Client,
  connect,
  type EventHandler,
  generateIdentity,
  MxpError,
  publicKeyText,
  serve,
  type Server,
} from "../../mod.ts";
import type { Platform } from "../../lib/agent/platform.ts";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { decodeError } from "../../lib/codec/payloads/error.ts";
import { nameTarget } from "../../lib/mesh/agent_target.ts";
import { EventMessages } from "../../lib/mesh/event_messages.ts";
import { MessageWriter } from "../../lib/mesh/message_writer.ts";
import { LifecycleMessages } from "../../lib/mesh/lifecycle_messages.ts";
import { StreamError } from "../../lib/wire/error_codes.ts";
import { isResponderInitiated } from "../../lib/wire/stream_id.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";
import { RawPeer } from "./support/raw_peer.ts";
import { failsWith, sleep, until } from "./support/wait.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const node = (platform: Platform): Promise<Server> =>
  serve({ listen: "127.0.0.1:0", platform, registry: true, pubsub: true }, {
    agents: { local: { event: (topic) => void localEvents.push(topic) }, deaf: () => "" },
  });
const localEvents: string[] = [];

/** An agent of its own connection. */
async function agent(platform: Platform, url: string, name: string, event?: EventHandler): Promise<Client> {
  const client = await connect(url, { platform });
  const capabilities = ["log", `log.${name}`];
  await client.register({ name, capabilities }, { handlers: { call: () => "", ...(event && { event }) } });
  return client;
}

for (const [name, makePlatform] of platforms) {
  test(`an event for an agent reaches that agent alone, and is acknowledged when its handler has accepted it, ${name}`, async () => {
    const platform = makePlatform();
    await using server = await node(platform);
    const seen: string[] = [];
    let accepted = 0;
    const handler = (who: string): EventHandler => async (topic, data, context: CallContext) => {
      const { publisher, peer, agent, metadata } = context;
      assert.equal(peer.publicKeyText, server.identity.publicKeyText);
      seen.push(`${who} ${topic} ${text(data)} ${agent} ${publisher} ${JSON.stringify({ ...metadata })}`);
      await sleep(2);
      accepted++;
    };
    await using _one = await agent(platform, server.url, "one", handler("one"));
    await using _two = await agent(platform, server.url, "two", handler("two"));
    const identity = generateIdentity();
    await using client = await connect(server.url, { platform, identity });
    const all = client.subscribe(">");
    await all.ready;
    await client.emit("a.b", "x", { agent: "one", ack: true, metadata: { k: "v" } });
    assert.equal(accepted, 1);
    await client.emit("a.c", "y", { capability: "log.two", ack: true });
    await client.emit("a.d", "z", { agent: "two" });
    await until(() => accepted === 3, "it has arrived");
    await client.emit("a.e", "w", { agent: "one", unreliable: true });
    await until(() => accepted === 4, "all have arrived");
    const key = identity.publicKeyText;
    assert.deepEqual(seen, [
      `one a.b x one ${key} {"k":"v"}`,
      `two a.c y two ${key} {}`,
      `two a.d z two ${key} {}`,
      `one a.e w one ${key} {}`,
    ]);
    assert.equal(server.stats().pubsub!.published, 0, "subscribers see nothing of it");
    const { total, ok, failed, running } = server.stats().registry!.relayedEvents;
    assert.deepEqual([total, ok, failed, running], [4, 4, 0, 0]);
  });
}

test("whoever waits for an Ack learns why an agent does not take an event, and nobody else is told", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform);
  await using _strict = await agent(platform, server.url, "strict", () => {
    throw new MxpError("refused", "not today");
  });
  const aborted: string[] = [];
  let begun = 0;
  await using _slow = await agent(platform, server.url, "slow", (_topic, _data, { signal }) => {
    begun++;
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => {
        aborted.push(signal.reason.code);
        reject(signal.reason);
      })
    );
  });
  await using _mute = await agent(platform, server.url, "mute");
  await using client = await connect(server.url, { platform });
  const emit = (agent: string, timeoutMs = 5_000): Promise<void> =>
    client.emit("a", "x", { agent, ack: true, timeoutMs });
  await assert.rejects(emit("nobody"), failsWith("no_such_agent", /no agent "nobody" at/));
  await assert.rejects(emit("strict"), failsWith("not_allowed", /not today/));
  await assert.rejects(emit("mute"), failsWith("agent_error", /nobody|takes no events/));
  await assert.rejects(emit("deaf"), failsWith("agent_error", /the agent deaf takes no events/));
  await assert.rejects(client.emit("a", "", { capability: "x.*", ack: true }), failsWith("no_such_agent", /"x\.\*"/));
  await assert.rejects(emit("slow", 60), failsWith("deadline"));
  // On a busy machine the agent may not have had that one.
  await until(() => server.stats().registry!.relayedEvents.running === 0, "nobody waits for it any more");
  const before = begun;
  const controller = new AbortController();
  const given = client.emit("a", "x", { agent: "slow", ack: true, timeoutMs: 0, signal: controller.signal });
  await until(() => begun === before + 1, "the agent has it");
  controller.abort();
  await assert.rejects(given, failsWith("cancelled"));
  await until(() => aborted.length === begun, "the agent's handlers are told");
  assert.equal(aborted.at(-1), "cancelled");
  await emit("local");
  assert.deepEqual(localEvents, ["a"]);
  await using own = await connect(`${server.url}/local`, { platform });
  await own.emit("b", "", { ack: true });
  assert.deepEqual(localEvents, ["a", "b"], "an agent in the URL is meant");
  await client.emit("a", "x", { agent: "nobody" });
  await until(() => server.stats().events.refused >= 4, "it is counted");
  await until(() => server.stats().registry!.relayedEvents.running === 0, "nothing is left");
});

test("an event for a capability goes to another agent if one has gone before it accepted", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform);
  const has = deferred<void>();
  const seen: string[] = [];
  const first = await agent(platform, server.url, "first", () => {
    has.resolve();
    return new Promise(() => {});
  });
  await using client = await connect(server.url, { platform });
  const emitted = client.emit("a", "x", { capability: "log", ack: true });
  await has.promise;
  await using _second = await agent(platform, server.url, "second", (topic) => void seen.push(topic));
  await first.close();
  await emitted;
  assert.deepEqual(seen, ["a"]);
  assert.equal(server.stats().registry!.relayedEvents.failovers, 1);
});

test("an event goes to another agent if the node behind which the first one was says that it is gone", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform);
  const raw = await RawPeer.connect(platform, server.url);
  const ids = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
  const agentId = new Uint8Array(16).fill(0x44);
  const lifecycle = new LifecycleMessages(new MessageWriter(platform.codec));
  await raw.answer(raw.open(lifecycle.register(ids, { agentId, name: "far", capabilities: ["log"] }).slice()));
  await using client = await connect(server.url, { platform });
  const emitted = client.emit("a", "x", { capability: "log", ack: true });
  const find = () => raw.events.find((event) => event.type === "readable" && isResponderInitiated(event.id));
  await raw.until(() => find() !== undefined);
  const seen: string[] = [];
  await using _second = await agent(platform, server.url, "second", (topic) => void seen.push(topic));
  const event = find()!;
  assert.ok("id" in event);
  raw.reset(event.id, StreamError.GONE);
  await emitted;
  assert.deepEqual(seen, ["a"]);
  // Whoever was there may have accepted it: where nobody else is, that is what is said.
  const again = client.emit("b", "x", { agent: "far", ack: true });
  raw.events.length = 0;
  await raw.until(() => find() !== undefined);
  const other = find()!;
  assert.ok("id" in other);
  raw.reset(other.id, StreamError.GONE);
  await assert.rejects(again, (error: MxpError) => error.remoteCode === ErrorCode.ANSWER_LOST && error.retryable);
  raw.close();
});

test("an event that is repeated under its key is acknowledged again and handled once, over whichever connection it comes", async () => {
  const platform = memoryPlatform();
  const gate = deferred<void>();
  const handled: string[] = [];
  await using server = await serve({ listen: "127.0.0.1:0", platform, pubsub: true }, {
    event: async (topic) => {
      handled.push(topic);
      if (topic === "slow") await gate.promise;
      if (topic === "bad") throw new Error("cannot take it");
    },
  });
  const identity = generateIdentity();
  const options = { ack: true, idempotencyKey: "k1" };
  await using client = await connect(server.url, { platform, identity });
  await using again = await connect(server.url, { platform, identity });
  await using other = await connect(server.url, { platform });
  const events = other.subscribe(">");
  await events.ready;
  for (const sender of [client, again, client]) await sender.emit("a", "x", options);
  await client.emit("a", "x", { idempotencyKey: "k1" });
  await other.emit("a", "x", options);
  await until(() => server.stats().events.repeated === 3, "all have come");
  assert.deepEqual(handled, ["a", "a"], "another sender's key is another event");
  const joined = [client, again, client].map((sender) => sender.emit("slow", "x", { ack: true, idempotencyKey: "k2" }));
  await until(() => server.stats().events.repeated === 5, "two wait for the first");
  assert.equal(handled.length, 3);
  gate.resolve();
  await Promise.all(joined);
  assert.equal(handled.length, 3);
  for (let i = 0; i < 2; i++) {
    await assert.rejects(client.emit("bad", "", { ack: true, idempotencyKey: "k3" }), failsWith("agent_error"));
  }
  assert.equal(handled.filter((topic) => topic === "bad").length, 2, "what failed is tried again");
  await assert.rejects(
    client.emit("a", "", { ack: true, idempotencyKey: "k".repeat(256) }),
    failsWith("agent_error", /an idempotency key has at most 255 bytes/),
  );
  assert.equal(server.stats().pubsub!.published, 5);
});

test("an event under the key of one for another agent is another event, so that nobody is said to have accepted what never came", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform, registry: true, pubsub: true }, {});
  const handled: string[] = [];
  await using host = await connect(server.url, { platform });
  for (const name of ["one", "two"]) {
    const event: EventHandler = (topic) => void handled.push(`${name} ${topic}`);
    await host.register({ name, capabilities: [`can.${name}`] }, { handlers: { event } });
  }
  await using client = await connect(server.url, { platform });
  const options = { ack: true, idempotencyKey: "order-17" };
  for (const agent of ["one", "two", "two"]) await client.emit("a", "", { ...options, agent });
  for (const capability of ["can.one", "can.two", "can.two"]) {
    await client.emit("b", "", { ...options, idempotencyKey: "order-18", capability });
  }
  await client.emit("a", "", options);
  assert.deepEqual(handled, ["one a", "two a", "one b", "two b"]);
  assert.deepEqual([server.stats().events.repeated, server.stats().pubsub!.published], [2, 1]);
});

test("attempts go on until the node has accepted the event, over a new connection if need be, and it is handled once", async () => {
  const platform = memoryPlatform();
  const handled: string[] = [];
  let failures = 1;
  const handler: EventHandler = (topic) => {
    if (failures-- > 0) throw new MxpError("overloaded", "later", { retryable: true });
    handled.push(topic);
  };
  const first = await serve({ listen: "127.0.0.1:0", platform }, { event: handler });
  const { identity, address: { port } } = first;
  await using client = await connect(first.url, { platform });
  await client.emit("a", "x", { attempts: 3 });
  assert.deepEqual(handled, ["a"]);
  failures = 9;
  await assert.rejects(client.emit("b", "x", { attempts: 2 }), failsWith("overloaded", /later/));
  assert.equal(failures, 7);
  failures = 0;
  await first.close();
  const emitted = client.emit(
    "c",
    async function* () {
      yield "only ";
      yield "once";
    }(),
    { attempts: 20, timeoutMs: 500 },
  );
  await sleep(20);
  await using second = await serve({ listen: `127.0.0.1:${port}`, platform, identity }, { event: handler });
  await emitted;
  assert.deepEqual(handled, ["a", "c"]);
  await until(() => second.stats().connections === 0, "the connection for it is closed again");
  await assert.rejects(client.emit("d", "", { attempts: 0 }), failsWith("usage", /attempts/));
  await assert.rejects(client.emit("d", "", { attempts: 2, unreliable: true }), failsWith("usage", /unreliable/));
});

test("a client that is closed gives up the events that it would send again", async () => {
  const platform = memoryPlatform();
  const handler: EventHandler = () => {
    throw new MxpError("overloaded", "later", { retryable: true });
  };
  await using server = await serve({ listen: "127.0.0.1:0", platform }, { event: handler });
  const client = await connect(server.url, { platform });
  const emitted = client.emit("a", "x", { attempts: 6 });
  await until(() => server.stats().events.failed > 0, "it was sent once");
  // Its refusal arrives; most often the client is in the pause behind it then.
  await sleep(5);
  await Promise.all([client.close(), assert.rejects(emitted, failsWith("closed"))]);
  await until(() => server.stats().connections === 0, "no connection is made in its place");
});

test("an agent knows an event again that is repeated because its own connection was lost", async () => {
  const platform = memoryPlatform();
  const first = await node(platform);
  const { identity, address: { port } } = first;
  let handled = 0;
  const client = await connect(first.url, { platform });
  await using registration = await client.register({ name: "keeper" }, { handlers: { event: () => void handled++ } });
  const publisher = generateIdentity();
  const emit = async (url: string): Promise<void> => {
    await using sender = await connect(url, { platform, identity: publisher });
    await sender.emit("a", "x", { agent: "keeper", ack: true, idempotencyKey: "k" });
  };
  await emit(first.url);
  await first.close();
  await using second = await node2(platform, port, identity);
  await until(() => registration.state === "registered" && second.stats().registry!.agents === 1, "it is there again");
  await emit(second.url);
  assert.equal(handled, 1, "the node has forgotten the event, the agent has not");
  await client.close();
});

test("a handler tells other agents something in its turn, until they have accepted it, under the same trace", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform);
  const seen: string[] = [];
  let failures = 1;
  await using _second = await agent(platform, server.url, "second", (topic, _data, { traceId }) => {
    if (failures-- > 0) throw new MxpError("overloaded", "later", { retryable: true });
    seen.push(`${topic} ${traceId}`);
  });
  await using _first = await agent(platform, server.url, "first", async (topic, data, context) => {
    seen.push(`${topic} ${context.traceId}`);
    await context.client("second").emit(`${topic}.again`, data, { attempts: 2 });
    await context.client({ capability: "log.second" }).emit(`${topic}.more`, data, { ack: true });
  });
  await using client = await connect(server.url, { platform });
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  await client.emit("a", "x", { agent: "first", ack: true, traceparent });
  const id = "8448eb211c80319c";
  assert.deepEqual(seen, [`a ${id}`, `a.again ${id}`, `a.more ${id}`]);
});

test("a client cannot name another publisher, nor have an event passed on for good", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform);
  const seen: (string | undefined)[] = [];
  await using _agent = await agent(
    platform,
    server.url,
    "one",
    (_topic, _data, { publisher }) => void seen.push(publisher),
  );
  const peer = await RawPeer.connect(platform, server.url);
  try {
    const messages = new EventMessages(new MessageWriter(platform.codec));
    const ids = { idHigh: 0, idLow: 7, traceHigh: 0, traceLow: 1 };
    const target = nameTarget((bytes) => platform.crypto.sha256.hash(bytes), "one");
    const forged = new Uint8Array(32).fill(7);
    const event = { topic: "a", data: new Uint8Array(1) };
    peer.openOneWay(messages.passedOn(ids, { target }, forged, event, false));
    await until(() => seen.length === 1, "it has arrived");
    assert.ok(seen[0] !== undefined && seen[0] !== publicKeyText(forged));
    const { bytes } = await peer.answer(peer.open(messages.event(ids, { target, hopLimit: 0 }, event, true)));
    const answer = platform.codec.decode(bytes, 0, bytes.length);
    assert.ok(!(answer instanceof CodecError));
    const error = decodeError(answer.payload);
    assert.ok(!(error instanceof CodecError));
    assert.equal(error.code, ErrorCode.HOP_LIMIT);
    assert.equal(seen.length, 1);
  } finally {
    peer.close();
  }
});

test("an event that is sealed to an agent goes through the node as it is, and only that agent reads it", async () => {
  const platform = memoryPlatform();
  await using server = await node(platform);
  const [sealing, reading] = [generateIdentity(), generateIdentity()];
  const seen: unknown[] = [];
  await using agent = await connect(server.url, { platform, identity: reading });
  await agent.register({ name: "vault", capabilities: ["keep"] }, {
    handlers: {
      event: (topic, data, { sealedBy, metadata }) =>
        void seen.push([topic, text(data), sealedBy === undefined ? undefined : publicKeyText(sealedBy), metadata.k]),
    },
  });
  await using client = await connect(server.url, { platform, identity: sealing });
  const options = { e2e: reading.publicKey, metadata: { k: "v" } };
  await client.emit("a", "by name", { agent: "vault", ...options });
  await client.emit("b", "by capability", { capability: "keep", ...options });
  await until(() => seen.length === 2, "both have arrived");
  assert.deepEqual(seen, [
    ["a", "by name", sealing.publicKeyText, "v"],
    ["b", "by capability", sealing.publicKeyText, "v"],
  ]);
  assert.equal(server.stats().packing.opened, 0);
  // Not every runtime has zstd.
  if (platform.compressor === undefined) return;
  await client.emit("c", "squeezed ".repeat(200), { agent: "vault", compress: true, ack: true });
  assert.deepEqual(seen[2], ["c", "squeezed ".repeat(200), undefined, undefined]);
});

function node2(platform: Platform, port: number, identity: Server["identity"]): Promise<Server> {
  return serve({ listen: `127.0.0.1:${port}`, platform, identity, registry: true }, {});
}
