import assert from "node:assert/strict";
import { test } from "node:test";
import { printable, quote } from "../../lib/agent/quote.ts";

test("nothing that a terminal obeys survives quoting", () => {
  assert.equal(
    quote("a\u001b[31m\r\n\u0000\u009b\u202e\ud800"),
    '"a\\u001b[31m\\u000d\\u000a\\u0000\\u009b\\u202e\\ud800"',
  );
  assert.equal(quote('say "hi" \\'), '"say \\"hi\\" \\\\"');
  assert.equal(quote("żółw 🐢"), '"żółw 🐢"');
  assert.equal(quote("abcdef", 3), '"abc…"');
  assert.equal(printable('"x"\u0007\\'), '"x"\\u0007\\');
});
