import assert from "node:assert/strict";
import { test } from "node:test";
import { HASHES_PER_STEP, leadingZeroBits, provesWork, WorkSearch } from "../../lib/transport/proof_of_work.ts";
import { crypto } from "./two_endpoints.ts";

const { sha256 } = crypto;

test("leading zero bits are counted from the highest bit of the first byte", () => {
  const cases: readonly (readonly [readonly number[], number])[] = [
    [[0x80], 0],
    [[0xff, 0], 0],
    [[0x40], 1],
    [[0x01], 7],
    [[0, 0x80], 8],
    [[0, 0x10], 11],
    [[0, 0, 1], 23],
    [[0, 0], 16],
  ];
  for (const [bytes, expected] of cases) assert.equal(leadingZeroBits(Uint8Array.from(bytes)), expected, `${bytes}`);
});

test("the nonce that a search finds is worth its difficulty, at every difficulty", () => {
  for (let difficulty = 1; difficulty <= 12; difficulty++) {
    const cookie = Uint8Array.of(difficulty, 2, 3);
    const search = new WorkSearch(sha256, cookie, difficulty);
    let nonce: Uint8Array | undefined;
    for (let steps = 0; nonce === undefined; steps++) {
      assert.ok(steps < 100, "it does not come to an end");
      nonce = search.step();
    }
    assert.equal(nonce.length, 8);
    assert.ok(provesWork(sha256, cookie, nonce, difficulty));
    assert.equal(provesWork(sha256, Uint8Array.of(difficulty, 2, 4), nonce, 24), false, "for another cookie");
  }
});

test("a search goes on where its last step ended", () => {
  const counting = { ...sha256, hash: () => Uint8Array.of(255) };
  const seen = new Set<string>();
  const search = new WorkSearch(
    { ...counting, hash: (input) => (seen.add(`${input}`), Uint8Array.of(255)) },
    Uint8Array.of(1),
    1,
  );
  assert.equal(search.step(), undefined);
  assert.equal(search.step(), undefined);
  assert.equal(seen.size, 2 * HASHES_PER_STEP);
});

test("no difficulty needs no work", () => {
  assert.ok(provesWork(sha256, Uint8Array.of(1), new Uint8Array(8), 0));
});
