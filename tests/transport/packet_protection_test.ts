import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20, chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { expand } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, fromHex, toHex } from "../../lib/base/bytes.ts";
import { nobleAes256Gcm, nobleChaCha20Poly1305, nobleSha256 } from "../../lib/crypto/noble.ts";
import type { Aead } from "../../lib/crypto/types.ts";
import { PacketKeys } from "../../lib/transport/packet_protection.ts";
import { ConnectionId } from "../../lib/wire/connection_id.ts";
import { HeaderMask } from "../../lib/wire/header_protection.ts";
import { property } from "../support/seed.ts";

const MAX = Number.MAX_SAFE_INTEGER;
const SECRET = Uint8Array.from({ length: 32 }, (_, i) => i);
const DST = new ConnectionId(fromHex("c0c1c2c3c4c5c6c7")!);
const SUITES: Aead[] = [nobleChaCha20Poly1305, nobleAes256Gcm];
const scratch = new Uint8Array(2048);

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const derive = (secret: Uint8Array, label: string, length: number): Uint8Array =>
  expand(sha256, secret, text(label), length);

/** SPEC §6, word by word, with nothing of this project but the layout of bytes. */
function sealIndependently(
  suite: number,
  secret: Uint8Array,
  hpSecret: Uint8Array,
  dst: Uint8Array,
  packetNumber: number,
  flags: number,
  plaintext: Uint8Array,
): Uint8Array {
  const nonce = derive(secret, "mxp1 iv", 12);
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, BigInt(packetNumber), true);
  for (let i = 0; i < 8; i++) nonce[4 + i] ^= number[i];
  const length = plaintext.length + 16;
  const header = concatBytes(dst, number, Uint8Array.of(flags, 0, length & 0xff, length >> 8), nonce);
  const cipher = suite === 1 ? chacha20poly1305 : gcm;
  const body = cipher(derive(secret, "mxp1 key", 32), nonce, header).encrypt(plaintext);
  const stream = chacha20(derive(hpSecret, "mxp1 hp", 32), body.slice(4, 16), new Uint8Array(21));
  header[16] ^= stream[0] & 0xfe;
  for (let i = 0; i < 8; i++) header[8 + i] ^= stream[1 + i];
  for (let i = 0; i < 12; i++) header[20 + i] ^= stream[9 + i];
  return concatBytes(header, body);
}

function seal(keys: PacketKeys, packetNumber: number, flags: number, plaintext: Uint8Array, start = 0): Uint8Array {
  const out = new Uint8Array(start + 32 + plaintext.length + 16);
  out.set(plaintext, start + 32);
  assert.equal(keys.seal(out, start, start + 32 + plaintext.length, DST, packetNumber, flags), out.length);
  return out.subarray(start);
}

const keysFor = (aead: Aead, secret: Uint8Array = SECRET): PacketKeys => new PacketKeys(aead, nobleSha256, secret);

test("the golden ChaCha20-Poly1305 packet", () => {
  const packet = seal(keysFor(nobleChaCha20Poly1305), 0x0102030405, 0x02, text("hello"));
  assert.equal(
    toHex(packet),
    "c0c1c2c3c4c5c6c7bd9581f1227e545d680015002dde6bbccdff1f4bc5234e99" + "98afe451ab37ff7198635963b6acc68ad2f1f651b3",
  );
});

test("the golden AES-256-GCM packet", () => {
  const packet = seal(keysFor(nobleAes256Gcm), 0x0102030405, 0x02, text("hello"));
  assert.equal(
    toHex(packet),
    "c0c1c2c3c4c5c6c79d55371c9623789f76001500f41e2c4415437f991a2bf131" + "e3e1df68240d55dc60ea4c97ad6431df6bf56afe13",
  );
});

test("a sealed packet is what SPEC §6 makes of it, computed independently; opening gives everything back", () => {
  const packetNumber = fc.oneof(fc.nat(1000), fc.maxSafeNat(), fc.constant(MAX));
  const someFlags = fc.nat(15).map((bits) => bits << 1);
  const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const plaintext = fc.uint8Array({ minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(
      fc.constantFrom(...SUITES),
      bytes32,
      packetNumber,
      someFlags,
      plaintext,
      fc.nat(40),
      (aead, secret, packetNumber, flags, plaintext, start) => {
        const packet = seal(keysFor(aead, secret), packetNumber, flags, plaintext, start);
        const expected = sealIndependently(aead.suite, secret, secret, DST.bytes, packetNumber, flags, plaintext);
        assert.equal(toHex(packet), toHex(expected));

        const datagram = concatBytes(new Uint8Array(start), packet, new Uint8Array(3));
        const before = datagram.slice();
        const opener = keysFor(aead, secret);
        assert.equal(opener.open(datagram, start, start + packet.length, scratch), true);
        assert.equal(opener.packetNumber, packetNumber);
        assert.equal(opener.flags, flags);
        assert.equal(toHex(scratch.subarray(opener.plaintextStart, opener.plaintextEnd)), toHex(plaintext));
        assert.deepEqual(datagram, before, "the datagram is not touched");
      },
    ),
    property(60),
  );
});

test("packets sealed one behind the other at changing places in one buffer all open", () => {
  const sealer = keysFor(nobleChaCha20Poly1305), opener = keysFor(nobleChaCha20Poly1305);
  const out = new Uint8Array(400);
  const places: [number, number][] = [];
  let at = 0;
  for (let n = 0; n < 3; n++) {
    out.fill(0x40 + n, at + 32, at + 32 + 50);
    const end = sealer.seal(out, at, at + 32 + 50, DST, n, 0);
    places.push([at, end]);
    at = end;
  }
  assert.equal(sealer.sealedPackets, 3);
  places.forEach(([start, end], n) => {
    assert.equal(opener.open(out, start, end, scratch), true);
    assert.equal(opener.packetNumber, n);
    assert.deepEqual(scratch.slice(0, opener.plaintextEnd), new Uint8Array(50).fill(0x40 + n));
  });
});

test("a packet with any single byte changed does not open, and the datagram stays as it came", () => {
  for (const aead of SUITES) {
    const packet = seal(keysFor(aead), 77, 0x06, text("some frames"));
    const opener = keysFor(aead);
    for (let i = 0; i < packet.length; i++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const bad = packet.slice();
        bad[i] ^= flip;
        const before = bad.slice();
        assert.equal(opener.open(bad, 0, bad.length, scratch), false, `byte ${i} ^ ${flip}`);
        assert.deepEqual(bad, before);
      }
    }
    assert.equal(opener.open(packet, 0, packet.length, scratch), true, "the packet itself still opens");
  }
});

test("a packet cut anywhere, or sealed under another secret, does not open", () => {
  const packet = seal(keysFor(nobleChaCha20Poly1305), 5, 0, text("some frames"));
  const opener = keysFor(nobleChaCha20Poly1305);
  for (let length = 0; length < packet.length; length++) {
    assert.equal(opener.open(packet, 0, length, scratch), false);
    assert.equal(opener.open(packet.slice(0, length), 0, length, scratch), false);
  }
  assert.equal(opener.open(packet, 0, packet.length + 1, scratch), false, "an end beyond the datagram");
  const stranger = keysFor(nobleChaCha20Poly1305, new Uint8Array(32).fill(1));
  assert.equal(stranger.open(packet, 0, packet.length, scratch), false);
});

/** Seals properly, but for one thing that a correct peer never does. */
function forge(change: (header: Uint8Array, nonce: Uint8Array) => void, plaintext = text("some frames")): Uint8Array {
  const nonce = derive(SECRET, "mxp1 iv", 12);
  const length = plaintext.length + 16;
  const header = concatBytes(DST.bytes, new Uint8Array(8), Uint8Array.of(0, 0, length, 0), nonce);
  change(header, nonce);
  const body = chacha20poly1305(derive(SECRET, "mxp1 key", 32), nonce, header).encrypt(plaintext);
  const packet = concatBytes(header, body);
  new HeaderMask(derive(SECRET, "mxp1 hp", 32)).apply(packet, 0);
  return packet;
}

test("a packet that authenticates is still dropped when its header breaks a rule", () => {
  const opener = keysFor(nobleChaCha20Poly1305);
  const opens = (packet: Uint8Array): boolean => opener.open(packet, 0, packet.length, scratch);
  assert.equal(opens(forge(() => {})), true, "the forger seals properly when it changes nothing");
  for (const flag of [0x20, 0x40, 0x80]) assert.equal(opens(forge((header) => void (header[16] = flag))), false);
  assert.equal(opens(forge((header) => void (header[16] = 0x01))), false, "HANDSHAKE");
  assert.equal(opens(forge((header) => void (header[17] = 1))), false, "reserved byte");
  assert.equal(opens(forge((header) => void header[18]++)), false, "length");
  for (let i = 0; i < 12; i++) {
    assert.equal(opens(forge((header) => void (header[20 + i] ^= 0x10))), false, `nonce field, byte ${i}`);
  }
  const numbered = (high: number) =>
    forge((header, nonce) => {
      header.set([0, 0, 0, 0, 0, 0, high, 0], 8);
      nonce[10] ^= high;
      header[30] ^= high;
    });
  assert.equal(opens(numbered(0x1f)), true, "the last range of numbers that is allowed");
  assert.equal(opens(numbered(0x20)), false, "packet number 2^53");
  assert.equal(opener.unmask(numbered(0x20), 0, numbered(0x20).length), false, "already before the nonce is compared");
  assert.equal(opens(forge(() => {}, new Uint8Array(0))), false, "empty plaintext");
});

test("random and mutated packets never throw", () => {
  const opener = keysFor(nobleChaCha20Poly1305);
  const packet = seal(keysFor(nobleChaCha20Poly1305), 9, 0, text("some frames and more"));
  const mutated = fc.array(fc.tuple(fc.nat(packet.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }).map(
    (changes) => {
      const bytes = packet.slice();
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    },
  );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 120 }), mutated), fc.nat(10), (bytes, start) => {
      const opened = opener.open(bytes, start, bytes.length, scratch);
      assert.equal(opened, start === 0 && toHex(bytes) === toHex(packet));
    }),
    property(),
  );
});

test("a packet that is longer than the scratch buffer does not open and does not throw", () => {
  const packet = seal(keysFor(nobleChaCha20Poly1305), 9, 0, new Uint8Array(100));
  assert.equal(keysFor(nobleChaCha20Poly1305).open(packet, 0, packet.length, new Uint8Array(99)), false);
  assert.equal(keysFor(nobleChaCha20Poly1305).open(packet, 0, packet.length, new Uint8Array(100)), true);
});

test("forgeries are counted once they cost an AEAD operation", () => {
  const opener = keysFor(nobleChaCha20Poly1305);
  const packet = seal(keysFor(nobleChaCha20Poly1305), 9, 0, new Uint8Array(100));
  opener.open(packet, 0, packet.length, scratch);
  assert.equal(opener.failedPackets, 0);
  packet[packet.length - 1] ^= 1;
  opener.open(packet, 0, packet.length, scratch);
  assert.equal(opener.failedPackets, 1);
});

test("the next epoch has a new key and iv, and the first epoch's header protection", () => {
  for (const aead of SUITES) {
    const second = keysFor(aead).nextEpoch(), third = second.nextEpoch();
    const secondSecret = derive(SECRET, "mxp1 ku", 32), thirdSecret = derive(secondSecret, "mxp1 ku", 32);
    assert.deepEqual(keysFor(aead).nextSecret, secondSecret);
    for (const [keys, secret] of [[second, secondSecret], [third, thirdSecret]] as const) {
      const packet = seal(keys, 12, 0x08, text("after the update"));
      const expected = sealIndependently(aead.suite, secret, SECRET, DST.bytes, 12, 0x08, text("after the update"));
      assert.equal(toHex(packet), toHex(expected));
      assert.equal(keys.open(packet, 0, packet.length, scratch), true);
      assert.equal(keysFor(aead).open(packet, 0, packet.length, scratch), false);
    }
  }
});

test("keys of any epoch read the flags of a packet, so that KEY_PHASE can choose between them", () => {
  const first = keysFor(nobleChaCha20Poly1305), second = first.nextEpoch();
  const packet = seal(second, 12, 0x08, text("after the update"));
  assert.equal(first.unmask(packet, 0, packet.length), true);
  assert.deepEqual([first.flags, first.packetNumber], [0x08, 12]);
  assert.equal(first.decrypt(packet, 0, packet.length, scratch), false);
  assert.equal(second.unmask(packet, 0, packet.length), true);
  assert.equal(second.decrypt(packet, 0, packet.length, scratch), true);
});

test("what a correct sender never does is the caller's mistake, and seals nothing", () => {
  const keys = keysFor(nobleChaCha20Poly1305);
  const out = new Uint8Array(100);
  assert.throws(() => keys.seal(out, 0, 32, DST, 0, 0), RangeError, "empty plaintext");
  assert.throws(() => keys.seal(out, 0, 85, DST, 0, 0), RangeError, "no room for the tag");
  assert.throws(() => keys.seal(new Uint8Array(70_000), 0, 65_600, DST, 0, 0), RangeError, "too long");
  for (const flags of [0x01, 0x20, 0x100, -1]) assert.throws(() => keys.seal(out, 0, 40, DST, 0, flags), RangeError);
  for (const number of [-1, 2 ** 53, NaN]) assert.throws(() => keys.seal(out, 0, 40, DST, number, 0), RangeError);
  assert.throws(() => new PacketKeys(nobleChaCha20Poly1305, nobleSha256, new Uint8Array(31)), RangeError);
  assert.equal(keys.sealedPackets, 0);
  assert.deepEqual(out, new Uint8Array(100));
});

test("a key stops sealing at its suite's limit", () => {
  for (const [aead, limit] of [[nobleChaCha20Poly1305, 2 ** 48], [nobleAes256Gcm, 2 ** 23]] as const) {
    const keys = keysFor(aead);
    assert.equal(keys.sealLimit, limit);
    keys.sealedPackets = limit - 1;
    seal(keys, 1, 0, text("last"));
    assert.throws(() => seal(keys, 2, 0, text("too many")), RangeError);
    assert.equal(keys.nextEpoch().sealedPackets, 0);
  }
});
