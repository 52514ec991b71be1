import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { constantTimeEqual } from "../../lib/base/bytes.ts";
import { listFiles, projectRoot } from "../../scripts/source_files.ts";

/** Where bytes are compared in a time that depends on them, and why nobody learns a secret from it. */
const PUBLIC_BYTES: Readonly<Record<string, string>> = {
  "lib/crypto/x25519_public_key.ts": "public keys",
  "lib/crypto/self_check.ts": "known answers, before there are secrets",
  "lib/transport/ticket_vault.ts": "the id of a ticket's key, which stands on the wire in clear",
  "lib/wire/handshake_message.ts": "the hash of a hello, which everybody on the way can compute",
};

/** Where secrets are compared. */
const SECRETS: Readonly<Record<string, string>> = {
  "lib/transport/handshake.ts": "the confirmation of a handshake",
  "lib/transport/cookies.ts": "the MAC of a cookie",
  "lib/transport/path_validation.ts": "the data of a path challenge",
};

function core(): { readonly path: string; readonly text: string }[] {
  return ["lib/crypto/", "lib/noise/", "lib/wire/", "lib/transport/"].flatMap((folder) =>
    listFiles(projectRoot + folder, [".ts"]).map((file) => ({
      path: folder + file,
      text: readFileSync(projectRoot + folder + file, "utf8"),
    }))
  );
}

test("where bytes are compared as fast as possible they are public, everywhere else in constant time", () => {
  const found = core().filter(({ text }) => /\bbytesEqual\(|\.every\(\(byte/.test(text)).map(({ path }) => path);
  assert.deepEqual(found.sort(), Object.keys(PUBLIC_BYTES).sort());
  const constant = core().filter(({ text }) => text.includes("constantTimeEqual(")).map(({ path }) => path);
  for (const [path, what] of Object.entries(SECRETS)) assert.ok(constant.includes(path), `${what}: ${path}`);
});

test("a comparison in constant time looks at every byte", () => {
  const secret = Uint8Array.from({ length: 32 }, (_, i) => i);
  assert.equal(constantTimeEqual(secret, secret.slice()), true);
  for (let i = 0; i < 32; i++) {
    let reads = 0;
    const guess = secret.slice();
    guess[i] ^= 1;
    const counted = new Proxy(guess, {
      get: (target, name) => {
        if (typeof name === "string" && /^\d+$/.test(name)) reads++;
        return Reflect.get(target, name, target);
      },
    });
    assert.equal(constantTimeEqual(secret, counted), false);
    assert.equal(reads, 32, `a difference at ${i}`);
  }
  assert.equal(constantTimeEqual(secret, secret.subarray(1)), false);
});
