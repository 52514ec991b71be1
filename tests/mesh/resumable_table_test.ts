import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemRandom } from "../../lib/runtime/random.ts";
import { type ResumableEntry, type ResumableLimits, ResumableTable } from "../../lib/mesh/resumable_table.ts";

const LIMITS: ResumableLimits = {
  windowMillis: 30_000,
  bufferBytes: 1 << 20,
  maxStreams: 100,
  maxStreamsPerPeer: 10,
  maxBytes: 8 << 20,
  maxBytesPerPeer: 4 << 20,
};

function id(number: number): Uint8Array {
  return new Uint8Array(16).fill(number);
}

function tableOf(limits: Partial<ResumableLimits> = {}) {
  const table = new ResumableTable<string>({ ...LIMITS, ...limits }, new SystemRandom());
  const add = (peer: string, stream: number, bufferBytes?: number, windowMillis?: number) =>
    table.add({ peer, streamId: id(stream), token: id(9), bufferBytes, windowMillis }, `${peer} ${stream}`);
  return { table, add };
}

function isPlace(result: ResumableEntry<string> | string): ResumableEntry<string> {
  assert.ok(typeof result !== "string", String(result));
  return result;
}

test("a stream is found by its peer, id and secret, and by no two of them", () => {
  const { table, add } = tableOf();
  const place = isPlace(add("a", 1));
  isPlace(add("b", 1));
  assert.equal(table.find("a", id(1), id(9))?.value, "a 1");
  assert.equal(table.find("b", id(1), id(9))?.value, "b 1");
  assert.equal(table.find("c", id(1), id(9)), undefined);
  assert.equal(table.find("a", id(2), id(9)), undefined);
  assert.equal(table.find("a", id(1), id(8)), undefined);
  assert.equal(add("a", 1), "taken");
  table.remove(place);
  table.remove(place);
  assert.equal(table.find("a", id(1), id(9)), undefined);
  assert.deepEqual(table.values(), ["b 1"]);
});

test("a stream gets what it asks for, within the limits, and less as memory gets short", () => {
  const { table, add } = tableOf();
  const modest = isPlace(add("a", 1, 100_000, 5_000));
  assert.deepEqual([modest.bufferBytes, modest.windowMillis], [100_000, 5_000]);
  const greedy = isPlace(add("a", 2, 1 << 30, 1 << 30));
  assert.ok(greedy.bufferBytes >= 65_536 && greedy.bufferBytes <= 1 << 20);
  assert.equal(greedy.windowMillis, 30_000);
  assert.equal(isPlace(add("a", 3, 1_000)).bufferBytes, 1_000);
  assert.equal(table.bytes, 2 * (100_000 + greedy.bufferBytes + 1_000));
});

test("there are no more streams and bytes than are allowed, of one peer and altogether", () => {
  const places: ResumableEntry<string>[] = [];
  const few = tableOf({ maxStreams: 12 });
  for (let i = 0; i < 10; i++) places.push(isPlace(few.add("a", i, 1)));
  assert.equal(few.add("a", 10, 1), "no_room");
  for (let i = 0; i < 2; i++) places.push(isPlace(few.add("b", i, 1)));
  assert.equal(few.add("c", 0, 1), "no_room");
  for (const place of places) few.table.remove(place);
  assert.deepEqual([few.table.size, few.table.bytes], [0, 0]);
  isPlace(few.add("c", 0, 1));

  const small = tableOf({ maxBytes: 500_000, maxBytesPerPeer: 300_000 });
  isPlace(small.add("a", 1));
  isPlace(small.add("a", 2));
  assert.equal(small.add("a", 3), "no_room");
  isPlace(small.add("b", 1));
  assert.equal(small.add("b", 2), "no_room");
  assert.ok(small.table.bytes <= 500_000);
  assert.throws(() => tableOf({ maxBytes: -1 }), RangeError);
});
