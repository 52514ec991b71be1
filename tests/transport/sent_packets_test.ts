import { test } from "node:test";
import assert from "node:assert/strict";
import { micros } from "../../lib/base/time.ts";
import { type SentPacket, SentPackets } from "../../lib/transport/sent_packets.ts";

function push(ring: SentPackets<string>, n: number, frames: string[] = []): SentPacket<string> {
  return ring.push(n, micros(n), 100, true, true, false, frames, frames.length);
}

test("packets are found by number while tracked and not outside the window", () => {
  const ring = new SentPackets<string>();
  for (let n = 0; n < 1000; n++) push(ring, n, [`f${n}`]);
  for (let n = 0; n < 1000; n++) assert.equal(ring.get(n)?.frames[0], `f${n}`);
  assert.equal(ring.get(1000), undefined);
  assert.equal(ring.get(-1), undefined);
  ring.shift();
  assert.equal(ring.get(0), undefined);
  assert.deepEqual([ring.first, ring.next, ring.size], [1, 1000, 999]);
});

test("a record is used again a lap later and keeps nothing of its former packet", () => {
  const ring = new SentPackets<string>();
  const old = push(ring, 0, ["a", "b", "c"]);
  ring.release(old);
  assert.deepEqual([old.frameCount, ...old.frames], [0, undefined, undefined, undefined]);
  ring.shift();
  for (let n = 1; n < 64; n++) {
    ring.release(push(ring, n));
    ring.shift();
  }
  const again = push(ring, 64, ["d"]);
  assert.equal(again, old);
  assert.deepEqual([again.packetNumber, again.frameCount, again.frames[0]], [64, 1, "d"]);
});

test("frames are copied so that the caller may reuse its array", () => {
  const ring = new SentPackets<string>();
  const scratch = ["x", "y"];
  const packet = ring.push(0, micros(0), 1, true, true, false, scratch, 1);
  scratch[0] = "changed";
  assert.equal(packet.frames[0], "x");
  assert.equal(packet.frameCount, 1);
});

test("a packet number out of turn is the caller's mistake", () => {
  const ring = new SentPackets<string>();
  assert.throws(() => push(ring, 1), RangeError);
  push(ring, 0);
  assert.throws(() => push(ring, 0), RangeError);
});

test("the ring is bounded and keeps a reserve for probes", () => {
  const ring = new SentPackets<string>(256);
  let n = 0;
  while (!ring.isFull) push(ring, n++);
  assert.equal(n, 192);
  while (!ring.isExhausted) push(ring, n++);
  assert.equal(n, 256);
  assert.throws(() => push(ring, n), RangeError);
  ring.shift();
  push(ring, n);
  assert.equal(ring.get(1)?.packetNumber, 1);
  assert.equal(ring.get(256)?.packetNumber, 256);
});

test("a limit that is no power of two is refused", () => {
  assert.throws(() => new SentPackets(1000), RangeError);
  assert.throws(() => new SentPackets(32), RangeError);
});

test("clearing forgets every packet and what it carried", () => {
  const ring = new SentPackets<string>();
  const packets = [0, 1, 2].map((n) => push(ring, n, ["f"]));
  ring.clear();
  assert.equal(ring.size, 0);
  assert.equal(ring.next, 3);
  assert.ok(packets.every((packet) => packet.frameCount === 0 && packet.frames[0] === undefined));
});
