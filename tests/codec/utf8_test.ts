import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readUtf8, toUtf8, utf8Length, writeUtf8 } from "../../lib/codec/utf8.ts";
import { property } from "../support/seed.ts";
import { bytes } from "./arbitraries.ts";

test("text is written as the runtime's encoder writes it, lone surrogates included", () => {
  const unit = fc.oneof(fc.nat(0x7f), fc.nat(0x7ff), fc.integer({ min: 0xd700, max: 0xe0ff }), fc.nat(0xffff));
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 90 }), (units) => {
      const text = String.fromCharCode(...units);
      const expected = new TextEncoder().encode(text);
      assert.deepEqual(toUtf8(text), expected);
      assert.equal(utf8Length(text), expected.length);
      assert.equal(writeUtf8(new Uint8Array(expected.length + 3), 3, text), expected.length + 3);
    }),
    property(400),
  );
});

test("bytes are text exactly when the runtime's strict decoder says so, and then the same", () => {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const likely = fc.string({ unit: "binary", maxLength: 80 }).map((text) => new TextEncoder().encode(text));
  const damaged = fc.tuple(likely, fc.nat(), fc.nat(255)).map(([bytes, at, byte]) => {
    if (bytes.length > 0) bytes[at % bytes.length] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(bytes(90), likely, damaged), (input) => {
      let expected: string | undefined;
      try {
        expected = strict.decode(input);
      } catch {
        expected = undefined;
      }
      assert.equal(readUtf8(input, 0, input.length), expected);
    }),
    property(400),
  );
});

test("a byte order mark and a zero are characters like any other", () => {
  const input = Uint8Array.of(0xef, 0xbb, 0xbf, 0x00, 0x61);
  assert.equal(readUtf8(input, 0, 5), "\ufeff\u0000a");
  assert.equal(readUtf8(input, 3, 5), "\u0000a");
  assert.equal(readUtf8(input, 5, 5), "");
});
