import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "../../lib/base/bytes.ts";
import { KeptBytes } from "../../lib/mesh/kept_bytes.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";

test("what is kept is all that was added, in memory of its own that is not much more", () => {
  const random = new SeededRandom(testSeed);
  const kept = new KeptBytes();
  assert.deepEqual(kept.all, new Uint8Array(0));
  const added: Uint8Array[] = [];
  let before = kept.all;
  for (let i = 0; i < 400; i++) {
    // Each is a view of a block, as small pieces of what is received are.
    const block = new Uint8Array(4_096).fill(i);
    const piece = block.subarray(i, i + Math.floor(random.next() * 80));
    added.push(piece.slice());
    kept.add(piece);
    block.fill(0);
    assert.deepEqual(before, concatBytes(...added.slice(0, i)), `what was given out does not change, seed ${testSeed}`);
    before = kept.all;
  }
  assert.deepEqual(kept.all, concatBytes(...added), `seed ${testSeed}`);
  assert.equal(kept.length, kept.all.length);
  assert.ok(kept.all.buffer.byteLength <= 2 * kept.length, `${kept.all.buffer.byteLength} for ${kept.length}`);
});
