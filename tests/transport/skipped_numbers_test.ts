import assert from "node:assert/strict";
import { test } from "node:test";
import { micros, millis } from "../../lib/base/time.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { SkippedNumbers } from "../../lib/transport/skipped_numbers.ts";
import { testSeed } from "../support/seed.ts";
import { Harness } from "./recovery_harness.ts";

/** Which of the first numbers are left out. */
function skippedOf(skipped: SkippedNumbers, count: number): number[] {
  const found: number[] = [];
  for (let n = 0; n < count; n++) if (skipped.skips(n)) found.push(n);
  return found;
}

test("one number in 64 to 640 is left out, where nobody can tell beforehand", () => {
  for (let seed = testSeed; seed < testSeed + 20; seed++) {
    const found = skippedOf(new SkippedNumbers(new SeededRandom(seed)), 10_000);
    let before = 0;
    for (const number of found) {
      assert.ok(number - before >= 64 && number - before <= 640, `seed ${seed}: ${number} after ${before}`);
      before = number;
    }
    assert.ok(before > 10_000 - 640);
  }
  const one = skippedOf(new SkippedNumbers(new SeededRandom(1)), 10_000);
  assert.notDeepEqual(one, skippedOf(new SkippedNumbers(new SeededRandom(2)), 10_000));
});

test("whoever acknowledges one of the last four is found out, whatever else he names", () => {
  const skipped = new SkippedNumbers(new SeededRandom(testSeed));
  assert.equal(skipped.isAcknowledged(Float64Array.of(0, 1e6), 1), false, "nothing was left out yet");
  const found = skippedOf(skipped, 5000);
  const latest = found.slice(-4);
  for (const number of latest) {
    assert.ok(skipped.isAcknowledged(Float64Array.of(number, number), 1));
    assert.ok(skipped.isAcknowledged(Float64Array.of(9000, 9001, number - 5, number + 5), 2));
    assert.equal(skipped.isAcknowledged(Float64Array.of(number + 1, number + 9, number - 9, number - 1), 2), false);
    assert.equal(skipped.isAcknowledged(Float64Array.of(number, number), 0), false, "only the ranges that count");
  }
});

test("a number that was left out is neither in flight nor lost, and does not hide that everything around it was", () => {
  const harness = new Harness();
  const { recovery, control } = harness;
  recovery.rtt.update(millis(10), micros(0), micros(0));
  for (const n of [0, 1, 2]) recovery.onPacketSent(n, millis(n), 1200, true, true, [n], 1);
  recovery.skipPacketNumber(3, millis(3));
  for (const n of [4, 5]) recovery.onPacketSent(n, millis(2000 + n), 1200, true, true, [n], 1);
  assert.deepEqual([recovery.bytesInFlight, recovery.outstanding, recovery.stats.packetsSent], [6000, 5, 5]);
  recovery.onPacketSent(6, millis(4000), 1200, true, true, [6], 1);
  assert.equal(recovery.onAckReceived(millis(4010), 6, micros(0), Float64Array.of(6, 6), 1), "ok");
  assert.deepEqual([control.lost, harness.lost, recovery.stats.packetsLost], [[0, 1, 2, 4, 5], [0, 1, 2, 4, 5], 5]);
  assert.equal(control.persistent, 1, "one unbroken run of losses");
  assert.deepEqual([recovery.bytesInFlight, recovery.sent.size], [0, 0]);
});
