import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toHex } from "../../lib/base/bytes.ts";
import { formatIpv4, formatIpv6, parseEndpoint, parseIpv4, parseIpv6 } from "../../lib/codec/endpoint.ts";
import { property } from "../support/seed.ts";

test("addresses read back as the bytes that they were written from", () => {
  const sparse = fc.uint8Array({ minLength: 16, maxLength: 16 }).chain((bytes) =>
    fc.uint8Array({ minLength: 16, maxLength: 16, max: 1 }).map((mask) => bytes.map((byte, i) => byte * mask[i]))
  );
  fc.assert(
    fc.property(sparse, (bytes) => {
      assert.equal(toHex(parseIpv6(formatIpv6(bytes)) ?? bytes.slice(1)), toHex(bytes));
      assert.equal(toHex(parseIpv4(formatIpv4(bytes, 3)) ?? bytes), toHex(bytes.subarray(3, 7)));
    }),
    property(300),
  );
});

test("IPv6 addresses are written as RFC 5952 recommends", () => {
  const cases = [
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    ["2001:0DB8::0001", "2001:db8::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["::ffff:1.2.3.4", "::ffff:1.2.3.4"],
    ["::ffff:102:304", "::ffff:1.2.3.4"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
  ];
  for (const [text, canonical] of cases) {
    const bytes = parseIpv6(text);
    assert.ok(bytes !== undefined, text);
    assert.equal(formatIpv6(bytes), canonical);
  }
});

test("what is not an address is refused", () => {
  const not4 = ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "1.2.3.-4", "a.b.c.d", "1.2.3.0x4"];
  for (const text of not4) assert.equal(parseIpv4(text), undefined, text);
  const not6 = ["", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "1:2:3:4:5:6:7::8"];
  const more = ["g::", "::1%eth0", "[::1]", "1.2.3.4", "1.2.3.4::", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", "x".repeat(50)];
  for (const text of [...not6, ...more]) assert.equal(parseIpv6(text), undefined, text);
});

test("an endpoint is an address and a port, never a name", () => {
  assert.equal(parseEndpoint("127.0.0.1:9000")?.key, "127.0.0.1:9000");
  assert.equal(parseEndpoint("[2001:DB8::1]:65535")?.key, "[2001:db8::1]:65535");
  const bad = [
    "localhost:9000",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "::1:80",
    "[::1]",
    "[]:1",
    "1.2.3.4:+80",
    "",
  ];
  for (const text of bad) assert.equal(parseEndpoint(text), undefined, text);
});
