import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesEqual } from "../../lib/base/bytes.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { type CallContext, connect, generateIdentity, MxpError, serve } from "../../mod.ts";
import { memoryPlatform } from "./support/platform.ts";
import {
  decode,
  failsWith,
  HAS_ZSTD,
  Mesh,
  SECRET,
  type TestPlatform,
  TEXT,
  watchStreams,
} from "./support/sealed_mesh.ts";

test("a compressed call is read as it was, is answered compressed, and is passed on without being touched", async (context) => {
  if (!HAS_ZSTD) return context.skip("this runtime has no zstd");
  await using mesh = await Mesh.start();
  let onWire = 0;
  const seen = await watchStreams(async () => {
    const reply = await mesh.client.call(TEXT, {
      compress: true,
      onProgress: ({ total }) => void (onWire = total),
    });
    assert.equal(reply.text(), TEXT.toUpperCase());
  });
  assert.ok(onWire < TEXT.length / 10, `${onWire} bytes were sent`);
  // Four hops of less than the text together: the answer was compressed, too, and nobody has unpacked either.
  assert.ok(seen.join("").length < TEXT.length);
  assert.equal(mesh.agentClient.stats().packing?.decompressed, 1);
  assert.equal(mesh.server.stats().packing.decompressed, 0);
  // To the node itself, and in the clear where that is no larger.
  const node = { agent: "00000000-0000-0000-0000-000000000000", compress: true };
  assert.equal((await mesh.client.call(TEXT, node)).text(), TEXT);
  assert.equal((await mesh.client.call("short", node)).text(), "short");
  assert.equal(mesh.server.stats().packing.decompressed, 1);
});

test("16 MiB that compress well go both ways, and a byte more is refused before it is sent", async (context) => {
  if (!HAS_ZSTD) return context.skip("this runtime has no zstd");
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform }, (payload) => payload);
  await using client = await connect(server.url, { platform });
  const body = new Uint8Array(16 << 20).fill(7, 1 << 20);
  const { bytes } = await client.call(body, { compress: true });
  assert.ok(bytesEqual(bytes, body));
  assert.deepEqual([server.stats().memory.used, server.stats().memory.peak >= 16 << 20], [0, true]);
  await assert.rejects(
    client.call(new Uint8Array((16 << 20) + 1), { compress: true }),
    failsWith("too_large", /16777216/),
  );
});

test("what is no good frame is refused by name, and a bomb before there is memory for it", async (context) => {
  if (!HAS_ZSTD) return context.skip("this runtime has no zstd");
  const platform = memoryPlatform();
  let frame = new Uint8Array(0);
  const forged = { ...platform.compressor!, compress: () => frame };
  await using server = await serve({ listen: "127.0.0.1:0", platform, memoryBudget: 1 << 20 }, (payload) => payload);
  await using client = await connect(server.url, { platform: { ...platform, compressor: forged } });
  const good = platform.compressor!.compress(new TextEncoder().encode(TEXT));
  const bomb = new Uint8Array(6 + 4 * 129);
  bomb.set([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
  for (let at = 6; at < bomb.length; at += 4) bomb.set([at + 4 < bomb.length ? 2 : 3, 0, 0x10, 0x61], at);
  const cases: [Uint8Array, string, number, RegExp][] = [
    [good.subarray(0, -1), "agent_error", ErrorCode.CANNOT_DECOMPRESS, /cut off/],
    [Uint8Array.of(...good, 0), "agent_error", ErrorCode.CANNOT_DECOMPRESS, /1 bytes follow it/],
    [bomb, "too_large", ErrorCode.PAYLOAD_TOO_LARGE, /more than 16777216 bytes/],
    [bomb.subarray(4 * 2), "agent_error", ErrorCode.CANNOT_DECOMPRESS, /magic/],
  ];
  for (const [bytes, code, remoteCode, text] of cases) {
    frame = bytes.slice();
    await assert.rejects(client.call(TEXT, { compress: true }), failsWith(code, text, { remoteCode }));
  }
  // 2 MiB are within the limit, but there is no room for them.
  frame = bomb.slice(0, 6 + 4 * 16);
  frame[frame.length - 4] = 3;
  await assert.rejects(
    client.call(TEXT, { compress: true }),
    failsWith("overloaded", /no memory/, { remoteCode: ErrorCode.OVERLOADED, retryable: true }),
  );
  frame = good as Uint8Array<ArrayBuffer>;
  assert.equal((await client.call(TEXT, { compress: true })).text(), TEXT);
  const { notDecompressed, noRoom, decompressed } = server.stats().packing;
  assert.deepEqual([notDecompressed, noRoom, decompressed], [4, 1, 1]);
  assert.ok(server.stats().memory.peak <= 1 << 20);
});

test("where there is no zstd, nothing is compressed and nothing compressed is taken", async () => {
  const none = (): Partial<TestPlatform> => ({ compressor: undefined });
  await using mesh = await Mesh.start({}, none);
  if (HAS_ZSTD) {
    const remoteCode = ErrorCode.UNSUPPORTED_TYPE;
    await assert.rejects(
      mesh.client.call(TEXT, { compress: true }),
      failsWith("agent_error", /no zstd/, { remoteCode }),
    );
    // Its answers are not compressed either.
    assert.equal((await mesh.client.call("x", { compress: true })).text(), "X");
  }
  await assert.rejects(
    mesh.agentClient.call("", { compress: true }),
    failsWith("usage", /no zstd to compress with/),
  );
});

test("a sealed call is read by its agent alone, which knows who sent it, and the node sees nothing of it or its answer", async () => {
  await using mesh = await Mesh.start({
    methods: {
      keep: (payload, context) => {
        mesh.contexts.push(context);
        return `kept: ${decode(payload)}`;
      },
    },
  });
  const options = {
    e2e: mesh.e2e,
    metadata: { tenant: "Tenant of the secret" },
    contentType: "text/secret",
    compress: HAS_ZSTD,
  };
  const keyFor = (body: string): string => `key-of-the-secret-${body.length}`;
  for (const body of [SECRET, TEXT]) {
    const seen = await watchStreams(async () => {
      const idempotencyKey = keyFor(body);
      assert.equal((await mesh.client.call("keep", body, { ...options, idempotencyKey })).text(), `kept: ${body}`);
    });
    assert.ok(seen.length >= 8, "the streams of both connections were watched");
    const all = seen.join("\n");
    for (const word of [SECRET, "keep", "kept", "Tenant", "text/secret", "key-of"]) {
      assert.ok(!all.includes(word), `${word} was seen on the way`);
    }
  }
  const context = mesh.contexts[0];
  assert.deepEqual(context.sealedBy, mesh.caller.publicKey);
  assert.deepEqual(context.peer.publicKey, mesh.server.identity.publicKey);
  assert.deepEqual([context.method, context.metadata.tenant], ["keep", "Tenant of the secret"]);
  assert.deepEqual([context.contentType, context.idempotencyKey], ["text/secret", keyFor(SECRET)]);
  assert.ok(context.remainingMs() <= 30_000);
  assert.deepEqual(mesh.agentClient.stats().packing?.opened, 2);
  // The same call again is sealed anew, and answered from the agent's memory; nobody gets that answer without the seal.
  const again = { ...options, idempotencyKey: keyFor(SECRET) };
  assert.equal((await mesh.client.call("keep", SECRET, again)).text(), `kept: ${SECRET}`);
  assert.equal(mesh.contexts.length, 2);
  await mesh.client.call("keep", SECRET, { ...again, e2e: undefined });
  assert.equal(mesh.contexts.length, 3);
});

test("the same watch sees the words of a call that is not sealed", async () => {
  await using mesh = await Mesh.start();
  const seen = await watchStreams(async () => void await mesh.client.call(SECRET, { metadata: { tenant: "Tenant" } }));
  for (const word of [SECRET, SECRET.toUpperCase(), "Tenant"]) assert.ok(seen.join("\n").includes(word), word);
});

test("agents are meant by id, name and capability, and nodes themselves by their key", async () => {
  await using mesh = await Mesh.start();
  const [{ id }] = await mesh.client.discover();
  for (const whom of [{}, { agent: id }, { capability: "secret.*" }]) {
    const client = await connect(mesh.server.url, { platform: mesh.platform });
    const options = Object.keys(whom).length === 0 ? { agent: "vault" } : whom;
    assert.equal((await client.call("a", { ...options, e2e: mesh.agent.publicKey })).text(), "A");
    await client.close();
  }
  const node = { agent: "00000000-0000-0000-0000-000000000000", e2e: mesh.server.identity.publicKey };
  assert.equal((await mesh.client.call("to the node", node)).text(), "to the node");
  assert.equal(mesh.server.stats().packing.opened, 1);
});

test("what an agent throws reaches its sealed caller alone, and a node's own errors are marked as such", async () => {
  await using mesh = await Mesh.start({
    methods: {
      fail: () => {
        throw new MxpError("overloaded", SECRET, { retryable: true });
      },
    },
  });
  const { e2e } = mesh;
  const seen = await watchStreams(async () => {
    await assert.rejects(
      mesh.client.call("fail", "", { e2e }),
      failsWith("overloaded", new RegExp(`^${SECRET}$`), { isUnsealed: false }),
    );
  });
  assert.ok(!seen.join("\n").includes(SECRET));
  await assert.rejects(
    mesh.client.call("x", { agent: "nobody", e2e }),
    failsWith("no_such_agent", /a node on the way/, { nothingDone: false, isUnsealed: true }),
  );
  await assert.rejects(
    mesh.client.call("x", { e2e: generateIdentity().publicKeyText }),
    failsWith("agent_error", /not sealed to this agent's key.*a node on the way/, {
      remoteCode: ErrorCode.CANNOT_DECRYPT,
    }),
  );
  assert.equal(mesh.agentClient.stats().packing?.notOpened, 1);
  // Nobody is between the caller and the node itself, which has proven its key if it is the one that was meant.
  const [node, key] = ["00000000-0000-0000-0000-000000000000", mesh.server.identity.publicKey];
  await assert.rejects(
    mesh.client.call("x", { agent: node, e2e: generateIdentity().publicKeyText }),
    failsWith("agent_error", /\(says the node; it is not sealed\)$/, { isUnsealed: true }),
  );
  await using direct = await connect(mesh.server.url, { platform: mesh.platform });
  await assert.rejects(
    direct.call("x", { agent: "nobody", e2e: key }),
    failsWith("no_such_agent", /^no agent "nobody" at [^ ]+$/, { nothingDone: true, isUnsealed: false }),
  );
  const stream = direct.stream({ agent: "nobody", e2e: key });
  await assert.rejects(
    stream.readable.getReader().read(),
    failsWith("no_such_agent", /nobody[^(]*$/, { isUnsealed: false }),
  );
});

test("much goes sealed in steps between which the event loop goes on, up to 16 MiB with the seal", async () => {
  await using mesh = await Mesh.start({ call: (payload) => payload });
  const body = new Uint8Array(2 << 20).fill(5);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const { bytes } = await mesh.client.call(body, { e2e: mesh.e2e });
  clearInterval(timer);
  assert.ok(bytesEqual(bytes, body));
  assert.ok(turns > 5, `${turns} turns`);
  await assert.rejects(
    mesh.client.call(new Uint8Array(16 << 20), { e2e: mesh.e2e }),
    failsWith("too_large", /sealed, the data has 167/),
  );
});

test("what is no key is refused at once", async () => {
  await using mesh = await Mesh.start();
  for (const e2e of ["short", new Uint8Array(31), new Uint8Array(32)]) {
    await assert.rejects(mesh.client.call("x", { e2e }), failsWith("usage", /e2e/));
  }
});

test("events are compressed and sealed as calls are, with their topic in the clear and bound", async () => {
  const platform = memoryPlatform();
  const taken: [string, string, Uint8Array | undefined, string | undefined][] = [];
  await using server = await serve({ listen: "127.0.0.1:0", platform }, {
    event: (topic, data, context) => void taken.push([topic, decode(data), context.sealedBy, context.metadata.tenant]),
  });
  const identity = generateIdentity();
  await using client = await connect(server.url, { platform, identity });
  const e2e = server.identity.publicKey;
  const seen = await watchStreams(async () => {
    await client.emit("letters.in", TEXT, { e2e, compress: HAS_ZSTD, metadata: { tenant: "Tenant" } });
    await client.emit("letters.now", SECRET, { e2e, unreliable: true });
    for (let i = 0; i < 400 && taken.length < 2; i++) await new Promise((next) => setTimeout(next, 5));
  });
  taken.sort(([a], [b]) => a < b ? -1 : 1);
  assert.deepEqual(taken, [
    ["letters.in", TEXT, identity.publicKey, "Tenant"],
    ["letters.now", SECRET, identity.publicKey, undefined],
  ]);
  const all = seen.join("\n");
  assert.deepEqual([all.includes("letters.in"), all.includes(SECRET), all.includes("Tenant")], [true, false, false]);
  if (HAS_ZSTD) {
    await client.emit("letters.acked", TEXT, { compress: true, ack: true });
    assert.deepEqual(taken.pop(), ["letters.acked", TEXT, undefined, undefined]);
  }
  await assert.rejects(client.emit("a", "", { e2e, ack: true }), failsWith("usage", /an Ack is not sealed/));
  const stranger = generateIdentity().publicKey;
  await assert.rejects(client.emit("a", "", { e2e: stranger }), failsWith("usage", /cannot be sealed to subscribers/));
  // Sealed to somebody else: there is nobody to be told, so it is counted.
  const node = "00000000-0000-0000-0000-000000000000";
  await client.emit("letters.lost", SECRET, { agent: node, e2e: stranger });
  await client.drain();
  assert.deepEqual([server.stats().packing.notOpened, server.stats().events.refused], [1, 1]);
});

test("an event is sealed to an agent behind a node, by name, and to a node without its being published", async () => {
  const taken: [string, string, Uint8Array | undefined][] = [];
  const take = (topic: string, data: Uint8Array, context: CallContext): void =>
    void taken.push([topic, decode(data), context.sealedBy]);
  await using mesh = await Mesh.start({ event: take });
  await using subscription = await mesh.agentClient.subscribe("letters.>");
  const seen = await watchStreams(async () => {
    await mesh.client.emit("letters.in", SECRET, { e2e: mesh.e2e });
    for (let i = 0; i < 400 && taken.length < 1; i++) await new Promise((next) => setTimeout(next, 5));
  });
  assert.deepEqual(taken, [["letters.in", SECRET, mesh.caller.publicKey]]);
  const all = seen.join("\n");
  assert.deepEqual([all.includes("letters.in"), all.includes(SECRET)], [true, false]);
  const node = "00000000-0000-0000-0000-000000000000";
  await mesh.client.emit("letters.node", SECRET, { agent: node, e2e: mesh.server.identity.publicKey });
  await mesh.client.emit("letters.all", TEXT, { agent: node, compress: HAS_ZSTD, ack: true });
  const { value } = await subscription[Symbol.asyncIterator]().next();
  assert.deepEqual([value!.topic, decode(value!.data)], ["letters.all", TEXT]);
  const { opened, decompressed } = mesh.server.stats().packing;
  assert.deepEqual([opened, decompressed], [1, HAS_ZSTD ? 1 : 0]);
});

test("a flood of nonsense that claims to be sealed leaves the event loop time for others", async () => {
  await using mesh = await Mesh.start();
  const { e2e } = mesh;
  const platform = { ...mesh.platform };
  await using client = await connect(`${mesh.server.url}/vault`, { platform });
  const bad = { e2e: mesh.server.identity.publicKey };
  const flood = Promise.allSettled(Array.from({ length: 100 }, () => client.call("x", bad)));
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const honest = await mesh.client.call("honest", { e2e });
  assert.equal(honest.text(), "HONEST");
  await flood;
  clearInterval(timer);
  assert.equal(mesh.agentClient.stats().packing?.notOpened, 100);
  // At eight openings a turn.
  assert.ok(turns >= 100 / 8 / 2, `${turns} turns`);
});

test("an agent refuses what was sealed for a capability that its node believes it has, and that it has not", async () => {
  await using mesh = await Mesh.start();
  const { e2e, agentClient, client, platform, server } = mesh;
  const card = { name: "other", capabilities: ["text.sum"] };
  const registration = await agentClient.register(card, { handlers: { call: () => "done" } });
  // What the node believes comes from elsewhere, and then the agent is heard of again where it is.
  await using elsewhere = await connect(server.url, { platform, identity: mesh.agent });
  await elsewhere.register({ ...card, capabilities: ["text.sum", "secret.drop"] });
  registration.load = 7;
  while ((await client.discover({ name: "other" }))[0].load !== 7) await new Promise((next) => setTimeout(next, 20));
  for (const capability of ["text.sum", "text.*"]) {
    assert.equal((await client.call("x", { capability, e2e })).text(), "done");
  }
  assert.equal(
    (await client.call("x", { capability: "secret.drop" })).text(),
    "done",
    "who does not seal trusts the node",
  );
  await assert.rejects(
    client.call("x", { capability: "secret.drop", e2e }),
    failsWith("agent_error", /sealed for another agent/, { remoteCode: ErrorCode.SEAL_REFUSED }),
  );
  assert.equal(agentClient.stats().packing?.misdirected, 1);
});
