import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { MessageCodec } from "../../lib/codec/message.ts";
import { MessageFlag } from "../../lib/codec/message_header.ts";
import { MessageReader } from "../../lib/codec/message_reader.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { nilUuid } from "../../lib/base/uuid.ts";
import { type StreamEnding, StreamReceiver, StreamSender } from "../../lib/mesh/agent_streams.ts";
import { MessageWriter } from "../../lib/mesh/message_writer.ts";
import { deferred } from "../../lib/agent/deferred.ts";
import { StreamMessages } from "../../lib/mesh/stream_messages.ts";
import { answeringPacking, openingPacking, type StreamPacking } from "../../lib/agent/packing/stream_packing.ts";
import { Sealer } from "../../lib/agent/packing/sealing.ts";
import { type CallContext, connect, generateIdentity, type MxpStream, serve } from "../../mod.ts";
import { memoryPlatform } from "./support/platform.ts";
import { decode, failsWith, HAS_ZSTD, Mesh, SECRET, TEXT, watchStreams } from "./support/sealed_mesh.ts";

const encoder = new TextEncoder();

async function all(stream: MxpStream): Promise<string[]> {
  const chunks: string[] = [];
  for await (const chunk of stream) chunks.push(decode(chunk));
  return chunks;
}

test("chunks are compressed both ways where that helps, and arrive as they were cut, also through a node", async (context) => {
  if (!HAS_ZSTD) return context.skip("this runtime has no zstd");
  await using mesh = await Mesh.start({
    stream: async function* (stream) {
      for await (const chunk of stream) yield decode(chunk).toUpperCase();
    },
  });
  const chunks = ["short", TEXT, "", TEXT.repeat(7)];
  const seen = await watchStreams(async () => {
    const stream = mesh.client.stream({ compress: true });
    for (const chunk of chunks) await stream.write(chunk);
    await stream.close();
    assert.deepEqual(await all(stream), chunks.map((chunk) => chunk.toUpperCase()));
  });
  const sent = chunks.join("").length;
  // Eight passings of each: written and read on both connections, in both directions.
  assert.ok(seen.join("").length < sent, `${seen.join("").length} bytes were carried for ${sent}`);
  // Without the option, nothing is compressed on the way back either.
  const plain = await watchStreams(async () => {
    const stream = mesh.client.stream();
    await stream.write(TEXT);
    await stream.close();
    assert.deepEqual(await all(stream), [TEXT.toUpperCase()]);
  });
  assert.ok(plain.join("").length > 8 * TEXT.length);
});

test("of many chunks that are large only when they are decompressed, one is at a time", async (context) => {
  if (!HAS_ZSTD) return context.skip("this runtime has no zstd");
  const platform = memoryPlatform();
  const { compressor } = platform;
  let decompressed = 0;
  const counting = {
    ...compressor!,
    decompress: (frame: Uint8Array, most: number) => {
      decompressed++;
      return compressor!.decompress(frame, most);
    },
  };
  const read = deferred<readonly number[]>();
  await using server = await serve({ listen: "127.0.0.1:0", platform: { ...platform, compressor: counting } }, {
    stream: async (stream) => {
      const chunks = stream[Symbol.asyncIterator]();
      await chunks.next();
      await new Promise((next) => setTimeout(next, 50));
      const atFirst = decompressed;
      let more = 0;
      while (!(await chunks.next()).done) more++;
      read.resolve([atFirst, more]);
    },
  });
  await using client = await connect(server.url, { platform });
  const stream = client.stream({ compress: true });
  const chunk = new Uint8Array(65_536);
  for (let i = 0; i < 200; i++) await stream.write(chunk);
  await stream.close();
  assert.deepEqual(await read.promise, [1, 199]);
  assert.deepEqual(await all(stream), []);
});

test("where there is no zstd, a compressed chunk ends the stream with a reason", async (context) => {
  if (!HAS_ZSTD) return context.skip("this runtime has no zstd");
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform: { ...platform, compressor: undefined } }, {
    stream: async (stream) => void await all(stream),
  });
  await using client = await connect(server.url, { platform });
  const stream = client.stream({ compress: true });
  await stream.write(TEXT);
  await assert.rejects(all(stream), failsWith("agent_error", /no zstd/));
});

test("a sealed stream is for its agent alone, in both directions, from its method to its end", async () => {
  let seenBy: CallContext | undefined;
  await using mesh = await Mesh.start({
    streams: {
      keep: async function* (stream, context) {
        seenBy = context;
        for await (const chunk of stream) yield `kept: ${decode(chunk)}`;
      },
    },
  });
  const options = { e2e: mesh.e2e, metadata: { tenant: "Tenant of the secret" }, compress: HAS_ZSTD };
  const count = 100;
  const seen = await watchStreams(async () => {
    const stream = mesh.client.stream("keep", options);
    const answers = all(stream);
    for (let i = 0; i < count; i++) await stream.write(`${SECRET} ${i}${i === 50 ? TEXT : ""}`);
    await stream.close();
    const expected = Array.from({ length: count }, (_, i) => `kept: ${SECRET} ${i}${i === 50 ? TEXT : ""}`);
    assert.deepEqual(await answers, expected);
  });
  for (const word of [SECRET, "keep", "kept", "Tenant"]) assert.ok(!seen.join("\n").includes(word), `${word} was seen`);
  assert.deepEqual(seenBy!.sealedBy, mesh.caller.publicKey);
  assert.deepEqual([seenBy!.method, seenBy!.metadata.tenant], ["keep", "Tenant of the secret"]);
  assert.equal(mesh.agentClient.stats().packing?.opened, 1);
});

test("a unidirectional sealed stream ends well only with the agent's own end", async () => {
  const taken: string[] = [];
  await using mesh = await Mesh.start({
    stream: async (stream) => {
      taken.push(...await all(stream));
    },
  });
  const stream = mesh.client.stream({ e2e: mesh.e2e, unidirectional: true });
  await stream.write("one");
  await stream.close();
  assert.deepEqual([await all(stream), taken], [[], ["one"]]);
});

test("why a sealed stream fails is for who opened it alone, and what a node says is marked", async () => {
  await using mesh = await Mesh.start({
    streams: {
      fail: () => {
        throw new Error(SECRET);
      },
    },
  });
  const { e2e } = mesh;
  const seen = await watchStreams(async () => {
    await assert.rejects(all(mesh.client.stream("fail", { e2e })), failsWith("agent_error", new RegExp(SECRET)));
    await assert.rejects(all(mesh.client.stream("hidden", { e2e })), failsWith("agent_error", /no method "hidden"/));
  });
  for (const word of [SECRET, "hidden"]) assert.ok(!seen.join("\n").includes(word), `${word} was seen`);
  for (const option of [{ e2e }, { compress: true }]) {
    assert.throws(
      () => mesh.client.stream({ ...option, resume: true }),
      failsWith("usage", /neither compressed nor sealed/),
    );
  }
  const others: [object, string, RegExp][] = [
    [{ e2e, agent: "nobody" }, "no_such_agent", /no agent.*a node on the way/],
    [{ e2e: generateIdentity().publicKey }, "agent_error", /not sealed to this agent's key.*a node on the way/],
  ];
  for (const [options, code, text] of others) {
    await assert.rejects(all(mesh.client.stream(options)), failsWith(code, text));
  }
  assert.equal(mesh.agentClient.stats().packing?.notOpened, 1);
});

test("what opens a sealed stream is taken once, and for whom it was meant", async () => {
  await using mesh = await Mesh.start({ stream: async (stream) => void await all(stream) });
  const open = StreamMessages.prototype.open;
  let first: Uint8Array | undefined;
  StreamMessages.prototype.open = function (ids, metadata, request) {
    first ??= request.seal;
    return open.call(this, ids, metadata, request.seal === undefined ? request : { ...request, seal: first! });
  };
  try {
    const traceId = "00000000000000aa";
    const stream = mesh.client.stream({ e2e: mesh.e2e, traceId });
    await stream.close();
    await all(stream);
    // The node brings the same again; its own sealing is not what the caller waits for.
    await assert.rejects(
      all(mesh.client.stream({ e2e: mesh.e2e, traceId })),
      /not sealed by the agent's key for this stream/,
    );
  } finally {
    StreamMessages.prototype.open = open;
  }
  assert.equal(mesh.agentClient.stats().packing?.repeated, 1);
});

// What a node could do to the messages of a sealed stream, one half at a time.

const IDS = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
const STREAM = new Uint8Array(16).fill(7);
const platform = memoryPlatform();
const [opener, answerer] = [generateIdentity(), generateIdentity()];
const codec = new MessageCodec();
const messages = new StreamMessages(new MessageWriter(codec));

function ends(): { readonly opening: StreamPacking; readonly answering: StreamPacking } {
  const opening = openingPacking(platform, opener, { e2e: answerer.publicKey }, IDS, nilUuid(), undefined, undefined)!;
  const sealer = new Sealer(platform.crypto, platform.random, answerer);
  const context = { type: MessageType.STREAM_OPEN, ...IDS };
  const opened = sealer.openRequest(context, MessageFlag.ENCRYPTED, opening.seal!)!;
  return { opening, answering: answeringPacking(undefined, undefined, { sealer, trace: IDS, opened }) };
}

function sender({ packer }: StreamPacking): StreamSender {
  const sender = new StreamSender(messages, IDS, STREAM);
  sender.packer = packer;
  return sender;
}

/** What a half makes of messages. */
function receive(
  { unpacker }: StreamPacking,
  bytes: readonly Uint8Array[],
  mayRefuse = false,
): (string | StreamEnding)[] {
  const receiver = new StreamReceiver(new MessageReader(codec), STREAM, { mayChunk: true, mayRefuse });
  receiver.unpacker = unpacker;
  const taken: (string | StreamEnding)[] = [];
  for (const message of bytes) {
    receiver.push(message.slice());
    let next = receiver.next();
    for (; next instanceof Uint8Array; next = receiver.next()) taken.push(decode(next));
    if (next !== undefined) return [...taken, next];
  }
  return [...taken, receiver.finish()];
}

const codeOf = (taken: readonly (string | StreamEnding)[]): number => (taken.at(-1) as { code: number }).code;

test("chunks that are left out, changed, swapped, in the clear or turned around end a sealed stream, and so does no end", () => {
  const make = (): { three: Uint8Array[]; close: Uint8Array; to: StreamPacking } => {
    const { opening, answering } = ends();
    const half = sender(opening);
    const three = ["a", "b", "c"].map((text) => half.chunk(encoder.encode(text)));
    return { three, close: half.end(0, ""), to: answering };
  };
  const reseal = (message: Uint8Array, type: number, flags: number): Uint8Array => {
    const copy = message.slice();
    const header = { type, flags, idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
    codec.seal(copy, 0, header, copy.length - 8);
    return copy;
  };
  const good = make();
  assert.deepEqual(receive(good.to, [...good.three, good.close]), ["a", "b", "c", {
    kind: "closed",
    code: 0,
    reason: "",
  }]);
  const plain = new StreamSender(messages, IDS, STREAM);
  const clearChunk = plain.chunk(encoder.encode("x"));
  const clearClose = plain.end(0, "");
  const { STREAM_PROTOCOL, CANNOT_DECRYPT } = ErrorCode;
  const cases: [string, (of: ReturnType<typeof make>) => Uint8Array[], number][] = [
    ["left out", ({ three: [a, , c], close }) => [a, c, close], STREAM_PROTOCOL],
    ["cut before the end", ({ three: [a, b], close }) => [a, b, close], CANNOT_DECRYPT],
    ["no end", ({ three }) => three, STREAM_PROTOCOL],
    ["an end in the clear", ({ three }) => [...three, clearClose], CANNOT_DECRYPT],
    ["a chunk in the clear", () => [clearChunk], CANNOT_DECRYPT],
    [
      "a chunk as an end",
      ({ three: [a] }) => [reseal(a, MessageType.STREAM_CLOSE, MessageFlag.FINAL | 2)],
      CANNOT_DECRYPT,
    ],
    ["another flag", ({ three: [a] }) => [reseal(a, MessageType.STREAM_CHUNK, 3)], CANNOT_DECRYPT],
    ["of another stream", ({ close }) => [make().three[0], close], CANNOT_DECRYPT],
    ["a Seal", () => [messages.seal(IDS, new Uint8Array(100))], STREAM_PROTOCOL],
  ];
  for (const [what, change, code] of cases) {
    const of = make();
    assert.equal(codeOf(receive(of.to, change(of))), code, what);
  }
  const { three: [first], to } = make();
  first[60] ^= 1;
  assert.equal(codeOf(receive(to, [reseal(first, MessageType.STREAM_CHUNK, 2)])), CANNOT_DECRYPT, "a flipped bit");
});

test("answers begin with a Seal for this very stream, and nothing before it counts", () => {
  const { opening, answering } = ends();
  const half = sender(answering);
  const [first, close] = [half.chunk(encoder.encode("answer")), half.end(0, "")];
  assert.deepEqual(receive(opening, [first, close], true), ["answer", { kind: "closed", code: 0, reason: "" }]);
  const other = ends();
  const others = sender(other.answering).chunk(encoder.encode("answer"));
  const fresh = ends();
  assert.equal(
    codeOf(receive(fresh.opening, [others], true)),
    ErrorCode.CANNOT_DECRYPT,
    "the answer to another stream",
  );
  const sealLength = first.length - (40 + 24 + 6 + 16);
  const again = ends();
  assert.equal(codeOf(receive(again.opening, [first.subarray(sealLength)], true)), ErrorCode.CANNOT_DECRYPT, "no Seal");
  // A node may say that it ends the stream, but not that it has ended well.
  const plain = new StreamSender(messages, IDS, STREAM);
  const failed = receive(ends().opening, [plain.end(ErrorCode.DEADLINE_EXCEEDED, "too late")], true);
  assert.deepEqual(failed, [{
    kind: "refused",
    code: ErrorCode.DEADLINE_EXCEEDED,
    retryable: false,
    text: "too late",
  }]);
  const well = new StreamSender(messages, IDS, STREAM).end(0, "");
  assert.equal(codeOf(receive(ends().opening, [well], true)), ErrorCode.CANNOT_DECRYPT);
});
