import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, address } from "../../lib/base/address.ts";
import { micros, millis, NEVER, seconds } from "../../lib/base/time.ts";
import { selectProvider } from "../../lib/crypto/select.ts";
import { AddressProofs } from "../../lib/testing/address_proofs.ts";
import { CreditLedger } from "../../lib/testing/credit_ledger.ts";
import { InvariantError, Invariants, type WatchedNode } from "../../lib/testing/invariants.ts";
import { Pair } from "../../lib/testing/pair.ts";
import { Pattern } from "../../lib/testing/pattern.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import { PacketKeys } from "../../lib/transport/packet_protection.ts";
import { ConnectionId } from "../../lib/wire/connection_id.ts";
import { encodeFrame, type Frame } from "../../lib/wire/frames.ts";
import { writePacketHeader } from "../../lib/wire/packet_header.ts";
import { makeStreamId } from "../../lib/wire/stream_id.ts";

const crypto = selectProvider();
const HERE = address("10.0.0.1", 1);
const THERE = address("10.0.0.2", 2);
const INITIATOR = new ConnectionId(new Uint8Array(8).fill(1));
const RESPONDER = new ConnectionId(new Uint8Array(8).fill(2));
const CREDIT = {
  maxData: 1000,
  maxStreamData: 600,
  maxStreamsBidi: 2,
  maxStreamsUni: 1,
  maxDataWindow: 1200,
  maxStreamWindow: 800,
};

/** As much of a connection as the rules look at. */
interface FakeConnection {
  role: "initiator" | "responder";
  state: string;
  isProven: boolean;
  bytesInFlight: number;
  congestionWindow: number;
  probeTimeouts: number;
  timeout: number;
}

function fakes(overrides: Partial<FakeConnection> = {}): {
  rules: Invariants;
  node: WatchedNode;
  fake: FakeConnection;
  connection: Connection;
} {
  const rules = new Invariants(() => micros(1000));
  const endpoint = { settings: { maxConnections: 10, maxHalfOpen: 2 }, connectionCount: 1, halfOpenCount: 1 };
  const node = { address: HERE, endpoint } as unknown as WatchedNode;
  const fake: FakeConnection = {
    role: "responder",
    state: "established",
    isProven: false,
    bytesInFlight: 0,
    congestionWindow: 12_000,
    probeTimeouts: 0,
    timeout: 5000,
    ...overrides,
  };
  const connection = Object.assign(fake, {
    remote: THERE,
    remoteId: undefined,
    isAddressValidated: (where: Address) => fake.isProven && where.key === THERE.key,
    pollTimeout: () => fake.timeout,
    stats: () => ({ probeTimeouts: fake.probeTimeouts }),
  }) as unknown as Connection;
  return { rules, node, fake, connection };
}

/** The seal of one packet, as the ledger sees it. */
function seal(ledger: CreditLedger, to: ConnectionId, packetNumber: number, ...frames: Frame[]): string | undefined {
  const header = new Uint8Array(32), nonce = new Uint8Array(12).fill(7);
  writePacketHeader(header, 0, to, packetNumber, 0, 100, nonce);
  const plain = frames.map(encodeFrame).flatMap((bytes) => [...bytes]);
  return ledger.onSeal(nonce, header, new Uint8Array(plain));
}

function ledger(): CreditLedger {
  const result = new CreditLedger();
  result.open(INITIATOR, RESPONDER, CREDIT, CREDIT);
  return result;
}

function data(index: number, offset: number, length: number, role: 0 | 1 = 0): Frame {
  const streamId = makeStreamId(index, role, 0);
  return { type: "stream_data", streamId, offset, data: new Uint8Array(length), fin: false, openClass: undefined };
}

test("sealing twice with one nonce under one key is noticed, whoever does it", () => {
  const rules = new Invariants(() => micros(0));
  const secret = new Uint8Array(32).fill(3), out = new Uint8Array(100);
  const make = (): PacketKeys => new PacketKeys(rules.watch(crypto, HERE).chacha20poly1305, crypto.sha256, secret);
  const keys = make(), others = make();
  keys.seal(out, 0, 50, RESPONDER, 0, 0);
  keys.seal(out, 0, 50, RESPONDER, 1, 0);
  others.seal(out, 0, 50, RESPONDER, 2, 0);
  assert.throws(() => others.seal(out, 0, 50, RESPONDER, 1, 0), InvariantError);
  assert.throws(() => keys.seal(out, 0, 50, RESPONDER, 2, 0), InvariantError);
  assert.equal(rules.keyCount, 1);
});

test("packet numbers without gaps and data within the credit are right", () => {
  const book = ledger();
  assert.equal(seal(book, RESPONDER, 0, data(0, 0, 600)), undefined);
  assert.equal(
    seal(book, RESPONDER, 1, data(0, 0, 600), data(1, 0, 400)),
    undefined,
    "sent again, and up to the limit",
  );
  assert.equal(book.dataSentTo(RESPONDER), 1000);
});

test("more than one packet number left out is noticed", () => {
  assert.equal(seal(ledger(), RESPONDER, 1, { type: "ping" }), undefined);
  assert.match(seal(ledger(), RESPONDER, 2, { type: "ping" }) ?? "", /packet 2 follows on packet -1/);
});

test("a DATAGRAM frame that is larger than was allowed, or any where none is, is noticed", () => {
  const frame = (size: number): Frame => ({ type: "datagram", data: new Uint8Array(size) });
  const book = new CreditLedger();
  book.open(INITIATOR, RESPONDER, { ...CREDIT, maxDatagramFrame: 0 }, { ...CREDIT, maxDatagramFrame: 100 });
  assert.equal(seal(book, RESPONDER, 0, frame(100)), undefined);
  assert.match(seal(book, RESPONDER, 1, frame(101)) ?? "", /a DATAGRAM frame of 101 bytes, of 100/);
  assert.match(seal(book, INITIATOR, 0, frame(0)) ?? "", /a DATAGRAM frame of 0 bytes, of 0/);
});

test("more than a stream's credit is noticed, until there is more credit", () => {
  const book = ledger();
  assert.match(seal(book, RESPONDER, 0, data(0, 600, 1)) ?? "", /601 bytes on stream 0, of 600/);
  const other = ledger();
  assert.equal(
    seal(other, INITIATOR, 0, { type: "stream_max_data", streamId: makeStreamId(0, 0, 0), limit: 700 }),
    undefined,
  );
  assert.equal(seal(other, RESPONDER, 0, data(0, 600, 1)), undefined);
});

test("more than the connection's credit is noticed, until there is more credit", () => {
  const book = ledger();
  seal(book, RESPONDER, 0, data(0, 0, 600));
  assert.match(seal(book, RESPONDER, 1, data(1, 400, 1)) ?? "", /1001 bytes of streams, of 1000/);
  const other = ledger();
  seal(other, INITIATOR, 0, { type: "connection_max_data", limit: 1100 });
  seal(other, RESPONDER, 0, data(0, 0, 600));
  assert.equal(seal(other, RESPONDER, 1, data(1, 400, 1)), undefined);
});

test("credit beyond what a side has room for is noticed", () => {
  const book = ledger();
  const stream = (limit: number): Frame => ({ type: "stream_max_data", streamId: makeStreamId(0, 0, 0), limit });
  assert.equal(seal(book, INITIATOR, 0, stream(800), { type: "connection_max_data", limit: 1200 }), undefined);
  assert.match(seal(book, INITIATOR, 1, stream(801)) ?? "", /allows 801 bytes on stream 0/);
  seal(book, RESPONDER, 0, data(0, 0, 100));
  assert.equal(seal(book, INITIATOR, 2, stream(900), { type: "connection_max_data", limit: 1300 }), undefined);
  assert.match(seal(book, INITIATOR, 3, { type: "connection_max_data", limit: 1301 }) ?? "", /allows 1301 bytes/);
});

test("a stream that is not allowed yet, and an acknowledgement of what was not sent, are noticed", () => {
  const book = ledger();
  assert.match(seal(book, RESPONDER, 0, data(2, 0, 1)) ?? "", /stream 8, of 2/);
  const ack: Frame = { type: "ack", largest: 5, delay: 0, ranges: [{ start: 5, end: 5 }] };
  assert.match(seal(book, INITIATOR, 0, ack) ?? "", /acknowledged packet 5, of 0/);
});

test("an answer to a stream of the other side needs no permission to open one", () => {
  const book = ledger();
  seal(book, RESPONDER, 0, data(0, 0, 1));
  assert.equal(seal(book, INITIATOR, 0, data(0, 0, 1)), undefined);
  assert.equal(seal(book, INITIATOR, 1, data(1, 0, 1, 1)), undefined);
  assert.match(seal(book, INITIATOR, 2, data(2, 0, 1, 1)) ?? "", /of 2 that are allowed/);
});

test("more than three times what an unproven address has sent is noticed", () => {
  const { rules, node, connection, fake } = fakes();
  rules.onReceived(node, THERE, 100);
  rules.onSent(node, THERE, 300, connection);
  assert.throws(() => rules.onSent(node, THERE, 1, connection), /301 bytes/);
  assert.throws(() => rules.onSent(node, THERE, 1, undefined), InvariantError, "stateless answers count as well");
  fake.isProven = true;
  rules.onSent(node, THERE, 10_000, connection);
  const elsewhere = address("10.9.9.9", 9);
  assert.throws(() => rules.onSent(node, elsewhere, 1, connection), /1 bytes/, "every address has to prove itself");
});

test("more in flight than the window is noticed, unless it is a probe", () => {
  const { rules, node, connection, fake } = fakes();
  const transmit = (bytesInFlight: number): void => {
    fake.bytesInFlight = bytesInFlight;
    rules.afterTransmit(node, connection);
  };
  transmit(12_000);
  assert.throws(() => transmit(12_001), /12001 bytes in flight, window 12000/);
  const other = fakes({ probeTimeouts: 1, congestionWindow: 1000, bytesInFlight: 1000 });
  for (const bytes of [1100, 1200]) {
    other.fake.bytesInFlight = bytes;
    other.rules.afterTransmit(other.node, other.connection);
  }
  other.fake.bytesInFlight = 1300;
  assert.throws(() => other.rules.afterTransmit(other.node, other.connection), /3 times beyond it, after 1/);
});

test("something in flight without a timer, and a timer that stands still, are noticed", () => {
  const { rules, node, connection, fake } = fakes({ timeout: NEVER });
  rules.afterStep(node, connection);
  fake.bytesInFlight = 1;
  assert.throws(() => rules.afterStep(node, connection), /no timer is armed/);
  fake.timeout = 1000;
  assert.throws(() => rules.afterStep(node, connection), /does not move on/);
  fake.state = "closed";
  rules.afterStep(node, connection);
});

test("an event after closed, and an event that comes twice, are noticed", () => {
  const { rules, node, connection } = fakes();
  rules.onEvent(node, connection, { type: "established" });
  assert.throws(() => rules.onEvent(node, connection, { type: "established" }), /reported twice/);
  rules.onEvent(node, connection, { type: "closed", reason: { by: "local", code: 0, message: "" } });
  assert.throws(() => rules.onEvent(node, connection, { type: "confirmed" }), /after closed/);
});

test("a byte that is wrong, missing, doubled or on another stream is noticed", () => {
  const pattern = new Pattern();
  const bytes = pattern.piece(4, 100, 50).slice();
  assert.equal(pattern.firstDifference(4, 100, bytes), -1);
  bytes[7] ^= 1;
  assert.equal(pattern.firstDifference(4, 100, bytes), 7);
  bytes[7] ^= 1;
  for (const [stream, offset] of [[4, 99], [4, 101], [4, 150], [5, 100], [0, 100]]) {
    assert.ok(pattern.firstDifference(stream, offset, bytes) >= 0, `stream ${stream}, offset ${offset}`);
  }
});

test("a pattern goes on for ever, piece by piece", () => {
  const pattern = new Pattern();
  let at = 0;
  while (at < 200_000) {
    const piece = pattern.piece(3, at, 200_000 - at);
    assert.ok(piece.length > 0);
    assert.equal(pattern.firstDifference(3, at, piece), -1);
    at += piece.length;
  }
});

test("rules are checked at every step of a simulation", () => {
  const pair = new Pair({ seed: 1, crypto, profile: { delay: millis(5) } });
  pair.establish();
  pair.clientTraffic.send(pair.client, pair.connection, 50_000);
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 50_000, seconds(10)));
  assert.ok(pair.invariants !== undefined && pair.invariants.checks > 200, `${pair.invariants?.checks} checks`);
  assert.equal(pair.invariants.dataSent(pair.connection), 50_000);
});

test("a peer that delivers other bytes than were sent makes the simulation throw", () => {
  const pair = new Pair({ seed: 1, crypto, profile: { delay: millis(5) } });
  pair.establish();
  const id = pair.connection.openStream(true, 2);
  assert.ok(id !== -1);
  pair.connection.write(id, new Uint8Array(100), true);
  assert.throws(() => pair.drive(() => pair.serverTraffic.delivered === 100, seconds(1)), InvariantError);
});

test("a connection that believes in another address without an answered challenge is noticed", () => {
  const { rules, node, connection } = fakes();
  Object.assign(connection, { isAddressValidated: () => true });
  rules.onSent(node, THERE, 9000, connection);
  assert.throws(() => rules.onSent(node, address("10.0.0.3", 3), 100, connection), /nobody has answered a challenge/);
});

test("an address is proven by a challenge that went there and was answered, and by no other", () => {
  const proofs = new AddressProofs(), connection = {}, elsewhere = address("10.0.0.3", 3);
  assert.equal(proofs.isProven(connection, THERE), true, "where the handshake was");
  proofs.onChallenge("a");
  proofs.onSent(elsewhere);
  proofs.onChallenge("b");
  proofs.onSent(HERE);
  assert.equal(proofs.isProven(connection, elsewhere), false);
  proofs.onResponse("b");
  assert.equal(proofs.isProven(connection, elsewhere), false);
  proofs.onResponse("a");
  assert.equal(proofs.isProven(connection, elsewhere), true);
});
