import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import {
  type CallContext,
  connect,
  type Handlers,
  MxpError,
  type MxpErrorCode,
  serve,
  type Server,
} from "../../mod.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { MessageReader } from "../../lib/codec/message_reader.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { StreamReceiver } from "../../lib/mesh/agent_streams.ts";
import { CallMessages } from "../../lib/mesh/call_messages.ts";
import { AnswerReader } from "../../lib/mesh/answer_reader.ts";
import type { CallOutcome } from "../../lib/mesh/pending_calls.ts";
import { StreamMessages } from "../../lib/mesh/stream_messages.ts";
import { StreamError } from "../../lib/wire/error_codes.ts";
import { MemoryAgentStore } from "../../lib/store/memory_store.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";
import { RawPeer, type Received } from "./support/raw_peer.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (condition()) return;
    await sleep(5);
  }
  assert.fail(`timed out waiting until ${what}`);
}

function failsWith(code: MxpErrorCode, retryable: boolean, pattern: RegExp = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.deepEqual([error.code, error.retryable], [code, retryable], error.message);
    assert.match(error.message, pattern);
    return true;
  };
}

const listen = "127.0.0.1:0";
const echo = (payload: Uint8Array): Uint8Array => payload;
/** A handler that waits for its signal, or for ever. */
const stuck = (_payload: Uint8Array, context: CallContext): Promise<void> =>
  new Promise((_, reject) => context.signal.addEventListener("abort", () => reject(context.signal.reason)));

for (const [name, makePlatform] of platforms) {
  test(`closing a server fails the calls under way, aborts their handlers and settles everything, ${name}`, async () => {
    const platform = makePlatform();
    const reasons: unknown[] = [];
    const server = await serve({ listen, platform }, (_payload, context) =>
      new Promise((_, reject) => {
        context.signal.addEventListener("abort", () => {
          reasons.push(context.signal.reason);
          reject(context.signal.reason);
        });
      }));
    const client = await connect(server.url, { platform });
    const calls = Array.from({ length: 20 }, () => client.call("x").catch((error) => error));
    await until(() => server.stats().calls.running === 20, "the handlers run");
    await server.close();
    await server.closed;
    for (const error of await Promise.all(calls)) assert.ok(failsWith("connection_lost", true, /SHUTDOWN/)(error));
    assert.equal(reasons.length, 20);
    for (const reason of reasons) assert.ok(failsWith("connection_lost", false)(reason));
    const end = await client.closed;
    assert.equal(end.by, "peer");
    await assert.rejects(client.call("y"), failsWith("connection_lost", true));
    await assert.rejects(client.ping(), failsWith("connection_lost", true));
    await client.close();
    await server.close();
  });
}

test("closing a client fails its calls and cancels them at the server", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen, platform }, stuck);
  const client = await connect(server.url, { platform });
  const calls = Array.from({ length: 5 }, () => client.call("x").catch((error) => error));
  await until(() => server.stats().calls.running === 5, "the handlers run");
  await client.close();
  for (const error of await Promise.all(calls)) assert.ok(failsWith("closed", false)(error));
  await until(() => server.stats().calls.running === 0, "the handlers were told");
  await until(() => server.stats().connections === 0, "the connection is gone");
  assert.equal(server.stats().calls.cancelled, 5);
  assert.equal((await client.closed).by, "local");
  await assert.rejects(client.call("x"), failsWith("closed", false));
  await client.close();
});

test("a server that drains lets running calls finish and turns new ones away", async () => {
  const platform = memoryPlatform();
  const gate = deferred<void>();
  const server = await serve({ listen, platform }, async (payload) => {
    await gate.promise;
    return payload;
  });
  await using client = await connect(server.url, { platform });
  const body = new Uint8Array(2_000_000).fill(7);
  const running = client.call(body);
  await until(() => server.stats().calls.running === 1, "the handler runs");
  const drained = server.drain();
  await assert.rejects(client.call("late"), failsWith("closed", true, /shutting down/));
  const newcomer = connect(server.url, { platform }).then((other) => other.call("x").finally(() => other.close()));
  const refused = await newcomer.catch((error) => error);
  assert.ok(failsWith("connection_lost", true, /DRAINED/)(refused) && refused.nothingDone);
  gate.resolve();
  assert.deepEqual((await running).bytes, body);
  await drained;
  await server.closed;
});

test("draining a server ends after its time even if a handler does not", async () => {
  const platform = memoryPlatform();
  const server = await serve({ listen, platform }, stuck);
  await using client = await connect(server.url, { platform });
  const call = client.call("x").catch((error) => error);
  await until(() => server.stats().calls.running === 1, "the handler runs");
  const started = performance.now();
  await server.drain({ timeoutMs: 50 });
  assert.ok(performance.now() - started < 5_000);
  assert.ok(failsWith("connection_lost", true)(await call));
});

test("whoever else drains a client meanwhile is told as well when it is done", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform }, async () => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    return "done";
  });
  const client = await connect(server.url, { platform });
  const call = client.call();
  let isTooLate = false;
  const timer = setTimeout(() => isTooLate = true, 10_000);
  await Promise.all([client.drain({ timeoutMs: 15_000 }), client.drain({ timeoutMs: 15_000 })]);
  assert.equal((await call).text(), "done");
  clearTimeout(timer);
  assert.equal(isTooLate, false);
});

test("who drains without a limit of time waits for what is under way, and times that are none are refused", async () => {
  const platform = memoryPlatform();
  const slow = async (): Promise<string> => {
    await sleep(60);
    return "done";
  };
  for (const endless of [Infinity, 2 ** 40]) {
    const server = await serve({ listen: "127.0.0.1:0", platform }, slow);
    const client = await connect(server.url, { platform }), other = await connect(server.url, { platform });
    const calls = [client.call(), other.call()];
    for (const timeoutMs of [NaN, -1]) {
      await assert.rejects(client.ping({ timeoutMs }), failsWith("usage", false));
      await assert.rejects(client.drain({ timeoutMs }), failsWith("usage", false));
      await assert.rejects(client.awaitTickets({ timeoutMs }), failsWith("usage", false));
      await assert.rejects(server.drain({ timeoutMs }), failsWith("usage", false));
    }
    await other.ping();
    await client.drain({ timeoutMs: endless });
    await server.drain({ timeoutMs: endless });
    for (const call of calls) assert.equal((await call).text(), "done");
    await other.close();
  }
});

test("draining a client waits for its calls and takes no more", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen, platform }, async (payload) => {
    await sleep(30);
    return payload;
  });
  const client = await connect(server.url, { platform });
  const call = client.call("x");
  const drained = client.drain();
  await assert.rejects(client.call("y"), failsWith("closed", false));
  assert.equal((await call).text(), "x");
  await drained;
  assert.equal((await client.closed).by, "local");
});

test("calls beyond the limit of running handlers are turned away as overloaded", async () => {
  const platform = memoryPlatform();
  const gate = deferred<void>();
  await using server = await serve({ listen, platform, maxConcurrentCalls: 3 }, async () => await gate.promise);
  await using client = await connect(server.url, { platform });
  const running = Array.from({ length: 3 }, () => client.call("x"));
  await until(() => server.stats().calls.running === 3, "three handlers run");
  await assert.rejects(client.call("x"), failsWith("overloaded", true, /3 calls are running/));
  gate.resolve();
  await Promise.all(running);
  await client.call("x");
  const { calls } = server.stats();
  assert.deepEqual([calls.ok, calls.failed, calls.refused, calls.running], [4, 1, 1, 0]);
});

test("a handler that does not heed its signal keeps its place until it ends", async () => {
  const platform = memoryPlatform();
  const gate = deferred<void>();
  await using server = await serve({ listen, platform, maxConcurrentCalls: 1 }, async () => {
    await gate.promise;
    return "nobody waits for this";
  });
  await using client = await connect(server.url, { platform });
  await assert.rejects(client.call("x", { timeoutMs: 20 }), failsWith("deadline", false));
  await assert.rejects(client.call("x"), failsWith("overloaded", true));
  gate.resolve();
  await until(() => server.stats().calls.running === 0, "the handler has ended");
  assert.equal((await client.call("x")).text(), "nobody waits for this");
});

test("large requests beyond the memory budget are turned away when their header arrives", async () => {
  const platform = memoryPlatform();
  const gate = deferred<void>();
  await using server = await serve({ listen, platform, memoryBudget: 3_000_000 }, async () => await gate.promise);
  await using client = await connect(server.url, { platform });
  const body = new Uint8Array(1_000_000);
  const running = [client.call(body), client.call(body)];
  await until(() => server.stats().calls.running === 2, "two handlers run");
  await assert.rejects(client.call(body), failsWith("overloaded", true, /no memory/));
  const { memory } = server.stats();
  assert.ok(memory.used >= 2_000_000 && memory.peak <= memory.limit);
  gate.resolve();
  await Promise.all(running);
  await until(() => server.stats().memory.used === 0, "the memory is given back");
  await client.call(body);
});

test("an address that is taken is a configuration error that says so", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen, platform }, echo);
  await assert.rejects(
    serve({ listen: `127.0.0.1:${server.address.port}`, platform }, echo),
    failsWith("config", false, /cannot listen on 127\.0\.0\.1:\d+: the port is taken/),
  );
});

test("options and handlers that make no sense are refused", async () => {
  const platform = memoryPlatform();
  const wrong: [Record<string, unknown>, unknown, RegExp][] = [
    [{ listen: "nonsense:port" }, echo, /not a port/],
    [{ listen, maxConcurrentCalls: 0 }, echo, /maxConcurrentCalls/],
    [{ listen, memoryBudget: NaN }, echo, /memoryBudget/],
    [{ listen, allow: ["short"] }, echo, /allow has 5 characters/],
    [{ listen, settings: { udpPayload: 1 } }, echo, /udpPayload/],
    [{ listen }, undefined, /handler of the node is undefined/],
    [{ listen }, { call: 5 }, /handler of the node is number/],
    [{ listen }, { methods: { m: "x" } }, /the method "m" of the node is string/],
    [{ listen }, { agents: { a: { agents: {} } } }, /agents of its own/],
  ];
  for (const [options, handlers, pattern] of wrong) {
    await assert.rejects(serve({ platform, ...options }, handlers as Handlers), failsWith("usage", false, pattern));
  }
});

test("a server's URL can be used as it is, also when it listens everywhere", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen: "0.0.0.0:0", platform, name: "n1" }, echo);
  assert.match(server.url, /^mxp:\/\/[\w-]{43}@127\.0\.0\.1:\d+$/);
  assert.equal(server.name, "n1");
  await using client = await connect(server.url, { platform });
  assert.equal((await client.call("x")).text(), "x");
  await using byName = await serve({ listen: "localhost:0", platform }, echo);
  assert.match(byName.url, /@localhost:/);
});

// What peers may send that no client of ours would.

const IDS = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
const NODE = new Uint8Array(16);

interface Rig {
  readonly server: Server;
  readonly peer: RawPeer;
  readonly messages: CallMessages;
  read(received: Received): CallOutcome | undefined;
}

async function withRawPeer(
  handlers: Handlers | (() => unknown),
  body: (rig: Rig) => Promise<void>,
  options = {},
): Promise<void> {
  const platform = memoryPlatform();
  const server = await serve({ listen, platform, ...options }, handlers as Handlers);
  const peer = await RawPeer.connect(platform, server.url);
  try {
    const messages = new CallMessages(platform.codec);
    const read = ({ bytes }: Received): CallOutcome | undefined =>
      new AnswerReader(platform.codec, 1, 2, 1 << 24).push(bytes);
    await body({ server, peer, messages, read });
    assert.equal(peer.closeReason, undefined, "the connection survives");
    assert.equal(
      read(await peer.answer(peer.open(messages.call(IDS, undefined, NODE, 0, Uint8Array.of(1)))))?.kind,
      "response",
      "and serves on",
    );
  } finally {
    peer.close();
    await server.close();
  }
}

test("rubbish on a stream is answered with an Error and the rest of it is not read", async () => {
  await withRawPeer({ call: echo }, async ({ server, peer, messages, read }) => {
    const rubbish = peer.open(new Uint8Array(500).fill(0x55), false);
    const answer = await peer.answer(rubbish);
    const outcome = new AnswerReader(memoryPlatform().codec, 0, 0, 1000).push(answer.bytes);
    assert.ok(outcome?.kind === "error" && outcome.code === ErrorCode.BAD_REQUEST);
    await peer.until(() => peer.received(rubbish).stopCode === StreamError.MALFORMED);

    const call = messages.call(IDS, undefined, NODE, 0, new Uint8Array(5_000));
    const truncated = peer.open(call.subarray(0, 3_000), true);
    const cut = read(await peer.answer(truncated));
    assert.ok(cut?.kind === "error" && cut.code === ErrorCode.BAD_REQUEST);
    assert.match(cut.text, /ended inside the request/);
    assert.equal(server.stats().calls.refused, 2);
    assert.equal(server.stats().memory.used, 0);
  });
});

test("a call by capability is refused by a node that cannot route it, not answered by somebody else", async () => {
  await withRawPeer({ call: echo }, async ({ peer, messages, read }) => {
    const outcome = read(await peer.answer(peer.open(messages.call(IDS, { capability: "sum" }, NODE, 0, NODE))));
    assert.ok(outcome?.kind === "error" && outcome.code === ErrorCode.NO_SUCH_AGENT);
    assert.match(outcome.text, /capability/);
  });
});

test("a deadline of 0 in Metadata leaves the Call's own time-out in force", async () => {
  let remaining = Infinity;
  const handlers: Handlers = {
    call(payload, context) {
      remaining = context.remainingMs();
      return payload;
    },
  };
  await withRawPeer(handlers, async ({ peer, messages }) => {
    await peer.answer(peer.open(messages.call(IDS, { deadlineMillis: 0 }, NODE, 7, NODE)));
    assert.ok(remaining > 0 && remaining <= 7_000, `${remaining} ms`);
  });
});

test("a stream that ends without a byte is reset", async () => {
  await withRawPeer({ call: echo }, async ({ peer }) => {
    const answer = await peer.answer(peer.open(new Uint8Array(0), true));
    assert.equal(answer.resetCode, StreamError.MALFORMED);
  });
});

test("message types that a node has no use for get an Error, one by one", async () => {
  await withRawPeer({ call: echo }, async ({ peer, read }) => {
    const { codec } = memoryPlatform();
    for (
      const type of [
        MessageType.AGENT_REGISTER,
        MessageType.STREAM_CHUNK,
        MessageType.RESPONSE,
        MessageType.ACK,
      ]
    ) {
      const bytes = new Uint8Array(60);
      codec.encode(bytes, 0, { type, flags: 0, ...IDS }, new Uint8Array(20));
      const outcome = read(await peer.answer(peer.open(bytes)));
      assert.ok(outcome?.kind === "error" && outcome.code === ErrorCode.UNSUPPORTED_TYPE);
    }
  });
});

test("a request that is given up half-way leaves nothing behind", async () => {
  await withRawPeer({ call: echo }, async ({ server, peer, messages }) => {
    const call = messages.call(IDS, undefined, NODE, 0, new Uint8Array(1_000_000));
    const id = peer.open(call.subarray(0, 100_000), false);
    await peer.until(() => server.stats().memory.used > 0);
    peer.reset(id, StreamError.CANCELLED);
    await peer.until(() => server.stats().memory.used === 0);
    assert.equal(server.stats().calls.cancelled, 1);
    assert.equal(server.stats().calls.running, 0);
  });
});

test("one connection cannot take the whole memory budget by announcing much and sending little", async () => {
  await withRawPeer({ call: echo }, async ({ server, peer, messages }) => {
    const call = messages.call(IDS, undefined, NODE, 0, new Uint8Array(16_000_000));
    const ids = Array.from({ length: 20 }, () => peer.open(call.subarray(0, 200), false));
    await peer.until(() => ids.filter((id) => peer.received(id).stopCode === StreamError.REFUSED).length >= 15);
    const { memory } = server.stats();
    assert.ok(memory.used > 0 && memory.used <= memory.limit / 4);
    for (const id of ids) peer.reset(id, StreamError.CANCELLED);
    await peer.until(() => server.stats().memory.used === 0);
  });
});

test("a peer that stops an answer or never reads it cancels its call alone", async () => {
  const big = new Uint8Array(9_000_000);
  await withRawPeer({ call: echo, methods: { big: () => big, stuck } }, async ({ server, peer, messages }) => {
    const stopped = peer.open(messages.call(IDS, { method: "stuck" }, NODE, 0, new Uint8Array(0)), true);
    await peer.until(() => server.stats().calls.running === 1);
    peer.stop(stopped, StreamError.CANCELLED);
    await peer.until(() => server.stats().calls.running === 0);
    assert.equal(server.stats().calls.cancelled, 1);

    const id = peer.open(messages.call(IDS, { method: "big" }, NODE, 0, new Uint8Array(0)), true);
    peer.unread.add(id);
    await peer.until(() => server.stats().memory.used > 0);
    peer.stop(id, StreamError.NO_ERROR);
    await peer.until(() => server.stats().memory.used === 0);
  });
});

test("bytes behind a complete request do not disturb its answer", async () => {
  await withRawPeer({
    call: async (payload: Uint8Array) => {
      await sleep(20);
      return payload;
    },
  }, async ({ peer, messages, read }) => {
    const id = peer.open(messages.call(IDS, undefined, NODE, 0, Uint8Array.of(7)), false);
    await sleep(5);
    peer.write(id, new Uint8Array(300), false);
    const outcome = read(await peer.answer(id));
    assert.ok(outcome?.kind === "response" && outcome.payload[0] === 7);
    await peer.until(() => peer.received(id).stopCode === StreamError.MALFORMED);
  });
});

test("one-way streams and streams in the wrong direction are turned away", async () => {
  await withRawPeer({ call: echo }, async ({ peer }) => {
    const id = peer.connection.openStream(true, 2);
    assert.notEqual(id, -1);
    if (id === -1) return;
    peer.write(id, new Uint8Array(10), false);
    await peer.until(() => peer.received(id).stopCode === StreamError.REFUSED);
  });
});

test("a connection that vanishes aborts its handlers when the idle time is over", async () => {
  const platform = memoryPlatform();
  const reasons: MxpError[] = [];
  await using server = await serve(
    { listen, platform, settings: { idleTimeout: 200_000 as never } },
    async (_payload, context) => {
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
      reasons.push(context.signal.reason);
    },
  );
  const peer = await RawPeer.connect(platform, server.url);
  peer.open(new CallMessages(platform.codec).call(IDS, undefined, NODE, 0, new Uint8Array(0)));
  await until(() => server.stats().calls.running === 1, "the handler runs");
  peer.close();
  await until(() => server.stats().connections === 0, "the connection is given up");
  assert.equal(reasons[0]?.code, "connection_lost");
  await until(() => server.stats().calls.running === 0, "the handler has ended");
});

test("a client survives a node that answers with rubbish, with the wrong id, or not at all", async () => {
  const platform = memoryPlatform();
  const { Endpoint } = await import("../../lib/transport/endpoint.ts");
  const { startDriver } = await import("../../lib/agent/driver.ts");
  const { keyPairOf, newIdentity } = await import("../../lib/agent/identity.ts");
  const { formatMxpUrl } = await import("../../lib/agent/mxp_url.ts");
  const identity = newIdentity(platform.crypto, platform.random);
  const { crypto, random, clock } = platform;
  const endpoint = new Endpoint({ identity: keyPairOf(identity), crypto, random, accept: true });
  const messages = new CallMessages(platform.codec);
  const answers: ((id: never) => Uint8Array | "reset" | "fin")[] = [
    () => new Uint8Array(100).fill(3),
    () => messages.response({ ...IDS, idLow: 77 }, new Uint8Array(1)),
    () => "reset",
    () => "fin",
  ];
  const driver = await startDriver({
    endpoint,
    clock,
    bindUdp: platform.bindUdp,
    local: { host: "127.0.0.1", port: 0 },
    udpPayload: 1200,
    onConnection: (link) => ({
      onEvent: (event) => {
        if (event.type !== "readable") return;
        if (link.connection.read(event.id) === undefined) return;
        const answer = answers.shift()?.(event.id as never);
        if (answer === "reset") link.connection.resetStream(event.id, StreamError.GONE);
        else if (answer === "fin") link.connection.write(event.id, new Uint8Array(0), true);
        else if (answer !== undefined) link.connection.write(event.id, answer, true);
        driver.touch(link);
      },
    }),
  });
  const url = formatMxpUrl({ host: "127.0.0.1", port: driver.local.port, publicKey: identity.publicKey });
  await using client = await connect(url, { platform });
  await assert.rejects(client.call("x"), failsWith("agent_error", false, /not valid: wrong magic/));
  await assert.rejects(client.call("x"), failsWith("agent_error", false, /another message/));
  await assert.rejects(client.call("x"), failsWith("connection_lost", true, /gone/));
  await assert.rejects(client.call("x"), failsWith("agent_error", false, /ended before the answer/));
  await assert.rejects(client.call("x", { timeoutMs: 30 }), failsWith("deadline", false));
  assert.equal(client.stats().calls.pending, 0);
  driver.close();
});

test("a stream whose opener breaks its rules ends with STREAM_PROTOCOL, and its handler hears of it", async () => {
  const failures: string[] = [];
  const handlers: Handlers = {
    call: echo,
    stream: async (stream, context) => {
      context.signal.addEventListener("abort", () => failures.push(context.signal.reason.message));
      await stream.write("hi");
      await stream.text();
    },
  };
  await withRawPeer(handlers, async ({ server, peer, messages }) => {
    const streams = new StreamMessages(messages.writer);
    const streamId = new Uint8Array(16).fill(5);
    const open = streams.open(IDS, undefined, { streamId, target: NODE, kind: "bidirectional" });
    const cases: [bytes: Uint8Array, fin: boolean, what: RegExp][] = [
      [streams.chunk(IDS, streamId, 1, NODE), false, /chunk 1 came where chunk 0/],
      [messages.call(IDS, undefined, NODE, 0, NODE), false, /Call message/],
      [streams.chunk(IDS, streamId, 0, NODE), true, /without a StreamClose/],
    ];
    for (const [bytes, fin, what] of cases) {
      const id = peer.open(Uint8Array.from([...open, ...bytes]), fin);
      const { bytes: answer } = await peer.answer(id);
      const reader = new StreamReceiver(new MessageReader(memoryPlatform().codec), streamId, {
        mayChunk: true,
        mayRefuse: true,
      });
      reader.push(answer);
      assert.ok(reader.next() instanceof Uint8Array, "what it had to say came first");
      const ending = reader.next();
      assert.ok(ending !== undefined && !(ending instanceof Uint8Array) && ending.kind === "closed");
      assert.equal(ending.code, ErrorCode.STREAM_PROTOCOL);
      assert.match(ending.reason, what);
      if (!fin) await peer.until(() => peer.received(id).stopCode === StreamError.MALFORMED);
      await until(() => failures.some((message) => what.test(message)), "the handler was told");
    }
    await until(() => server.stats().streams.failed === 3, "they are counted");
  });
});

test("a server's numbers cover all connections, also those that are over", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ platform }, (payload) => payload);
  for (let i = 0; i < 3; i++) {
    await using client = await connect(server.url, { platform });
    assert.equal((await client.call("x")).text(), "x");
  }
  await until(() => server.stats().connections === 0, "the connections are over");
  const { transport, endpoint, violations, halfOpen } = server.stats();
  assert.equal(endpoint.connectionsAccepted, 3);
  assert.ok(transport.packetsReceived >= 6 && transport.bytesSent > 0, JSON.stringify(transport));
  assert.deepEqual([transport.dropped.unauthentic, violations, halfOpen], [0, {}, 0]);
});

test("a stream whose opener stops the answer before it has sent anything is not handed to anybody", async () => {
  let handled = 0;
  await withRawPeer({ call: echo, stream: () => void handled++ }, async ({ server, peer, messages }) => {
    const streams = new StreamMessages(messages.writer);
    const streamId = new Uint8Array(16).fill(5);
    const open = streams.open(IDS, undefined, { streamId, target: NODE, kind: "bidirectional" });
    const id = peer.connection.openStream(false, 1);
    assert.ok(id !== -1);
    // Control frames go first in a packet.
    peer.stop(id, StreamError.CANCELLED);
    peer.write(id, open, false);
    await until(() => server.stats().streams.cancelled === 1, "it is counted");
    assert.deepEqual([handled, server.stats().streams.running], [0, 0]);
    await peer.until(() => peer.received(id).stopCode === StreamError.CANCELLED);
    assert.equal(server.connections()[0].streams, 0);
  });
});

test("a server whose socket fails ends, and says so where its store cannot be closed either", async () => {
  const platform = memoryPlatform();
  let fail: ((error: Error) => void) | undefined;
  const bindUdp: typeof platform.bindUdp = (local, handlers) => {
    fail = (error) => handlers.onError(error);
    return platform.bindUdp(local, handlers);
  };
  const store = new MemoryAgentStore(new SeededRandom(1));
  store.close = () => Promise.reject(new Error("the disk is gone"));
  const told: unknown[] = [];
  const server = await serve({
    listen: "127.0.0.1:0",
    platform: { ...platform, bindUdp },
    registry: { store },
    onInternalError: (error) => told.push(error),
  }, () => "");
  fail!(new Error("the cable was pulled"));
  await server.closed;
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.deepEqual(told.map(String), ["Error: the disk is gone"]);
});
