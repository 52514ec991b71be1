import assert from "node:assert/strict";
import { test } from "node:test";
import { seconds } from "../../lib/base/time.ts";
import { PatternTraffic } from "../../lib/testing/pattern_traffic.ts";
import { makePair } from "../sim/shared.ts";

test("an initiator whose hello reaches a restarted responder is held to what that one allows", () => {
  const pair = makePair();
  const connection = pair.connect();
  // The first responder answers, is gone before its answer arrives, and the next one gets the repeated hello.
  pair.down.down = true;
  pair.drive(() => pair.server.connections.length === 1, seconds(1));
  const traffic = new PatternTraffic();
  const again = pair.server.restart(traffic);
  pair.down.down = false;
  pair.clientTraffic.send(pair.client, connection, 100_000);
  assert.ok(pair.drive(() => traffic.delivered === 100_000, seconds(10)));
  assert.equal(again.connections.length, 1);
  assert.ok(pair.invariants!.dataSent(connection) >= 100_000);
});
