import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { seconds } from "../../lib/base/time.ts";
import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import { runHandshake } from "../../lib/testing/handshake_run.ts";
import { HostilePeer } from "../../lib/testing/hostile_peer.ts";
import { CLIENT_ADDRESS, SERVER_ADDRESS } from "../../lib/testing/pair.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import type { SimulatedHost, SimulatedNetwork } from "../../lib/testing/simulated_network.ts";
import { SimulatedNode } from "../../lib/testing/simulated_node.ts";
import { readConnectionId } from "../../lib/wire/connection_id.ts";
import { HandshakeKind, WIRE_VERSION } from "../../lib/wire/constants.ts";
import { RejectCode, TransportError } from "../../lib/wire/error_codes.ts";
import { encodeReject, encodeVersionNegotiation, readReject, readVersions } from "../../lib/wire/handshake_message.ts";
import { writeHandshakePacket } from "../../lib/wire/packet_header.ts";
import { testSeed } from "../support/seed.ts";
import { crypto, establishedPair, isHandshake, makePair, millis } from "./shared.ts";

const STRANGER = address("10.6.6.6", 666);

/** Puts a host at the server's address that answers every datagram with one handshake message. */
function answerWith(network: SimulatedNetwork, message: Uint8Array): { answers: number } {
  const counter = { answers: 0 };
  const host: SimulatedHost = {
    address: SERVER_ADDRESS,
    receive: (from, bytes) => {
      const out = new Uint8Array(200);
      const id = readConnectionId(bytes, 20);
      const size = writeHandshakePacket(out, 0, id, 0, id, WIRE_VERSION, message);
      counter.answers++;
      network.send(SERVER_ADDRESS, from, out.subarray(0, size));
    },
  };
  network.attach(host);
  return counter;
}

for (const pattern of ["IK", "XX"] as const) {
  test(`none of 50 ${pattern} handshakes fails at 30 % loss each way`, () => {
    for (let seed = testSeed; seed < testSeed + 50; seed++) {
      const result = runHandshake({ seed, pattern, crypto, profile: { delay: millis(25), loss: 0.3 } });
      assert.equal(result.failure, undefined, `seed ${seed}`);
    }
  });

  test(`none of 20 ${pattern} handshakes fails when a fifth of all datagrams is damaged and all arrive twice`, () => {
    for (let seed = testSeed; seed < testSeed + 20; seed++) {
      const profile = { delay: millis(25), corrupt: 0.2, duplicate: 1, jitter: millis(30) };
      assert.equal(runHandshake({ seed, pattern, crypto, profile }).failure, undefined, `seed ${seed}`);
    }
  });

  test(`a ${pattern} handshake takes one round trip until streams can be opened`, () => {
    const result = runHandshake({ seed: 1, pattern, crypto, profile: { delay: millis(25) } });
    assert.deepEqual([result.complete, result.established, result.messagesSent], [true, millis(50), 2]);
  });

  test(`both sides of a ${pattern} handshake know the other's key`, () => {
    const pair = establishedPair({ pattern });
    assert.deepEqual(pair.connection.peerKey, pair.server.identity.publicKey);
    assert.deepEqual(pair.serverConnection?.peerKey, pair.client.identity.publicKey);
    assert.deepEqual([pair.connection.pattern, pair.serverConnection?.pattern], [pattern, pattern]);
  });

  test(`a ${pattern} handshake whose confirmation gets lost is confirmed when the finish is repeated`, () => {
    const pair = makePair({ pattern, profile: { delay: millis(25) } });
    // Finishes leave at 50, 350, 950 and 1950 ms; what answers the last one is the first that is sure to get through.
    pair.down.intercept = (bytes, _index, now) => isHandshake(bytes) || now > millis(1500) ? "pass" : "drop";
    const connection = pair.connect();
    assert.ok(pair.drive(() => connection.confirmed, seconds(10)));
    assert.ok(pair.network.now <= millis(2000), `confirmed after ${pair.network.now} µs`);
  });

  test(`a peer that is not welcome is told so after a ${pattern} handshake, and never becomes a connection`, () => {
    let asked: Uint8Array | undefined;
    const pair = makePair({
      pattern,
      authorize: (key) => {
        asked = key;
        return false;
      },
    });
    const events: string[] = [];
    pair.serverTraffic.onOther = (_node, _connection, event) => events.push(event.type);
    pair.connect();
    assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(5)));
    const { reason } = pair.client.ended[0];
    assert.deepEqual([reason.by, reason.code], ["peer", TransportError.NOT_ALLOWED]);
    assert.deepEqual(asked, pair.client.identity.publicKey);
    assert.deepEqual(events, ["closed"]);
  });

  test(`a ${pattern} hello that is replayed from its own address starts no second connection`, () => {
    const pair = makePair({ pattern });
    let hello: Uint8Array | undefined;
    pair.network.onSend = (_from, _to, bytes) => hello ??= bytes.slice();
    pair.connect();
    for (let i = 0; i < 5; i++) {
      pair.network.send(CLIENT_ADDRESS, SERVER_ADDRESS, hello!);
      pair.advance(millis(7));
    }
    assert.ok(pair.drive(() => pair.connection.confirmed, seconds(5)));
    for (let i = 0; i < 5; i++) pair.network.send(CLIENT_ADDRESS, SERVER_ADDRESS, hello!);
    pair.advance(seconds(1));
    assert.equal(pair.server.endpoint.counters.connectionsAccepted, 1);
    assert.equal(pair.server.connections.length, 1);
    assert.equal(pair.connection.state, "established");
  });

  test(`a whole ${pattern} handshake that is replayed from another address never becomes a connection`, () => {
    const pair = makePair({ pattern });
    const sent: Uint8Array[] = [];
    pair.network.onSend = (from, _to, bytes) => {
      if (from === CLIENT_ADDRESS) sent.push(bytes.slice());
    };
    pair.connect();
    pair.clientTraffic.send(pair.client, pair.connection, 5000);
    assert.ok(pair.drive(() => pair.serverTraffic.delivered === 5000, seconds(5)));
    pair.network.onSend = undefined;
    const events: string[] = [];
    pair.serverTraffic.onOther = (_node, connection, event) => {
      if (connection !== pair.server.connections[0]) events.push(event.type);
    };
    for (const bytes of sent) pair.network.send(STRANGER, SERVER_ADDRESS, bytes);
    pair.advance(seconds(40));
    assert.deepEqual(events, ["closed"], "half open until its time was over");
    assert.equal(pair.serverTraffic.delivered, 5000);
    assert.equal(pair.server.endpoint.halfOpenCount, 0);
  });

  test(`a responder sends an address that does not prove itself at most three times what came from it (${pattern})`, () => {
    const pair = makePair({ pattern });
    const victim = new HostilePeer(pair.network, { address: STRANGER, crypto, finishes: false });
    victim.connect(SERVER_ADDRESS, pattern === "IK" ? pair.server.identity.publicKey : undefined);
    pair.advance(seconds(60));
    assert.ok(victim.receivedBytes > 0 && victim.receivedBytes <= 3 * 1200, `${victim.receivedBytes} bytes`);
    assert.equal(pair.server.endpoint.connectionCount, 0, "given up");
    for (let i = 0; i < 20; i++) victim.sendBytes(victim.hello!);
    pair.advance(seconds(60));
    assert.ok(victim.receivedBytes <= 3 * 22 * 1200, `${victim.receivedBytes} bytes`);
  });

  test(`a ${pattern} responder that falls silent is given up when the handshake's time is over`, () => {
    const pair = makePair({ pattern, clientSettings: { handshakeTimeout: seconds(5) } });
    pair.down.intercept = (bytes) => isHandshake(bytes) ? "pass" : "drop";
    const connection = pair.connect();
    assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(60)));
    assert.deepEqual([pair.client.ended[0].reason.by, pair.network.now], ["handshake_timeout", seconds(5)]);
    assert.equal(connection.confirmed, false);
  });
}

test("packets that overtake the end of an XX handshake are kept, not sent again", () => {
  const pair = makePair({ pattern: "XX", profile: { delay: millis(25) } });
  // Datagram 1 of the client holds its finish.
  pair.up.intercept = (_bytes, index) => index === 1 ? millis(8) : "pass";
  const connection = pair.connect();
  pair.clientTraffic.send(pair.client, connection, 9000);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 9000, seconds(5)));
  assert.equal(pair.network.now, millis(75 + 8));
  pair.advance(millis(100));
  const { retransmittedBytes, packetsLost } = connection.stats();
  assert.deepEqual([retransmittedBytes, packetsLost], [0, 0]);
  assert.equal(pair.serverConnection?.stats().dropped.undecryptable, 0);
});

test("an initiator that nobody answers repeats its hello at a bounded pace and gives up", () => {
  const pair = makePair({ clientSettings: { handshakeTimeout: seconds(10) } });
  pair.up.down = true;
  pair.connect();
  assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(60)));
  const { reason, at } = pair.client.ended[0];
  assert.deepEqual([reason.by, reason.hint, at], ["handshake_timeout", undefined, seconds(10)]);
  // At 0, 0.3, 0.8, 1.3 … 9.8 s.
  assert.equal(pair.up.counters.sent, 1 + 20);
  assert.equal(pair.client.endpoint.connectionCount, 0);
});

test("a hello for another static key is turned away, which shortens the wait and explains the failure", () => {
  const pair = makePair();
  const other = generateKeyPair(crypto.dh, new SeededRandom(5)).publicKey;
  pair.client.connect(SERVER_ADDRESS, { peerKey: other });
  assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(60)));
  const { reason, at } = pair.client.ended[0];
  assert.deepEqual([reason.by, reason.hint], ["handshake_timeout", "rejected_key"]);
  assert.ok(at <= seconds(1.1), `given up after ${at} µs`);
  assert.equal(pair.server.endpoint.connectionCount, 0);
  assert.ok(pair.server.endpoint.counters.failedHellos >= 1);
});

test("an impostor without the static key cannot answer in the responder's place", () => {
  const pair = makePair({ clientSettings: { handshakeTimeout: seconds(5) } });
  const key = pair.server.identity.publicKey;
  const impostor = new HostilePeer(pair.network, { address: SERVER_ADDRESS, crypto });
  pair.client.connect(SERVER_ADDRESS, { peerKey: key });
  assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(60)));
  assert.ok(impostor.handshakeMessages.length > 1);
  assert.equal(pair.client.ended[0].reason.by, "handshake_timeout");
});

test("a forged reject does not end a handshake that the responder answers in time", () => {
  const pair = makePair({ profile: { delay: millis(100) } });
  let hello = new Uint8Array(0);
  pair.up.intercept = (bytes) => {
    if (hello.length === 0) hello = bytes.slice();
    return "pass";
  };
  const connection = pair.connect();
  assert.ok(hello.length > 0);
  const out = new Uint8Array(100);
  const message = encodeReject(RejectCode.UNDECRYPTABLE, crypto.sha256.hash(hello.subarray(32)));
  const size = writeHandshakePacket(out, 0, connection.localId, 0, connection.localId, WIRE_VERSION, message);
  pair.client.receive(SERVER_ADDRESS, out.slice(0, size));
  assert.ok(pair.drive(() => connection.confirmed, seconds(5)));
});

test("a hello of another wire version is answered with the versions that are spoken", () => {
  const pair = makePair();
  const peer = new HostilePeer(pair.network, { address: STRANGER, crypto });
  pair.network.link(STRANGER, SERVER_ADDRESS).down = true;
  peer.connect(SERVER_ADDRESS);
  pair.network.link(STRANGER, SERVER_ADDRESS).down = false;
  const hello = peer.hello!.slice();
  hello[28] = 2;
  peer.sendBytes(hello);
  pair.advance(millis(100));
  assert.equal(peer.handshakeMessages.length, 1);
  const [message] = peer.handshakeMessages;
  assert.deepEqual([message.kind, readVersions(message)], [HandshakeKind.VERSION_NEGOTIATION, [WIRE_VERSION]]);
  assert.equal(pair.server.endpoint.connectionCount, 0);
  assert.equal(pair.server.endpoint.counters.unknownVersions, 1);
});

test("an initiator fails at once when the responder speaks other versions only", () => {
  const pair = makePair();
  answerWith(pair.network, encodeVersionNegotiation([2, 7]));
  pair.connect();
  assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(60)));
  const { reason, at } = pair.client.ended[0];
  assert.deepEqual([reason.by, at], ["version", millis(20)]);
  assert.match(reason.message, /2, 7/);
});

test("a version negotiation that lists the version in use is not believed", () => {
  const pair = makePair({ clientSettings: { handshakeTimeout: seconds(5) } });
  const counter = answerWith(pair.network, encodeVersionNegotiation([2, WIRE_VERSION]));
  pair.connect();
  assert.ok(pair.drive(() => pair.client.ended.length === 1, seconds(60)));
  assert.ok(counter.answers > 1);
  assert.equal(pair.client.ended[0].reason.by, "handshake_timeout");
});

test("a hello in a short datagram, and one with an unknown pattern, start nothing", () => {
  const pair = makePair();
  const peer = new HostilePeer(pair.network, { address: STRANGER, crypto });
  peer.connect(SERVER_ADDRESS);
  pair.advance(millis(50));
  const { counters } = pair.server.endpoint;
  assert.equal(counters.connectionsAccepted, 1);
  const messages = peer.handshakeMessages.length;
  const short = peer.hello!.slice(0, 1199);
  short[18] = 1199 - 32 & 0xff;
  short[19] = 1199 - 32 >> 8;
  peer.sendBytes(short);
  pair.advance(millis(50));
  assert.deepEqual([counters.droppedHello, counters.connectionsAccepted], [1, 1]);
  assert.equal(peer.handshakeMessages.length, messages, "nothing is answered to a datagram that is too short");
  const odd = peer.hello!.slice();
  odd[20] ^= 1; // another sender id, or it would count as a repetition
  odd[32 + 35] = 9;
  peer.sendBytes(odd);
  pair.advance(millis(50));
  assert.deepEqual([counters.failedHellos, counters.connectionsAccepted], [1, 1]);
  const last = peer.handshakeMessages.at(-1)!;
  assert.deepEqual([last.kind, readReject(last)], [HandshakeKind.REJECT, RejectCode.UNKNOWN_PATTERN]);
});

test("an IK initiator is believed only after its confirmation", () => {
  const pair = makePair();
  const peer = new HostilePeer(pair.network, { address: STRANGER, crypto, finishes: false });
  peer.connect(SERVER_ADDRESS, pair.server.identity.publicKey);
  pair.advance(millis(100));
  const connection = pair.serverConnection!;
  assert.deepEqual([connection.state, connection.isProven], ["handshake", false]);

  // The same finish, with a wrong confirmation.
  const link = pair.network.link(STRANGER, SERVER_ADDRESS);
  let finish: Uint8Array | undefined;
  link.intercept = (bytes) => {
    finish = bytes.slice();
    return "drop";
  };
  peer.sendFinish();
  link.intercept = undefined;
  const forged = finish!.slice();
  forged[forged.length - 1] ^= 1;
  peer.sendBytes(forged);
  pair.advance(millis(100));
  assert.deepEqual([connection.state, connection.isProven], ["handshake", false]);

  peer.sendBytes(finish!);
  pair.advance(millis(100));
  assert.deepEqual([connection.state, connection.confirmed], ["established", true]);
  assert.ok(peer.frames.some(({ type }) => type === "handshake_done"));
});

test("a protected packet proves an IK initiator as well as its finish does", () => {
  const pair = makePair();
  const peer = new HostilePeer(pair.network, { address: STRANGER, crypto, finishes: false });
  peer.connect(SERVER_ADDRESS, pair.server.identity.publicKey);
  pair.advance(millis(100));
  peer.send({ type: "ping" });
  pair.advance(millis(100));
  assert.equal(pair.serverConnection?.state, "established");
});

test("when too many handshakes are half open the oldest gives way, so that newcomers get in", () => {
  const pair = makePair({ serverSettings: { maxHalfOpen: 2, handshakeTimeout: seconds(3) } });
  for (let i = 0; i < 5; i++) {
    const peer = new HostilePeer(pair.network, { address: address("10.6.6.6", 100 + i), crypto, finishes: false });
    peer.connect(SERVER_ADDRESS);
  }
  pair.advance(millis(100));
  const { endpoint } = pair.server;
  assert.deepEqual([endpoint.halfOpenCount, endpoint.connectionCount, endpoint.counters.displacedHandshakes], [
    2,
    2,
    3,
  ]);
  assert.ok(pair.establish());
  pair.advance(seconds(4));
  assert.deepEqual([endpoint.halfOpenCount, endpoint.connectionCount], [0, 1]);
});

test("two endpoints connect to each other at the same time", () => {
  const pair = makePair();
  const other = new SimulatedNode(pair.network, { address: STRANGER, crypto, invariants: pair.invariants });
  const there = other.connect(SERVER_ADDRESS, { peerKey: pair.server.identity.publicKey });
  const back = pair.server.connect(STRANGER, { peerKey: other.identity.publicKey });
  assert.ok(pair.drive(() => there.confirmed && back.confirmed, seconds(5)));
  assert.deepEqual([other.connections.length, pair.server.connections.length], [2, 2]);
});

test("connecting to a bad port or with a key of the wrong length is the caller's mistake", () => {
  const pair = makePair();
  assert.throws(() => pair.client.connect(address("10.0.0.2", 0)), RangeError);
  assert.throws(() => pair.client.connect(SERVER_ADDRESS, { peerKey: new Uint8Array(31) }), RangeError);
});
