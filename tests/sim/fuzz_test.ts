import assert from "node:assert/strict";
import { test } from "node:test";
import { runFrameFuzz } from "../../lib/testing/frame_fuzz_run.ts";
import { runFuzz } from "../../lib/testing/fuzz_run.ts";
import { TransportError } from "../../lib/wire/error_codes.ts";
import { testSeed } from "../support/seed.ts";
import { crypto, millis } from "./shared.ts";

for (const pattern of ["IK", "XX"] as const) {
  test(`10 000 bad datagrams disturb neither endpoint of an ${pattern} connection`, () => {
    const profile = { delay: millis(10), rate: 50, loss: 0.01 };
    const result = runFuzz({ seed: testSeed, count: 10_000, pattern, crypto, profile });
    assert.equal(result.sent, 10_000);
    assert.ok(result.complete, "the honest transfer did not arrive");
    assert.ok(result.answers > 0, "nothing got far enough to be answered");
    assert.ok(result.answeredBytes <= 3 * result.sentBytes, `${result.answeredBytes} bytes for ${result.sentBytes}`);
    const { droppedMalformed, droppedUnknownConnection, droppedHello, failedHellos } = result.server;
    for (const counter of [droppedMalformed, droppedUnknownConnection, droppedHello, failedHellos]) {
      assert.ok(counter > 0, JSON.stringify(result.server));
    }
  });
}

test("10 000 bad datagrams, many of them hellos with tickets, disturb no resumed connection", () => {
  const profile = { delay: millis(10), rate: 50, loss: 0.01 };
  const result = runFuzz({ seed: testSeed, count: 10_000, resumed: true, crypto, profile });
  assert.ok(result.complete, "the honest transfer did not arrive");
  assert.ok(result.answeredBytes <= 3 * result.sentBytes, `${result.answeredBytes} bytes for ${result.sentBytes}`);
  const { ticketsAccepted, ticketsUsed, ticketsMalformed, earlyDataAccepted } = result.server;
  assert.ok(ticketsUsed > 0 && ticketsMalformed > 0, JSON.stringify(result.server));
  assert.ok(ticketsAccepted >= 1 && ticketsAccepted <= 4, `${ticketsAccepted}: each ticket once`);
  assert.ok(earlyDataAccepted <= 3, `${earlyDataAccepted}`);
});

test("peers that send frames without sense are cut off with a reason, and leave nothing behind", () => {
  const result = runFrameFuzz({ seed: testSeed, crypto, peers: 100 });
  assert.ok(result.packets > 500, `${result.packets} packets`);
  assert.equal(result.leftConnections, 0);
  const codes: number[] = Object.values(TransportError);
  for (const code of result.closes.keys()) {
    assert.ok(codes.includes(code) && code !== TransportError.INTERNAL, `closed with ${code}`);
  }
  assert.ok(result.closes.size >= 3, [...result.closes.keys()].join(" "));
});
