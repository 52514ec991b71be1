import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "../../lib/base/bytes.ts";
import { micros, seconds } from "../../lib/base/time.ts";
import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import type { Endpoint } from "../../lib/transport/endpoint.ts";
import type { TransportSettings } from "../../lib/transport/settings.ts";
import { ConnectionId, randomConnectionId, ZERO_CONNECTION_ID } from "../../lib/wire/connection_id.ts";
import { HandshakeKind, HandshakePattern, PACKET_HEADER_SIZE, WIRE_VERSION } from "../../lib/wire/constants.ts";
import { RejectCode } from "../../lib/wire/error_codes.ts";
import {
  decodeHandshakeMessage,
  encodeHandshakeMessage,
  encodeVersionNegotiation,
  type HandshakeMessage,
  readReject,
  readVersions,
} from "../../lib/wire/handshake_message.ts";
import { PacketReader, writeHandshakePacket } from "../../lib/wire/packet_header.ts";
import { testSeed } from "../support/seed.ts";
import {
  answers,
  crypto,
  ELSEWHERE,
  events,
  eventTypes,
  HERE,
  THERE,
  transmit,
  TwoEndpoints,
} from "./two_endpoints.ts";

const ID_OFFSET = PACKET_HEADER_SIZE - 12;
const VERSION_OFFSET = PACKET_HEADER_SIZE - 4;

/** A handshake packet with any message, padded with nothing. */
function handshakePacket(dst: ConnectionId, sender: ConnectionId, message: Uint8Array): Uint8Array {
  const packet = new Uint8Array(PACKET_HEADER_SIZE + message.length);
  writeHandshakePacket(packet, 0, dst, 0, sender, WIRE_VERSION, message);
  return packet;
}

/** The smallest hello there is: XX without padding. */
function smallHello(random: SeededRandom): Uint8Array {
  const ephemeral = generateKeyPair(crypto.dh, random).publicKey;
  const message = encodeHandshakeMessage(HandshakeKind.INITIATOR_HELLO, ephemeral, Uint8Array.of(HandshakePattern.XX));
  return handshakePacket(ZERO_CONNECTION_ID, randomConnectionId(random), message);
}

/** A protected packet that nobody sealed. */
function forgedPacket(dst: ConnectionId): Uint8Array {
  const packet = new Uint8Array(PACKET_HEADER_SIZE + 40);
  packet.set(dst.bytes);
  packet[18] = 40;
  return packet;
}

/** The message in the first packet of a UDP datagram. */
function messageIn(datagram: Uint8Array): HandshakeMessage {
  const reader = new PacketReader();
  reader.reset(datagram);
  assert.ok(reader.next());
  const message = decodeHandshakeMessage(datagram, reader.bodyStart, reader.end);
  assert.ok(message !== undefined);
  return message;
}

function bytesIn(datagrams: readonly Uint8Array[]): number {
  return datagrams.reduce((sum, { length }) => sum + length, 0);
}

/** What all connections of an endpoint have to send. */
function transmitAll(endpoint: Endpoint, pair: TwoEndpoints): Uint8Array[] {
  return [...endpoint.connections].flatMap((connection) => transmit(connection, pair.now));
}

test("connecting to nowhere, or with what is no key, is the caller's mistake", () => {
  const { client } = new TwoEndpoints();
  const nobody = { host: "192.0.2.2", port: 0, key: "192.0.2.2:0" };
  assert.throws(() => client.connect(micros(0), nobody), { name: "RangeError", message: "cannot connect to port 0" });
  assert.throws(() => client.connect(micros(0), THERE, { peerKey: new Uint8Array(31) }), RangeError);
  assert.throws(() => client.connect(micros(0), THERE, { peerKey: new Uint8Array(32) }), RangeError);
  assert.equal(client.connectionCount, 0);
});

test("a hello fills the smallest UDP datagram that a responder takes", () => {
  for (const pattern of ["IK", "XX"] as const) {
    const pair = new TwoEndpoints();
    assert.deepEqual(transmit(pair.connect(pattern), pair.now).map(({ length }) => length), [1200]);
  }
});

test("a hello in too short a UDP datagram, or without a sender, or to who accepts nobody, is dropped in silence", () => {
  const pair = new TwoEndpoints();
  const [hello] = transmit(pair.connect(), pair.now);
  // Sound in itself: with a few zeros behind it, it would begin a connection.
  const short = new Uint8Array(1199);
  short.set(smallHello(new SeededRandom(1)));
  const anonymous = hello.slice();
  anonymous.fill(0, ID_OFFSET, ID_OFFSET + 8);
  assert.equal(pair.toServer([short, anonymous]), undefined);
  assert.equal(pair.server.counters.droppedHello, 2);
  assert.equal(pair.toClient([hello]), undefined);
  assert.equal(pair.client.counters.droppedHello, 1);
  assert.deepEqual([...answers(pair.server), ...answers(pair.client)], []);
  assert.equal(pair.server.connectionCount, 0);
  const long = new Uint8Array(1200);
  long.set(short);
  assert.notEqual(pair.toServer([long]), undefined);
});

test("the same hello again is answered with the same hello, by the same connection", () => {
  const pair = new TwoEndpoints();
  const hello = transmit(pair.connect(), pair.now);
  const first = pair.toServer(hello)!;
  const [answer] = transmit(first, pair.now);
  assert.equal(pair.toServer(hello), first);
  const [repeated] = transmit(first, pair.now);
  assert.deepEqual(messageIn(repeated), messageIn(answer));
  assert.equal(pair.server.connectionCount, 1);
  assert.equal(pair.server.counters.connectionsAccepted, 1);
  assert.equal(pair.toServer(hello, ELSEWHERE) === first, false, "from elsewhere it is another one");
});

test("an altered copy of a hello does not stand in the way of the real one, whichever comes first", () => {
  const stranger = generateKeyPair(crypto.dh, new SeededRandom(9)).publicKey;
  const alterations: ((hello: Uint8Array) => void)[] = [
    (hello) => hello.set(stranger, PACKET_HEADER_SIZE + 1),
    // Another parameter in place of the padding, of a type that nobody knows.
    (hello) => hello[PACKET_HEADER_SIZE + 36] = 0xee,
  ];
  for (const alter of alterations) {
    for (const copyFirst of [true, false]) {
      const pair = new TwoEndpoints();
      const client = pair.connect("XX");
      const [hello] = transmit(client, pair.now);
      const copy = hello.slice();
      alter(copy);
      pair.toServer(copyFirst ? [copy, hello] : [hello, copy]);
      assert.equal(pair.server.connectionCount, 2);
      pair.toServer([copy, hello, copy]);
      assert.equal(pair.server.connectionCount, 2);
      pair.toClient(transmitAll(pair.server, pair));
      assert.equal(client.state, "established");
      pair.toServer(transmit(client, pair.now));
      assert.equal(pair.server.halfOpenCount, 1);
    }
  }
});

test("a damaged hello that needs no key is not answered as if it had the wrong one", () => {
  const pair = new TwoEndpoints();
  const [hello] = transmit(pair.connect("XX"), pair.now);
  hello[1199] = 1;
  pair.toServer([hello]);
  assert.equal(pair.server.counters.failedHellos, 1);
  assert.deepEqual(answers(pair.server), []);
});

test("a UDP datagram begins one connection at most, whatever else is in it", () => {
  const pair = new TwoEndpoints(), random = new SeededRandom(3);
  const hellos = concatBytes(...Array.from({ length: 900 }, () => smallHello(random)));
  pair.toServer([hellos]);
  assert.equal(pair.server.connectionCount, 1);
  assert.equal(pair.server.counters.droppedForeign, 899);
  assert.ok(bytesIn(transmitAll(pair.server, pair)) <= 3 * hellos.length);
});

test("many small hellos to an overloaded endpoint earn one answer a UDP datagram", () => {
  const pair = new TwoEndpoints({ server: { settings: { maxConnections: 1 } } }), random = new SeededRandom(3);
  pair.toServer([concatBytes(...Array.from({ length: 20 }, () => smallHello(random)))]);
  pair.toServer([concatBytes(...Array.from({ length: 20 }, () => smallHello(random)))]);
  assert.equal(answers(pair.server).length, 1);
});

test("the packets of a UDP datagram are for the connection that its first one names", () => {
  const pair = new TwoEndpoints();
  const [first, second] = [pair.connect(), pair.connect()].map((c) => pair.toServer(transmit(c, pair.now))!);
  const mixed = concatBytes(...[first, second, first, second].map(({ localId }) => forgedPacket(localId)));
  assert.equal(pair.toServer([mixed]), first);
  assert.equal(first.stats().bytesReceived, 1200 + mixed.length);
  assert.equal(second.stats().bytesReceived, 1200);
  assert.equal(pair.server.counters.droppedForeign, 2);
});

test("a repeated hello counts once towards the limit of what may be sent, however often a UDP datagram holds it", () => {
  const pair = new TwoEndpoints(), random = new SeededRandom(3);
  const datagram = new Uint8Array(1200);
  const hello = smallHello(random);
  for (let at = 0; at + hello.length <= datagram.length; at += hello.length) datagram.set(hello, at);
  const connection = pair.toServer([datagram])!;
  assert.equal(connection.stats().bytesReceived, 1200);
  let sent = bytesIn(transmit(connection, pair.now));
  const toItsId = datagram.slice(0, hello.length);
  toItsId.set(connection.localId.bytes);
  for (let i = 0; i < 100; i++) {
    pair.toServer([toItsId], ELSEWHERE);
    sent += bytesIn(transmit(connection, pair.now));
  }
  assert.ok(sent <= 3600, `${sent} bytes to an address that sent 1200`);
  assert.ok(sent > 3000);
});

test("an unknown version is answered with ours, once for each UDP datagram, and never for a short one", () => {
  const pair = new TwoEndpoints();
  const [hello] = transmit(pair.connect(), pair.now);
  hello[VERSION_OFFSET] = 9;
  pair.toServer([hello, hello.slice(0, 1199)]);
  const [answer, ...more] = answers(pair.server);
  assert.deepEqual(more, []);
  assert.deepEqual(readVersions(messageIn(answer)), [WIRE_VERSION]);
  assert.deepEqual(pair.server.transmitRemote, HERE);
  assert.equal(pair.server.counters.unknownVersions, 1);
});

test("an initiator that is told of other versions only gives up, and says which; a list with its own is ignored", () => {
  const pair = new TwoEndpoints();
  const connection = pair.connect();
  transmit(connection, pair.now);
  const { localId } = connection;
  pair.toClient([handshakePacket(localId, localId, encodeVersionNegotiation([WIRE_VERSION, 7]))]);
  assert.equal(connection.state, "handshake");
  const many = Array.from({ length: 10_000 }, (_, i) => i + 2);
  pair.toClient([handshakePacket(localId, localId, encodeVersionNegotiation(many))]);
  assert.equal(connection.state, "closed");
  assert.equal(connection.closeReason?.by, "version");
  assert.match(connection.closeReason!.message, /wire versions 2, 3, /);
  assert.ok(connection.closeReason!.message.length < 200);
});

test("a version negotiation does not end a connection that stands", () => {
  const pair = new TwoEndpoints();
  const { client } = pair.establish();
  pair.toClient([handshakePacket(client.localId, client.localId, encodeVersionNegotiation([7]))]);
  assert.equal(client.state, "established");
});

test("hellos that fail are answered with the reason, and leave nothing behind", () => {
  const strangers = generateKeyPair(crypto.dh, new SeededRandom(77)).publicKey;
  const pair = new TwoEndpoints();
  const [wrongKey] = transmit(pair.client.connect(pair.now, THERE, { peerKey: strangers }), pair.now);
  const [hello] = transmit(pair.connect(), pair.now);
  const wrongPattern = hello.slice();
  wrongPattern[PACKET_HEADER_SIZE + 35] = 0x44;
  pair.toServer([wrongKey, wrongPattern]);
  assert.equal(pair.server.counters.failedHellos, 2);
  const codes = answers(pair.server).map((answer) => readReject(messageIn(answer)));
  assert.deepEqual(codes, [RejectCode.UNDECRYPTABLE, RejectCode.UNKNOWN_PATTERN]);
  assert.equal(pair.server.connectionCount, 0);
  assert.equal(pair.server.halfOpenCount, 0);
});

test("beyond the limit of connections hellos are turned away", () => {
  const pair = new TwoEndpoints({ server: { settings: { maxConnections: 2 } } });
  for (let i = 0; i < 3; i++) pair.toServer(transmit(pair.connect(), pair.now));
  assert.equal(pair.server.connectionCount, 2);
  assert.equal(pair.server.counters.refusedHellos, 1);
  assert.deepEqual(answers(pair.server).map((a) => readReject(messageIn(a))), [RejectCode.OVERLOADED]);
});

test("beyond the limit of those that have proven nothing the oldest gives way", () => {
  const pair = new TwoEndpoints({ server: { settings: { maxHalfOpen: 2 } } });
  const { server: standing } = pair.establish();
  const waiting = [1, 2].map(() => pair.toServer(transmit(pair.connect(), pair.now))!);
  assert.equal(pair.server.takeDisplaced(), undefined);
  pair.toServer(transmit(pair.connect(), pair.now));
  const displaced = pair.server.takeDisplaced();
  assert.equal(displaced, waiting[0]);
  assert.equal(pair.server.takeDisplaced(), undefined);
  assert.equal(displaced.state, "closed");
  assert.deepEqual(eventTypes(displaced), ["closed"]);
  pair.server.forget(displaced);
  assert.deepEqual([pair.server.halfOpenCount, pair.server.connectionCount], [2, 3]);
  assert.equal(standing.state, "established");
});

test("a connection that stands does not count as half open, and one that is given up does not either", () => {
  const pair = new TwoEndpoints({ server: { settings: { maxHalfOpen: 1 } } });
  const { server } = pair.establish();
  assert.equal(pair.server.halfOpenCount, 0);
  const other = pair.toServer(transmit(pair.connect(), pair.now))!;
  assert.equal(pair.server.halfOpenCount, 1);
  pair.now = micros(pair.now + seconds(31));
  other.handleTimeout(pair.now);
  assert.equal(other.closeReason?.by, "handshake_timeout");
  pair.server.forget(other);
  assert.equal(pair.server.halfOpenCount, 0);
  assert.ok(pair.toServer(transmit(pair.connect(), pair.now)) !== undefined);
  assert.notEqual(server.state, "closed");
});

test("answers that nobody collects are bounded and counted", () => {
  const pair = new TwoEndpoints();
  const [hello] = transmit(pair.connect(), pair.now);
  hello[VERSION_OFFSET] = 9;
  for (let i = 0; i < 1000; i++) pair.toServer([hello]);
  assert.equal(pair.server.counters.droppedAnswers, 1000 - 256);
  assert.equal(answers(pair.server).length, 256);
});

test("packets for unknown ids are counted and answered once a UDP datagram, bytes that are no packets are only counted", () => {
  const pair = new TwoEndpoints();
  const nobody = new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  pair.toServer([forgedPacket(nobody), concatBytes(forgedPacket(nobody), forgedPacket(nobody))]);
  pair.toServer([new Uint8Array(0), new Uint8Array(31), new Uint8Array(1200).fill(255)]);
  assert.equal(pair.server.counters.droppedUnknownConnection, 3);
  assert.equal(pair.server.counters.droppedMalformed, 3);
  assert.equal(pair.server.counters.datagramsReceived, 5);
  assert.equal(answers(pair.server).length, 2);
});

test("only a connection that is over can be forgotten, and then its packets are nobody's", () => {
  const pair = new TwoEndpoints();
  const { client, server } = pair.establish();
  assert.throws(() => pair.server.forget(server), {
    name: "TypeError",
    message: "cannot forget a connection that is established",
  });
  server.close(pair.now, 0, "");
  const close = transmit(server, pair.now);
  pair.toClient(close);
  for (const [endpoint, connection] of [[pair.client, client], [pair.server, server]] as const) {
    connection.handleTimeout(connection.pollTimeout());
    assert.equal(connection.state, "closed");
    endpoint.forget(connection);
    assert.equal(endpoint.connectionCount, 0);
  }
  pair.toClient(close);
  assert.equal(pair.client.counters.droppedUnknownConnection, 1);
});

test("a hello that was recorded and is played back later opens nothing", () => {
  const pair = new TwoEndpoints();
  const connection = pair.connect();
  const hello = transmit(connection, pair.now);
  const first = pair.toServer(hello)!;
  pair.exchange(connection, first);
  assert.equal(first.state, "established");
  const replayed = pair.toServer(hello, ELSEWHERE)!;
  transmit(replayed, pair.now);
  pair.wait(31_000);
  replayed.handleTimeout(pair.now);
  assert.deepEqual(eventTypes(replayed), ["closed"]);
  assert.equal(replayed.closeReason?.by, "handshake_timeout");
});

test("an endpoint can connect to itself", () => {
  const { server: endpoint, serverIdentity, now } = new TwoEndpoints();
  const initiator = endpoint.connect(now, THERE, { peerKey: serverIdentity.publicKey });
  const carry = (from: typeof initiator) => {
    for (const bytes of transmit(from, now)) endpoint.handleDatagram(now, THERE, bytes);
  };
  carry(initiator);
  const responder = [...endpoint.connections][1];
  carry(responder);
  carry(initiator);
  carry(responder);
  assert.equal(responder.state, "established");
  assert.deepEqual(eventTypes(initiator), ["established", "confirmed"]);
});

test("settings that no peer would accept are refused when the endpoint is made", () => {
  const wrong: Partial<TransportSettings>[] = [
    { maxData: 20_000.5 },
    { maxStreamsBidi: 0.5 },
    { maxUdpPayload: 1200.5 },
    { udpPayload: 1199 },
    { idleTimeout: micros((2 ** 32 - 1) * 1000 + 1) },
    { maxAckDelay: micros(Number.NaN) },
  ];
  for (const settings of wrong) assert.throws(() => new TwoEndpoints({ server: { settings } }), RangeError);
  const settings = { idleTimeout: micros((2 ** 32 - 1) * 1000), maxAckDelay: micros(999_999.5) };
  const pair = new TwoEndpoints({ client: { settings }, server: { settings } });
  assert.equal(pair.establish().server.state, "established");
});

test("no bytes make an endpoint throw, or shake a connection that stands", () => {
  const pair = new TwoEndpoints(), random = new SeededRandom(testSeed);
  const standing = pair.establish();
  const handshaking = pair.connect("XX");
  const halfOpen = pair.toServer(transmit(handshaking, pair.now))!;
  const seen = [
    ...transmit(pair.connect("IK"), pair.now),
    ...transmit(halfOpen, pair.now),
    forgedPacket(standing.server.localId),
    forgedPacket(standing.client.localId),
    handshakePacket(
      halfOpen.localId,
      handshaking.localId,
      encodeHandshakeMessage(3, new Uint8Array(32), new Uint8Array(60)),
    ),
  ];
  for (let i = 0; i < 3000; i++) {
    const bytes = seen[random.below(seen.length)].slice(0, random.chance(0.3) ? random.below(1200) : undefined);
    for (let flips = 1 + random.below(4); flips > 0; flips--) {
      const at = random.chance(0.5) ? random.below(PACKET_HEADER_SIZE) : random.below(Math.max(1, bytes.length));
      if (at < bytes.length) bytes[at] ^= 1 << random.below(8);
    }
    pair.toServer([bytes], ELSEWHERE);
    pair.toClient([bytes], ELSEWHERE);
    answers(pair.server);
    transmitAll(pair.server, pair);
  }
  assert.equal(standing.server.state, "established");
  assert.equal(standing.client.state, "established");
  pair.exchange(standing.client, standing.server);
  assert.deepEqual(events(standing.server), []);
});
