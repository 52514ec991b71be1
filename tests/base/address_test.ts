import assert from "node:assert/strict";
import { test } from "node:test";
import { addressBlock } from "../../lib/base/address.ts";

test("an address counts by itself in IPv4, and by its first 64 bits in IPv6", () => {
  const cases: Readonly<Record<string, string>> = {
    "192.0.2.1": "192.0.2.1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "::FFFF:192.0.2.1": "192.0.2.1",
    "2001:db8:1:2:3:4:5:6": "2001:db8:1:2",
    "2001:0DB8:0001:0002::6": "2001:db8:1:2",
    "2001:db8::6": "2001:db8:0:0",
    "2001:db8::": "2001:db8:0:0",
    "::1": "0:0:0:0",
    "::": "0:0:0:0",
    "fe80::1%eth0": "fe80:0:0:0",
    "1:2:3:4:5:6:7::": "1:2:3:4",
    "::2:3:4:5:6:7:8": "0:2:3:4",
  };
  for (const [host, block] of Object.entries(cases)) assert.equal(addressBlock(host), block, host);
});
