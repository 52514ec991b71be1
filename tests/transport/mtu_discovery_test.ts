import assert from "node:assert/strict";
import { test } from "node:test";
import { type Micros, micros, millis, seconds } from "../../lib/base/time.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { initialSize, largestDatagram, MtuDiscovery, type MtuSettings } from "../../lib/transport/mtu_discovery.ts";
import type { SentPacket } from "../../lib/transport/sent_packets.ts";
import { completeSettings } from "../../lib/transport/settings.ts";
import { testSeed } from "../support/seed.ts";

const HOST = "192.0.2.1";
const PTO = millis(15);
const ALWAYS: Partial<MtuSettings> = { pathMtuDiscovery: "always" };

function settings(given: Partial<MtuSettings> = {}): MtuSettings {
  return completeSettings(given);
}

/** A path that carries datagrams up to a size, and a search on it. */
class Lane {
  readonly mtu: MtuDiscovery;
  carries: number;
  now: Micros = micros(0);
  probes: number[] = [];
  #packetNumber = 0;

  constructor(carries: number, given: Partial<MtuSettings> = ALWAYS, host: string = HOST) {
    this.carries = carries;
    this.mtu = new MtuDiscovery(host, settings(given));
  }

  /** Sends a packet of a size, and tells what became of it. */
  send(size: number, mtuProbe = false): boolean {
    const packet = { packetNumber: this.#packetNumber++, size, mtuProbe, timeSent: this.now } as SentPacket<unknown>;
    const arrives = size <= this.carries;
    if (arrives) this.mtu.onAcked(packet);
    else this.mtu.onLost(packet);
    this.mtu.settle(PTO);
    this.now = micros(this.now + millis(10));
    return arrives;
  }

  /** Probes until nothing more is tried. */
  search(room = 65_507): number {
    for (let size; (size = this.mtu.probeSize(this.now, room)) > 0;) {
      assert.ok(this.probes.length < 1000, "it never comes to an end");
      this.probes.push(size);
      this.mtu.onProbeSent();
      assert.equal(this.mtu.probeSize(this.now, room), 0, "one at a time");
      this.send(size, true);
    }
    return this.mtu.size;
  }
}

test("a search finds what the path carries, to within 16 bytes below Ethernet's size, and exactly for common sizes", () => {
  for (let carries = 1200; carries <= 1472; carries++) {
    const lane = new Lane(carries);
    const found = lane.search();
    assert.ok(found <= carries, `${found} of ${carries}`);
    assert.ok(carries - found < 20 || (carries >= 1452 && found === 1452), `${found} of ${carries}`);
    assert.ok(lane.probes.length <= 3 * 5 + 2, `${lane.probes.length} probes`);
  }
  assert.deepEqual(new Lane(1472).search(), 1472);
  assert.deepEqual(new Lane(1452).search(), 1452);
});

test("larger sizes are tried where they are allowed, up to what both sides can do", () => {
  const jumbo: Partial<MtuSettings> = { ...ALWAYS, maxProbedUdpPayload: 8972 };
  assert.equal(new Lane(8972, jumbo).search(), 8972);
  assert.equal(new Lane(8900, jumbo).search(), 4352);
  const lane = new Lane(65_507, jumbo);
  lane.mtu.limit(5000);
  assert.equal(lane.search(), 5000, "the peer takes no more");
  const narrow = new Lane(65_507, jumbo);
  assert.equal(narrow.search(3000), 3000, "the buffer holds no more");
  const small = new Lane(65_507);
  small.mtu.limit(1200);
  assert.deepEqual([small.search(), small.probes], [1200, []]);
});

test("IPv6 has room for 20 bytes less", () => {
  assert.equal(new Lane(65_507, ALWAYS, "2001:db8::1").search(), 1452);
  assert.equal(new Lane(65_507).search(), 1472);
});

test("a size counts as impassable after three lost probes, not before", () => {
  const lane = new Lane(1200);
  lane.search();
  assert.deepEqual(lane.probes.slice(0, 6), [1452, 1452, 1452, 1326, 1326, 1326]);
  const lucky = new Lane(1200);
  for (let i = 0; i < 2; i++) {
    assert.equal(lucky.mtu.probeSize(lucky.now, 9000), 1452);
    lucky.mtu.onProbeSent();
    lucky.send(1452, true);
  }
  lucky.carries = 1452;
  assert.equal(lucky.search(), 1452);
});

test("a path is tried anew after ten minutes, unless there is nothing to find", () => {
  const lane = new Lane(1300);
  lane.search();
  const { length } = lane.probes;
  lane.carries = 1472;
  lane.now = micros(lane.now + seconds(599));
  assert.ok(lane.search() < 1301);
  assert.equal(lane.probes.length, length);
  lane.now = micros(lane.now + seconds(2));
  assert.equal(lane.search(), 1472);
  const all = new Lane(9000);
  all.search();
  all.now = micros(all.now + seconds(10_000));
  all.search();
  assert.deepEqual(all.probes, [1452, 1472]);
});

test("without much to send nothing is tried, unless it is wished for", () => {
  const lane = new Lane(1472, {});
  assert.equal(lane.search(), 1200);
  for (let i = 0; i < 7; i++) lane.mtu.onSent(1200);
  for (let i = 0; i < 100; i++) lane.mtu.onSent(1000);
  assert.equal(lane.search(), 1200);
  lane.mtu.onSent(1200);
  assert.equal(lane.search(), 1472);
  const off = new Lane(1472, { pathMtuDiscovery: "off" });
  for (let i = 0; i < 100; i++) off.mtu.onSent(1200);
  assert.equal(off.search(), 1200);
});

test("loopback begins with what it is known to carry, and comes back to that after a search", () => {
  const lane = new Lane(65_507, ALWAYS, "127.0.0.1");
  assert.equal(lane.mtu.size, 8192);
  assert.deepEqual([lane.search(), lane.probes], [8192, []]);
  lane.carries = 4500;
  for (let i = 0; i < 3; i++) lane.send(8192);
  assert.equal(lane.mtu.size, 1200);
  assert.equal(lane.search(), 4352);
});

test("three large packets lost while small ones arrive are a black hole: everything becomes small, and the search begins anew below", () => {
  const lane = new Lane(1472);
  lane.search();
  lane.carries = 1252;
  lane.send(1472);
  lane.send(100);
  lane.send(1472);
  assert.equal(lane.mtu.size, 1472);
  lane.send(1472);
  assert.deepEqual([lane.mtu.size, lane.mtu.blackHoles], [1200, 1]);
  lane.probes.length = 0;
  const found = lane.search();
  assert.ok(found > 1235 && found <= 1252, `${found}`);
  assert.ok(Math.max(...lane.probes) < 1472, "what was just lost is not tried");
});

test("losses of large packets in front of, or between, large ones that arrive are no black hole", () => {
  const lane = new Lane(1472);
  lane.search();
  const packet = (packetNumber: number, size: number): SentPacket<unknown> =>
    ({ packetNumber, size, mtuProbe: false, timeSent: millis(packetNumber) }) as SentPacket<unknown>;
  lane.mtu.onAcked(packet(1000, 1472));
  for (let i = 0; i < 50; i++) lane.mtu.onLost(packet(900 + i, 1472));
  lane.mtu.settle(PTO);
  for (let i = 0; i < 50; i++) {
    lane.mtu.onLost(packet(1001 + 4 * i, 1472));
    lane.mtu.onLost(packet(1002 + 4 * i, 1472));
    lane.mtu.onAcked(packet(1003 + 4 * i, 1472));
    lane.mtu.settle(PTO);
  }
  // An acknowledgement that tells of both: losses come first, and do not count before it is over.
  for (let i = 0; i < 50; i++) lane.mtu.onLost(packet(2000 + i, 1472));
  lane.mtu.onAcked(packet(2060, 1472));
  lane.mtu.settle(PTO);
  assert.deepEqual([lane.mtu.size, lane.mtu.blackHoles], [1472, 0]);
  // A large one that arrives late, from before the losses, does not excuse them.
  for (let i = 0; i < 3; i++) lane.mtu.onLost(packet(3000 + 5 * i, 1472));
  lane.mtu.onAcked(packet(2900, 1472));
  lane.mtu.settle(PTO);
  assert.equal(lane.mtu.size, 1472, "a full queue takes small packets, and has room again within a probe timeout");
  lane.mtu.onLost(packet(3015, 1472));
  lane.mtu.settle(PTO);
  assert.equal(lane.mtu.size, 1200);
});

test("small packets are never a black hole, and 1 200 bytes are never gone below", () => {
  const lane = new Lane(100, {});
  for (let i = 0; i < 100; i++) lane.send(1200);
  assert.deepEqual([lane.mtu.size, lane.mtu.blackHoles], [1200, 0]);
});

test("whatever a path does, the size in use was found to pass, or is what every path carries", () => {
  const random = new SeededRandom(testSeed);
  for (let run = 0; run < 100; run++) {
    const lane = new Lane(1200 + random.below(400));
    /** Sizes that have passed since the last black hole. */
    let passed = new Set([1200]);
    for (let step = 0; step < 300; step++) {
      const before = lane.mtu.blackHoles;
      const size = random.chance(0.5) ? lane.mtu.probeSize(lane.now, 9000) : 0;
      if (size > 0) {
        lane.mtu.onProbeSent();
        if (lane.send(size, true)) passed.add(size);
      } else lane.send(random.chance(0.3) ? 100 : lane.mtu.size);
      if (random.chance(0.02)) lane.carries = 1200 + random.below(400);
      if (random.chance(0.02)) lane.now = micros(lane.now + seconds(400));
      if (lane.mtu.blackHoles > before) passed = new Set([1200]);
      assert.ok(passed.has(lane.mtu.size), `run ${run}, step ${step}: ${lane.mtu.size}`);
    }
  }
});

test("buffers have to hold the largest datagram that may ever be sent", () => {
  assert.equal(largestDatagram(settings()), 8192);
  assert.equal(largestDatagram(settings({ udpPayload: 1200 })), 1472);
  assert.equal(largestDatagram(settings({ udpPayload: 1200, pathMtuDiscovery: "off" })), 1200);
  assert.equal(largestDatagram(settings({ maxProbedUdpPayload: 9000 })), 9000);
  assert.equal(initialSize("::1", settings()), 8192);
  assert.equal(initialSize("10.0.0.1", settings({ udpPayload: 1300 })), 1300);
});
