import assert from "node:assert/strict";
import { test } from "node:test";
import { micros, NEVER, seconds } from "../../lib/base/time.ts";
import { IdleTimer } from "../../lib/transport/idle_timer.ts";

const OFF = micros(0);
const PTO = micros(1000);

test("the smaller of both sides' timeouts applies, and 0 means none", () => {
  const timer = new IdleTimer(micros(0), seconds(30), OFF);
  timer.negotiate(seconds(10));
  assert.equal(timer.deadline(PTO), seconds(10));
  timer.negotiate(seconds(20));
  assert.equal(timer.deadline(PTO), seconds(10));
  const none = new IdleTimer(micros(0), OFF, OFF);
  assert.equal(none.deadline(PTO), NEVER);
  none.negotiate(seconds(5));
  assert.equal(none.deadline(PTO), seconds(5));
});

test("only the first packet sent after one was received puts the deadline off", () => {
  const timer = new IdleTimer(micros(0), seconds(1), OFF);
  timer.onReceived(micros(100));
  timer.onAckElicitingSent(micros(200));
  assert.equal(timer.deadline(PTO), 200 + seconds(1));
  timer.onAckElicitingSent(micros(900));
  assert.equal(timer.deadline(PTO), 200 + seconds(1));
  timer.onReceived(micros(1000));
  assert.equal(timer.deadline(PTO), 1000 + seconds(1));
});

test("the timeout never undercuts three probe timeouts", () => {
  const timer = new IdleTimer(micros(0), micros(100), OFF);
  assert.equal(timer.deadline(micros(5000)), 15000);
});

test("keep-alives leave one interval after the last packet received, and one interval apart", () => {
  const timer = new IdleTimer(micros(0), seconds(30), seconds(5));
  timer.onReceived(seconds(1));
  assert.equal(timer.keepAliveAt(), seconds(6));
  timer.onKeepAlive(seconds(6));
  assert.equal(timer.keepAliveAt(), seconds(11));
  assert.equal(new IdleTimer(micros(0), seconds(30), OFF).keepAliveAt(), NEVER);
});
