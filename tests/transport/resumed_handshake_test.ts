import assert from "node:assert/strict";
import { test } from "node:test";
import { micros, seconds } from "../../lib/base/time.ts";
import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import { selectProvider } from "../../lib/crypto/select.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import type { HandshakeContext } from "../../lib/transport/handshake.ts";
import {
  earlyCapacity,
  ResumedInitiator,
  ResumedResponder,
  type ResumptionPolicy,
  type ResumptionTicket,
} from "../../lib/transport/resumed_handshake.ts";
import { defaultSettings } from "../../lib/transport/settings.ts";
import { TicketVault } from "../../lib/transport/ticket_vault.ts";
import { randomConnectionId } from "../../lib/wire/connection_id.ts";
import { decodeHandshakeMessage, type HandshakeMessage } from "../../lib/wire/handshake_message.ts";

const crypto = selectProvider();
const NOW = micros(1_000_000);
const TICKET_AT = 35 + 3;

function context(seed: number): HandshakeContext {
  const random = new SeededRandom(seed);
  const identity = generateKeyPair(crypto.dh, random);
  return { crypto, random, identity, localId: randomConnectionId(random), parameters: defaultSettings };
}

function message(bytes: Uint8Array): HandshakeMessage {
  const decoded = decodeHandshakeMessage(bytes, 0, bytes.length);
  assert.ok(decoded !== undefined);
  return decoded;
}

/** Both sides, and a ticket that one has of the other. */
function setUp(): {
  a: HandshakeContext;
  b: HandshakeContext;
  ticket: ResumptionTicket;
  policy: ResumptionPolicy;
  asked: Uint8Array[];
  newTicket: () => ResumptionTicket;
} {
  const a = context(1), b = context(2), asked: Uint8Array[] = [];
  const vault = new TicketVault(crypto, b.random, seconds(3600));
  const newTicket = (): ResumptionTicket => {
    const psk = new Uint8Array(32);
    a.random.fillSecret(psk);
    return { ticket: vault.issue(NOW, { psk, peerKey: a.identity.publicKey, authenticatedAt: NOW }), psk };
  };
  const policy: ResumptionPolicy = {
    now: NOW,
    vault,
    acceptsEarly: (key) => {
      asked.push(key);
      return true;
    },
  };
  return { a, b, ticket: newTicket(), policy, asked, newTicket };
}

function accept(b: HandshakeContext, a: HandshakeContext, hello: Uint8Array, policy: ResumptionPolicy) {
  return ResumedResponder.accept(b, message(hello), a.localId, policy);
}

function accepted(result: ResumedResponder | string): ResumedResponder {
  assert.ok(typeof result !== "string", `refused: ${result}`);
  return result;
}

test("both sides end with the same secrets, the peer's key, its limits and the early data", () => {
  const { a, b, ticket, policy, asked } = setUp();
  const early = Uint8Array.of(1, 2, 3);
  const first = new ResumedInitiator(a, b.identity.publicKey, ticket, early);
  const second = accepted(accept(b, a, first.hello, policy));
  const initiator = first.onResponderHello(message(second.hello), b.localId)!;
  const responder = second.onInitiatorFinish(message(first.finish!))!;
  assert.deepEqual(initiator.sendSecret, responder.receiveSecret);
  assert.deepEqual(initiator.receiveSecret, responder.sendSecret);
  assert.notDeepEqual(initiator.sendSecret, initiator.receiveSecret);
  assert.deepEqual([initiator.peerKey, responder.peerKey], [b.identity.publicKey, a.identity.publicKey]);
  assert.deepEqual(initiator.handshakeHash, responder.handshakeHash);
  assert.equal(initiator.peerParameters.maxData, defaultSettings.maxData);
  assert.deepEqual([second.early, initiator.peerParameters.earlyAccepted], [early, true]);
  assert.deepEqual(asked, [a.identity.publicKey]);
  assert.equal(responder.authenticatedAt, NOW);
});

test("a hello fills a UDP datagram of 1200 bytes, with and without early data, and takes no more than fits", () => {
  const { a, b, newTicket } = setUp();
  const key = b.identity.publicKey;
  const capacity = earlyCapacity(a, newTicket());
  assert.ok(capacity >= 750, `${capacity} bytes`);
  for (const length of [1, 500, capacity - 3, capacity]) {
    const { hello } = new ResumedInitiator(a, key, newTicket(), new Uint8Array(length));
    assert.equal(hello.length + 32, 1200, `${length} bytes`);
  }
  assert.equal(new ResumedInitiator(a, key, newTicket()).hello.length + 32, 1200);
  assert.throws(() => new ResumedInitiator(a, key, newTicket(), new Uint8Array(capacity + 1)), RangeError);
  assert.throws(() => new ResumedInitiator(a, key, { ticket: new Uint8Array(0), psk: new Uint8Array(32) }), RangeError);
  assert.throws(
    () => new ResumedInitiator(a, key, { ticket: new Uint8Array(257), psk: new Uint8Array(32) }),
    RangeError,
  );
});

test("a hello with any byte changed is refused without costing the ticket, and the right one is still believed", () => {
  const { a, b, ticket, policy, asked } = setUp();
  const { hello } = new ResumedInitiator(a, b.identity.publicKey, ticket, Uint8Array.of(1));
  for (let at = 1; at < hello.length; at++) {
    const changed = hello.slice();
    changed[at] ^= 0x01;
    const decoded = decodeHandshakeMessage(changed, 0, changed.length);
    // The pattern byte is looked at before.
    if (decoded === undefined || at === 35) continue;
    assert.equal(typeof ResumedResponder.accept(b, decoded, a.localId, policy), "string", `byte ${at}`);
  }
  assert.equal(asked.length, 0, "nobody is asked about a hello that is not believed");
  accepted(accept(b, a, hello, policy));
  assert.equal(accept(b, a, hello, policy), "used");
});

test("an answer or a confirmation with any byte changed is not believed, and the right one still is", () => {
  const { a, b, ticket, policy } = setUp();
  const first = new ResumedInitiator(a, b.identity.publicKey, ticket);
  const second = accepted(accept(b, a, first.hello, policy));
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
    if (decoded !== undefined) assert.equal(second.onInitiatorFinish(decoded), undefined, `byte ${at}`);
  }
  assert.ok(second.onInitiatorFinish(message(first.finish!)) !== undefined);
});

test("a ticket without its secret, with another's, or under another connection id opens nothing and is not used up", () => {
  const { a, b, ticket, policy, newTicket } = setUp();
  const key = b.identity.publicKey;
  const other = newTicket();
  const stolen = new ResumedInitiator(a, key, { ticket: ticket.ticket, psk: other.psk });
  assert.equal(accept(b, a, stolen.hello, policy), "unauthentic");
  const { hello } = new ResumedInitiator(a, key, ticket);
  const swapped = hello.slice();
  swapped.set(other.ticket, TICKET_AT);
  assert.equal(accept(b, a, swapped, policy), "unauthentic");
  const elsewhere = ResumedResponder.accept(b, message(hello), randomConnectionId(new SeededRandom(9)), policy);
  assert.equal(elsewhere, "unauthentic");
  accepted(accept(b, a, hello, policy));
});

test("ephemeral keys of low order or out of range are refused on both sides, however authentic", () => {
  for (const key of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31)), new Uint8Array(32).fill(0xff)]) {
    // Whoever has the secret of a ticket can seal whatever he likes; this one agrees on a secret with everybody.
    const dh = { ...crypto.dh, publicKey: () => key, shared: () => new Uint8Array(32).fill(1) };
    const { a, b, policy, newTicket } = setUp();
    const evil = { ...a, crypto: { ...crypto, dh } };
    const { hello } = new ResumedInitiator(evil, b.identity.publicKey, newTicket());
    assert.deepEqual(hello.slice(1, 33), key);
    assert.equal(accept(b, a, hello, policy), "unauthentic");

    const agreeable = { ...a, crypto: { ...crypto, dh: { ...crypto.dh, shared: dh.shared } } };
    const first = new ResumedInitiator(agreeable, b.identity.publicKey, newTicket());
    const second = accepted(accept({ ...b, crypto: { ...crypto, dh } }, a, first.hello, policy));
    assert.equal(first.onResponderHello(message(second.hello), b.localId), undefined);
  }
});

test("early data that is not wanted is dropped, and the initiator is told so", () => {
  const { a, b, ticket, policy } = setUp();
  const first = new ResumedInitiator(a, b.identity.publicKey, ticket, Uint8Array.of(1));
  const second = accepted(accept(b, a, first.hello, { ...policy, acceptsEarly: () => false }));
  assert.equal(second.early, undefined);
  const result = first.onResponderHello(message(second.hello), b.localId);
  assert.equal(result?.peerParameters.earlyAccepted, undefined);
});

test("a hello whose ticket is cut off or has an impossible length is malformed", () => {
  const { a, b, ticket, policy } = setUp();
  const { hello } = new ResumedInitiator(a, b.identity.publicKey, ticket);
  const { kind, ephemeral, payload } = message(hello);
  for (const length of [1, 2, 3, 3 + 50]) {
    const cut: HandshakeMessage = { kind, ephemeral, payload: payload.subarray(0, length) };
    assert.equal(ResumedResponder.accept(b, cut, a.localId, policy), "malformed", `${length} bytes`);
  }
  for (const length of [0, 257, 0xffff]) {
    const wrong = payload.slice();
    wrong[1] = length & 0xff;
    wrong[2] = length >> 8;
    assert.equal(ResumedResponder.accept(b, { kind, ephemeral, payload: wrong }, a.localId, policy), "malformed");
  }
});
