import assert from "node:assert/strict";
import { test } from "node:test";
import { runUpload } from "../../lib/testing/upload_run.ts";
import { crypto, millis } from "./shared.ts";

test("a receiver that only acknowledges keeps to its congestion window when it asks for acknowledgements itself", () => {
  // So many acknowledgements leave within one round trip that a PING in every 32nd would fill the initial window.
  const result = runUpload({
    seed: 1,
    crypto,
    bytes: 12_000_000,
    profile: { delay: millis(5), rate: 1000 },
    settings: { sendBuffer: 32 << 20, maxStreamData: 32 << 20, maxData: 32 << 20 },
  });
  assert.ok(result.complete);
});
