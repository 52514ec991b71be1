import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { REPLAY_WINDOW_SIZE, ReplayWindow } from "../../lib/transport/replay_window.ts";
import { property } from "../support/seed.ts";

/** Remembers every number. */
class NaiveWindow {
  readonly seen = new Set<number>();
  highest = -1;

  isFresh(n: number): boolean {
    return n >= this.highest - REPLAY_WINDOW_SIZE && !this.seen.has(n);
  }

  mark(n: number): void {
    this.seen.add(n);
    this.highest = Math.max(this.highest, n);
  }
}

test("a number is fresh once", () => {
  const window = new ReplayWindow();
  assert.equal(window.highest, -1);
  for (const n of [0, 1, 5, 3, 4096, 31, 32]) {
    assert.equal(window.isFresh(n), true, `${n}`);
    window.mark(n);
    assert.equal(window.isFresh(n), false, `${n}`);
  }
  assert.equal(window.highest, 4096);
});

test("asking does not change anything", () => {
  const window = new ReplayWindow();
  window.mark(10);
  assert.equal(window.isFresh(1_000_000), true);
  assert.equal(window.isFresh(9), true);
  assert.equal(window.isFresh(9), true);
  assert.equal(window.highest, 10);
});

test("the window reaches 4096 below the highest number and not further", () => {
  const window = new ReplayWindow();
  window.mark(10_000);
  assert.equal(window.isFresh(10_000 - 4096), true);
  assert.equal(window.isFresh(10_000 - 4097), false);
  window.mark(10_000 - 4097);
  window.mark(10_000 - 4096);
  assert.equal(window.isFresh(10_000 - 4096), false);
  window.mark(10_001);
  assert.equal(window.isFresh(10_001 - 4096), true);
});

test("jumps up to 2^53 - 1 leave nothing behind", () => {
  const window = new ReplayWindow(), max = Number.MAX_SAFE_INTEGER;
  for (let n = 0; n < 9000; n++) window.mark(n);
  for (const highest of [2 ** 32 + 4, 2 ** 40, max]) {
    window.mark(highest);
    assert.equal(window.isFresh(highest), false);
    for (let n = highest - 1; n >= highest - 4096; n--) assert.ok(window.isFresh(n), `${n}`);
    for (let n = highest - 1; n >= highest - 4096; n--) window.mark(n);
    for (let n = highest; n >= highest - 4100; n--) assert.ok(!window.isFresh(n), `${n}`);
  }
});

test("the window agrees with a memory of everything, through any order of arrivals", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: -40, max: 40 }) },
    { weight: 3, arbitrary: fc.integer({ min: -4200, max: 4200 }) },
    { weight: 1, arbitrary: fc.integer({ min: -20_000, max: 20_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(31, 32, 33, 4095, 4096, 4097, 8191, 8192, 8193, -4095, -4096, -4097) },
  );
  const origin = fc.constantFrom(0, 100, 2 ** 31, 2 ** 32 - 50, 2 ** 48);
  fc.assert(
    fc.property(origin, fc.array(step, { minLength: 1, maxLength: 150 }), (origin, steps) => {
      const window = new ReplayWindow(), naive = new NaiveWindow();
      for (const step of steps) {
        const n = Math.max(0, Math.max(origin, naive.highest) + step);
        for (const asked of [n, n - 1, n + 1, n - 32, n + 4096, n - 4096]) {
          if (asked >= 0) assert.equal(window.isFresh(asked), naive.isFresh(asked), `${asked}`);
        }
        if (!naive.isFresh(n)) continue;
        window.mark(n);
        naive.mark(n);
        assert.equal(window.highest, naive.highest);
      }
    }),
    property(),
  );
});
