import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SortedBlocks } from "../../lib/base/sorted_blocks.ts";
import { property } from "../support/seed.ts";

test("the list agrees with a sorted array over any run of additions and removals", () => {
  const key = fc.oneof(fc.nat(30).map(String), fc.string({ maxLength: 3 }));
  const step = fc.record({ kind: fc.constantFrom("add", "add", "remove", "from"), key });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const list = new SortedBlocks<{ key: string }>();
      let model: string[] = [];
      for (const { kind, key } of steps) {
        if (kind === "add") {
          if (model.includes(key)) assert.throws(() => list.add({ key }), RangeError);
          else {
            list.add({ key });
            model = [...model, key].sort();
          }
        } else if (kind === "remove") {
          assert.equal(list.remove(key)?.key, model.includes(key) ? key : undefined);
          model = model.filter((other) => other !== key);
        } else {
          assert.deepEqual([...list.from(key)].map(({ key }) => key), model.filter((other) => other >= key));
        }
        assert.equal(list.size, model.length);
        assert.deepEqual([...list.from()].map(({ key }) => key), model);
      }
    }),
    property(),
  );
});

test("many members are in order however they come and go", () => {
  const list = new SortedBlocks<{ key: string }>();
  const keys = Array.from({ length: 5_000 }, (_, i) => String((i * 7_919) % 5_000).padStart(4, "0"));
  for (const key of keys) list.add({ key });
  assert.deepEqual([...list.from()].map(({ key }) => key), [...keys].sort());
  assert.deepEqual([...list.from("1234x")].length, 5_000 - 1_235);
  for (const key of keys) if (Number(key) % 3 !== 0) assert.equal(list.remove(key)?.key, key);
  assert.deepEqual([...list.from()].map(({ key }) => key), [...keys].filter((key) => Number(key) % 3 === 0).sort());
  for (const key of keys) list.remove(key);
  assert.deepEqual([list.size, [...list.from()]], [0, []]);
});
