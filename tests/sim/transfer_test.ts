import assert from "node:assert/strict";
import { test } from "node:test";
import { runUpload, type UploadResult } from "../../lib/testing/upload_run.ts";
import { CONGESTION_NAMES } from "../../lib/transport/congestion/create.ts";
import { crypto, millis, roughLink, SEEDS } from "./shared.ts";

/** Stream bytes of a full packet of 1 200 bytes. */
const MSS = 1132;

function assertDelivered(result: UploadResult, bytes: number, seed: number): void {
  assert.equal(result.failure, undefined, `seed ${seed}`);
  assert.equal(result.delivered, bytes, `seed ${seed}`);
  assert.equal(result.connections, 1, `seed ${seed}`);
}

for (const [loss, megabytes] of [[0, 10], [1, 10], [5, 5], [20, 5]]) {
  test(`${megabytes} MB arrive exactly once and in order at ${loss} % loss, with reordering and duplicates`, () => {
    const bytes = megabytes * 1_000_000;
    const result = runUpload({ seed: 1, crypto, bytes, profile: roughLink(loss) });
    assertDelivered(result, bytes, 1);
    const { packetsLost, retransmittedBytes } = result.stats;
    const allowed = 1.2 * packetsLost * MSS + 0.01 * bytes;
    assert.ok(retransmittedBytes <= allowed, `${retransmittedBytes} bytes sent again, ${packetsLost} packets lost`);
  });

  test(`1 MB arrives at ${loss} % loss whatever the seed`, () => {
    for (const seed of SEEDS) {
      for (const pattern of ["IK", "XX"] as const) {
        assertDelivered(
          runUpload({ seed, pattern, crypto, bytes: 1_000_000, profile: roughLink(loss) }),
          1_000_000,
          seed,
        );
      }
    }
  });
}

for (const [rtt, rate, megabytes] of [[50, 100, 20], [10, 100, 10], [10, 1000, 20], [300, 20, 15]]) {
  test(`an undisturbed link of ${rate} Mbit/s and ${rtt} ms is used to 85 % once slow start is over`, () => {
    const bytes = megabytes * 1_000_000;
    const result = runUpload({ seed: 1, crypto, bytes, profile: { delay: millis(rtt / 2), rate } });
    assertDelivered(result, bytes, 1);
    assert.ok(result.steadyGoodput >= 0.85 * rate, `${result.steadyGoodput} Mbit/s`);
    // Before that, the window doubles from ten packets to what the link holds: that costs a round trip for each time at most.
    const window = rate / 8 * rtt * 1000;
    const roundTrips = 3 + Math.log2(window / 12_000);
    const longest = bytes * 8 / (0.85 * rate) + roundTrips * rtt * 1000;
    assert.ok(result.duration <= longest, `${result.duration} µs, at most ${longest}`);
  });
}

for (const congestion of CONGESTION_NAMES) {
  test(`reordering and jitter alone do not slow ${congestion} down`, () => {
    const upload = { seed: 1, crypto, bytes: 4_000_000, settings: { congestion } };
    const profile = { delay: millis(25), rate: 100 };
    const clean = runUpload({ ...upload, profile });
    for (const disturbance of [{ reorder: 0.01 }, { jitter: millis(1) }]) {
      const disturbed = runUpload({ ...upload, profile: { ...profile, ...disturbance } });
      assertDelivered(disturbed, upload.bytes, 1);
      assert.ok(disturbed.goodput >= 0.8 * clean.goodput, `${disturbed.goodput} of ${clean.goodput} Mbit/s`);
    }
  });
}

test("goodput at 1 % loss is at least 0.7 of what the formula for congestion avoidance gives", () => {
  const rtt = 0.05, loss = 0.01;
  const result = runUpload({ seed: 1, crypto, bytes: 4_000_000, profile: { ...roughLink(0), loss } });
  const expected = 1.22 * MSS * 8 / (rtt * Math.sqrt(loss)) / 1e6;
  assert.ok(result.goodput >= 0.7 * expected, `${result.goodput} Mbit/s, the formula gives ${expected}`);
});
