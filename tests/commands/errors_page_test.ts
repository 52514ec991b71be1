import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { EXIT_CODES, exitCodeOf } from "../../commands/errors.ts";
import { remoteError } from "../../lib/agent/calls/call_failure.ts";
import { ERROR_CODES } from "../../lib/codec/error_codes.ts";

const page = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");

test("the page about errors explains every code of the library and the command line, with its exit code", () => {
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\d+) \| .+ \| .+ \|$/gm)].map((
    [, code, exit],
  ) => [code, Number(exit)]);
  const others = [...page.matchAll(/`(\w+)` \((?:exit code )?(\d+)[:;)]/g)].map((
    [, code, exit],
  ) => [code, Number(exit)]);
  assert.deepEqual(Object.fromEntries([...rows, ...others]), EXIT_CODES);
  assert.equal(rows.length + others.length, Object.keys(EXIT_CODES).length, "each once");
});

test("the page about errors lists every code of the protocol, with what becomes of it", () => {
  const word = (is: boolean): string => is ? "yes" : "no";
  for (const { code, name, meaning, retryable, nothingDone } of ERROR_CODES) {
    const error = remoteError(code, retryable, "");
    const number = `0x${code.toString(16).padStart(4, "0")}`;
    const row =
      `| ${number} | ${name} | ${meaning} | ${word(retryable)} | ${word(nothingDone)} | \`${error.code}\` | ` +
      `${exitCodeOf(error)} |`;
    assert.ok(page.includes(row), row);
    assert.deepEqual([error.remoteName, error.message, error.nothingDone], [name, name, nothingDone]);
  }
});
