import assert from "node:assert/strict";
import { test } from "node:test";
import { readU32, writeU32 } from "../../lib/base/bytes.ts";
import { type Micros, micros, millis, seconds } from "../../lib/base/time.ts";
import { address } from "../../lib/base/address.ts";
import { HostilePeer } from "../../lib/testing/hostile_peer.ts";
import type { Pair } from "../../lib/testing/pair.ts";
import { SimulatedNetwork } from "../../lib/testing/simulated_network.ts";
import { SimulatedNode } from "../../lib/testing/simulated_node.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import type { TransportSettings } from "../../lib/transport/settings.ts";
import { TransportError } from "../../lib/wire/error_codes.ts";
import type { Frame } from "../../lib/wire/frames.ts";
import { crypto, establishedPair, roughLink, SEEDS } from "./shared.ts";

/** Data that says which one it is, and can be checked. */
function numbered(number: number, size: number): Uint8Array {
  const data = new Uint8Array(size).fill(number & 0xff);
  writeU32(data, 0, number);
  return data;
}

/** Numbers of what a connection has got, in order of arrival, each checked. */
function collect(pair: Pair, side: "client" | "server"): number[] {
  const numbers: number[] = [];
  const traffic = side === "client" ? pair.clientTraffic : pair.serverTraffic;
  traffic.onOther = (_, connection, event) => {
    if (event.type !== "datagram") return;
    for (let data; (data = connection.datagrams.read()) !== undefined;) {
      numbers.push(readU32(data, 0));
      assert.ok(data.subarray(4).every((byte) => byte === (numbers.at(-1)! & 0xff)));
    }
  };
  return numbers;
}

/** Hands over `count` frames, one every `every`. */
function feed(pair: Pair, connection: Connection, count: number, size: number, every: Micros): void {
  for (let i = 0; i < count; i++) {
    pair.network.clock.wakeAt(micros(pair.network.now + i * every), () => {
      assert.equal(connection.datagrams.send(numbered(i, size)), "queued");
      (connection === pair.connection ? pair.client : pair.server).pump(connection);
    });
  }
}

const counters = (connection: Connection) => connection.stats().datagramFrames;

test("over a good link everything arrives once, in order, both ways, up to the largest size", () => {
  const pair = establishedPair({ profile: { delay: millis(10), rate: 50 } });
  const atServer = collect(pair, "server"), atClient = collect(pair, "client");
  const { maxSize } = pair.connection.datagrams;
  assert.equal(maxSize, 1200 - 51);
  feed(pair, pair.connection, 500, maxSize, millis(1));
  feed(pair, pair.serverConnection!, 300, 4, millis(2));
  pair.advance(seconds(3));
  assert.deepEqual(atServer, Array.from({ length: 500 }, (_, i) => i));
  assert.deepEqual(atClient, Array.from({ length: 300 }, (_, i) => i));
  const { sent, acknowledged, lost } = counters(pair.connection);
  assert.deepEqual([sent, acknowledged, lost], [500, 500, 0]);
  assert.equal(counters(pair.serverConnection!).received, 500);
});

test("what is lost is not sent again, nothing arrives twice, and every frame is accounted for", () => {
  for (const seed of SEEDS) {
    const pair = establishedPair({ seed, profile: { ...roughLink(10), duplicate: 0.2 } });
    const arrived = collect(pair, "server");
    feed(pair, pair.connection, 1000, 500, millis(20));
    pair.advance(seconds(30));
    const { sent, acknowledged, lost } = counters(pair.connection);
    assert.equal(sent, 1000, `seed ${seed}`);
    assert.equal(acknowledged + lost, 1000, `seed ${seed}`);
    assert.equal(new Set(arrived).size, arrived.length, `seed ${seed}`);
    // A packet that was declared lost may have arrived after all, but what was acknowledged has.
    assert.ok(arrived.length >= acknowledged && arrived.length < 950, `${arrived.length} arrived, seed ${seed}`);
    assert.equal(counters(pair.serverConnection!).received, arrived.length);
    assert.equal(pair.connection.stats().retransmittedBytes, 0);
  }
});

test("an owner who does not read costs a bounded amount, and neither streams nor the connection suffer", () => {
  for (const datagramDrop of ["oldest", "newest"] as const) {
    const pair = establishedPair({ profile: { delay: millis(10), rate: 100 }, serverSettings: { datagramDrop } });
    feed(pair, pair.connection, 8000, 1000, millis(0.2));
    pair.clientTraffic.send(pair.client, pair.connection, 1_000_000);
    pair.advance(seconds(5));
    const { datagrams } = pair.serverConnection!;
    assert.equal(pair.serverTraffic.delivered, 1_000_000);
    assert.equal(datagrams.unread, 262);
    const { received, droppedUnread } = datagrams.counters;
    assert.ok(received > 5000);
    assert.equal(droppedUnread, received - 262);
    const first = readU32(datagrams.read()!, 0);
    assert.ok(datagramDrop === "newest" ? first === 0 : first > 5000, `${first} is the first`);
  }
});

test("more than the link carries waits within bounds, gives way to what is newer, and keeps to the congestion window", () => {
  const pair = establishedPair({ profile: { delay: millis(10), rate: 2, queue: 30_000 } });
  const arrived = collect(pair, "server");
  // 16 Mbit/s into 2: the invariants watch what is in flight.
  feed(pair, pair.connection, 10_000, 1000, millis(0.5));
  for (let i = 0; i < 50; i++) {
    pair.advance(millis(100));
    assert.ok(pair.connection.datagrams.queued <= 1024);
  }
  pair.advance(seconds(5));
  const { sent, droppedFull, acknowledged, lost } = counters(pair.connection);
  assert.equal(sent + droppedFull, 10_000);
  assert.ok(droppedFull > 5000);
  assert.equal(acknowledged + lost, sent);
  assert.ok(arrived.length > 0.9 * sent, `${arrived.length} of ${sent} arrived`);
  assert.equal(arrived.at(-1), 9999, "the newest is among them");
});

test("beside a bulk transfer frames get half of the link if they want it, and all that they want if it is less", () => {
  for (const [every, least, most] of [[0.5, 0.42, 0.58], [10, 0.95, 1]] as const) {
    const pair = establishedPair({ profile: { delay: millis(10), rate: 10, queue: 60_000 } });
    const arrived = collect(pair, "server");
    pair.clientTraffic.send(pair.client, pair.connection, 20_000_000);
    pair.advance(seconds(1));
    const before = pair.serverTraffic.delivered;
    const count = 4000 / every;
    feed(pair, pair.connection, count, 1000, millis(every));
    pair.advance(seconds(4));
    const frames = arrived.length * 1000, stream = pair.serverTraffic.delivered - before;
    const wanted = every === 0.5 ? frames + stream : counters(pair.connection).sent * 1000;
    assert.ok(frames / wanted > least && frames / wanted <= most, `${frames} of ${wanted}, beside ${stream}`);
    assert.ok(frames + stream > 0.8 * 4 * 10e6 / 8, "the link is used");
  }
});

test("interactive frames overtake a bulk transfer", () => {
  const pair = establishedPair({ profile: { delay: millis(10), rate: 10, queue: 60_000 } });
  const sentAt = new Map<number, Micros>(), delays: number[] = [];
  pair.serverTraffic.onOther = (_, connection, event) => {
    if (event.type !== "datagram") return;
    for (let data; (data = connection.datagrams.read()) !== undefined;) {
      delays.push(pair.network.now - sentAt.get(readU32(data, 0))!);
    }
  };
  pair.clientTraffic.send(pair.client, pair.connection, 20_000_000);
  for (let i = 0; i < 400; i++) {
    pair.network.clock.wakeAt(micros(pair.network.now + i * millis(10)), () => {
      sentAt.set(i, pair.network.now);
      pair.connection.datagrams.send(numbered(i, 100), 1);
      pair.client.pump(pair.connection);
    });
  }
  pair.advance(seconds(6));
  assert.ok(delays.length > 350, `${delays.length} arrived`);
  delays.sort((a, b) => a - b);
  // 10 ms for the way, at most 48 for a full queue of the link, and the rest for congestion window and pacer.
  assert.ok(delays[Math.floor(0.99 * delays.length)] < millis(100), `${delays[Math.floor(0.99 * delays.length)]} µs`);
});

test("a peer that takes no frames gets none, and one that takes small ones gets no larger", () => {
  const none = establishedPair({ serverSettings: { maxDatagramFrame: 0 } });
  assert.equal(none.connection.datagrams.send(numbered(1, 10)), "unsupported");
  assert.equal(none.serverConnection!.datagrams.send(numbered(1, 10)), "queued", "each side speaks for itself");

  const small = establishedPair({ serverSettings: { maxDatagramFrame: 64 } });
  const arrived = collect(small, "server");
  assert.equal(small.connection.datagrams.maxSize, 64);
  assert.equal(small.connection.datagrams.send(numbered(1, 65)), "too_large");
  assert.equal(small.connection.datagrams.send(numbered(2, 64)), "queued");
  small.drive(() => arrived.length > 0, seconds(1));
  assert.deepEqual(arrived, [2]);
});

test("frames that wait when a connection ends are gone, and what has arrived can still be read", () => {
  const pair = establishedPair({ profile: { delay: millis(10), rate: 1 } });
  for (let i = 0; i < 100; i++) pair.connection.datagrams.send(numbered(i, 1000));
  pair.advance(millis(60));
  const unread = pair.serverConnection!.datagrams.unread;
  assert.ok(unread > 0);
  pair.connection.close(pair.network.now, 0, "");
  pair.advance(millis(50));
  assert.equal(pair.connection.datagrams.queued, 0);
  assert.equal(pair.connection.datagrams.send(numbered(1, 10)), "not_established");
  assert.ok(pair.serverConnection!.datagrams.read() !== undefined);
});

/** A victim of whose connection nobody reads, and a peer that has just finished an honest handshake with it. */
function attack(peerIs: "initiator" | "responder", settings: Partial<TransportSettings> = {}) {
  const network = new SimulatedNetwork({ seed: 5 });
  const victim = new SimulatedNode(network, { address: address("10.0.0.1", 1), crypto, settings });
  const peer = new HostilePeer(network, { address: address("10.6.6.6", 6), crypto });
  if (peerIs === "initiator") peer.connect(victim.address, victim.identity.publicKey);
  else victim.connect(peer.address, { peerKey: peer.identity.publicKey });
  assert.ok(network.run(() => victim.connections[0]?.confirmed && peer.isEstablished, seconds(5)));
  return { network, peer, connection: victim.connections[0] };
}

const datagram = (size: number): Frame => ({ type: "datagram", data: new Uint8Array(size) });

for (const role of ["initiator", "responder"] as const) {
  test(`an ${role} that sends a larger DATAGRAM frame than is taken is closed with PROTOCOL_VIOLATION`, () => {
    for (const [limit, size] of [[0, 0], [0, 1], [100, 101]]) {
      const { network, peer } = attack(role, { maxDatagramFrame: limit });
      peer.send(datagram(size));
      network.run(() => peer.closed !== undefined, seconds(5));
      assert.equal(peer.closed?.code, TransportError.PROTOCOL_VIOLATION, `${size} bytes of ${limit}`);
    }
  });

  test(`an ${role} that floods with DATAGRAM frames fills one queue, and gets no more packets than it sends`, () => {
    const { network, peer, connection } = attack(role);
    for (let i = 0; i < 500; i++) peer.send(...Array.from({ length: 200 }, () => datagram(i % 3)));
    network.run(() => false, seconds(1));
    assert.equal(connection.datagrams.unread, 1024);
    assert.equal(connection.datagrams.counters.received, 100_000);
    assert.equal(connection.datagrams.counters.droppedUnread, 100_000 - 1024);
    assert.ok(peer.receivedDatagrams <= 510, `${peer.receivedDatagrams} datagrams`);
    assert.equal(connection.state, "established");
  });
}

test("the largest size grows with the path, and what a narrower path does not carry is dropped with a counter", () => {
  const profile = { delay: millis(10), rate: 20, mtu: 1472 };
  const pair = establishedPair({ profile, settings: { pathMtuDiscovery: "always" } });
  const arrived = collect(pair, "server"), { datagrams } = pair.connection;
  assert.ok(pair.drive(() => datagrams.maxSize > 1400, seconds(5)), `${datagrams.maxSize}`);
  feed(pair, pair.connection, 100, 1400, millis(2));
  pair.advance(seconds(1));
  assert.equal(arrived.length, 100);

  // Small ones tell that the path is up, and large ones that it has become narrower.
  pair.up.profile = { ...pair.up.profile, mtu: 1280 };
  const before = datagrams.counters;
  let offered = 0, refused = 0;
  for (let i = 0; i < 4000 && datagrams.maxSize >= 1400; i++) {
    offered += 20;
    for (let n = 0; n < 20; n++) if (datagrams.send(numbered(n, n % 2 === 0 ? 1400 : 100)) !== "queued") refused++;
    pair.client.pump();
    pair.advance(millis(20));
  }
  pair.advance(seconds(2));
  assert.ok(datagrams.maxSize < 1280, `${datagrams.maxSize}`);
  assert.equal(datagrams.send(numbered(1, 1400)), "too_large");
  const { sent, droppedTooLarge, droppedFull, lost } = datagrams.counters;
  assert.ok(droppedTooLarge > 1);
  assert.ok(lost > before.lost);
  assert.equal(datagrams.queued, 0);
  assert.equal(refused, 0);
  assert.equal(sent - before.sent + droppedTooLarge + droppedFull, offered + 1);
  assert.equal(pair.connection.state, "established");

  const rest = arrived.length;
  feed(pair, pair.connection, 50, datagrams.maxSize, millis(5));
  pair.advance(seconds(2));
  assert.equal(arrived.length - rest, 50);
});
