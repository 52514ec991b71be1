import assert from "node:assert/strict";
import { test } from "node:test";
import { ControlQueue, NO_TOKEN } from "../../lib/transport/control_queue.ts";
import type { SentFrame } from "../../lib/transport/sent_frame.ts";
import { decodeFrames } from "../../lib/wire/frames.ts";

function written(queue: ControlQueue, room = 1000): { names: string[]; frames: SentFrame[] } {
  const out = new Uint8Array(room);
  const frames: SentFrame[] = [];
  const end = queue.write(out, 0, room, frames);
  const names = decodeFrames(out.subarray(0, end)).frames.map((frame) => frame.type);
  return { names, frames };
}

test("what was queued is written once", () => {
  const queue = new ControlQueue();
  assert.equal(queue.hasPending, false);
  queue.queueHandshakeDone();
  queue.queuePing(3);
  assert.equal(queue.hasPending, true);
  const { names, frames } = written(queue);
  assert.deepEqual(names, ["handshake_done", "ping"]);
  assert.deepEqual(frames, [{ type: "handshake_done" }, { type: "ping", token: 3 }]);
  assert.equal(queue.hasPending, false);
});

test("pings are bounded, and anonymous ones merge", () => {
  const queue = new ControlQueue();
  queue.queuePing(NO_TOKEN);
  queue.queuePing(NO_TOKEN);
  assert.equal(written(queue).frames.length, 1);
  for (let i = 0; i < 1000; i++) queue.queuePing(i);
  assert.equal(written(queue).frames.length, 64);
});

test("what does not fit stays for the next packet", () => {
  const queue = new ControlQueue();
  queue.queueHandshakeDone();
  queue.queuePing(1);
  assert.equal(written(queue, 5).frames.length, 1);
  assert.equal(queue.hasPending, true);
  assert.equal(written(queue).frames.length, 1);
});
