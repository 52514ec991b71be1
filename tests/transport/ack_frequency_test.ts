import assert from "node:assert/strict";
import { test } from "node:test";
import { AckFrequency } from "../../lib/transport/ack_frequency.ts";
import { ControlQueue } from "../../lib/transport/control_queue.ts";
import type { SentFrame } from "../../lib/transport/sent_frame.ts";

const SIZE = 1200;

/** What is asked for as the window, in packets, goes through these values; 0 where nothing is. */
function asked(frequency: AckFrequency, control: ControlQueue, windows: readonly number[]): number[] {
  return windows.map((packets) => {
    frequency.onWindow(packets * SIZE, SIZE);
    return taken(control);
  });
}

function taken(control: ControlQueue): number {
  const frames: SentFrame[] = [];
  control.write(new Uint8Array(100), 0, 100, frames);
  const [frame] = frames;
  return frame?.type === "ack_frequency" ? frame.threshold : 0;
}

test("large windows ask for fewer acknowledgements, in steps that are worth a frame", () => {
  const control = new ControlQueue(), frequency = new AckFrequency(control);
  assert.deepEqual(asked(frequency, control, [10, 64, 127, 128, 200, 256, 511, 512, 100_000]), [
    0,
    0,
    0,
    4,
    0,
    8,
    0,
    16,
    0,
  ]);
  assert.deepEqual(asked(frequency, control, [300, 256, 100, 50]), [0, 8, 3, 0]);
});

test("a window of a few packets asks for every packet to be acknowledged at once, and does not waver at the border", () => {
  const control = new ControlQueue(), frequency = new AckFrequency(control);
  assert.deepEqual(asked(frequency, control, [5, 4, 2, 5, 5.9, 6, 5, 4]), [0, 1, 0, 0, 0, 2, 0, 1]);
});

test("the peer is taken to acknowledge at once only while it is known to have been asked for that", () => {
  const control = new ControlQueue(), frequency = new AckFrequency(control);
  frequency.onWindow(2 * SIZE, SIZE);
  assert.equal(frequency.isImmediate, false);
  frequency.onAcked(1);
  assert.equal(frequency.isImmediate, true);
  frequency.onWindow(10 * SIZE, SIZE);
  assert.equal(frequency.isImmediate, false, "the new frame may be there before the next packet");
});

test("what was lost is asked for again, unless something else is asked for by now", () => {
  const control = new ControlQueue(), frequency = new AckFrequency(control);
  assert.deepEqual(asked(frequency, control, [2, 10]), [1, 2]);
  frequency.onLost(1);
  assert.equal(taken(control), 0);
  frequency.onLost(2);
  assert.equal(taken(control), 2);
});
