import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  ERROR_CODES,
  ErrorCode,
  errorCodeByName,
  errorCodeInfo,
  errorCodeName,
  FIRST_APPLICATION_ERROR,
} from "../../lib/codec/error_codes.ts";

test("every error code is described, in order", () => {
  assert.deepEqual(ERROR_CODES.map(({ code }) => code), Object.values(ErrorCode));
  assert.deepEqual(ERROR_CODES.map(({ name }) => name), Object.keys(ErrorCode));
  ERROR_CODES.forEach(({ code, name, meaning }, place) => {
    assert.ok(place === 0 || code > ERROR_CODES[place - 1].code);
    assert.match(name, /^[A-Z_]+$/);
    assert.ok(meaning.length > 5);
    assert.equal(errorCodeInfo(code), ERROR_CODES[place]);
    assert.equal(errorCodeName(code), name);
    assert.equal(errorCodeByName(name), code);
  });
});

test("codes of applications and of later versions have no name but their number", () => {
  for (const code of [ERROR_CODES.at(-1)!.code + 1, FIRST_APPLICATION_ERROR, 0xffff]) {
    assert.equal(errorCodeInfo(code), undefined);
    assert.match(errorCodeName(code), /^0x[0-9a-f]{4}$/);
  }
  assert.equal(errorCodeByName("NO_SUCH_CODE"), undefined);
  assert.equal(errorCodeByName("toString"), undefined);
});

test("the specification lists every error code with its meaning, whether to retry, and whether anything was done", () => {
  const spec = readFileSync(new URL("../../docs/SPEC.md", import.meta.url), "utf8");
  const word = (is: boolean): string => is ? "yes" : "no";
  for (const { code, name, meaning, retryable, nothingDone } of ERROR_CODES) {
    const number = `0x${code.toString(16).padStart(4, "0")}`;
    const row = `| ${number} | ${name} | ${meaning} | ${word(retryable)} | ${word(nothingDone)} |`;
    assert.ok(spec.includes(row), row);
  }
});
