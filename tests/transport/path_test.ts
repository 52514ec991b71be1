import assert from "node:assert/strict";
import { test } from "node:test";
import { micros, millis, NEVER } from "../../lib/base/time.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { LEAST_PROBE_SIZE, Path } from "../../lib/transport/path.ts";
import { PathValidation } from "../../lib/transport/path_validation.ts";
import { HERE } from "./two_endpoints.ts";

test("a path that is not proven gets three times what came over it, and a proven one everything", () => {
  const path = new Path(HERE, false);
  assert.equal(path.allows(1200), 0);
  path.onReceived(500);
  assert.equal(path.allows(1200), 1200);
  path.onSent(1200);
  assert.equal(path.allows(1200), 300);
  path.onReceived(10);
  assert.equal(path.allows(1200), 330);
  path.prove();
  assert.equal(path.allows(1200), 1200);
  assert.equal(new Path(HERE, true).allows(65_507), 65_507);
});

test("a challenge that may not leave wakes nobody up, but failing does", () => {
  const now = micros(1000);
  const path = new Path(HERE, false);
  assert.equal(path.wakeAt, NEVER);
  path.validation = new PathValidation(now, millis(10), new SeededRandom(1));
  assert.equal(path.wakeAt, path.validation.deadline);
  path.onReceived(Math.ceil(LEAST_PROBE_SIZE / 3));
  assert.equal(path.wakeAt, now);
});

test("answers to challenges keep their distance", () => {
  const path = new Path(HERE, true);
  path.response = new Uint8Array(8);
  assert.equal(path.wakeAt, 0);
  path.onResponseSent(millis(50));
  assert.deepEqual([path.response, path.wakeAt], [undefined, NEVER]);
  path.response = new Uint8Array(8);
  assert.equal(path.wakeAt, millis(60));
});
