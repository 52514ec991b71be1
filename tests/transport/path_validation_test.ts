import assert from "node:assert/strict";
import { test } from "node:test";
import { type Micros, micros, millis, seconds } from "../../lib/base/time.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { MAX_CHALLENGES, PathValidation } from "../../lib/transport/path_validation.ts";

const BEGIN = micros(1_000_000);

/** When challenges leave if none is answered, in milliseconds from the beginning, and their data. */
function run(pto: Micros): { at: number[]; data: string[]; failedAt: number } {
  const validation = new PathValidation(BEGIN, pto, new SeededRandom(1));
  const at: number[] = [], data: string[] = [];
  let now = BEGIN;
  while (now < validation.deadline) {
    if (validation.isDue(now)) {
      at.push((now - BEGIN) / 1000);
      data.push(validation.challenge(now).join());
      assert.equal(validation.isDue(now), false);
    }
    assert.ok(validation.wakeAt > now);
    now = validation.wakeAt;
  }
  return { at, data, failedAt: (now - BEGIN) / 1000 };
}

test("challenges are repeated with back-off, and given up after three seconds or the time that three of them take", () => {
  assert.deepEqual(run(millis(100)).at, [0, 100, 300, 700, 1500]);
  assert.equal(run(millis(100)).failedAt, 3000);
  assert.deepEqual(run(seconds(1)).at, [0, 1000, 3000]);
  assert.equal(run(seconds(1)).failedAt, 7000);
});

test("no two challenges are the same", () => {
  const { data } = run(millis(30));
  assert.equal(new Set(data).size, MAX_CHALLENGES);
});

test("any of the challenges may be answered, and nothing else will do", () => {
  const validation = new PathValidation(BEGIN, millis(100), new SeededRandom(1));
  const first = validation.challenge(BEGIN), second = validation.challenge(micros(BEGIN + millis(100)));
  const now = micros(BEGIN + millis(140));
  assert.equal(validation.answeredAfter(now, first), millis(140));
  assert.equal(validation.answeredAfter(now, second), millis(40));
  for (let i = 0; i < 8; i++) {
    const wrong = first.slice();
    wrong[i] ^= 1;
    assert.equal(validation.answeredAfter(now, wrong), undefined);
  }
  assert.equal(validation.answeredAfter(now, new Uint8Array(8)), undefined);
});
