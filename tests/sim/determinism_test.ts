import assert from "node:assert/strict";
import { test } from "node:test";
import { seconds } from "../../lib/base/time.ts";
import { type MixtureResult, runMixture } from "../../lib/testing/mixture_run.ts";
import { crypto, makePair, millis, roughLink } from "./shared.ts";

/** A fingerprint of every datagram of a run over a bad link, with its time. */
function traceOf(seed: number): { value: string; count: number } {
  const profile = { ...roughLink(10), corrupt: 0.02, jitter: millis(5) };
  const pair = makePair({ seed, trace: true, pattern: "XX", profile });
  pair.connect();
  for (let i = 0; i < 5; i++) pair.clientTraffic.send(pair.client, pair.connection, 20_000, { unidirectional: i > 2 });
  pair.drive(() => pair.serverTraffic.delivered === 100_000);
  return { value: pair.network.trace!.value, count: pair.network.trace!.count };
}

test("the same seed gives the same run to the last byte", () => {
  const first = traceOf(7);
  assert.ok(first.count > 100, `${first.count} datagrams`);
  assert.deepEqual(traceOf(7), first);
});

test("another seed gives another run", () => {
  assert.notEqual(traceOf(7).value, traceOf(8).value);
});

test("a mixture of everything is the same run whenever it is run with the same seed", () => {
  const run = (seed: number): MixtureResult => runMixture({ seed, crypto, duration: seconds(4), trace: true });
  const first = run(3);
  assert.ok(first.restarts + first.moves + first.naps > 0, "something has happened");
  assert.deepEqual(run(3), first);
  assert.notEqual(run(4).trace, first.trace);
});
