import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, address } from "../../lib/base/address.ts";
import { type Micros, micros, NEVER } from "../../lib/base/time.ts";
import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import type { CryptoProvider, Dh } from "../../lib/crypto/types.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import { Endpoint } from "../../lib/transport/endpoint.ts";
import type { TransportSettings } from "../../lib/transport/settings.ts";
import { ZERO_CONNECTION_ID } from "../../lib/wire/connection_id.ts";
import { COOKIE_FLAG, HandshakeKind, PACKET_HEADER_SIZE, WIRE_VERSION } from "../../lib/wire/constants.ts";
import { encodeRetry } from "../../lib/wire/handshake_message.ts";
import { writeHandshakePacket } from "../../lib/wire/packet_header.ts";
import { answers, crypto, ELSEWHERE, events, HERE, THERE, transmit, TwoEndpoints } from "./two_endpoints.ts";

const { sha256 } = crypto;
const PATTERN_AT = PACKET_HEADER_SIZE + 35;

/** Kind of the handshake message that a UDP datagram begins with. */
function kindOf(datagram: Uint8Array): number {
  return datagram[PACKET_HEADER_SIZE];
}

/** The ephemeral key in it. */
function ephemeralOf(datagram: Uint8Array): Uint8Array {
  return datagram.slice(PACKET_HEADER_SIZE + 1, PACKET_HEADER_SIZE + 33);
}

/** Two endpoints of which the server wants cookies. */
function withRetry(settings: Partial<TransportSettings> = {}, client: Partial<TransportSettings> = {}): TwoEndpoints {
  return new TwoEndpoints({ server: { settings: { retry: "always", ...settings } }, client: { settings: client } });
}

/** A provider whose key agreements are counted. */
function counting(): { readonly crypto: CryptoProvider; readonly count: () => number } {
  let count = 0;
  const dh: Dh = {
    noiseName: crypto.dh.noiseName,
    publicKey: (key) => crypto.dh.publicKey(key),
    shared: (privateKey, publicKey) => (count++, crypto.dh.shared(privateKey, publicKey)),
  };
  return { crypto: { ...crypto, dh }, count: () => count };
}

/** Lets an initiator do all the work that it has been asked for; how many steps that took. */
function work(pair: TwoEndpoints, connection: Connection): number {
  for (let steps = 0; steps < 1000; steps++) {
    const hellos = transmit(connection, pair.now);
    if (hellos.length > 0) {
      pair.toServer(hellos);
      return steps;
    }
    assert.notEqual(connection.pollTimeout(), NEVER);
    pair.now = micros(Math.max(pair.now, connection.pollTimeout()));
    connection.handleTimeout(pair.now);
  }
  throw new Error("the work does not come to an end");
}

/** A Retry from somebody who has seen the hello. */
function forgedRetry(connection: Connection, hello: Uint8Array, difficulty = 0): Uint8Array {
  const cookie = new Uint8Array(22).fill(difficulty + 1);
  const message = encodeRetry({ cookie, difficulty }, sha256.hash(hello.subarray(PACKET_HEADER_SIZE)));
  const packet = new Uint8Array(PACKET_HEADER_SIZE + message.length);
  writeHandshakePacket(packet, 0, connection.localId, 0, connection.localId, WIRE_VERSION, message);
  return packet;
}

for (const pattern of ["IK", "XX"] as const) {
  test(`an ${pattern} hello is answered with a Retry, and the one with the cookie with a hello`, () => {
    const pair = withRetry();
    const client = pair.connect(pattern);
    const first = transmit(client, pair.now);
    assert.equal(pair.toServer(first), undefined);
    const retries = answers(pair.server);
    assert.deepEqual(retries.map(kindOf), [HandshakeKind.RETRY]);
    assert.ok(retries[0].length < first[0].length / 10, `${retries[0].length} bytes`);
    assert.deepEqual([pair.server.connectionCount, pair.server.counters.connectionsAccepted], [0, 0]);
    assert.equal(pair.toClient(retries), client);
    const second = transmit(client, pair.now);
    assert.deepEqual(second.map(({ length }) => length), [1200]);
    assert.ok((second[0][PATTERN_AT] & COOKIE_FLAG) !== 0);
    assert.notDeepEqual(ephemeralOf(second[0]), ephemeralOf(first[0]), "no key seals two hellos");
    const server = pair.toServer(second)!;
    assert.equal(server.isAddressValidated(HERE), true);
    assert.equal(server.isProven, false, "a cookie says where, not who");
    pair.exchange(client, server);
    assert.deepEqual([client.state, server.state], ["established", "established"]);
    const { retriesSent, cookiesAccepted, cookiesRejected } = pair.server.counters;
    assert.deepEqual([retriesSent, cookiesAccepted, cookiesRejected], [1, 1, 0]);
    assert.equal(client.stats().handshakeRetries, 1);
  });

  test(`no key agreement is done for an ${pattern} hello without a good cookie`, () => {
    const counted = counting();
    const pair = new TwoEndpoints({ server: { crypto: counted.crypto, settings: { retry: "always" } } });
    const client = pair.connect(pattern);
    const hello = transmit(client, pair.now);
    for (let i = 0; i < 100; i++) pair.toServer(hello);
    pair.toClient(answers(pair.server).slice(0, 1));
    const withCookie = transmit(client, pair.now);
    const forged = withCookie[0].slice();
    forged[PATTERN_AT + 10] ^= 1;
    pair.toServer([forged]);
    pair.toServer(withCookie, ELSEWHERE);
    assert.equal(counted.count(), 0);
    assert.deepEqual([pair.server.counters.cookiesRejected, pair.server.counters.retriesSent], [2, 102]);
    assert.notEqual(pair.toServer(withCookie), undefined);
    assert.ok(counted.count() > 0);
  });

  test(`a node that asks for no cookies, and one that has forgotten making it, go on without a good one (${pattern})`, () => {
    const pair = withRetry();
    const client = pair.connect(pattern);
    pair.toServer(transmit(client, pair.now));
    pair.toClient(answers(pair.server));
    const hello = transmit(client, pair.now);
    const relaxed = new TwoEndpoints({ seed: 4, server: { identity: pair.serverIdentity } });
    assert.notEqual(relaxed.toServer(hello), undefined);
    assert.equal(relaxed.server.counters.cookiesRejected, 1);
    const strict = new TwoEndpoints({
      seed: 4,
      server: { identity: pair.serverIdentity, settings: { retry: "always" } },
    });
    assert.equal(strict.toServer(hello), undefined);
    pair.toClient(answers(strict.server));
    const server = strict.toServer(transmit(client, pair.now))!;
    pair.toClient(transmit(server, pair.now));
    assert.equal(client.state, "established");
    assert.equal(client.stats().handshakeRetries, 2);
  });
}

test("under load cookies are asked for, and not before: by half-open handshakes", () => {
  const pair = new TwoEndpoints({ server: { settings: { retryHalfOpen: 3 } } });
  for (let i = 0; i < 3; i++) assert.notEqual(pair.toServer(transmit(pair.connect(), pair.now)), undefined);
  const client = pair.connect();
  assert.equal(pair.toServer(transmit(client, pair.now)), undefined);
  pair.toClient(answers(pair.server));
  assert.notEqual(pair.toServer(transmit(client, pair.now)), undefined);
  assert.equal(pair.server.counters.retriesSent, 1);
});

test("under load cookies are asked for, and not before: by the rate of hellos", () => {
  const pair = new TwoEndpoints({ server: { settings: { retryRate: 5, retryHalfOpen: 1000 } } });
  for (let i = 0; i < 14; i++) pair.toServer(transmit(pair.connect(), pair.now), address("192.0.2.7", 1000 + i));
  assert.deepEqual([pair.server.connectionCount, pair.server.counters.retriesSent], [10, 4]);
  pair.wait(1000);
  assert.notEqual(pair.toServer(transmit(pair.connect(), pair.now)), undefined, "the load is over");
});

test("a node that is told never to ask does not", () => {
  const pair = new TwoEndpoints({ server: { settings: { retry: "never", retryRate: 1, retryHalfOpen: 0 } } });
  for (let i = 0; i < 10; i++) assert.notEqual(pair.toServer(transmit(pair.connect(), pair.now)), undefined);
  assert.equal(pair.server.counters.retriesSent, 0);
});

/** Hellos from one address; how many became connections. */
function flood(pair: TwoEndpoints, from: Address, count: number): number {
  let accepted = 0;
  for (let i = 0; i < count; i++) {
    const connection = pair.toServer(transmit(pair.connect(), pair.now), from);
    if (connection !== undefined) accepted++;
  }
  return accepted;
}

test("hellos in the name of an address are not held against it: it is asked for a cookie, and gets in with it", () => {
  const pair = new TwoEndpoints({ server: { settings: { helloRate: 4 } } });
  assert.equal(flood(pair, HERE, 20), 8);
  assert.equal(pair.server.counters.retriesSent, 12);
  answers(pair.server);
  const client = pair.connect();
  pair.toServer(transmit(client, pair.now));
  pair.toClient(answers(pair.server));
  assert.notEqual(pair.toServer(transmit(client, pair.now)), undefined);
  assert.equal(pair.server.counters.helloRateLimited, 0);
  assert.equal(flood(pair, ELSEWHERE, 3), 3, "others do not notice");
});

test("an address that has proven itself is held to its rate, and so is every one that is never asked to", () => {
  for (const retry of ["always", "never"] as const) {
    const pair = new TwoEndpoints({ server: { settings: { helloRate: 4, retry } } });
    let accepted = 0;
    for (let i = 0; i < 20; i++) {
      const client = pair.connect();
      let connection = pair.toServer(transmit(client, pair.now));
      pair.toClient(answers(pair.server));
      connection ??= pair.toServer(transmit(client, pair.now));
      if (connection !== undefined) accepted++;
    }
    assert.deepEqual([accepted, pair.server.counters.helloRateLimited], [8, 12], retry);
    pair.wait(1000);
    assert.equal(retry === "never" ? flood(pair, HERE, 10) : 4, 4);
  }
});

test("this machine's own addresses have no rate", () => {
  const pair = new TwoEndpoints({ server: { settings: { helloRate: 1 } } });
  assert.equal(flood(pair, address("127.0.0.1", 5), 50), 50);
});

test("hellos altogether have a budget, whoever sends them", () => {
  const pair = new TwoEndpoints({ server: { settings: { helloBudget: 3 } } });
  let accepted = 0;
  for (let i = 0; i < 10; i++) accepted += flood(pair, address(`192.0.2.${i + 10}`, 7), 1);
  assert.deepEqual([accepted, pair.server.counters.helloBudgetExceeded], [6, 4]);
});

test("a repeated hello is not a new one: it needs no cookie and counts towards no limit", () => {
  const pair = new TwoEndpoints({ server: { settings: { helloRate: 1, helloBudget: 1, retryHalfOpen: 1 } } });
  const client = pair.connect();
  const hello = transmit(client, pair.now);
  const server = pair.toServer(hello)!;
  for (let i = 0; i < 20; i++) assert.equal(pair.toServer(hello), server);
  assert.equal(pair.server.counters.retriesSent, 0);
});

test("the work that a cookie asks for is done in steps, with time between them, and then believed", () => {
  const pair = withRetry({ proofOfWork: 14 });
  const client = pair.connect();
  pair.toServer(transmit(client, pair.now));
  pair.toClient(answers(pair.server));
  assert.deepEqual(transmit(client, pair.now), [], "nothing is sent before the work is done");
  const before = pair.now;
  const steps = work(pair, client);
  assert.ok(steps > 1, `${steps} steps`);
  assert.ok(pair.now - before >= 1000 * (steps - 1), "a millisecond for others between two steps");
  assert.equal(pair.server.counters.cookiesAccepted, 1);
});

test("work beyond what an initiator is willing to do is not done, and explains why it gave up", () => {
  const lazy = withRetry({ proofOfWork: 12 }, { maxProofOfWork: 11 });
  const other = lazy.connect();
  lazy.toServer(transmit(other, lazy.now));
  lazy.toClient(answers(lazy.server));
  assert.equal(other.stats().handshakeRetries, 0);
  lazy.now = micros(lazy.now + 30_000_000);
  other.handleTimeout(lazy.now);
  assert.deepEqual(events(other).map((event) => event.type === "closed" && event.reason.hint), ["overloaded"]);
});

test("a hello whose nonce is not worth its cookie's difficulty is turned back before any key agreement", () => {
  const counted = counting();
  const pair = new TwoEndpoints({ server: { crypto: counted.crypto, settings: { retry: "always", proofOfWork: 12 } } });
  const client = pair.connect();
  pair.toServer(transmit(client, pair.now));
  pair.toClient(answers(pair.server));
  let hello: Uint8Array[] = [];
  while (hello.length === 0) {
    pair.now = micros(Math.max(pair.now, client.pollTimeout()));
    client.handleTimeout(pair.now);
    hello = transmit(client, pair.now);
  }
  const nonceAt = PATTERN_AT + 2 + hello[0][PATTERN_AT + 1];
  const forged = hello[0].slice();
  forged[nonceAt + 7] ^= 1;
  assert.equal(pair.toServer([forged]), undefined);
  assert.deepEqual([pair.server.counters.workMissing, counted.count()], [1, 0]);
  assert.notEqual(pair.toServer(hello), undefined);
});

test("a Retry for another hello, a second one for the same, and one after the answer are ignored", () => {
  const pair = withRetry();
  const client = pair.connect(), other = pair.connect();
  const [hello] = transmit(client, pair.now), [otherHello] = transmit(other, pair.now);
  pair.toClient([forgedRetry(client, otherHello)]);
  assert.deepEqual(transmit(client, pair.now), []);
  pair.toServer([hello, hello]);
  const retries = answers(pair.server);
  assert.equal(retries.length, 2);
  pair.toClient(retries);
  const again = transmit(client, pair.now);
  assert.equal(again.length, 1);
  const server = pair.toServer(again)!;
  pair.toClient(transmit(server, pair.now));
  assert.equal(client.state, "established");
  pair.toClient([forgedRetry(client, again[0])]);
  assert.equal(client.state, "established");
  assert.equal(client.stats().handshakeRetries, 1);
});

test("forged Retries make an initiator begin anew three times at most, and it still gets through", () => {
  const pair = new TwoEndpoints();
  const client = pair.connect();
  let [hello] = transmit(client, pair.now);
  for (let i = 0; i < 10; i++) {
    pair.toClient([forgedRetry(client, hello)]);
    [hello] = [...transmit(client, pair.now), hello];
  }
  assert.equal(client.stats().handshakeRetries, 3);
  const server = pair.toServer([hello])!;
  pair.exchange(client, server);
  assert.equal(client.state, "established");
});

test("a forged Retry with hard work does not keep an initiator from the answer to its first hello", () => {
  const pair = new TwoEndpoints();
  const client = pair.connect();
  const [hello] = transmit(client, pair.now);
  const server = pair.toServer([hello])!;
  pair.toClient([forgedRetry(client, hello, 20)]);
  client.handleTimeout(pair.now);
  pair.toClient(transmit(server, pair.now));
  assert.equal(client.state, "established");
  pair.exchange(client, server);
  assert.equal(server.state, "established");
});

test("a hello with a cookie that is cut off is no hello", () => {
  const pair = withRetry();
  const random = new SeededRandom(4);
  const packet = new Uint8Array(1200);
  for (const payload of [[0x81], [0x81, 0], [0x81, 65], [0x81, 22, ...new Uint8Array(29)]]) {
    const message = new Uint8Array(35 + payload.length);
    message[0] = HandshakeKind.INITIATOR_HELLO;
    message.set(generateKeyPair(crypto.dh, random).publicKey, 1);
    message[33] = payload.length;
    message.set(payload, 35);
    const size = writeHandshakePacket(packet.fill(0), 0, ZERO_CONNECTION_ID, 0, pair.connect().localId, 1, message);
    assert.ok(size < 1200);
    pair.toServer([packet]);
  }
  assert.equal(pair.server.counters.droppedHello, 4);
  assert.deepEqual(answers(pair.server), []);
});

test("settings that make no sense are refused", () => {
  const make = (settings: Partial<TransportSettings>) => () => new TwoEndpoints({ server: { settings } });
  assert.throws(make({ retry: "sometimes" as "auto" }), /retry must be one of auto, always, never/);
  assert.throws(make({ proofOfWork: 23 }), /proofOfWork/);
  assert.throws(make({ helloRate: 0 }), /helloRate/);
  assert.throws(make({ retryHalfOpen: -1 }), /retryHalfOpen/);
});

test("an endpoint that takes no connections makes no cookies and tells no tokens", () => {
  const random = new SeededRandom(3);
  const identity = generateKeyPair(crypto.dh, random);
  const endpoint = new Endpoint({ identity, crypto, random, accept: false, settings: { retry: "always" } });
  const pair = new TwoEndpoints();
  endpoint.handleDatagram(0 as Micros, THERE, transmit(pair.connect(), pair.now)[0]);
  assert.deepEqual([answers(endpoint), endpoint.counters.droppedHello], [[], 1]);
});
