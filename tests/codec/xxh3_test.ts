import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { xxhash3 } from "hash-wasm";
import { createXxh3 } from "../../lib/codec/xxh3/create.ts";
import { LimbsXxh3 } from "../../lib/codec/xxh3/limbs.ts";
import { compileXxh3Kernel, WasmXxh3, XXH3_WORKSPACE_BYTES } from "../../lib/codec/xxh3/wasm.ts";
import type { Xxh3, Xxh3Digest } from "../../lib/codec/xxh3/xxh3.ts";
import { property } from "../support/seed.ts";

const VECTORS = new URL("../../../shared/vectors/xxh3_64.json", import.meta.url);
const PRIME64 = 0x9e3779b185ebca8dn;

interface Vectors {
  readonly vectors: readonly { readonly len: number; readonly seed0: string; readonly seedPRIME64: string }[];
}

function kernel(): WebAssembly.Module {
  const module = compileXxh3Kernel();
  assert.ok(module !== undefined, "the kernel does not compile here");
  return module;
}

function hexOf({ low, high }: Xxh3Digest): string {
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}

/** The buffer that the vectors were made from; their file describes it. */
function vectorBuffer(length: number): Uint8Array {
  const buffer = new Uint8Array(length);
  let generator = 2654435761n;
  for (let i = 0; i < length; i++) {
    buffer[i] = Number(generator >> 56n);
    generator = BigInt.asUintN(64, generator * 11400714785074694797n);
  }
  return buffer;
}

const implementations: readonly Xxh3[] = [new WasmXxh3(kernel()), new LimbsXxh3()];

for (const xxh3 of implementations) {
  test(`all vectors of XXH3-64 hold (${xxh3.implementation})`, (context) => {
    if (!existsSync(VECTORS)) {
      console.error("../shared/vectors is absent: the XXH3 vectors are not checked");
      context.skip("../shared/vectors is absent");
      return;
    }
    const { vectors }: Vectors = JSON.parse(readFileSync(VECTORS, "utf8"));
    const buffer = vectorBuffer(16_384);
    const seedLow = Number(11400714785074694797n & 0xffff_ffffn), seedHigh = Number(11400714785074694797n >> 32n);
    let rows = 0;
    for (const { len, seed0, seedPRIME64 } of vectors) {
      const input = buffer.subarray(0, len);
      assert.equal(hexOf(xxh3.digest(input)), seed0, `length ${len}, seed 0`);
      assert.equal(hexOf(xxh3.digest(input, seedLow, seedHigh)), seedPRIME64, `length ${len}, seed PRIME64`);
      rows += 2;
    }
    assert.equal(rows, 618);
  });

  test(`a sealed range matches, and no longer once a bit of it or of its hash flips (${xxh3.implementation})`, () => {
    const bytes = vectorBuffer(1200);
    for (const [start, end] of [[0, 0], [3, 20], [0, 96], [7, 200], [100, 1124], [0, 1192]]) {
      xxh3.seal(bytes, start, end);
      const { low, high } = xxh3.digest(bytes.subarray(start, end));
      const view = new DataView(bytes.buffer);
      assert.deepEqual([view.getUint32(end, true), view.getUint32(end + 4, true)], [low, high]);
      assert.equal(xxh3.matches(bytes, start, end), true);
      for (const at of [start, end - 1, end, end + 7]) {
        if (at < start) continue;
        bytes[at] ^= 0x10;
        assert.equal(xxh3.matches(bytes, start, end), false, `${start} to ${end}, byte ${at}`);
        bytes[at] ^= 0x10;
      }
    }
  });

  test(`a range without room for its hash is the caller's mistake (${xxh3.implementation})`, () => {
    const bytes = new Uint8Array(100);
    for (const [start, end] of [[0, 93], [-1, 50], [60, 50], [0, NaN]]) {
      assert.throws(() => xxh3.seal(bytes, start, end), RangeError);
      assert.throws(() => xxh3.matches(bytes, start, end), RangeError);
    }
  });
}

test("kernel, limbs and an independent library agree on random inputs and seeds", async () => {
  const [wasm, limbs] = implementations;
  const input = fc.oneof(
    fc.uint8Array({ maxLength: 300, size: "max" }),
    fc.uint8Array({ minLength: 900, maxLength: 2200, size: "max" }),
  );
  const u32 = fc.oneof(fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff), fc.nat(0xffff_ffff));
  await fc.assert(
    fc.asyncProperty(input, u32, u32, async (bytes, seedLow, seedHigh) => {
      const expected = await xxhash3(bytes, seedLow, seedHigh);
      assert.equal(hexOf(wasm.digest(bytes, seedLow, seedHigh)), expected);
      assert.equal(hexOf(limbs.digest(bytes, seedLow, seedHigh)), expected);
    }),
    property(300),
  );
});

test("words of all ones and all zeros make no carry go astray", async () => {
  for (const fill of [0x00, 0xff, 0x80, 0x7f]) {
    for (const length of [1, 4, 8, 9, 16, 17, 96, 128, 129, 240, 241, 1024, 1025, 4097]) {
      const bytes = new Uint8Array(length).fill(fill);
      const expected = await xxhash3(bytes, 0, 0);
      for (const xxh3 of implementations) {
        assert.equal(hexOf(xxh3.digest(bytes)), expected, `${xxh3.implementation}, ${length} times ${fill}`);
      }
    }
  }
});

test("inputs longer than the kernel's scratch space are hashed in pieces, to the same end", async () => {
  const [wasm, limbs] = implementations;
  const bytes = vectorBuffer(200_000);
  for (const length of [32_752, 32_760, 32_761, 32_768, 32_769, 33_000, 65_536, 65_537, 66_561, 131_073, 199_992]) {
    const input = bytes.subarray(0, length);
    const expected = await xxhash3(input, 5, 6);
    assert.equal(hexOf(wasm.digest(input, 5, 6)), expected, `length ${length}`);
    assert.equal(hexOf(limbs.digest(input, 5, 6)), expected, `length ${length}`);
    const copy = bytes.slice();
    wasm.seal(copy, 0, length);
    assert.equal(limbs.matches(copy, 0, length), true);
    assert.equal(wasm.matches(copy, 0, length), true);
    copy[length + 7] ^= 1;
    assert.equal(wasm.matches(copy, 0, length), false);
  }
});

test("what lies in the kernel's own memory is hashed in place, to the same end", () => {
  const memory = new WebAssembly.Memory({ initial: 3 });
  const wasm = new WasmXxh3(kernel(), { memory, at: 4096 });
  const [, limbs] = implementations;
  const inside = new Uint8Array(memory.buffer, 65_536, 4000);
  inside.set(vectorBuffer(4000));
  const space = wasm.memoryOf(inside);
  assert.ok(space !== undefined);
  for (const [start, length] of [[0, 96], [5, 10], [17, 1056], [3, 3000]]) {
    space.seal(inside.byteOffset + start, length);
    assert.equal(limbs.matches(inside, start, start + length), true);
    assert.equal(wasm.matches(inside, start, start + length), true);
    assert.notEqual(space.matches(inside.byteOffset + start, length), 0);
    inside[start + 1] ^= 4;
    assert.equal(space.matches(inside.byteOffset + start, length), 0);
  }
  assert.equal(wasm.memoryOf(new Uint8Array(10)), undefined);
  assert.equal(limbs.memoryOf(inside), undefined);
});

test("the kernel finds its memory again after that has grown", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const wasm = new WasmXxh3(kernel(), { memory });
  const before = hexOf(wasm.digest(vectorBuffer(500)));
  memory.grow(1);
  assert.equal(hexOf(wasm.digest(vectorBuffer(500))), before);
  memory.grow(1);
  const bytes = vectorBuffer(508);
  wasm.seal(bytes, 0, 500);
  assert.equal(implementations[1].matches(bytes, 0, 500), true);
  const inside = new Uint8Array(memory.buffer, 65_536, 508);
  assert.ok(wasm.memoryOf(inside) !== undefined);
});

test("the kernel touches nothing outside its workspace", () => {
  const memory = new WebAssembly.Memory({ initial: 2 });
  const all = new Uint8Array(memory.buffer).fill(0xa5);
  const at = 1024;
  const wasm = new WasmXxh3(kernel(), { memory, at });
  wasm.digest(vectorBuffer(100_000), 1, 2);
  const scratch = vectorBuffer(33_000);
  for (let length = 32_700; length < 32_850; length++) wasm.seal(scratch, 7, 7 + length);
  wasm.matches(scratch, 0, 200);
  assert.ok(all.subarray(0, at).every((byte) => byte === 0xa5));
  assert.ok(all.subarray(at + XXH3_WORKSPACE_BYTES).every((byte) => byte === 0xa5));
});

test("a workspace that does not fit, or is not aligned, is the caller's mistake", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  for (const at of [8, -16, 65_536, 65_536 - XXH3_WORKSPACE_BYTES + 16]) {
    assert.throws(() => createXxh3({ memory, at }), RangeError, `at ${at}`);
  }
});

test("by default the kernel is chosen", () => {
  assert.equal(createXxh3().implementation, "wasm");
});

test("a second kernel object does not disturb the first", () => {
  const a = createXxh3(), b = createXxh3();
  const bytes = vectorBuffer(600);
  const expected = hexOf(a.digest(bytes));
  b.digest(vectorBuffer(601), Number(PRIME64 & 0xffff_ffffn), Number(PRIME64 >> 32n));
  assert.equal(hexOf(a.digest(bytes)), expected);
});
