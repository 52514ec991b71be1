import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { concatBytes, toHex } from "../../lib/base/bytes.ts";
import { HandshakeKind } from "../../lib/wire/constants.ts";
import {
  decodeHandshakeMessage,
  encodeHandshakeMessage,
  encodeReject,
  encodeVersionNegotiation,
  handshakeMessageSize,
  listsVersion,
  readReject,
  readVersions,
  rejects,
} from "../../lib/wire/handshake_message.ts";
import { property } from "../support/seed.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, i) => i + 1);
const decode = (bytes: Uint8Array) => decodeHandshakeMessage(bytes, 0, bytes.length);

test("a handshake message is kind, key, length, payload", () => {
  const bytes = encodeHandshakeMessage(HandshakeKind.RESPONDER_HELLO, KEY, Uint8Array.of(0x01, 0xaa));
  assert.equal(toHex(bytes), "02" + toHex(KEY) + "0200" + "01aa");
  assert.equal(bytes.length, handshakeMessageSize(2));
});

test("hellos and finish survive the way there and back, in the middle of a UDP datagram", () => {
  const kind = fc.constantFrom(
    HandshakeKind.INITIATOR_HELLO,
    HandshakeKind.RESPONDER_HELLO,
    HandshakeKind.INITIATOR_FINISH,
  );
  fc.assert(
    fc.property(
      kind,
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      (kind, key, payload) => {
        const bytes = encodeHandshakeMessage(kind, key, payload);
        const message = decodeHandshakeMessage(concatBytes(KEY, bytes, KEY), 32, 32 + bytes.length);
        assert.ok(message);
        assert.equal(message.kind, kind);
        assert.equal(toHex(message.ephemeral), toHex(key));
        assert.equal(toHex(message.payload), toHex(payload));
      },
    ),
    property(),
  );
});

test("a payload that does not end the packet is refused", () => {
  const bytes = encodeHandshakeMessage(HandshakeKind.INITIATOR_HELLO, KEY, new Uint8Array(10));
  assert.ok(decode(bytes));
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(decodeHandshakeMessage(bytes, 0, length), undefined, `${length} bytes`);
  }
  assert.equal(decode(concatBytes(bytes, new Uint8Array(1))), undefined);
});

test("kinds that this version does not have are refused, Retry among them", () => {
  const bytes = encodeHandshakeMessage(HandshakeKind.INITIATOR_HELLO, KEY, new Uint8Array(4));
  const known: number[] = [
    HandshakeKind.INITIATOR_HELLO,
    HandshakeKind.RESPONDER_HELLO,
    HandshakeKind.INITIATOR_FINISH,
  ];
  for (let kind = 0; kind < 256; kind++) {
    bytes[0] = kind;
    assert.equal(decode(bytes) !== undefined, known.includes(kind), `kind ${kind}`);
  }
});

test("a hello without even a pattern byte is refused", () => {
  assert.equal(decode(encodeHandshakeMessage(HandshakeKind.INITIATOR_HELLO, KEY, new Uint8Array(0))), undefined);
});

test("version negotiation lists versions", () => {
  const bytes = encodeVersionNegotiation([1, 0xffffffff]);
  assert.equal(toHex(bytes), "05" + "00".repeat(32) + "0800" + "01000000ffffffff");
  const message = decode(bytes);
  assert.ok(message);
  assert.deepEqual(readVersions(message), [1, 0xffffffff]);
  assert.equal(listsVersion(message, 1), true);
  assert.equal(listsVersion(message, 2), false);
  for (const length of [0, 1, 3, 5]) {
    const odd = encodeHandshakeMessage(HandshakeKind.VERSION_NEGOTIATION, new Uint8Array(32), new Uint8Array(length));
    assert.equal(decode(odd), undefined, `${length} bytes`);
  }
});

test("a reject carries one code and the beginning of the hash of the hello that it is about", () => {
  const hash = Uint8Array.from({ length: 32 }, (_, i) => 0xa0 + i);
  const bytes = encodeReject(0x0102, hash);
  assert.equal(toHex(bytes), "06" + "00".repeat(32) + "0a00" + "0201" + "a0a1a2a3a4a5a6a7");
  const message = decode(bytes);
  assert.ok(message);
  assert.equal(readReject(message), 0x0102);
  assert.equal(rejects(message, hash), true);
  assert.equal(rejects(message, hash.map((byte, i) => i === 7 ? byte ^ 1 : byte)), false);
  for (const length of [0, 2, 9, 11]) {
    const odd = encodeHandshakeMessage(HandshakeKind.REJECT, new Uint8Array(32), new Uint8Array(length));
    assert.equal(decode(odd), undefined, `${length} bytes`);
  }
});

test("a key in a message that has none is refused", () => {
  for (const bytes of [encodeReject(1, new Uint8Array(32)), encodeVersionNegotiation([2])]) {
    bytes[32] = 1;
    assert.equal(decode(bytes), undefined);
  }
});

test("lengths that no message can have are the caller's mistake", () => {
  assert.throws(() => encodeHandshakeMessage(HandshakeKind.REJECT, new Uint8Array(31), new Uint8Array(2)), RangeError);
  assert.throws(() => encodeHandshakeMessage(HandshakeKind.INITIATOR_HELLO, KEY, new Uint8Array(65501)), RangeError);
});

test("random and mutated bytes never throw", () => {
  const valid = encodeHandshakeMessage(HandshakeKind.INITIATOR_HELLO, KEY, new Uint8Array(20));
  const mutated = fc.tuple(fc.nat(valid.length - 1), fc.nat(255)).map(([at, value]) => {
    const bytes = valid.slice();
    bytes[at] = value;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), mutated), (bytes) => {
      const message = decode(bytes);
      if (message !== undefined) assert.equal(message.payload.length, bytes.length - 35);
    }),
    property(500),
  );
});
