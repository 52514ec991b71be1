import { test } from "node:test";
import assert from "node:assert/strict";
import { micros, millis } from "../../lib/base/time.ts";
import { NewReno } from "../../lib/transport/congestion/new_reno.ts";
import { Harness, RecordingController } from "./recovery_harness.ts";

test("acknowledged frames are reported once and leave flight", () => {
  const h = Harness.withRtt(100);
  for (let i = 0; i < 3; i++) h.send(0);
  assert.equal(h.recovery.bytesInFlight, 3600);
  assert.equal(h.ack(100, [[0, 1]]), "ok");
  assert.deepEqual(h.acked, [0, 1]);
  assert.equal(h.recovery.bytesInFlight, 1200);
  h.ack(110, [[0, 1]]);
  h.ack(120, [[0, 2]]);
  assert.deepEqual(h.acked, [0, 1, 2]);
  assert.deepEqual([h.recovery.bytesInFlight, h.recovery.outstanding, h.recovery.stats.packetsAcked], [0, 0, 3]);
});

test("a packet is lost once a packet sent three later is acknowledged, and not before", () => {
  const h = Harness.withRtt(100);
  for (let i = 0; i < 4; i++) h.send(0);
  h.ack(100, [2]);
  assert.deepEqual(h.lost, []);
  h.ack(101, [[2, 3]]);
  assert.deepEqual(h.lost, [0]);
  assert.equal(h.recovery.bytesInFlight, 1200);
  assert.deepEqual([h.recovery.stats.packetsLost, h.recovery.stats.bytesLost], [1, 1200]);
});

test("a packet is lost 9/8 of an RTT after it was sent if a later one was acknowledged", () => {
  const h = Harness.withRtt(100);
  h.send(0);
  h.send(10);
  h.ack(110, [1]);
  assert.deepEqual(h.lost, []);
  assert.equal(h.timer, 112.5);
  assert.equal(h.timeout(112.4), 0);
  assert.deepEqual(h.lost, []);
  assert.equal(h.timeout(112.5), 0, "the loss timer asks for no probes");
  assert.deepEqual(h.lost, [0]);
  assert.equal(h.recovery.ptoCount, 0);
  assert.equal(h.timer, Infinity);
});

test("the time threshold goes by the larger of the latest and the smoothed RTT, and by 1 ms at least", () => {
  const slow = Harness.withRtt(100);
  slow.send(0);
  slow.send(0);
  slow.ack(200, [1]);
  assert.equal(slow.timer, 225);
  const fast = Harness.withRtt(0.1);
  fast.send(0);
  fast.send(0);
  fast.ack(0.1, [1]);
  assert.equal(fast.timer, 1);
});

test("an acknowledgement disarms the loss timer of the packet it covers", () => {
  const h = Harness.withRtt(100);
  h.send(0);
  h.send(10);
  h.ack(110, [1]);
  h.ack(111, [[0, 1]]);
  assert.equal(h.timer, Infinity);
  assert.deepEqual(h.lost, []);
});

test("no timer is armed while nothing has to be acknowledged", () => {
  const h = Harness.withRtt(100);
  assert.equal(h.timer, Infinity);
  h.send(0, "ack");
  h.send(0, "padding");
  assert.equal(h.timer, Infinity);
  h.send(0);
  h.ack(100, [2]);
  assert.equal(h.timer, Infinity);
  assert.equal(h.timeout(1e6), 0);
});

test("the PTO is the RTT, four variations and the peer's delay after the last ack-eliciting packet", () => {
  const h = Harness.withRtt(100);
  h.send(5);
  assert.equal(h.timer, 5 + 100 + 200 + 25);
  h.send(50);
  h.send(60, "ack");
  assert.equal(h.timer, 50 + 325);
  assert.equal(h.recovery.pto(), millis(325));
});

test("without a sample the PTO goes by the initial RTT", () => {
  const h = new Harness();
  h.send(0);
  assert.equal(h.timer, 333 + 666 + 25);
  const short = new Harness({ initialRtt: millis(10) });
  short.send(0);
  assert.equal(short.timer, 10 + 20 + 25);
});

test("the PTO doubles with each expiry, up to 64 times, and marks nothing as lost", () => {
  const h = Harness.withRtt(100);
  h.send(0);
  let now = 0;
  for (const factor of [1, 2, 4, 8, 16, 32, 64, 64, 64]) {
    assert.equal(h.timer, now + 325 * factor);
    now = h.timer;
    assert.ok(h.timeout(now) > 0);
  }
  assert.deepEqual([h.recovery.ptoCount, h.recovery.stats.ptoCount], [9, 9]);
  assert.deepEqual(h.lost, []);
  assert.equal(h.recovery.bytesInFlight, 1200);
});

test("a probe timeout stops growing at a minute", () => {
  const h = Harness.withRtt(1000);
  h.send(0);
  let now = 0;
  for (const wait of [3025, 6050, 12_100, 24_200, 48_400, 60_000, 60_000]) {
    assert.equal(h.timer, now + wait);
    now = h.timer;
    assert.ok(h.timeout(now) > 0);
  }
});

test("a probe timeout that comes early does nothing", () => {
  const h = Harness.withRtt(100);
  h.send(0);
  assert.equal(h.timeout(324), 0);
  assert.equal(h.recovery.ptoCount, 0);
});

test("an acknowledgement of anything new resets the back-off, one of nothing new does not", () => {
  const h = Harness.withRtt(100);
  h.send(0);
  h.ack(100, [0]);
  h.send(100);
  const before = h.recovery.pto();
  h.timeout(h.timer);
  assert.equal(h.recovery.ptoCount, 1);
  h.ack(500, [0]);
  assert.equal(h.recovery.ptoCount, 1);
  const probe = h.send(500);
  h.ack(550, [probe]);
  assert.equal(h.recovery.ptoCount, 0);
  assert.ok(before > 0);
});

test("the first timeout of a single packet asks for one probe, every other one for two", () => {
  const single = Harness.withRtt(100);
  single.send(0);
  assert.equal(single.timeout(single.timer), 1);
  assert.equal(single.timeout(single.timer), 2);
  const several = Harness.withRtt(100);
  several.send(0);
  several.send(0);
  assert.equal(several.timeout(several.timer), 2);
});

test("the timer does not fire again at once when a probe could not be sent", () => {
  const h = Harness.withRtt(100);
  h.send(0);
  h.timeout(100_000);
  assert.equal(h.timer, 100_000 + 2 * 325);
});

test("sending again what the loss timer found defers a probe timeout that is overdue as well", () => {
  const overdue = (): Harness => {
    const h = Harness.withRtt(100);
    for (const at of [0, 10, 20]) h.send(at);
    h.ack(110, [1]);
    assert.equal(h.timeout(10_000), 0);
    assert.deepEqual(h.lost, [0]);
    return h;
  };
  const idle = overdue();
  assert.ok(idle.timer < 10_000);
  assert.equal(idle.timeout(10_000), 1);
  assert.ok(idle.timer > 10_000);
  const resent = overdue();
  resent.send(10_000);
  assert.ok(resent.timer > 10_000);
  assert.equal(resent.recovery.ptoCount, 0);
});

test("probe candidates are the oldest packets that await acknowledgement and stay outstanding", () => {
  const h = Harness.withRtt(100);
  h.send(0, "ack");
  h.send(0, "mtu_probe");
  for (let i = 0; i < 3; i++) h.send(0);
  h.ack(100, [3]);
  assert.equal(h.recovery.probeCandidate(0)?.packetNumber, 2);
  assert.equal(h.recovery.probeCandidate(1)?.packetNumber, 4);
  assert.equal(h.recovery.probeCandidate(2), undefined);
  h.ack(101, [[2, 4]]);
  assert.deepEqual(h.acked, [3, 2, 4]);
});

test("acknowledging a packet that was never sent is reported and changes nothing", () => {
  const h = Harness.withRtt(100);
  assert.equal(h.ack(1, [0]), "unsent");
  h.send(0);
  assert.equal(h.ack(100, [[0, 1]]), "unsent");
  assert.deepEqual([h.acked.length, h.recovery.bytesInFlight, h.recovery.largestAcked], [0, 1200, -1]);
});

test("an acknowledged range of 2^50 packets costs only what is tracked", () => {
  const h = Harness.withRtt(100);
  // A ring that has moved on: everything below is settled.
  for (let i = 0; i < 100; i++) h.send(0);
  assert.equal(h.ack(100, [[0, 99]]), "ok");
  h.send(100);
  const ranges = new Float64Array([100, 100, -(2 ** 50), 98]);
  assert.equal(h.recovery.onAckReceived(millis(200), 100, micros(0), ranges, 2), "ok");
  assert.equal(h.acked.length, 101);
});

test("an RTT sample needs the largest packet to be newly acknowledged", () => {
  const h = new Harness();
  h.send(0);
  h.send(0);
  h.ack(50, [1]);
  assert.equal(h.recovery.rtt.latest, millis(50));
  h.ack(90, [[0, 1]]);
  assert.equal(h.recovery.rtt.latest, millis(50));
});

test("an RTT sample needs an ack-eliciting packet among those newly acknowledged", () => {
  const h = new Harness();
  h.send(0);
  h.send(10, "ack");
  h.ack(50, [0]);
  h.ack(90, [[0, 1]]);
  assert.equal(h.recovery.rtt.latest, millis(50));
  assert.deepEqual(h.acked, [0, 1]);
});

test("the peer's stated delay is capped by its MAX_ACK_DELAY once the handshake is confirmed", () => {
  const smoothedAfter = (confirmed: boolean): number => {
    const h = Harness.withRtt(50);
    if (confirmed) h.recovery.onHandshakeConfirmed();
    h.send(0);
    h.ack(200, [0], 100);
    return h.recovery.rtt.smoothed;
  };
  assert.equal(smoothedAfter(false), millis(0.875 * 50 + 0.125 * 100));
  assert.equal(smoothedAfter(true), millis(0.875 * 50 + 0.125 * 175));
});

test("losses are reported to the controller together, with the newest one's send time", () => {
  const h = Harness.withRtt(100);
  for (let i = 0; i < 8; i++) h.send(i);
  h.ack(107, [7]);
  assert.deepEqual(h.control.lost, [0, 1, 2, 3, 4]);
  assert.deepEqual(h.control.events, [{ now: 107_000, newestLostSent: 4000, lostPackets: 5, bytesInFlight: 2400 }]);
});

test("several losses within one recovery period cut the window once", () => {
  const reno = new NewReno(1200);
  const h = Harness.withRtt(100, { congestion: reno });
  for (let i = 0; i < 10; i++) h.send(i);
  h.ack(105, [3]);
  assert.deepEqual([h.lost, reno.window], [[0], 6000]);
  h.ack(106, [[3, 4], 2]);
  assert.deepEqual([h.lost, reno.window], [[0, 1], 6000]);
  h.ack(109, [9, [3, 4], 2]);
  assert.deepEqual([h.lost, reno.window], [[0, 1, 5, 6], 6000]);
  assert.equal(reno.snapshot().congestionEvents, 1);
  for (let i = 0; i < 4; i++) h.send(200);
  h.ack(300, [13]);
  assert.deepEqual([h.lost, reno.window], [[0, 1, 5, 6, 7, 8, 10], 3600]);
});

test("the loss of a packet that is not in flight, or probes the MTU, is no congestion", () => {
  const h = Harness.withRtt(100);
  h.send(0, "ack");
  h.send(0, "mtu_probe");
  for (let i = 0; i < 4; i++) h.send(0);
  h.ack(100, [[2, 5]]);
  assert.deepEqual(h.lost, [0, 1]);
  assert.deepEqual([h.control.events, h.control.lost], [[], []]);
  assert.equal(h.recovery.bytesInFlight, 0);
});

test("the window refuses packets that do not fit in flight", () => {
  const h = Harness.withRtt(100, { congestion: new NewReno(1200) });
  for (let i = 0; i < 9; i++) h.send(0);
  assert.equal(h.recovery.canSend(1200), true);
  assert.equal(h.recovery.canSend(1201), false);
  h.send(0);
  assert.equal(h.recovery.canSend(1), false);
  h.send(0); // a probe does not ask
  assert.equal(h.recovery.bytesInFlight, 13200);
});

test("a window that is not used up does not grow", () => {
  const reno = new NewReno(1200);
  const h = Harness.withRtt(100, { congestion: reno });
  for (let i = 0; i < 5; i++) h.send(0);
  assert.equal(h.recovery.canSend(1200), true);
  h.ack(100, [[0, 4]]);
  assert.equal(reno.window, 12000);
});

test("a window that is used up grows, by what was in flight at that time", () => {
  const reno = new NewReno(1200);
  const h = Harness.withRtt(100, { congestion: reno });
  for (let i = 0; i < 10; i++) h.send(0);
  h.ack(100, [[0, 4]]);
  assert.equal(reno.window, 18000);
  h.send(100); // the application has only this
  h.ack(200, [[0, 10]]);
  assert.equal(reno.window, 24000);
});

test("a refusal by the window marks it as used up even if small packets leave it partly empty", () => {
  const reno = new NewReno(1200);
  const h = Harness.withRtt(100, { congestion: reno });
  for (let i = 0; i < 9; i++) h.send(0, "data", 1100);
  assert.equal(h.recovery.canSend(9000), false);
  h.ack(100, [[0, 8]]);
  assert.equal(reno.window, 12000 + 9900);
});

test("a sender that only the pacer holds back may grow its window", () => {
  const h = Harness.withRtt(100);
  h.send(0);
  h.send(0);
  h.recovery.notePacingLimited();
  h.send(1);
  h.ack(101, [[0, 2]]);
  assert.deepEqual(h.control.acked.map((packet) => packet.appLimited), [false, false, true]);
});

test("persistent congestion: nothing came through for more than three PTOs", () => {
  const reno = new NewReno(1200);
  const h = Harness.withRtt(100, { congestion: reno });
  for (const at of [10, 500, 1000]) h.send(at);
  h.send(1100);
  h.ack(1200, [3]);
  assert.deepEqual(h.lost, [0, 1, 2]);
  assert.equal(h.recovery.stats.persistentCongestion, 1);
  assert.equal(reno.window, 3600);
});

test("losses over less than three PTOs are not persistent congestion", () => {
  const h = Harness.withRtt(100);
  for (const at of [10, 500, 830]) h.send(at); // three PTOs are 825 ms after the second sample
  h.send(1100);
  h.ack(1200, [3]);
  assert.deepEqual(h.lost, [0, 1, 2]);
  assert.equal(h.control.persistent, 0);
});

test("an acknowledged packet in between rules persistent congestion out", () => {
  const h = Harness.withRtt(100);
  for (const at of [10, 500, 1000]) h.send(at);
  h.send(1100);
  h.ack(1200, [3, 1]);
  assert.deepEqual(h.lost, [0, 2]);
  assert.equal(h.control.persistent, 0);
});

test("persistent congestion counts only what was sent after the first RTT sample", () => {
  const h = new Harness();
  h.send(0);
  h.recovery.rtt.update(millis(100), micros(0), millis(100));
  for (const at of [500, 1000, 1100]) h.send(at);
  h.ack(1200, [3]);
  assert.deepEqual(h.lost, [0, 1, 2]);
  assert.equal(h.control.persistent, 0);
});

test("persistent congestion is recognised across several rounds of loss detection", () => {
  const h = Harness.withRtt(100);
  for (const at of [10, 500, 1190]) h.send(at);
  h.send(1200);
  h.ack(1300, [3]);
  assert.deepEqual(h.lost, [0, 1]);
  assert.equal(h.control.persistent, 0);
  h.timeout(h.timer);
  assert.deepEqual(h.lost, [0, 1, 2]);
  assert.equal(h.control.persistent, 1);
});

test("an acknowledged packet in between rules persistent congestion out even if it stood behind a forgotten one", () => {
  const h = Harness.withRtt(100);
  h.send(10);
  h.send(1000, "ack");
  h.send(1000);
  h.ack(1100, [2]);
  assert.deepEqual(h.lost, [0]);
  h.send(2100);
  assert.equal(h.recovery.stats.forgotten, 1);
  h.send(2200);
  h.ack(2300, [4]);
  assert.deepEqual(h.lost, [0, 3]);
  assert.equal(h.control.persistent, 0);
});

test("a packet in between that arrived after all rules persistent congestion out", () => {
  const h = Harness.withRtt(100);
  for (const at of [10, 500, 1190]) h.send(at);
  h.send(1200);
  h.ack(1300, [3]);
  h.ack(1301, [3, 1]);
  h.timeout(h.timer);
  assert.deepEqual(h.lost, [0, 1, 2]);
  assert.equal(h.control.persistent, 0);
});

test("after persistent congestion the minimum RTT is the newest sample", () => {
  const h = Harness.withRtt(100);
  for (const at of [10, 500, 1500, 1600]) h.send(at);
  h.ack(1800, [3]);
  assert.equal(h.control.persistent, 1);
  assert.equal(h.recovery.rtt.min, millis(200));
});

test("packets that need no acknowledgement do not make congestion persistent", () => {
  const h = Harness.withRtt(100);
  h.send(10);
  h.send(500);
  h.send(1000, "padding");
  h.send(1100);
  h.ack(1200, [3]);
  assert.deepEqual(h.lost, [0, 1, 2]);
  assert.equal(h.control.persistent, 0);
});

test("a lost packet that is acknowledged later counts as spurious once and is not settled again", () => {
  const h = Harness.withRtt(100);
  for (let i = 0; i < 4; i++) h.send(0);
  h.ack(100, [[1, 3]]);
  assert.deepEqual(h.lost, [0]);
  h.ack(101, [[0, 3]]);
  h.ack(102, [[0, 3]]);
  assert.equal(h.recovery.stats.spurious, 1);
  assert.deepEqual([h.acked, h.lost], [[1, 2, 3], [0]]);
  assert.deepEqual(h.control.spurious, [100_000]);
  assert.equal(h.recovery.bytesInFlight, 0);
});

test("a spurious loss makes the sender wait longer the next time", () => {
  const h = Harness.withRtt(100);
  for (let i = 0; i < 6; i++) h.send(0);
  h.ack(100, [[1, 5]]);
  h.ack(101, [[0, 5]]);
  assert.equal(h.recovery.reordering.packetThreshold, 6);
  for (let i = 0; i < 6; i++) h.send(200);
  h.ack(300, [[7, 11], [0, 5]]);
  assert.deepEqual(h.lost, [0]);
  h.ack(301, [[0, 11]]);
  assert.deepEqual(h.lost, [0]);
  assert.equal(h.recovery.stats.spurious, 1);
});

test("a window cut for losses that were all spurious is restored", () => {
  const reno = new NewReno(1200);
  const h = Harness.withRtt(100, { congestion: reno });
  for (let i = 0; i < 10; i++) h.send(0);
  h.ack(100, [[2, 4]]);
  assert.deepEqual([h.lost, reno.window], [[0, 1], 6000]);
  h.ack(101, [[2, 5], 0]);
  assert.equal(reno.window, 6000);
  h.ack(102, [[0, 6]]);
  assert.ok(reno.window >= 12000);
});

test("a packet that comes after a long time counts as spurious and teaches nothing", () => {
  const h = Harness.withRtt(100);
  for (let i = 0; i < 4; i++) h.send(0);
  h.ack(100, [[1, 3]]);
  h.ack(5000, [[0, 3]]);
  assert.equal(h.recovery.stats.spurious, 1);
  assert.deepEqual([h.recovery.reordering.packetThreshold, h.recovery.reordering.timeShift], [3, 3]);
});

test("a side that only ever acknowledges forgets its old packets", () => {
  const h = Harness.withRtt(100);
  for (let i = 0; i < 5000; i++) h.send(i, "ack");
  assert.ok(h.recovery.sent.size <= 977, `${h.recovery.sent.size} tracked`);
  assert.equal(h.recovery.stats.forgotten + h.recovery.sent.size, 5000);
  assert.equal(h.ack(5000, [[0, 4999]]), "ok");
  assert.equal(h.acked.length, h.recovery.stats.packetsAcked);
});

test("a ring full of packets that need no acknowledgement does not keep data from being sent", () => {
  const h = Harness.withRtt(100, { maxTracked: 256 });
  for (let i = 0; i < 1000; i++) h.send(0, "ack");
  assert.equal(h.recovery.canSend(1200), true);
  h.send(0);
  assert.equal(h.recovery.outstanding, 1);
});

test("a peer that leaves one packet unanswered for ever cannot make acknowledgements pile up behind it", () => {
  const h = Harness.withRtt(100);
  h.send(0);
  for (let i = 0; i < 4095; i++) h.send(1, "ack");
  for (let i = 0; i < 8000; i++) h.send(900, "ack");
  assert.deepEqual(h.lost, [], "three probe timeouts are 975 ms");
  for (let i = 0; i < 8000; i++) h.send(976, "ack");
  assert.deepEqual(h.lost, [0]);
  assert.equal(h.recovery.outstanding, 0);
  for (let at = 1000; at < 100_000; at++) h.send(at, at % 100 === 0 ? "data" : "ack");
  assert.ok(h.recovery.sent.size <= 4096 + 1000, `${h.recovery.sent.size} tracked`);
  assert.equal(h.recovery.bytesInFlight, 1200 * h.recovery.outstanding);
});

test("new data waits when too many packets are tracked, while probes and acknowledgements still leave", () => {
  const h = Harness.withRtt(100, { maxTracked: 256 });
  while (h.recovery.canSend(1200)) h.send(0);
  assert.equal(h.recovery.outstanding, 192);
  for (let i = 0; i < 64; i++) h.send(0, "ack");
  assert.deepEqual(h.lost, []);
  h.send(0, "ack");
  assert.deepEqual(h.lost, [0], "beyond the reserve, the oldest packet is given up");
  assert.equal(h.recovery.outstanding, 191);
  assert.equal(h.control.events.length, 1);
});

test("giving up the oldest packet of an exhausted ring keeps the accounts and the timer right", () => {
  const h = Harness.withRtt(100, { maxTracked: 64 });
  h.send(0);
  h.send(0);
  h.ack(1, [1]);
  for (let i = 0; i < 62; i++) h.send(1, "ack");
  assert.notEqual(h.timer, Infinity);
  for (let i = 0; i < 10; i++) h.send(1, "ack");
  assert.deepEqual([h.acked, h.lost], [[1], [0]]);
  assert.deepEqual([h.recovery.bytesInFlight, h.recovery.outstanding, h.timer], [0, 0, Infinity]);
});

test("a full ring is not mistaken for a used-up window", () => {
  const h = Harness.withRtt(100, { maxTracked: 256 });
  while (h.recovery.canSend(1200)) h.send(0);
  h.ack(100, [[0, 191]]);
  assert.ok(h.control.acked.every((packet) => packet.appLimited));
});

test("on a new path, earlier packets are still settled but count for nothing", () => {
  const h = Harness.withRtt(100);
  for (let i = 0; i < 4; i++) h.send(0);
  const fresh = new RecordingController();
  h.recovery.resetPath(millis(50), fresh, millis(200));
  assert.deepEqual([h.recovery.bytesInFlight, h.recovery.rtt.smoothed, h.recovery.outstanding], [0, 200_000, 4]);
  assert.equal(h.timer, 50 + 200 + 400 + 25);
  h.send(60);
  h.ack(100, [3]);
  assert.deepEqual([h.acked, h.lost], [[3], [0]]);
  assert.equal(h.recovery.rtt.hasSample, false);
  assert.deepEqual([fresh.acked, fresh.events], [[], []]);
  assert.equal(h.recovery.bytesInFlight, 1200);
  h.ack(160, [[3, 4]]);
  assert.equal(h.recovery.rtt.latest, millis(100));
  assert.deepEqual(fresh.acked.map((packet) => packet.packetNumber), [4]);
});

test("discarding forgets every packet without a word and disarms the timers", () => {
  const h = Harness.withRtt(100);
  for (let i = 0; i < 3; i++) h.send(0);
  h.ack(100, [1]);
  h.recovery.discard();
  assert.deepEqual([h.timer, h.recovery.bytesInFlight, h.recovery.outstanding], [Infinity, 0, 0]);
  h.ack(200, [[0, 2]]);
  assert.deepEqual([h.acked, h.lost], [[1], []]);
});

test("what a probe carries again is not reported as lost once more when its first packet is declared lost", () => {
  const h = Harness.withRtt(100);
  for (let i = 0; i < 4; i++) h.send(0);
  assert.equal(h.timeout(h.timer), 2);
  h.recovery.probeWith(2);
  assert.deepEqual(h.lost, [0, 1]);
  for (let i = 0; i < 2; i++) h.send(500);
  assert.equal(h.recovery.probeCandidate(0)?.packetNumber, 2, "the next probe carries something else");
  h.ack(600, [5]);
  assert.deepEqual(h.lost, [0, 1, 2, 3], "0 and 1 are the probes' business now");
  assert.equal(h.recovery.stats.packetsLost, 4);
});

test("a packet whose frames a probe has taken over is settled when it is acknowledged after all", () => {
  const h = Harness.withRtt(100);
  h.send(0);
  h.timeout(h.timer);
  h.recovery.probeWith(1);
  h.send(500);
  h.ack(510, [0]);
  assert.deepEqual([h.lost, h.acked], [[0], [0]]);
});

test("the controller learns the first round trip that is sampled, and of no other", () => {
  const h = new Harness();
  for (const at of [0, 1, 2]) h.send(at);
  h.ack(600, [0]);
  h.ack(650, [[0, 2]]);
  assert.deepEqual(h.control.firstRtts, [millis(600)]);
  const known = Harness.withRtt(100);
  known.send(0);
  known.ack(600, [0]);
  assert.deepEqual(known.control.firstRtts, []);
});

test("having nothing to send is reported while more could be in flight, and not when the window is full", () => {
  const h = Harness.withRtt(100);
  h.control.window = 3600;
  h.send(0);
  h.recovery.noteAppLimited();
  h.send(0);
  h.recovery.noteAppLimited();
  h.send(0);
  h.recovery.noteAppLimited();
  assert.deepEqual(h.control.appLimited, [1200, 2400]);
});

test("the probe timeout does not allow for a delay that the peer was asked not to take", () => {
  const h = Harness.withRtt(100);
  h.send(0);
  const before = h.timer;
  h.recovery.peerAcksAtOnce = true;
  assert.equal(before - h.timer, 25);
});
