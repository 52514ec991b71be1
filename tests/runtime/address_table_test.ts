import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { AddressTable, addressTable, plainHost } from "../../lib/runtime/address_table.ts";
import { property } from "../support/seed.ts";

test("an address that repeats gives the same object", () => {
  const table = addressTable();
  const first = table.get("192.0.2.1", 9000);
  const other = table.get("192.0.2.2", 9000);
  assert.equal(table.get("192.0.2.1", 9000), first);
  assert.equal(table.get("192.0.2.2", 9000), other);
  assert.equal(first.key, "192.0.2.1:9000");
  assert.equal(table.get("::1", 9000).key, "[::1]:9000");
});

test("what the table gives always belongs to the address that was asked for", () => {
  const hosts = fc.constantFrom("1", "::1", "10.0.0.1", "10.0.0.2", "10.0.1.1", "192.168.10.1", "2001:db8::1", "");
  fc.assert(
    fc.property(fc.array(fc.tuple(hosts, fc.integer({ min: 0, max: 65_535 })), { maxLength: 400 }), (asked) => {
      const table = new AddressTable((host, port) => `${host}|${port}`);
      for (const [host, port] of asked) assert.equal(table.get(host, port), `${host}|${port}`);
      for (const [host, port] of asked) assert.equal(table.get(host, port), `${host}|${port}`);
    }),
    property(100),
  );
});

test("a thousand peers are all remembered", () => {
  let made = 0;
  const table = new AddressTable((host, port) => ({ host, port, number: made++ }));
  const visit = (): void => {
    for (let i = 0; i < 1000; i++) table.get(`10.0.${i >> 6}.${i & 63}`, 40_000 + (i * 37) % 5000);
  };
  visit();
  const before = made;
  visit();
  assert.ok(made - before < 50, `${made - before} of 1000 had been forgotten`);
});

test("more peers than it can remember do not make it grow on", () => {
  const table = new AddressTable((host, port) => `${host}:${port}`);
  for (let host = 0; host < 4; host++) {
    for (let port = 0; port < 65_536; port += 2) table.get(`10.0.0.${host}`, port);
  }
  assert.ok(table.size <= 16_384, `${table.size} entries`);
});

test("an IPv4-mapped address is the IPv4 address, in either spelling", () => {
  assert.equal(plainHost("::ffff:192.0.2.1"), "192.0.2.1");
  assert.equal(plainHost("::ffff:c000:201"), "192.0.2.1");
  assert.equal(plainHost("::ffff:0:1"), "0.0.0.1");
  for (const host of ["192.0.2.1", "::1", "::ffff", "::ffff:", "::ffff:1", "2001:db8::ffff:1:2", "fe80::1%eth0"]) {
    assert.equal(plainHost(host), host);
  }
});
