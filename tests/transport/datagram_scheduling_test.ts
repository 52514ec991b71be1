import assert from "node:assert/strict";
import { test } from "node:test";
import { DatagramFrames } from "../../lib/transport/datagram_frames.ts";
import { Scheduler, StreamClass } from "../../lib/transport/scheduler.ts";
import { completeSettings } from "../../lib/transport/settings.ts";
import { SendStream } from "../../lib/transport/streams/send_stream.ts";
import type { StreamId } from "../../lib/wire/stream_id.ts";

const MUCH = 1 << 30;
const PACKET = 1100;
const { CONTROL, INTERACTIVE, BULK } = StreamClass;

/** A scheduler with streams and DATAGRAM frames that never run out, and packets as `StreamLayer.writeData` fills them. */
class Bench {
  readonly scheduler = new Scheduler();
  readonly frames = new DatagramFrames(this.scheduler, completeSettings(), () => {});
  /** Bytes that were sent, by class. */
  readonly ofStreams = [0, 0, 0];
  readonly ofFrames = [0, 0, 0];
  #nextId = 0;

  constructor() {
    this.frames.setPeerLimit(65535);
    this.frames.setUdpPayload(1200);
    this.frames.open();
  }

  stream(streamClass: number, bytes = 10_000_000): void {
    const stream = new SendStream(4 * this.#nextId++ as StreamId, streamClass, MUCH, MUCH, true);
    stream.write(new Uint8Array(bytes), false);
    this.scheduler.activate(stream);
  }

  /** Fills one packet; `refill` is asked for frames between any two steps. */
  packet(refill: () => void): void {
    const { scheduler } = this;
    let room = PACKET, lanes = true;
    while (room > 40) {
      refill();
      const stream = scheduler.next(MUCH, lanes);
      const { lane } = scheduler;
      if (stream !== undefined) {
        assert.ok(stream.takeChunk(room - 22, MUCH));
        const size = stream.chunkLength + 22;
        scheduler.charge(stream.streamClass, size);
        this.ofStreams[stream.streamClass] += size;
        scheduler.requeue(stream, MUCH);
        room -= size;
      } else if (lane !== undefined) {
        const data = lane.peek()!;
        if (data.length + 3 <= room) {
          const size = lane.take();
          scheduler.chargeLane(lane.streamClass, size);
          this.ofFrames[lane.streamClass] += size;
          room -= size;
        } else {
          assert.ok(room < PACKET, "it fits into an empty packet");
          lanes = false;
        }
      } else return;
    }
  }

  run(packets: number, refill: () => void = () => {}): void {
    for (let i = 0; i < packets; i++) this.packet(refill);
  }
}

for (const size of [50, 600, 1097]) {
  test(`frames of ${size} bytes and a stream of their class share it evenly`, () => {
    const bench = new Bench();
    bench.stream(BULK);
    bench.run(1000, () => bench.frames.queued < 10 && bench.frames.send(new Uint8Array(size)));
    const share = bench.ofFrames[BULK] / (bench.ofFrames[BULK] + bench.ofStreams[BULK]);
    assert.ok(Math.abs(share - 0.5) < 0.02, `${share}`);
  });

  test(`frames of ${size} bytes that are handed over one by one do not crowd out a stream of their class`, () => {
    const bench = new Bench();
    bench.stream(BULK);
    bench.run(1000, () => bench.frames.queued < 1 && bench.frames.send(new Uint8Array(size)));
    const share = bench.ofStreams[BULK] / (bench.ofFrames[BULK] + bench.ofStreams[BULK]);
    assert.ok(Math.abs(share - 0.5) < 0.02, `${share}`);
  });
}

test("frames count for their class: interactive ones leave bulk streams their sixth, and the other way round", () => {
  const bench = new Bench();
  bench.stream(BULK);
  bench.run(1200, () => bench.frames.queued < 10 && bench.frames.send(new Uint8Array(500), INTERACTIVE));
  assert.ok(Math.abs(bench.ofFrames[INTERACTIVE] / bench.ofStreams[BULK] - 5) < 0.1);

  const other = new Bench();
  other.stream(INTERACTIVE);
  other.run(1200, () => other.frames.queued < 10 && other.frames.send(new Uint8Array(500)));
  assert.ok(Math.abs(other.ofStreams[INTERACTIVE] / other.ofFrames[BULK] - 5) < 0.1);
});

test("a frame after a long silence goes next, and a flood of frames does not keep an urgent stream waiting", () => {
  const bench = new Bench();
  bench.stream(BULK);
  bench.run(500);
  bench.frames.send(new Uint8Array(200), CONTROL);
  bench.packet(() => {});
  assert.equal(bench.ofFrames[CONTROL], 203);
  bench.frames.send(new Uint8Array(200), BULK);
  bench.packet(() => {});
  assert.equal(bench.ofFrames[BULK], 203, "streams that were alone have saved up no claim");

  const flood = new Bench();
  const refill = (): unknown => flood.frames.queued < 100 && flood.frames.send(new Uint8Array(1000));
  flood.run(500, refill);
  flood.stream(INTERACTIVE, 1000);
  flood.packet(refill);
  assert.ok(flood.ofStreams[INTERACTIVE] >= 1000);
});

test("frames that come after a long silence have no claim to what they did not send", () => {
  for (const streamClass of [BULK, INTERACTIVE]) {
    const bench = new Bench();
    bench.frames.send(new Uint8Array(1000), streamClass);
    bench.stream(BULK);
    bench.run(2000);
    const before = bench.ofStreams[BULK], framesBefore = bench.ofFrames[streamClass];
    bench.run(60, () => bench.frames.queued < 10 && bench.frames.send(new Uint8Array(1000), streamClass));
    const stream = bench.ofStreams[BULK] - before, frames = bench.ofFrames[streamClass] - framesBefore;
    const share = streamClass === BULK ? 1 / 2 : 1 / 6;
    assert.ok(Math.abs(stream / (stream + frames) - share) < 0.05, `${stream} beside ${frames}`);
  }
});

test("frames that were alone owe nothing to a stream that comes later", () => {
  const bench = new Bench();
  const refill = (): unknown => bench.frames.queued < 10 && bench.frames.send(new Uint8Array(500));
  bench.run(1000, refill);
  bench.stream(BULK);
  const before = bench.ofFrames[BULK];
  bench.run(100, refill);
  const frames = bench.ofFrames[BULK] - before;
  assert.ok(Math.abs(frames / (frames + bench.ofStreams[BULK]) - 0.5) < 0.05);
});

test("nothing is ready once all frames are sent, or have become too large", () => {
  const bench = new Bench();
  bench.frames.send(new Uint8Array(100));
  assert.ok(bench.scheduler.hasReady(0));
  bench.packet(() => {});
  assert.ok(!bench.scheduler.hasReady(0));
  bench.frames.send(new Uint8Array(1000));
  bench.frames.setUdpPayload(500);
  bench.scheduler.next(0);
  assert.equal(bench.scheduler.lane?.peek(), undefined);
  assert.ok(!bench.scheduler.hasReady(0));
});
