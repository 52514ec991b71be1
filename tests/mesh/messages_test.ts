import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { MessageCodec, messageLength } from "../../lib/codec/message.ts";
import { MAX_PAYLOAD_BYTES, MessageFlag, type MessageHeader } from "../../lib/codec/message_header.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import type { Metadata } from "../../lib/codec/payloads/metadata.ts";
import { formatUuid } from "../../lib/base/uuid.ts";
import { agentTarget, nameTarget } from "../../lib/mesh/agent_target.ts";
import { AnswerReader, readWholeAnswer } from "../../lib/mesh/answer_reader.ts";
import { CallMessages, MAX_CALL_DATA_BYTES } from "../../lib/mesh/call_messages.ts";
import type { CallOutcome } from "../../lib/mesh/pending_calls.ts";
import {
  NO_DETAILS,
  readRequest,
  type RequestProblem,
  RequestReader,
  type RequestTarget,
  StreamStart,
} from "../../lib/mesh/request_reader.ts";
import { property } from "../support/seed.ts";

const codec = new MessageCodec();
const messages = new CallMessages(codec);
const IDS = { idHigh: 0xffffffff, idLow: 7, traceHigh: 3, traceLow: 0x80000000 };
const TARGET = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const MAX = 1 << 20;

function message(type: number, payload: Uint8Array, header: Partial<MessageHeader> = {}): Uint8Array {
  const out = new Uint8Array(messageLength(payload.length));
  codec.encode(out, 0, { type, flags: 0, ...IDS, ...header }, payload);
  return out;
}

function join(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function target(): RequestTarget {
  return {
    idHigh: 0,
    idLow: 0,
    traceHigh: 0,
    traceLow: 0,
    target: new Uint8Array(0),
    timeoutSeconds: 0,
    details: NO_DETAILS,
    extensions: [],
    topic: undefined,
    publisher: undefined,
    lifecycle: undefined,
    packed: 0,
    isAnswered: true,
  };
}

/** Cuts bytes at the given places. */
function cut(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  const edges = [0, ...places.filter((place) => place > 0 && place < bytes.length), bytes.length];
  return edges.slice(1).map((edge, i) => bytes.slice(edges[i], edge));
}

function readAll(
  bytes: Uint8Array,
  places: readonly number[] = [],
  into = target(),
): Uint8Array | RequestProblem | undefined {
  const reader = new RequestReader(codec, into, MAX, () => true);
  let result: Uint8Array | RequestProblem | undefined;
  for (const chunk of cut(bytes, places)) {
    const read = reader.push(chunk);
    assert.ok(!(read instanceof StreamStart));
    result = read;
    if (result !== undefined) return result;
  }
  return result;
}

test("a request is read back from any cutting of its bytes, with and without metadata", () => {
  const metadata: fc.Arbitrary<Metadata | undefined> = fc.option(
    fc.record({
      method: fc.string({ maxLength: 20 }),
      deadlineMillis: fc.nat(),
      application: fc.constant([["a", "b"]] as [string, string][]),
    }),
    { nil: undefined },
  );
  fc.assert(
    fc.property(
      metadata,
      fc.uint8Array({ maxLength: 300 }),
      fc.nat(1000),
      fc.array(fc.nat(600), { maxLength: 8 }),
      (about, data, seconds, places) => {
        const bytes = messages.call(IDS, about, TARGET, seconds, data);
        const into = target();
        const read = readAll(bytes, places, into);
        assert.ok(read instanceof Uint8Array);
        assert.deepEqual([...read], [...data]);
        assert.deepEqual([...into.target], [...TARGET]);
        assert.equal(into.timeoutSeconds, seconds);
        assert.deepEqual([into.idHigh, into.idLow, into.traceHigh, into.traceLow], [0xffffffff, 7, 3, 0x80000000]);
        assert.equal(into.details.method, about?.method);
        assert.equal(into.details.deadlineMillis, about?.deadlineMillis);
        assert.equal(into.details.values.a, about === undefined ? undefined : "b");
        const whole = readRequest(codec, bytes, target(), MAX);
        if (about === undefined) assert.deepEqual([...whole as Uint8Array], [...data]);
        else assert.equal(whole, undefined, "metadata is for the slow path");
      },
    ),
    property(),
  );
});

test("how the data of a Call is packed is noted, and a Call after another is not taken for a packed one", () => {
  const into = target();
  for (const flags of [1, 2, 3, 0]) {
    readRequest(codec, messages.call(IDS, undefined, TARGET, 0, new Uint8Array(3), flags), into, MAX);
    assert.equal(into.packed, flags);
  }
});

test("what is not a request is turned away with a reason", () => {
  const call = messages.call(IDS, undefined, TARGET, 0, new Uint8Array(3));
  const corrupt = call.slice();
  corrupt[40] ^= 1;
  const meta = (payload: number[], flags = 0): Uint8Array =>
    message(MessageType.METADATA, Uint8Array.from(payload), { flags });
  const cases: [string, Uint8Array, number, RegExp][] = [
    [
      "another type",
      message(MessageType.ACK, new Uint8Array(5)),
      ErrorCode.UNSUPPORTED_TYPE,
      /Ack messages are not supported/,
    ],
    ["a short Call", message(MessageType.CALL, new Uint8Array(19)), ErrorCode.BAD_REQUEST, /at least 20 bytes, got 19/],
    ["a wrong checksum", corrupt, ErrorCode.BAD_REQUEST, /checksum/],
    ["rubbish", new Uint8Array(64).fill(0xaa), ErrorCode.BAD_REQUEST, /magic/],
    ["bytes behind it", join(call, Uint8Array.of(0)), ErrorCode.BAD_REQUEST, /more bytes follow/],
    ["two calls", join(call, call), ErrorCode.BAD_REQUEST, /more bytes follow/],
    [
      "a compressed heartbeat",
      message(MessageType.AGENT_HEARTBEAT, new Uint8Array(30), { flags: 1 }),
      ErrorCode.UNSUPPORTED_TYPE,
      /AgentHeartbeat message is never compressed/,
    ],
    [
      "an encrypted StreamOpen",
      message(MessageType.STREAM_OPEN, new Uint8Array(33), { flags: 2 }),
      ErrorCode.UNSUPPORTED_TYPE,
      /StreamOpen message is never compressed or encrypted/,
    ],
    ["compressed metadata", join(meta([], 1), call), ErrorCode.UNSUPPORTED_TYPE, /compressed/],
    ["metadata twice", join(meta([]), meta([]), call), ErrorCode.BAD_REQUEST, /two Metadata/],
    [
      "another message's metadata",
      join(message(MessageType.METADATA, new Uint8Array(0), { idLow: 8 }), call),
      ErrorCode.BAD_REQUEST,
      /another message/,
    ],
    ["malformed metadata", join(meta([1, 255, 255]), call), ErrorCode.BAD_REQUEST, /./],
    [
      "endless extensions",
      join(...Array.from({ length: 9 }, () => message(0x90, new Uint8Array(0))), call),
      ErrorCode.BAD_REQUEST,
      /too many/,
    ],
    ["huge metadata", message(MessageType.METADATA, new Uint8Array(65_537)), ErrorCode.PAYLOAD_TOO_LARGE, /metadata/],
    [
      "a huge StreamOpen",
      message(MessageType.STREAM_OPEN, new Uint8Array(131_073)),
      ErrorCode.PAYLOAD_TOO_LARGE,
      /a StreamOpen is larger than 131072 bytes/,
    ],
    [
      "a huge request",
      message(MessageType.CALL, new Uint8Array(MAX + 1)),
      ErrorCode.PAYLOAD_TOO_LARGE,
      /larger than 1048556/,
    ],
  ];
  for (const [what, bytes, code, text] of cases) {
    for (const places of [[], [1], [33, 50]]) {
      const result = readAll(bytes, places);
      assert.ok(result !== undefined && !(result instanceof Uint8Array), what);
      assert.equal(result.code, code, what);
      assert.match(result.text, text, what);
    }
    const whole = readRequest(codec, bytes, target(), MAX);
    assert.ok(whole === undefined || !(whole instanceof Uint8Array), what);
  }
});

test("messages of unknown extension types in front of a Call are skipped", () => {
  const call = messages.call(IDS, { method: "m" }, TARGET, 0, Uint8Array.of(9));
  const into = target();
  const read = readAll(
    join(message(0xa1, new Uint8Array(100)), message(0xef, new Uint8Array(0)), call),
    [10, 60, 150],
    into,
  );
  assert.deepEqual(read, Uint8Array.of(9));
  assert.equal(into.details.method, "m");
});

test("metadata keys from a peer cannot reach a prototype", () => {
  const about: Metadata = { application: [["__proto__", "x"], ["constructor", "y"]] };
  const into = target();
  readAll(messages.call(IDS, about, TARGET, 0, new Uint8Array(0)), [], into);
  assert.equal(Object.getPrototypeOf(into.details.values), null);
  assert.equal(into.details.values["__proto__"], "x");
});

test("memory for a request is agreed to by its declared length, before its body has arrived", () => {
  const bytes = messages.call(IDS, undefined, TARGET, 0, new Uint8Array(1000));
  const asked: number[] = [];
  const refusing = new RequestReader(codec, target(), MAX, (bytes) => asked.push(bytes) > 99);
  assert.equal(refusing.push(bytes.subarray(0, 31)), undefined);
  const problem = refusing.push(bytes.subarray(31, 40));
  assert.ok(typeof problem === "object" && "retryable" in problem);
  assert.deepEqual([problem.code, problem.retryable], [ErrorCode.OVERLOADED, true]);
  assert.deepEqual(asked, [1020]);
  const agreeing = new RequestReader(codec, target(), MAX, (bytes) => asked.push(bytes) > 0);
  for (let at = 0; at < bytes.length; at += 100) agreeing.push(bytes.slice(at, at + 100));
  assert.deepEqual(asked, [1020, 1020], "asked once for a message");
});

function answer(bytes: Uint8Array, places: readonly number[] = []): CallOutcome | undefined {
  const reader = new AnswerReader(codec, IDS.idHigh, IDS.idLow, MAX);
  let outcome: CallOutcome | undefined;
  for (const chunk of cut(bytes, places)) {
    outcome = reader.push(chunk);
    if (outcome !== undefined) break;
  }
  return outcome;
}

test("a Response is read back from any cutting of its bytes, and its progress can be watched", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(400), { maxLength: 8 }), (data, places) => {
      const outcome = answer(messages.response(IDS, data), places);
      assert.ok(outcome?.kind === "response");
      assert.deepEqual([...outcome.payload], [...data]);
    }),
    property(),
  );
  const bytes = messages.response(IDS, new Uint8Array(500));
  const reader = new AnswerReader(codec, IDS.idHigh, IDS.idLow, MAX);
  reader.push(bytes.subarray(0, 10));
  assert.deepEqual([reader.received, reader.total], [10, undefined]);
  reader.push(bytes.subarray(10, 100));
  assert.deepEqual([reader.received, reader.total], [100, 540]);
});

test("an Error is read back, and a long text of ours is cut before it is sent", () => {
  const bytes = messages.error(IDS, ErrorCode.OVERLOADED, true, "full up");
  assert.deepEqual(answer(bytes), { kind: "error", code: ErrorCode.OVERLOADED, retryable: true, text: "full up" });
  assert.deepEqual(readWholeAnswer(codec, bytes, IDS.idHigh, IDS.idLow, MAX), answer(bytes));
  const long = answer(messages.error(IDS, 0x8001, false, "x".repeat(5000) + "\ud800"));
  assert.ok(long?.kind === "error" && long.text.length === 1024 && long.text.endsWith("…"));
  const lone = answer(messages.error(IDS, 1, false, "a\ud800b"));
  assert.ok(lone?.kind === "error" && lone.text === "a\ufffdb");
});

test("messages about agents are told apart by type and flag, and come with their payload", () => {
  const payload = Uint8Array.of(1, 2, 3);
  const cases = [
    [MessageType.AGENT_REGISTER, 0, "register"],
    [MessageType.AGENT_DISCOVER, 0, "discover"],
    [MessageType.AGENT_HEARTBEAT, 0, "heartbeat"],
    [MessageType.AGENT_HEARTBEAT, MessageFlag.FINAL, "deregister"],
    [MessageType.CALL, MessageFlag.FINAL, undefined],
  ] as const;
  for (const [type, flags, kind] of cases) {
    const body = type === MessageType.CALL ? join(new Uint8Array(20), payload) : payload;
    const into = target();
    assert.deepEqual(readRequest(codec, message(type, body, { flags }), into, MAX), payload);
    assert.equal(into.lifecycle, kind);
    assert.deepEqual(readAll(message(type, body, { flags }), [7, 40]), payload);
  }
});

test("an answer to another message, of another type, or with more behind it is malformed", () => {
  const response = messages.response(IDS, new Uint8Array(2));
  const cases: [string, Uint8Array, RegExp][] = [
    ["another id", message(MessageType.RESPONSE, new Uint8Array(0), { idLow: 8 }), /another message/],
    ["id 0", message(MessageType.RESPONSE, new Uint8Array(0), { idLow: 0, idHigh: 0 }), /another message/],
    ["another type", message(MessageType.CALL, new Uint8Array(20)), /Call message/],
    ["compressed", message(MessageType.RESPONSE, new Uint8Array(20), { flags: 1 }), /compressed/],
    ["more behind", join(response, response), /more bytes/],
    ["rubbish", new Uint8Array(50).fill(1), /magic/],
    ["a bad Error", message(MessageType.ERROR, Uint8Array.of(1)), /./],
    ["too large", message(MessageType.RESPONSE, new Uint8Array(MAX + 1)), /payload/],
  ];
  for (const [what, bytes, text] of cases) {
    const outcome = answer(bytes);
    assert.ok(outcome?.kind === "malformed", what);
    assert.match(outcome.what, text, what);
  }
});

test("an Error with id 0 counts: the peer could not read whose answer it is", () => {
  const outcome = answer(messages.error({ ...IDS, idHigh: 0, idLow: 0 }, ErrorCode.BAD_REQUEST, false, "rubbish"));
  assert.equal(outcome?.kind, "error");
});

test("a Call of the largest size can be written, a larger one is the caller's mistake", () => {
  const data = new Uint8Array(MAX_CALL_DATA_BYTES);
  // Header, head and checksum of the Metadata in front, then the Call.
  assert.equal(messages.call(IDS, undefined, TARGET, 0, data).length, 32 + 3 + 20 + 8 + 32 + 16_777_216 + 8);
  assert.throws(() => messages.call(IDS, undefined, TARGET, 0, new Uint8Array(MAX_CALL_DATA_BYTES + 1)), RangeError);
  assert.throws(() => messages.response(IDS, new Uint8Array(16_777_217)), RangeError);
});

test("a call of 16 MiB arrives whole, and none of its messages is over the published limit", () => {
  for (const length of [16_777_195, 16_777_196, 16_777_197, 16_777_216]) {
    const data = Uint8Array.from({ length }, (_, i) => i * 31);
    const into = target();
    const reader = new RequestReader(codec, into, MAX_PAYLOAD_BYTES, () => true);
    const read = reader.push(messages.call(IDS, undefined, TARGET, 7, data));
    assert.ok(read instanceof Uint8Array && Buffer.from(read).equals(data), `${length} bytes`);
    assert.equal(into.timeoutSeconds, 7);
  }
});

test("small messages share memory without touching each other", () => {
  const written = Array.from(
    { length: 2000 },
    (_, i) => messages.response({ ...IDS, idLow: i }, Uint8Array.of(i, i >>> 8)),
  );
  written.forEach((bytes, i) => {
    const read = codec.decodeExact(bytes);
    assert.ok(!(read instanceof CodecError));
    assert.equal(read.idLow, i);
    assert.deepEqual([...read.payload], [i & 255, i >>> 8]);
  });
});

test("an agent's name has a target of its own, a UUID is its own target", () => {
  const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash("sha256").update(bytes).digest());
  const uuid = "0190a2b4-0000-7000-8000-00000000000f";
  assert.equal(formatUuid(agentTarget(sha256, uuid.toUpperCase())), uuid);
  const echo = formatUuid(nameTarget(sha256, "echo"));
  assert.equal(echo, "e83b7905-430e-8eb9-a45f-4c9403e26ac3", "SPEC §8.1");
  assert.equal(echo, formatUuid(agentTarget(sha256, "echo")));
  assert.match(echo, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(echo, formatUuid(nameTarget(sha256, "Echo")));
});
