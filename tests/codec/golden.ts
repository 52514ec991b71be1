/**
 * Values and the bytes that they must have. The same hex stands in docs/SPEC.md; a space ends a field.
 *
 * @module
 */

import { address } from "../../lib/base/address.ts";
import { fromHex } from "../../lib/base/bytes.ts";
import { parseUuid } from "../../lib/base/uuid.ts";
import * as codec from "../../lib/codec/mod.ts";

/** A payload, what it must look like, and the functions for its kind. */
export interface GoldenPayload {
  readonly name: string;
  readonly hex: string;
  readonly value: unknown;
  readonly size: number;
  readonly encode: (out: Uint8Array, at: number) => number;
  readonly decode: (bytes: Uint8Array, at?: number, end?: number) => unknown;
}

/** A message without its payload's meaning. */
export interface GoldenMessage {
  readonly name: string;
  readonly header: codec.MessageHeader;
  readonly payload: string;
  /** The whole message. */
  readonly hex?: string;
  /** Where that would be too long, its last eight bytes. */
  readonly checksum?: string;
}

/** The bytes of hex with spaces in it. */
export function unhex(text: string): Uint8Array {
  const bytes = fromHex(text.replaceAll(" ", ""));
  if (bytes === undefined) throw new RangeError(`not hex: ${text}`);
  return bytes;
}

/** Without the keys whose value is undefined, so that they compare equal to missing ones. */
export function present<T>(value: T): T {
  if (Array.isArray(value)) return value.map(present) as T;
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(entries.map(([key, member]) => [key, present(member)])) as T;
}

function uuid(text: string): Uint8Array {
  const bytes = parseUuid(text);
  if (bytes === undefined) throw new RangeError(`not a UUID: ${text}`);
  return bytes;
}

function golden<T>(
  name: string,
  hex: string,
  value: T,
  size: (value: T) => number,
  encode: (out: Uint8Array, at: number, value: T) => number,
  decode: GoldenPayload["decode"],
): GoldenPayload {
  return { name, hex, value, size: size(value), encode: (out, at) => encode(out, at, value), decode };
}

const AGENT = uuid("00112233-4455-6677-8899-aabbccddeeff");
const STREAM = uuid("f0e1d2c3-b4a5-9687-7869-5a4b3c2d1e0f");

/** One of every payload. */
export const GOLDEN_PAYLOADS: readonly GoldenPayload[] = [
  golden(
    "AgentRegister, published fields only",
    "00112233445566778899aabbccddeeff 0400 6563686f 0200 0400 6563686f 0600 746578742e61 7f000001 2823",
    {
      agentId: AGENT,
      name: "echo",
      capabilities: ["echo", "text.a"],
      endpoint: address("127.0.0.1", 9000),
      tags: [],
      metadata: [],
    },
    codec.sizeOfAgentRegister,
    codec.encodeAgentRegister,
    codec.decodeAgentRegister,
  ),
  golden(
    "AgentRegister with every TLV",
    "00112233445566778899aabbccddeeff 0100 61 0000 00000000 0000 " +
      "01 2000 0101010101010101010101010101010101010101010101010101010101010101 " +
      "02 1200 20010db8000000000000000000000001 2923 " +
      "03 0500 312e322e33 04 0300 c3a421 05 0100 78 05 0100 79 06 0400 02 6b31 76 07 0400 30750000",
    {
      agentId: AGENT,
      name: "a",
      capabilities: [],
      publicKey: new Uint8Array(32).fill(1),
      endpoint6: address("2001:db8::1", 9001),
      version: "1.2.3",
      description: "ä!",
      tags: ["x", "y"],
      metadata: [["k1", "v"]],
      leaseMillis: 30_000,
    },
    codec.sizeOfAgentRegister,
    codec.encodeAgentRegister,
    codec.decodeAgentRegister,
  ),
  golden(
    "Response to AgentRegister",
    "01 00112233445566778899aabbccddeeff 30750000 10270000 01 0200 6f6b",
    { success: true, agentId: AGENT, leaseMillis: 30_000, heartbeatMillis: 10_000, message: "ok" },
    codec.sizeOfRegisterResponse,
    codec.encodeRegisterResponse,
    codec.decodeRegisterResponse,
  ),
  golden(
    "AgentDiscover by capability, at most 10, going on, watching",
    "01 0600 746578742e2a 01 0200 0a00 02 0300 c0ffee 03 0000",
    {
      query: { by: "capability", capability: "text.*" },
      limit: 10,
      cursor: Uint8Array.of(0xc0, 0xff, 0xee),
      watch: true,
    } satisfies codec.AgentDiscover,
    codec.sizeOfAgentDiscover,
    codec.encodeAgentDiscover,
    codec.decodeAgentDiscover,
  ),
  golden(
    "AgentDiscover by name",
    "02 0400 6563686f",
    { query: { by: "name", name: "echo" }, watch: false } satisfies codec.AgentDiscover,
    codec.sizeOfAgentDiscover,
    codec.encodeAgentDiscover,
    codec.decodeAgentDiscover,
  ),
  golden(
    "AgentDiscover by id",
    "03 1000 00112233445566778899aabbccddeeff",
    { query: { by: "id", agentId: AGENT }, watch: false } satisfies codec.AgentDiscover,
    codec.sizeOfAgentDiscover,
    codec.encodeAgentDiscover,
    codec.decodeAgentDiscover,
  ),
  golden(
    "AgentDiscover of everything",
    "00 0000",
    { query: { by: "all" }, watch: false } satisfies codec.AgentDiscover,
    codec.sizeOfAgentDiscover,
    codec.encodeAgentDiscover,
    codec.decodeAgentDiscover,
  ),
  golden(
    "Response to AgentDiscover with one agent",
    "0100 3a000000 00112233445566778899aabbccddeeff 0100 61 0000 00000000 0000 " +
      "10 0100 01 11 0200 f401 12 0800 00d00fb78d010000 13 0800 00b3020000000000 01 0100 07 02 0400 02000000",
    {
      agents: [{
        agentId: AGENT,
        name: "a",
        capabilities: [],
        tags: [],
        metadata: [],
        status: "online",
        load: 500,
        lastHeartbeatMillis: 1_708_173_283_328,
        registeredAtMillis: 176_896,
      }],
      cursor: Uint8Array.of(7),
      total: 2,
      fromStart: false,
    } satisfies codec.DiscoverResponse,
    codec.sizeOfDiscoverResponse,
    codec.encodeDiscoverResponse,
    codec.decodeDiscoverResponse,
  ),
  golden(
    "AgentHeartbeat",
    "00112233445566778899aabbccddeeff 01 0100 03 02 0200 e803",
    { agentId: AGENT, status: "degraded", load: 1000 } satisfies codec.AgentHeartbeat,
    codec.sizeOfAgentHeartbeat,
    codec.encodeAgentHeartbeat,
    codec.decodeAgentHeartbeat,
  ),
  golden(
    "Response to AgentHeartbeat",
    "00 01 00112233445566778899aabbccddeeff 0102030405060000 01 0400 676f6e65 02 0400 60ea0000",
    {
      success: false,
      needsRegister: true,
      agentId: AGENT,
      timestampMillis: 0x0605_0403_0201,
      message: "gone",
      leaseMillis: 60_000,
    },
    codec.sizeOfHeartbeatResponse,
    codec.encodeHeartbeatResponse,
    codec.decodeHeartbeatResponse,
  ),
  golden(
    "Call",
    "00112233445566778899aabbccddeeff 05000000 68656c6c6f",
    { target: AGENT, timeoutSeconds: 5, data: unhex("68656c6c6f") },
    codec.sizeOfCall,
    codec.encodeCall,
    (bytes, at, end) => {
      const call = codec.decodeCall(bytes, at, end);
      if (call instanceof codec.CodecError) return call;
      return { target: call.target, timeoutSeconds: call.timeoutSeconds, data: call.data };
    },
  ),
  golden(
    "Response",
    "68656c6c6f",
    unhex("68656c6c6f"),
    codec.sizeOfResponse,
    codec.encodeResponse,
    codec.decodeResponse,
  ),
  golden(
    "Event",
    "0300 612e62 0102",
    { topic: "a.b", data: Uint8Array.of(1, 2) },
    codec.sizeOfEvent,
    codec.encodeEvent,
    codec.decodeEvent,
  ),
  golden(
    "StreamOpen",
    "f0e1d2c3b4a5968778695a4b3c2d1e0f 00112233445566778899aabbccddeeff 02",
    { streamId: STREAM, target: AGENT, kind: "bidirectional" } satisfies codec.StreamOpen,
    codec.sizeOfStreamOpen,
    codec.encodeStreamOpen,
    codec.decodeStreamOpen,
  ),
  golden(
    "StreamOpen that goes on with a stream",
    "f0e1d2c3b4a5968778695a4b3c2d1e0f 00112233445566778899aabbccddeeff 02 " +
      "01 1000 0102030405060708090a0b0c0d0e0f10 02 0800 0700000001000000 03 0400 00001000 04 0400 30750000",
    {
      streamId: STREAM,
      target: AGENT,
      kind: "bidirectional",
      resume: {
        token: Uint8Array.from({ length: 16 }, (_, i) => i + 1),
        at: 0x1_0000_0007,
        bufferBytes: 1_048_576,
        windowMillis: 30_000,
      },
    } satisfies codec.StreamOpen,
    codec.sizeOfStreamOpen,
    codec.encodeStreamOpen,
    codec.decodeStreamOpen,
  ),
  golden(
    "StreamChunk",
    "f0e1d2c3b4a5968778695a4b3c2d1e0f 0700000001000000 746f6b656e",
    { streamId: STREAM, sequence: 0x1_0000_0007, data: unhex("746f6b656e") },
    codec.sizeOfStreamChunk,
    codec.encodeStreamChunk,
    (bytes, at, end) => {
      const chunk = codec.decodeStreamChunk(bytes, at, end);
      if (chunk instanceof codec.CodecError) return chunk;
      return { streamId: chunk.streamId, sequence: chunk.sequence, data: chunk.data };
    },
  ),
  golden(
    "StreamClose",
    "f0e1d2c3b4a5968778695a4b3c2d1e0f 0800 656e6f756768",
    { streamId: STREAM, code: 8, reason: "enough" },
    codec.sizeOfStreamClose,
    codec.encodeStreamClose,
    codec.decodeStreamClose,
  ),
  golden(
    "ResumeState",
    "f0e1d2c3b4a5968778695a4b3c2d1e0f 00112233445566778899aabbccddeeff 0700000001000000 30750000 00001000",
    {
      streamId: STREAM,
      agentId: AGENT,
      next: 0x1_0000_0007,
      windowMillis: 30_000,
      bufferBytes: 1_048_576,
    } satisfies codec.ResumeState,
    codec.sizeOfResumeState,
    codec.encodeResumeState,
    codec.decodeResumeState,
  ),
  golden(
    "StreamProgress",
    "f0e1d2c3b4a5968778695a4b3c2d1e0f 0700000001000000 01",
    { streamId: STREAM, next: 0x1_0000_0007, isEnough: true } satisfies codec.StreamProgress,
    codec.sizeOfStreamProgress,
    codec.encodeStreamProgress,
    codec.decodeStreamProgress,
  ),
  golden(
    "Ack",
    "efcdab8967452301",
    { idLow: 0x89abcdef, idHigh: 0x01234567 },
    codec.sizeOfAck,
    codec.encodeAck,
    codec.decodeAck,
  ),
  golden(
    "Error",
    "0600 01 62757379",
    { code: codec.ErrorCode.OVERLOADED, retryable: true, text: "busy" },
    codec.sizeOfError,
    codec.encodeError,
    codec.decodeError,
  ),
  golden(
    "Metadata",
    "01 0300 73756d 02 0400 dc050000 " +
      "03 3700 30302d30616637363531393136636434336464383434386562323131633830333139632d623761643662373136393230333333312d3031 " +
      "04 0a00 746578742f706c61696e 05 0200 6b37 06 0600 746578742e61 07 0500 02 6b31 7631 07 0500 02 6b31 7632 08 0100 08",
    {
      method: "sum",
      deadlineMillis: 1500,
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      contentType: "text/plain",
      idempotencyKey: "k7",
      capability: "text.a",
      application: [["k1", "v1"], ["k1", "v2"]],
      hopLimit: 8,
    } satisfies codec.Metadata,
    codec.sizeOfMetadata,
    codec.encodeMetadata,
    codec.decodeMetadata,
  ),
  golden(
    "Metadata of a second attempt that was passed on",
    "05 0100 6b 0f 0900 01 efcdab8967452301 10 1000 000102030405060708090a0b0c0d0e0f",
    {
      application: [],
      idempotencyKey: "k",
      attempt: { number: 1, firstHigh: 0x01234567, firstLow: 0x89abcdef },
      origin: new Uint8Array(16).map((_, i) => i),
    } satisfies codec.Metadata,
    codec.sizeOfMetadata,
    codec.encodeMetadata,
    codec.decodeMetadata,
  ),
  golden(
    "Metadata of an event for an agent",
    "05 0200 6b37 0a 1000 00112233445566778899aabbccddeeff",
    { idempotencyKey: "k7", application: [], target: AGENT } satisfies codec.Metadata,
    codec.sizeOfMetadata,
    codec.encodeMetadata,
    codec.decodeMetadata,
  ),
  golden(
    "Subscribe",
    "01 00 00010000 00000400 0200 0800 6f72646572732e2a 0700 61756469742e3e",
    {
      patterns: ["orders.*", "audit.>"],
      policy: "drop_newest",
      unreliable: false,
      maxEvents: 256,
      maxBytes: 262_144,
    } satisfies codec.Subscribe,
    codec.sizeOfSubscribe,
    codec.encodeSubscribe,
    codec.decodeSubscribe,
  ),
  golden(
    "Response to Subscribe",
    "00010000 00000400",
    { maxEvents: 256, maxBytes: 262_144 } satisfies codec.SubscribeResponse,
    codec.sizeOfSubscribeResponse,
    codec.encodeSubscribeResponse,
    codec.decodeSubscribeResponse,
  ),
  golden(
    "Publisher",
    "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
    { publicKey: Uint8Array.from({ length: 32 }, (_, i) => i + 1) } satisfies codec.Publisher,
    codec.sizeOfPublisher,
    codec.encodePublisher,
    codec.decodePublisher,
  ),
  golden(
    "Missed",
    "0301000000000000",
    { count: 259 } satisfies codec.Missed,
    codec.sizeOfMissed,
    codec.encodeMissed,
    codec.decodeMissed,
  ),
];

/** Whole messages. */
export const GOLDEN_MESSAGES: readonly GoldenMessage[] = [
  {
    name: "Ack without payload, every other field zero",
    header: { type: 0xf0, flags: 0, idLow: 0, idHigh: 0, traceLow: 0, traceHigh: 0 },
    payload: "",
    hex: "3150584d f0 00 0000 0000000000000000 0000000000000000 0000000000000000 465a63c970385c23",
  },
  {
    name: "Call to the node itself",
    header: {
      type: 0x10,
      flags: 0x04,
      idLow: 0x89abcdef,
      idHigh: 0x01234567,
      traceLow: 0x1c80319c,
      traceHigh: 0x8448eb21,
    },
    payload: "00000000000000000000000000000000 05000000 68656c6c6f",
    hex: "3150584d 10 04 0000 efcdab8967452301 9c31801c21eb4884 1900000000000000 " +
      "00000000000000000000000000000000 05000000 68656c6c6f 162f27cef27c810a",
  },
  {
    name: "Response of 1024 bytes, each its own position modulo 251",
    header: { type: 0x11, flags: 0x08, idLow: 1, idHigh: 0, traceLow: 2, traceHigh: 0 },
    payload: Array.from({ length: 1024 }, (_, i) => (i % 251).toString(16).padStart(2, "0")).join(""),
    checksum: "81fb081b74ca0934",
  },
];
