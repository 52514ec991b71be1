import assert from "node:assert/strict";
import { test } from "node:test";
import { selectProvider } from "../../lib/crypto/select.ts";
import { runPackedFuzz } from "../../lib/testing/packed_fuzz_run.ts";
import { testSeed } from "../support/seed.ts";

test("packed data that was changed at random is refused, or stays within its bounds", () => {
  const crypto = selectProvider();
  const result = runPackedFuzz(testSeed, 600, crypto);
  assert.equal(result.executions, 600);
  // Both ways out were taken: the checks are not so strict that nothing reaches what is behind them.
  assert.ok(result.framesTaken > 50, `${result.framesTaken} frames`);
  assert.ok(result.headsOpened > 0, `${result.headsOpened} heads`);
  assert.deepEqual(
    runPackedFuzz(testSeed, 50, crypto),
    runPackedFuzz(testSeed, 50, crypto),
    "the same seed, the same run",
  );
});
