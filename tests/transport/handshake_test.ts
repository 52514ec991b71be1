import assert from "node:assert/strict";
import { test } from "node:test";
import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import { selectProvider } from "../../lib/crypto/select.ts";
import type { CryptoProvider } from "../../lib/crypto/types.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import {
  type HandshakeContext,
  type HandshakeResult,
  InitiatorHandshake,
  ResponderHandshake,
} from "../../lib/transport/handshake.ts";
import { defaultSettings } from "../../lib/transport/settings.ts";
import { randomConnectionId } from "../../lib/wire/connection_id.ts";
import { decodeHandshakeMessage, type HandshakeMessage } from "../../lib/wire/handshake_message.ts";

const crypto = selectProvider();

function context(seed: number, provider: CryptoProvider = crypto): HandshakeContext {
  const random = new SeededRandom(seed);
  const identity = generateKeyPair(provider.dh, random);
  return { crypto: provider, random, identity, localId: randomConnectionId(random), parameters: defaultSettings };
}

function message(bytes: Uint8Array): HandshakeMessage {
  const decoded = decodeHandshakeMessage(bytes, 0, bytes.length);
  assert.ok(decoded !== undefined);
  return decoded;
}

interface Outcome {
  initiator: HandshakeResult;
  responder: HandshakeResult;
}

function run(a: HandshakeContext, b: HandshakeContext, knowsKey: boolean): Outcome {
  const first = new InitiatorHandshake(a, knowsKey ? b.identity.publicKey : undefined);
  const second = ResponderHandshake.accept(b, message(first.hello), a.localId);
  assert.ok(second !== undefined);
  const initiator = first.onResponderHello(message(second.hello), b.localId);
  assert.ok(initiator !== undefined && first.finish !== undefined);
  const responder = second.onInitiatorFinish(message(first.finish), a.localId);
  assert.ok(responder !== undefined);
  return { initiator, responder };
}

for (const knowsKey of [true, false]) {
  const pattern = knowsKey ? "IK" : "XX";

  test(`${pattern}: both sides end with the same secrets, the peer's key and its limits`, () => {
    const a = context(1), b = context(2);
    const { initiator, responder } = run(a, b, knowsKey);
    assert.deepEqual(initiator.sendSecret, responder.receiveSecret);
    assert.deepEqual(initiator.receiveSecret, responder.sendSecret);
    assert.notDeepEqual(initiator.sendSecret, initiator.receiveSecret);
    assert.deepEqual(initiator.peerKey, b.identity.publicKey);
    assert.deepEqual(responder.peerKey, a.identity.publicKey);
    assert.equal(initiator.suite, responder.suite);
    assert.equal(initiator.peerParameters.maxData, defaultSettings.maxData);
    assert.equal(responder.peerParameters.idleTimeout, defaultSettings.idleTimeout);
  });

  test(`${pattern}: the hello fills a UDP datagram of 1200 bytes`, () => {
    const b = context(2);
    const { hello } = new InitiatorHandshake(context(1), knowsKey ? b.identity.publicKey : undefined);
    assert.equal(hello.length + 32, 1200);
  });

  test(`${pattern}: a hello or answer with any byte changed is not believed, and the right one still is`, () => {
    const a = context(1), b = context(2);
    const first = new InitiatorHandshake(a, knowsKey ? b.identity.publicKey : undefined);
    const second = ResponderHandshake.accept(b, message(first.hello), a.localId)!;
    for (let at = 1; at < second.hello.length; at++) {
      const changed = second.hello.slice();
      changed[at] ^= 0x01;
      const decoded = decodeHandshakeMessage(changed, 0, changed.length);
      if (decoded !== undefined) assert.equal(first.onResponderHello(decoded, b.localId), undefined, `byte ${at}`);
    }
    assert.ok(first.onResponderHello(message(second.hello), b.localId) !== undefined);
    for (let at = 1; at < first.finish!.length; at++) {
      const changed = first.finish!.slice();
      changed[at] ^= 0x80;
      const decoded = decodeHandshakeMessage(changed, 0, changed.length);
      if (decoded !== undefined) assert.equal(second.onInitiatorFinish(decoded, a.localId), undefined, `byte ${at}`);
    }
    assert.ok(second.onInitiatorFinish(message(first.finish!), a.localId) !== undefined);
  });

  test(`${pattern}: the connection ids are bound to the handshake`, () => {
    const a = context(1), b = context(2), other = randomConnectionId(new SeededRandom(9));
    const first = new InitiatorHandshake(a, knowsKey ? b.identity.publicKey : undefined);
    const accepted = ResponderHandshake.accept(b, message(first.hello), other);
    // XX binds the id with its prologue, which shows as soon as something is sealed.
    if (knowsKey) assert.equal(accepted, undefined);
    else assert.equal(first.onResponderHello(message(accepted!.hello), b.localId), undefined);
    const second = ResponderHandshake.accept(b, message(first.hello), a.localId)!;
    assert.equal(first.onResponderHello(message(second.hello), other), undefined);
    assert.ok(first.onResponderHello(message(second.hello), b.localId) !== undefined);
  });
}

test("IK: a hello made for another key is not believed", () => {
  const a = context(1), b = context(2), c = context(3);
  const { hello } = new InitiatorHandshake(a, c.identity.publicKey);
  assert.equal(ResponderHandshake.accept(b, message(hello), a.localId), undefined);
});

test("a hello with a low-order ephemeral key is refused in both patterns", () => {
  const a = context(1), b = context(2);
  for (const peerKey of [b.identity.publicKey, undefined]) {
    const { hello } = new InitiatorHandshake(a, peerKey);
    const changed = hello.slice();
    changed.fill(0, 1, 33);
    assert.equal(ResponderHandshake.accept(b, message(changed), a.localId), undefined);
    changed.fill(0xff, 1, 33);
    assert.equal(ResponderHandshake.accept(b, message(changed), a.localId), undefined);
  }
});

test("the suite is one that both sides offer, and the handshake fails if there is none", () => {
  const onlyChaCha: CryptoProvider = { ...crypto, suites: [1] };
  const onlyAes: CryptoProvider = { ...crypto, suites: [2] };
  const aesFirst: CryptoProvider = { ...crypto, suites: [2, 1] };
  for (const knowsKey of [true, false]) {
    assert.equal(run(context(1, aesFirst), context(2, onlyChaCha), knowsKey).initiator.suite, 1);
    assert.equal(run(context(1, aesFirst), context(2, aesFirst), knowsKey).initiator.suite, 2);
  }
  const a = context(1, onlyAes), b = context(2, onlyChaCha);
  assert.equal(
    ResponderHandshake.accept(b, message(new InitiatorHandshake(a, b.identity.publicKey).hello), a.localId),
    undefined,
  );
});

test("an unknown pattern byte is not accepted", () => {
  const a = context(1), b = context(2);
  const hello = new InitiatorHandshake(a, b.identity.publicKey).hello.slice();
  hello[35] = 0x03;
  assert.equal(ResponderHandshake.knowsPattern(message(hello)), false);
  assert.equal(ResponderHandshake.accept(b, message(hello), a.localId), undefined);
});
