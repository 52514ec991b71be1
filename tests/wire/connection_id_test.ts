import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  ConnectionId,
  ConnectionIdMap,
  isZeroConnectionId,
  randomConnectionId,
  readConnectionId,
  ZERO_CONNECTION_ID,
} from "../../lib/wire/connection_id.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { property, testSeed } from "../support/seed.ts";

const id = (...bytes: number[]): ConnectionId => new ConnectionId(Uint8Array.from(bytes));

test("a connection id is read at its place, prints in wire order, and does not alias the packet", () => {
  const packet = Uint8Array.of(9, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 9);
  const read = readConnectionId(packet, 1);
  assert.equal(read.toString(), "0123456789abcdef");
  assert.equal(read.low, 0x67452301);
  assert.equal(read.high, 0xefcdab89);
  assert.equal(read.equalsAt(packet, 1), true);
  packet[1] ^= 1;
  assert.equal(read.toString(), "0123456789abcdef");
  assert.equal(read.equalsAt(packet, 1), false);
});

test("ids are equal only if all 8 bytes are", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const one = new ConnectionId(bytes);
  assert.equal(one.equals(new ConnectionId(bytes)), true);
  for (let i = 0; i < 8; i++) {
    const other = bytes.slice();
    other[i] ^= 0x80;
    assert.equal(one.equals(new ConnectionId(other)), false, `byte ${i}`);
  }
});

test("only eight zero bytes are the zero id", () => {
  assert.equal(ZERO_CONNECTION_ID.isZero, true);
  assert.equal(isZeroConnectionId(new Uint8Array(9), 1), true);
  for (let i = 0; i < 8; i++) {
    const bytes = new Uint8Array(8);
    bytes[i] = 1;
    assert.equal(new ConnectionId(bytes).isZero, false);
    assert.equal(isZeroConnectionId(bytes, 0), false);
  }
});

test("an id of another length is the caller's mistake", () => {
  for (const length of [0, 7, 9]) assert.throws(() => new ConnectionId(new Uint8Array(length)), RangeError);
});

test("a random id comes from public randomness and is not zero even if the source is stuck", () => {
  const expected = new Uint8Array(8);
  new SeededRandom(testSeed).fillPublic(expected);
  assert.deepEqual(randomConnectionId(new SeededRandom(testSeed)).bytes, expected);
  const noSecret = (): never => assert.fail("a connection id must not use up secret randomness");
  assert.equal(randomConnectionId({ fillPublic: () => {}, fillSecret: noSecret }).isZero, false);
});

test("the map keeps ids apart that share their low half", () => {
  const map = new ConnectionIdMap<string>();
  const a = id(1, 1, 1, 1, 0, 0, 0, 1), b = id(1, 1, 1, 1, 0, 0, 0, 2), c = id(1, 1, 1, 1, 0, 0, 0, 3);
  map.set(a, "a");
  map.set(b, "b");
  map.set(c, "c");
  assert.deepEqual([map.get(a), map.get(b), map.get(c), map.size], ["a", "b", "c", 3]);
  assert.equal(map.delete(b), true);
  assert.equal(map.delete(b), false);
  assert.deepEqual([map.get(a), map.get(b), map.get(c), map.size], ["a", undefined, "c", 2]);
  assert.deepEqual([...map.values()].sort(), ["a", "c"]);
});

test("the map behaves as a map keyed by hex, through any sequence of operations", () => {
  // Few distinct bytes, so that low halves collide all the time.
  const someId = fc.tuple(fc.nat(1), fc.nat(3)).map(([low, high]) => id(low, 0, 0, 0, high, 0, 0, 7));
  const step = fc.record({ kind: fc.constantFrom("set", "delete", "get", "clear", "set", "set"), id: someId });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const map = new ConnectionIdMap<number>(), model = new Map<string, number>();
      steps.forEach(({ kind, id }, i) => {
        const key = id.toString();
        if (kind === "set") {
          map.set(id, i);
          model.set(key, i);
        } else if (kind === "delete") {
          assert.equal(map.delete(id), model.delete(key));
        } else if (kind === "clear" && i % 5 === 0) {
          map.clear();
          model.clear();
        }
        const packet = new Uint8Array(11);
        packet.set(id.bytes, 3);
        assert.equal(map.get(id), model.get(key));
        assert.equal(map.getAt(packet, 3), model.get(key));
        assert.equal(map.has(id), model.has(key));
        assert.equal(map.size, model.size);
        const entries = [...map.entries()].map(([id, value]): [string, number] => [id.toString(), value]);
        assert.deepEqual(entries.sort(), [...model].sort());
      });
    }),
    property(),
  );
});
