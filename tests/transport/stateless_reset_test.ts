import assert from "node:assert/strict";
import { test } from "node:test";
import { readU16, toHex } from "../../lib/base/bytes.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { MIN_RESET_SIZE, PeerResetTokens, ResetTokens } from "../../lib/transport/stateless_reset.ts";
import { ConnectionId, isZeroConnectionId } from "../../lib/wire/connection_id.ts";
import { PacketReader } from "../../lib/wire/packet_header.ts";
import { testSeed } from "../support/seed.ts";
import { answers, crypto, ELSEWHERE, events, THERE, transmit, TwoEndpoints } from "./two_endpoints.ts";

const { sha256 } = crypto;
const KEY = new Uint8Array(32).fill(7);
const ID = new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
const OTHER_ID = new ConnectionId(Uint8Array.of(2, 2, 3, 4, 5, 6, 7, 8));

test("a token follows from the static key and the connection id alone", () => {
  const token = new ResetTokens(sha256, KEY).of(ID);
  assert.equal(token.length, 16);
  assert.equal(toHex(new ResetTokens(sha256, KEY.slice()).of(ID)), toHex(token));
  assert.notEqual(toHex(new ResetTokens(sha256, KEY).of(OTHER_ID)), toHex(token));
  assert.notEqual(toHex(new ResetTokens(sha256, new Uint8Array(32).fill(8)).of(ID)), toHex(token));
});

test("a reset looks like a protected packet, is smaller than what it answers and ends with the token", () => {
  const tokens = new ResetTokens(sha256, KEY), random = new SeededRandom(testSeed), reader = new PacketReader();
  const sizes = new Set<number>();
  for (let i = 0; i < 500; i++) {
    const size = i % 2 === 0 ? 1200 : MIN_RESET_SIZE + 1 + i % 7;
    const packet = tokens.packet(ID, size, random)!;
    assert.ok(packet.length < size && packet.length >= MIN_RESET_SIZE, `${packet.length} bytes for ${size}`);
    reader.reset(packet);
    assert.ok(reader.next() && !reader.isHandshake && reader.end === packet.length, `seed ${testSeed}, packet ${i}`);
    assert.equal(isZeroConnectionId(packet, 0), false);
    assert.deepEqual(packet.slice(-16), tokens.of(ID));
    if (size === 1200) sizes.add(packet.length);
  }
  assert.ok(sizes.size > 10, "they have many lengths");
});

test("a packet that is too small is not answered, so two nodes that know nothing of each other fall silent", () => {
  const tokens = new ResetTokens(sha256, KEY), random = new SeededRandom(1);
  assert.equal(tokens.packet(ID, MIN_RESET_SIZE, random), undefined);
  let size = 1200, rounds = 0;
  for (let packet; (packet = tokens.packet(ID, size, random)) !== undefined; rounds++) size = packet.length;
  assert.ok(rounds >= 1 && rounds < 40, `${rounds} rounds`);
});

test("the tokens of peers are found by what a packet ends with, as long as they are in use", () => {
  const table = new PeerResetTokens<string>(sha256, KEY);
  const token = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
  const packet = (byte: number, size = MIN_RESET_SIZE): Uint8Array => new Uint8Array(size).fill(byte, size - 16);
  assert.equal(table.find(packet(1), 0, MIN_RESET_SIZE), undefined);
  table.add(token(1), "a");
  table.add(token(2), "a");
  table.add(token(3), "b");
  table.add(token(1), "b");
  assert.deepEqual([1, 2, 3, 4].map((byte) => table.find(packet(byte), 0, MIN_RESET_SIZE)), ["a", "a", "b", undefined]);
  assert.equal(table.find(packet(1, MIN_RESET_SIZE - 1), 0, MIN_RESET_SIZE - 1), undefined, "too small to be one");
  table.remove(token(1), "b");
  assert.equal(table.find(packet(1), 0, MIN_RESET_SIZE), "a", "only its owner can take it back");
  table.remove(token(2), "a");
  assert.equal(table.find(packet(2), 0, MIN_RESET_SIZE), undefined);
  table.removeAll("a");
  table.removeAll("b");
  assert.equal(table.size, 0);
});

/** A server with the same identity that has just been started. */
function restarted(pair: TwoEndpoints): TwoEndpoints {
  return new TwoEndpoints({ seed: 99, server: { identity: pair.serverIdentity } });
}

for (const pattern of ["IK", "XX"] as const) {
  test(`after ${pattern}, a server that was started anew with the same key resets what it had, and no other does`, () => {
    const pair = new TwoEndpoints();
    const { client } = pair.establish(pattern);
    client.ping();
    const lost = transmit(client, pair.now);
    const stranger = new TwoEndpoints({ seed: 98 });
    stranger.toServer(lost);
    pair.toClient(answers(stranger.server));
    assert.equal(client.state, "established", "another identity, another token");
    const anew = restarted(pair);
    anew.toServer(lost);
    const resets = answers(anew.server);
    assert.deepEqual([resets.length, anew.server.counters.resetsSent], [1, 1]);
    assert.ok(resets[0].length < lost[0].length);
    assert.equal(pair.toClient(resets), client);
    assert.deepEqual(events(client).map((event) => event.type === "closed" && event.reason.by), ["reset"]);
    assert.deepEqual([client.state, pair.client.counters.resetsReceived], ["closed", 1]);
    assert.deepEqual(transmit(client, pair.now), [], "there is nobody to say goodbye to");
    pair.client.forget(client);
    pair.toClient(resets);
    assert.equal(pair.client.counters.resetsReceived, 1);
  });
}

test("a forged reset ends nothing: any bit of the token counts, and a token that was never given does not", () => {
  const pair = new TwoEndpoints();
  const { client, server } = pair.establish();
  client.ping();
  const anew = restarted(pair);
  anew.toServer(transmit(client, pair.now));
  const [reset] = answers(anew.server);
  for (let bit = 0; bit < 128; bit++) {
    const forged = reset.slice();
    forged[forged.length - 1 - (bit >> 3)] ^= 1 << (bit & 7);
    pair.toClient([forged]);
  }
  const own = new ResetTokens(sha256, KEY).packet(client.localId, 1200, new SeededRandom(1))!;
  pair.toClient([own]);
  pair.toServer([own, reset]);
  assert.deepEqual([client.state, server.state], ["established", "established"]);
  assert.equal(pair.client.counters.resetsReceived + pair.server.counters.resetsReceived, 0);
  pair.toClient([reset], ELSEWHERE);
  assert.equal(client.state, "closed", "the token is the proof, whatever address it comes from");
});

test("a node that takes no connections sends no resets, so a client never quarrels", () => {
  const pair = new TwoEndpoints();
  const { server } = pair.establish();
  server.ping();
  const packets = transmit(server, pair.now);
  const other = new TwoEndpoints({ seed: 5 });
  other.toClient(packets);
  assert.deepEqual(answers(other.client), []);
});

test("a handshake packet is not answered with a reset, a protected one behind it is", () => {
  const pair = new TwoEndpoints();
  const client = pair.connect();
  const server = pair.toServer(transmit(client, pair.now))!;
  pair.toClient(transmit(server, pair.now));
  client.ping();
  const [finish] = transmit(client, pair.now);
  const size = 32 + readU16(finish, 18);
  assert.ok((finish[16] & 1) === 1 && finish.length > size);
  const anew = restarted(pair);
  anew.toServer([finish.slice(0, size)]);
  assert.deepEqual(answers(anew.server), []);
  anew.toServer([finish]);
  assert.equal(pair.toClient(answers(anew.server)), client);
  assert.equal(client.closeReason?.by, "reset");
});

test("resets are limited, so that a flood of nobody's packets is not answered in full", () => {
  const pair = new TwoEndpoints();
  const packet = new Uint8Array(100).fill(1);
  packet[16] = 0;
  packet[17] = 0;
  packet[18] = 68;
  packet[19] = 0;
  let answered = 0;
  for (let i = 0; i < 20_000; i++) {
    pair.toServer([packet], THERE);
    answered += answers(pair.server).length;
  }
  const { resetsSent, resetsLimited } = pair.server.counters;
  assert.deepEqual([resetsSent, resetsLimited, answered], [4000, 16_000, 4000]);
});

test("whose connection a reset ends is told, also if the reset is not the first packet of its datagram", () => {
  const pair = new TwoEndpoints();
  const { client } = pair.establish();
  const anew = restarted(pair);
  client.ping();
  anew.toServer(transmit(client, pair.now));
  const [reset] = answers(anew.server);
  const other = reset.slice();
  other[other.length - 1] ^= 1;
  const both = new Uint8Array([...other, ...reset, ...other]);
  assert.equal(pair.client.handleDatagram(pair.now, THERE, both), client);
  assert.equal(client.closeReason?.by, "reset");
});
