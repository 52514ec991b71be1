import { test } from "node:test";
import assert from "node:assert/strict";
import {
  FIRST_APPLICATION_CODE,
  RejectCode,
  rejectCodeName,
  StreamError,
  streamErrorName,
  TransportError,
  transportErrorName,
} from "../../lib/wire/error_codes.ts";

test("every code has its own name, and codes without one say to whom they belong", () => {
  for (const [name, code] of Object.entries(TransportError)) assert.equal(transportErrorName(code), name);
  for (const [name, code] of Object.entries(StreamError)) assert.equal(streamErrorName(code), name);
  for (const [name, code] of Object.entries(RejectCode)) assert.equal(rejectCodeName(code), name);
  assert.equal(transportErrorName(0xff), "UNKNOWN(0xff)");
  assert.equal(transportErrorName(0x100), "APPLICATION(0x100)");
  assert.equal(streamErrorName(0xffff), "APPLICATION(0xffff)");
  assert.equal(rejectCodeName(9), "UNKNOWN(0x09)");
});

test("the transport's own codes stay out of the application's range and do not repeat", () => {
  for (const table of [TransportError, StreamError, RejectCode]) {
    const codes: number[] = Object.values(table);
    assert.equal(new Set(codes).size, codes.length);
    assert.ok(codes.every((code) => code < FIRST_APPLICATION_CODE));
  }
});
