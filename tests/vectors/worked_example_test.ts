import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { workedExample } from "../support/worked_example.ts";

test("the worked example of SPEC §10 is what this implementation sends", () => {
  const spec = readFileSync(new URL("../../docs/SPEC.md", import.meta.url), "utf8");
  const section = spec.slice(spec.indexOf("## 10. Worked example"));
  const found = [...section.matchAll(/^\*\*(.+)\*\* \((\d+) bytes\)\n\n```\n([0-9a-f\n]+)\n```$/gm)].map(
    ([, name, bytes, hex]) => {
      const joined = hex.replaceAll("\n", "");
      assert.equal(joined.length / 2, Number(bytes), name);
      return { name, hex: joined };
    },
  );
  assert.deepEqual(found, workedExample());
  assert.ok(found.length >= 18);
});
