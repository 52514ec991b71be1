/**
 * How results look.
 *
 * @module
 */

import { median, QUARTER, reached, type Row, ROWS, type RuntimeName, targetOf } from "./rows.ts";
import type { RoundValues } from "./rounds.ts";

/** One line of `--json`, and of the table. */
export interface Result {
  readonly row: string;
  readonly client: RuntimeName;
  readonly server: RuntimeName;
  readonly unit: Row["unit"];
  /** The median of the rounds. */
  readonly value: number;
  /** The best round: what a busy machine disturbed least. */
  readonly best: number;
  readonly rounds: readonly number[];
  readonly target?: number;
  /** How much of the target was reached, 1 = all. */
  readonly reached?: number;
  /** The value as a multiple of the raw UDP row that it is held against, in the same run. */
  readonly perRawUdp?: number;
}

/** Puts the values of a run together, in the order of the rows. */
export function toResults(values: RoundValues, client: RuntimeName, server: RuntimeName): Result[] {
  const results: Result[] = [];
  for (const [name, row] of Object.entries(ROWS)) {
    const rounds = values[name];
    if (rounds === undefined) continue;
    const value = median(rounds);
    const target = targetOf(row, [client, server]);
    const { yardstick } = row;
    const raw = yardstick === undefined ? undefined : values[yardstick.row];
    results.push({
      row: name,
      client,
      server,
      unit: row.unit,
      value,
      best: row.better === "higher" ? Math.max(...rounds) : Math.min(...rounds),
      rounds,
      ...(target === undefined ? {} : { target, reached: reached(row, value, target) }),
      ...(yardstick === undefined || raw === undefined ? {} : { perRawUdp: value / (median(raw) * yardstick.scale) }),
    });
  }
  return results;
}

/** Results as lines of text. */
export function tableOf(results: readonly Result[]): string[] {
  const cells = [["", "median", "best", "", "target", "reached", "× raw UDP", ""]];
  for (const { row, unit, value, best, target, reached, perRawUdp } of results) {
    cells.push([
      ROWS[row].title,
      digits(value),
      digits(best),
      unit,
      target === undefined ? "" : `${ROWS[row].better === "higher" ? "≥" : "≤"} ${digits(target)}`,
      reached === undefined ? "" : `${Math.round(reached * 100)} %`,
      perRawUdp === undefined ? "" : perRawUdp.toFixed(2),
      reached !== undefined && reached < QUARTER ? "below a quarter" : "",
    ]);
  }
  const widths = cells[0].map((_, column) => Math.max(...cells.map((line) => line[column].length)));
  const alignLeft = new Set([0, 3, 7]);
  return cells.map((line) =>
    line.map((cell, column) => alignLeft.has(column) ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))
      .join("  ").trimEnd()
  );
}

/** Three digits that mean something, with spaces between thousands. */
function digits(value: number): string {
  if (value < 1) return value.toFixed(2);
  if (value < 100) return value.toPrecision(3);
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, " ");
}
