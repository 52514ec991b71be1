import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { checkZstdFrame, type ZstdFrame, type ZstdProblem } from "../../lib/codec/zstd_frame.ts";
import { builtInZstd } from "../../lib/runtime/zstd.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";

const MAX = 16_777_216;
const zstd = builtInZstd();
const VECTORS = new URL("../../../shared/vectors/zstd_cases.json", import.meta.url);

interface Case {
  readonly name: string;
  readonly b64: string;
  readonly bytes: number;
  readonly expect: string;
}

/** What whoever receives a frame gets: its content, or undefined. */
function unpack(frame: Uint8Array): Uint8Array | undefined {
  const result = checkZstdFrame(frame, MAX);
  if ("text" in result) return undefined;
  const content = zstd!.decompress(frame, result.maxSize);
  return content === undefined || content.length !== (result.contentSize ?? content.length) ? undefined : content;
}

/** 131 072 repetitions of one byte, as often as asked for, in a frame of a few bytes each. */
function bomb(blocks: number): Uint8Array {
  const frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
  for (let i = 1; i <= blocks; i++) {
    const header = (131_072 << 3) | (1 << 1) | (i === blocks ? 1 : 0);
    frame.push(header & 0xff, (header >> 8) & 0xff, header >> 16, 0x61);
  }
  return Uint8Array.from(frame);
}

test("every zstd case of the vectors is taken or refused as it says", (context) => {
  if (!existsSync(VECTORS)) return context.skip("the folder ../shared/vectors is not there");
  const { cases } = JSON.parse(readFileSync(VECTORS, "utf8")) as { cases: readonly Case[] };
  assert.equal(cases.length, 29);
  // What only the inside of a block or the checksum tells is for the decompressor.
  const inside = new Set(["off0.bin.zst", "truncated_huff_state.zst", "zeroSeq_extraneous.zst", "bad_checksum"]);
  for (const { name, b64, bytes, expect } of cases) {
    const frame = Uint8Array.from(atob(b64), (character) => character.charCodeAt(0));
    assert.equal(frame.length, bytes);
    const isTaken = expect.startsWith("accept");
    const result = checkZstdFrame(frame, MAX);
    assert.equal("text" in result, !isTaken && !inside.has(name), `${name}: ${JSON.stringify(result)}`);
    if (expect === "reject: output limit") assert.equal((result as ZstdProblem).tooLarge, true, name);
    if (zstd !== undefined) assert.equal(unpack(frame) !== undefined, isTaken, name);
  }
});

test("a frame says what it holds, or at least what it cannot exceed", () => {
  const sized = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, 2, 0x11, 0, 0, 104, 105);
  assert.deepEqual(checkZstdFrame(sized, 2), { contentSize: 2, maxSize: 2, windowSize: 2, hasChecksum: false });
  assert.equal((checkZstdFrame(sized, 1) as ZstdProblem).tooLarge, true);
  const streamed = checkZstdFrame(bomb(3), MAX) as ZstdFrame;
  assert.deepEqual([streamed.contentSize, streamed.maxSize], [undefined, 3 * 131_072]);
});

test("a bomb is refused before anything is decompressed, and one byte within the limit is not", () => {
  assert.equal((checkZstdFrame(bomb(128), MAX) as ZstdFrame).maxSize, MAX);
  assert.equal((checkZstdFrame(bomb(129), MAX) as ZstdProblem).tooLarge, true);
  const endless = new Uint8Array(6 + 3 * 70_000);
  endless.set([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
  assert.match((checkZstdFrame(endless, MAX) as ZstdProblem).text, /more than 65536 blocks/);
});

test("whatever a compressor makes is taken, cut or changed anywhere it is refused or still bounded", (context) => {
  if (zstd === undefined) return context.skip("this runtime has no zstd");
  const random = new SeededRandom(testSeed);
  for (let round = 0; round < 150; round++) {
    const content = new Uint8Array(random.below(5_001)).map((_, i) => i % 7 === 0 ? random.below(256) : i % 50);
    const frame: Uint8Array = zstd.compress(content);
    assert.deepEqual(unpack(frame), content);
    for (let i = 0; i < 8; i++) {
      assert.equal(unpack(frame.subarray(0, random.below(frame.length))), undefined, "cut off");
      const longer = new Uint8Array(frame.length + 1 + random.below(9));
      longer.set(frame);
      assert.equal(unpack(longer), undefined, "bytes behind it");
      const changed = frame.slice();
      changed[random.below(changed.length)] ^= 1 << random.below(8);
      const result = checkZstdFrame(changed, 6_000);
      if ("text" in result) continue;
      assert.ok(result.maxSize <= 6_000);
      assert.ok((zstd.decompress(changed, result.maxSize)?.length ?? 0) <= 6_000);
    }
  }
});

test("arbitrary bytes behind a magic number never make the check throw or run away", () => {
  const random = new SeededRandom(testSeed);
  for (let round = 0; round < 5_000; round++) {
    const bytes = new Uint8Array(random.below(61)).map(() => random.below(256));
    if (round % 4 > 0) bytes.set([0x28, 0xb5, 0x2f, 0xfd].slice(0, bytes.length));
    const result = checkZstdFrame(bytes, 1_000);
    if (!("text" in result)) assert.ok(result.maxSize <= 1_000);
  }
});
