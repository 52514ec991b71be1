import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatRfc3339, parseRfc3339 } from "../../../lib/codec/json/rfc3339.ts";
import { property } from "../../support/seed.ts";

const LAST = 253_402_300_799_999;

test("times are written and read as the runtime's calendar does it", () => {
  fc.assert(
    fc.property(fc.oneof(fc.nat(4_102_444_800_000), fc.integer({ min: 0, max: LAST })), (millis) => {
      const text = new Date(millis).toISOString();
      assert.equal(formatRfc3339(millis), text);
      assert.equal(parseRfc3339(text), millis);
    }),
    property(500),
  );
});

test("offsets, finer fractions and other spellings are understood", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["1970-01-01T00:00:00Z", 0],
    ["1970-01-01t01:00:00z", 3_600_000],
    ["1970-01-01 00:00:01Z", 1000],
    ["1970-01-01T02:00:00+02:00", 0],
    ["1969-12-31T23:00:00-01:00", 0],
    ["2024-02-29T12:00:00.123456789+00:00", 1_709_208_000_123],
    ["2024-02-29T12:00:00.5Z", 1_709_208_000_500],
    ["2016-12-31T23:59:60Z", 1_483_228_800_000],
    ["2000-02-29T00:00:00Z", 951_782_400_000],
  ];
  for (const [text, millis] of cases) assert.equal(parseRfc3339(text), millis, text);
});

test("what is no time, or lies before 1970, is refused", () => {
  const bad = [
    "",
    "2024-01-01",
    "2024-01-01T00:00:00",
    "2024-13-01T00:00:00Z",
    "2024-00-01T00:00:00Z",
    "2024-01-32T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2024-04-31T00:00:00Z",
    "2024-01-01T24:00:00Z",
    "2024-01-01T00:60:00Z",
    "2024-01-01T00:00:61Z",
    "2024-01-01T00:00:00+24:00",
    "2024-01-01T00:00:00.Z",
    "2024-01-01T00:00:00.1234567890Z",
    "1969-12-31T23:59:59Z",
    "+2024-01-01T00:00:00Z",
  ];
  for (const text of bad) assert.equal(parseRfc3339(text), undefined, text);
});

test("a time outside of what the form can say is the caller's mistake", () => {
  for (const millis of [-1, 0.5, NaN, LAST + 1]) assert.throws(() => formatRfc3339(millis), RangeError);
});
