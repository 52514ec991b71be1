import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { connect } from "../../mod.ts";
import { fromBase64Url, toBase64Url } from "../../lib/base/bytes.ts";
import { MxpError } from "../../lib/base/errors.ts";
import { isAcceptablePublicKey } from "../../lib/crypto/mod.ts";
import { canonicalIpv6 } from "../../lib/agent/ip_address.ts";
import { formatMxpUrl, type MxpUrl, parseHostPort, parseMxpUrl, parsePublicKey } from "../../lib/agent/mxp_url.ts";
import { property } from "../support/seed.ts";

const KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const KEY_BYTES = Uint8Array.from({ length: 32 }, (_, i) => i);

test("a URL's parts are read, and the port is 9000 when it is left out", () => {
  const cases: [string, MxpUrl][] = [
    ["mxp://localhost", { host: "localhost", port: 9000 }],
    ["mxp://localhost/", { host: "localhost", port: 9000 }],
    ["MXP://Node-1.Example.ORG:1/", { host: "node-1.example.org", port: 1 }],
    ["mxp://10.0.0.255:65535/echo", { host: "10.0.0.255", port: 65535, agent: "echo" }],
    ["mxp://[::1]", { host: "::1", port: 9000 }],
    ["mxp://[0:0:0:0:0:0:0:1]:12", { host: "::1", port: 12 }],
    ["mxp://[2001:DB8::7]/a%20b%2Fc%E2%82%AC", { host: "2001:db8::7", port: 9000, agent: "a b/c€" }],
    [`mxp://${KEY}@h:7`, { host: "h", port: 7, publicKey: KEY_BYTES }],
    [`mxp://${KEY}@[fe80::1]:7/x`, { host: "fe80::1", port: 7, publicKey: KEY_BYTES, agent: "x" }],
    ["mxp://h/0190A2B4-0000-7000-8000-00000000000F", {
      host: "h",
      port: 9000,
      agent: "0190a2b4-0000-7000-8000-00000000000f",
    }],
  ];
  for (const [text, url] of cases) assert.deepEqual(parseMxpUrl(text), url, text);
});

test("every malformed URL is refused with one line that names the mistake", () => {
  const cases: [string, RegExp][] = [
    ["", /empty/],
    ["localhost:9000", /must begin with mxp:\/\/.*did you mean "mxp:\/\/localhost:9000"/],
    ["mxp:localhost", /must begin with mxp:\/\//],
    ["http://localhost", /unknown scheme "http:\/\/"/],
    ["mxps://localhost", /unknown scheme "mxps:\/\/"/],
    ["mxp://", /no host/],
    ["mxp:///agent", /no host/],
    ["mxp://:9000", /no host/],
    [`mxp://${KEY}@`, /no host/],
    [`mxp://${KEY}@:9000`, /no host/],
    ["mxp://h:0", /port 0/],
    ["mxp://h:65536", /"65536" is not a port/],
    ["mxp://h:abc", /"abc" is not a port/],
    ["mxp://h:-1", /"-1" is not a port/],
    ["mxp://h:1e3", /"1e3" is not a port/],
    ["mxp://h:", /nothing is not a port/],
    ["mxp://::1", /IPv6 address stands in brackets/],
    ["mxp://::1:9000", /IPv6 address stands in brackets/],
    ["mxp://[::1", /no \]/],
    ["mxp://[::1]9000", /behind the \]/],
    ["mxp://[::1]:", /nothing is not a port/],
    ["mxp://[]", /not an IPv6 address/],
    ["mxp://[::g]", /not an IPv6 address/],
    ["mxp://[1.2.3.4]", /not an IPv6 address/],
    ["mxp://[1::2::3]", /not an IPv6 address/],
    ["mxp://[fe80::1%25eth0]", /zone/],
    ["mxp://1.2.3", /not an IPv4 address/],
    ["mxp://1.2.3.256", /not an IPv4 address/],
    ["mxp://01.2.3.4", /not an IPv4 address/],
    ["mxp://-a", /not a host name/],
    ["mxp://a..b", /not a host name/],
    ["mxp://bücher.example", /xn--/],
    ["mxp://a%41", /not a host name/],
    [" mxp://h", /begins with a blank/],
    ["mxp://h ", /white space/],
    ["mxp://h/a b", /white space/],
    ["mxp://h\n", /white space/],
    ["mxp://h?x=1", /no query/],
    ["mxp://h/a?x", /no query/],
    ["mxp://h#x", /no fragment/],
    ["mxp://h/a/b", /more than one \//],
    ["mxp://h/%", /percent-encoding/],
    ["mxp://h/%C3%28", /percent-encoding/],
    ["mxp://h/a%00", /control characters/],
    ["mxp://h/a%1b[31m", /control characters/],
    ["mxp://h/" + "a".repeat(256), /256 bytes; at most 255/],
    ["mxp://@h", /nothing before the @/],
    [`mxp://${KEY.slice(1)}@h`, /has 42 characters; expected 43/],
    [`mxp://${KEY}A@h`, /has 44 characters; expected 43/],
    [`mxp://${KEY.slice(0, 42)}9@h`, /not canonical/],
    [`mxp://${KEY.slice(0, 42)}=@h`, /contains "=".*base64url/],
    [`mxp://${KEY.slice(0, 42)}+@h`, /contains "\+".*base64url/],
    [`mxp://${KEY.slice(0, 42)}é@h`, /contains "é"/],
    ["mxp://user:secretpass@h", /no user name and password/],
  ];
  for (const [text, pattern] of cases) {
    assert.throws(() => parseMxpUrl(text), (error) => {
      assert.ok(error instanceof MxpError, text);
      assert.equal(error.code, "usage");
      assert.match(error.message, pattern, text);
      assert.ok(!/\p{Cc}/u.test(error.message), "one line, nothing for a terminal to obey");
      return true;
    });
  }
});

test("what stands before an @ never comes back in an error", () => {
  const secret = "hunter2-hunter2";
  const texts = [
    `mxp://${secret}@h:0`,
    `mxp://${secret}@h/a b`,
    `http://${secret}@h`,
    `${secret}@h`,
    `mxp://u:${secret}@h`,
    `mxp-private-key-v1 ${secret}`,
    `mxp://mxp-private-key-v1${secret}@h`,
  ];
  for (const text of texts) {
    assert.throws(
      () => parseMxpUrl(text),
      (error) => error instanceof MxpError && !error.message.includes(secret),
      text,
    );
  }
});

test("any URL that can be written is read back to the same parts", () => {
  const host = fc.oneof(
    fc.domain().map((name) => name.toLowerCase()),
    fc.ipV4(),
    fc.ipV6().map((text) => canonicalIpv6(text)!),
  );
  const agent = fc.string({ minLength: 1, maxLength: 60, unit: "grapheme" })
    .filter((text) => !/\p{Cc}/u.test(text) && new TextEncoder().encode(text).length <= 255);
  fc.assert(
    fc.property(
      host,
      fc.integer({ min: 1, max: 65535 }),
      fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 }).filter(isAcceptablePublicKey), { nil: undefined }),
      fc.option(agent, { nil: undefined }),
      (host, port, publicKey, agent) => {
        const url: MxpUrl = { host, port, ...(publicKey && { publicKey }), ...(agent !== undefined && { agent }) };
        const text = formatMxpUrl(url);
        assert.match(text, /^[\x21-\x7e]+$/);
        const back = parseMxpUrl(text);
        assert.equal(back.host, host);
        assert.equal(back.port, port);
        assert.deepEqual(back.publicKey && [...back.publicKey], publicKey && [...publicKey]);
        assert.equal(back.agent?.toLowerCase(), agent?.toLowerCase());
      },
    ),
    property(),
  );
});

test("parsing arbitrary text either works or gives a usage error", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string().map((text) => "mxp://" + text)), (text) => {
      try {
        parseMxpUrl(text);
      } catch (error) {
        assert.ok(error instanceof MxpError && error.code === "usage");
        assert.ok(!/\p{Cc}/u.test(error.message));
      }
    }),
    property(500),
  );
});

test("a URL cannot be written with parts that it cannot hold", () => {
  const bad: MxpUrl[] = [
    { host: "h", port: 0 },
    { host: "h", port: 65536 },
    { host: "h", port: 1.5 },
    { host: "", port: 1 },
    { host: "a/b", port: 1 },
    { host: "h", port: 1, publicKey: new Uint8Array(31) },
    { host: "h", port: 1, agent: "" },
    { host: "h", port: 1, agent: "\n" },
    { host: "h", port: 1, agent: "\ud800" },
  ];
  for (const url of bad) {
    assert.throws(
      () => formatMxpUrl(url),
      (error) => error instanceof MxpError && error.code === "usage",
      JSON.stringify(url),
    );
  }
});

test("a listening address may have port 0, an IPv6 address needs its brackets", () => {
  assert.deepEqual(parseHostPort("0.0.0.0:0"), { host: "0.0.0.0", port: 0 });
  assert.deepEqual(parseHostPort("[::]:0"), { host: "::", port: 0 });
  assert.deepEqual(parseHostPort("node", 7), { host: "node", port: 7 });
  assert.throws(() => parseHostPort("::"), /brackets/);
});

test("a key that no handshake can succeed with is refused where it is read, not called an internal error later", async () => {
  const ofZeros = toBase64Url(new Uint8Array(32)), tooLarge = toBase64Url(new Uint8Array(32).fill(255));
  const highBit = toBase64Url(new Uint8Array(32).fill(9, 0, 31).fill(0x89, 31));
  for (const key of [ofZeros, tooLarge, highBit]) {
    const isUsage = (error: unknown): boolean => error instanceof MxpError && error.code === "usage";
    assert.throws(() => parseMxpUrl(`mxp://${key}@127.0.0.1`), isUsage);
    assert.throws(() => parsePublicKey(key), isUsage);
    assert.throws(() => formatMxpUrl({ host: "::1", port: 1, publicKey: fromBase64Url(key)! }), isUsage);
    await assert.rejects(connect(`mxp://${key}@127.0.0.1:1`, { timeoutMs: 100 }), isUsage);
  }
});
