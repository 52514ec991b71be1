import assert from "node:assert/strict";
import { test } from "node:test";
import { type Micros, micros, seconds } from "../../lib/base/time.ts";
import type { Pair } from "../../lib/testing/pair.ts";
import { CONGESTION_NAMES, type CongestionName } from "../../lib/transport/congestion/create.ts";
import { StreamClass } from "../../lib/transport/scheduler.ts";
import { establishedPair, millis } from "./shared.ts";

const RATE = 20;
const RTT = millis(40);
/** One bandwidth-delay product, bytes. */
const QUEUE = RATE / 8 * RTT;

/** A pair whose link a bulk transfer from the client has been filling for some seconds. */
function busyPair(congestion: CongestionName): Pair {
  const profile = { delay: micros(RTT / 2), rate: RATE, queue: QUEUE };
  const pair = establishedPair({ profile, settings: { congestion, maxStreamsBidi: 4096 } });
  pair.serverTraffic.replySize = 200;
  pair.clientTraffic.send(pair.client, pair.connection, 1e12, { streamClass: StreamClass.BULK });
  pair.advance(seconds(4));
  return pair;
}

/** Makes a call of `size` bytes every `gap`, `count` times; how long those that were answered within `limit` took, sorted. */
function makeCalls(pair: Pair, count: number, size: number, gap: Micros, limit: Micros): number[] {
  const { connection, clientTraffic, network } = pair;
  const began = new Map<number, Micros>();
  const took: number[] = [];
  clientTraffic.onOther = (_node, _connection, event) => {
    if (event.type !== "readable" || !began.has(event.id) || !connection.readFinished(event.id)) return;
    took.push(network.now - began.get(event.id)!);
    began.delete(event.id);
  };
  let made = 0;
  const call = (): void => {
    const options = { unidirectional: false, streamClass: StreamClass.INTERACTIVE };
    const { id } = clientTraffic.send(pair.client, connection, size, options);
    if (id !== -1) began.set(id, network.now);
    if (++made < count) network.clock.wakeAt(micros(network.now + gap), call);
  };
  call();
  pair.drive(() => took.length === count, limit);
  return took.sort((a, b) => a - b);
}

for (const congestion of CONGESTION_NAMES) {
  test(`while a bulk stream fills the link under ${congestion}, 99 of 100 calls take less than three round trips`, () => {
    const pair = busyPair(congestion);
    const before = pair.serverTraffic.incoming[0].received, start = pair.network.now;
    const took = makeCalls(pair, 300, 200, millis(17), seconds(20));
    assert.equal(took.length, 300, "every call is answered");
    const p99 = took[296];
    assert.ok(p99 < 3 * RTT, `p99 ${p99} µs, median ${took[150]} µs`);
    const bulk = (pair.serverTraffic.incoming[0].received - before) * 8 / (pair.network.now - start);
    assert.ok(bulk > 0.8 * RATE, `${bulk} Mbit/s of bulk data meanwhile`);
  });

  test(`a flood of calls leaves bulk data its share under ${congestion}`, () => {
    const pair = busyPair(congestion);
    const bulk = pair.serverTraffic.incoming[0];
    const before = bulk.received, all = pair.serverTraffic.delivered, start = pair.network.now;
    // Twice what the link carries.
    makeCalls(pair, 4000, 5000, millis(1), seconds(3));
    const elapsed = pair.network.now - start;
    const share = (bulk.received - before) / (pair.serverTraffic.delivered - all);
    assert.ok(elapsed >= seconds(3), "there are always calls that wait");
    // Weights 50 and 10: a sixth.
    assert.ok(share > 0.12 && share < 0.3, `${share} of what was delivered`);
  });
}
