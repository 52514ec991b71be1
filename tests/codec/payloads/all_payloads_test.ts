import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as codec from "../../../lib/codec/mod.ts";
import { property } from "../../support/seed.ts";
import { agentRecord, bytes, text, u32, uuid } from "../arbitraries.ts";
import { GOLDEN_PAYLOADS, present, unhex } from "../golden.ts";

const { CodecError } = codec;

/** One kind of payload, so that all can be put through the same tests. */
interface Kind {
  readonly name: string;
  readonly run: (check: Check) => void;
}
type Check = <T>(
  values: fc.Arbitrary<T>,
  size: (value: T) => number,
  encode: (out: Uint8Array, at: number, value: T) => number,
  decode: (bytes: Uint8Array, at?: number, end?: number) => unknown,
) => void;

const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const record = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
const description = agentRecord.map((value) => {
  const { status: _1, load: _2, lastHeartbeatMillis: _3, registeredAtMillis: _4, isPlain: _5, ...rest } = value;
  return rest;
});
const status = optional(fc.constantFrom<codec.AgentStatus>("online", "offline", "degraded"));
const cursor = optional(fc.uint8Array({ minLength: 1, maxLength: 64 }));
const query: fc.Arbitrary<codec.DiscoverQuery> = fc.oneof(
  fc.constant({ by: "all" } as const),
  text.map((capability) => ({ by: "capability", capability } as const)),
  text.map((name) => ({ by: "name", name } as const)),
  uuid.map((agentId) => ({ by: "id", agentId } as const)),
);
const traceparent = fc.stringMatching(/^00-[0-9a-f]{31}1-[0-9a-f]{15}2-[0-9a-f]{2}$/);

const KINDS: readonly Kind[] = [
  {
    name: "AgentRegister",
    run: (check) => check(description, codec.sizeOfAgentRegister, codec.encodeAgentRegister, codec.decodeAgentRegister),
  },
  {
    name: "the answer to AgentRegister",
    run: (check) =>
      check(
        record<codec.RegisterResponse>({
          success: fc.boolean(),
          agentId: uuid,
          leaseMillis: u32,
          heartbeatMillis: u32,
          message: optional(text),
        }),
        codec.sizeOfRegisterResponse,
        codec.encodeRegisterResponse,
        codec.decodeRegisterResponse,
      ),
  },
  {
    name: "AgentDiscover",
    run: (check) =>
      check(
        record<codec.AgentDiscover>({
          query,
          limit: optional(fc.integer({ min: 1, max: 65_535 })),
          cursor,
          watch: fc.boolean(),
        }),
        codec.sizeOfAgentDiscover,
        codec.encodeAgentDiscover,
        codec.decodeAgentDiscover,
      ),
  },
  {
    name: "the answer to AgentDiscover",
    run: (check) =>
      check(
        record<codec.DiscoverResponse>({
          agents: fc.array(agentRecord, { maxLength: 3 }),
          cursor,
          total: optional(u32),
          fromStart: fc.boolean(),
          nowMillis: optional(fc.maxSafeNat()),
        }),
        codec.sizeOfDiscoverResponse,
        codec.encodeDiscoverResponse,
        codec.decodeDiscoverResponse,
      ),
  },
  {
    name: "AgentHeartbeat",
    run: (check) =>
      check(
        record<codec.AgentHeartbeat>({ agentId: uuid, status, load: optional(fc.nat(65_535)) }),
        codec.sizeOfAgentHeartbeat,
        codec.encodeAgentHeartbeat,
        codec.decodeAgentHeartbeat,
      ),
  },
  {
    name: "the answer to AgentHeartbeat",
    run: (check) =>
      check(
        record<codec.HeartbeatResponse>({
          success: fc.boolean(),
          needsRegister: fc.boolean(),
          agentId: uuid,
          timestampMillis: fc.oneof(fc.constantFrom(0, Number.MAX_SAFE_INTEGER), fc.maxSafeNat()),
          message: optional(text),
          leaseMillis: optional(u32),
        }),
        codec.sizeOfHeartbeatResponse,
        codec.encodeHeartbeatResponse,
        codec.decodeHeartbeatResponse,
      ),
  },
  {
    name: "Call",
    run: (check) =>
      check(
        record<codec.Call>({ target: uuid, timeoutSeconds: fc.nat(codec.MAX_CALL_TIMEOUT_SECONDS), data: bytes(100) }),
        codec.sizeOfCall,
        codec.encodeCall,
        (bytes, at, end) => {
          const call = codec.decodeCall(bytes, at, end);
          if (call instanceof CodecError) return call;
          return { target: call.target, timeoutSeconds: call.timeoutSeconds, data: call.data };
        },
      ),
  },
  {
    name: "Response",
    run: (check) => check(bytes(100), codec.sizeOfResponse, codec.encodeResponse, codec.decodeResponse),
  },
  {
    name: "Event",
    run: (check) =>
      check(
        record<codec.EventPayload>({ topic: text, data: bytes(100) }),
        codec.sizeOfEvent,
        codec.encodeEvent,
        codec.decodeEvent,
      ),
  },
  {
    name: "StreamOpen",
    run: (check) =>
      check(
        record<codec.StreamOpen>({
          streamId: uuid,
          target: uuid,
          kind: fc.constantFrom<codec.AgentStreamKind>("unidirectional", "bidirectional"),
        }),
        codec.sizeOfStreamOpen,
        codec.encodeStreamOpen,
        codec.decodeStreamOpen,
      ),
  },
  {
    name: "StreamOpen of a resumable stream",
    run: (check) =>
      check(
        record<codec.StreamOpen>({
          streamId: uuid,
          target: uuid,
          kind: fc.constantFrom<codec.AgentStreamKind>("unidirectional", "bidirectional"),
          resume: fc.record(
            { token: uuid, at: fc.maxSafeNat(), bufferBytes: u32, windowMillis: u32 },
            { requiredKeys: ["token"], noNullPrototype: true },
          ),
        }),
        codec.sizeOfStreamOpen,
        codec.encodeStreamOpen,
        codec.decodeStreamOpen,
      ),
  },
  {
    name: "ResumeState",
    run: (check) =>
      check(
        record<codec.ResumeState>({
          streamId: uuid,
          agentId: uuid,
          next: fc.maxSafeNat(),
          windowMillis: u32,
          bufferBytes: u32,
        }),
        codec.sizeOfResumeState,
        codec.encodeResumeState,
        codec.decodeResumeState,
      ),
  },
  {
    name: "StreamProgress",
    run: (check) =>
      check(
        record<codec.StreamProgress>({ streamId: uuid, next: fc.maxSafeNat(), isEnough: fc.boolean() }),
        codec.sizeOfStreamProgress,
        codec.encodeStreamProgress,
        codec.decodeStreamProgress,
      ),
  },
  {
    name: "StreamChunk",
    run: (check) =>
      check(
        record<codec.StreamChunk>({ streamId: uuid, sequence: fc.maxSafeNat(), data: bytes(100) }),
        codec.sizeOfStreamChunk,
        codec.encodeStreamChunk,
        (bytes, at, end) => {
          const chunk = codec.decodeStreamChunk(bytes, at, end);
          if (chunk instanceof CodecError) return chunk;
          return { streamId: chunk.streamId, sequence: chunk.sequence, data: chunk.data };
        },
      ),
  },
  {
    name: "StreamClose",
    run: (check) =>
      check(
        record<codec.StreamClose>({ streamId: uuid, code: fc.nat(65_535), reason: text }),
        codec.sizeOfStreamClose,
        codec.encodeStreamClose,
        codec.decodeStreamClose,
      ),
  },
  {
    name: "Ack",
    run: (check) =>
      check(record<codec.Ack>({ idLow: u32, idHigh: u32 }), codec.sizeOfAck, codec.encodeAck, codec.decodeAck),
  },
  {
    name: "Error",
    run: (check) =>
      check(
        record<codec.ErrorPayload>({ code: fc.nat(65_535), retryable: fc.boolean(), text }),
        codec.sizeOfError,
        codec.encodeError,
        codec.decodeError,
      ),
  },
  {
    name: "Metadata",
    run: (check) =>
      check(
        record<codec.Metadata>({
          method: optional(text),
          deadlineMillis: optional(u32),
          traceparent: optional(traceparent),
          contentType: optional(text),
          idempotencyKey: optional(text),
          capability: optional(text),
          application: fc.array(fc.tuple(text, text), { maxLength: 4 }),
          hopLimit: optional(fc.nat(255)),
          priority: optional(fc.constantFrom("interactive" as const, "bulk" as const)),
          target: optional(uuid),
          accept: optional(fc.nat(255)),
          attempt: optional(fc.record({ number: fc.nat(255), firstHigh: u32, firstLow: u32 })),
          origin: optional(uuid),
        }),
        codec.sizeOfMetadata,
        codec.encodeMetadata,
        codec.decodeMetadata,
      ),
  },
  {
    name: "Subscribe",
    run: (check) =>
      check(
        record<codec.Subscribe>({
          patterns: fc.array(text, { minLength: 1, maxLength: 4 }),
          policy: fc.constantFrom(...codec.SLOW_POLICIES),
          unreliable: fc.boolean(),
          maxEvents: u32,
          maxBytes: u32,
        }),
        codec.sizeOfSubscribe,
        codec.encodeSubscribe,
        codec.decodeSubscribe,
      ),
  },
  {
    name: "the answer to Subscribe",
    run: (check) =>
      check(
        record<codec.SubscribeResponse>({ maxEvents: u32, maxBytes: u32 }),
        codec.sizeOfSubscribeResponse,
        codec.encodeSubscribeResponse,
        codec.decodeSubscribeResponse,
      ),
  },
  {
    name: "Publisher",
    run: (check) =>
      check(
        record<codec.Publisher>({ publicKey: fc.uint8Array({ minLength: 32, maxLength: 32 }) }),
        codec.sizeOfPublisher,
        codec.encodePublisher,
        codec.decodePublisher,
      ),
  },
  {
    name: "Missed",
    run: (check) =>
      check(
        record<codec.Missed>({ count: fc.maxSafeNat().filter((count) => count > 0) }),
        codec.sizeOfMissed,
        codec.encodeMissed,
        codec.decodeMissed,
      ),
  },
];

for (const { name, run } of KINDS) {
  test(`${name} decodes to what was encoded, takes the room it says and no more`, () => {
    run((values, size, encode, decode) => {
      fc.assert(
        fc.property(values, fc.nat(20), (value, at) => {
          const length = size(value);
          const out = new Uint8Array(at + length + 7).fill(0xee);
          assert.equal(encode(out, at, value), at + length);
          assert.ok(out.subarray(0, at).every((byte) => byte === 0xee));
          assert.ok(out.subarray(at + length).every((byte) => byte === 0xee));
          const decoded = decode(out, at, at + length);
          assert.ok(!(decoded instanceof CodecError), String(decoded));
          assert.deepEqual(present(decoded), present(value));
          const tight = new Uint8Array(at + length);
          if (length > 0) assert.throws(() => encode(tight, at + 1, value), RangeError);
        }),
        property(100),
      );
    });
  });

  test(`${name} is never decoded by throwing, whatever the bytes`, () => {
    run((values, size, encode, decode) => {
      const judge = (input: Uint8Array): void => {
        const result = decode(input);
        if (result instanceof CodecError) assert.ok(!result.message.includes("undefined"), result.message);
      };
      fc.assert(fc.property(bytes(200), judge), property(200));
      fc.assert(
        fc.property(
          values,
          fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
          fc.nat(),
          (value, edits, cut) => {
            const out = new Uint8Array(size(value));
            encode(out, 0, value);
            for (const [at, byte] of edits) if (out.length > 0) out[at % out.length] = byte;
            judge(out);
            judge(out.subarray(0, cut % (out.length + 1)));
          },
        ),
        property(100),
      );
    });
  });

  test(`${name} in a range that is not there is the caller's mistake`, () => {
    run((_values, _size, _encode, decode) => {
      const input = new Uint8Array(10);
      for (const [at, end] of [[-1, 5], [6, 5], [0, 11], [NaN, 5]]) {
        assert.throws(() => decode(input, at, end), RangeError);
      }
    });
  });
}

test("a payload that ends in a fixed part or a TLV is refused wherever it is cut", () => {
  // The others end in data or text of any length, down to none.
  const openEnded = ["Call", "Response", "Event", "StreamChunk", "StreamClose", "Error"];
  let tried = 0;
  for (const { name, hex, decode } of GOLDEN_PAYLOADS) {
    if (openEnded.includes(name)) continue;
    const whole = unhex(hex);
    const accepted: number[] = [];
    for (let length = 0; length < whole.length; length++) {
      if (!(decode(whole.subarray(0, length)) instanceof CodecError)) accepted.push(length);
      tried++;
    }
    // Only between two TLVs.
    const ends = tlvBorders(hex);
    const mayBeEmpty = name === "Ack" || name.startsWith("Metadata");
    assert.deepEqual(accepted.filter((length) => !ends.includes(length)), mayBeEmpty ? [0] : [], name);
  }
  assert.ok(tried > 500);
});

/** Where in golden hex a TLV may end: behind any of its fields, which is more than are real borders but few. */
function tlvBorders(hex: string): number[] {
  const borders: number[] = [];
  let at = 0;
  for (const field of hex.split(" ")) {
    at += field.length / 2;
    borders.push(at);
  }
  return borders;
}
