import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { xxhash3 } from "hash-wasm";
import { toHex } from "../../lib/base/bytes.ts";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { MessageCodec, messageLength } from "../../lib/codec/message.ts";
import { LimbsXxh3 } from "../../lib/codec/xxh3/limbs.ts";
import { GOLDEN_MESSAGES, GOLDEN_PAYLOADS, present, unhex } from "./golden.ts";

const spec = readFileSync(new URL("../../docs/SPEC.md", import.meta.url), "utf8").replace(/\s+/g, " ");

for (const { name, hex, value, size, encode, decode } of GOLDEN_PAYLOADS) {
  test(`the bytes of ${name} are those of the specification, both ways`, () => {
    const expected = unhex(hex);
    assert.equal(size, expected.length);
    const out = new Uint8Array(size);
    assert.equal(encode(out, 0), size);
    assert.equal(toHex(out), toHex(expected));
    const decoded = decode(expected);
    assert.ok(!(decoded instanceof CodecError), String(decoded));
    assert.deepEqual(present(decoded), value);
    assert.ok(spec.includes(hex), "docs/SPEC.md does not have these bytes");
  });
}

for (const { name, header, payload, hex, checksum } of GOLDEN_MESSAGES) {
  test(`the message "${name}" has the bytes of the specification, both ways`, async () => {
    const body = unhex(payload);
    for (const codec of [new MessageCodec(), new MessageCodec(new LimbsXxh3())]) {
      const out = new Uint8Array(messageLength(body.length));
      codec.encode(out, 0, header, body);
      if (hex !== undefined) assert.equal(toHex(out), hex.replaceAll(" ", ""));
      else assert.equal(toHex(out.subarray(-8)), checksum);
      const stored = toHex(out.slice(-8).reverse());
      assert.equal(stored, await xxhash3(out.subarray(0, -8), 0, 0));
      const message = codec.decodeExact(out);
      assert.ok(!(message instanceof CodecError));
      const { type, flags, idLow, idHigh, traceLow, traceHigh } = message;
      assert.deepEqual({ type, flags, idLow, idHigh, traceLow, traceHigh }, header);
      assert.deepEqual(message.payload, body);
    }
    assert.ok(spec.includes(hex ?? checksum ?? "?"), "docs/SPEC.md does not have these bytes");
  });
}
