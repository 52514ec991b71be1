import assert from "node:assert/strict";
import { test } from "node:test";
import { type Micros, micros } from "../../lib/base/time.ts";
import { nextWindow, ReceiveCredit, SendCredit } from "../../lib/transport/flow_control.ts";

const NO_TIME = 0 as Micros;

test("a sender's credit starts at nothing, grows with the peer's limit and shrinks with what is sent", () => {
  const credit = new SendCredit();
  assert.equal(credit.available, 0);
  assert.equal(credit.isBlocked, true);
  assert.equal(credit.setLimit(100), true);
  credit.use(60);
  assert.equal(credit.available, 40);
  assert.equal(credit.used, 60);
  assert.equal(credit.setLimit(90), false, "a limit never shrinks");
  assert.equal(credit.limit, 100);
  assert.equal(credit.setLimit(110), false, "it was not blocked");
  credit.use(50);
  assert.equal(credit.isBlocked, true);
  assert.equal(credit.setLimit(111), true);
});

test("using more credit than there is is the caller's mistake, and throws", () => {
  const credit = new SendCredit();
  credit.setLimit(10);
  assert.throws(() => credit.use(11), RangeError);
  assert.equal(credit.available, 10);
});

test("a blocked connection is announced once for each limit, and again if the announcement was lost", () => {
  const credit = new SendCredit();
  assert.equal(credit.takeBlocked(), 0);
  assert.equal(credit.takeBlocked(), -1);
  credit.onBlockedLost(0);
  assert.equal(credit.takeBlocked(), 0);
  credit.setLimit(5);
  assert.equal(credit.takeBlocked(), -1, "it is not blocked");
  credit.use(5);
  assert.equal(credit.takeBlocked(), 5);
  credit.onBlockedLost(0);
  assert.equal(credit.takeBlocked(), -1, "an old announcement does not matter");
});

test("a receiver accepts what its limit allows, to the byte", () => {
  const credit = new ReceiveCredit(100);
  assert.equal(credit.onReceived(60), true);
  assert.equal(credit.onReceived(41), false);
  assert.equal(credit.received, 60, "what was refused does not count");
  assert.equal(credit.onReceived(40), true);
  assert.equal(credit.onReceived(1), false);
});

test("a receiver announces new credit when a quarter of its window was consumed, and again when that was lost", () => {
  const credit = new ReceiveCredit(100);
  credit.onReceived(100);
  credit.onConsumed(24);
  assert.equal(credit.isUpdateDue, false);
  assert.equal(credit.takeMaxData(NO_TIME, NO_TIME), 0);
  credit.onConsumed(1);
  assert.equal(credit.isUpdateDue, true);
  assert.equal(credit.takeMaxData(NO_TIME, NO_TIME), 125);
  assert.equal(credit.takeMaxData(NO_TIME, NO_TIME), 0);
  assert.equal(credit.onReceived(25), true);
  assert.equal(credit.onReceived(1), false);
  credit.onMaxDataLost();
  assert.equal(credit.takeMaxData(NO_TIME, NO_TIME), 125);
  assert.equal(credit.takeMaxData(NO_TIME, NO_TIME), 0);
});

test("a window doubles if a quarter of it was consumed in less than a round trip, and never beyond its maximum", () => {
  assert.equal(nextWindow(100, 1000, 99, 100), 200);
  assert.equal(nextWindow(100, 1000, 100, 100), 100);
  assert.equal(nextWindow(100, 150, 0, 100), 150);
  assert.equal(nextWindow(150, 150, 0, 100), 150);
  const credit = new ReceiveCredit(100, 300);
  const rtt = micros(1000);
  const limits: number[] = [];
  for (const now of [0, 500, 1000, 9000]) {
    const bytes = credit.limit - credit.received;
    credit.onReceived(bytes);
    credit.onConsumed(bytes);
    limits.push(credit.takeMaxData(micros(now), rtt));
  }
  assert.deepEqual(limits, [200, 400, 700, 1000]);
  assert.equal(credit.window, 300);
});

test("a connection's window is at least what one of its streams was allowed, up to its maximum", () => {
  const credit = new ReceiveCredit(100, 300);
  credit.ensureWindow(80);
  assert.equal(credit.isUpdateDue, false);
  credit.ensureWindow(200);
  assert.equal(credit.isUpdateDue, true);
  assert.equal(credit.takeMaxData(NO_TIME, NO_TIME), 200);
  credit.ensureWindow(1000);
  assert.equal(credit.takeMaxData(NO_TIME, NO_TIME), 300);
});

test("no limit is announced beyond what the wire can carry", () => {
  const credit = new ReceiveCredit(Number.MAX_SAFE_INTEGER);
  credit.onReceived(Number.MAX_SAFE_INTEGER - 5);
  credit.onConsumed(Number.MAX_SAFE_INTEGER - 5);
  assert.equal(credit.takeMaxData(NO_TIME, NO_TIME), Number.MAX_SAFE_INTEGER);
});
