import assert from "node:assert/strict";
import { test } from "node:test";
import { micros, millis, NEVER } from "../../lib/base/time.ts";
import { ReceivedPackets } from "../../lib/transport/received_packets.ts";

const DELAY = millis(25);

test("the second ack-eliciting packet makes an acknowledgement due at once", () => {
  const received = new ReceivedPackets(DELAY, 2);
  received.onPacket(0, micros(0), true, false);
  assert.equal(received.isAckDue(micros(0)), false);
  assert.equal(received.ackDeadline, DELAY);
  received.onPacket(1, micros(10), true, false);
  assert.equal(received.isAckDue(micros(10)), true);
});

test("a single packet is acknowledged when the delay has passed", () => {
  const received = new ReceivedPackets(DELAY, 2);
  received.onPacket(0, micros(5), true, false);
  assert.equal(received.isAckDue(micros(DELAY + 4)), false);
  assert.equal(received.isAckDue(micros(DELAY + 5)), true);
});

test("a packet out of order is acknowledged at once, so that the sender learns of the gap", () => {
  const received = new ReceivedPackets(DELAY, 10);
  received.onPacket(0, micros(0), true, false);
  received.onPacket(2, micros(1), true, false);
  assert.equal(received.isAckDue(micros(1)), true);
  assert.equal(received.ranges.count, 2);
});

test("packets that elicit nothing never make an acknowledgement due", () => {
  const received = new ReceivedPackets(DELAY, 1);
  received.onPacket(0, micros(0), false, false);
  received.onPacket(3, micros(0), false, false);
  assert.equal(received.ackDeadline, NEVER);
  assert.equal(received.ackPending, false);
});

test("a sent acknowledgement starts the count anew", () => {
  const received = new ReceivedPackets(DELAY, 2);
  received.onPacket(0, micros(0), true, false);
  received.onPacket(1, micros(0), true, false);
  received.onAckSent();
  assert.equal(received.ackPending, false);
  received.onPacket(2, micros(1), true, false);
  assert.equal(received.isAckDue(micros(1)), false);
});

test("what the peer knows to be acknowledged is not repeated", () => {
  const received = new ReceivedPackets(DELAY, 2);
  for (let n = 0; n < 10; n += 2) received.onPacket(n, micros(n), true, false);
  received.onAckAcked(6);
  assert.deepEqual([received.ranges.min, received.ranges.max], [6, 8]);
});

test("the number of remembered ranges is bounded, and the newest are kept", () => {
  const received = new ReceivedPackets(DELAY, 2);
  for (let n = 0; n < 1000; n += 2) received.onPacket(n, micros(n), true, false);
  assert.equal(received.ranges.count, 64);
  assert.equal(received.ranges.max, 998);
});

test("the delay is counted from the arrival of the largest packet", () => {
  const received = new ReceivedPackets(DELAY, 2);
  received.onPacket(5, micros(100), true, false);
  received.onPacket(4, micros(900), true, false);
  assert.equal(received.ackDelay(micros(1000)), 900);
});

test("the sender decides after how many packets it wants an acknowledgement, and its newest word counts", () => {
  const received = new ReceivedPackets(DELAY, 2);
  received.onPacket(0, micros(0), true, false);
  received.setThreshold(3, 1);
  received.onPacket(1, micros(1), true, false);
  assert.equal(received.isAckDue(micros(1)), false);
  received.setThreshold(1, 0);
  received.onPacket(2, micros(2), true, false);
  assert.equal(received.isAckDue(micros(2)), true);
  received.onAckSent();
  received.onPacket(3, micros(3), true, false);
  assert.equal(received.isAckDue(micros(3)), false, "the frame that asked for every packet was older");
});

test("a range is named in sixteen acknowledgements and then left out, unless something new comes into it", () => {
  const received = new ReceivedPackets(DELAY, 1);
  const acknowledge = (packetNumber: number): number => {
    received.onPacket(packetNumber, micros(0), true, false);
    const ranges = received.rangesToReport;
    received.onAckSent();
    return ranges;
  };
  for (let n = 0; n < 10; n++) assert.equal(acknowledge(n), 1);
  // 10 is lost.
  for (let n = 11; n < 11 + 15; n++) assert.equal(acknowledge(n), 2);
  // The last acknowledgement with something new to the first range, of packet 9, was the sixteenth before.
  assert.equal(acknowledge(26), 1);
  assert.equal(acknowledge(28), 2);
  assert.equal(acknowledge(10), 2, "the gap is filled: the joined range is news");
  for (let n = 29; n < 29 + 14; n++) assert.equal(acknowledge(n), 2);
  for (let n = 43; n < 60; n++) acknowledge(n);
  assert.equal(acknowledge(60), 1);
});

test("when many packets share one acknowledgement, the last ones wait a quarter of the time", () => {
  const received = new ReceivedPackets(DELAY, 2);
  received.setThreshold(16, 0);
  received.onPacket(0, micros(0), true, false);
  assert.equal(received.ackDeadline, DELAY / 4);
});
