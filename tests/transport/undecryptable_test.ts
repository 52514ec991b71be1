import assert from "node:assert/strict";
import { test } from "node:test";
import { UndecryptablePackets } from "../../lib/transport/undecryptable.ts";

test("packets are copied, kept in order and handed over once", () => {
  const store = new UndecryptablePackets();
  const bytes = Uint8Array.of(1, 2, 3, 4);
  assert.equal(store.keep(bytes, 0, 2), true);
  assert.equal(store.keep(bytes, 2, 4), true);
  bytes.fill(9);
  assert.deepEqual(store.takeAll(), [Uint8Array.of(1, 2), Uint8Array.of(3, 4)]);
  assert.deepEqual(store.takeAll(), []);
});

test("at most sixteen packets and 32 KiB are kept", () => {
  const small = new UndecryptablePackets();
  let kept = 0;
  while (small.keep(new Uint8Array(100), 0, 100)) kept++;
  assert.equal(kept, 16);
  const large = new UndecryptablePackets();
  assert.equal(large.keep(new Uint8Array(20_000), 0, 20_000), true);
  assert.equal(large.keep(new Uint8Array(20_000), 0, 20_000), false);
});
