import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CodecError, type CodecErrorCode } from "../../lib/codec/codec_error.ts";
import { MessageCodec, messageLength, type MessageView } from "../../lib/codec/message.ts";
import type { MessageHeader, MessageHeaderView } from "../../lib/codec/message_header.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { MessageReader } from "../../lib/codec/message_reader.ts";
import { property } from "../support/seed.ts";
import { bytes, header } from "./arbitraries.ts";

const codec = new MessageCodec();
const HEADER: MessageHeader = { type: MessageType.EVENT, flags: 0, idLow: 1, idHigh: 2, traceLow: 3, traceHigh: 4 };

/** Messages back to back. */
function stream(...messages: readonly (readonly [MessageHeader, Uint8Array])[]): Uint8Array {
  const out = new Uint8Array(messages.reduce((sum, [, payload]) => sum + messageLength(payload.length), 0));
  let at = 0;
  for (const [fields, payload] of messages) at = codec.encode(out, at, fields, payload);
  return out;
}

/** What of a message is kept after its bytes are gone. */
function keep(message: MessageView): string {
  const { type, flags, messageId, traceId, payload } = message;
  return `${type} ${flags} ${messageId} ${traceId} ${payload.join()}`;
}

/** Pushes a piece and takes everything out. Every piece is a copy that is overwritten afterwards. */
function feed(reader: MessageReader, piece: Uint8Array, into: string[]): CodecError | undefined {
  const copy = piece.slice();
  reader.push(copy);
  for (let message = reader.next(); message !== undefined; message = reader.next()) {
    if (message instanceof CodecError) return message;
    into.push(keep(message));
  }
  copy.fill(0xcc);
  return undefined;
}

/** What is pending. A function, because a getter that was compared with undefined is taken to stay so. */
function pendingOf(reader: MessageReader): MessageHeaderView | undefined {
  return reader.pending;
}

function failure(reader: MessageReader, piece: Uint8Array): CodecErrorCode | undefined {
  return feed(reader, piece, [])?.code;
}

test("any cutting of a stream gives the same messages as decoding it whole", () => {
  const messages = fc.array(fc.tuple(header, bytes(400)), { maxLength: 6 });
  const cuts = fc.array(fc.nat(2000), { maxLength: 12 });
  fc.assert(
    fc.property(messages, cuts, (list, cuts) => {
      const whole = stream(...list);
      const expected: string[] = [];
      for (let at = 0; at < whole.length;) {
        const message = codec.decode(whole, at);
        assert.ok(!(message instanceof CodecError));
        expected.push(keep(message));
        at = message.end;
      }
      const reader = new MessageReader(codec);
      const got: string[] = [];
      const borders = [0, ...cuts.filter((cut) => cut < whole.length).sort((a, b) => a - b), whole.length];
      for (let i = 1; i < borders.length; i++) {
        assert.equal(feed(reader, whole.subarray(borders[i - 1], borders[i]), got), undefined);
      }
      assert.deepEqual(got, expected);
      assert.equal(reader.finish(), undefined);
      assert.equal(reader.heldBytes, 0);
    }),
    property(150),
  );
});

test("a stream that comes byte by byte gives the same messages", () => {
  const whole = stream([HEADER, new Uint8Array(0)], [HEADER, new Uint8Array(90).fill(9)], [HEADER, Uint8Array.of(5)]);
  const reader = new MessageReader(codec);
  const got: string[] = [];
  for (let at = 0; at < whole.length; at++) assert.equal(feed(reader, whole.subarray(at, at + 1), got), undefined);
  const expected: string[] = [];
  feed(new MessageReader(codec), whole, expected);
  assert.deepEqual(got, expected);
  assert.equal(got.length, 3);
});

test("messages that lie whole in one piece are decoded where they lie", () => {
  const piece = stream([HEADER, new Uint8Array(100)], [HEADER, new Uint8Array(5000)]);
  const reader = new MessageReader(codec);
  reader.push(piece);
  for (let i = 0; i < 2; i++) {
    const message = reader.next();
    assert.ok(message !== undefined && !(message instanceof CodecError));
    assert.equal(message.bytes, piece);
  }
  assert.equal(reader.next(), undefined);
  assert.equal(reader.reservedBytes, 0);
});

test("the header of an unfinished message is known with its 32nd byte and not before", () => {
  const whole = stream([{ ...HEADER, idLow: 77 }, new Uint8Array(1000)]);
  for (const first of [1, 31]) {
    const reader = new MessageReader(codec);
    feed(reader, whole.subarray(0, first), []);
    assert.equal(pendingOf(reader), undefined);
    assert.equal(reader.heldBytes, first);
    feed(reader, whole.subarray(first, 32), []);
    assert.equal(pendingOf(reader)?.payloadLength, 1000);
    assert.equal(pendingOf(reader)?.idLow, 77);
    assert.equal(pendingOf(reader)?.type, MessageType.EVENT);
    const got: string[] = [];
    feed(reader, whole.subarray(32), got);
    assert.equal(got.length, 1);
    assert.equal(pendingOf(reader), undefined);
  }
});

test("a bad header is refused with its 32nd byte, whatever it announces", () => {
  const cases: readonly (readonly [number, number, CodecErrorCode])[] = [
    [0, 0, "wrong_magic"],
    [4, 0x7f, "unknown_type"],
    [5, 0x40, "bad_flags"],
    [6, 1, "reserved_not_zero"],
    [29, 1, "payload_too_large"],
  ];
  for (const [at, value, code] of cases) {
    const head = stream([HEADER, new Uint8Array(500)]).slice(0, 32);
    head[at] = value;
    const inOne = new MessageReader(codec);
    assert.equal(failure(inOne, head), code);
    const inTwo = new MessageReader(codec);
    assert.equal(failure(inTwo, head.subarray(0, 20)), undefined);
    assert.equal(failure(inTwo, head.subarray(20)), code);
    assert.equal(inTwo.reservedBytes, 0);
  }
});

test("memory grows with what has arrived, not with what was announced", () => {
  const whole = stream([HEADER, new Uint8Array(1_000_000)]);
  const reader = new MessageReader(codec);
  let largest = 0;
  for (let at = 0; at < whole.length; at += 1000) {
    const arrived = Math.min(at + 1000, whole.length);
    feed(reader, whole.subarray(at, arrived), []);
    if (arrived < whole.length) assert.equal(reader.heldBytes, arrived);
    assert.ok(reader.reservedBytes <= Math.max(512, 2 * arrived), `${reader.reservedBytes} for ${arrived}`);
    assert.ok(reader.reservedBytes <= whole.length);
    largest = Math.max(largest, reader.reservedBytes);
  }
  assert.equal(largest, whole.length);
  assert.equal(reader.reservedBytes, 0, "a large buffer is given up after its message");
});

test("an announcement of 16 MiB costs next to nothing", () => {
  const head = stream([HEADER, new Uint8Array(0)]).slice(0, 32);
  head.set([0, 0, 0, 1], 24);
  const reader = new MessageReader(codec);
  feed(reader, head, []);
  assert.equal(pendingOf(reader)?.payloadLength, 16_777_216);
  assert.ok(reader.reservedBytes <= 512);
});

test("a payload over the caller's bound is refused with its header", () => {
  const whole = stream([HEADER, new Uint8Array(101)]);
  const reader = new MessageReader(codec, { maxPayload: 100 });
  assert.equal(failure(reader, whole.subarray(0, 32)), "payload_too_large");
  const fits = new MessageReader(codec, { maxPayload: 101 });
  const got: string[] = [];
  feed(fits, whole, got);
  assert.equal(got.length, 1);
});

test("messages before an error are delivered, and the error stays", () => {
  const whole = stream([HEADER, Uint8Array.of(1)], [HEADER, Uint8Array.of(2)], [HEADER, Uint8Array.of(3)]);
  whole[41 + 35] ^= 1;
  for (const size of [1, 7, 50, 200]) {
    const reader = new MessageReader(codec);
    const got: string[] = [];
    let error: CodecError | undefined;
    for (let at = 0; at < whole.length && error === undefined; at += size) {
      error = feed(reader, whole.subarray(at, at + size), got);
    }
    assert.equal(error?.code, "checksum_mismatch");
    assert.equal(got.length, 1);
    reader.push(stream([HEADER, Uint8Array.of(4)]));
    assert.equal(reader.next(), error);
    assert.equal(reader.next(), error);
    assert.equal(reader.finish(), error);
    assert.equal(pendingOf(reader), undefined);
    assert.equal(reader.reservedBytes, 0);
  }
});

test("a stream that ends inside a message has been cut short", () => {
  const whole = stream([HEADER, new Uint8Array(10)]);
  for (let length = 1; length < whole.length; length++) {
    const reader = new MessageReader(codec);
    feed(reader, whole.subarray(0, length), []);
    assert.equal(reader.finish()?.code, "short_buffer");
  }
  assert.equal(new MessageReader(codec).finish(), undefined);
});

test("a piece cannot be pushed before the last one is used up", () => {
  const reader = new MessageReader(codec);
  reader.push(stream([HEADER, new Uint8Array(1)], [HEADER, new Uint8Array(1)]));
  reader.next();
  assert.throws(() => reader.push(new Uint8Array(1)), RangeError);
  while (reader.next() !== undefined);
  reader.push(new Uint8Array(0));
  assert.equal(reader.next(), undefined);
});

test("a bound over the protocol's own is the caller's mistake", () => {
  for (const maxPayload of [-1, NaN, 16_777_217]) {
    assert.throws(() => new MessageReader(codec, { maxPayload }), RangeError);
  }
});

test("random bytes never make the reader throw, and it never holds more than arrived", () => {
  fc.assert(
    fc.property(fc.array(bytes(100), { maxLength: 8 }), fc.boolean(), (pieces, good) => {
      const reader = new MessageReader(codec);
      let arrived = 0;
      const begin = good ? stream([HEADER, new Uint8Array(300)]).subarray(0, 60) : new Uint8Array(0);
      for (const piece of [begin, ...pieces]) {
        arrived += piece.length;
        if (feed(reader, piece, []) !== undefined) return;
        assert.ok(reader.heldBytes <= arrived);
      }
    }),
    property(300),
  );
});
