import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { MessageCodec, messageLength } from "../../lib/codec/message.ts";
import { MessageFlag } from "../../lib/codec/message_header.ts";
import { MessageReader } from "../../lib/codec/message_reader.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { encodeStreamChunk, sizeOfStreamChunk } from "../../lib/codec/payloads/stream_chunk.ts";
import { encodeStreamClose, sizeOfStreamClose } from "../../lib/codec/payloads/stream_close.ts";
import { decodeStreamOpen } from "../../lib/codec/payloads/stream_open.ts";
import {
  MAX_CHUNK_BYTES,
  type StreamEnding,
  StreamReceiver,
  type StreamReceiverOptions,
  StreamSender,
} from "../../lib/mesh/agent_streams.ts";
import { CallMessages } from "../../lib/mesh/call_messages.ts";
import { StreamMessages } from "../../lib/mesh/stream_messages.ts";

const codec = new MessageCodec();
const calls = new CallMessages(codec);
const messages = new StreamMessages(calls.writer);
const IDS = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
const ID = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const OTHER = new Uint8Array(16).fill(9);
const TWO_WAY: StreamReceiverOptions = { mayChunk: true, mayRefuse: true };

function sender(): StreamSender {
  return new StreamSender(messages, IDS, ID);
}

function receiver(options: StreamReceiverOptions = TWO_WAY): StreamReceiver {
  return new StreamReceiver(new MessageReader(codec), ID, options);
}

function join(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function message(type: number, payload: Uint8Array, flags = 0): Uint8Array {
  const out = new Uint8Array(messageLength(payload.length));
  codec.encode(out, 0, { type, flags, ...IDS }, payload);
  return out;
}

function chunkOf(streamId: Uint8Array, sequence: number, data: Uint8Array): Uint8Array {
  const chunk = { streamId, sequence, data };
  const payload = new Uint8Array(sizeOfStreamChunk(chunk));
  encodeStreamChunk(payload, 0, chunk);
  return message(MessageType.STREAM_CHUNK, payload);
}

function closeOf(streamId: Uint8Array, flags: number): Uint8Array {
  const close = { streamId, code: 0, reason: "" };
  const payload = new Uint8Array(sizeOfStreamClose(close));
  encodeStreamClose(payload, 0, close);
  return message(MessageType.STREAM_CLOSE, payload, flags);
}

/** Reads pieces; the chunks, and the ending if there was one. */
function read(
  into: StreamReceiver,
  ...pieces: Uint8Array[]
): { chunks: Uint8Array[]; ending: StreamEnding | undefined } {
  const chunks: Uint8Array[] = [];
  for (const piece of pieces) {
    into.push(piece);
    for (let next = into.next(); next !== undefined; next = into.next()) {
      if (!(next instanceof Uint8Array)) return { chunks, ending: next };
      chunks.push(next);
    }
  }
  return { chunks, ending: undefined };
}

function violates(bytes: Uint8Array, code: number, what: RegExp, options = TWO_WAY): void {
  const { ending } = read(receiver(options), bytes);
  assert.ok(ending?.kind === "violation", `expected ${what}, got ${JSON.stringify(ending)}`);
  assert.equal(ending.code, code, ending.text);
  assert.match(ending.text, what);
}

test("chunks and a good end come out as they went in, wherever the bytes are cut", () => {
  const from = sender();
  const data = [Uint8Array.of(1, 2, 3), new Uint8Array(0), new Uint8Array(5000).fill(7)];
  const bytes = join(...data.map((each) => from.chunk(each)), from.end(0, ""));
  for (const size of [1, 7, 33, 100, 1000, bytes.length]) {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
    const { chunks, ending } = read(receiver(), ...pieces);
    assert.deepEqual(chunks, data, `pieces of ${size}`);
    assert.deepEqual(ending, { kind: "closed", code: 0, reason: "" });
  }
});

test("a chunk that is kept does not change when the next ones arrive in pieces", () => {
  const from = sender(), into = receiver();
  const kept: Uint8Array[] = [];
  for (let i = 0; i < 20; i++) {
    const bytes = from.chunk(new Uint8Array(50).fill(i));
    for (const piece of [bytes.slice(0, 40), bytes.slice(40)]) {
      into.push(piece);
      for (let next = into.next(); next instanceof Uint8Array; next = into.next()) kept.push(next);
    }
  }
  kept.forEach((chunk, i) => assert.deepEqual(chunk, new Uint8Array(50).fill(i)));
  assert.equal(kept.length, 20);
});

test("every message of a stream carries the ids of its StreamOpen", () => {
  const from = sender();
  const open = messages.open(IDS, { method: "m" }, { streamId: ID, target: OTHER, kind: "bidirectional" });
  for (const bytes of [open, from.chunk(ID), from.end(5, "why")]) {
    for (let at = 0; at < bytes.length;) {
      const view = codec.decode(bytes, at);
      assert.ok("idLow" in view);
      assert.deepEqual([view.idHigh, view.idLow, view.traceHigh, view.traceLow], [1, 2, 3, 4]);
      if (view.type === MessageType.STREAM_OPEN) {
        const decoded = decodeStreamOpen(view.bytes, view.payloadStart, view.payloadEnd);
        assert.deepEqual(decoded, { streamId: ID, target: OTHER, kind: "bidirectional" });
      }
      at = view.end;
    }
  }
});

test("a sender writes nothing behind its end, and no chunk that is too long", () => {
  const from = sender();
  assert.throws(() => from.chunk(new Uint8Array(MAX_CHUNK_BYTES + 1)), RangeError);
  from.chunk(new Uint8Array(MAX_CHUNK_BYTES));
  assert.equal(from.chunks, 1);
  from.end(0, "");
  assert.throws(() => from.chunk(ID), RangeError);
  assert.throws(() => from.end(0, ""), RangeError);
});

test("chunks out of order, doubled, missing, or of another stream break the stream", () => {
  const one = chunkOf(ID, 0, ID);
  violates(chunkOf(ID, 1, ID), ErrorCode.STREAM_PROTOCOL, /chunk 1 came where chunk 0/);
  violates(join(one, one), ErrorCode.STREAM_PROTOCOL, /chunk 0 came where chunk 1/);
  violates(join(one, chunkOf(ID, 2, ID)), ErrorCode.STREAM_PROTOCOL, /chunk 2 came where chunk 1/);
  violates(chunkOf(OTHER, 0, ID), ErrorCode.STREAM_PROTOCOL, /another stream/);
  violates(closeOf(OTHER, MessageFlag.FINAL), ErrorCode.STREAM_PROTOCOL, /another stream/);
});

test("an end without FINAL, with something behind it, or missing, is no end", () => {
  violates(closeOf(ID, 0), ErrorCode.STREAM_PROTOCOL, /without FINAL/);
  const close = closeOf(ID, MessageFlag.FINAL);
  violates(join(close, close), ErrorCode.STREAM_PROTOCOL, /follow the StreamClose/);
  violates(join(close, Uint8Array.of(0)), ErrorCode.STREAM_PROTOCOL, /follow the StreamClose/);
  const into = receiver();
  assert.equal(read(into, chunkOf(ID, 0, ID)).ending, undefined);
  const ending = into.finish();
  assert.ok(ending.kind === "violation" && ending.code === ErrorCode.STREAM_PROTOCOL, JSON.stringify(ending));
  const done = receiver();
  read(done, close);
  assert.equal(done.finish().kind, "closed", "the end of the bytes is none of the stream");
});

test("a unidirectional stream has no chunks against its direction, but an end", () => {
  const options = { mayChunk: false, mayRefuse: true };
  violates(chunkOf(ID, 0, ID), ErrorCode.STREAM_PROTOCOL, /against the direction/, options);
  assert.equal(read(receiver(options), closeOf(ID, MessageFlag.FINAL)).ending?.kind, "closed");
});

test("an Error answers a stream only at its beginning, and only who opened it", () => {
  const error = calls.error(IDS, ErrorCode.OVERLOADED, true, "busy");
  const { ending } = read(receiver(), error);
  assert.deepEqual(ending, { kind: "refused", code: ErrorCode.OVERLOADED, retryable: true, text: "busy" });
  violates(join(chunkOf(ID, 0, ID), error), ErrorCode.STREAM_PROTOCOL, /Error message/);
  violates(error, ErrorCode.STREAM_PROTOCOL, /Error message/, { mayChunk: true, mayRefuse: false });
});

test("other messages, sealed ones and bytes that are none break the stream; unknown extensions do not", () => {
  violates(calls.response(IDS, ID), ErrorCode.STREAM_PROTOCOL, /Response message/);
  violates(message(MessageType.STREAM_CHUNK, ID, MessageFlag.COMPRESSED), ErrorCode.UNSUPPORTED_TYPE, /compressed/);
  violates(message(MessageType.STREAM_CHUNK, ID), ErrorCode.BAD_REQUEST, /stream chunk/);
  violates(new Uint8Array(40), ErrorCode.BAD_REQUEST, /./);
  const from = sender();
  const bytes = join(message(0x9a, ID), from.chunk(ID), message(0xef, ID), from.end(0, ""));
  const { chunks, ending } = read(receiver(), bytes);
  assert.deepEqual([chunks, ending?.kind], [[ID], "closed"]);
});

test("a chunk that is too long is refused by its header, before its bytes are there", () => {
  const bytes = chunkOf(ID, 0, new Uint8Array(MAX_CHUNK_BYTES + 1));
  violates(bytes, ErrorCode.PAYLOAD_TOO_LARGE, /65536/);
  violates(bytes.slice(0, 40), ErrorCode.PAYLOAD_TOO_LARGE, /65536/);
  assert.equal(read(receiver(), chunkOf(ID, 0, new Uint8Array(MAX_CHUNK_BYTES))).chunks[0].length, MAX_CHUNK_BYTES);
});
