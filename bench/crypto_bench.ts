/**
 * What each implementation of each primitive costs on this runtime: sealing and opening at three packet sizes, X25519,
 * SHA-256, a whole IK handshake of both sides, and the self-test at start.
 *
 * `deno run -A bench/crypto_bench.ts [--json]`, the same with `bun`. With `--json` it prints one JSON object a line:
 * `{bench, runtime, primitive, implementation, operation, bytes, ns, best}`; `ns` is the median of the rounds, `best` the
 * fastest one, which a busy machine disturbs least. Both are nanoseconds an operation.
 *
 * @module
 */

import process from "node:process";
import { generateKeyPair } from "../lib/crypto/key_pair.ts";
import { NATIVE, nativeAes256Gcm, nativeChaCha20Poly1305, nativeSha256 } from "../lib/crypto/native.ts";
import { nativeX25519 } from "../lib/crypto/native_x25519.ts";
import {
  NOBLE,
  nobleAes256Gcm,
  nobleChaCha20Poly1305,
  nobleProvider,
  nobleSha256,
  nobleX25519,
} from "../lib/crypto/noble.ts";
import { selectProvider } from "../lib/crypto/select.ts";
import type { Aead, CryptoProvider, Dh, Hash } from "../lib/crypto/types.ts";
import { HandshakeState } from "../lib/noise/handshake_state.ts";
import { PATTERN_IK } from "../lib/noise/patterns.ts";
import { SeededRandom } from "../lib/testing/seeded_random.ts";

interface Result {
  readonly primitive: string;
  readonly implementation: string;
  readonly operation: string;
  readonly bytes: number;
  readonly ns: number;
  readonly best: number;
}

const SIZES = [150, 1200, 8192];
const ROUNDS = 75;
const ROUND_MS = 2;
const json = process.argv.includes("--json");
const runtime = process.versions.bun ? "bun" : process.versions.deno ? "deno" : "node";
const random = new SeededRandom(1);
const results: Result[] = [];

// Before anything is warm, because that is how a program starts.
const startedAt = performance.now();
const provider = selectProvider();
const selfTestNs = (performance.now() - startedAt) * 1e6;

/** Calls `work` in rounds of about 2 ms. */
function measure(
  labels: { primitive: string; implementation: string; operation: string; bytes: number },
  work: () => void,
): void {
  const time = (count: number): number => {
    const start = performance.now();
    for (let i = 0; i < count; i++) work();
    return (performance.now() - start) * 1e6 / count;
  };
  let count = 1;
  for (let warm = 0; warm < 60; warm += time(count) * count / 1e6) count = Math.min(count * 2, 512);
  count = Math.max(1, Math.round(ROUND_MS * 1e6 / time(count)));
  const rounds = Array.from({ length: ROUNDS }, () => time(count)).sort((a, b) => a - b);
  results.push({ ...labels, ns: Math.round(rounds[ROUNDS >> 1]), best: Math.round(rounds[0]) });
}

function measureAead(implementation: string, aead: Aead | undefined): void {
  if (aead === undefined) return;
  const key = aead.key(new Uint8Array(32).fill(1));
  const nonce = new Uint8Array(12), header = new Uint8Array(32);
  for (const bytes of SIZES) {
    const labels = { primitive: aead.noiseName, implementation, bytes };
    const packet = new Uint8Array(bytes + 16), sealed = new Uint8Array(bytes + 16);
    const plain = packet.subarray(0, bytes);
    measure({ ...labels, operation: "seal" }, () => key.seal(nonce, header, plain, packet));
    key.seal(nonce, header, plain, sealed);
    measure({ ...labels, operation: "open" }, () => void key.open(nonce, header, sealed, packet));
    const forged = sealed.slice();
    forged[0] ^= 1;
    measure({ ...labels, operation: "open forged" }, () => void key.open(nonce, header, forged, packet));
  }
}

function measureDh(implementation: string, dh: Dh | undefined): void {
  if (dh === undefined) return;
  const labels = { primitive: "X25519", implementation, bytes: 32 };
  const own = generateKeyPair(dh, random), peer = generateKeyPair(dh, random);
  measure({ ...labels, operation: "keygen" }, () => void generateKeyPair(dh, random));
  measure({ ...labels, operation: "shared" }, () => void dh.shared(own.privateKey, peer.publicKey));
  measure({ ...labels, operation: "keygen + 3 shared" }, () => {
    const ephemeral = generateKeyPair(dh, random);
    dh.shared(ephemeral.privateKey, peer.publicKey);
    dh.shared(ephemeral.privateKey, own.publicKey);
    dh.shared(own.privateKey, peer.publicKey);
  });
}

function measureHash(implementation: string, hash: Hash | undefined): void {
  if (hash === undefined) return;
  const key = new Uint8Array(32);
  for (const bytes of [64, 1200]) {
    const labels = { primitive: hash.noiseName, implementation, bytes };
    const message = new Uint8Array(bytes);
    measure({ ...labels, operation: "hash" }, () => void hash.hash(message));
    measure({ ...labels, operation: "hmac" }, () => void hash.hmac(key, message));
  }
}

function measureHandshake({ name, dh, chacha20poly1305: aead, sha256: hash }: CryptoProvider): void {
  const initiatorKey = generateKeyPair(dh, random), responderKey = generateKeyPair(dh, random);
  const common = { pattern: PATTERN_IK, prologue: new Uint8Array(17), dh, aead, hash, random };
  const payload = new Uint8Array(100);
  measure({ primitive: "Noise IK", implementation: name, operation: "both sides", bytes: 100 }, () => {
    const initiator = new HandshakeState({
      ...common,
      initiator: true,
      staticKey: initiatorKey,
      remoteStatic: responderKey.publicKey,
    });
    const responder = new HandshakeState({ ...common, initiator: false, staticKey: responderKey });
    if (responder.readMessage(initiator.writeMessage(payload)) === undefined) throw new Error("hello refused");
    if (initiator.readMessage(responder.writeMessage(payload)) === undefined) throw new Error("answer refused");
    initiator.split();
    responder.split();
  });
}

measureAead(NATIVE, nativeChaCha20Poly1305());
measureAead(NOBLE, nobleChaCha20Poly1305);
measureAead(NATIVE, nativeAes256Gcm());
measureAead(NOBLE, nobleAes256Gcm);
measureDh(NATIVE, nativeX25519());
measureDh(NOBLE, nobleX25519);
measureHash(NATIVE, nativeSha256());
measureHash(NOBLE, nobleSha256);
measureHandshake(provider);
if (provider.name !== NOBLE) measureHandshake(nobleProvider);
results.push({
  primitive: "start",
  implementation: provider.name,
  operation: "select + self-test",
  bytes: 0,
  ns: Math.round(selfTestNs),
  best: Math.round(selfTestNs),
});

if (json) {
  for (const result of results) console.log(JSON.stringify({ bench: "crypto", runtime, ...result }));
} else {
  console.log(`${runtime}: ${provider.name}, ${JSON.stringify(provider.implementations)}, suites ${provider.suites}`);
  const row = (...cells: (string | number)[]): string =>
    cells.map((cell, i) => i < 3 ? String(cell).padEnd([12, 18, 19][i]) : String(cell).padStart(10)).join(" ");
  console.log(row("primitive", "implementation", "operation", "bytes", "median ns", "best ns"));
  for (const { primitive, implementation, operation, bytes, ns, best } of results) {
    console.log(row(primitive, implementation, operation, bytes, ns, best));
  }
}
