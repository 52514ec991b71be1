import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Micros, micros } from "../../../lib/base/time.ts";
import { SeededRandom } from "../../../lib/testing/seeded_random.ts";
import { GapBudget } from "../../../lib/transport/streams/reassembler.ts";
import { ReceiveStream } from "../../../lib/transport/streams/receive_stream.ts";
import { SmallCopies } from "../../../lib/transport/streams/small_copies.ts";
import { TransportError } from "../../../lib/wire/error_codes.ts";
import type { StreamId } from "../../../lib/wire/stream_id.ts";
import { property } from "../../support/seed.ts";

const NO_TIME = 0 as Micros;

function makeStream(window = 1000, maxWindow = window, gaps = 16384): ReceiveStream {
  return new ReceiveStream(2 as StreamId, { copies: new SmallCopies(), gaps: new GapBudget(gaps), window, maxWindow });
}

/** Hands over `data` between other bytes, as a packet would. */
function receive(stream: ReceiveStream, data: number[], offset: number, fin = false): number {
  const packet = new Uint8Array([250, ...data, 251]);
  const result = stream.onData(packet, 1, 1 + data.length, offset, fin);
  packet.fill(252); // what is kept must be a copy
  return result;
}

function readAll(stream: ReceiveStream): number[] {
  const all: number[] = [];
  for (let block; (block = stream.read()) !== undefined;) all.push(...block);
  return all;
}

test("a small message with its end goes from recv over data_recvd to data_read", () => {
  const stream = makeStream();
  assert.equal(stream.state, "recv");
  assert.equal(receive(stream, [1, 2, 3], 0, true), 3);
  assert.equal(stream.state, "data_recvd");
  assert.equal(stream.readable, true);
  assert.deepEqual([...stream.read()!], [1, 2, 3]);
  assert.equal(stream.state, "data_read");
  assert.equal(stream.finished, true);
  assert.equal(stream.isTerminal, true);
  assert.equal(stream.readable, false);
  assert.equal(stream.read(), undefined);
});

test("an end before the data is size_known until the data is there", () => {
  const stream = makeStream();
  assert.equal(receive(stream, [3], 2, true), 3);
  assert.equal(stream.state, "size_known");
  assert.equal(stream.readable, false);
  assert.equal(stream.finalSize, 3);
  assert.equal(receive(stream, [1, 2], 0), 0);
  assert.equal(stream.state, "data_recvd");
  assert.deepEqual(readAll(stream), [1, 2, 3]);
  assert.equal(stream.finished, true);
});

test("an end that comes after everything was read is read by the next call", () => {
  const stream = makeStream();
  receive(stream, [1], 0);
  assert.deepEqual(readAll(stream), [1]);
  assert.equal(stream.finished, false);
  assert.equal(receive(stream, [], 1, true), 0);
  assert.equal(stream.state, "data_recvd");
  assert.equal(stream.readable, true);
  assert.equal(stream.read(), undefined);
  assert.equal(stream.finished, true);
});

test("an empty stream is finished once it was read", () => {
  const stream = makeStream();
  receive(stream, [], 0, true);
  assert.equal(stream.finished, false);
  assert.equal(stream.read(), undefined);
  assert.equal(stream.finished, true);
});

test("a stream is not finished before the last of its blocks was read", () => {
  const stream = makeStream(100_000);
  const data = new Uint8Array(50_000);
  stream.onData(data, 0, 40_000, 0, false);
  stream.onData(data, 40_000, 50_000, 40_000, true);
  assert.equal(stream.state, "data_recvd");
  assert.equal(stream.read()!.length, 40_000);
  assert.equal(stream.finished, false);
  assert.equal(stream.read()!.length, 10_000);
  assert.equal(stream.finished, true);
});

test("repeated data changes nothing and grows nothing", () => {
  const stream = makeStream();
  assert.equal(receive(stream, [1, 2], 0), 2);
  assert.equal(receive(stream, [8, 9], 0), 0);
  assert.equal(receive(stream, [9, 3], 1), 1);
  assert.deepEqual(readAll(stream), [1, 2, 3]);
  assert.equal(receive(stream, [7, 7, 7], 0), 0);
  assert.equal(stream.readable, false);
  assert.equal(receive(stream, [7, 7, 7, 4], 0, true), 1);
  assert.deepEqual(readAll(stream), [4]);
  assert.equal(receive(stream, [7, 7, 7, 7], 0, true), 0);
  assert.equal(stream.finished, true);
});

test("data beyond the final size closes the connection with FINAL_SIZE", () => {
  const stream = makeStream();
  receive(stream, [1, 2], 0, true);
  assert.equal(receive(stream, [3], 2), -TransportError.FINAL_SIZE);
  assert.equal(receive(stream, [2, 3], 1), -TransportError.FINAL_SIZE);
});

test("a final size that changes, or lies below data that was received, closes the connection with FINAL_SIZE", () => {
  const stream = makeStream();
  receive(stream, [1, 2], 0, true);
  assert.equal(receive(stream, [1], 0, true), -TransportError.FINAL_SIZE);
  assert.equal(receive(stream, [], 3, true), -TransportError.FINAL_SIZE);
  assert.equal(stream.onReset(0, 1), -TransportError.FINAL_SIZE);
  const other = makeStream();
  receive(other, [5], 9);
  assert.equal(receive(other, [], 9, true), -TransportError.FINAL_SIZE);
  assert.equal(other.onReset(0, 9), -TransportError.FINAL_SIZE);
  assert.equal(receive(other, [], 10, true), 0);
  assert.equal(receive(other, [], 10, true), 0, "the same end again is no error");
});

test("the final size stays in force after a reset", () => {
  const stream = makeStream();
  stream.onReset(1, 4);
  assert.equal(receive(stream, [1], 4), -TransportError.FINAL_SIZE);
  assert.equal(receive(stream, [1], 3), 0);
  assert.equal(stream.onReset(1, 5), -TransportError.FINAL_SIZE);
  assert.equal(stream.onReset(1, 4), 0);
});

test("data, an end or a reset beyond the credit closes the connection with FLOW_CONTROL", () => {
  const stream = makeStream(10);
  assert.equal(receive(stream, [1], 10), -TransportError.FLOW_CONTROL);
  assert.equal(receive(stream, [], 11, true), -TransportError.FLOW_CONTROL);
  assert.equal(stream.onReset(0, 11), -TransportError.FLOW_CONTROL);
  assert.equal(receive(stream, [1], Number.MAX_SAFE_INTEGER), -TransportError.FLOW_CONTROL);
  assert.equal(stream.state, "recv");
  assert.equal(receive(stream, [1], 9, true), 10);
});

test("too many gaps are refused with PROTOCOL_VIOLATION", () => {
  const stream = makeStream(1000, 1000, 3);
  for (const offset of [2, 4, 6]) assert.ok(receive(stream, [1], offset) >= 0);
  assert.equal(receive(stream, [1], 8), -TransportError.PROTOCOL_VIOLATION);
});

test("a reset discards what was not read, and is over when the application has learned of it", () => {
  const stream = makeStream();
  receive(stream, [1, 2], 0);
  receive(stream, [1], 4);
  assert.equal(stream.onReset(77, 20), 15);
  assert.equal(stream.state, "reset_recvd");
  assert.equal(stream.resetCode, 77);
  assert.equal(stream.readable, false);
  assert.equal(stream.read(), undefined);
  assert.equal(stream.retainedBytes, 0);
  assert.equal(stream.takeConsumed(), 20, "the whole of it returns to the connection's credit");
  assert.equal(receive(stream, [9], 5), 0, "late data is ignored");
  assert.equal(stream.isTerminal, false);
  assert.equal(stream.takeReset(), 77);
  assert.equal(stream.state, "reset_read");
  assert.equal(stream.isTerminal, true);
  assert.equal(stream.takeReset(), -1);
});

test("a reset after an end replaces it as long as data is missing", () => {
  const stream = makeStream();
  receive(stream, [3], 2, true);
  assert.equal(stream.onReset(5, 3), 0);
  assert.equal(stream.state, "reset_recvd");
});

test("a reset after all data has arrived is ignored", () => {
  const stream = makeStream();
  receive(stream, [1, 2], 0, true);
  assert.equal(stream.onReset(5, 2), 0);
  assert.equal(stream.state, "data_recvd");
  assert.deepEqual(readAll(stream), [1, 2]);
  assert.equal(stream.onReset(5, 2), 0);
  assert.equal(stream.state, "data_read");
  assert.equal(stream.resetCode, -1);
});

test("a stopped stream discards everything, returns the credit and ends with the peer's reset", () => {
  const stream = makeStream();
  receive(stream, [1, 2], 0);
  receive(stream, [1], 5);
  assert.equal(stream.stopSending(9), true);
  assert.equal(stream.stopPending, true);
  assert.equal(stream.read(), undefined);
  assert.equal(stream.takeConsumed(), 6);
  assert.equal(receive(stream, [1, 2], 6), 2);
  assert.equal(stream.retainedBytes, 0);
  assert.equal(stream.takeConsumed(), 2);
  assert.equal(stream.isMaxDataDue, false, "a stopped stream needs no credit");
  stream.onStopSent();
  assert.equal(stream.stopPending, false);
  stream.onStopLost();
  assert.equal(stream.stopPending, true);
  assert.equal(stream.onReset(9, 10), 2);
  assert.equal(stream.takeConsumed(), 2);
  assert.equal(stream.stopPending, false);
  assert.equal(stream.state, "reset_read");
  stream.onStopLost();
  assert.equal(stream.stopPending, false, "nothing is repeated when it is over");
  assert.equal(stream.stopSending(9), false);
});

test("a stopped stream ends with the peer's end, even if data is missing", () => {
  const stream = makeStream();
  stream.stopSending(9);
  assert.equal(receive(stream, [1], 7, true), 8);
  assert.equal(stream.takeConsumed(), 8);
  assert.equal(stream.isTerminal, true);
});

test("stopping a stream whose end is known needs no frame", () => {
  const stream = makeStream();
  receive(stream, [1], 7, true);
  assert.equal(stream.stopSending(9), false);
  assert.equal(stream.stopPending, false);
  assert.equal(stream.isTerminal, true);
  assert.equal(stream.takeConsumed(), 8);
  const reset = makeStream();
  reset.onReset(1, 0);
  assert.equal(reset.stopSending(9), false);
  assert.equal(reset.state, "reset_read");
});

test("new credit is announced when a quarter of the window was read, and repeated when it was lost", () => {
  const stream = makeStream(100);
  assert.equal(stream.takeMaxData(NO_TIME, NO_TIME), 0);
  receive(stream, new Array(25).fill(1), 0);
  assert.equal(stream.isMaxDataDue, false, "receiving is not reading");
  readAll(stream);
  assert.equal(stream.isMaxDataDue, true);
  assert.equal(stream.takeMaxData(NO_TIME, NO_TIME), 125);
  assert.equal(stream.takeMaxData(NO_TIME, NO_TIME), 0);
  stream.onMaxDataLost();
  assert.equal(stream.takeMaxData(NO_TIME, NO_TIME), 125);
  assert.equal(receive(stream, [1], 124), 100);
  assert.equal(receive(stream, [1], 125), -TransportError.FLOW_CONTROL);
});

test("what waits behind a gap does not count against the window, but memory stays bounded by the largest one", () => {
  const stream = makeStream(100, 350);
  // Byte 0 is lost. The reader is not to blame.
  assert.equal(receive(stream, new Array(60).fill(1), 1), 61);
  assert.equal(stream.takeMaxData(NO_TIME, NO_TIME), 161);
  assert.equal(receive(stream, new Array(100).fill(1), 61), 100);
  assert.equal(stream.takeMaxData(micros(1), micros(10)), 350, "161 + 200, if that were not too much");
  assert.equal(receive(stream, new Array(189).fill(1), 161), 189);
  assert.equal(stream.takeMaxData(NO_TIME, NO_TIME), 0);
  // The gap is filled, and nobody reads: the window counts again.
  assert.equal(receive(stream, [1], 0), 0);
  assert.equal(stream.takeMaxData(NO_TIME, NO_TIME), 0);
  readAll(stream);
  assert.equal(stream.takeMaxData(micros(100), micros(10)), 550);
});

test("a stream whose length is known needs no more credit", () => {
  const stream = makeStream(100);
  receive(stream, new Array(60).fill(1), 0);
  receive(stream, [1], 70, true);
  readAll(stream);
  stream.onMaxDataLost();
  assert.equal(stream.takeMaxData(NO_TIME, NO_TIME), 0);
});

test("the window doubles while a quarter of it is read within a round trip, up to its maximum", () => {
  const stream = makeStream(100, 350);
  const rtt = micros(1000);
  let now = 0;
  let offset = 0;
  const limits: number[] = [];
  for (const wait of [0, 500, 500, 5000, 500]) {
    now += wait;
    const length = limits.length === 0 ? 50 : limits.at(-1)! - offset;
    receive(stream, new Array(length).fill(1), offset);
    offset += length;
    readAll(stream);
    limits.push(stream.takeMaxData(micros(now), rtt));
  }
  // 50 + 100; then 150 + 200; 350 + 350; too slow: 700 + 350; already at the maximum: 1050 + 350.
  assert.deepEqual(limits, [150, 350, 700, 1050, 1400]);
});

test("what the connection gets back adds up to what was received", () => {
  const stream = makeStream();
  let grown = receive(stream, [1, 2], 0);
  grown += receive(stream, [4], 3);
  readAll(stream);
  let consumed = stream.takeConsumed();
  assert.equal(consumed, 2);
  assert.equal(stream.takeConsumed(), 0);
  grown += stream.onReset(1, 8);
  consumed += stream.takeConsumed();
  assert.equal(grown, 8);
  assert.equal(consumed, 8);
});

test("any order, overlaps and repetitions of a stream's pieces give its bytes, once, and then its end", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(5000), (seed, total) => {
      const random = new SeededRandom(seed);
      const expected = new Uint8Array(total);
      random.fill(expected);
      const window = 500 + random.below(6000);
      const stream = makeStream(window, 2 * window);
      let limit = window;
      const out: number[] = [];
      let grown = 0;
      let consumed = 0;
      let now = 0;
      for (let step = 0; !stream.finished; step++) {
        assert.ok(step < 100_000, "it comes to an end");
        // Mostly near the first missing byte, sometimes anywhere that the credit allows.
        const most = Math.min(limit, total);
        const near = Math.min(most, out.length + random.below(800));
        let offset = random.chance(0.8) ? Math.max(0, near - random.below(600)) : random.below(most + 1);
        if (random.chance(0.2)) offset = Math.min(most, out.length);
        const length = random.below(Math.min(random.chance(0.3) ? 4 : 400, most - offset) + 1);
        const fin = offset + length === total && random.chance(0.8);
        const result = stream.onData(expected, offset, offset + length, offset, fin);
        assert.ok(result >= 0);
        grown += result;
        if (random.chance(0.4)) out.push(...readAll(stream));
        consumed += stream.takeConsumed();
        assert.equal(stream.readOffset, out.length);
        assert.equal(consumed, out.length);
        now += random.below(1000);
        limit = stream.takeMaxData(micros(now), micros(500)) || limit;
        assert.ok(limit <= out.length + 2 * window);
        assert.ok(stream.retainedBytes <= 3 * (grown - out.length));
      }
      assert.deepEqual(Uint8Array.from(out), expected);
      assert.equal(grown, total);
      assert.equal(stream.finalSize, total);
    }),
    property(100),
  );
});
