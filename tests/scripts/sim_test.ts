import assert from "node:assert/strict";
import { test } from "node:test";
import { SCENARIOS } from "../../scripts/scenarios/registry.ts";
import { runScript } from "../support/script.ts";

test("the simulator lists every scenario with what is asked and the names of its cells", async () => {
  const { code, stdout } = await runScript("sim.ts", ["--list", "--json"]);
  assert.equal(code, 0);
  const listed = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(listed.map(({ name }) => name), SCENARIOS.map(({ name }) => name));
  for (const { asked, title } of listed) assert.ok(asked.length > 0 && title.length > 0);
  assert.ok(listed.find(({ name }) => name === "A7").cells.includes("hole=3s"));
});

test("a cell says how it went and by which command it is run again", async () => {
  const args = ["--scenario", "a16", "--cell", "suspend=b", "--quick", "--json", "--cc", "newreno", "--seed=5"];
  const { code, stdout } = await runScript("sim.ts", args);
  const reports = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(reports.map(({ cell }) => cell), ["suspend=both", "suspend=both,idle=never"]);
  assert.equal(code, reports.every(({ ok }) => ok) ? 0 : 1);
  const { name, command, figures, asked, seed } = reports[0];
  assert.deepEqual([name, seed], ["A16", 5]);
  assert.equal(command, "deno task sim -- --scenario A16 --cell suspend=both --seed 5 --quick");
  assert.equal(figures.ended, "idle_timeout+idle_timeout");
  assert.match(asked, /a new connection works/);
});

test("scenarios, cells and controllers that do not exist are refused on one line", async () => {
  for (
    const [args, message] of [
      [["--scenario", "A99"], /^sim: there is no scenario "A99", see --list\n$/],
      [["--scenario", "A7", "--cell", "moon"], /^sim: no cell of A7 has "moon" in its name\n$/],
      [["--cc", "hope"], /^sim: --congestion is cubic or .* or all, not "hope"\n$/],
      [["--cc", "all"], /^sim: --congestion all goes with --scenario\n$/],
    ] as const
  ) {
    const { code, stderr } = await runScript("sim.ts", args);
    assert.match(stderr, message);
    assert.equal(code, 2);
  }
});
