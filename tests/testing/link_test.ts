import assert from "node:assert/strict";
import { test } from "node:test";
import { micros, millis, seconds } from "../../lib/base/time.ts";
import { Bottleneck } from "../../lib/testing/bottleneck.ts";
import { Link, type LinkProfile } from "../../lib/testing/link.ts";
import { blackHole, flapping, scheduleChanges } from "../../lib/testing/link_schedule.ts";
import { ManualClock } from "../../lib/testing/manual_clock.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";

interface Arrival {
  readonly at: number;
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** Sends `count` datagrams, `gap` µs apart, each with its index in its first four bytes. */
function run(profile: Partial<LinkProfile>, count: number, gap = 1000, size = 100, seed = testSeed): {
  link: Link;
  arrivals: Arrival[];
} {
  const clock = new ManualClock();
  const arrivals: Arrival[] = [];
  const link = new Link(profile, clock, new SeededRandom(seed), (bytes) => {
    arrivals.push({ at: clock.now(), index: new DataView(bytes.buffer).getUint32(0), bytes });
  });
  const out = new Uint8Array(size);
  for (let i = 0; i < count; i++) {
    new DataView(out.buffer).setUint32(0, i);
    link.send(out);
    clock.advance(micros(clock.now() + gap));
  }
  clock.advance(micros(clock.now() + seconds(100)));
  return { link, arrivals };
}

test("a perfect link delivers everything, in order, after its delay", () => {
  const { arrivals } = run({ delay: millis(30) }, 20);
  assert.deepEqual(arrivals.map(({ index }) => index), Array.from({ length: 20 }, (_, i) => i));
  assert.deepEqual(arrivals.map(({ at, index }) => at - 1000 * index), Array(20).fill(30_000));
});

test("a link of 8 Mbit/s puts a thousand bytes on the wire in a millisecond, one datagram after the other", () => {
  const { arrivals } = run({ delay: millis(0), rate: 8 }, 5, 0, 1000);
  assert.deepEqual(arrivals.map(({ at }) => at), [1000, 2000, 3000, 4000, 5000]);
});

test("what does not fit into the queue is dropped at its tail", () => {
  const { link, arrivals } = run({ delay: millis(0), rate: 8, queue: 3000 }, 5, 0, 1000);
  assert.deepEqual(arrivals.map(({ index }) => index), [0, 1, 2]);
  assert.equal(link.counters.queueDrops, 2);
});

test("a queue holds a bandwidth-delay product unless it is told otherwise, and at least 64 KiB", () => {
  const make = (profile: Partial<LinkProfile>): Link => run(profile, 0).link;
  assert.equal(make({ rate: 100, delay: millis(25) }).queueLimit, 100e6 / 8 * 0.05);
  assert.equal(make({ rate: 1, delay: millis(25) }).queueLimit, 65536);
  assert.equal(make({ rate: 100, delay: millis(25), queue: 1000 }).queueLimit, 1000);
});

test("losses, duplicates and damages are as frequent as the profile says", () => {
  const { link, arrivals } = run({ loss: 0.1, duplicate: 0.05, corrupt: 0.02 }, 20_000, 10);
  const { lost, duplicated, corrupted, delivered } = link.counters;
  assert.ok(Math.abs(lost - 2000) < 250, `${lost} lost`);
  assert.ok(Math.abs(duplicated - 900) < 180, `${duplicated} duplicated`);
  assert.ok(Math.abs(corrupted - 360) < 120, `${corrupted} corrupted`);
  assert.deepEqual([delivered, arrivals.length], [20_000 - lost + duplicated, 20_000 - lost + duplicated]);
  const damaged = arrivals.filter(({ bytes }) => bytes.subarray(4).some((byte) => byte !== 0)).length;
  assert.ok(damaged > 0.8 * corrupted && damaged <= corrupted, `${damaged} damaged`);
});

test("losses in bursts are as frequent as single ones, and come together", () => {
  const { link, arrivals } = run({ loss: 0.1, lossBurst: 5 }, 50_000, 10);
  assert.ok(Math.abs(link.counters.lost - 5000) < 800, `${link.counters.lost} lost`);
  let gaps = 0;
  for (let i = 1; i < arrivals.length; i++) if (arrivals[i].index !== arrivals[i - 1].index + 1) gaps++;
  assert.ok(Math.abs(gaps - link.counters.lost / 5) < 150, `${gaps} gaps`);
});

test("a datagram that is larger than the MTU vanishes and is counted", () => {
  const { link, arrivals } = run({ mtu: 1280 }, 1, 1000, 1280);
  assert.deepEqual([arrivals.length, link.counters.oversized], [1, 0]);
  link.send(new Uint8Array(1281));
  assert.deepEqual([link.counters.oversized, link.counters.lost, link.counters.sent], [1, 0, 2]);
});

test("bad spells come and last as the profile says, and only they lose", () => {
  const { link, arrivals } = run({ badSpells: { begin: 0.01, end: 0.1, loss: 1 } }, 50_000, 10);
  const spells = arrivals.filter(({ index }, place) => place > 0 && index !== arrivals[place - 1].index + 1).length;
  // A spell begins after 100 good datagrams and lasts 10, on average.
  assert.ok(Math.abs(spells - 50_000 / 110) < 110, `${spells} spells`);
  assert.ok(Math.abs(link.counters.lost / spells - 10) < 2.5, `${link.counters.lost / spells} lost in each`);
});

test("bad spells do not shift the decisions outside of them", () => {
  const indexes = (profile: Partial<LinkProfile>): Set<number> =>
    new Set(run({ loss: 0.2, ...profile }, 2000, 10, 100, 9).arrivals.map(({ index }) => index));
  const calm = indexes({}), rough = indexes({ badSpells: { begin: 0.02, end: 0.2, loss: 1 } });
  assert.ok(rough.size < calm.size);
  for (const index of rough) assert.ok(calm.has(index), `${index}`);
});

test("links that share a wire wait for each other and share its queue", () => {
  const clock = new ManualClock(), random = new SeededRandom(1);
  const wire = new Bottleneck(clock, 8, 3000);
  const arrivals: string[] = [];
  const [first, second] = ["first", "second"].map((name) => {
    const link = new Link({ delay: millis(0) }, clock, random, () => arrivals.push(`${name} ${clock.now()}`));
    link.shared = wire;
    return link;
  });
  for (const link of [first, second, first, second]) link.send(new Uint8Array(1000));
  clock.advance(seconds(1));
  assert.deepEqual(arrivals, ["first 1000", "second 2000", "first 3000"]);
  assert.deepEqual([first.counters.queueDrops, second.counters.queueDrops], [0, 1]);
});

test("changes happen when they are due, to every link that they are for", () => {
  const clock = new ManualClock(), random = new SeededRandom(1);
  let arrived = 0;
  const links = [0, 1].map(() => new Link({ delay: millis(1) }, clock, random, () => arrived++));
  scheduleChanges(clock, links, [
    ...blackHole(seconds(1), seconds(3)),
    ...flapping(seconds(10), seconds(2), seconds(30)),
    { at: seconds(40), profile: { mtu: 99 } },
  ]);
  const heard: number[] = [];
  for (let second = 0; second < 45; second++) {
    clock.advance(micros(seconds(second) + 500));
    arrived = 0;
    for (const link of links) link.send(new Uint8Array(100));
    clock.advance(micros(seconds(second) + 2000));
    if (arrived > 0) heard.push(second);
  }
  const silent = Array.from({ length: 45 }, (_, second) => second).filter((second) => !heard.includes(second));
  assert.deepEqual(silent, [1, 2, 3, 10, 11, 22, 23, 40, 41, 42, 43, 44]);
});

test("a rate that changes counts for what comes afterwards", () => {
  const clock = new ManualClock();
  const arrivals: number[] = [];
  const link = new Link({ delay: millis(0), rate: 8 }, clock, new SeededRandom(1), () => arrivals.push(clock.now()));
  link.send(new Uint8Array(1000));
  link.profile = { ...link.profile, rate: 4 };
  link.send(new Uint8Array(1000));
  clock.advance(seconds(1));
  assert.deepEqual(arrivals, [1000, 3000]);
});

for (const depth of [1, 3, 20]) {
  test(`a datagram that is held back is overtaken by exactly ${depth}`, () => {
    const { link, arrivals } = run({ reorder: 0.005, reorderDepth: depth, reorderDelay: seconds(10) }, 5000);
    assert.ok(link.counters.reordered > 5);
    let late = 0;
    arrivals.forEach(({ index }, place) => {
      // Behind the last ones there is not enough that could overtake.
      if (index >= 4900) return;
      const overtakers = arrivals.slice(0, place).filter((other) => other.index > index).length;
      if (overtakers === 0) return;
      late++;
      // Others may be held back at the same time, and overtake nobody meanwhile.
      assert.ok(overtakers >= depth && overtakers <= depth + 2, `${overtakers} have overtaken ${index}`);
    });
    assert.ok(late >= link.counters.reordered - 8);
  });
}

test("a datagram that is held back goes on after a while even if nobody overtakes it", () => {
  const { arrivals } = run({ delay: millis(10), reorder: 1, reorderDepth: 3, reorderDelay: millis(7) }, 1);
  assert.deepEqual(arrivals.map(({ at }) => at), [17_000]);
});

test("jitter delays every datagram by another time", () => {
  const { arrivals } = run({ delay: millis(10), jitter: millis(5) }, 1000);
  const delays = arrivals.map(({ at, index }) => at - 1000 * index - 10_000);
  assert.ok(Math.min(...delays) >= 0 && Math.max(...delays) < 5000);
  assert.ok(Math.max(...delays) > 4500 && Math.min(...delays) < 500);
});

test("a link that is down loses everything, and a test may decide about each datagram", () => {
  const clock = new ManualClock();
  let arrived = 0;
  const link = new Link({ loss: 1 }, clock, new SeededRandom(1), () => arrived++);
  link.intercept = (_bytes, index) => index === 1 ? millis(5) : index === 2 ? "drop" : "pass";
  for (let i = 0; i < 4; i++) link.send(new Uint8Array(1));
  link.intercept = undefined;
  link.profile = { ...link.profile, loss: 0 };
  link.down = true;
  link.send(new Uint8Array(1));
  link.down = false;
  link.send(new Uint8Array(1));
  clock.advance(seconds(1));
  assert.deepEqual([arrived, link.counters.lost], [2, 4]);
});

test("one probability does not shift another one's decisions", () => {
  const lost = (profile: Partial<LinkProfile>): number[] => {
    const arrived = new Set(run({ loss: 0.2, ...profile }, 500, 1000, 100, 9).arrivals.map(({ index }) => index));
    return Array.from({ length: 500 }, (_, i) => i).filter((index) => !arrived.has(index));
  };
  assert.deepEqual(lost({ duplicate: 0.3, reorder: 0.3, jitter: millis(3) }), lost({}));
});

test("the bytes that arrive are a copy", () => {
  const clock = new ManualClock();
  let arrived: Uint8Array | undefined;
  const link = new Link({}, clock, new SeededRandom(1), (bytes) => arrived = bytes);
  const bytes = Uint8Array.of(1, 2, 3);
  link.send(bytes);
  bytes.fill(9);
  clock.advance(seconds(1));
  assert.deepEqual(arrived, Uint8Array.of(1, 2, 3));
});
