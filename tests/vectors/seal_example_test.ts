import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { sealExample } from "../support/seal_example.ts";

test("the sealed call of SPEC §8.14 is what this implementation sends", () => {
  const spec = readFileSync(new URL("../../docs/SPEC.md", import.meta.url), "utf8");
  const start = spec.indexOf("### 8.14 ");
  const section = spec.slice(start, spec.indexOf("\n##", start + 4));
  const found = [...section.matchAll(/^\*\*(.+)\*\* \((\d+) bytes\)\n\n```\n([0-9a-f\n]+)\n```$/gm)].map(
    ([, name, bytes, hex]) => {
      const joined = hex.replaceAll("\n", "");
      assert.equal(joined.length / 2, Number(bytes), name);
      return { name, hex: joined };
    },
  );
  assert.deepEqual(found, sealExample());
  assert.equal(found.length, 7);
});
