import assert from "node:assert/strict";
import { test } from "node:test";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { MessageCodec, messageLength } from "../../lib/codec/message.ts";
import { MessageFlag } from "../../lib/codec/message_header.ts";
import { MessageReader } from "../../lib/codec/message_reader.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { MAX_CHUNK_BYTES, type StreamReceiverOptions } from "../../lib/mesh/agent_streams.ts";
import { CallMessages } from "../../lib/mesh/call_messages.ts";
import { StreamMessages } from "../../lib/mesh/stream_messages.ts";
import { StreamRelay } from "../../lib/mesh/stream_relay.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";

const codec = new MessageCodec();
const calls = new CallMessages(codec);
const { writer } = calls;
const messages = new StreamMessages(writer);
const BEFORE = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
const BEHIND = { ...BEFORE, idHigh: 5, idLow: 6 };
const ID = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const FROM_AGENT: StreamReceiverOptions = { mayChunk: true, mayRefuse: true };
const FROM_OPENER: StreamReceiverOptions = { mayChunk: true, mayRefuse: false };
const EXTENSION = 0xef;

function relay(options = FROM_AGENT): StreamRelay {
  return new StreamRelay(new MessageReader(codec), writer, ID, BEHIND, { ...options, isResumable: false });
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function chunk(sequence: number, data: Uint8Array, ids = BEFORE): Uint8Array {
  return messages.chunk(ids, ID, sequence, data).slice();
}

function close(code = 0, ids = BEFORE): Uint8Array {
  return messages.close(ids, ID, code, "").slice();
}

function message(type: number, flags: number, payload: Uint8Array, ids = BEFORE): Uint8Array {
  const out = new Uint8Array(messageLength(payload.length));
  codec.encode(out, 0, { type, flags, ...ids }, payload);
  return out;
}

/** Everything that goes on. */
function passOn(into: StreamRelay, ...pieces: readonly Uint8Array[]): Uint8Array {
  const out: Uint8Array[] = [];
  for (const piece of pieces) {
    into.push(piece.slice());
    for (let next = into.next(); next !== undefined; next = into.next()) out.push(next.slice());
  }
  return join(out);
}

function violates(code: number, what: RegExp, options: StreamReceiverOptions, ...parts: readonly Uint8Array[]): void {
  const into = relay(options);
  passOn(into, join(parts));
  const { ending } = into;
  assert.ok(ending?.kind === "violation", `expected ${what}, got ${JSON.stringify(ending)}`);
  assert.equal(ending.code, code, ending.text);
  assert.match(ending.text, what);
}

test("messages go on as they were but for their ids, however they are cut into pieces", () => {
  const random = new SeededRandom(testSeed);
  const parts = (ids: typeof BEFORE): Uint8Array[] => {
    const data = new SeededRandom(testSeed);
    const chunks = Array.from({ length: 60 }, (_, i) => {
      const bytes = new Uint8Array(i % 20 === 0 ? data.below(MAX_CHUNK_BYTES) : data.below(300));
      data.fill(bytes);
      return chunk(i, bytes, ids);
    });
    // What is not known, or not for nodes to see, is between them.
    chunks.splice(10, 0, message(EXTENSION, MessageFlag.REQUIRES_ACK, Uint8Array.of(1, 2, 3), ids));
    chunks.splice(
      20,
      0,
      message(MessageType.STREAM_CHUNK, MessageFlag.ENCRYPTED, new Uint8Array(MAX_CHUNK_BYTES + 500), ids),
    );
    return [...chunks, close(7, ids)];
  };
  const [all, expected] = [join(parts(BEFORE)), join(parts(BEHIND))];
  for (let round = 0; round < 30; round++) {
    const into = relay();
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < all.length;) {
      const length = 1 + random.below(round === 0 ? all.length : random.chance(0.5) ? 20_000 : 100);
      pieces.push(all.subarray(at, at + length));
      at += length;
    }
    const passed = passOn(into, ...pieces);
    assert.ok(passed.length === expected.length && passed.every((byte, i) => byte === expected[i]), `seed ${testSeed}`);
    assert.deepEqual(into.ending, { kind: "closed", code: 7, reason: "" });
    assert.ok(into.takeCount() > 0);
    assert.equal(into.takeCount(), 0);
  }
});

test("several messages in one piece go on as one, where they lie", () => {
  const into = relay();
  const piece = join([chunk(0, new Uint8Array(10)), chunk(1, new Uint8Array(20))]);
  into.push(piece);
  const passed = into.next()!;
  assert.ok(passed.buffer === piece.buffer && passed.length === piece.length);
  assert.equal(into.next(), undefined);
  const first = codec.decode(passed);
  assert.ok(!(first instanceof CodecError) && first.idLow === BEHIND.idLow);
});

test("a direction may begin anywhere, and goes on from there", () => {
  const into = relay();
  assert.ok(passOn(into, chunk(41, ID), chunk(42, ID)).length > 0);
  passOn(into, chunk(44, ID));
  assert.match(JSON.stringify(into.ending), /chunk 44 came where chunk 43/);
});

test("a resumable stream may end behind any message, but not inside one", () => {
  const resumable = (): StreamRelay =>
    new StreamRelay(new MessageReader(codec), writer, ID, BEHIND, { ...FROM_OPENER, isResumable: true });
  for (
    const [parts, code] of [[[chunk(0, ID)], 0], [[chunk(0, ID), close(7), message(EXTENSION, 0, ID)], 7]] as const
  ) {
    const into = resumable();
    passOn(into, ...parts);
    into.finish();
    assert.deepEqual(into.ending, { kind: "closed", code, reason: "" });
    const cut = resumable();
    passOn(cut, ...parts, chunk(1, ID).subarray(0, 50));
    cut.finish();
    assert.match(JSON.stringify(cut.ending), /violation.*(inside a message)/);
  }
});

test("an Error instead of anything else is told, and not passed on", () => {
  const into = relay();
  assert.equal(passOn(into, calls.error(BEFORE, ErrorCode.OVERLOADED, true, "full")).length, 0);
  assert.deepEqual(into.ending, { kind: "refused", code: ErrorCode.OVERLOADED, retryable: true, text: "full" });
  assert.equal(into.hasBegun, false);
});

test("what is not a valid stream ends it, and what came before it still goes on", () => {
  const { STREAM_PROTOCOL, BAD_REQUEST, PAYLOAD_TOO_LARGE } = ErrorCode;
  const error = calls.error(BEFORE, 1, false, "").slice();
  const ok = chunk(0, ID);
  violates(STREAM_PROTOCOL, /chunk 2 came where chunk 1/, FROM_AGENT, ok, chunk(2, ID));
  violates(STREAM_PROTOCOL, /against the direction/, { mayChunk: false, mayRefuse: true }, ok);
  violates(STREAM_PROTOCOL, /another stream/, FROM_AGENT, messages.chunk(BEFORE, new Uint8Array(16), 0, ID).slice());
  violates(STREAM_PROTOCOL, /another stream/, FROM_AGENT, messages.close(BEFORE, new Uint8Array(16), 0, "").slice());
  violates(STREAM_PROTOCOL, /a Error message/, FROM_AGENT, ok, error);
  violates(STREAM_PROTOCOL, /a Error message/, FROM_OPENER, error);
  violates(STREAM_PROTOCOL, /a Call message/, FROM_AGENT, message(MessageType.CALL, 0, new Uint8Array(20)));
  violates(STREAM_PROTOCOL, /without FINAL/, FROM_AGENT, message(MessageType.STREAM_CLOSE, 0, new Uint8Array(18)));
  violates(STREAM_PROTOCOL, /more bytes follow/, FROM_AGENT, close(), ok);
  violates(STREAM_PROTOCOL, /more bytes follow/, FROM_AGENT, close(), Uint8Array.of(1));
  violates(BAD_REQUEST, /magic/, FROM_AGENT, ok, new Uint8Array(40));
  violates(BAD_REQUEST, /stream chunk/, FROM_AGENT, message(MessageType.STREAM_CHUNK, 0, new Uint8Array(23)));
  const tooLong = new Uint8Array(MAX_CHUNK_BYTES + 1);
  violates(PAYLOAD_TOO_LARGE, /65536/, FROM_AGENT, messages.chunk(BEFORE, ID, 0, tooLong).slice());
  violates(PAYLOAD_TOO_LARGE, /65536/, FROM_AGENT, message(EXTENSION, 0, tooLong));
  // Before it has arrived.
  const huge = message(MessageType.STREAM_CHUNK, MessageFlag.COMPRESSED, new Uint8Array(MAX_CHUNK_BYTES + 3_000));
  violates(PAYLOAD_TOO_LARGE, /65536/, FROM_AGENT, huge.subarray(0, 100));
  const flipped = chunk(1, ID);
  flipped[40] ^= 1;
  const into = relay();
  assert.equal(passOn(into, join([ok, flipped])).length, ok.length);
  assert.ok(into.ending?.kind === "violation" && into.ending.code === BAD_REQUEST);
  const cut = relay();
  passOn(cut, ok);
  cut.finish();
  assert.ok(cut.ending?.kind === "violation" && cut.ending.code === STREAM_PROTOCOL);
});
