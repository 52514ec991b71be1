import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { CliError } from "../../commands/errors.ts";
import { parse } from "../../commands/parser.ts";
import { COMMANDS } from "../../commands/table.ts";
import { property } from "../support/seed.ts";

const flags = COMMANDS.flatMap(({ options = [] }) => options.flatMap(({ flags }) => flags.split(/,\s*|\s/)));
const words = fc.oneof(
  fc.constantFrom(
    ...COMMANDS.map(({ name }) => name),
    ...flags,
    "--",
    "-",
    "--json",
    "--timeout",
    "5s",
    "-d",
    "@",
    "help",
  ),
  fc.constantFrom(
    "mxp://127.0.0.1:9000",
    "mxp://",
    "--=",
    "--json=1",
    "-dx",
    "-fo",
    "--no-json",
    "__proto__",
    "constructor",
  ),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string().map((text) => `--${text}`),
);

/** Where an argument vector is refused, it is refused in the way of this program. */
function parseOrRefuse(argv: readonly string[], env: Record<string, string> = {}): string {
  try {
    return parse(COMMANDS, argv, { env }).kind;
  } catch (error) {
    assert.ok(
      error instanceof CliError,
      `${JSON.stringify(argv)} threw ${error instanceof Error ? error.stack : error}`,
    );
    assert.ok(error.code === "usage" || error.code === "config", error.code);
    assert.ok(error.message.length < 1000, "the message is short");
    return "refused";
  }
}

test("any arguments are understood or refused as wrong usage", () => {
  fc.assert(fc.property(fc.array(words, { maxLength: 8 }), (argv) => void parseOrRefuse(argv)), property(500));
});

test("any values in the environment are understood or refused as wrong configuration", () => {
  const names = ["MXP_TIMEOUT", "MXP_JSON", "MXP_LOG_LEVEL", "MXP_IDENTITY", "MXP_LISTEN", "MXP_MAX_EXEC"];
  const env = fc.dictionary(fc.constantFrom(...names), fc.string({ unit: "binary" }));
  fc.assert(fc.property(env, (env) => void parseOrRefuse(["serve", "--echo"], env)), property(300));
});

test("global options are taken before and after the command", () => {
  for (const argv of [["--json", "--timeout", "2s", "pubkey"], ["pubkey", "--timeout", "2", "--json"]]) {
    const parsed = parse(COMMANDS, argv, { env: {} });
    assert.equal(parsed.kind, "run");
    if (parsed.kind !== "run") continue;
    assert.equal(parsed.command.name, "pubkey");
    assert.equal(parsed.settings.json, true);
    assert.equal(parsed.settings.timeoutMs, 2000);
  }
});

test("a flag goes before the environment, which goes before the default", () => {
  const timeout = (argv: string[], env: Record<string, string>): number | undefined => {
    const parsed = parse(COMMANDS, ["pubkey", ...argv], { env });
    return parsed.kind === "run" ? parsed.settings.timeoutMs : undefined;
  };
  assert.equal(timeout([], {}), undefined);
  assert.equal(timeout([], { MXP_TIMEOUT: "7" }), 7000);
  assert.equal(timeout(["--timeout", "300ms"], { MXP_TIMEOUT: "7" }), 300);
  assert.equal(timeout([], { MXP_TIMEOUT: "" }), undefined);
});

test("repeatable options collect, others take the last value, and values may begin with a dash", () => {
  const parsed = parse(
    COMMANDS,
    ["call", "mxp://h", "--meta", "a=1", "--meta", "b=x=y", "--method", "m", "--method", "n", "-d", "-5"],
    { env: {} },
  );
  assert.equal(parsed.kind, "run");
  if (parsed.kind !== "run") return;
  assert.deepEqual(parsed.flags, { meta: [["a", "1"], ["b", "x=y"]], method: "n", data: "-5" });
});

test("everything behind -- is an argument", () => {
  const parsed = parse(COMMANDS, ["call", "mxp://h", "--", "--json"], { env: {} });
  assert.equal(parsed.kind, "run");
  if (parsed.kind !== "run") return;
  assert.deepEqual(parsed.args, ["mxp://h", "--json"]);
  assert.equal(parsed.settings.json, false);
});
