import assert from "node:assert/strict";
import { test } from "node:test";
import { type Assault, type Attack, runAttack } from "./support/attack.ts";
import { HONEST, type Scene, VICTIM } from "./support/scene.ts";

/** What the oracle says about an attack that succeeds. */
function verdict(round: (scene: Scene, index: number) => void, assault: Partial<Assault> = {}): readonly string[] {
  const attack: Attack = {
    name: "a test of the oracle",
    role: "stranger",
    counter: "rounds",
    rounds: [8, 8],
    begin: (scene) => ({ round: (index) => round(scene, index), count: () => 1, ...assault }),
  };
  return runAttack(attack, 8, 1, false).failures;
}

test("an attack that achieves nothing has no failures", () => {
  assert.deepEqual(verdict(() => {}), []);
});

test("memory that grows is noticed", () => {
  const kept: object[] = [];
  const failures = verdict((_scene, index) => {
    for (let i = 0; index === 0 && i < 400_000; i++) kept.push({ i });
  });
  assert.match(failures.join(), /^the heap grew by \d+/);
  assert.ok(kept.length > 0);
});

test("an event that takes long is noticed, however often it is tried", () => {
  const failures = verdict((scene, index) => {
    if (index > 0) return;
    scene.network.clock.wakeAt(scene.network.now, () => {
      // Not by the clock: on a busy machine most of a time may belong to others.
      let x = 1;
      for (let i = 0; i < 400_000_000; i++) x = Math.imul(x, 3) ^ i;
      assert.notEqual(x, 0);
    });
  });
  assert.match(failures.join(), /^one event took \d+ ms$/);
});

test("an honest peer that is kept waiting is noticed", () => {
  const failures = verdict((scene) => scene.network.change(VICTIM, HONEST, { rate: 1 }));
  assert.match(failures.join(), /^the honest peer took \d+\.\d+ times as long as usual$/);
});

test("a counter that says nothing, and a rule that does not hold, are noticed", () => {
  const check = (): void => {
    throw new Error("it does not hold");
  };
  assert.deepEqual(verdict(() => {}, { count: () => 0, check }), ["rounds is 0", "it does not hold"]);
});

test("what an attack throws is not swallowed", () => {
  assert.throws(() =>
    verdict(() => {
      throw new Error("boom");
    }), /boom/);
});
