import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { build } from "hdr-histogram-js";
import { Histogram } from "../../commands/histogram.ts";
import { property } from "../support/seed.ts";

const QUANTILES = [0, 0.01, 0.5, 0.9, 0.99, 0.999, 1];

function histogramOf(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

/** The naive way. */
function exactQuantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1];
}

test("quantiles are never below the exact ones and at most 1/128 above", () => {
  const value = fc.oneof(fc.nat(1000), fc.nat(), fc.maxSafeNat());
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 300 }), (values) => {
      const histogram = histogramOf(values);
      assert.equal(histogram.count, values.length);
      assert.equal(histogram.max, Math.max(...values));
      for (const q of QUANTILES) {
        const exact = exactQuantile(values, q), found = histogram.quantile(q);
        assert.ok(found >= exact && found <= exact * (1 + 1 / 128), `${q}: ${found} instead of ${exact}`);
      }
    }),
    property(),
  );
});

test("quantiles agree with HdrHistogram's for latencies from microseconds to minutes", () => {
  const latency = fc.tuple(fc.integer({ min: 3, max: 11 }), fc.nat(999)).map(([power, digits]) =>
    Math.round(10 ** power * (1 + digits / 100))
  );
  fc.assert(
    fc.property(fc.array(latency, { minLength: 1, maxLength: 500 }), (values) => {
      const histogram = histogramOf(values);
      const oracle = build({ highestTrackableValue: 10 ** 13, numberOfSignificantValueDigits: 5 });
      for (const value of values) oracle.recordValue(value);
      assert.equal(histogram.count, oracle.totalCount);
      for (const q of [0.5, 0.9, 0.99, 0.999, 1]) {
        const expected = oracle.getValueAtPercentile(100 * q), found = histogram.quantile(q);
        assert.ok(Math.abs(found - expected) <= expected / 100, `${q}: ${found} instead of ${expected}`);
      }
    }),
    property(30),
  );
});

test("values below 256 are counted exactly", () => {
  const values = Array.from({ length: 256 }, (_, i) => i);
  const histogram = histogramOf(values);
  for (let i = 1; i <= 256; i++) assert.equal(histogram.quantile(i / 256), i - 1);
});

test("every power of two and its neighbours are found again", () => {
  for (let power = 1; power <= 53; power++) {
    for (const value of [2 ** power - 1, 2 ** power, 2 ** power + 1]) {
      if (value > Number.MAX_SAFE_INTEGER) continue;
      assert.equal(histogramOf([value]).quantile(0.5), value);
    }
  }
});

test("a value is rounded to a whole number", () => {
  assert.equal(histogramOf([41.6]).quantile(1), 42);
});

test("an empty histogram has no quantile, and a reset one is empty", () => {
  const histogram = histogramOf([7]);
  histogram.reset();
  assert.equal(histogram.count, 0);
  assert.equal(histogram.max, 0);
  assert.ok(Number.isNaN(histogram.quantile(0.5)));
  assert.ok(Number.isNaN(new Histogram().quantile(0.5)));
});

test("what is not a value or not a quantile is refused", () => {
  const histogram = new Histogram();
  for (const value of [-1, NaN, Infinity, 2 ** 53]) assert.throws(() => histogram.record(value), RangeError);
  for (const q of [-0.1, 1.1, NaN]) assert.throws(() => histogram.quantile(q), RangeError);
  assert.equal(histogram.count, 0);
});
