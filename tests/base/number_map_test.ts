import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NumberMap } from "../../lib/base/number_map.ts";
import { property } from "../support/seed.ts";

test("the map agrees with the language's own over any run of operations", () => {
  const key = fc.oneof(
    fc.integer({ min: -6, max: 12 }),
    fc.nat(40).map((n) => 4 * n),
    fc.nat(20).map((n) => n * 0x1_0000_0000 + 4),
  );
  const step = fc.record({ kind: fc.constantFrom("set", "set", "delete", "get", "clear"), key });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const map = new NumberMap<{ n: number }>();
      const model = new Map<number, { n: number }>();
      steps.forEach(({ kind, key }, n) => {
        if (kind === "set") {
          map.set(key, { n });
          model.set(key, { n });
        } else if (kind === "delete") {
          assert.deepEqual(map.delete(key), model.get(key));
          model.delete(key);
        } else if (kind === "get") {
          assert.deepEqual(map.get(key), model.get(key));
          assert.equal(map.has(key), model.has(key));
        } else if (n % 10 === 0) {
          map.clear();
          model.clear();
        }
        assert.equal(map.size, model.size);
      });
      for (const [key, value] of model) assert.deepEqual(map.get(key), value);
      assert.deepEqual(map.values().map(({ n }) => n).sort(), [...model.values()].map(({ n }) => n).sort());
    }),
    property(),
  );
});

test("a window of keys that moves on for ever needs no more room than the window", () => {
  const map = new NumberMap<{ id: number }>();
  for (let id = 0; id < 200_000; id++) {
    map.set(4 * id, { id });
    if (id >= 64) assert.equal(map.delete(4 * (id - 64))?.id, id - 64);
  }
  assert.equal(map.size, 64);
});
