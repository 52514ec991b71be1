import assert from "node:assert/strict";
import test from "node:test";
import { MxpError } from "../../lib/base/errors.ts";
import { resolveHost } from "../../lib/runtime/mod.ts";

test("an IP address is its own resolution, with or without brackets", async () => {
  assert.deepEqual(await resolveHost("192.0.2.1"), [{ host: "192.0.2.1" }]);
  assert.deepEqual(await resolveHost("2001:db8::1"), [{ host: "2001:db8::1" }]);
  assert.deepEqual(await resolveHost("[::1]"), [{ host: "::1" }]);
});

test("localhost is a loopback address, each at most once", async () => {
  const hosts = (await resolveHost("localhost")).map(({ host }) => host);
  assert.ok(hosts.length > 0);
  assert.equal(new Set(hosts).size, hosts.length);
  for (const host of hosts) assert.match(host, /^(127\.|::1$)/);
});

test("what is no host name fails at once, in one line", async () => {
  for (const host of ["", " ", "a b", "a\nb", "a/b", "[::1", "1:2:3", "x".repeat(300), "\u001b[31m"]) {
    await assert.rejects(resolveHost(host), (error) => {
      assert.ok(error instanceof MxpError);
      assert.equal(error.code, "connect_failed");
      assert.match(error.message, /^cannot find host .*: not a host name$/);
      assert.doesNotMatch(error.message, /\p{Cc}/u);
      return true;
    });
  }
});

test("a name that does not exist fails as connect_failed, in one line", async () => {
  // RFC 6761 §6.4: never exists. Without a name server the reason differs.
  await assert.rejects(resolveHost("nobody.invalid"), (error) => {
    assert.ok(error instanceof MxpError);
    assert.equal(error.code, "connect_failed");
    assert.match(error.message, /^cannot find host "nobody\.invalid": [^\n]+$/);
    return true;
  });
});
