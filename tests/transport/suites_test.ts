import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { micros } from "../../lib/base/time.ts";
import type { CryptoProvider } from "../../lib/crypto/types.ts";
import type { StreamId } from "../../lib/wire/stream_id.ts";
import { crypto, TwoEndpoints } from "./two_endpoints.ts";

const CHACHA = 1, AES = 2;
/** What the runtimes offer: Deno and Node have a native ChaCha20-Poly1305, Bun only AES, and without either there is JavaScript. */
const OFFERS = { deno: [CHACHA, AES], bun: [AES, CHACHA], plain: [CHACHA] } as const;
const offering = (suites: readonly number[]): CryptoProvider => ({ ...crypto, suites });

const MEETINGS = [
  ["bun", "bun", AES],
  ["bun", "deno", CHACHA],
  ["deno", "bun", CHACHA],
  ["deno", "deno", CHACHA],
  ["plain", "bun", CHACHA],
  ["bun", "plain", CHACHA],
] as const;

for (const pattern of ["IK", "XX"] as const) {
  for (const [client, server, suite] of MEETINGS) {
    test(`${pattern}: ${client} to ${server} is protected with suite ${suite}, through key updates`, () => {
      const pair = new TwoEndpoints({
        client: { crypto: offering(OFFERS[client]), settings: { keyUpdateInterval: micros(0) } },
        server: { crypto: offering(OFFERS[server]) },
      });
      const sides = pair.establish(pattern);
      assert.deepEqual([sides.client.suite, sides.server.suite], [suite, suite]);
      for (let round = 0; round < 4; round++) {
        const id = sides.client.openStream(false, 1) as StreamId;
        sides.client.write(id, new Uint8Array(3000).fill(round), true);
        pair.exchange(sides.client, sides.server);
        let received = 0;
        for (let piece; (piece = sides.server.read(id)) !== undefined;) received += piece.length;
        assert.equal(received, 3000);
        pair.wait(500);
        for (const side of [sides.client, sides.server]) side.handleTimeout(pair.now);
      }
      assert.ok(sides.server.stats().keyUpdatesReceived >= 3);
      for (const side of [sides.client, sides.server]) assert.equal(side.stats().dropped.unauthentic, 0);
    });
  }
}

test("this runtime prefers what is fast on it: AES on Bun, never on Deno or Node", () => {
  const favourite = process.versions.bun === undefined ? CHACHA : AES;
  assert.equal(crypto.suites[0], favourite);
  assert.ok(crypto.suites.includes(CHACHA));
});
