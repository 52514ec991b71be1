import assert from "node:assert/strict";
import { isIPv6 } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalIpv6, isIpv4 } from "../../lib/agent/ip_address.ts";
import { property } from "../support/seed.ts";

test("IPv6 addresses are written in their one shortest form", () => {
  const cases: [string, string][] = [
    ["::", "::"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8:0:0:8:0800:200c:417A", "2001:db8::8:800:200c:417a"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::ffff:10.0.0.1", "::ffff:10.0.0.1"],
    ["::ffff:a00:1", "::ffff:10.0.0.1"],
    ["7069:808:7f::e82:55.5.19.229", "7069:808:7f::e82:3705:13e5"],
    ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
  ];
  for (const [text, canonical] of cases) assert.equal(canonicalIpv6(text), canonical, text);
});

test("what is not an IPv6 address is not taken for one", () => {
  const cases = [
    "",
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "g::",
    "1.2.3.4",
    "1.2.3.4::",
    "::1.2.3",
    "::1.2.3.256",
    "::01.2.3.4",
    "::1.2.3.4:5",
    ":1::",
    "1::2:",
    "1:2:3:4:5:6:7:1.2.3.4",
    "fe80::1%eth0",
  ];
  for (const text of cases) assert.equal(canonicalIpv6(text), undefined, text);
});

test("the canonical form is an address, and its own canonical form", () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const canonical = canonicalIpv6(text);
      assert.ok(canonical !== undefined && isIPv6(canonical), text);
      assert.equal(canonicalIpv6(canonical), canonical);
    }),
    property(),
  );
});

test("IPv4 addresses are four decimal octets without leading zeros", () => {
  for (const text of ["0.0.0.0", "255.255.255.255", "127.0.0.1"]) assert.ok(isIpv4(text));
  for (const text of ["1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.", "a.b.c.d", ""]) {
    assert.ok(!isIpv4(text), text);
  }
});
