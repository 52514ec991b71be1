import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { Scheduler, StreamClass, toStreamClass } from "../../lib/transport/scheduler.ts";
import { SendStream } from "../../lib/transport/streams/send_stream.ts";
import type { StreamId } from "../../lib/wire/stream_id.ts";
import { property } from "../support/seed.ts";

const MUCH = 1 << 30;
const PACKET = 1000;

let nextId = 0;

function makeStream(streamClass: StreamClass, bytes: number, maxData = MUCH): SendStream {
  const stream = new SendStream(4 * nextId++ as StreamId, streamClass, MUCH, maxData, true);
  if (bytes > 0) stream.write(new Uint8Array(bytes), false);
  return stream;
}

/** Fills one packet with one stream's data; returns the stream. */
function sendPacket(scheduler: Scheduler, credit = MUCH): SendStream | undefined {
  const stream = scheduler.next(credit);
  if (stream === undefined) return undefined;
  assert.ok(stream.takeChunk(PACKET, credit), "a stream whose turn it is has something to send");
  scheduler.charge(stream.streamClass, stream.chunkLength);
  scheduler.requeue(stream, credit);
  return stream;
}

test("streams of one class take turns", () => {
  const scheduler = new Scheduler();
  const streams = [0, 1, 2].map(() => makeStream(StreamClass.BULK, 10 * PACKET));
  for (const stream of streams) scheduler.activate(stream);
  const turns = Array.from({ length: 9 }, () => streams.indexOf(sendPacket(scheduler)!));
  assert.deepEqual(turns, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
});

test("classes that always have something to send share 100 to 50 to 10", () => {
  const scheduler = new Scheduler();
  const sent = [0, 0, 0];
  for (const streamClass of [StreamClass.BULK, StreamClass.CONTROL, StreamClass.INTERACTIVE]) {
    scheduler.activate(makeStream(streamClass, 2000 * PACKET));
  }
  for (let i = 0; i < 1600; i++) sent[sendPacket(scheduler)!.streamClass]++;
  assert.ok(Math.abs(sent[0] - 1000) <= 2 && Math.abs(sent[1] - 500) <= 2 && Math.abs(sent[2] - 100) <= 2, `${sent}`);
});

test("a control stream is served next, however long the others have been sending", () => {
  const scheduler = new Scheduler();
  scheduler.activate(makeStream(StreamClass.BULK, 10_000 * PACKET));
  scheduler.activate(makeStream(StreamClass.INTERACTIVE, 10_000 * PACKET));
  for (let i = 0; i < 2000; i++) {
    sendPacket(scheduler);
    if (i % 20 !== 0) continue;
    const control = makeStream(StreamClass.CONTROL, 100);
    scheduler.activate(control);
    assert.equal(sendPacket(scheduler), control);
  }
});

test("a call is served next while a bulk transfer is running", () => {
  const scheduler = new Scheduler();
  scheduler.activate(makeStream(StreamClass.BULK, 10_000 * PACKET));
  for (let i = 0; i < 1000; i++) {
    sendPacket(scheduler);
    if (i % 10 !== 0) continue;
    const call = makeStream(StreamClass.INTERACTIVE, 150);
    scheduler.activate(call);
    assert.equal(sendPacket(scheduler), call);
  }
});

test("a flood of control leaves bulk its share", () => {
  const scheduler = new Scheduler();
  const bulk = makeStream(StreamClass.BULK, 1000 * PACKET);
  scheduler.activate(bulk);
  let turns = 0;
  for (let i = 0; i < 1100; i++) {
    scheduler.activate(makeStream(StreamClass.CONTROL, PACKET));
    if (sendPacket(scheduler) === bulk) turns++;
  }
  assert.ok(turns >= 99 && turns <= 101, `${turns} of 1100`);
});

test("a class that was idle has not saved up a claim", () => {
  const scheduler = new Scheduler();
  const interactive = makeStream(StreamClass.INTERACTIVE, 1000 * PACKET);
  scheduler.activate(interactive);
  for (let i = 0; i < 500; i++) sendPacket(scheduler);
  const bulk = makeStream(StreamClass.BULK, 1000 * PACKET);
  scheduler.activate(bulk);
  let turns = 0;
  for (let i = 0; i < 60; i++) if (sendPacket(scheduler) === bulk) turns++;
  assert.ok(turns >= 10 && turns <= 11, `${turns} of 60`);
});

test("a stream that is activated twice has one turn", () => {
  const scheduler = new Scheduler();
  const stream = makeStream(StreamClass.CONTROL, 10);
  scheduler.activate(stream);
  scheduler.activate(stream);
  assert.equal(scheduler.hasReady(MUCH), true);
  assert.equal(sendPacket(scheduler), stream);
  assert.equal(scheduler.hasReady(MUCH), false);
  assert.equal(sendPacket(scheduler), undefined);
});

test("a stream with nothing to send is passed over, and comes back when it is activated", () => {
  const scheduler = new Scheduler();
  const blocked = makeStream(StreamClass.CONTROL, 10, 0);
  const other = makeStream(StreamClass.BULK, 10);
  scheduler.activate(blocked);
  scheduler.activate(other);
  assert.equal(sendPacket(scheduler), other);
  assert.equal(scheduler.next(MUCH), undefined);
  assert.equal(scheduler.isBlockedOnCredit, false, "its own credit holds it, not the connection's");
  blocked.setMaxData(10);
  scheduler.activate(blocked);
  assert.equal(sendPacket(scheduler), blocked);
});

test("streams that wait for the connection's credit have their turn when it comes, and lost bytes go before", () => {
  const scheduler = new Scheduler();
  const fresh = makeStream(StreamClass.CONTROL, 10);
  const lossy = makeStream(StreamClass.BULK, 20);
  lossy.takeChunk(10, MUCH);
  lossy.onLost(0, 10, false);
  scheduler.activate(fresh);
  scheduler.activate(lossy);
  assert.equal(sendPacket(scheduler, 0), lossy);
  assert.equal(scheduler.next(0), undefined);
  assert.equal(scheduler.isBlockedOnCredit, true);
  assert.equal(scheduler.next(MUCH), undefined, "nobody has said that there is new credit");
  scheduler.onConnectionCredit();
  assert.equal(scheduler.isBlockedOnCredit, false);
  assert.deepEqual([sendPacket(scheduler), sendPacket(scheduler), sendPacket(scheduler)], [fresh, lossy, undefined]);
});

test("a stream that waits for the connection's credit is woken by a loss", () => {
  const scheduler = new Scheduler();
  const stream = makeStream(StreamClass.BULK, 20);
  stream.takeChunk(10, MUCH);
  scheduler.activate(stream);
  assert.equal(scheduler.next(0), undefined);
  stream.onLost(0, 10, false);
  scheduler.activate(stream);
  assert.equal(sendPacket(scheduler, 0), stream);
});

test("a stream that is over leaves whatever queue it is in", () => {
  const scheduler = new Scheduler();
  const streams = [0, 1, 2].map(() => makeStream(StreamClass.BULK, 10));
  for (const stream of streams) scheduler.activate(stream);
  scheduler.remove(streams[1]);
  scheduler.remove(streams[1]);
  assert.equal(sendPacket(scheduler), streams[0]);
  assert.equal(scheduler.next(0), undefined);
  assert.equal(scheduler.isBlockedOnCredit, true);
  scheduler.remove(streams[2]);
  assert.equal(scheduler.isBlockedOnCredit, false);
});

test("a stream's class may change while it is queued", () => {
  const scheduler = new Scheduler();
  const first = makeStream(StreamClass.BULK, 10);
  const second = makeStream(StreamClass.BULK, 10);
  scheduler.activate(first);
  scheduler.activate(second);
  scheduler.setClass(second, StreamClass.CONTROL);
  assert.deepEqual([sendPacket(scheduler), sendPacket(scheduler), sendPacket(scheduler)], [second, first, undefined]);
});

test("a class that nobody knows is the least urgent", () => {
  assert.deepEqual([0, 1, 2, 3, 255].map(toStreamClass), [0, 1, 2, 2, 2]);
});

test("whatever happens, every stream with something to send has its turn, and no other", () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const random = new SeededRandom(seed);
      const scheduler = new Scheduler();
      const streams = Array.from({ length: 12 }, () => makeStream(random.below(3) as StreamClass, 0, 0));
      let credit = 0;
      const limits = new Map(streams.map((stream) => [stream, 0]));
      for (let step = 0; step < 400; step++) {
        const stream = streams[random.below(streams.length)];
        switch (random.below(6)) {
          case 0:
            stream.write(new Uint8Array(random.below(3000)), false);
            scheduler.activate(stream);
            break;
          case 1:
            limits.set(stream, limits.get(stream)! + random.below(3000));
            stream.setMaxData(limits.get(stream)!);
            scheduler.activate(stream);
            break;
          case 2:
            credit += random.below(3000);
            scheduler.onConnectionCredit();
            break;
          case 3:
            scheduler.setClass(stream, random.below(3) as StreamClass);
            break;
          default: {
            const someReady = streams.some((candidate) => candidate.hasPending(credit));
            assert.equal(scheduler.hasReady(credit), someReady);
            const served = sendPacket(scheduler, credit);
            assert.equal(served !== undefined, someReady);
            if (served !== undefined) {
              credit -= served.chunkNewBytes;
              if (random.chance(0.2)) {
                served.onLost(served.chunkOffset, served.chunkLength, false);
                scheduler.activate(served);
              }
            }
          }
        }
      }
      for (const stream of streams) stream.setMaxData(MUCH), scheduler.activate(stream);
      scheduler.onConnectionCredit();
      for (let i = 0; sendPacket(scheduler) !== undefined; i++) assert.ok(i < 10_000);
      assert.ok(streams.every((stream) => !stream.hasPending(MUCH) && stream.queuedIn === -1));
    }),
    property(100),
  );
});

test("a stream that is put back keeps its turn, among others and alone", () => {
  const scheduler = new Scheduler();
  const [first, second] = [1, 2].map(() => makeStream(StreamClass.INTERACTIVE, PACKET));
  scheduler.activate(first);
  assert.equal(scheduler.next(MUCH), first);
  scheduler.putBack(first);
  scheduler.activate(second);
  assert.equal(scheduler.next(MUCH), first);
  scheduler.putBack(first);
  assert.equal(sendPacket(scheduler), first);
  assert.equal(sendPacket(scheduler), second);
  assert.equal(sendPacket(scheduler), undefined);
});

test("a stream that is put back can be taken out", () => {
  const scheduler = new Scheduler();
  const stream = makeStream(StreamClass.BULK, PACKET);
  scheduler.activate(stream);
  scheduler.putBack(scheduler.next(MUCH)!);
  scheduler.remove(stream);
  assert.equal(scheduler.hasReady(MUCH), false);
});
