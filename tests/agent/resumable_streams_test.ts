import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import { address } from "../../lib/base/address.ts";
import { UdpProxy } from "../../lib/testing/udp_proxy.ts";
import { millis } from "../../lib/base/time.ts";
import {
  AccessList,
  type CallContext,
  type Client,
  connect,
  type ConnectOptions,
  defaultPlatform,
  generateIdentity,
  type Handlers,
  MxpError,
  type MxpErrorCode,
  type MxpStream,
  serve,
  type ServeOptions,
  type Server,
} from "../../mod.ts";
import { parseUuid } from "../../lib/base/uuid.ts";
import type { Metadata } from "../../lib/codec/payloads/metadata.ts";
import { nameTarget } from "../../lib/mesh/agent_target.ts";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { MessageCodec } from "../../lib/codec/message.ts";
import { MessageReader } from "../../lib/codec/message_reader.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { decodeError } from "../../lib/codec/payloads/error.ts";
import { decodeResumeState } from "../../lib/codec/payloads/resume_state.ts";
import type { ResumeRequest } from "../../lib/codec/payloads/stream_open.ts";
import { CallMessages } from "../../lib/mesh/call_messages.ts";
import { StreamMessages } from "../../lib/mesh/stream_messages.ts";
import { StreamError } from "../../lib/wire/error_codes.ts";
import type { StreamId } from "../../lib/wire/stream_id.ts";
import { Mesh } from "./support/mesh.ts";
import { memoryPlatform, udpPlatform } from "./support/platform.ts";
import { RawPeer } from "./support/raw_peer.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
/** Lost connections are noticed soon; on a busy machine also some that nobody has cut. */
const settings = { idleTimeout: millis(200) };

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (condition()) return;
    await sleep(5);
  }
  assert.fail(`timed out waiting until ${what}`);
}

function failsWith(code: MxpErrorCode, pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };
}

/** A network whose connections can be cut: nothing of those that there are goes through any more, new ones are fine. */
function cuttable() {
  const platform = memoryPlatform();
  const seen = new Set<number>();
  const dead = new Set<number>();
  let isDark = false;
  platform.network.fault = (from, to) => {
    for (const { port } of [from, to]) seen.add(port);
    return isDark || dead.has(from.port) || dead.has(to.port) ? [] : [0];
  };
  return {
    platform,
    /** Cuts all connections of a server, or those of some clients. */
    cut: (server: Server, ...clients: Client[]) => {
      const ports = clients.length > 0 ? clients.map(({ local }) => Number(local.split(":").at(-1))) : seen;
      for (const port of ports) if (port !== server.address.port) dead.add(port);
    },
    darken: (dark: boolean) => void (isDark = dark),
  };
}

interface Pair extends ReturnType<typeof cuttable> {
  readonly server: Server;
  readonly client: Client;
}

async function withPair(
  handlers: Handlers,
  body: (pair: Pair) => Promise<void>,
  serveOptions: Partial<ServeOptions> = {},
  connectOptions: Partial<ConnectOptions> = {},
): Promise<void> {
  const network = cuttable();
  const { platform } = network;
  await using server = await serve({ listen: "127.0.0.1:0", platform, settings, ...serveOptions }, handlers);
  await using client = await connect(server.url, { platform, settings, ...connectOptions });
  await body({ ...network, server, client });
}

/** Answers each chunk with itself. */
async function echo(stream: MxpStream): Promise<void> {
  for await (const chunk of stream) await stream.write(chunk);
}

/** Once both sides have agreed to go on, a connection may be lost. */
async function taken(stream: MxpStream): Promise<AsyncIterator<Uint8Array>> {
  const chunks = stream[Symbol.asyncIterator]();
  await stream.write("first");
  assert.equal(text((await chunks.next()).value!), "first");
  return chunks;
}

test("a stream goes on over other connections, with every chunk once and in order, on real sockets", async () => {
  const platform = udpPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform, settings }, { stream: echo });
  const { bindUdp, clock } = platform;
  const listen = { host: "127.0.0.1", port: 0 };
  const { host, port } = server.address;
  const proxy = await UdpProxy.start({ bindUdp, clock, listen, to: address(host, port), seed: 1 });
  await using client = await connect(server.url.replace(`:${port}`, `:${proxy.local.port}`), { platform, settings });
  const stream = client.stream({ resume: true });
  const chunks = await taken(stream);
  const sent = Array.from({ length: 600 }, (_, i) => `${i} ${"x".repeat(i % 50 === 0 ? 20_000 : i % 7)}`);
  const writing = (async () => {
    for (const [i, word] of sent.entries()) {
      if (i === 150) proxy.setDown(true);
      await stream.write(word);
      if (i % 20 === 0) await sleep(1);
    }
    await stream.close();
  })();
  const waiting = (async () => {
    await until(() => server.stats().resumable.parked === 1, "the server misses the client");
    proxy.setDown(false);
  })();
  const got: string[] = [];
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) got.push(text(next.value));
  await Promise.all([writing, waiting, stream.closed]);
  assert.deepEqual(got, sent);
  assert.ok(stream.resumptions >= 1, `${stream.resumptions} resumptions`);
  assert.ok(["idle_timeout", "reset"].includes((await client.closed).by), "the client's own connection is lost");
  await until(() => server.stats().streams.running === 0, "the handler has come back");
  assert.deepEqual(server.stats().streams, { running: 0, total: 1, ok: 1, failed: 0, refused: 0, cancelled: 0 });
  await until(() => server.stats().resumable.open === 0, "the server has forgotten the stream");
  const { resumed, parked, bytes, expired } = server.stats().resumable;
  assert.deepEqual({ parked, bytes, expired }, { parked: 0, bytes: 0, expired: 0 });
  assert.ok(resumed >= stream.resumptions, `${resumed} resumed`);
  assert.equal(client.stats().streams.ok, 1);
  proxy.close();
});

test("while there is no connection, both sides write as much as they may, and then wait", async () => {
  let produced = 0;
  const handlers: Handlers = {
    stream: async function* () {
      for (; produced < 250; produced++) yield new Uint8Array(8_000).fill(produced & 255);
    },
  };
  await withPair(handlers, async ({ client, server, darken }) => {
    const stream = client.stream({ resume: { bufferBytes: 800_000 } });
    const chunks = stream[Symbol.asyncIterator]();
    await chunks.next();
    darken(true);
    let written = 0;
    const writing = (async () => {
      for (; written < 300; written++) await stream.write(new Uint8Array(8_000));
    })();
    // The handler reads nothing, so that neither side gets further than its buffer.
    await until(() => server.stats().resumable.parked === 1, "the server misses the client");
    const most = Math.ceil(800_000 / 8_256) + 1;
    await until(() => written >= most - 1, "the client has filled its buffer");
    await sleep(50);
    assert.ok(written <= most, `${written} chunks written`);
    assert.ok(produced <= 2 * most + 1, `${produced} chunks produced`);
    const before = produced;
    darken(false);
    let got = 1;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) {
      assert.deepEqual([...new Set(next.value)], [got & 255], "in order");
      got++;
    }
    assert.equal(got, 250);
    assert.ok(produced > before);
    // The handler has come back without having read.
    await assert.rejects(writing, failsWith("closed", /wants no more/));
    assert.ok(stream.resumptions >= 1);
    await stream.closed;
  });
});

test("a handler that comes back while there is no connection has its last words heard", async () => {
  const gate = deferred();
  const handlers: Handlers = {
    stream: async (stream) => {
      await stream.write(`got ${await stream.text()}`);
      await gate.promise;
      await stream.write(", and goodbye");
    },
  };
  await withPair(handlers, async ({ client, server, darken }) => {
    const stream = client.stream({ resume: true });
    const chunks = stream[Symbol.asyncIterator]();
    await stream.write("all");
    await stream.close();
    assert.equal(text((await chunks.next()).value!), "got all");
    darken(true);
    await until(() => server.stats().resumable.parked === 1, "the server misses the client");
    gate.resolve();
    await until(() => server.stats().streams.ok === 1, "the handler has come back");
    darken(false);
    assert.equal(text((await chunks.next()).value!), ", and goodbye");
    assert.equal((await chunks.next()).done, true);
    await stream.closed;
    await until(() => server.stats().resumable.open === 0, "the server has forgotten the stream");
    assert.ok(server.stats().resumable.resumed >= 1);
  });
});

test("who does not come back in time has lost the stream, and both sides are told", async () => {
  let context!: CallContext;
  let failure: unknown;
  const handlers: Handlers = {
    stream: async (stream, its) => {
      context = its;
      await stream.write("first");
      await stream.text().catch((error) => failure = error);
    },
  };
  await withPair(handlers, async ({ client, server, darken }) => {
    const stream = client.stream({ resume: { windowMs: 100 } });
    const chunks = stream[Symbol.asyncIterator]();
    await chunks.next();
    await stream.write("some");
    darken(true);
    await assert.rejects(
      chunks.next(),
      failsWith("connection_lost", /could not go on within 100 ms: .*nothing was heard/),
    );
    await assert.rejects(stream.write("more"), failsWith("connection_lost", /within 100 ms/));
    await stream.closed;
    await until(() => server.stats().resumable.expired === 1, "the server has given it up");
    assert.ok(context.signal.aborted);
    await until(() => failure !== undefined, "the handler was told");
    failsWith("connection_lost", /did not come back within 100 ms/)(failure);
    await until(() => server.stats().streams.cancelled === 1, "it counts as cancelled");
    const { open, parked, bytes, unknown, expired } = server.stats().resumable;
    assert.deepEqual([open, parked, bytes, unknown, expired], [0, 0, 0, 0, 1]);
  });
});

test("what both sides have given up does not wait for anybody: cancelled, closed, past its deadline", async () => {
  const aborted: string[] = [];
  const handlers: Handlers = {
    stream: async (stream, { signal }) => {
      await stream.write("first");
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      aborted.push((signal.reason as MxpError).code);
    },
  };
  await withPair(handlers, async ({ client, server, darken, platform }) => {
    const cancelled = client.stream({ resume: true });
    await cancelled[Symbol.asyncIterator]().next();
    cancelled.cancel();
    await until(() => aborted.length === 1, "the handler knows of the cancellation");

    const other = await connect(server.url, { platform, settings });
    const closed = other.stream({ resume: true });
    const chunks = closed[Symbol.asyncIterator]();
    await chunks.next();
    await other.close();
    await assert.rejects(chunks.next(), failsWith("closed", /closed here/));
    await until(() => aborted.length === 2, "the handler knows that the client is closed");

    const late = client.stream({ resume: true, timeoutMs: 250 });
    const rest = late[Symbol.asyncIterator]();
    await rest.next();
    darken(true);
    await assert.rejects(rest.next(), failsWith("deadline", /not over within 250 ms/));
    await until(() => aborted.length === 3, "the handler's time is over, too");
    assert.deepEqual(aborted, ["cancelled", "cancelled", "deadline"]);
    assert.equal(server.stats().resumable.expired, 0);
  });
});

test("a stream that finds no room, no handler or no answer in time fails as any other", async () => {
  await withPair({ streams: { echo } }, async ({ client, server }) => {
    const one = client.stream("echo", { resume: true });
    await taken(one);
    await assert.rejects(client.stream("echo", { resume: true }).text(), failsWith("overloaded", /1 resumable stream/));
    await assert.rejects(
      client.stream("other", { resume: true }).text(),
      failsWith("agent_error", /no method "other"/),
    );
    one.cancel();
    await until(() => server.stats().resumable.open === 0, "there is room again");
    await taken(client.stream("echo", { resume: true }));
    assert.equal(server.stats().resumable.noRoom, 1);
    assert.throws(() => client.stream({ resume: { bufferBytes: 1 } }), failsWith("usage", /65536 to/));
    assert.throws(() => client.stream({ resume: { windowMs: -1 } }), failsWith("usage", /-1/));
  }, { resume: { maxStreams: 1 } });
});

test("through a node a stream goes on when the node, the agent's or the opener's connection was lost", async () => {
  const { platform, cut } = cuttable();
  await using mesh = new Mesh(platform);
  await mesh.serve({}, { settings });
  const { registration } = await mesh.agent("echo", ["text.echo"], undefined, { stream: echo });
  const client = await mesh.client();
  const stream = client.stream({ capability: "text.echo", resume: true });
  const chunks = await taken(stream);
  const sent: string[] = [];
  const exchange = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      sent.push(`${sent.length} ${"x".repeat(sent.length % 300)}`);
      await stream.write(sent.at(-1)!);
    }
  };
  const got: string[] = [];
  const reading = (async () => {
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) got.push(text(next.value));
  })();

  await exchange(100);
  await mesh.server.close();
  await exchange(100);
  await mesh.serve({}, { settings });
  await until(() => stream.resumptions >= 1, "it goes on through the node that was started anew");
  assert.ok(registration.renewals >= 1);

  await exchange(100);
  let before = stream.resumptions;
  cut(mesh.server, registration.client);
  await exchange(100);
  await until(() => stream.resumptions > before, "it goes on over the agent's other connection");
  await exchange(100);
  before = stream.resumptions;
  cut(mesh.server);
  await exchange(100);
  await until(() => stream.resumptions > before, "it goes on over other connections of both");
  await exchange(100);
  await stream.close();
  await reading;
  await stream.closed;
  assert.deepEqual(got, sent);
  assert.equal(client.stats().streams.ok, 1);
  await until(() => mesh.relayedStreams.running === 0, "the node has nothing left");
});

test("an agent that has lost its streams says so, and through a node a cancellation stays one", async () => {
  await using mesh = await Mesh.start();
  const reasons: unknown[] = [];
  const handlers: Handlers = {
    stream: async (stream, { signal }) => {
      signal.addEventListener("abort", () => reasons.push(signal.reason));
      await echo(stream);
    },
  };
  const first = await mesh.agent("echo", [], undefined, handlers);
  const client = await mesh.client();
  const cancelled = client.stream({ agent: "echo", resume: true });
  await taken(cancelled);
  cancelled.cancel();
  await until(() => reasons.length === 1, "the agent knows of the cancellation");
  failsWith("cancelled", /by who opened it/)(reasons[0]);

  const closed = await mesh.client();
  await taken(closed.stream({ agent: "echo", resume: true }));
  await closed.close();
  await until(() => reasons.length === 2, "the agent knows that the client is closed");

  const stream = client.stream({ agent: first.registration.id, resume: true });
  const chunks = await taken(stream);
  const { identity } = first;
  // Another process with the same key and id: it knows nothing of the stream.
  await first.client.close();
  await mesh.agent("echo", [], undefined, handlers, identity);
  await assert.rejects(chunks.next(), failsWith("connection_lost", /does not know it any more/));
});

// What a client never does.

const codec = new MessageCodec();
const messages = new StreamMessages(new CallMessages(codec).writer);
const IDS = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
const STREAM = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const TOKEN = new Uint8Array(16).fill(5);

function opening(resume: ResumeRequest): Uint8Array {
  const target = new Uint8Array(16);
  return messages.open(IDS, undefined, { streamId: STREAM, target, kind: "bidirectional", resume });
}

/** The first message of an answer, as what it says. */
function firstOf(
  bytes: Uint8Array,
): { readonly code?: number; readonly next?: number; readonly agentId?: Uint8Array } {
  const reader = new MessageReader(codec);
  reader.push(bytes);
  const message = reader.next();
  assert.ok(message !== undefined && "type" in message);
  const decode = message.type === MessageType.ERROR ? decodeError : decodeResumeState;
  const answer = decode(message.bytes, message.payloadStart, message.payloadEnd);
  assert.ok(!(answer instanceof CodecError), String(answer));
  return answer;
}

test("only the key that opened a stream, with its secret, goes on with it, and takes it over where it is alive", async () => {
  await withPair({ stream: echo }, async ({ server, platform }) => {
    const owner = await RawPeer.connect(platform, server.url);
    const stranger = await RawPeer.connect(platform, server.url);
    const has = (peer: RawPeer, id: number, bytes: number): Promise<void> =>
      peer.until(() => peer.received(id as never).bytes.length >= bytes);
    const first = owner.open(opening({ token: TOKEN }), false);
    await has(owner, first, 1);
    assert.equal(firstOf(owner.received(first).bytes).next, 0);
    owner.write(first, messages.chunk(IDS, STREAM, 0, Uint8Array.of(1)), false);

    const refused = async (peer: RawPeer, resume: ResumeRequest): Promise<void> => {
      const answer = await peer.answer(peer.open(opening(resume), false));
      assert.equal(firstOf(answer.bytes).code, ErrorCode.CANNOT_RESUME);
    };
    await refused(stranger, { token: TOKEN, at: 0 });
    await refused(owner, { token: new Uint8Array(16), at: 0 });
    await refused(owner, { token: TOKEN, at: 7 });
    assert.deepEqual([server.stats().resumable.unknown, server.stats().resumable.resumed], [3, 0]);
    const doubled = await owner.answer(owner.open(opening({ token: TOKEN }), false));
    assert.equal(firstOf(doubled.bytes).code, ErrorCode.BAD_REQUEST);

    const second = owner.open(opening({ token: TOKEN, at: 0 }), false);
    await has(owner, second, 1);
    assert.equal(firstOf(owner.received(second).bytes).next, 1);
    await owner.until(() => owner.received(first).resetCode === StreamError.GONE);
    assert.equal(server.stats().resumable.resumed, 1);
    // It was not disturbed: the handler's answer is repeated here.
    await has(owner, second, 200);
    owner.close();
    stranger.close();
  }, { settings: {} });
});

test("who comes back and is gone again in the same moment has the stream kept as before, for no longer and no shorter", async () => {
  await withPair({ stream: echo }, async ({ server, platform }) => {
    const peer = await RawPeer.connect(platform, server.url);
    const isOpen = (id: number): Promise<void> => peer.until(() => peer.received(id as never).bytes.length > 0);
    const { resumable: before } = server.stats();
    const first = peer.open(opening({ token: TOKEN }), false);
    await isOpen(first);
    peer.reset(first, StreamError.GONE);
    await until(() => server.stats().resumable.parked === 1, "it is kept");
    const second = peer.open(opening({ token: TOKEN, at: 0 }), false);
    peer.stop(second, StreamError.GONE);
    await until(() => server.stats().resumable.resumed === 1, "it was there");
    assert.equal(server.stats().resumable.parked, 1);
    const third = peer.open(opening({ token: TOKEN, at: 0 }), false);
    await isOpen(third);
    assert.equal(server.stats().resumable.parked, 0);
    await sleep(500);
    const { open, expired } = server.stats().resumable;
    assert.deepEqual([open, expired], [1, 0], "it has a connection");
    peer.reset(third, StreamError.CANCELLED);
    await until(() => server.stats().resumable.open === 0, "it is over");
    assert.deepEqual(server.stats().resumable, { ...before, resumed: 2 });
    peer.close();
  }, { settings: {}, resume: { windowMs: 400 } });
});

test("a stream that is not known any more cannot go on, whatever the handlers that there are", async () => {
  for (const handlers of [{ streams: { facts: echo } }, { call: () => "" }, { stream: echo }]) {
    await withPair(handlers, async ({ server, platform }) => {
      const peer = await RawPeer.connect(platform, server.url);
      const answer = await peer.answer(peer.open(opening({ token: TOKEN, at: 1 }), false));
      assert.equal(firstOf(answer.bytes).code, ErrorCode.CANNOT_RESUME, JSON.stringify(Object.keys(handlers)));
      peer.close();
    });
  }
});

test("who may reach an agent by its capability or its name goes on with a stream there, and begins none by its id", async () => {
  const host = generateIdentity();
  const rules = (permission: string) =>
    new AccessList([{ key: host.publicKey, permissions: ["register"] }, { key: "*", permissions: [permission] }]);
  const UPPER = nameTarget((bytes) => defaultPlatform().crypto.sha256.hash(bytes), "upper");
  const [ID, OTHER] = ["01234567-89ab-4cde-8f01-23456789abcd", "01234567-89ab-4cde-8f01-23456789abce"];
  const found = { "call:text.*": { capability: "text.upper" }, "call:upper": { target: UPPER } };
  for (const [permission, how] of Object.entries(found)) {
    const platform = memoryPlatform();
    await using server = await serve({ listen: "127.0.0.1:0", platform, registry: true, allow: rules(permission) }, {});
    await using agents = await connect(server.url, { platform, identity: host });
    const handlers = { stream: echo };
    await agents.register({ id: ID, name: "upper", capabilities: ["text.upper"] }, { handlers });
    await agents.register({ id: OTHER, name: "other", capabilities: ["image.crop"] }, { handlers });
    const peer = await RawPeer.connect(platform, server.url);
    const open = (resume: ResumeRequest, metadata: Metadata | undefined, target: Uint8Array) =>
      peer.open(messages.open(IDS, metadata, { streamId: STREAM, target, kind: "bidirectional", resume }), false);
    const said = async (id: StreamId): Promise<ReturnType<typeof firstOf>> => {
      await peer.until(() => peer.received(id).bytes.length > 0);
      return firstOf(peer.received(id).bytes);
    };
    const { capability, target = new Uint8Array(16) } = how as { capability?: string; target?: Uint8Array };
    const first = open({ token: TOKEN }, capability === undefined ? undefined : { capability }, target);
    const agentId = parseUuid(ID)!;
    assert.deepEqual((await said(first)).agentId, agentId, permission);
    peer.reset(first, StreamError.GONE);
    const denied = [
      open({ token: TOKEN }, undefined, agentId),
      open({ token: TOKEN, at: 0 }, undefined, parseUuid(OTHER)!),
    ];
    for (const id of denied) assert.equal((await said(id)).code, ErrorCode.NOT_ALLOWED, permission);
    const again = await said(open({ token: TOKEN, at: 0 }, undefined, agentId));
    assert.deepEqual([again.code, again.agentId], [undefined, agentId], permission);
    peer.close();
  }
});
