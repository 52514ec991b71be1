import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyHistory } from "../../lib/testing/key_history.ts";
import type { WatchedKey } from "../../lib/testing/watched_crypto.ts";

const key = (): WatchedKey => ({ suite: 1, nonces: new Set(["nonce"]) });
const unwatched = { epoch: undefined, acknowledged: -1 };

test("one key after another, each after an acknowledgement and with the other KEY_PHASE, is right", () => {
  const history = new KeyHistory(), keys = [key(), key(), key()];
  assert.equal(history.onSeal(keys[0], 0, false, { epoch: 0, acknowledged: -1 }), undefined);
  assert.equal(history.onSeal(keys[1], 1, true, { epoch: 0, acknowledged: 0 }), undefined);
  assert.equal(history.onSeal(keys[1], 2, true, { epoch: 0, acknowledged: 0 }), undefined);
  assert.equal(history.onSeal(keys[2], 3, false, { epoch: 1, acknowledged: 1 }), undefined);
  assert.equal(history.epoch, 2);
  assert.deepEqual(keys.map(({ nonces }) => nonces.size), [0, 0, 1], "what is over is forgotten");
});

test("who follows the other side needs no acknowledgement", () => {
  const history = new KeyHistory();
  assert.equal(history.onSeal(key(), 0, false, { epoch: 0, acknowledged: -1 }), undefined);
  assert.equal(history.onSeal(key(), 1, true, { epoch: 1, acknowledged: -1 }), undefined);
});

test("a new key without an acknowledgement, or before the other side has followed, is noticed", () => {
  const early = new KeyHistory();
  early.onSeal(key(), 0, false, { epoch: 0, acknowledged: -1 });
  assert.match(early.onSeal(key(), 5, true, { epoch: 0, acknowledged: -1 }) ?? "", /none from 0 on was acknowledged/);

  const ahead = new KeyHistory();
  ahead.onSeal(key(), 0, false, { epoch: 0, acknowledged: -1 });
  ahead.onSeal(key(), 1, true, { epoch: 0, acknowledged: 0 });
  assert.match(ahead.onSeal(key(), 2, false, { epoch: 0, acknowledged: 1 }) ?? "", /before the peer has followed/);
});

test("a key that comes back, and a KEY_PHASE that does not fit, are noticed", () => {
  const history = new KeyHistory(), first = key();
  history.onSeal(first, 0, false, unwatched);
  history.onSeal(key(), 1, true, unwatched);
  assert.match(history.onSeal(first, 2, false, unwatched) ?? "", /key of an earlier epoch/);

  for (const phase of [false, true]) {
    const other = new KeyHistory(), kept = key();
    other.onSeal(kept, 0, false, unwatched);
    const next = phase ? kept : key();
    assert.match(other.onSeal(next, 1, phase, unwatched) ?? "", new RegExp(`KEY_PHASE ${phase}`));
  }
});
