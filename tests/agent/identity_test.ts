import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { inspect } from "node:util";
import { MxpError } from "../../lib/base/errors.ts";
import { toBase64Url } from "../../lib/base/bytes.ts";
import {
  fingerprintWith,
  formatKeyFile,
  identityFromPrivateKey,
  keyPairOf,
  newIdentity,
  parseKeyFile,
} from "../../lib/agent/identity.ts";
import { nobleProvider } from "../../lib/crypto/noble.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";

const PRIVATE = Uint8Array.from({ length: 32 }, (_, i) => i + 100);
const PRIVATE_TEXT = toBase64Url(PRIVATE);

test("an identity's public key is its private key's, and its fingerprint is ssh-like", () => {
  const identity = identityFromPrivateKey(PRIVATE, nobleProvider);
  assert.deepEqual(identity.publicKey, nobleProvider.dh.publicKey(PRIVATE));
  assert.equal(identity.publicKeyText, toBase64Url(identity.publicKey));
  const expected = "SHA256:" + createHash("sha256").update(identity.publicKey).digest("base64").replace("=", "");
  assert.equal(identity.fingerprint, expected);
  assert.equal(identity.fingerprint.length, 50);
  assert.equal(fingerprintWith(nobleProvider, identity.publicKey), expected);
  assert.deepEqual(keyPairOf(identity).privateKey, PRIVATE);
});

test("two new identities differ", () => {
  const random = new SeededRandom(1);
  const [a, b] = [newIdentity(nobleProvider, random), newIdentity(nobleProvider, random)];
  assert.notDeepEqual(a.publicKey, b.publicKey);
});

test("the private key shows in no rendering of an identity", () => {
  const identity = identityFromPrivateKey(PRIVATE, nobleProvider);
  const renderings = [
    String(identity),
    `${identity}`,
    JSON.stringify({ identity }),
    inspect(identity, { showHidden: true, depth: 9 }),
    inspect({ deep: { identity } }),
    JSON.stringify(Object.entries(identity)),
    JSON.stringify(Reflect.ownKeys(identity).map((key) => String((identity as never)[key]))),
  ];
  const denoInspect = (globalThis as { Deno?: { inspect(value: unknown): string } }).Deno?.inspect;
  if (denoInspect !== undefined) renderings.push(denoInspect({ identity }));
  for (const text of renderings) {
    assert.ok(!text.includes(PRIVATE_TEXT), text);
    assert.ok(!text.includes("100, 101") && !text.includes("100,101"), text);
  }
});

test("a key file is read back to the same identity", () => {
  const identity = identityFromPrivateKey(PRIVATE, nobleProvider);
  const text = formatKeyFile(identity);
  assert.match(text, /^# .*\n# public key: [\w-]{43}\nmxp-private-key-v1 [\w-]{43}\n$/);
  assert.deepEqual(keyPairOf(parseKeyFile(text, "key", nobleProvider)), keyPairOf(identity));
  const edited = "\ufeff".slice(1) + "\r\n  # note\r\n\r\n  mxp-private-key-v1   " + PRIVATE_TEXT + "  \r\n";
  assert.deepEqual(keyPairOf(parseKeyFile(edited, "key", nobleProvider)), keyPairOf(identity));
});

test("a damaged key file is refused with its line and without its key", () => {
  const cases: [string, RegExp][] = [
    ["", /no private key/],
    ["# only a comment\n", /no private key/],
    [PRIVATE_TEXT, /not an mxp key file: line 1/],
    ["-----BEGIN OPENSSH PRIVATE KEY-----\n" + PRIVATE_TEXT, /not an mxp key file: line 1/],
    [`\n\nmxp-private-key-v2 ${PRIVATE_TEXT}`, /line 3 is a private key of another version/],
    ["mxp-private-key-v1", /line 1 has 1 words/],
    [`mxp-private-key-v1 ${PRIVATE_TEXT} extra`, /line 1 has 3 words/],
    [`mxp-private-key-v1 ${PRIVATE_TEXT.slice(1)}`, /damaged.*got 42/],
    [`mxp-private-key-v1 ${PRIVATE_TEXT}A`, /damaged.*got 44/],
    [`mxp-private-key-v1 ${PRIVATE_TEXT.slice(0, 42)}=`, /damaged/],
    [`mxp-private-key-v1 ${PRIVATE_TEXT}\nmxp-private-key-v1 ${PRIVATE_TEXT}`, /second private key in line 2/],
  ];
  for (const [text, pattern] of cases) {
    assert.throws(() => parseKeyFile(text, "/etc/mxp/key", nobleProvider), (error) => {
      assert.ok(error instanceof MxpError);
      assert.equal(error.code, "config");
      assert.match(error.message, pattern);
      assert.ok(error.message.startsWith("/etc/mxp/key: "));
      assert.ok(!error.message.includes(PRIVATE_TEXT.slice(1, 30)), "the key is in the error");
      return true;
    });
  }
});

test("a damaged private key is told by what is wrong with it, without any of it", () => {
  const good = PRIVATE_TEXT;
  const cases: [string, RegExp][] = [
    [good.slice(1), /expected 43 characters of base64url, got 42/],
    ["!" + good.slice(1), /one of its characters is not base64url/],
    [good.slice(0, 42) + "B", /its last character has stray bits/],
  ];
  for (const [key, message] of cases) {
    assert.throws(() => parseKeyFile(`mxp-private-key-v1 ${key}\n`, "f", nobleProvider), (error: Error) => {
      assert.match(error.message, message);
      assert.ok(!error.message.includes(key.slice(10, 30)));
      return true;
    });
  }
});
