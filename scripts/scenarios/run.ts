/**
 * Runs scenarios and says how they went.
 *
 * @module
 */

import process from "node:process";
import type { CryptoProvider } from "../../lib/crypto/types.ts";
import { InvariantError } from "../../lib/testing/invariants.ts";
import { CONGESTION_NAMES, type CongestionName } from "../../lib/transport/congestion/create.ts";
import { SCENARIOS } from "./registry.ts";
import type { Cell, CellContext, Figures, Outcome, Scenario } from "./scenario.ts";

/** What to run, and how. */
export interface ScenarioRunOptions {
  /** `A1`, or `all`. */
  readonly scenario: string;
  /** The cell of this name, or those whose names contain it; all if it is empty. */
  readonly cell: string;
  /** A controller, or `all` for every one where it matters. */
  readonly congestion: string;
  readonly seed: number;
  readonly runs: number;
  readonly quick: boolean;
  readonly json: boolean;
  readonly crypto: CryptoProvider;
}

/** What is printed about one run of one cell. */
export interface CellReport {
  readonly name: string;
  readonly cell: string;
  /** Runs it again. */
  readonly command: string;
  readonly figures: Figures;
  readonly asked: string;
  readonly ok: boolean;
  readonly seed: number;
  readonly congestion: CongestionName;
  /** Real time that it took. */
  readonly wall_s: number;
}

/** The scenarios of a name; undefined if there are none. */
export function scenariosOf(name: string): readonly Scenario[] | undefined {
  if (name === "all") return SCENARIOS;
  const found = SCENARIOS.filter((scenario) => scenario.name.toLowerCase() === name.toLowerCase());
  return found.length > 0 ? found : undefined;
}

/** The cell of that name, or else those whose names contain it. */
function cellsOf({ cells }: Scenario, name: string): readonly Cell[] {
  const exact = cells.filter((cell) => cell.name === name);
  return exact.length > 0 ? exact : cells.filter((cell) => cell.name.includes(name));
}

/** One run of one cell. */
export async function runCell(scenario: Scenario, cell: Cell, context: CellContext): Promise<CellReport> {
  const begin = performance.now();
  let outcome: Outcome;
  try {
    outcome = await cell.run(context);
  } catch (error) {
    if (!(error instanceof InvariantError)) throw error;
    outcome = { ok: false, figures: { broken: error.message }, asked: scenario.asked };
  }
  const { seed, congestion, quick } = context;
  const words = ["deno task sim -- --scenario", scenario.name, "--cell", cell.name];
  if (scenario.perController) words.push("--cc", congestion);
  words.push("--seed", String(seed));
  if (quick) words.push("--quick");
  const wall = Math.round((performance.now() - begin) / 10) / 100;
  return { name: scenario.name, cell: cell.name, command: words.join(" "), ...outcome, seed, congestion, wall_s: wall };
}

/** Runs them, with a line for each; the exit code. */
export async function runScenarios(options: ScenarioRunOptions): Promise<number> {
  const scenarios = scenariosOf(options.scenario)!;
  let ran = 0, failed = 0;
  for (const scenario of scenarios) {
    const controllers = !scenario.perController && options.congestion === "all"
      ? CONGESTION_NAMES.slice(0, 1)
      : CONGESTION_NAMES.filter((name) => options.congestion === "all" || name === options.congestion);
    for (const cell of cellsOf(scenario, options.cell)) {
      for (const congestion of controllers) {
        for (let run = 0; run < options.runs; run++) {
          const { crypto, quick, seed } = options;
          const report = await runCell(scenario, cell, { seed: seed + run, congestion, crypto, quick });
          ran++;
          if (!report.ok) failed++;
          console.log(options.json ? JSON.stringify(report) : lineOf(report));
        }
      }
    }
    if (scenario.cells.length === 0 && !options.json) console.log(`-     ${scenario.name} ${scenario.title}`);
  }
  if (ran === 0 && options.cell !== "") {
    console.error(`sim: no cell of ${options.scenario} has ${JSON.stringify(options.cell)} in its name`);
    return 2;
  }
  if (!options.json) console.log(`${ran - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** Prints what there is. */
export function listScenarios(json: boolean): void {
  for (const { name, title, asked, cells, perController } of SCENARIOS) {
    if (json) {
      const names = cells.map((cell) => cell.name);
      console.log(JSON.stringify({ name, title, asked, cells: names, per_controller: perController === true }));
    } else {
      console.log(`${name.padEnd(4)} ${title}`);
      console.log(`     asked: ${asked}`);
      if (cells.length > 0) console.log(`     cells: ${cells.map((cell) => cell.name).join("  ")}`);
    }
  }
}

function lineOf(report: CellReport): string {
  const { ok, name, cell, congestion, seed, figures, asked, wall_s } = report;
  const color = process.stdout.isTTY === true && !process.env.NO_COLOR;
  const mark = ok ? "ok    " : color ? "\x1b[31mFAILED\x1b[0m" : "FAILED";
  const text = Object.entries(figures).map(([figure, value]) => `${figure} ${value}`).join(", ");
  return `${mark} ${name} ${cell} ${congestion} seed ${seed}: ${text} (asked: ${asked}; took ${wall_s} s)`;
}
