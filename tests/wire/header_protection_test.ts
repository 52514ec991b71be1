import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { chacha20 } from "@noble/ciphers/chacha.js";
import { fromHex, toHex } from "../../lib/base/bytes.ts";
import { chacha20Block, HeaderMask } from "../../lib/wire/header_protection.ts";
import { property } from "../support/seed.ts";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

test("the ChaCha20 block of RFC 8439 §2.3.2 comes out", () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);
  const out = new Uint8Array(64);
  chacha20Block(key, 1, fromHex("000000090000004a00000000")!, out);
  assert.equal(
    toHex(out),
    "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e" +
      "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
  );
});

test("the block function agrees with an independent ChaCha20 for any key, nonce and counter", () => {
  fc.assert(
    fc.property(bytes(32), bytes(12), fc.nat({ max: 0xffff_fffe }), (key, nonce, counter) => {
      const out = new Uint8Array(64);
      chacha20Block(key, counter, nonce, out);
      assert.equal(toHex(out), toHex(chacha20(key, nonce, new Uint8Array(64), undefined, counter)));
    }),
    property(),
  );
});

test("the mask is XORed as SPEC §6 says: flags but bit 0, packet number, nonce; nothing else changes", () => {
  fc.assert(
    fc.property(bytes(32), fc.nat(5), fc.uint8Array({ minLength: 53, maxLength: 120 }), (key, start, packet) => {
      const original = packet.slice();
      const sample = packet.slice(start + 32 + 4, start + 32 + 16);
      const stream = chacha20(key, sample, new Uint8Array(64));
      const expected = packet.slice();
      expected[start + 16] ^= stream[0] & 0xfe;
      for (let i = 0; i < 8; i++) expected[start + 8 + i] ^= stream[1 + i];
      for (let i = 0; i < 12; i++) expected[start + 20 + i] ^= stream[9 + i];

      const mask = new HeaderMask(key);
      mask.apply(packet, start);
      assert.equal(toHex(packet), toHex(expected));

      const header = new Uint8Array(32);
      mask.unmask(packet, start, header);
      assert.equal(toHex(header), toHex(original.subarray(start, start + 32)), "unmask gives the clear header");
      assert.equal(toHex(packet), toHex(expected), "and leaves the packet alone");

      mask.apply(packet, start);
      assert.equal(toHex(packet), toHex(original), "masking twice undoes it");
    }),
    property(),
  );
});

test("the key is copied, and one of another length is the caller's mistake", () => {
  const key = new Uint8Array(32).fill(5), packet = new Uint8Array(64), again = new Uint8Array(64);
  const mask = new HeaderMask(key);
  mask.apply(packet, 0);
  key.fill(6);
  mask.apply(again, 0);
  assert.deepEqual(again, packet);
  assert.throws(() => new HeaderMask(new Uint8Array(31)), RangeError);
});
