import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hashText } from "../../lib/base/keyed_hash.ts";
import { KeyedMap, newHashKey } from "../../lib/base/keyed_map.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { property } from "../support/seed.ts";

test("the hash is HalfSipHash-2-4, as its authors' vectors have it", () => {
  // Key 00 01 … 07, input 00 01 … of every even length, as code units.
  const vectors = [0x5b9f35a9, 0x03a662fa, 0x89466e2a, 0x23fc6358, 0x8f84b8d0, 0x3479b094, 0x2f87f057, 0x7cf8ffd6];
  const key = { low: 0x03020100, high: 0x07060504 };
  vectors.forEach((expected, units) => {
    const text = String.fromCharCode(...Array.from({ length: units }, (_, i) => 2 * i | ((2 * i + 1) << 8)));
    assert.equal(hashText(key, text), expected, `${2 * units} bytes`);
  });
});

test("texts collide under one key and not under another", () => {
  const random = new SeededRandom(5);
  const key = newHashKey(random);
  const buckets = new Map<number, string>();
  let pair: [string, string] | undefined;
  for (let n = 0; pair === undefined; n++) {
    const text = `agent-${n}`;
    const hash = hashText(key, text) & 0xffffff;
    const other = buckets.get(hash);
    if (other !== undefined) pair = [other, text];
    buckets.set(hash, text);
  }
  const other = newHashKey(random);
  assert.notEqual(hashText(other, pair[0]) & 0xffffff, hashText(other, pair[1]) & 0xffffff);
});

test("the map agrees with the language's own over any run of operations", () => {
  const text = fc.oneof(fc.constantFrom("", "a", "b", "__proto__", "constructor"), fc.string({ maxLength: 5 }));
  const step = fc.record({ kind: fc.constantFrom("set", "set", "delete", "get"), text });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.nat(), (steps, seed) => {
      const map = new KeyedMap<{ n: number }>(newHashKey(new SeededRandom(seed)));
      const model = new Map<string, { n: number }>();
      steps.forEach(({ kind, text }, n) => {
        if (kind === "set") {
          map.set(text, { n });
          model.set(text, { n });
        } else if (kind === "delete") {
          assert.deepEqual(map.delete(text), model.get(text));
          model.delete(text);
        } else assert.deepEqual(map.get(text), model.get(text));
        assert.equal(map.size, model.size);
      });
      const byNumber = (a: { n: number }, b: { n: number }): number => a.n - b.n;
      assert.deepEqual([...map.values()].sort(byNumber), [...model.values()].sort(byNumber));
    }),
    property(),
  );
});
