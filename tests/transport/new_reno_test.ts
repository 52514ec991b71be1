import { test } from "node:test";
import assert from "node:assert/strict";
import { micros, millis } from "../../lib/base/time.ts";
import { initialWindow } from "../../lib/transport/congestion/initial_window.ts";
import { NewReno } from "../../lib/transport/congestion/new_reno.ts";
import { RttEstimator } from "../../lib/transport/rtt.ts";
import { SentPackets } from "../../lib/transport/sent_packets.ts";

const rtt = new RttEstimator();
rtt.update(millis(100), micros(0), micros(0));

/** Acknowledges a packet of `size` bytes sent at `sent` ms. */
function ack(reno: NewReno, sent: number, size: number, appLimited = false): void {
  const packet = new SentPackets<never>().push(0, millis(sent), size, true, true, false, undefined, 0);
  reno.onPacketAcked(packet, millis(sent + 100), rtt, appLimited);
}

test("the initial window is ten datagrams, bounded by 14720 bytes or three datagrams", () => {
  assert.equal(initialWindow(1200), 12000);
  assert.equal(initialWindow(1472), 14720);
  assert.equal(initialWindow(4000), 14720);
  assert.equal(initialWindow(9000), 27000);
  assert.equal(new NewReno(1200).window, 12000);
});

test("slow start grows the window by what is acknowledged", () => {
  const reno = new NewReno(1200);
  ack(reno, 0, 1200);
  ack(reno, 0, 500);
  assert.equal(reno.window, 13700);
  assert.equal(reno.snapshot().state, "slow_start");
});

test("the window does not grow while the sender does not use it", () => {
  const reno = new NewReno(1200);
  ack(reno, 0, 1200, true);
  assert.equal(reno.window, 12000);
});

test("a congestion event halves the window once for all losses of a recovery period", () => {
  const reno = new NewReno(1200);
  reno.onCongestionEvent(millis(100), millis(10), 1, 0);
  assert.equal(reno.window, 6000);
  assert.equal(reno.snapshot().state, "recovery");
  reno.onCongestionEvent(millis(120), millis(50), 3, 0);
  reno.onCongestionEvent(millis(140), millis(100), 1, 0);
  assert.equal(reno.window, 6000);
  reno.onCongestionEvent(millis(250), millis(101), 1, 0);
  assert.equal(reno.window, 3600, "half of it would be less than the least");
  assert.equal(reno.snapshot().congestionEvents, 2);
});

test("acknowledgements of packets sent before recovery do not grow the window", () => {
  const reno = new NewReno(1200);
  reno.onCongestionEvent(millis(100), millis(10), 1, 0);
  for (let i = 0; i < 20; i++) ack(reno, 100, 1200);
  assert.equal(reno.window, 6000);
  assert.equal(reno.snapshot().state, "recovery");
  ack(reno, 101, 1200);
  assert.equal(reno.snapshot().state, "congestion_avoidance");
});

test("congestion avoidance grows by one datagram for each window that is acknowledged", () => {
  const reno = new NewReno(1200);
  reno.onCongestionEvent(millis(100), millis(10), 1, 0);
  for (let i = 0; i < 5; i++) ack(reno, 200, 1100);
  assert.equal(reno.window, 6000);
  ack(reno, 200, 1100);
  assert.equal(reno.window, 7200);
  for (let i = 0; i < 6; i++) ack(reno, 300, 1100); // with the 600 bytes left over, exactly the window
  assert.equal(reno.window, 8400);
});

test("the window never falls below three datagrams", () => {
  const reno = new NewReno(1200);
  for (let i = 0; i < 10; i++) reno.onCongestionEvent(millis(100 * i + 50), millis(100 * i), 1, 0);
  assert.equal(reno.window, 3600);
});

test("persistent congestion collapses the window to its minimum and ends the recovery period", () => {
  const reno = new NewReno(1200);
  reno.onCongestionEvent(millis(100), millis(10), 2, 0);
  reno.onPersistentCongestion(millis(100));
  assert.equal(reno.window, 3600);
  assert.equal(reno.snapshot().slowStartThreshold, 6000);
  ack(reno, 50, 1200);
  assert.equal(reno.window, 4800, "slow start up to the threshold");
});

test("a reduction is taken back when every loss behind it was spurious", () => {
  const reno = new NewReno(1200);
  reno.onCongestionEvent(millis(100), millis(10), 2, 0);
  reno.onCongestionEvent(millis(110), millis(20), 1, 0);
  reno.onSpuriousLoss(millis(120), millis(100));
  reno.onSpuriousLoss(millis(120), millis(100));
  assert.equal(reno.window, 6000);
  reno.onSpuriousLoss(millis(120), millis(110));
  assert.equal(reno.window, 12000);
  assert.deepEqual([reno.inSlowStart, reno.snapshot().undone], [true, 1]);
});

test("a spurious loss from before the last reduction takes nothing back", () => {
  const reno = new NewReno(1200);
  reno.onCongestionEvent(millis(100), millis(10), 1, 0);
  reno.onCongestionEvent(millis(200), millis(150), 1, 0);
  reno.onSpuriousLoss(millis(210), millis(100));
  assert.equal(reno.window, 3600, "half of it would be less than the least");
});

test("persistent congestion is not taken back", () => {
  const reno = new NewReno(1200);
  reno.onCongestionEvent(millis(100), millis(10), 1, 0);
  reno.onPersistentCongestion(millis(100));
  reno.onSpuriousLoss(millis(120), millis(100));
  assert.equal(reno.window, 3600);
});

test("a larger datagram size raises an untouched initial window and always the minimum", () => {
  const fresh = new NewReno(1200);
  fresh.setMaxDatagramSize(1472);
  assert.equal(fresh.window, 14720);
  const reduced = new NewReno(1200);
  for (let i = 0; i < 10; i++) reduced.onCongestionEvent(millis(100 * i + 50), millis(100 * i), 1, 0);
  reduced.setMaxDatagramSize(9000);
  assert.equal(reduced.window, 27000);
  assert.equal(reduced.maxDatagramSize, 9000);
});

test("pacing runs at twice the window per round trip in slow start and at 1.25 afterwards", () => {
  const reno = new NewReno(1200);
  assert.equal(reno.pacingRate(rtt), 2 * 12000 / 100_000);
  reno.onCongestionEvent(millis(100), millis(10), 1, 0);
  assert.equal(reno.pacingRate(rtt), 1.25 * 6000 / 100_000);
});

test("a long round trip makes the initial window larger, also when it is known only after the first growth", () => {
  const reno = new NewReno(1200);
  reno.onFirstRtt(millis(300));
  assert.equal(reno.window, 36_000);
  ack(reno, 0, 1200);
  reno.onFirstRtt(millis(600));
  assert.equal(reno.window, 2 * 37_200);
  const reduced = new NewReno(1200);
  reduced.onCongestionEvent(millis(100), millis(10), 1, 0);
  reduced.onFirstRtt(millis(600));
  assert.equal(reduced.window, 6000, "a loss speaks against it");
});
