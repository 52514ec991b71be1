import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { mutants } from "./list.ts";

const root = new URL("../../", import.meta.url);

test("what a mutant changes is there, exactly once, and so are the tests that are to catch it", () => {
  for (const { breaks, file, from, to, tests } of mutants) {
    const parts = readFileSync(new URL(file, root), "utf8").split(from);
    assert.equal(parts.length, 2, `${breaks}: ${JSON.stringify(from)} occurs ${parts.length - 1} times in ${file}`);
    assert.notEqual(from, to);
    for (const path of tests) assert.ok(existsSync(new URL(path, root)), `${breaks}: ${path} is missing`);
  }
});

test("there are enough mutants, each breaking something else", () => {
  assert.ok(mutants.length >= 30, `${mutants.length} mutants`);
  assert.equal(new Set(mutants.map(({ breaks }) => breaks)).size, mutants.length);
});
