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

test("every error code is described, in order and without gaps", () => {
  assert.deepEqual(ERROR_CODES.map(({ code }) => code), Object.values(ErrorCode));
  assert.deepEqual(ERROR_CODES.map(({ name }) => name), Object.keys(ErrorCode));
  ERROR_CODES.forEach(({ code, name, meaning }, place) => {
    assert.equal(code, place);
    assert.match(name, /^[A-Z_]+$/);
    assert.ok(meaning.length > 5);
    assert.equal(errorCodeInfo(code), ERROR_CODES[place]);
    assert.equal(errorCodeName(code), name);
    assert.equal(errorCodeByName(name), code);
  });
});

test("codes of applications and of later versions have no name but their number", () => {
  for (const code of [ERROR_CODES.length, FIRST_APPLICATION_ERROR, 0xffff]) {
    assert.equal(errorCodeInfo(code), undefined);
    assert.match(errorCodeName(code), /^0x[0-9a-f]{4}$/);
  }
  assert.equal(errorCodeByName("NO_SUCH_CODE"), undefined);
  assert.equal(errorCodeByName("toString"), undefined);
});

test("the specification lists every error code with its meaning and whether to retry", () => {
  const spec = readFileSync(new URL("../../docs/SPEC.md", import.meta.url), "utf8");
  for (const { code, name, meaning, retryable } of ERROR_CODES) {
    const row = `| 0x${code.toString(16).padStart(4, "0")} | ${name} | ${meaning} | ${retryable ? "yes" : "no"} |`;
    assert.ok(spec.includes(row), row);
  }
});
