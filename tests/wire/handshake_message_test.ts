import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { concatBytes, toHex } from "../../lib/base/bytes.ts";
import { HandshakeKind } from "../../lib/wire/constants.ts";
import {
  decodeHandshakeMessage,
  encodeCookieAnswer,
  encodeHandshakeMessage,
  encodeReject,
  encodeRetry,
  encodeVersionNegotiation,
  handshakeMessageSize,
  listsVersion,
  readReject,
  readRetry,
  readVersions,
  rejects,
  separateCookie,
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

test("kinds that this version does not have are refused, and those of other shapes", () => {
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

test("a retry carries the beginning of the hello's hash, the difficulty and the cookie", () => {
  const hash = Uint8Array.from({ length: 32 }, (_, i) => 0xa0 + i);
  const cookie = Uint8Array.of(7, 8, 9);
  const bytes = encodeRetry({ cookie, difficulty: 12 }, hash);
  assert.equal(toHex(bytes), "04" + "00".repeat(32) + "0d00" + "a0a1a2a3a4a5a6a7" + "0c" + "03" + "070809");
  const message = decode(bytes);
  assert.ok(message);
  assert.deepEqual(readRetry(message, hash), { cookie, difficulty: 12 });
  for (let i = 0; i < 8; i++) {
    assert.equal(readRetry(message, hash.map((byte, at) => at === i ? byte ^ 1 : byte)), undefined);
  }
  const payload = bytes.slice(35);
  payload[9] = 4;
  assert.equal(decode(encodeHandshakeMessage(HandshakeKind.RETRY, new Uint8Array(32), payload)), undefined);
  for (const length of [0, 9, 10, 75]) {
    const odd = new Uint8Array(length);
    if (length > 9) odd[9] = length - 10;
    assert.equal(decode(encodeHandshakeMessage(HandshakeKind.RETRY, new Uint8Array(32), odd)), undefined, `${length}`);
  }
  assert.throws(() => encodeRetry({ cookie: new Uint8Array(0), difficulty: 0 }, hash), RangeError);
  assert.throws(() => encodeRetry({ cookie: new Uint8Array(65), difficulty: 0 }, hash), RangeError);
});

test("a cookie is taken out of a hello, and one that is cut off makes it no hello", () => {
  const answer = { cookie: Uint8Array.of(7, 8, 9), nonce: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) };
  const payload = concatBytes(Uint8Array.of(0x81), encodeCookieAnswer(answer), Uint8Array.of(0xaa, 0xbb));
  assert.equal(toHex(payload), "81" + "03" + "070809" + "0102030405060708" + "aabb");
  const hello = (payload: Uint8Array) => decode(encodeHandshakeMessage(HandshakeKind.INITIATOR_HELLO, KEY, payload))!;
  const separated = separateCookie(hello(payload));
  assert.deepEqual(separated?.answer, answer);
  assert.equal(toHex(separated!.message.payload), "01aabb");
  assert.equal(toHex(separated!.message.ephemeral), toHex(KEY));
  for (let length = 1; length < 13; length++) assert.equal(separateCookie(hello(payload.slice(0, length))), undefined);
  assert.notEqual(separateCookie(hello(payload.slice(0, 13))), undefined);
  for (const size of [0, 65]) {
    const odd = new Uint8Array(100).fill(1);
    odd[0] = 0x81;
    odd[1] = size;
    assert.equal(separateCookie(hello(odd)), undefined, `a cookie of ${size} bytes`);
  }
  const bare = hello(Uint8Array.of(1, 2, 3));
  assert.deepEqual(separateCookie(bare), { message: bare, answer: undefined });
});

test("a key in a message that has none is refused", () => {
  const retry = encodeRetry({ cookie: KEY, difficulty: 0 }, KEY);
  for (const bytes of [encodeReject(1, new Uint8Array(32)), encodeVersionNegotiation([2]), retry]) {
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
