import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { type Micros, micros, millis, seconds } from "../../lib/base/time.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { COOKIE_LIFETIME, Cookies } from "../../lib/transport/cookies.ts";
import { WorkSearch } from "../../lib/transport/proof_of_work.ts";
import { ConnectionId } from "../../lib/wire/connection_id.ts";
import { crypto, ELSEWHERE, HERE } from "./two_endpoints.ts";

const { sha256 } = crypto;
const ID = new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
const OTHER_ID = new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 9));
const nonce = new Uint8Array(8);
const START = seconds(1000);

function make(seed = 1): Cookies {
  return new Cookies(sha256, new SeededRandom(seed));
}

function later(duration: Micros): Micros {
  return micros(START + duration);
}

test("a cookie is good for the address and connection id that it was made for, and for nobody else", () => {
  const cookies = make();
  const cookie = cookies.make(START, HERE, ID, 0);
  assert.equal(cookies.check(START, HERE, ID, { cookie, nonce }), "valid");
  assert.equal(cookies.check(START, address(HERE.host, HERE.port), ID, { cookie, nonce }), "valid");
  assert.equal(cookies.check(START, ELSEWHERE, ID, { cookie, nonce }), "invalid");
  assert.equal(cookies.check(START, address(HERE.host, HERE.port + 1), ID, { cookie, nonce }), "invalid");
  assert.equal(cookies.check(START, HERE, OTHER_ID, { cookie, nonce }), "invalid");
});

test("a cookie in which any bit differs is not good, nor is one that is longer or shorter", () => {
  const cookies = make();
  const cookie = cookies.make(START, HERE, ID, 3);
  for (let bit = 0; bit < 8 * cookie.length; bit++) {
    const forged = cookie.slice();
    forged[bit >> 3] ^= 1 << (bit & 7);
    assert.equal(cookies.check(START, HERE, ID, { cookie: forged, nonce }), "invalid", `bit ${bit}`);
  }
  for (const length of [0, 1, cookie.length - 1]) {
    assert.equal(cookies.check(START, HERE, ID, { cookie: cookie.subarray(0, length), nonce }), "invalid");
  }
  const longer = new Uint8Array(cookie.length + 1);
  longer.set(cookie);
  assert.equal(cookies.check(START, HERE, ID, { cookie: longer, nonce }), "invalid");
});

test("a cookie lasts fifteen seconds", () => {
  const cookies = make();
  const cookie = cookies.make(START, HERE, ID, 0);
  assert.equal(COOKIE_LIFETIME, seconds(15));
  assert.equal(cookies.check(later(seconds(15)), HERE, ID, { cookie, nonce }), "valid");
  assert.equal(cookies.check(later(millis(15_001)), HERE, ID, { cookie, nonce }), "invalid");
});

test("a cookie outlives the secret that made it, and no other node or later start takes it", () => {
  const cookies = make();
  cookies.make(START, HERE, ID, 0);
  const cookie = cookies.make(later(seconds(59)), HERE, ID, 0);
  assert.equal(cookies.check(later(seconds(61)), HERE, ID, { cookie, nonce }), "valid", "after one change");
  const second = cookies.make(later(seconds(61)), HERE, ID, 0);
  assert.notEqual(second[0], cookie[0], "another secret");
  assert.equal(cookies.check(later(seconds(61)), HERE, ID, { cookie: second, nonce }), "valid");
  assert.equal(make(2).check(START, HERE, ID, { cookie: make(1).make(START, HERE, ID, 0), nonce }), "invalid");
});

test("the clock's low 32 bits may wrap around within a cookie's life", () => {
  const cookies = make();
  const before = millis(2 ** 32 - 1000);
  const cookie = cookies.make(before, HERE, ID, 0);
  assert.equal(cookies.check(micros(before + seconds(2)), HERE, ID, { cookie, nonce }), "valid");
  assert.equal(cookies.check(micros(before + seconds(16)), HERE, ID, { cookie, nonce }), "invalid");
});

test("a cookie that asks for work is worth nothing without it, and the difficulty is the responder's", () => {
  const cookies = make();
  const cookie = cookies.make(START, HERE, ID, 8);
  const search = new WorkSearch(sha256, cookie, 8);
  let worked: Uint8Array | undefined;
  while (worked === undefined) worked = search.step();
  assert.equal(cookies.check(START, HERE, ID, { cookie, nonce: worked }), "valid");
  const idle = worked.slice();
  idle[7] ^= 0x80;
  assert.equal(cookies.check(START, HERE, ID, { cookie, nonce: idle }), "unworked");
});
