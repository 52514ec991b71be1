import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nativeAes256Gcm, nativeChaCha20Poly1305 } from "../../lib/crypto/native.ts";
import { nobleAes256Gcm, nobleChaCha20Poly1305, nobleSha256, nobleX25519 } from "../../lib/crypto/noble.ts";
import { type NodeCrypto, nodeCrypto } from "../../lib/crypto/node_crypto.ts";
import { chooseSuite, preferredSuites, selectProvider } from "../../lib/crypto/select.ts";
import { SUITE_AES_256_GCM as AES, SUITE_CHACHA20_POLY1305 as CHACHA } from "../../lib/crypto/types.ts";
import { property } from "../support/seed.ts";

/** This runtime's `node:crypto` with something changed. */
function changed(change: Partial<NodeCrypto>): { native: NodeCrypto } {
  return { native: { ...nodeCrypto, ...change } };
}

/** Ciphers as they are, save that one algorithm's tag has a wrong bit. */
function wrongTag(algorithm: string): Partial<NodeCrypto> {
  return {
    createCipheriv: (name, key, nonce, options) => {
      const cipher = nodeCrypto.createCipheriv!(name, key, nonce, options);
      if (name !== algorithm) return cipher;
      return {
        setAAD: (aad) => cipher.setAAD(aad),
        update: (plain) => cipher.update(plain),
        final: () => cipher.final(),
        getAuthTag: () => {
          const tag = new Uint8Array(cipher.getAuthTag());
          tag[3] ^= 4;
          return tag;
        },
      };
    },
  };
}

test("a healthy runtime's native primitives are all used, and the provider says so", () => {
  const provider = selectProvider();
  assert.deepEqual(provider.refused, []);
  assert.deepEqual(provider.implementations, {
    dh: "node:crypto",
    sha256: "node:crypto",
    chacha20poly1305: nativeChaCha20Poly1305() === undefined ? "noble" : "node:crypto",
    aes256gcm: nativeAes256Gcm() === undefined ? "noble" : "node:crypto",
  });
  assert.match(provider.name, /^node:crypto(\+noble)?$/);
  assert.equal(provider.name.includes("noble"), Object.values(provider.implementations).includes("noble"));
  assert.ok(provider.suites.includes(CHACHA));
});

test("without anything native everything comes from noble, and AES is not offered", () => {
  const provider = selectProvider({ native: {} });
  assert.equal(provider.name, "noble");
  assert.deepEqual(provider.refused, []);
  assert.equal(provider.dh, nobleX25519);
  assert.equal(provider.sha256, nobleSha256);
  assert.equal(provider.chacha20poly1305, nobleChaCha20Poly1305);
  assert.equal(provider.aes256gcm, nobleAes256Gcm);
  assert.deepEqual(provider.suites, [CHACHA]);
});

test("a native AEAD with a wrong tag is refused by name, and only that one", { skip: !nativeAes256Gcm() }, () => {
  const provider = selectProvider(changed(wrongTag("aes-256-gcm")));
  assert.equal(provider.aes256gcm, nobleAes256Gcm);
  assert.deepEqual(provider.implementations, { ...selectProvider().implementations, aes256gcm: "noble" });
  assert.deepEqual(provider.refused, [
    { primitive: "aes256gcm", implementation: "node:crypto", reason: "GCM test case 13: sealed wrongly" },
  ]);
  assert.deepEqual(provider.suites, [CHACHA]);
});

test("a native ChaCha20-Poly1305 with a wrong tag is refused by name", { skip: !nativeChaCha20Poly1305() }, () => {
  const provider = selectProvider(changed(wrongTag("chacha20-poly1305")));
  assert.equal(provider.chacha20poly1305, nobleChaCha20Poly1305);
  assert.deepEqual(provider.refused.map(({ primitive, reason }) => [primitive, reason]), [
    ["chacha20poly1305", "RFC 8439 §2.8.2: sealed wrongly"],
  ]);
  assert.deepEqual(
    provider.suites,
    [AES, CHACHA],
    "what only Bun's node:crypto lacks, seen from a runtime that has it",
  );
});

test("a native AEAD that opens forgeries is refused", { skip: !nativeAes256Gcm() }, () => {
  const provider = selectProvider(changed({
    createDecipheriv: (name, key, nonce, options) => {
      const decipher = nodeCrypto.createDecipheriv!(name, key, nonce, options);
      return {
        setAAD: (aad) => decipher.setAAD(aad),
        setAuthTag: (tag) => decipher.setAuthTag(tag),
        update: (sealed) => decipher.update(sealed),
        final: () => new Uint8Array(0),
      };
    },
  }));
  assert.equal(provider.implementations.aes256gcm, "noble");
  assert.equal(provider.implementations.chacha20poly1305, "noble");
  assert.ok(provider.refused.length > 0);
  for (const { reason } of provider.refused) assert.match(reason, /opened a forgery/);
});

test(
  "a native AEAD that throws only when it is used is refused with what it threw",
  { skip: !nativeAes256Gcm() },
  () => {
    const provider = selectProvider(changed({
      createDecipheriv: () => {
        throw new Error("not today");
      },
    }));
    assert.equal(provider.implementations.aes256gcm, "noble");
    assert.ok(provider.refused.some(({ primitive, reason }) => primitive === "aes256gcm" && reason === "not today"));
  },
);

test("an AEAD that the runtime does not know is absent, which is nothing to warn of", () => {
  const provider = selectProvider(changed({
    createCipheriv: () => {
      throw new Error("Unknown cipher");
    },
  }));
  assert.equal(provider.implementations.chacha20poly1305, "noble");
  assert.equal(provider.implementations.aes256gcm, "noble");
  assert.deepEqual(provider.refused, []);
  assert.deepEqual(provider.suites, [CHACHA]);
});

test("a native hash or HMAC that is wrong or absent is replaced", () => {
  const md5 = selectProvider(changed({ createHash: () => nodeCrypto.createHash!("md5") }));
  assert.equal(md5.sha256, nobleSha256);
  assert.match(md5.refused[0].reason, /FIPS 180-2.*wrong digest/);
  const hmac = selectProvider(changed({ createHmac: () => nodeCrypto.createHash!("sha256") }));
  assert.equal(hmac.sha256, nobleSha256);
  assert.match(hmac.refused[0].reason, /RFC 4231.*wrong digest/);
  assert.equal(selectProvider(changed({ createHash: undefined })).sha256, nobleSha256);
});

test("a native X25519 that is wrong or absent is replaced", () => {
  const wrong = selectProvider(changed({
    diffieHellman: (keys) => {
      const secret = new Uint8Array(nodeCrypto.diffieHellman!(keys));
      secret[31] ^= 1;
      return secret;
    },
  }));
  assert.equal(wrong.dh, nobleX25519);
  assert.match(wrong.refused[0].reason, /RFC 7748 §6.1: wrong secret/);
  assert.equal(selectProvider(changed({ diffieHellman: undefined })).dh, nobleX25519);
  assert.equal(selectProvider(changed({ createPublicKey: undefined })).dh, nobleX25519);
});

test("a runtime that takes no JSON web keys gets X25519 from DER", () => {
  const provider = selectProvider(changed({
    createPrivateKey: (input) => {
      if (input.format === "jwk") throw new Error("no web keys");
      return nodeCrypto.createPrivateKey!(input);
    },
  }));
  assert.equal(provider.implementations.dh, "node:crypto");
  assert.deepEqual(provider.refused, [{ primitive: "dh", implementation: "node:crypto", reason: "no web keys" }]);
});

test("ChaCha20-Poly1305 is preferred where it is native, AES only where it alone is", () => {
  assert.deepEqual(preferredSuites(true, true), [CHACHA, AES]);
  assert.deepEqual(preferredSuites(false, true), [AES, CHACHA]);
  assert.deepEqual(preferredSuites(true, false), [CHACHA]);
  assert.deepEqual(preferredSuites(false, false), [CHACHA]);
});

test("two sides use AES only if both prefer it", () => {
  const deno = [CHACHA, AES], bun = [AES, CHACHA], plain = [CHACHA];
  assert.equal(chooseSuite(bun, bun), AES);
  assert.equal(chooseSuite(bun, deno), CHACHA);
  assert.equal(chooseSuite(deno, bun), CHACHA);
  assert.equal(chooseSuite(deno, deno), CHACHA);
  assert.equal(chooseSuite(plain, bun), CHACHA);
  assert.equal(chooseSuite(bun, plain), CHACHA);
});

test("suites that are not known here are passed over, and without a common one there is none", () => {
  assert.equal(chooseSuite([0x7f, AES, CHACHA], [AES, CHACHA]), CHACHA);
  assert.equal(chooseSuite([0x7f, AES], [AES, CHACHA]), AES);
  assert.equal(chooseSuite([0x7f, 0x00], [AES, CHACHA]), undefined);
  assert.equal(chooseSuite([], [CHACHA]), undefined);
  assert.equal(chooseSuite([CHACHA], []), undefined);
});

test("whatever is offered, the suite is one that both have, and it does not matter who picks", () => {
  const list = fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { maxLength: 6 });
  fc.assert(
    fc.property(list, list, (offered, own) => {
      const suite = chooseSuite(offered, own);
      if (suite === undefined) assert.ok(!own.some((one) => offered.includes(one)));
      else assert.ok(offered.includes(suite) && own.includes(suite));
      if (offered.includes(CHACHA) && own.includes(CHACHA)) assert.equal(chooseSuite(own, offered), suite);
    }),
    property(500),
  );
});
