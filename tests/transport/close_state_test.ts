import assert from "node:assert/strict";
import { test } from "node:test";
import { micros } from "../../lib/base/time.ts";
import { CloseState } from "../../lib/transport/close_state.ts";

test("CLOSE is sent once, and the state lasts three probe timeouts", () => {
  const close = new CloseState(micros(100), micros(1000), 7, "why", true);
  assert.equal(close.due, true);
  close.onSent();
  assert.equal(close.due, false);
  assert.equal(close.deadline, 3100);
});

test("a peer that goes on sending gets CLOSE again after 1, 2, 4 … datagrams, at most eight times", () => {
  const close = new CloseState(micros(0), micros(1000), 0, "", true);
  close.onSent();
  const repeatedAt: number[] = [];
  for (let i = 1; i <= 1000; i++) {
    close.onReceived();
    if (!close.due) continue;
    repeatedAt.push(i);
    close.onSent();
  }
  assert.deepEqual(repeatedAt, [1, 2, 4, 8, 16, 32, 64, 128]);
});

test("draining announces nothing", () => {
  assert.equal(new CloseState(micros(0), micros(1000), 0, "", false).due, false);
});
