import assert from "node:assert/strict";
import { test } from "node:test";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { decodeError } from "../../lib/codec/payloads/error.ts";
import { CallMessages } from "../../lib/mesh/call_messages.ts";
import { LifecycleMessages } from "../../lib/mesh/lifecycle_messages.ts";
import { MessageWriter } from "../../lib/mesh/message_writer.ts";
import { StreamMessages } from "../../lib/mesh/stream_messages.ts";
import { StreamError } from "../../lib/wire/error_codes.ts";
import { isResponderInitiated, type StreamId } from "../../lib/wire/stream_id.ts";
import { MxpError } from "../../mod.ts";
import { failsWith, Mesh, until } from "./support/mesh.ts";
import { RawPeer } from "./support/raw_peer.ts";

const IDS = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
const NIL = new Uint8Array(16);

/** A peer that has registered as an agent, and whose side of streams the test writes. */
async function rawAgent(mesh: Mesh): Promise<RawPeer> {
  const raw = await RawPeer.connect(mesh.platform, mesh.server.url);
  const lifecycle = new LifecycleMessages(new MessageWriter(mesh.platform.codec));
  const agentId = new Uint8Array(16).fill(0x44);
  await raw.answer(raw.open(lifecycle.register(IDS, { agentId, name: "raw", capabilities: ["raw"] }).slice()));
  return raw;
}

/** The next stream that the node opens to a raw agent. */
async function opened(raw: RawPeer): Promise<StreamId> {
  const find = (): StreamId | undefined => {
    const event = raw.events.find((event) => event.type === "readable" && isResponderInitiated(event.id));
    return event !== undefined && "id" in event ? event.id : undefined;
  };
  await raw.until(() => find() !== undefined);
  const id = find()!;
  raw.events.length = 0;
  return id;
}

/** Checks which Error the node has answered with. */
function says(code: number, retryable: boolean): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.deepEqual([error.remoteCode, error.retryable], [code, retryable], error.message);
    return true;
  };
}

test("an agent that resets a call or an event means what its code says, to their sender too", async () => {
  await using mesh = await Mesh.start();
  const raw = await rawAgent(mesh);
  const client = await mesh.client();
  const expected = [
    [StreamError.CANCELLED, ErrorCode.CANCELLED, false],
    [StreamError.DEADLINE, ErrorCode.DEADLINE_EXCEEDED, false],
    [StreamError.TOO_LARGE, ErrorCode.PAYLOAD_TOO_LARGE, false],
    [StreamError.REFUSED, ErrorCode.UNAVAILABLE, true],
    [StreamError.GONE, ErrorCode.ANSWER_LOST, true],
    [StreamError.MALFORMED, ErrorCode.HANDLER_FAILED, false],
    [0x1234, ErrorCode.HANDLER_FAILED, false],
  ] as const;
  for (const [streamCode, code, retryable] of expected) {
    for (
      const send of [
        () => client.call("x", { agent: "raw" }),
        () => client.emit("a", "x", { agent: "raw", ack: true }),
      ]
    ) {
      const sent = send();
      raw.reset(await opened(raw), streamCode);
      await assert.rejects(sent, says(code, retryable));
    }
  }
  const nonsense = client.call("x", { agent: "raw" });
  raw.write(await opened(raw), new Uint8Array(40));
  await assert.rejects(nonsense, says(ErrorCode.HANDLER_FAILED, false));
  raw.close();
});

test("agents that have no room make the node say so, for calls, events and streams, and not that nobody is there", async () => {
  await using mesh = await Mesh.start();
  const full = (): never => {
    throw new MxpError("overloaded", "no room here", { retryable: true });
  };
  for (const name of ["one", "two"]) await mesh.agent(name, ["work"], full, { event: full });
  const raw = await rawAgent(mesh);
  const client = await mesh.client();
  const overloaded = failsWith("overloaded", true, /no room here/);
  await assert.rejects(client.call("x", { capability: "work" }), overloaded);
  await assert.rejects(client.emit("a", "x", { capability: "work", ack: true }), overloaded);
  assert.equal(mesh.relayed.failovers, 2);
  const stream = client.stream({ agent: "raw" });
  const id = await opened(raw);
  const calls = new CallMessages(mesh.platform.codec);
  raw.write(id, calls.error(IDS, ErrorCode.OVERLOADED, true, "no room here").slice());
  await assert.rejects(stream.text(), overloaded);
  raw.close();
});

test("an agent hears that the deadline has passed, whether the node finds out or the caller says so", async () => {
  await using mesh = await Mesh.start();
  const raw = await rawAgent(mesh);
  const caller = await RawPeer.connect(mesh.platform, mesh.server.url);
  const client = await mesh.client();
  const calls = new CallMessages(mesh.platform.codec);
  const told = async (id: StreamId): Promise<number | undefined> => {
    await raw.until(() => raw.received(id).stopCode !== undefined);
    return raw.received(id).stopCode;
  };
  // Nobody but the node looks at the time here.
  const timed = caller.open(calls.call(IDS, { capability: "raw", deadlineMillis: 30 }, NIL, 1, NIL).slice());
  assert.equal(await told(await opened(raw)), StreamError.DEADLINE);
  const answer = mesh.platform.codec.decode((await caller.answer(timed)).bytes);
  assert.ok(!(answer instanceof CodecError));
  assert.equal((decodeError(answer.payload) as { code: number }).code, ErrorCode.DEADLINE_EXCEEDED);
  for (const code of [StreamError.DEADLINE, StreamError.CANCELLED]) {
    const given = caller.open(calls.call(IDS, { capability: "raw" }, NIL, 0, NIL).slice());
    const id = await opened(raw);
    caller.stop(given, code);
    assert.equal(await told(id), code);
  }
  const event = client.emit("a", "x", { agent: "raw", ack: true, timeoutMs: 30 });
  const id = await opened(raw);
  await assert.rejects(event, failsWith("deadline", false, /./));
  assert.equal(await told(id), StreamError.DEADLINE);
  await until(() => mesh.relayed.running === 0, "nothing is left");
  caller.close();
  raw.close();
});

test("an agent that has said something on a stream cannot have it taken for turned away before anything was done", async () => {
  await using mesh = await Mesh.start();
  const raw = await rawAgent(mesh);
  const stream = (await mesh.client()).stream({ agent: "raw" });
  await stream.write("x");
  const id = await opened(raw);
  const streamId = Uint8Array.from(stream.id.replaceAll("-", "").match(/../g)!, (pair) => parseInt(pair, 16));
  const streams = new StreamMessages(new MessageWriter(mesh.platform.codec));
  raw.write(id, streams.chunk(IDS, streamId, 0, Uint8Array.of(7)).slice(), false);
  const chunks = stream[Symbol.asyncIterator]();
  assert.deepEqual((await chunks.next()).value, Uint8Array.of(7));
  raw.reset(id, StreamError.REFUSED);
  await assert.rejects(chunks.next(), (error: MxpError) => {
    assert.deepEqual([error.remoteCode, error.retryable], [StreamError.INTERNAL, false], error.message);
    return true;
  });
  raw.close();
});

test("a further attempt at a call for which there is no other agent is told just that", async () => {
  await using mesh = await Mesh.start();
  const raw = await rawAgent(mesh);
  const caller = await RawPeer.connect(mesh.platform, mesh.server.url);
  const calls = new CallMessages(mesh.platform.codec);
  caller.open(calls.call(IDS, { capability: "raw" }, NIL, 0, NIL).slice());
  await opened(raw);
  const attempt = { number: 1, firstHigh: IDS.idHigh, firstLow: IDS.idLow };
  const again = { ...IDS, idLow: 3 };
  const second = caller.open(calls.call(again, { capability: "raw", attempt }, NIL, 0, NIL).slice());
  const answer = mesh.platform.codec.decode((await caller.answer(second)).bytes);
  assert.ok(!(answer instanceof CodecError));
  const error = decodeError(answer.payload);
  assert.ok(!(error instanceof CodecError));
  assert.deepEqual([error.code, error.retryable], [ErrorCode.UNAVAILABLE, true]);
  assert.match(error.text, /no other agent can be reached/);
  caller.close();
  raw.close();
});
