import assert from "node:assert/strict";
import { test } from "node:test";
import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import { selectProvider } from "../../lib/crypto/select.ts";
import type { Dh } from "../../lib/crypto/types.ts";
import { EnvelopeOpener, EnvelopeSealer } from "../../lib/noise/envelope.ts";
import { SharedSecrets } from "../../lib/noise/shared_secrets.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";

const crypto = selectProvider();
const random = new SeededRandom(testSeed);
const NOTHING = new Uint8Array(0);

test("the agreement between static keys is computed once a pair, and everything opens as it does without", () => {
  let agreements = 0;
  const dh: Dh = {
    noiseName: "25519",
    publicKey: (key) => crypto.dh.publicKey(key),
    shared: (a, b) => {
      agreements++;
      return crypto.dh.shared(a, b);
    },
  };
  const party = (limit?: number) => ({
    crypto: { ...crypto, dh },
    random,
    keyPair: generateKeyPair(crypto.dh, random),
    secrets: new SharedSecrets(dh, limit),
  });
  const [alice, bob, small] = [party(), party(), party(1)];
  const send = (from: ReturnType<typeof party>, to: ReturnType<typeof party>): number => {
    const before = agreements;
    const sealer = new EnvelopeSealer(from, to.keyPair.publicKey, NOTHING, Uint8Array.of(7), NOTHING);
    const { secrets: _, ...without } = to;
    for (const recipient of [to, without]) {
      const opener = EnvelopeOpener.open(recipient, NOTHING, sealer.bytes)!;
      assert.deepEqual([opener.head, opener.sender], [Uint8Array.of(7), from.keyPair.publicKey]);
    }
    // Two without a memory, which are there for comparison.
    return agreements - before - 2;
  };
  assert.deepEqual([send(alice, bob), send(alice, bob), send(alice, bob)], [4, 2, 2]);
  // One who remembers a single pair.
  assert.deepEqual([send(small, bob), send(small, bob), send(small, alice), send(small, bob)], [4, 2, 4, 3]);
  assert.equal(small.secrets.size, 1);
});
