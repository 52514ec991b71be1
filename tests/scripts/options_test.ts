import assert from "node:assert/strict";
import { test } from "node:test";
import { type OptionSpec, readOptions, UsageError } from "../../scripts/options.ts";

const SPECS = {
  bytes: { type: "size", default: 1000 },
  loss: { type: "percent", default: 0 },
  rate: { type: "number", default: 100, least: 1 },
  runs: { type: "count", default: 1 },
  seed: { type: "integer", default: 0 },
  pattern: { type: "word", default: "ik", words: ["ik", "xx"] },
  json: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

test("options have defaults and take values behind a space or an equals sign", () => {
  assert.deepEqual(readOptions(SPECS, []), {
    bytes: 1000,
    loss: 0,
    rate: 100,
    runs: 1,
    seed: 0,
    pattern: "ik",
    json: false,
  });
  const { loss, rate, seed, pattern, json } = readOptions(SPECS, [
    "--",
    "--loss",
    "5",
    "--rate=2.5",
    "--json",
    "--seed=7",
    "--pattern",
    "XX",
  ]);
  assert.deepEqual([loss, rate, seed, pattern, json], [0.05, 2.5, 7, "xx", true]);
});

test("sizes have units of a thousand or of 1024", () => {
  const sizes = { "10MB": 10e6, "1.5kb": 1500, "2GiB": 2 ** 31, "64KiB": 65536, "12": 12, "3B": 3 };
  for (const [text, bytes] of Object.entries(sizes)) {
    assert.equal(readOptions(SPECS, ["--bytes", text]).bytes, bytes, text);
  }
});

test("whatever is wrong is said on one line", () => {
  const wrong: [string[], RegExp][] = [
    [["--foo"], /unknown option "--foo"/],
    [["--toString", "1"], /unknown option/],
    [["loss"], /unexpected argument "loss"/],
    [["--loss"], /--loss needs a value/],
    [["--loss", "101"], /percentage from 0 to 100, not "101"/],
    [["--loss", "-1"], /not "-1"/],
    [["--loss", "1e1"], /not "1e1"/],
    [["--loss", ""], /not ""/],
    [["--bytes", "10XB"], /a size such as/],
    [["--runs", "0"], /a whole number from 1 up/],
    [["--seed", "1.5"], /a whole number from 0 up/],
    [["--rate", "0.5"], /a number from 1 up/],
    [["--pattern", "nn"], /ik or xx, not "nn"/],
    [["--json=yes"], /takes no value/],
    [["--x\n\u001b[31m"], /unknown option/],
  ];
  for (const [args, message] of wrong) {
    assert.throws(() => readOptions(SPECS, args), (error) => {
      assert.ok(error instanceof UsageError, args.join(" "));
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n") && !error.message.includes("\u001b"));
      return true;
    });
  }
});
