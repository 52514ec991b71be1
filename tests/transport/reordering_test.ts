import { test } from "node:test";
import assert from "node:assert/strict";
import { micros, millis } from "../../lib/base/time.ts";
import { ReorderingTolerance } from "../../lib/transport/reordering.ts";
import { RttEstimator } from "../../lib/transport/rtt.ts";

function rttOf(ms: number): RttEstimator {
  const rtt = new RttEstimator();
  rtt.update(millis(ms), micros(0), micros(0));
  return rtt;
}

test("the tolerance starts at 3 packets and 9/8 of the larger RTT, at least 1 ms", () => {
  const tolerance = new ReorderingTolerance();
  assert.equal(tolerance.packetThreshold, 3);
  const rtt = rttOf(80);
  assert.equal(tolerance.lossDelay(rtt), millis(90));
  rtt.update(millis(160), micros(0), micros(1));
  assert.equal(tolerance.lossDelay(rtt), millis(180));
  assert.equal(tolerance.lossDelay(rttOf(0.1)), millis(1));
});

test("a spurious loss raises the packet threshold just above its distance", () => {
  const tolerance = new ReorderingTolerance();
  tolerance.onSpurious(7, millis(80), rttOf(80));
  assert.equal(tolerance.packetThreshold, 8);
  assert.equal(tolerance.timeShift, 3);
  tolerance.onSpurious(4, millis(80), rttOf(80));
  assert.equal(tolerance.packetThreshold, 8);
});

test("a spurious loss raises the time threshold until its delay is covered", () => {
  const tolerance = new ReorderingTolerance();
  tolerance.onSpurious(1, millis(95), rttOf(80));
  assert.equal(tolerance.lossDelay(rttOf(80)), millis(100));
  tolerance.onSpurious(1, millis(150), rttOf(80));
  assert.equal(tolerance.lossDelay(rttOf(80)), millis(160));
});

test("reordering that no bounded tolerance would have covered changes nothing", () => {
  const tolerance = new ReorderingTolerance();
  tolerance.onSpurious(256, millis(81), rttOf(80));
  tolerance.onSpurious(4, millis(160), rttOf(80));
  assert.deepEqual([tolerance.packetThreshold, tolerance.timeShift], [3, 3]);
});

test("the tolerance sinks back after sixteen episodes of genuine loss, at most one a round trip", () => {
  const tolerance = new ReorderingTolerance();
  const rtt = rttOf(80);
  tolerance.onSpurious(20, millis(95), rtt);
  assert.deepEqual([tolerance.packetThreshold, tolerance.timeShift], [21, 2]);
  for (let i = 0; i < 100; i++) tolerance.onLoss(millis(i / 10), rtt);
  assert.equal(tolerance.packetThreshold, 21, "a hundred losses within one round trip are one episode");
  for (let i = 1; i < 16; i++) tolerance.onLoss(millis(i * 100), rtt);
  assert.deepEqual([tolerance.packetThreshold, tolerance.timeShift], [10, 3]);
  for (let i = 16; i < 100; i++) tolerance.onLoss(millis(i * 100), rtt);
  assert.deepEqual([tolerance.packetThreshold, tolerance.timeShift], [3, 3]);
});

test("a spurious loss in between starts the count of genuine episodes again", () => {
  const tolerance = new ReorderingTolerance();
  const rtt = rttOf(80);
  tolerance.onSpurious(20, millis(80), rtt);
  for (let i = 0; i < 15; i++) tolerance.onLoss(millis(i * 100), rtt);
  tolerance.onSpurious(2, millis(80), rtt);
  tolerance.onLoss(millis(2000), rtt);
  assert.equal(tolerance.packetThreshold, 21);
});
