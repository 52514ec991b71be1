/**
 * Reads from a test runner's output how many tests passed, failed and were skipped.
 *
 * @module
 */

/** What a stage of the gate has to show. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Whose output it is. */
export type Runner = "deno" | "bun" | "node";

/** The counts in the runner's own summary; undefined if there is no summary (the runner died before it). */
export function readCounts(runner: Runner, output: string): Counts | undefined {
  switch (runner) {
    case "deno": {
      // ok | 12 passed (3 steps) | 0 failed | 2 ignored (85ms)
      const summaries = [
        ...output.matchAll(/^(?:ok|FAILED) \| (\d+) passed[^|\n]*\| (\d+) failed(?:[^|\n]*\| (\d+) ignored)?/gm),
      ];
      const last = summaries.at(-1);
      return last && { passed: Number(last[1]), failed: Number(last[2]), skipped: Number(last[3] ?? 0) };
    }
    case "bun": {
      //  12 pass / 2 skip / 1 todo / 0 fail, a line each, lines that would say 0 left out except pass and fail
      const of = (word: string): number | undefined => lastNumber(output, new RegExp(`^ *(\\d+) ${word}$`, "gm"));
      const passed = of("pass"), failed = of("fail");
      if (passed === undefined || failed === undefined) return undefined;
      return { passed, failed, skipped: (of("skip") ?? 0) + (of("todo") ?? 0) };
    }
    case "node": {
      // # pass 12 / # fail 0 / # cancelled 0 / # skipped 2 / # todo 1, a line each
      const of = (word: string): number | undefined => lastNumber(output, new RegExp(`^# ${word} (\\d+)$`, "gm"));
      const passed = of("pass"), failed = of("fail");
      if (passed === undefined || failed === undefined) return undefined;
      return {
        passed,
        failed: failed + (of("cancelled") ?? 0),
        skipped: (of("skipped") ?? 0) + (of("todo") ?? 0),
      };
    }
  }
}

function lastNumber(text: string, pattern: RegExp): number | undefined {
  const last = [...text.matchAll(pattern)].at(-1);
  return last && Number(last[1]);
}

/** Test files in Deno's output that hold no test at all: such a file only looks as if something were tested. */
export function emptyTestFiles(output: string): string[] {
  return [...output.matchAll(/^running 0 tests from (.+_test\.ts)$/gm)].map((match) => match[1]);
}

/**
 * What a stage of tests counts for: the runner's numbers, with at least one failure if it exited with an error, ran no
 * test, or met a test file without tests.
 */
export function judgeTests(runner: Runner, exitCode: number, output: string): Counts & { readonly note?: string } {
  const counts = readCounts(runner, output) ?? { passed: 0, failed: 0, skipped: 0 };
  const atLeastOne = { ...counts, failed: Math.max(counts.failed, 1) };
  if (exitCode !== 0) return counts.failed > 0 ? counts : { ...atLeastOne, note: `exit code ${exitCode}` };
  const empty = runner === "deno" ? emptyTestFiles(output) : [];
  if (empty.length > 0) return { ...atLeastOne, note: `no test in ${empty.join(", ")}` };
  if (counts.passed + counts.failed + counts.skipped === 0) return { ...atLeastOne, note: "ran no test" };
  return counts;
}
