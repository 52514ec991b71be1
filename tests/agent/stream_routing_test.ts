import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import { type CallContext, MxpError, type MxpStream, type StreamHandler } from "../../mod.ts";
import { failsWith, Mesh, sleep, until } from "./support/mesh.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";
import { concatBytes } from "../../lib/base/bytes.ts";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { MessageFlag } from "../../lib/codec/message_header.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { decodeError, type ErrorPayload } from "../../lib/codec/payloads/error.ts";
import type { Metadata } from "../../lib/codec/payloads/metadata.ts";
import { decodeStreamClose, type StreamClose } from "../../lib/codec/payloads/stream_close.ts";
import { LifecycleMessages } from "../../lib/mesh/lifecycle_messages.ts";
import { CallMessages } from "../../lib/mesh/call_messages.ts";
import { MessageWriter } from "../../lib/mesh/message_writer.ts";
import { StreamMessages } from "../../lib/mesh/stream_messages.ts";
import { StreamClass } from "../../lib/transport/scheduler.ts";
import { StreamError } from "../../lib/wire/error_codes.ts";
import { isResponderInitiated, type StreamId } from "../../lib/wire/stream_id.ts";
import { RawPeer } from "./support/raw_peer.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const echo: StreamHandler = async (stream) => {
  for await (const chunk of stream) await stream.write(chunk);
};

/** Serves streams alone. */
const streaming = (stream: StreamHandler) => [undefined, { stream }] as const;

for (const [name, makePlatform] of platforms) {
  test(`a stream reaches an agent behind the node by capability, name and id, with all that belongs to it, ${name}`, async () => {
    await using mesh = await Mesh.start(makePlatform() as ReturnType<typeof memoryPlatform>);
    let seen: CallContext | undefined;
    let seenStream: MxpStream | undefined;
    const { registration } = await mesh.agent("upper", ["text.upper"], undefined, {
      stream: async function* (stream) {
        for await (const chunk of stream) yield text(chunk).toUpperCase();
      },
      streams: {
        facts: (stream, context) => {
          [seen, seenStream] = [context, stream];
          return echo(stream, context);
        },
      },
    });
    const client = await mesh.client();
    for (
      const options of [{ capability: "text.upper" }, { capability: "text.*" }, { agent: "upper" }, {
        agent: registration.id,
      }]
    ) {
      const stream = client.stream(options);
      for (const word of ["one", "two"]) await stream.write(word);
      await stream.close();
      const chunks: string[] = [];
      for await (const chunk of stream) chunks.push(text(chunk));
      assert.deepEqual(chunks, ["ONE", "TWO"], JSON.stringify(options));
    }
    const traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    const stream = client.stream("facts", {
      capability: "text.upper",
      timeoutMs: 7_500,
      traceparent,
      metadata: { a: "b" },
      contentType: "x/y",
      idempotencyKey: "once",
      priority: "bulk",
    });
    await stream.write("x");
    await stream.close();
    assert.equal(await stream.text(), "x");
    await stream.closed;
    const { method, metadata, contentType, idempotencyKey, agent, traceId, peer } = seen!;
    assert.deepEqual(
      [method, { ...metadata }, seen!.traceparent, contentType, idempotencyKey, agent, seen!.priority],
      ["facts", { a: "b" }, traceparent, "x/y", "once", "upper", "bulk"],
    );
    assert.deepEqual([seenStream!.id, traceId], [stream.id, "0123456789abcdef"]);
    assert.ok(seen!.remainingMs() > 0 && seen!.remainingMs() <= 7_500);
    assert.equal(peer.publicKeyText, mesh.identity.publicKeyText, "the node opens it");
    await assert.rejects(
      client.stream({ agent: "local" }).text(),
      failsWith("agent_error", false, /no handler for streams/),
    );
    await assert.rejects(client.stream({ agent: "nobody" }).text(), failsWith("no_such_agent", false, /"nobody" at/));
    await assert.rejects(
      client.stream({ capability: "other" }).text(),
      failsWith("no_such_agent", false, /no agent here has the capability "other"/),
    );
    assert.throws(() => client.stream({ agent: "a", capability: "b" }), failsWith("usage", false, /one of them/));
    await until(() => mesh.relayedStreams.running === 0, "nothing is left");
    assert.deepEqual(mesh.relayedStreams, {
      running: 0,
      total: 5,
      failed: 0,
      failovers: 0,
      toAgents: 25,
      fromAgents: 25,
    });
    const { running, total, ok, refused } = mesh.server.stats().streams;
    assert.deepEqual([running, total, ok, refused], [0, 8, 5, 3]);
    assert.equal(mesh.server.stats().memory.used, 0);
  });
}

test("chunks of any size go through in both directions at once, whole and in order", async () => {
  await using mesh = await Mesh.start();
  await mesh.agent("echo", ["echo"], ...streaming(echo));
  const client = await mesh.client();
  const stream = client.stream({ capability: "echo" });
  const random = new SeededRandom(testSeed);
  const sent = Array.from({ length: 300 }, (_, i) => {
    const length = i % 50 === 0 ? 65_536 - i : Math.floor(random.next() ** 3 * 5_000);
    return new Uint8Array(length).map((_, at) => at * 7 + i);
  });
  const sending = (async () => {
    for (const chunk of sent) await stream.write(chunk);
    await stream.close();
  })();
  let at = 0;
  for await (const chunk of stream) assert.deepEqual(chunk, sent[at++], `chunk ${at - 1}, seed ${testSeed}`);
  assert.equal(at, sent.length, `seed ${testSeed}`);
  await sending;
  await stream.closed;
  assert.equal(mesh.server.stats().memory.used, 0);
});

test("each chunk goes on at once, however small it is", async () => {
  await using mesh = await Mesh.start();
  await mesh.agent("echo", ["echo"], ...streaming(echo));
  const stream = (await mesh.client()).stream({ capability: "echo" });
  const chunks = stream[Symbol.asyncIterator]();
  for (let i = 0; i < 200; i++) {
    await stream.write(`token ${i}`);
    assert.equal(text((await chunks.next()).value!), `token ${i}`);
  }
  await stream.close();
  assert.equal((await chunks.next()).done, true);
});

test("streams count as work that an agent has, and equals take turns", async () => {
  await using mesh = await Mesh.start();
  const names: string[] = [];
  for (const name of ["one", "two", "three"]) {
    await mesh.agent(name, ["work"], () => name, {
      stream: (stream, context) => {
        names.push(name);
        return echo(stream, context);
      },
    });
  }
  const client = await mesh.client();
  const open = async (): Promise<MxpStream> => {
    const stream = client.stream({ capability: "work" });
    await stream.write("x");
    await stream[Symbol.asyncIterator]().next();
    return stream;
  };
  const streams = [await open(), await open()];
  const idle = ["one", "two", "three"].find((name) => !names.includes(name));
  assert.equal(new Set(names).size, 2);
  for (let i = 0; i < 3; i++) assert.equal((await client.call("", { capability: "work" })).text(), idle);
  for (const stream of streams) stream.cancel();
  await until(() => mesh.relayedStreams.running === 0, "both are over");
});

test("what ends a stream on one side ends it on the other, and says why", async () => {
  await using mesh = await Mesh.start();
  const reasons: string[] = [];
  const begun = deferred<void>();
  await mesh.agent("ends", ["end"], undefined, {
    streams: {
      fails: async function* () {
        yield "so far";
        throw new MxpError("overloaded", "it is broken", { retryable: true });
      },
      cancels: async (stream) => {
        await stream.write("so far");
        stream.cancel();
      },
      enough: (stream) => stream.write("enough"),
      waits: (_stream, context) => {
        begun.resolve();
        return new Promise((_, reject) =>
          context.signal.addEventListener("abort", () => {
            reasons.push(context.signal.reason.code);
            reject(context.signal.reason);
          })
        );
      },
    },
  });
  const client = await mesh.client();
  const read = async (method: string): Promise<string> => {
    const stream = client.stream(method, { agent: "ends" });
    const chunks: string[] = [];
    try {
      for await (const chunk of stream) chunks.push(text(chunk));
    } catch (error) {
      assert.ok(error instanceof MxpError);
      chunks.push(`${error.code}${error.retryable ? " retryable" : ""}: ${error.message}`);
    }
    await stream.closed;
    return chunks.join(", ");
  };
  assert.equal(await read("fails"), "so far, overloaded retryable: it is broken");
  // What had not been read when the reset came is void.
  assert.match(await read("cancels"), /^(so far, )?cancelled: /);
  assert.equal(await read("enough"), "enough");
  assert.match(await read("none"), /^agent_error: .*no method "none"/);
  const patient = client.stream("waits", { agent: "ends" });
  await begun.promise;
  patient.cancel();
  await until(() => reasons.length === 1, "the handler knows");
  const late = client.stream("waits", { agent: "ends", timeoutMs: 150 });
  await assert.rejects(late.text(), failsWith("deadline", false, /150 ms/));
  await until(() => reasons.length === 2, "the handler knows of the deadline");
  const other = await mesh.client();
  const left = other.stream("waits", { agent: "ends" });
  left.text().catch(() => {});
  await until(() => mesh.relayedStreams.running === 1, "it runs");
  await other.close();
  await until(() => reasons.length === 3, "the handler knows that nobody is there any more");
  assert.deepEqual([reasons[0], reasons[2]], ["cancelled", "cancelled"]);
  await until(() => mesh.relayedStreams.running === 0, "nothing is left");
  const { ok, failed, refused, cancelled } = mesh.server.stats().streams;
  assert.deepEqual([ok, failed + cancelled, refused], [1, 5, 1]);
  assert.equal(mesh.relayedStreams.failed, 0, "no agent has gone");
});

test("a stream whose agent goes before it has said anything begins anew with another, while its beginning is kept", async () => {
  await using mesh = await Mesh.start();
  const got = deferred<void>();
  const { client: dying } = await mesh.agent("dying", ["work"], undefined, {
    stream: async (stream) => {
      let bytes = 0;
      for await (const chunk of stream) if ((bytes += chunk.length) >= 40_000) got.resolve();
    },
  });
  const client = await mesh.client();
  const small = client.stream({ capability: "work" });
  for (let i = 0; i < 40; i++) await small.write(String(i).padEnd(1_000));
  const large = client.stream({ capability: "work" });
  for (let i = 0; i < 80; i++) await large.write(new Uint8Array(1_000));
  await got.promise;
  await until(() => mesh.relayedStreams.toAgents === 120_000, "the node has it all");
  assert.ok(mesh.server.stats().memory.used > 0, "what is kept is counted");
  await mesh.agent("living", ["work"], ...streaming(echo));
  await dying.close();
  await small.close();
  const answer = await small.text();
  assert.equal(answer, Array.from({ length: 40 }, (_, i) => String(i).padEnd(1_000)).join(""));
  await assert.rejects(
    large.text(),
    failsWith("connection_lost", true, /the agent has gone, in the middle of the stream/),
  );
  const { failed, failovers, running } = mesh.relayedStreams;
  assert.deepEqual([failed, failovers, running], [1, 1, 0]);
  assert.equal(mesh.server.stats().memory.used, 0);
});

test("a stream that its agent turns away, or whose agent goes in the middle, ends as it has to", async () => {
  await using mesh = await Mesh.start();
  // Registered without handlers for streams: the next one is asked.
  const listener = await mesh.client();
  await using _found = await listener.register({ name: "found only", capabilities: ["work"] });
  const { client: going } = await mesh.agent("going", ["work"], undefined, {
    stream: async function* () {
      yield "first";
      await new Promise(() => {});
    },
  });
  const client = await mesh.client();
  for (let i = 0; i < 4; i++) {
    const stream = client.stream({ capability: "work" });
    assert.equal(text((await stream[Symbol.asyncIterator]().next()).value!), "first");
    stream.cancel();
  }
  const stream = client.stream({ capability: "work" });
  const chunks = stream[Symbol.asyncIterator]();
  await chunks.next();
  await going.close();
  await assert.rejects(chunks.next(), failsWith("connection_lost", true, /the agent has gone, in the middle/));
  await assert.rejects(client.stream({ agent: "going" }).text(), failsWith("closed", true, /cannot be reached now/));
  assert.ok(mesh.relayedStreams.failovers >= 2);
});

test("a side that does not read holds up the other one, and nothing piles up in the node", async () => {
  const window = 1 << 18;
  await using mesh = await Mesh.start(memoryPlatform(), {
    maxStreamData: window,
    maxStreamWindow: window,
    sendBuffer: window,
    maxData: 4 * window,
    maxDataWindow: 4 * window,
  });
  const gate = deferred<void>();
  await mesh.agent("slow", ["slow"], (payload) => payload, {
    stream: async (stream, context) => {
      await gate.promise;
      return await echo(stream, context);
    },
  });
  await mesh.agent("quick", ["quick"], (payload) => payload, { stream: echo });
  const client = await mesh.client();
  const stream = client.stream({ capability: "slow" });
  let written = 0;
  const chunk = new Uint8Array(50_000);
  const writing = (async () => {
    for (; written < 60; written++) await stream.write(chunk);
  })();
  writing.catch(() => {});
  /** A busy machine is not stuck, however slow. */
  const isStuck = async (): Promise<boolean> => {
    const { toAgents, fromAgents } = mesh.relayedStreams;
    for (let i = 0; i < 6; i++) {
      await sleep(50);
      if (toAgents !== mesh.relayedStreams.toAgents || fromAgents !== mesh.relayedStreams.fromAgents) return false;
    }
    return toAgents > 0;
  };
  await until(isStuck, "the writer waits");
  // The windows of two connections, and what each side's transport keeps, whatever there is to send.
  assert.ok(written < 60, `${written} chunks were taken`);
  const { memory } = mesh.server.stats();
  assert.ok(memory.used > 0 && memory.used <= 409_600, `${memory.used} bytes wait in the node`);
  // Others do not notice.
  const other = client.stream({ capability: "quick" });
  await other.write("x");
  await other.close();
  assert.equal(await other.text(), "x");
  assert.equal((await client.call("y", { capability: "quick" })).text(), "y");
  // Nor do calls to the same agent, if so many streams wait there that the connection has no room left for streams.
  const more = Array.from({ length: 8 }, () => {
    const stream = client.stream({ capability: "slow" });
    void stream.write(new Uint8Array(1_000_000)).catch(() => {});
    return stream;
  });
  await until(async () => mesh.server.stats().streams.running === 9 && await isStuck(), "all of them wait");
  assert.equal((await client.call(new Uint8Array(50_000), { capability: "slow" })).bytes.length, 50_000);
  for (const stream of more) stream.cancel();
  gate.resolve();
  const chunks = stream[Symbol.asyncIterator]();
  await chunks.next();
  // Now nobody reads what comes back.
  await until(async () => mesh.relayedStreams.fromAgents > 100_000 && await isStuck(), "the agent waits");
  // Once the writer is done, nothing need wait for the agent any more.
  const isCounted = (): boolean => mesh.server.stats().memory.used >= (written < 60 ? 2 : 1) * 409_600;
  await until(isCounted, "what comes back is counted, too");
  let read = 50_000;
  while (read < 60 * 50_000) read += (await chunks.next()).value!.length;
  await writing;
  await until(() => mesh.server.stats().memory.used === 0, "a stream in which nothing waits costs no budget");
  assert.equal(mesh.relayedStreams.running, 1);
  await stream.close();
  assert.equal((await chunks.next()).done, true);
  await until(() => mesh.relayedStreams.running === 0, "it is over");
  assert.equal(mesh.server.stats().memory.used, 0);
  assert.ok(mesh.server.stats().memory.peak <= 20 * 409_600);
});

const ID = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const IDS = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };

/** A peer that has registered as an agent, and whose side of streams the test writes. */
async function rawAgent(mesh: Mesh, first = 0xa0): Promise<RawPeer> {
  const raw = await RawPeer.connect(mesh.platform, mesh.server.url);
  const lifecycle = new LifecycleMessages(new MessageWriter(mesh.platform.codec));
  const agentId = Uint8Array.from({ length: 16 }, (_, i) => i === 6 ? 0x40 : first + i);
  await raw.answer(raw.open(lifecycle.register(IDS, { agentId, name: "raw", capabilities: ["raw"] }).slice()));
  return raw;
}

/** The stream that a raw agent was opened. */
async function opened(raw: RawPeer): Promise<StreamId> {
  const find = (): StreamId | undefined => {
    const event = raw.events.find((event) => event.type === "readable" && isResponderInitiated(event.id));
    return event !== undefined && "id" in event ? event.id : undefined;
  };
  await raw.until(() => find() !== undefined);
  return find()!;
}

test("what a node does not know of a stream goes through as it is, in both directions", async () => {
  await using mesh = await Mesh.start();
  const { codec } = mesh.platform;
  const writer = new MessageWriter(codec);
  const messages = new StreamMessages(writer);
  const [agent, opener] = [await rawAgent(mesh), await RawPeer.connect(mesh.platform, mesh.server.url)];
  const tlvs = Uint8Array.of(0xe0, 2, 0, 1, 2);
  const parts = (ids: typeof IDS, target: Uint8Array, metadata: Metadata) => {
    const sized = new Uint8Array(writer.metadataLength(metadata));
    writer.metadata(sized, ids, metadata);
    const open = concatBytes(ID, target, Uint8Array.of(2), tlvs);
    return [
      writer.message(0xe1, MessageFlag.REQUIRES_ACK, ids, Uint8Array.of(9)),
      sized,
      writer.message(MessageType.STREAM_OPEN, 0, ids, open),
      messages.chunk(ids, ID, 0, Uint8Array.of(5)),
      writer.message(0xe2, 0, ids, new Uint8Array(0)),
      writer.message(MessageType.STREAM_CHUNK, MessageFlag.COMPRESSED, ids, Uint8Array.of(1, 2)),
    ];
  };
  const unknown = Uint8Array.of(0xe5, 1, 0, 7, 0xe6, 0, 0);
  const sent = parts(IDS, new Uint8Array(16), { capability: "raw", hopLimit: 9, unknown });
  const openerId = opener.connection.openStream(false, StreamClass.BULK) as StreamId;
  opener.write(openerId, concatBytes(...sent), false);
  const agentId = await opened(agent);
  assert.equal(agent.connection.streamClass(agentId), StreamClass.BULK);
  await agent.until(() => agent.received(agentId).bytes.length > 300);
  const got = agent.received(agentId).bytes;
  const first = codec.decode(got);
  assert.ok(!(first instanceof CodecError));
  const { idHigh, idLow } = first;
  assert.notEqual(idLow, IDS.idLow);
  const target = Uint8Array.from({ length: 16 }, (_, i) => i === 6 ? 0x40 : 0xa0 + i);
  const expected = parts({ ...IDS, idHigh, idLow }, target, { hopLimit: 8, unknown });
  assert.deepEqual(got, concatBytes(...expected));
  const answer = (ids: typeof IDS) =>
    concatBytes(
      writer.message(0xe3, 0, ids, Uint8Array.of(1)),
      messages.chunk(ids, ID, 0, Uint8Array.of(6)),
      messages.close(ids, ID, 0, "bye"),
    );
  agent.write(agentId, answer({ ...IDS, idHigh, idLow }));
  assert.deepEqual((await opener.answer(openerId)).bytes, answer(IDS));
  opener.write(openerId, messages.close(IDS, ID, 0, ""));
  await until(() => mesh.relayedStreams.running === 0, "it is over");
  assert.deepEqual(mesh.server.stats().streams.ok, 1);
  for (const raw of [agent, opener]) raw.close();
});

test("a stream of whose rest its agent wanted nothing does not begin anew with another agent", async () => {
  await using mesh = await Mesh.start();
  const raw = await rawAgent(mesh);
  const stream = (await mesh.client()).stream({ capability: "raw" });
  await stream.write("x");
  const id = await opened(raw);
  let others = 0;
  await mesh.agent("other", ["raw"], undefined, { stream: () => void others++ });
  raw.stop(id, StreamError.NO_ERROR);
  await until(() => stream.write("y").then(() => false, () => true), "the opener knows");
  raw.reset(id, StreamError.GONE);
  await assert.rejects(stream.text(), failsWith("connection_lost", true, /./));
  assert.deepEqual([others, mesh.relayedStreams.failovers], [0, 0]);
  raw.close();
});

test("an agent that stops reading in the middle, or turns a stream away late, is heard by who opened it", async () => {
  await using mesh = await Mesh.start();
  const raw = await rawAgent(mesh);
  const client = await mesh.client();
  const calls = new CallMessages(mesh.platform.codec);
  const streams = new StreamMessages(calls.writer);
  const open = async (): Promise<readonly [MxpStream, StreamId]> => {
    raw.events.length = 0;
    const stream = client.stream({ capability: "raw" });
    await stream.write("x");
    return [stream, await opened(raw)];
  };
  // No more is wanted, and something else has been said than why.
  const [stopped, stoppedId] = await open();
  raw.stop(stoppedId, StreamError.INTERNAL);
  const streamId = Uint8Array.from(stopped.id.replaceAll("-", "").match(/../g)!, (pair) => parseInt(pair, 16));
  raw.write(stoppedId, streams.chunk(IDS, streamId, 0, Uint8Array.of(7)), false);
  const chunks = stopped[Symbol.asyncIterator]();
  assert.deepEqual((await chunks.next()).value, Uint8Array.of(7));
  await until(() => stopped.write("y").then(() => false, () => true), "the opener knows");
  stopped.cancel();
  // Turned away when too much was sent for another agent to get it.
  const [refused, refusedId] = await open();
  await refused.write(new Uint8Array(100_000));
  await raw.until(() => raw.received(refusedId).bytes.length > 100_000);
  raw.write(refusedId, calls.error(IDS, ErrorCode.OVERLOADED, true, "full"), true);
  await assert.rejects(refused.text(), failsWith("overloaded", true, /full/));
  await until(() => mesh.relayedStreams.running === 0, "nothing is left");
  assert.equal(mesh.relayedStreams.failovers, 0);
  raw.close();
});

test("a side that breaks the rules ends the stream for both", async () => {
  await using mesh = await Mesh.start();
  const { codec } = mesh.platform;
  const writer = new MessageWriter(codec);
  const messages = new StreamMessages(writer);
  const agent = await rawAgent(mesh);
  const opener = await RawPeer.connect(mesh.platform, mesh.server.url);
  const open = (hopLimit: number, deadlineMillis = 0): Uint8Array =>
    messages.open(IDS, { capability: "raw", hopLimit, deadlineMillis }, {
      streamId: ID,
      target: new Uint8Array(16),
      kind: "bidirectional",
    });
  // The opener: it is told, the agent sees a stream that was given up.
  const bad = opener.open(concatBytes(open(3), messages.chunk(IDS, ID, 0, ID)), false);
  const first = await opened(agent);
  opener.write(bad, messages.chunk(IDS, ID, 2, ID), false);
  const closed = codec.decode((await opener.answer(bad)).bytes);
  assert.ok(!(closed instanceof CodecError) && closed.type === MessageType.STREAM_CLOSE);
  assert.equal((decodeStreamClose(closed.payload) as StreamClose).code, ErrorCode.STREAM_PROTOCOL);
  await opener.until(() => opener.received(bad).stopCode === StreamError.MALFORMED);
  await agent.until(() => agent.received(first).resetCode === StreamError.CANCELLED);
  assert.equal(agent.received(first).stopCode, StreamError.CANCELLED);
  // The agent: it is reset, and the opener hears whose fault it was.
  agent.events.length = 0;
  const good = opener.open(open(3), false);
  const second = await opened(agent);
  agent.write(second, new Uint8Array(40), false);
  const failed = codec.decode((await opener.answer(good)).bytes);
  assert.ok(!(failed instanceof CodecError) && failed.type === MessageType.STREAM_CLOSE);
  const { code, reason } = decodeStreamClose(failed.payload) as StreamClose;
  assert.equal(code, ErrorCode.HANDLER_FAILED);
  assert.match(reason, /the agent's stream is not valid/);
  await agent.until(() => agent.received(second).resetCode === StreamError.MALFORMED);
  // Neither of them, but the time is over, and nobody but the node looks at the clock.
  agent.events.length = 0;
  const slow = opener.open(open(3, 100), false);
  const third = await opened(agent);
  const over = codec.decode((await opener.answer(slow)).bytes);
  assert.ok(!(over instanceof CodecError) && over.type === MessageType.STREAM_CLOSE);
  assert.equal((decodeStreamClose(over.payload) as StreamClose).code, ErrorCode.DEADLINE_EXCEEDED);
  await agent.until(() => agent.received(third).resetCode === StreamError.DEADLINE);
  // An opener that gives up only one half has given up both.
  agent.events.length = 0;
  const left = opener.open(open(3), false);
  const fourth = await opened(agent);
  opener.reset(left, StreamError.CANCELLED);
  await agent.until(() => agent.received(fourth).resetCode === StreamError.CANCELLED);
  // And one that has been passed on too often already.
  const refused = codec.decode((await opener.answer(opener.open(open(0), false))).bytes);
  assert.ok(!(refused instanceof CodecError) && refused.type === MessageType.ERROR);
  assert.equal((decodeError(refused.payload) as ErrorPayload).code, ErrorCode.HOP_LIMIT);
  await until(() => mesh.relayedStreams.running === 0, "nothing is left");
  assert.deepEqual(mesh.server.stats().streams, { running: 0, total: 5, ok: 0, failed: 3, refused: 1, cancelled: 1 });
  for (const raw of [agent, opener]) raw.close();
});

test("an agent that goes behind its own end takes the stream with it, and its opener does not write on into nothing", async () => {
  await using mesh = await Mesh.start();
  const messages = new StreamMessages(new MessageWriter(mesh.platform.codec));
  const open = messages.open(IDS, { capability: "raw" }, {
    streamId: ID,
    target: new Uint8Array(16),
    kind: "bidirectional",
  });
  for (const [withFin, id] of [[true, 0x10], [false, 0x20]] as const) {
    const agent = await rawAgent(mesh, id);
    const opener = await RawPeer.connect(mesh.platform, mesh.server.url);
    const stream = opener.open(concatBytes(open, messages.chunk(IDS, ID, 0, ID)), false);
    const passedOn = await opened(agent);
    agent.write(passedOn, messages.close(IDS, ID, 0, ""), withFin);
    await opener.answer(stream);
    assert.equal(mesh.relayedStreams.running, 1, "the opener has not come to its end");
    await agent.end(0);
    await opener.until(() => opener.received(stream).stopCode === StreamError.INTERNAL);
    await until(() => mesh.relayedStreams.running === 0, "nothing is left");
    // Nobody need be told who has said everything.
    const agent2 = await rawAgent(mesh, id + 0x80);
    const whole = opener.open(concatBytes(open, messages.close(IDS, ID, 0, "")));
    agent2.write(await opened(agent2), messages.close(IDS, ID, 0, ""), withFin);
    await opener.answer(whole);
    await agent2.end(0);
    await until(() => mesh.relayedStreams.running === 0, "nothing is left of that either");
    assert.equal(opener.received(whole).stopCode, undefined);
    for (const raw of [agent, agent2, opener]) raw.close();
  }
  const { ok, failed } = mesh.server.stats().streams;
  assert.deepEqual([ok, failed], [2, 2]);
});

test("what begins a stream is counted for as long as the stream lasts, if it is more than a little", async () => {
  await using mesh = new Mesh();
  await mesh.serve({}, { memoryBudget: 300_000 });
  const writer = new MessageWriter(mesh.platform.codec);
  const [agent, opener] = [await rawAgent(mesh), await RawPeer.connect(mesh.platform, mesh.server.url)];
  const metadata = { capability: "raw" };
  const head = new Uint8Array(writer.metadataLength(metadata));
  writer.metadata(head, IDS, metadata);
  // For the agent, perhaps; the node has no idea.
  const tlv = concatBytes(Uint8Array.of(0xe0, 0xc0, 0xd4), new Uint8Array(0xd4c0));
  const open = concatBytes(ID, new Uint8Array(16), Uint8Array.of(2), tlv, tlv);
  const opening = concatBytes(head, writer.message(MessageType.STREAM_OPEN, 0, IDS, open));
  const ids = [opener.open(opening, false), opener.open(opening, false)];
  await until(() => mesh.relayedStreams.running === 2, "both are passed on");
  const { used } = mesh.server.stats().memory;
  assert.ok(used >= 2 * open.length && used < 2 * open.length + 1_000, `${used} bytes`);
  const refused = mesh.platform.codec.decode((await opener.answer(opener.open(opening, false))).bytes);
  assert.ok(!(refused instanceof CodecError) && refused.type === MessageType.ERROR);
  const { code, retryable } = decodeError(refused.payload) as ErrorPayload;
  assert.deepEqual([code, retryable], [ErrorCode.OVERLOADED, true]);
  for (const id of ids) opener.reset(id, StreamError.CANCELLED);
  await until(() => mesh.relayedStreams.running === 0, "nothing is left");
  assert.equal(mesh.server.stats().memory.used, 0);
  for (const raw of [agent, opener]) raw.close();
});
