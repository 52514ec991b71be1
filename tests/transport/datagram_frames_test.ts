import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  DatagramFrameCounters,
  DatagramFrames,
  type DatagramLimits,
  IncomingDatagrams,
} from "../../lib/transport/datagram_frames.ts";
import { DatagramQueue } from "../../lib/transport/datagram_queue.ts";
import { Scheduler, StreamClass } from "../../lib/transport/scheduler.ts";
import { TransportError } from "../../lib/wire/error_codes.ts";
import { property } from "../support/seed.ts";

const LIMITS: DatagramLimits = {
  maxDatagramFrame: 1000,
  datagramQueueLength: 4,
  datagramQueueBytes: 2000,
  datagramDrop: "oldest",
};

/** Recognisable data. */
const data = (value: number, length = 10): Uint8Array => new Uint8Array(length).fill(value);

function outgoing(limits: Partial<DatagramLimits> = {}): { frames: DatagramFrames; scheduler: Scheduler } {
  const scheduler = new Scheduler();
  const frames = new DatagramFrames(scheduler, { ...LIMITS, ...limits }, () => {});
  frames.setPeerLimit(1000);
  frames.setUdpPayload(1200);
  frames.open();
  return { frames, scheduler };
}

/** Takes what is to be sent, in the order of its turns; the first byte of each. */
function takeAll(scheduler: Scheduler): number[] {
  const taken: number[] = [];
  while (scheduler.hasReady(0)) {
    assert.equal(scheduler.next(0), undefined);
    const bytes = scheduler.lane?.peek();
    if (bytes === undefined) continue;
    taken.push(bytes[0]);
    scheduler.chargeLane(scheduler.lane!.streamClass, scheduler.lane!.take());
  }
  return taken;
}

test("the queue is first in, first out, and knows its bytes", () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(50)), { maxLength: 200 }), (steps) => {
      const queue = new DatagramQueue(), model: Uint8Array[] = [];
      for (const size of steps) {
        if (size === null) assert.equal(queue.shift(), model.shift());
        else {
          const bytes = new Uint8Array(size);
          queue.push(bytes);
          model.push(bytes);
        }
        assert.equal(queue.first, model[0]);
        assert.equal(queue.length, model.length);
        assert.equal(queue.bytes, model.reduce((sum, { length }) => sum + length, 0));
      }
      assert.equal(queue.clear(), model.length);
      assert.deepEqual([queue.length, queue.bytes, queue.first], [0, 0, undefined]);
    }),
    property(),
  );
});

test("data is refused by name: before the connection stands, after its end, without support, and if it is too large", () => {
  const frames = new DatagramFrames(new Scheduler(), LIMITS, () => {});
  assert.equal(frames.send(data(1)), "not_established");
  assert.equal(frames.maxSize, 0);
  frames.open();
  assert.equal(frames.send(data(1)), "unsupported");
  assert.equal(frames.maxSize, 0);
  frames.setPeerLimit(500);
  frames.setUdpPayload(1200);
  assert.equal(frames.maxSize, 500);
  assert.equal(frames.send(data(1, 501)), "too_large");
  assert.equal(frames.send(data(1, 500)), "queued");
  assert.equal(frames.counters.droppedTooLarge, 1);
  frames.close();
  assert.deepEqual([frames.send(data(1)), frames.queued, frames.maxSize], ["not_established", 0, 0]);
});

test("the largest data is what the peer takes, what a packet of the path carries, and what the queue holds", () => {
  const { frames } = outgoing({ datagramQueueBytes: 900 });
  assert.equal(frames.maxSize, 900);
  frames.setUdpPayload(600);
  assert.equal(frames.maxSize, 600 - 32 - 16 - 3);
  frames.setPeerLimit(100);
  assert.equal(frames.maxSize, 100);
});

test("when too much waits the oldest gives way", () => {
  const { frames, scheduler } = outgoing();
  for (let i = 1; i <= 7; i++) assert.equal(frames.send(data(i)), "queued");
  assert.deepEqual(takeAll(scheduler), [4, 5, 6, 7]);
  assert.equal(frames.counters.droppedFull, 3);
  for (let i = 1; i <= 3; i++) frames.send(data(i, 900));
  assert.deepEqual(takeAll(scheduler), [2, 3], "by bytes, too");
  assert.deepEqual([frames.counters.droppedFull, frames.counters.sent, frames.queued], [4, 6, 0]);
});

test("or the newest, where that was asked for", () => {
  const { frames, scheduler } = outgoing({ datagramDrop: "newest" });
  const results = [1, 2, 3, 4, 5, 6].map((i) => frames.send(data(i)));
  assert.deepEqual(results, ["queued", "queued", "queued", "queued", "full", "full"]);
  assert.deepEqual(takeAll(scheduler), [1, 2, 3, 4]);
  assert.equal(frames.counters.droppedFull, 2);
});

test("the less urgent gives way to the more urgent, and never the other way round", () => {
  const { frames, scheduler } = outgoing();
  for (let i = 1; i <= 4; i++) frames.send(data(i), StreamClass.BULK);
  assert.equal(frames.send(data(5), StreamClass.INTERACTIVE), "queued");
  for (let i = 6; i <= 8; i++) assert.equal(frames.send(data(i), StreamClass.INTERACTIVE), "queued");
  assert.equal(frames.send(data(9), StreamClass.BULK), "full");
  assert.equal(frames.send(data(10), StreamClass.INTERACTIVE), "queued");
  assert.equal(frames.send(data(11), 77), "full", "an unknown class is the least urgent");
  assert.deepEqual(takeAll(scheduler), [6, 7, 8, 10]);
});

test("what the path has become too narrow for is dropped when its turn comes", () => {
  const { frames, scheduler } = outgoing();
  for (const size of [900, 100, 900, 50]) frames.send(data(size & 0xff, size));
  frames.setUdpPayload(500);
  assert.deepEqual(takeAll(scheduler), [100, 50]);
  assert.deepEqual([frames.counters.droppedTooLarge, frames.counters.sent], [2, 2]);
});

test("a probe that takes a frame's packet over counts it as lost, until its acknowledgement comes after all", () => {
  const { frames } = outgoing();
  frames.onLost();
  assert.deepEqual([frames.counters.lost, frames.counters.acknowledged], [1, 0]);
  frames.onAcked(true);
  assert.deepEqual([frames.counters.lost, frames.counters.acknowledged], [0, 1]);
  frames.onAcked(false);
  assert.deepEqual([frames.counters.lost, frames.counters.acknowledged], [0, 2]);
});

test("what arrives is copied, reported once until it is read, and read in order", () => {
  let reports = 0;
  const counters = new DatagramFrameCounters();
  const incoming = new IncomingDatagrams(LIMITS, counters, () => reports++);
  const packet = Uint8Array.of(0, 1, 2, 3, 4, 5);
  assert.equal(incoming.onFrame(packet, 1, 3), 0);
  assert.equal(incoming.onFrame(packet, 3, 3), 0);
  assert.equal(incoming.onFrame(packet, 3, 6), 0);
  packet.fill(9);
  assert.equal(reports, 1);
  assert.deepEqual([...incoming.read()!], [1, 2]);
  assert.deepEqual([...incoming.read()!], []);
  incoming.onFrame(packet, 0, 1);
  assert.equal(reports, 1, "not all of it was read yet");
  assert.deepEqual([...incoming.read()!], [3, 4, 5]);
  assert.deepEqual([...incoming.read()!], [9]);
  assert.equal(incoming.read(), undefined);
  incoming.onFrame(packet, 0, 1);
  assert.equal(reports, 2);
  incoming.drop();
  incoming.onFrame(packet, 0, 1);
  assert.equal(reports, 3);
  assert.deepEqual([counters.received, counters.droppedUnread], [6, 1]);
});

test("what nobody reads is bounded by number and by bytes, and the newest or the oldest stays", () => {
  for (const datagramDrop of ["oldest", "newest"] as const) {
    for (const [size, kept] of [[10, 4], [800, 2], [0, 4]]) {
      const counters = new DatagramFrameCounters();
      const incoming = new IncomingDatagrams({ ...LIMITS, datagramDrop }, counters, () => {});
      for (let i = 0; i < 20; i++) incoming.onFrame(data(i, size), 0, size);
      assert.equal(incoming.length, kept);
      assert.equal(counters.droppedUnread, 20 - kept);
      if (size > 0) assert.equal(incoming.read()![0], datagramDrop === "newest" ? 0 : 20 - kept);
    }
  }
});

test("a frame that is larger than was announced, or any if none was, breaks the rules", () => {
  const counters = new DatagramFrameCounters();
  const incoming = new IncomingDatagrams(LIMITS, counters, () => {});
  assert.equal(incoming.onFrame(data(1, 1000), 0, 1000), 0);
  assert.equal(incoming.onFrame(data(1, 1001), 0, 1001), TransportError.PROTOCOL_VIOLATION);
  const none = new IncomingDatagrams({ ...LIMITS, maxDatagramFrame: 0 }, counters, () => {});
  assert.equal(none.onFrame(data(1, 0), 0, 0), TransportError.PROTOCOL_VIOLATION);
  assert.equal(counters.received, 1);
});

test("a frame that the queue can never hold is dropped, and what waits stays", () => {
  const counters = new DatagramFrameCounters();
  const incoming = new IncomingDatagrams({ ...LIMITS, datagramQueueBytes: 500 }, counters, () => {});
  incoming.onFrame(data(1), 0, 10);
  assert.equal(incoming.onFrame(data(1, 600), 0, 600), 0);
  assert.deepEqual([incoming.length, counters.droppedUnread], [1, 1]);
});
