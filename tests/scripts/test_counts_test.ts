import { test } from "node:test";
import assert from "node:assert/strict";
import { judgeTests, readCounts } from "../../scripts/test_counts.ts";

const DENO = `running 5 tests from ./tests/base/a_test.ts
a ... ok (1ms)
b ... ignored (0ms)

ok | 1203 passed (3 steps) | 0 failed | 2 ignored (1s)

`;
const DENO_FAILED = `running 2 tests from ./tests/base/b_test.ts
a ... FAILED (12ms)

 FAILURES 

a => ./tests/base/b_test.ts:3:1

FAILED | 3 passed (1 step) | 1 failed (248ms)

error: Test failed
`;
const BUN = `bun test v1.4.5 (a7733435c)

tests/base/a_test.ts:
(pass) a [1.56ms]
(skip) b

 14 pass
 2 skip
 1 todo
 0 fail
Ran 17 tests across 1 file. [57.00ms]
`;
const NODE = `TAP version 13
ok 1 - a
# Subtest: d
ok 2 - d # SKIP folder absent
1..3
# tests 4
# suites 0
# pass 1
# fail 1
# cancelled 1
# skipped 1
# todo 0
# duration_ms 270.958799
`;

test("the counts are read from each runner's summary", () => {
  assert.deepEqual(readCounts("deno", DENO), { passed: 1203, failed: 0, skipped: 2 });
  assert.deepEqual(readCounts("deno", DENO_FAILED), { passed: 3, failed: 1, skipped: 0 });
  assert.deepEqual(readCounts("bun", BUN), { passed: 14, failed: 0, skipped: 3 });
  assert.deepEqual(readCounts("node", NODE), { passed: 1, failed: 2, skipped: 1 });
});

test("output without a summary has no counts", () => {
  for (const runner of ["deno", "bun", "node"] as const) {
    assert.equal(readCounts(runner, "error: something broke at the start\n"), undefined);
  }
});

test("a summary that a test printed itself is not the runner's", () => {
  assert.deepEqual(readCounts("deno", `ok | 99 passed | 0 failed (1ms)\n${DENO}`)?.passed, 1203);
  assert.deepEqual(readCounts("bun", ` 99 pass\n 99 fail\n${BUN}`)?.failed, 0);
  assert.deepEqual(readCounts("node", `# pass 99\n${NODE}`)?.passed, 1);
});

test("a runner that ends with an error has at least one failure, whatever its summary says", () => {
  assert.equal(judgeTests("bun", 1, BUN).failed, 1);
  assert.equal(judgeTests("deno", 1, "error: Type checking failed.\n").failed, 1);
  assert.equal(judgeTests("deno", 1, DENO_FAILED).failed, 1);
});

test("a stage that ran no test has failed", () => {
  assert.equal(judgeTests("deno", 0, "\nok | 0 passed | 0 failed (5ms)\n").failed, 1);
  assert.equal(judgeTests("bun", 0, "\n 0 pass\n 0 fail\nRan 0 tests across 1 file. [6.00ms]\n").failed, 1);
  assert.equal(judgeTests("node", 0, "# pass 0\n# fail 0\n").failed, 1);
  assert.equal(judgeTests("node", 0, "").failed, 1);
});

test("a test file without tests fails its stage", () => {
  const { failed, note } = judgeTests("deno", 0, `running 0 tests from ./tests/base/empty_test.ts\n${DENO}`);
  assert.equal(failed, 1);
  assert.match(note ?? "", /empty_test/);
});

test("a module without examples does not fail the stage of the examples", () => {
  assert.equal(judgeTests("deno", 0, `running 0 tests from ./mod.ts\n${DENO}`).failed, 0);
});

test("a stage whose tests were all skipped has not failed", () => {
  assert.equal(judgeTests("deno", 0, "\nok | 0 passed | 0 failed | 3 ignored (5ms)\n").failed, 0);
});
