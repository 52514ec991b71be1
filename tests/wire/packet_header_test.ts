import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { ConnectionId } from "../../lib/wire/connection_id.ts";
import { PacketFlag } from "../../lib/wire/constants.ts";
import { PacketReader, writeHandshakePacket, writePacketHeader } from "../../lib/wire/packet_header.ts";
import { concatBytes, fromHex, toHex } from "../../lib/base/bytes.ts";
import { property } from "../support/seed.ts";

const DST = new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
const SENDER = new ConnectionId(Uint8Array.of(11, 12, 13, 14, 15, 16, 17, 18));

function protectedPacket(bodyLength: number, flags = 0x1e): Uint8Array {
  const out = new Uint8Array(32 + bodyLength).fill(0xee);
  writePacketHeader(out, 0, DST, 7, flags, bodyLength, new Uint8Array(12).fill(0xaa));
  return out;
}

function handshakePacket(message: Uint8Array): Uint8Array {
  const out = new Uint8Array(32 + message.length);
  assert.equal(writeHandshakePacket(out, 0, DST, 3, SENDER, 1, message), out.length);
  return out;
}

test("a protected header has every field at its place", () => {
  const out = new Uint8Array(34).fill(0xff);
  const nonce = fromHex("a0a1a2a3a4a5a6a7a8a9aaab")!;
  assert.equal(writePacketHeader(out, 1, DST, 0x1020304050607, 0x12, 0x0203, nonce), 33);
  assert.equal(
    toHex(out),
    "ff" + "0102030405060708" + "0706050403020100" + "12" + "00" + "0302" + "a0a1a2a3a4a5a6a7a8a9aaab" + "ff",
  );
});

test("a handshake packet has the sender's id and the version in its nonce field, in clear", () => {
  const packet = handshakePacket(Uint8Array.of(0xca, 0xfe));
  assert.equal(
    toHex(packet),
    "0102030405060708" + "0300000000000000" + "01" + "00" + "0200" + "0b0c0d0e0f101112" + "01000000" + "cafe",
  );
  const reader = new PacketReader();
  reader.reset(packet);
  assert.equal(reader.next(), true);
  assert.equal(reader.isHandshake, true);
  assert.equal(reader.version, 1);
  assert.equal(reader.senderId.equals(SENDER), true);
  assert.equal(reader.destinationId.equals(DST), true);
  assert.equal(reader.handshakePacketNumber, 3);
  assert.deepEqual([reader.start, reader.bodyStart, reader.end], [0, 32, 34]);
  assert.equal(reader.next(), false);
  assert.equal(reader.dropReason, undefined);
});

test("a message that does not fit is the caller's mistake, and nothing is written", () => {
  const out = new Uint8Array(40);
  assert.throws(() => writeHandshakePacket(out, 0, DST, 0, SENDER, 1, new Uint8Array(9)), RangeError);
  assert.throws(
    () => writeHandshakePacket(new Uint8Array(70000), 0, DST, 0, SENDER, 1, new Uint8Array(65536)),
    RangeError,
  );
  assert.deepEqual(out, new Uint8Array(40));
});

test("packets of both kinds that share a UDP datagram are found one after the other", () => {
  const parts = [handshakePacket(new Uint8Array(40)), protectedPacket(17), protectedPacket(300, 0x02)];
  const reader = new PacketReader();
  reader.reset(concatBytes(...parts));
  let at = 0;
  for (const part of parts) {
    assert.equal(reader.next(), true);
    assert.deepEqual([reader.start, reader.bodyStart, reader.end], [at, at + 32, at + part.length]);
    assert.equal(reader.isHandshake, at === 0);
    if (at > 0) assert.deepEqual([reader.version, reader.senderId.isZero], [0, true]);
    at += part.length;
  }
  assert.equal(reader.next(), false);
  assert.equal(reader.next(), false);
  assert.equal(reader.dropReason, undefined);
});

test("what cannot be a packet drops the rest of the UDP datagram and says why", () => {
  const good = protectedPacket(17);
  const reserved = protectedPacket(17);
  reserved[17] = 1;
  const tooLong = protectedPacket(17);
  tooLong[18]++;
  const cases: [Uint8Array, string][] = [
    [good.subarray(0, 31), "short"],
    [good.subarray(0, 1), "short"],
    [tooLong, "length"],
    [reserved, "reserved"],
    [protectedPacket(40, PacketFlag.HANDSHAKE | PacketFlag.PROBE), "flags"],
    [protectedPacket(40, PacketFlag.HANDSHAKE | 0x80), "flags"],
    [protectedPacket(16), "body"],
  ];
  const reader = new PacketReader();
  for (const [bad, reason] of cases) {
    // A good packet behind the bad one must not be reached; a packet that is too long or too short ends the datagram.
    const rest = reason === "short" || reason === "length" ? [] : [good];
    reader.reset(concatBytes(good, bad, ...rest));
    assert.equal(reader.next(), true);
    assert.equal(reader.next(), false, reason);
    assert.equal(reader.dropReason, reason);
    assert.equal(reader.next(), false, "the end is final");
  }
  reader.reset(good);
  assert.equal(reader.next(), true);
  assert.equal(reader.dropReason, undefined, "reset forgets the reason");
});

test("an empty UDP datagram counts as short", () => {
  const reader = new PacketReader();
  reader.reset(new Uint8Array(0));
  assert.equal(reader.next(), false);
  assert.equal(reader.dropReason, "short");
});

test("random bytes never throw, and packets lie side by side inside the UDP datagram", () => {
  const reader = new PacketReader();
  const lengthy = fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 5 }).map((packets) =>
    concatBytes(...packets.map(([length, flags]) => protectedPacket(length, flags)))
  );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), lengthy), (bytes) => {
      reader.reset(bytes);
      let at = 0;
      while (reader.next()) {
        assert.equal(reader.start, at);
        assert.equal(reader.bodyStart, at + 32);
        assert.ok(reader.end >= reader.bodyStart && reader.end <= bytes.length);
        assert.equal(reader.isHandshake, (bytes[at + 16] & 1) === 1);
        at = reader.end;
      }
      assert.equal(reader.dropReason === undefined, at === bytes.length && at > 0);
    }),
    property(500),
  );
});
