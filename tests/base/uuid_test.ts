import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatUuid, isNilUuid, NIL_UUID_TEXT, nilUuid, parseUuid, uuidEqual, uuidV4 } from "../../lib/base/uuid.ts";
import { property } from "../support/seed.ts";

const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 });

test("a UUID's text reads back as the same bytes, in either case", () => {
  fc.assert(
    fc.property(sixteen, fc.nat(5), (bytes, at) => {
      const padded = new Uint8Array(at + 16);
      padded.set(bytes, at);
      const text = formatUuid(padded, at);
      assert.match(text, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      assert.deepEqual(parseUuid(text), Uint8Array.from(bytes));
      assert.deepEqual(parseUuid(text.toUpperCase()), Uint8Array.from(bytes));
    }),
    property(100),
  );
  assert.equal(
    formatUuid(Uint8Array.from({ length: 16 }, (_, i) => i * 17)),
    "00112233-4455-6677-8899-aabbccddeeff",
  );
});

test("what is not the text of a UUID is refused", () => {
  const good = "00112233-4455-6677-8899-aabbccddeeff";
  const bad = [
    "",
    good.slice(1),
    `${good}0`,
    `{${good}}`,
    `urn:uuid:${good}`,
    good.replaceAll("-", ""),
    good.replace("f", "g"),
    good.replace("-", "_"),
    "0011223-34455-6677-8899-aabbccddeeff",
    good.replace("00", " 0"),
    good.replace("0", "０"),
  ];
  for (const text of bad) assert.equal(parseUuid(text), undefined, text);
});

test("the nil UUID is sixteen zeros and nothing else is", () => {
  assert.equal(formatUuid(nilUuid()), NIL_UUID_TEXT);
  assert.ok(isNilUuid(nilUuid()));
  for (let i = 0; i < 16; i++) {
    const bytes = nilUuid();
    bytes[i] = 0x80;
    assert.equal(isNilUuid(bytes), false);
  }
  const inside = new Uint8Array(20).fill(1);
  inside.fill(0, 3, 19);
  assert.equal(isNilUuid(inside, 3), true);
  assert.equal(isNilUuid(inside, 2), false);
});

test("a version 4 UUID keeps all random bits but the six that say what it is", () => {
  fc.assert(
    fc.property(sixteen, (random) => {
      const before = random.slice();
      const uuid = uuidV4(random);
      assert.match(formatUuid(uuid), /^.{14}4.{4}[89ab]/);
      assert.deepEqual(random, before, "the random bytes were changed");
      uuid[6] = (uuid[6] & 0x0f) | (random[6] & 0xf0);
      uuid[8] = (uuid[8] & 0x3f) | (random[8] & 0xc0);
      assert.ok(uuidEqual(uuid, random));
    }),
    property(100),
  );
  assert.throws(() => uuidV4(new Uint8Array(15)), RangeError);
});

test("a UUID that is not there has no text", () => {
  assert.throws(() => formatUuid(new Uint8Array(15)), RangeError);
  assert.throws(() => formatUuid(new Uint8Array(20), 5), RangeError);
});
