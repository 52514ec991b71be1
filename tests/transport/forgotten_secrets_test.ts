import assert from "node:assert/strict";
import { test } from "node:test";
import type { CryptoProvider, Hash } from "../../lib/crypto/types.ts";
import type { ConnectionEvent } from "../../lib/transport/events.ts";
import { crypto, events, HERE, THERE, transmit, TwoEndpoints } from "./two_endpoints.ts";

/** A provider that takes note of every secret that a key of the first epoch is derived from. */
function watched(secrets: Set<Uint8Array>): CryptoProvider {
  const { sha256 } = crypto;
  const decoder = new TextDecoder();
  const hash: Hash = {
    noiseName: sha256.noiseName,
    hashLength: sha256.hashLength,
    blockLength: sha256.blockLength,
    hash: (...parts) => sha256.hash(...parts),
    hmac: (key, ...parts) => {
      if (parts.some((part) => decoder.decode(part) === "mxp1 hp")) secrets.add(key);
      return sha256.hmac(key, ...parts);
    },
  };
  return { ...crypto, sha256: hash, suites: crypto.suites };
}

/** Both endpoints of a pair share a provider, so that there are four secrets. */
function scene(): { pair: TwoEndpoints; secrets: Set<Uint8Array> } {
  const secrets = new Set<Uint8Array>(), provider = watched(secrets);
  return { pair: new TwoEndpoints({ client: { crypto: provider }, server: { crypto: provider } }), secrets };
}

function assertForgotten(secrets: Set<Uint8Array>, count: number): void {
  assert.equal(secrets.size, count);
  for (const secret of secrets) assert.ok(secret.every((byte) => byte === 0), "it is still there");
}

for (const pattern of ["IK", "XX"] as const) {
  test(`neither side keeps the secrets that an ${pattern} handshake ended with`, () => {
    const { pair, secrets } = scene();
    const { client, server } = pair.establish(pattern);
    assertForgotten(secrets, 4);
    // A repeated finish is still told from others, and packets flow.
    client.ping();
    pair.exchange(client, server);
    assert.ok(events(client).some(({ type }) => type === "pong"));
  });
}

test("a resumed connection keeps none either, and gives tickets that are good", () => {
  const { pair, secrets } = scene();
  let ticket: Extract<ConnectionEvent, { type: "ticket" }>["ticket"] | undefined;
  const options = { peerKey: pair.serverIdentity.publicKey, tickets: 1 };
  for (let round = 0; round < 3; round++) {
    secrets.clear();
    const client = pair.client.connect(pair.now, THERE, { ...options, ticket });
    const server = pair.toServer(transmit(client, pair.now), HERE)!;
    pair.exchange(client, server);
    assert.equal(client.pattern, round === 0 ? "IK" : "NNpsk0");
    ticket = undefined;
    for (const event of events(client)) if (event.type === "ticket") ticket = event.ticket;
    assert.ok(ticket !== undefined);
    assertForgotten(secrets, 4);
  }
});
