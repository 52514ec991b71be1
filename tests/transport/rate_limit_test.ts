import assert from "node:assert/strict";
import { test } from "node:test";
import { type Micros, micros, millis, seconds } from "../../lib/base/time.ts";
import { AddressLimits, RateLimit } from "../../lib/transport/rate_limit.ts";
import { crypto } from "./two_endpoints.ts";

const { sha256 } = crypto;

function taken(limit: { take(now: Micros): boolean }, now: Micros, tries: number): number {
  let count = 0;
  for (let i = 0; i < tries; i++) if (limit.take(now)) count++;
  return count;
}

test("a limit lets a burst through, then its rate, and fills up again", () => {
  const limit = new RateLimit(100, 20);
  assert.equal(taken(limit, micros(0), 1000), 20);
  assert.equal(taken(limit, millis(9), 1000), 0);
  assert.equal(taken(limit, millis(10), 1000), 1);
  assert.equal(taken(limit, millis(110), 1000), 10);
  assert.equal(taken(limit, seconds(100), 1000), 20, "no more than the burst, however long nothing happened");
});

test("what is refused does not count", () => {
  const limit = new RateLimit(10, 1);
  assert.equal(taken(limit, micros(0), 1_000_000), 1);
  assert.equal(limit.has(millis(99)), false);
  assert.equal(limit.has(millis(100)), true);
  assert.equal(limit.take(millis(100)), true);
});

test("addresses have limits of their own, a /64 of IPv6 has one", () => {
  const limits = new AddressLimits(1, 2, sha256, new Uint8Array(32));
  const take = (host: string): number =>
    taken({ take: (now) => limits.take(now, limits.bucketOf(host)) }, micros(0), 10);
  assert.equal(take("192.0.2.1"), 2);
  assert.equal(take("192.0.2.1"), 0);
  assert.equal(take("192.0.2.2"), 2);
  assert.equal(take("::ffff:192.0.2.2"), 0, "the same address");
  assert.equal(take("2001:db8:1:2::1"), 2);
  assert.equal(take("2001:db8:1:2:ffff::7"), 0);
  assert.equal(take("2001:db8:1:3::1"), 2);
});

test("where an address has its bucket depends on a secret, so nobody can choose whom to share it with", () => {
  const tables = [1, 2].map((byte) => new AddressLimits(1, 1, sha256, new Uint8Array(32).fill(byte)));
  const hosts = Array.from({ length: 3000 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
  // Whoever has found addresses that meet in one table has found nothing about another.
  const together = hosts.filter((host) => tables[0].bucketOf(host) < 64);
  assert.ok(together.length > 5);
  const spread = new Set(together.map((host) => tables[1].bucketOf(host) >> 6));
  assert.ok(spread.size > together.length / 2, `${together.length} addresses in ${spread.size} places`);
});
