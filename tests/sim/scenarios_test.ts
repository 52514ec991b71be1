import assert from "node:assert/strict";
import { test } from "node:test";
import { CONGESTION_NAMES } from "../../lib/transport/congestion/create.ts";
import { SCENARIOS } from "../../scripts/scenarios/registry.ts";
import { runCell } from "../../scripts/scenarios/run.ts";
import { crypto } from "./shared.ts";

for (const scenario of SCENARIOS) {
  for (const cell of scenario.cells.filter(({ inGate }) => inGate)) {
    test(`${scenario.name} ${cell.name}, a small one, is ok`, async () => {
      for (const congestion of scenario.perController ? CONGESTION_NAMES : CONGESTION_NAMES.slice(0, 1)) {
        const report = await runCell(scenario, cell, { seed: 1, congestion, crypto, quick: true });
        assert.ok(report.ok, JSON.stringify(report));
      }
    });
  }
}

test("scenarios and their cells have names of their own", () => {
  assert.equal(new Set(SCENARIOS.map(({ name }) => name)).size, SCENARIOS.length);
  for (const { cells } of SCENARIOS) assert.equal(new Set(cells.map(({ name }) => name)).size, cells.length);
});
