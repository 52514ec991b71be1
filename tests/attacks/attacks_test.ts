import assert from "node:assert/strict";
import { test } from "node:test";
import { testSeed } from "../support/seed.ts";
import { attacks } from "./all.ts";
import { runAttack } from "./support/attack.ts";

for (const attack of attacks) {
  test(`${attack.name} (${attack.role}): nobody else notices, and ${attack.counter} tells of it`, () => {
    const { failures } = runAttack(attack, attack.rounds[0], testSeed, true);
    assert.deepEqual(failures, [], `seed ${testSeed}`);
  });
}

test("every attack has a name, and is listed once for each side", () => {
  const names = attacks.map(({ name, role }) => `${name} (${role})`);
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.length >= 60, `${names.length} attacks`);
});
