import assert from "node:assert/strict";
import { test } from "node:test";
import type { Random } from "../../lib/base/random.ts";
import { formatId64, IdSequence } from "../../lib/mesh/id_sequence.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";

const starting = (bytes: number[]): Random => ({ fillPublic: (out) => out.set(bytes), fillSecret: () => {} });

test("ids count on from a random start, over the edges, without 0", () => {
  const sequence = new IdSequence(starting([0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff]));
  const seen: string[] = [];
  for (let i = 0; i < 3; i++) {
    sequence.next();
    seen.push(formatId64(sequence.high, sequence.low));
  }
  assert.deepEqual(seen, ["ffffffffffffffff", "0000000000000001", "0000000000000002"]);
  const carry = new IdSequence(starting([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]));
  carry.next();
  assert.equal(formatId64(carry.high, carry.low), "0000000200000000");
});

test("two connections start their ids at different places", () => {
  const random = new SeededRandom(7);
  const [a, b] = [new IdSequence(random), new IdSequence(random)];
  assert.notDeepEqual([a.high, a.low], [b.high, b.low]);
});
