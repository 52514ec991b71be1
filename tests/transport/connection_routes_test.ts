import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { ConnectionRoutes } from "../../lib/transport/connection_routes.ts";
import { ResetTokens } from "../../lib/transport/stateless_reset.ts";
import { crypto } from "./two_endpoints.ts";

test("every id of a connection leads to it until it is given back", () => {
  const routes = new ConnectionRoutes<string>(new SeededRandom(1), undefined);
  const first = routes.fresh();
  routes.set(first, "a");
  const source = routes.sourceOf("a"), other = routes.sourceOf("b");
  const second = source.issue(), third = other.issue();
  assert.deepEqual([first, second.id, third.id].map((id) => routes.getAt(id.bytes, 0)), ["a", "a", "b"]);
  source.release(second.id);
  assert.equal(routes.getAt(second.id.bytes, 0), undefined);
  routes.deleteAll([first, second.id]);
  assert.deepEqual([routes.size, routes.getAt(third.id.bytes, 0)], [1, "b"]);
});

test("an id that somebody has is never given out, whatever the source of randomness says", () => {
  let draws = 0;
  const stuck = {
    fillPublic: (out: Uint8Array) => void out.fill(++draws <= 3 ? 7 : draws),
    fillSecret: (out: Uint8Array) => void out.fill(1),
  };
  const routes = new ConnectionRoutes<string>(stuck, undefined);
  routes.set(routes.fresh(), "a");
  assert.equal(routes.sourceOf("b").issue().id.bytes[0], 4);
});

test("reset tokens follow from the key where there are resets, and are nobody's to know elsewhere", () => {
  const random = new SeededRandom(1), tokens = new ResetTokens(crypto.sha256, new Uint8Array(32).fill(3));
  const { id, resetToken } = new ConnectionRoutes<string>(random, tokens).sourceOf("a").issue();
  assert.deepEqual(resetToken, tokens.of(id));
  const source = new ConnectionRoutes<string>(random, undefined).sourceOf("a");
  const one = source.issue(), two = source.issue();
  assert.equal(one.resetToken.length, 16);
  assert.notDeepEqual(one.resetToken, two.resetToken);
});
