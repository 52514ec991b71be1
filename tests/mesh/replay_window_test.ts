import assert from "node:assert/strict";
import { test } from "node:test";
import { type Micros, millis } from "../../lib/base/time.ts";
import { ReplayWindow, SEAL_WINDOW_MS } from "../../lib/mesh/replay_window.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";

const START = 1_700_000_000_000;
const SENDER = new Uint8Array(32).fill(1);
const random = new SeededRandom(testSeed);

function newHash(): Uint8Array {
  const hash = new Uint8Array(32);
  random.fill(hash);
  return hash;
}

/** A window whose clocks agree, told the milliseconds since its start. */
function aged(limits?: { all: number; ofOne: number }): {
  window: ReplayWindow;
  at: (ms: number, time: number, hash?: Uint8Array, sender?: Uint8Array) => string;
} {
  const window = new ReplayWindow(0 as Micros, START, random, limits);
  return {
    window,
    at: (ms, time, hash = newHash(), sender = SENDER) =>
      window.admit(millis(ms), START + ms, START + time, sender, hash),
  };
}

test("a message is taken once, for as long as its time would let it in", () => {
  const { at } = aged();
  const hash = newHash();
  assert.equal(at(1_000, 900, hash), "fresh");
  for (const ms of [1_000, 5_000, 900 + SEAL_WINDOW_MS]) assert.equal(at(ms, 900, hash), "repeated");
  assert.equal(at(901 + SEAL_WINDOW_MS, 900, hash), "too_old");
  assert.equal(at(1_000_000, 900, hash), "too_old");
});

test("a message from the future is taken once, too, and remembered until its time is over", () => {
  const { at } = aged();
  const hash = newHash(), time = 1_000 + SEAL_WINDOW_MS;
  assert.equal(at(1_000, time + 1, hash), "too_new");
  assert.equal(at(1_000, time, hash), "fresh");
  assert.equal(at(time + SEAL_WINDOW_MS, time, hash), "repeated");
  assert.equal(at(time + SEAL_WINDOW_MS + 1, time, hash), "too_old");
});

test("what was sealed before the window was made may have been taken by its predecessor", () => {
  const { at } = aged();
  assert.equal(at(10, -1), "before_memory");
  assert.equal(at(10, 0), "fresh");
  assert.equal(at(SEAL_WINDOW_MS - 10, -1), "before_memory");
});

test("a clock that was started wrong and is put right does not refuse for ever", () => {
  const window = new ReplayWindow(0 as Micros, START + 1e10, random);
  assert.equal(window.admit(millis(5_000), START, START, SENDER, newHash()), "before_memory");
  assert.equal(window.admit(millis(2 * SEAL_WINDOW_MS), START, START, SENDER, newHash()), "fresh");
});

test("a clock that is put forward and back does not let anything in twice", () => {
  const { window, at } = aged();
  const hash = newHash();
  assert.equal(at(1_000, 900, hash), "fresh");
  assert.equal(window.admit(millis(1_500), START + 1e7, START + 1e7, SENDER, newHash()), "fresh");
  assert.equal(at(2_000, 900, hash), "before_memory");
  assert.equal(at(20_000, 19_999), "fresh");
});

test("what is remembered is bounded, for one sender and for all, and is forgotten with time", () => {
  const { window, at } = aged({ all: 5, ofOne: 3 });
  const other = new Uint8Array(32).fill(2);
  const seen = [1, 2, 3, 4].map((time) => at(10, time));
  assert.deepEqual(seen, ["fresh", "fresh", "fresh", "full"]);
  assert.deepEqual([1, 2, 3].map((time) => at(10, time, newHash(), other)), ["fresh", "fresh", "full"]);
  assert.equal(window.size, 5);
  assert.equal(at(300_000, 300_000), "fresh");
  assert.equal(window.size, 1);
});

test("it does what a list of everything ever taken would do, and refuses no more than it has to", () => {
  const { at } = aged();
  const taken: { hash: Uint8Array; time: number }[] = [];
  let now = 0, repeated = 0;
  for (let round = 0; round < 5_000; round++) {
    now += random.below(400);
    if (taken.length > 0 && random.chance(0.3)) {
      const { hash, time } = taken[random.below(taken.length)];
      const verdict = at(now, time, hash);
      assert.notEqual(verdict, "fresh");
      if (verdict === "repeated") repeated++;
    } else {
      const hash = newHash(), time = now + random.below(2_000) - 1_000;
      if (time < 0) continue;
      assert.equal(at(now, time, hash), "fresh");
      taken.push({ hash, time });
    }
  }
  assert.ok(repeated > 100, `${repeated} were found`);
});
