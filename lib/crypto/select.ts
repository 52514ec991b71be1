/**
 * Which implementation of each primitive this runtime gets, and which AEAD suite two sides agree on.
 *
 * @module
 */

import { NATIVE, nativeAes256Gcm, nativeChaCha20Poly1305, nativeSha256 } from "./native.ts";
import { KEY_ENCODINGS, nativeX25519 } from "./native_x25519.ts";
import { NOBLE, nobleAes256Gcm, nobleChaCha20Poly1305, nobleSha256, nobleX25519 } from "./noble.ts";
import { type NodeCrypto, nodeCrypto } from "./node_crypto.ts";
import { testAead, testDh, testSha256 } from "./self_check.ts";
import { type CryptoProvider, SUITE_AES_256_GCM, SUITE_CHACHA20_POLY1305 } from "./types.ts";

/** The primitives that are chosen one by one. */
export type PrimitiveName = "dh" | "sha256" | "chacha20poly1305" | "aes256gcm";

/** What {@link selectProvider} can be told. */
export interface SelectOptions {
  /** Stands in for the runtime's `node:crypto`. With `{}` there is nothing native, and everything comes from noble. */
  readonly native?: NodeCrypto;
}

/** A native way to a primitive that was there and failed. */
export interface RefusedPrimitive {
  readonly primitive: PrimitiveName;
  readonly implementation: string;
  /** One line: the known answer that was missed, or what was thrown. */
  readonly reason: string;
}

/** A provider that says where its parts come from. */
export interface SelectedProvider extends CryptoProvider {
  /** `noble` or `node:crypto`, for each primitive. */
  readonly implementations: Readonly<Record<PrimitiveName, string>>;
  /** What failed its self-test; empty on a healthy runtime. Worth a warning in the log. */
  readonly refused: readonly RefusedPrimitive[];
}

/** Something to try: undefined when the runtime lacks it. */
interface Candidate<T> {
  readonly implementation: string;
  readonly make: () => T | undefined;
}

/**
 * Chooses every primitive: the native one if it is there and passes the known-answer test, else noble's. Nothing is timed,
 * so the same runtime always chooses the same.
 *
 * Suites are put in order by a fact that follows the measured cost (docs/adr/0003): where ChaCha20-Poly1305 is native it
 * comes first (Deno, Node); where only AES-256-GCM is, that does (Bun); and AES without hardware behind it is not offered at
 * all, because it is slow in JavaScript and its tables leak through the cache.
 *
 * @example
 * ```ts
 * import { selectProvider } from "./select.ts";
 *
 * const crypto = selectProvider();
 * console.log(crypto.name, crypto.implementations.chacha20poly1305, crypto.suites);
 * ```
 */
export function selectProvider(options: SelectOptions = {}): SelectedProvider {
  const native = options.native ?? nodeCrypto;
  const refused: RefusedPrimitive[] = [];
  const dh = choose("dh", {
    candidates: KEY_ENCODINGS.map((encoding) => ({
      implementation: NATIVE,
      make: () => nativeX25519(native, encoding),
    })),
    test: testDh,
    fallback: nobleX25519,
  }, refused);
  const sha256 = choose("sha256", {
    candidates: [{ implementation: NATIVE, make: () => nativeSha256(native) }],
    test: testSha256,
    fallback: nobleSha256,
  }, refused);
  const chacha = choose("chacha20poly1305", {
    candidates: [{ implementation: NATIVE, make: () => nativeChaCha20Poly1305(native) }],
    test: testAead,
    fallback: nobleChaCha20Poly1305,
  }, refused);
  const aes = choose("aes256gcm", {
    candidates: [{ implementation: NATIVE, make: () => nativeAes256Gcm(native) }],
    test: testAead,
    fallback: nobleAes256Gcm,
  }, refused);
  const implementations = {
    dh: dh.implementation,
    sha256: sha256.implementation,
    chacha20poly1305: chacha.implementation,
    aes256gcm: aes.implementation,
  };
  return {
    name: [...new Set(Object.values(implementations))].sort().reverse().join("+"),
    dh: dh.primitive,
    sha256: sha256.primitive,
    chacha20poly1305: chacha.primitive,
    aes256gcm: aes.primitive,
    suites: preferredSuites(chacha.implementation !== NOBLE, aes.implementation !== NOBLE),
    implementations,
    refused,
  };
}

/** The suites to offer, most preferred first, given which of the two is not JavaScript. */
export function preferredSuites(fastChaCha: boolean, fastAes: boolean): readonly number[] {
  if (!fastAes) return [SUITE_CHACHA20_POLY1305];
  return fastChaCha ? [SUITE_CHACHA20_POLY1305, SUITE_AES_256_GCM] : [SUITE_AES_256_GCM, SUITE_CHACHA20_POLY1305];
}

function choose<T>(
  primitive: PrimitiveName,
  from: {
    readonly candidates: readonly Candidate<T>[];
    readonly test: (value: T) => string | undefined;
    readonly fallback: T;
  },
  refused: RefusedPrimitive[],
): { implementation: string; primitive: T } {
  for (const { implementation, make } of from.candidates) {
    let reason: string | undefined;
    try {
      const value = make();
      if (value === undefined) continue;
      reason = from.test(value);
      if (reason === undefined) return { implementation, primitive: value };
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    refused.push({ primitive, implementation, reason });
  }
  return { implementation: NOBLE, primitive: from.fallback };
}

/**
 * The suite that a connection uses, given what the peer offered and what this side has, both most preferred first.
 * Undefined if there is none in common.
 *
 * The rule: a suite that both put first; else ChaCha20-Poly1305 if both have it; else the first of ours that was offered.
 * So AES-256-GCM is used between two sides that both prefer it (Bun to Bun) and is never forced on one that does not (Deno).
 * As long as both have ChaCha20-Poly1305, which
 * SPEC §5 demands, the answer does not depend on which side picks.
 */
export function chooseSuite(offered: readonly number[], own: readonly number[]): number | undefined {
  if (own.length > 0 && offered[0] === own[0]) return own[0];
  if (offered.includes(SUITE_CHACHA20_POLY1305) && own.includes(SUITE_CHACHA20_POLY1305)) {
    return SUITE_CHACHA20_POLY1305;
  }
  return own.find((suite) => offered.includes(suite));
}
