import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { writeSafeU64, writeU32 } from "../../lib/base/bytes.ts";
import { CodecError, type CodecErrorCode } from "../../lib/codec/codec_error.ts";
import { MessageCodec, messageLength, MessageView } from "../../lib/codec/message.ts";
import {
  MAX_PAYLOAD_BYTES,
  MESSAGE_HEADER_BYTES,
  MessageFlag,
  type MessageHeader,
} from "../../lib/codec/message_header.ts";
import { isExtensionType, messageKind, MessageType, messageTypeName } from "../../lib/codec/message_type.ts";
import { LimbsXxh3 } from "../../lib/codec/xxh3/limbs.ts";
import { compileXxh3Kernel, WasmXxh3, XXH3_WORKSPACE_BYTES } from "../../lib/codec/xxh3/wasm.ts";
import { property } from "../support/seed.ts";
import { bytes, header, VALID_TYPES } from "./arbitraries.ts";

/** A codec and a buffer for it. */
interface Setting {
  readonly name: string;
  readonly codec: MessageCodec;
  readonly out: Uint8Array;
}

function settings(): Setting[] {
  const module = compileXxh3Kernel();
  assert.ok(module !== undefined);
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const wasm = new WasmXxh3(module, { memory });
  return [
    { name: "a buffer of its own", codec: new MessageCodec(wasm), out: new Uint8Array(8192) },
    {
      name: "a buffer in the kernel's memory",
      codec: new MessageCodec(wasm),
      out: new Uint8Array(memory.buffer, XXH3_WORKSPACE_BYTES + 3, 8192),
    },
    { name: "without WebAssembly", codec: new MessageCodec(new LimbsXxh3()), out: new Uint8Array(8192) },
  ];
}

const codec = new MessageCodec();
const HEADER: MessageHeader = {
  type: MessageType.CALL,
  flags: MessageFlag.REQUIRES_ACK,
  idLow: 0x89abcdef,
  idHigh: 0x01234567,
  traceLow: 0x76543210,
  traceHigh: 0xfedcba98,
};

function encoded(payload: Uint8Array, fields: MessageHeader = HEADER): Uint8Array {
  const out = new Uint8Array(messageLength(payload.length));
  assert.equal(codec.encode(out, 0, fields, payload), out.length);
  return out;
}

/** Makes the checksum of a message right again. */
function correctChecksum(message: Uint8Array): void {
  new LimbsXxh3().seal(message, 0, message.length - 8);
}

function refused(result: MessageView | CodecError): CodecErrorCode {
  assert.ok(result instanceof CodecError, "the message was accepted");
  assert.match(result.message, /^[a-z].*[^.]$/);
  assert.ok(!result.message.includes("undefined"), result.message);
  return result.code;
}

function accepted(result: MessageView | CodecError): MessageView {
  if (result instanceof CodecError) assert.fail(result.toString());
  return result;
}

for (const { name, codec, out } of settings()) {
  test(`what was encoded decodes to the same header and payload (${name})`, () => {
    fc.assert(
      fc.property(header, bytes(1500), fc.nat(100), (fields, payload, at) => {
        const end = codec.encode(out, at, fields, payload);
        assert.equal(end, at + messageLength(payload.length));
        const message = accepted(codec.decode(out, at, end));
        const { type, flags, idLow, idHigh, traceLow, traceHigh } = message;
        assert.deepEqual({ type, flags, idLow, idHigh, traceLow, traceHigh }, fields);
        assert.deepEqual(message.payload, Uint8Array.from(payload));
        assert.equal(message.payload.buffer, out.buffer, "the payload was copied");
        assert.equal(message.end, end);
        assert.equal(message.messageLength, end - at);
        assert.equal(message.messageId, (BigInt(idHigh) << 32n) | BigInt(idLow));
        assert.equal(message.traceId, (BigInt(traceHigh) << 32n) | BigInt(traceLow));
      }),
      property(150),
    );
  });

  test(`no single bit of a message can flip unnoticed (${name})`, () => {
    for (const length of [0, 1, 64, 300]) {
      const payload = Uint8Array.from({ length }, (_, i) => i * 7);
      const at = 5;
      const end = codec.encode(out, at, HEADER, payload);
      for (let bit = 0; bit < 8 * (end - at); bit++) {
        out[at + (bit >> 3)] ^= 1 << (bit & 7);
        const result = codec.decode(out, at, end);
        assert.ok(result instanceof CodecError, `bit ${bit} of a message with ${length} bytes of payload`);
        out[at + (bit >> 3)] ^= 1 << (bit & 7);
      }
      accepted(codec.decode(out, at, end));
    }
  });

  test(`each kind of bad header is refused by its name (${name})`, () => {
    const end = codec.encode(out, 0, HEADER, new Uint8Array(10));
    const cases: readonly (readonly [number, number, CodecErrorCode])[] = [
      [0, 0x32, "wrong_magic"],
      [3, 0x4e, "wrong_magic"],
      [4, 0x00, "unknown_type"],
      [4, 0x04, "unknown_type"],
      [4, 0x7f, "unknown_type"],
      [4, 0xf2, "unknown_type"],
      [5, 0x10, "bad_flags"],
      [5, 0x80, "bad_flags"],
      [6, 0x01, "reserved_not_zero"],
      [7, 0x80, "reserved_not_zero"],
      [28, 0x01, "payload_too_large"],
      [31, 0x80, "payload_too_large"],
      [27, 0x01, "payload_too_large"],
      [8, 0x00, "checksum_mismatch"],
      [24, 0x09, "checksum_mismatch"],
      [24, 0x0b, "short_buffer"],
      [32, 0xff, "checksum_mismatch"],
      [end - 1, out[end - 1] ^ 1, "checksum_mismatch"],
    ];
    for (const [at, value, code] of cases) {
      const before = out[at];
      out[at] = value;
      assert.equal(refused(codec.decode(out, 0, end)), code, `byte ${at} = ${value}`);
      out[at] = before;
    }
    accepted(codec.decode(out, 0, end));
    writeU32(out, 24, MAX_PAYLOAD_BYTES + 1);
    assert.equal(refused(codec.decode(out, 0, end)), "payload_too_large");
    writeU32(out, 24, MAX_PAYLOAD_BYTES);
    assert.equal(refused(codec.decode(out, 0, end)), "short_buffer");
    assert.equal(refused(codec.decode(out, 0, end, MAX_PAYLOAD_BYTES - 1)), "payload_too_large");
  });
}

test("the order of errors is that of the fields", () => {
  const bad = new Uint8Array(40).fill(0xff);
  const order: CodecErrorCode[] = [];
  const message = encoded(new Uint8Array(0));
  for (const [from, to] of [[0, 4], [4, 5], [5, 6], [6, 8], [24, 32]]) {
    order.push(refused(codec.decode(bad)));
    bad.set(message.subarray(from, to), from);
  }
  assert.deepEqual(order, ["wrong_magic", "unknown_type", "bad_flags", "reserved_not_zero", "payload_too_large"]);
  assert.equal(refused(codec.decode(bad)), "checksum_mismatch");
});

test("every prefix of a message is a short buffer that says how much is needed", () => {
  const message = encoded(new Uint8Array(100));
  for (let length = 0; length < message.length; length++) {
    const result = codec.decode(message.subarray(0, length));
    assert.equal(refused(result), "short_buffer");
    assert.ok(result instanceof CodecError);
    assert.equal(result.seen, length);
    assert.equal(result.expected, length < MESSAGE_HEADER_BYTES ? 40 : message.length);
  }
});

test("a payload of exactly 16 MiB is accepted and one byte more is not, before anything is read or allocated", () => {
  const message = encoded(new Uint8Array(0));
  writeU32(message, 24, MAX_PAYLOAD_BYTES);
  assert.equal(refused(codec.decode(message)), "short_buffer");
  writeU32(message, 24, MAX_PAYLOAD_BYTES + 1);
  assert.equal(refused(codec.decode(message)), "payload_too_large");
  for (const length of [2 ** 32, 2 ** 53 - 1]) {
    writeSafeU64(message, 24, length);
    const result = codec.decode(message);
    assert.equal(refused(result), "payload_too_large");
    assert.equal(result instanceof CodecError && result.seen, length);
  }
  const out = new Uint8Array(messageLength(MAX_PAYLOAD_BYTES));
  const payload = new Uint8Array(MAX_PAYLOAD_BYTES).fill(3);
  assert.equal(codec.encode(out, 0, HEADER, payload), out.length);
  assert.equal(accepted(codec.decodeExact(out)).payloadLength, MAX_PAYLOAD_BYTES);
  assert.throws(() => codec.encode(out, 0, HEADER, new Uint8Array(MAX_PAYLOAD_BYTES + 1)), RangeError);
});

test("a bound of the caller on payloads counts like the protocol's own", () => {
  const message = encoded(new Uint8Array(100));
  assert.equal(refused(codec.decode(message, 0, message.length, 99)), "payload_too_large");
  accepted(codec.decode(message, 0, message.length, 100));
});

test("every published type and the whole extension range are accepted, nothing else", () => {
  for (let type = 0; type < 256; type++) {
    const message = encoded(new Uint8Array(3));
    message[4] = type;
    correctChecksum(message);
    const result = codec.decode(message);
    if (VALID_TYPES.includes(type)) assert.equal(accepted(result).type, type);
    else assert.equal(refused(result), "unknown_type");
    assert.equal(messageKind(type) !== undefined, VALID_TYPES.includes(type));
    assert.equal(messageKind(type) === "Extension", type >= 0x80 && type <= 0xef);
    assert.equal(isExtensionType(type), type >= 0x80 && type <= 0xef);
  }
  assert.equal(VALID_TYPES.length, 11 + 112);
});

test("types have names for people", () => {
  assert.equal(messageTypeName(MessageType.CALL), "Call");
  assert.equal(messageTypeName(MessageType.METADATA), "Metadata");
  assert.equal(messageTypeName(0xa1), "Extension 0xa1");
  assert.equal(messageTypeName(0x82), "Publisher");
  assert.equal(messageTypeName(0x7f), "Unknown 0x7f");
});

test("an exact message may have nothing behind it", () => {
  const two = new Uint8Array(100);
  const end = codec.encode(two, 0, HEADER, new Uint8Array(5));
  assert.equal(accepted(codec.decode(two)).end, end);
  const result = codec.decodeExact(two, 0, end + 1);
  assert.equal(refused(result), "trailing_bytes");
  accepted(codec.decodeExact(two, 0, end));
});

test("messages back to back decode one after the other", () => {
  const out = new Uint8Array(1000);
  let end = 0;
  for (let i = 0; i < 5; i++) end = codec.encode(out, end, { ...HEADER, idLow: i }, new Uint8Array(i * 10));
  const ids: number[] = [];
  for (let at = 0; at < end;) {
    const message = accepted(codec.decode(out, at, end));
    ids.push(message.idLow);
    at = message.end;
  }
  assert.deepEqual(ids, [0, 1, 2, 3, 4]);
});

test("a payload in two parts or written in place gives the same bytes as a joined one", () => {
  fc.assert(
    fc.property(header, bytes(200), bytes(200), (fields, first, second) => {
      const joined = Uint8Array.from([...first, ...second]);
      const expected = encoded(joined, fields);
      const parts = new Uint8Array(expected.length);
      assert.equal(codec.encodeParts(parts, 0, fields, first, second), expected.length);
      assert.deepEqual(parts, expected);
      const inPlace = new Uint8Array(expected.length);
      inPlace.set(joined, MESSAGE_HEADER_BYTES);
      assert.equal(codec.seal(inPlace, 0, fields, MESSAGE_HEADER_BYTES + joined.length), expected.length);
      assert.deepEqual(inPlace, expected);
    }),
    property(100),
  );
});

test("encoding writes nothing outside its place", () => {
  const out = new Uint8Array(200).fill(0xee);
  const end = codec.encode(out, 50, HEADER, new Uint8Array(20));
  assert.ok(out.subarray(0, 50).every((byte) => byte === 0xee));
  assert.ok(out.subarray(end).every((byte) => byte === 0xee));
});

test("a message that is decoded serves as the header of the one that passes it on", () => {
  const message = accepted(codec.decode(encoded(Uint8Array.of(1, 2, 3))));
  const out = new Uint8Array(message.messageLength);
  codec.encode(out, 0, message, message.payload);
  assert.deepEqual(out, encoded(Uint8Array.of(1, 2, 3)));
});

test("mistakes of the caller are thrown, not returned", () => {
  const out = new Uint8Array(100);
  const payload = new Uint8Array(10);
  assert.throws(() => codec.encode(out, 51, HEADER, payload), RangeError);
  assert.throws(() => codec.encode(out, -1, HEADER, payload), RangeError);
  assert.throws(() => codec.encode(out, NaN, HEADER, payload), RangeError);
  assert.throws(() => codec.encode(out, 0, { ...HEADER, type: 0x04 }, payload), RangeError);
  assert.throws(() => codec.encode(out, 0, { ...HEADER, type: 300 }, payload), RangeError);
  assert.throws(() => codec.encode(out, 0, { ...HEADER, flags: 0x10 }, payload), RangeError);
  assert.throws(() => codec.encodeParts(out, 0, HEADER, new Uint8Array(31), new Uint8Array(30)), RangeError);
  assert.throws(() => codec.seal(out, 0, HEADER, 31), RangeError);
  assert.throws(() => codec.seal(out, 0, HEADER, 93), RangeError);
  assert.throws(() => codec.decode(out, -1, 50), RangeError);
  assert.throws(() => codec.decode(out, 60, 50), RangeError);
  assert.throws(() => codec.decode(out, 0, 101), RangeError);
});

test("random bytes never make the decoder throw", () => {
  const start = Uint8Array.of(0x31, 0x50, 0x58, 0x4d);
  fc.assert(
    fc.property(bytes(300), fc.boolean(), (random, withMagic) => {
      const input = withMagic ? Uint8Array.from([...start, ...random]) : random;
      const result = codec.decodeExact(input);
      assert.ok(result instanceof CodecError);
      assert.equal(typeof result.message, "string");
    }),
    property(500),
  );
});
