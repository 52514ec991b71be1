import { test } from "node:test";
import assert from "node:assert/strict";
import { micros, millis, seconds } from "../../lib/base/time.ts";
import { RttEstimator } from "../../lib/transport/rtt.ts";

test("before any sample the RTT is 333 ms with half of it as variation", () => {
  const rtt = new RttEstimator();
  assert.equal(rtt.hasSample, false);
  assert.equal(rtt.smoothed, millis(333));
  assert.equal(rtt.pto(micros(0)), millis(333 + 4 * 166.5));
});

test("the first sample replaces the initial RTT and ignores the acknowledgement delay", () => {
  const rtt = new RttEstimator();
  rtt.update(millis(100), millis(60), millis(5));
  assert.equal(rtt.hasSample, true);
  assert.equal(rtt.firstSampleAt, millis(5));
  assert.equal(rtt.latest, millis(100));
  assert.equal(rtt.min, millis(100));
  assert.equal(rtt.smoothed, millis(100));
  assert.equal(rtt.variation, millis(50));
});

test("later samples are averaged with the weights of RFC 9002", () => {
  const rtt = new RttEstimator();
  rtt.update(millis(100), micros(0), micros(0));
  rtt.update(millis(180), micros(0), micros(1));
  assert.equal(rtt.smoothed, millis(110));
  assert.equal(rtt.variation, millis(0.75 * 50 + 0.25 * 80));
  assert.equal(rtt.min, millis(100));
  assert.equal(rtt.latest, millis(180));
});

test("the acknowledgement delay is taken off the sample", () => {
  const rtt = new RttEstimator();
  rtt.update(millis(100), micros(0), micros(0));
  rtt.update(millis(120), millis(20), micros(1));
  assert.equal(rtt.smoothed, millis(100));
  assert.equal(rtt.variation, millis(37.5));
});

test("an acknowledgement delay that would bring the sample below the minimum is ignored", () => {
  const rtt = new RttEstimator();
  rtt.update(millis(100), micros(0), micros(0));
  rtt.update(millis(120), millis(21), micros(1));
  assert.equal(rtt.smoothed, millis(0.875 * 100 + 0.125 * 120));
});

test("the minimum is taken from samples that are not adjusted and starts again after persistent congestion", () => {
  const rtt = new RttEstimator();
  rtt.update(millis(100), micros(0), micros(0));
  rtt.update(millis(90), millis(50), micros(1));
  assert.equal(rtt.min, millis(90));
  rtt.update(millis(300), micros(0), micros(2));
  rtt.onPersistentCongestion();
  assert.equal(rtt.min, millis(300));
});

test("the PTO never falls below the RTT plus the timer granularity and the peer's delay", () => {
  const rtt = new RttEstimator();
  rtt.update(millis(10), micros(0), micros(0));
  for (let i = 0; i < 200; i++) rtt.update(millis(10), micros(0), micros(i));
  assert.ok(Math.abs(rtt.pto(millis(25)) - millis(36)) < 1);
});

test("a round trip that a coarse clock measures as nothing, or backwards, still gives a positive RTT", () => {
  const rtt = new RttEstimator();
  rtt.update(micros(0), micros(0), micros(0));
  assert.equal(rtt.smoothed, 1);
  rtt.update(micros(-50), micros(0), micros(1));
  assert.ok(rtt.smoothed > 0 && rtt.min > 0);
});

test("a reset forgets every sample", () => {
  const rtt = new RttEstimator(millis(50));
  rtt.update(millis(10), micros(0), micros(0));
  rtt.reset(millis(70));
  assert.deepEqual([rtt.hasSample, rtt.smoothed, rtt.variation, rtt.min], [false, 70_000, 35_000, 70_000]);
});

test("a peer that was asleep for ten minutes does not make the estimate last as long", () => {
  const rtt = new RttEstimator();
  rtt.update(millis(50), micros(0), micros(0));
  rtt.update(seconds(600), micros(0), seconds(600));
  assert.equal(rtt.latest, seconds(10));
  assert.ok(rtt.pto(millis(25)) < seconds(12), `${rtt.pto(millis(25))}`);
});
