import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, address } from "../../lib/base/address.ts";
import { millis, seconds } from "../../lib/base/time.ts";
import { HostilePeer } from "../../lib/testing/hostile_peer.ts";
import { Invariants } from "../../lib/testing/invariants.ts";
import { CLIENT_ADDRESS, type Pair, SERVER_ADDRESS } from "../../lib/testing/pair.ts";
import { SimulatedNetwork } from "../../lib/testing/simulated_network.ts";
import { SimulatedNode } from "../../lib/testing/simulated_node.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import { MAX_CANDIDATES } from "../../lib/transport/paths.ts";
import { ConnectionId } from "../../lib/wire/connection_id.ts";
import { TransportError, transportErrorName } from "../../lib/wire/error_codes.ts";
import { encodeFrame, type Frame } from "../../lib/wire/frames.ts";
import { crypto, establishedPair } from "./shared.ts";

const VICTIM = address("10.0.0.1", 1), PEER = address("10.6.6.6", 6), ATTACKER = address("10.66.6.6", 66);
const ROLES = ["initiator", "responder"] as const;
type NewConnectionId = Extract<Frame, { type: "new_connection_id" }>;

interface Scene {
  readonly network: SimulatedNetwork;
  readonly victim: SimulatedNode;
  readonly connection: Connection;
  readonly peer: HostilePeer;
}

/** A victim, and a peer in the given role that has just finished an honest handshake with it. */
function setUp(role: typeof ROLES[number]): Scene {
  const network = new SimulatedNetwork({ seed: 5 });
  const invariants = new Invariants(() => network.now);
  const victim = new SimulatedNode(network, { address: VICTIM, crypto, invariants });
  const peer = new HostilePeer(network, { address: PEER, crypto });
  if (role === "initiator") peer.connect(VICTIM, victim.identity.publicKey);
  else victim.connect(PEER, { peerKey: peer.identity.publicKey });
  network.run(() => victim.connections[0]?.confirmed === true && peer.isEstablished, seconds(5));
  network.advance(seconds(1));
  return { network, victim, connection: victim.connections[0], peer };
}

/** A NEW_CONNECTION_ID of the peer's. */
function issued(sequence: number, retirePriorTo = 0, n = sequence): Frame {
  const id = new ConnectionId(Uint8Array.of(9, n & 0xff, n >> 8, 1, 1, 1, 1, 1));
  return { type: "new_connection_id", sequence, retirePriorTo, id, resetToken: new Uint8Array(16) };
}

/** Copies what the client sends, under the attacker's own address and faster than the original, while it may. */
function copyPackets(pair: Pair, from: () => Address, isOn: () => boolean = () => true): void {
  pair.network.onSend = (source, to, bytes) => {
    if (source.key !== CLIENT_ADDRESS.key || to.key !== SERVER_ADDRESS.key || !isOn()) return;
    const liar = from();
    pair.network.change(liar, SERVER_ADDRESS, { delay: millis(1) });
    pair.network.send(liar, SERVER_ADDRESS, bytes);
  };
}

for (const role of ROLES) {
  test(`a flood of challenges from the ${role} gets no more than an answer every 10 ms`, () => {
    const { network, connection, peer } = setUp(role);
    peer.frames.length = 0;
    peer.receivedBytes = 0;
    const flood = Array.from({ length: 80 }, (_, i): Frame => ({
      type: "path_challenge",
      data: new Uint8Array(8).fill(i),
    }));
    for (let i = 0; i < 1000; i++) {
      peer.send(...flood);
      network.advance(millis(1));
    }
    network.advance(millis(100));
    const answers = peer.frames.filter(({ type }) => type === "path_response").length;
    assert.ok(answers >= 50 && answers <= 105, `${answers} answers`);
    assert.ok(peer.receivedBytes < 300_000, `${peer.receivedBytes} bytes`);
    assert.equal(connection.stats().paths.challengesIgnored, 80_000 - answers);
    assert.equal(connection.state, "established");
  });

  for (
    const [what, ...frames] of [
      ["more connection ids than are kept", issued(1), issued(2), issued(3), issued(4)],
      ["one connection id under two numbers", issued(1), issued(2, 0, 1)],
      ["two connection ids under one number", issued(1), issued(1, 0, 7)],
      ["a connection id of zeros", { ...issued(1), id: new ConnectionId(new Uint8Array(8)) } as Frame],
      ["a connection id that retires itself", issued(1, 2)],
      ["numbers of connection ids with gaps", ...[10, 20, 30, 40, 50].map((n) => issued(n, n))],
      [
        "the retirement of a connection id that there never was",
        { type: "retire_connection_id", sequence: 9 } as Frame,
      ],
      [
        "the retirement of the id that the packet is addressed to",
        { type: "retire_connection_id", sequence: 0 } as Frame,
      ],
    ] as [string, ...Frame[]][]
  ) {
    test(`${what} from the ${role} closes the connection`, () => {
      const { network, peer, victim } = setUp(role);
      for (const frame of frames) peer.send(frame);
      network.run(() => peer.closed !== undefined, seconds(5));
      assert.equal(transportErrorName(peer.closed?.code ?? 0), transportErrorName(TransportError.CONNECTION_ID));
      assert.equal(victim.ended.length, 1);
    });
  }

  test(`a ${role} that has one id after the other retired costs nothing but the frames, and one that does not listen is closed`, () => {
    const { network, peer, connection, victim } = setUp(role);
    for (let i = 1; i <= 200; i++) {
      peer.send(issued(i, i));
      network.advance(millis(100));
    }
    assert.equal(connection.state, "established");
    const retired = peer.frames.filter(({ type }) => type === "retire_connection_id").length;
    assert.ok(retired >= 200, `${retired} retired`);
    // Now all at once: nobody can have taken note of that.
    for (let i = 201; i <= 230; i++) peer.send(issued(i, i));
    network.run(() => peer.closed !== undefined, seconds(5));
    assert.equal(peer.closed?.code, TransportError.CONNECTION_ID);
    assert.equal(victim.ended.length, 1);
  });

  test(`a ${role} that retires every id as soon as it gets it holds two of them at a time`, () => {
    const { network, peer, connection } = setUp(role);
    let retired = -1;
    for (let round = 0; round < 300; round++) {
      const ids = peer.frames.filter((frame): frame is NewConnectionId => frame.type === "new_connection_id");
      const newest = ids.at(-1)!;
      peer.remoteId = newest.id;
      while (retired < newest.sequence - 1) peer.send({ type: "retire_connection_id", sequence: ++retired });
      network.advance(millis(30));
      assert.ok(connection.localIds.length <= 5, "the handshake's, two in use, two that stragglers may come with");
    }
    assert.ok(retired > 290, `${retired}`);
    assert.equal(connection.state, "established");
  });
}

test("whoever copies a client's packets, and is faster, does not get the connection, and no more than three times what he sent", () => {
  for (const loss of [0, 0.02]) {
    const pair = establishedPair({ profile: { delay: millis(20), rate: 20, loss } });
    const alone = establishedPair({ profile: { delay: millis(20), rate: 20, loss } });
    for (const each of [pair, alone]) {
      each.clientTraffic.send(each.client, each.connection, 2_000_000);
      each.serverTraffic.send(each.server, each.serverConnection!, 2_000_000);
    }
    copyPackets(pair, () => ATTACKER);
    const done = (each: Pair) => () => each.serverTraffic.delivered + each.clientTraffic.delivered === 4_000_000;
    assert.ok(alone.drive(done(alone), seconds(100)));
    assert.ok(pair.drive(done(pair), seconds(100)));
    const finishedAt = pair.network.now;
    pair.advance(seconds(4));
    const { paths, packetsFromElsewhere, dropped } = pair.serverConnection!.stats();
    assert.equal(pair.serverConnection!.remote.key, CLIENT_ADDRESS.key);
    assert.equal(paths.migrations, 0);
    assert.ok(packetsFromElsewhere > 1000 && dropped.replayed > 1000, "he was faster, and it counted");
    assert.ok(paths.pathsFailed >= 1);
    assert.ok(finishedAt <= 2 * alone.network.now, `${finishedAt} µs, ${alone.network.now} without him`);
  }
});

test("copies from a hundred addresses are asked about few of them at a time, and use up no ids", () => {
  const pair = establishedPair();
  let n = 0;
  copyPackets(pair, () => address("10.66.0.1", 1 + n++ % 100));
  pair.clientTraffic.send(pair.client, pair.connection, 500_000);
  let most = 0;
  pair.drive(() => {
    most = Math.max(most, pair.serverConnection!.stats().paths.paths);
    return pair.serverTraffic.delivered === 500_000;
  }, seconds(60));
  const { paths } = pair.serverConnection!.stats();
  assert.equal(most, 1 + MAX_CANDIDATES);
  assert.ok(paths.pathsRefused > 50);
  assert.equal(paths.migrations, 0);
  pair.network.onSend = undefined;
  pair.advance(seconds(5));
  pair.client.moveTo(address("10.0.5.5", 5), [SERVER_ADDRESS], true);
  pair.advance(seconds(1));
  assert.equal(pair.serverConnection!.remote.host, "10.0.5.5", "who really moves still can");
});

test("whoever also passes the challenge on may get the packets for a while, cannot read them, and loses them again", () => {
  const pair = establishedPair({ profile: { delay: millis(20), rate: 20 } });
  let isOn = true;
  // He relays what the server sends him to the client, under the server's address.
  pair.network.attach({
    address: ATTACKER,
    receive: (_from, bytes) => pair.network.send(SERVER_ADDRESS, CLIENT_ADDRESS, bytes),
  });
  copyPackets(pair, () => ATTACKER, () => isOn);
  pair.clientTraffic.send(pair.client, pair.connection, 3_000_000);
  pair.advance(millis(500));
  isOn = false;
  assert.ok(pair.drive(() => pair.serverTraffic.delivered === 3_000_000, seconds(60)));
  assert.equal(pair.serverConnection!.remote.key, CLIENT_ADDRESS.key);
  assert.deepEqual([pair.client.ended, pair.server.ended], [[], []]);
});

test("old packets that are played back from a new address are not even asked about", () => {
  const pair = establishedPair();
  const recorded: Uint8Array[] = [];
  pair.network.onSend = (source, _to, bytes) => {
    if (source.key === CLIENT_ADDRESS.key) recorded.push(bytes.slice());
  };
  pair.clientTraffic.send(pair.client, pair.connection, 100_000);
  pair.drive(() => pair.serverTraffic.delivered === 100_000, seconds(10));
  pair.advance(seconds(1));
  pair.network.onSend = undefined;
  const { datagramsSent } = pair.serverConnection!.stats();
  for (const bytes of recorded) pair.network.send(ATTACKER, SERVER_ADDRESS, bytes);
  pair.advance(seconds(1));
  const { paths, dropped, packetsFromElsewhere, datagramsSent: after } = pair.serverConnection!.stats();
  assert.deepEqual([paths.paths, packetsFromElsewhere, after - datagramsSent], [1, 0, 0]);
  assert.ok(dropped.replayed >= recorded.length);
});

test("a packet that has been held up is no reason to ask its address, however new that is", () => {
  const pair = establishedPair();
  let held: Uint8Array | undefined;
  pair.up.intercept = (bytes) => {
    if (held !== undefined) return "pass";
    held = bytes.slice();
    return "drop";
  };
  pair.connection.ping();
  pair.client.pump();
  pair.connection.ping();
  pair.advance(seconds(1));
  pair.network.send(ATTACKER, SERVER_ADDRESS, held!);
  pair.advance(millis(50));
  const { paths, packetsFromElsewhere } = pair.serverConnection!.stats();
  assert.deepEqual([packetsFromElsewhere, paths.paths], [1, 1], "it counts, and changes nothing");
});

test("a peer that claims to be at a stranger's gets him no more than three times what it sends in his name", () => {
  const { network, peer, connection } = setUp("initiator");
  const stranger = address("10.99.9.9", 9);
  let received = 0;
  network.attach({ address: stranger, receive: (_from, bytes) => received += bytes.length });
  let sent = 0;
  for (let i = 0; i < 200; i++) {
    const packet = peer.seal(encodeFrame({ type: "path_challenge", data: new Uint8Array(8).fill(i) }));
    sent += packet.length;
    peer.sendBytes(packet, stranger);
    network.advance(millis(20));
  }
  assert.ok(received > 0 && received <= 3 * sent, `${received} bytes for ${sent}`);
  assert.notEqual(connection.remote.key, stranger.key);
});

test("a response to another path's challenge, or to none, validates nothing", () => {
  const { network, peer, connection } = setUp("initiator");
  const elsewhere = address("10.98.0.1", 1);
  let challenge: Uint8Array | undefined;
  network.attach({ address: elsewhere, receive: (from, bytes) => challenge ??= (peer.receive(from, bytes), bytes) });
  peer.frames.length = 0;
  peer.sendBytes(peer.seal(encodeFrame({ type: "ping" })), elsewhere);
  network.run(() => challenge !== undefined, seconds(1));
  const asked = peer.frames.filter((frame) => frame.type === "path_challenge");
  assert.ok(asked.length >= 1);
  const before = connection.stats().paths;
  // The right answer, the wrong way: from where the peer was before.
  for (const { data } of asked) {
    if (data === asked.at(-1)!.data) peer.sendBytes(peer.seal(encodeFrame({ type: "path_response", data })), PEER);
  }
  peer.sendBytes(peer.seal(encodeFrame({ type: "path_response", data: new Uint8Array(8) })), elsewhere);
  network.advance(millis(100));
  const after = connection.stats().paths;
  assert.ok(after.responsesIgnored >= before.responsesIgnored + 2);
  assert.equal(connection.isAddressValidated(elsewhere), false);
  assert.equal(connection.remote.key, PEER.key);
});
