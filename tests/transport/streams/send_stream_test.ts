import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../../lib/testing/seeded_random.ts";
import { SendStream } from "../../../lib/transport/streams/send_stream.ts";
import type { StreamId } from "../../../lib/wire/stream_id.ts";
import { property } from "../../support/seed.ts";

const MUCH = 1 << 30;

function makeStream(options: { buffer?: number; maxData?: number; opens?: boolean } = {}): SendStream {
  return new SendStream(4 as StreamId, 1, options.buffer ?? MUCH, options.maxData ?? MUCH, options.opens ?? true);
}

function bytes(...values: number[]): Uint8Array {
  return new Uint8Array(values);
}

/** Takes the next piece and its bytes. */
function take(stream: SendStream, maxLength = MUCH, credit = MUCH): [offset: number, data: number[], fin: boolean] {
  assert.ok(stream.takeChunk(maxLength, credit));
  const out = new Uint8Array(stream.chunkLength);
  stream.copyChunk(stream.chunkOffset, stream.chunkLength, out, 0);
  return [stream.chunkOffset, [...out], stream.chunkFin];
}

test("a small message and its end leave as one piece, and its acknowledgement ends the half", () => {
  const stream = makeStream();
  assert.equal(stream.state, "ready");
  assert.equal(stream.hasPending(MUCH), false);
  assert.equal(stream.write(bytes(1, 2, 3), true), 3);
  assert.equal(stream.hasPending(MUCH), true);
  assert.deepEqual(take(stream), [0, [1, 2, 3], true]);
  assert.equal(stream.chunkNewBytes, 3);
  assert.equal(stream.state, "data_sent");
  assert.equal(stream.hasPending(MUCH), false);
  assert.equal(stream.takeChunk(MUCH, MUCH), false);
  assert.equal(stream.onAcked(0, 3, true), 3);
  assert.equal(stream.state, "data_recvd");
  assert.equal(stream.isTerminal, true);
  assert.equal(stream.bufferedBytes, 0);
});

test("a writer may say how much may wait to be sent for the first time", () => {
  const stream = makeStream();
  assert.equal(stream.write(new Uint8Array(10), false, 8), 8);
  assert.deepEqual([stream.unsentBytes, stream.writeBlocked], [8, true]);
  assert.equal(stream.write(bytes(1), false, 8), 0);
  take(stream, 5);
  assert.equal(stream.write(new Uint8Array(10), true, 8), 5, "what was sent does not count, acknowledged or not");
  assert.equal(stream.finWritten, false);
  assert.equal(stream.write(new Uint8Array(5), true), 5);
  assert.deepEqual([stream.unsentBytes, stream.finWritten], [13, true]);
});

test("a stream that has sent without its end is in state send", () => {
  const stream = makeStream();
  stream.write(bytes(1), false);
  take(stream);
  assert.equal(stream.state, "send");
  stream.onAcked(0, 1, false);
  assert.equal(stream.state, "send");
});

test("the end alone is a piece of no bytes, and needs no credit", () => {
  const stream = makeStream({ maxData: 2 });
  stream.write(bytes(1, 2), false);
  take(stream);
  stream.write(bytes(), true);
  assert.equal(stream.hasPending(0), true);
  assert.deepEqual(take(stream, 0, 0), [2, [], true]);
  assert.equal(stream.state, "data_sent");
  stream.onAcked(2, 0, true);
  assert.equal(stream.state, "data_sent", "the data is not acknowledged yet");
  stream.onAcked(0, 2, false);
  assert.equal(stream.state, "data_recvd");
});

test("an empty stream is opened and ended by one piece of no bytes", () => {
  const stream = makeStream({ maxData: 0 });
  stream.write(bytes(), true);
  assert.deepEqual(take(stream), [0, [], true]);
  assert.equal(stream.openPending, true);
  stream.onAcked(0, 0, true);
  assert.equal(stream.openPending, false);
  assert.equal(stream.state, "data_recvd");
});

test("writing after the end is the caller's mistake, and throws", () => {
  const stream = makeStream();
  stream.write(bytes(1), true);
  assert.throws(() => stream.write(bytes(2), false), TypeError);
  take(stream);
  stream.onAcked(0, 1, true);
  assert.throws(() => stream.write(bytes(2), false), TypeError);
});

test("a write takes what the buffer has room for, and its end only when all of it fits", () => {
  const stream = makeStream({ buffer: 4 });
  assert.equal(stream.write(bytes(1, 2, 3, 4, 5, 6), true), 4);
  assert.equal(stream.writeBlocked, true);
  assert.equal(stream.writable, 0);
  assert.equal(stream.finWritten, false);
  assert.equal(stream.write(bytes(9), false), 0);
  assert.deepEqual(take(stream), [0, [1, 2, 3, 4], false]);
  assert.equal(stream.writable, 0, "sent bytes are kept until they are acknowledged");
  assert.equal(stream.onAcked(0, 4, false), 4);
  assert.equal(stream.writable, 4);
  assert.equal(stream.write(bytes(5, 6), true), 2);
  assert.deepEqual(take(stream), [4, [5, 6], true]);
});

test("OPEN is carried until a frame that carried it was acknowledged", () => {
  const stream = makeStream();
  stream.write(bytes(1, 2), false);
  take(stream, 1);
  assert.equal(stream.openPending, true);
  take(stream, 1);
  stream.onLost(0, 1, false);
  assert.equal(stream.openPending, true);
  stream.onAcked(1, 1, false);
  assert.equal(stream.openPending, false);
  assert.equal(makeStream({ opens: false }).openPending, false);
});

test("the stream's credit and the connection's credit limit new bytes, whichever is smaller", () => {
  const stream = makeStream({ maxData: 5 });
  stream.write(new Uint8Array(10), true);
  assert.ok(stream.takeChunk(100, 3));
  assert.equal(stream.chunkLength, 3);
  assert.ok(stream.takeChunk(100, 100));
  assert.equal(stream.chunkLength, 2);
  assert.equal(stream.chunkFin, false);
  assert.equal(stream.takeChunk(100, 100), false);
  assert.equal(stream.hasPending(100), false);
  assert.equal(stream.isBlocked, true);
  assert.equal(stream.blockedAt, 5);
  assert.equal(stream.setMaxData(4), false, "a limit never shrinks");
  assert.equal(stream.blockedAt, 5);
  assert.equal(stream.setMaxData(20), true);
  assert.equal(stream.setMaxData(21), false, "it was not blocked any more");
  assert.equal(stream.hasPending(0), false);
  assert.equal(stream.hasPending(1), true);
  assert.ok(stream.takeChunk(100, 100));
  assert.equal(stream.chunkFin, true);
});

test("being blocked is announced once for each limit, and again if the announcement was lost", () => {
  const stream = makeStream({ maxData: 0 });
  assert.equal(stream.takeBlocked(), -1, "there is nothing to send");
  stream.write(bytes(1, 2, 3), false);
  assert.equal(stream.takeBlocked(), 0);
  assert.equal(stream.state, "send");
  assert.equal(stream.takeBlocked(), -1);
  stream.onBlockedLost(0);
  assert.equal(stream.takeBlocked(), 0);
  stream.setMaxData(2);
  take(stream);
  assert.equal(stream.takeBlocked(), 2);
  stream.onBlockedLost(0);
  assert.equal(stream.takeBlocked(), -1, "an old announcement does not matter");
});

test("lost pieces go first, cost no credit, and count as retransmitted", () => {
  const stream = makeStream();
  stream.write(bytes(0, 1, 2, 3, 4, 5, 6, 7), true);
  take(stream, 3);
  take(stream, 3);
  stream.onLost(0, 3, false);
  assert.equal(stream.hasPending(0), true);
  assert.deepEqual(take(stream, 2, 0), [0, [0, 1], false]);
  assert.equal(stream.chunkNewBytes, 0);
  assert.deepEqual(take(stream, 2, 0), [2, [2], false]);
  assert.equal(stream.retransmittedBytes, 3);
  assert.deepEqual(take(stream), [6, [6, 7], true]);
});

test("a lost end is sent again, with the bytes before it or alone", () => {
  const stream = makeStream();
  stream.write(bytes(1, 2), true);
  take(stream);
  stream.onLost(0, 2, true);
  assert.deepEqual(take(stream), [0, [1, 2], true]);
  stream.onAcked(0, 2, false);
  assert.equal(stream.state, "data_sent");
  stream.onLost(0, 2, true);
  assert.deepEqual(take(stream), [2, [], true]);
  stream.onAcked(2, 0, true);
  assert.equal(stream.state, "data_recvd");
  stream.onLost(2, 0, true);
  assert.equal(stream.hasPending(MUCH), false);
});

test("an end that was acknowledged is not sent again with the bytes before it", () => {
  const stream = makeStream();
  stream.write(bytes(1, 2), true);
  take(stream, 1);
  take(stream, 1);
  stream.onAcked(1, 1, true);
  stream.onLost(0, 2, true);
  assert.deepEqual(take(stream), [0, [1], false]);
  stream.onAcked(0, 1, false);
  assert.equal(stream.state, "data_recvd");
});

test("memory is freed piece by piece as the beginning is acknowledged", () => {
  const stream = makeStream();
  for (let i = 0; i < 10; i++) stream.write(new Uint8Array(1000), false);
  while (stream.takeChunk(500, MUCH));
  assert.equal(stream.retainedPieces, 10);
  stream.onAcked(500, 9000, false);
  assert.equal(stream.retainedPieces, 10, "the first bytes are missing");
  stream.onAcked(0, 500, false);
  assert.equal(stream.retainedPieces, 1);
  stream.onAcked(9500, 500, false);
  assert.equal(stream.retainedPieces, 0);
});

test("what was acknowledged by a late acknowledgement is not sent again", () => {
  const stream = makeStream();
  stream.write(bytes(0, 1, 2, 3, 4, 5), false);
  for (let i = 0; i < 6; i++) take(stream, 1);
  stream.onAcked(2, 2, false);
  stream.onLost(0, 6, false);
  assert.deepEqual(take(stream), [0, [0, 1], false]);
  stream.onAcked(5, 1, false);
  assert.deepEqual(take(stream), [4, [4], false]);
  assert.equal(stream.hasPending(MUCH), false);
});

test("a reset discards what was not acknowledged and keeps the final size at what was sent", () => {
  const stream = makeStream();
  stream.write(bytes(1, 2, 3, 4), true);
  take(stream, 2);
  assert.equal(stream.reset(7), true);
  assert.equal(stream.state, "reset_sent");
  assert.equal(stream.resetPending, true);
  assert.equal(stream.resetCode, 7);
  assert.equal(stream.finalSize, 2);
  assert.equal(stream.bufferedBytes, 0);
  assert.equal(stream.hasPending(MUCH), false);
  assert.equal(stream.takeChunk(MUCH, MUCH), false);
  assert.equal(stream.write(bytes(1), false), 0);
  assert.equal(stream.writable, 0);
  stream.onLost(0, 2, false);
  assert.equal(stream.hasPending(MUCH), false);
  stream.onAcked(0, 2, false);
  assert.equal(stream.state, "reset_sent");
  assert.equal(stream.reset(8), false);
  assert.equal(stream.resetCode, 7);
});

test("a lost RESET_STREAM is sent again until one is acknowledged", () => {
  const stream = makeStream();
  stream.reset(1);
  stream.onResetSent();
  assert.equal(stream.resetPending, false);
  stream.onResetLost();
  assert.equal(stream.resetPending, true);
  stream.onResetSent();
  stream.onResetAcked();
  assert.equal(stream.state, "reset_recvd");
  assert.equal(stream.isTerminal, true);
  stream.onResetLost();
  assert.equal(stream.resetPending, false);
});

test("a stream can be reset in the states ready, send and data_sent, and not after its data was acknowledged", () => {
  assert.equal(makeStream().reset(1), true);
  const sending = makeStream();
  sending.write(bytes(1), false);
  take(sending);
  assert.equal(sending.reset(1), true);
  const sent = makeStream();
  sent.write(bytes(1), true);
  take(sent);
  assert.equal(sent.reset(1), true);
  const done = makeStream();
  done.write(bytes(1), true);
  take(done);
  done.onAcked(0, 1, true);
  assert.equal(done.reset(1), false);
  assert.equal(done.state, "data_recvd");
});

test("STOP_SENDING resets the stream with the same code, and its writer is told by a count of 0", () => {
  const stream = makeStream();
  stream.write(bytes(1, 2), false);
  assert.equal(stream.onStopSending(300), true);
  assert.equal(stream.state, "reset_sent");
  assert.equal(stream.resetCode, 300);
  assert.equal(stream.stopCode, 300);
  assert.equal(stream.write(bytes(3), true), 0);
  assert.equal(stream.onStopSending(301), false);
  assert.equal(stream.stopCode, 300);
});

test("a single small message needs no copy of its bytes", () => {
  const stream = makeStream();
  const message = bytes(1, 2, 3);
  stream.write(message, true);
  message[1] = 9; // what the contract forbids shows that the stream holds the same bytes
  assert.deepEqual(take(stream), [0, [1, 9, 3], true]);
});

test("100 000 writes of one byte come back in order", () => {
  const stream = makeStream();
  const total = 100_000;
  for (let i = 0; i < total; i++) stream.write(bytes(i % 251), i === total - 1);
  let at = 0;
  while (stream.takeChunk(1200, MUCH)) {
    const out = new Uint8Array(stream.chunkLength);
    stream.copyChunk(stream.chunkOffset, stream.chunkLength, out, 0);
    assert.equal(stream.chunkOffset, at);
    for (const value of out) {
      if (value !== at % 251) assert.fail(`wrong byte at ${at}`);
      at++;
    }
    stream.onAcked(stream.chunkOffset, stream.chunkLength, stream.chunkFin);
  }
  assert.equal(at, total);
  assert.equal(stream.state, "data_recvd");
});

test("random takes, losses, late acknowledgements and credits always deliver every byte, within credit, and free the buffer", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(3000), fc.integer({ min: 1, max: 400 }), (seed, total, buffer) => {
      const random = new SeededRandom(seed);
      const stream = makeStream({ buffer, maxData: 0 });
      const expected = new Uint8Array(total);
      random.fill(expected);
      const received = new Uint8Array(total);
      const delivered = new Uint8Array(total);
      const inFlight: { offset: number; length: number; fin: boolean }[] = [];
      let written = 0;
      let ended = false;
      let finDelivered = false;
      let maxData = 0;
      let credit = 0;
      let newBytes = 0;
      const smallWrites = random.chance(0.5);
      for (let step = 0; stream.state !== "data_recvd"; step++) {
        assert.ok(step < 200_000, "it comes to an end");
        switch (random.below(6)) {
          case 0: {
            if (ended) break;
            const end = Math.min(total, written + random.below(smallWrites ? 8 : 600));
            const fin = end === total;
            const taken = stream.write(expected.slice(written, end), fin);
            assert.ok(taken <= end - written);
            written += taken;
            ended = fin && written === total;
            assert.equal(stream.finWritten, ended);
            assert.ok(stream.bufferedBytes <= buffer);
            break;
          }
          case 1:
            maxData += random.below(200);
            stream.setMaxData(maxData);
            credit += random.below(300);
            break;
          case 2:
          case 3: {
            const pending = stream.hasPending(credit);
            const maxLength = 1 + random.below(120);
            assert.equal(stream.takeChunk(maxLength, credit), pending);
            if (!pending) break;
            const { chunkOffset: offset, chunkLength: length, chunkFin: fin } = stream;
            assert.ok(length <= maxLength && stream.chunkNewBytes <= credit && offset + length <= maxData);
            credit -= stream.chunkNewBytes;
            newBytes += stream.chunkNewBytes;
            const out = new Uint8Array(length + 2);
            stream.copyChunk(offset, length, out, 1);
            assert.equal(out[0] + out[length + 1], 0);
            // The packet may arrive whether or not its acknowledgement does.
            if (random.chance(0.7)) {
              for (let i = 0; i < length; i++) {
                received[offset + i] = out[i + 1];
                delivered[offset + i] = 1;
              }
              if (fin) {
                assert.equal(offset + length, total);
                finDelivered = true;
              }
              inFlight.push({ offset, length, fin });
            } else stream.onLost(offset, length, fin);
            break;
          }
          case 4:
          case 5: {
            if (inFlight.length === 0) break;
            const index = random.chance(0.7) ? 0 : random.below(inFlight.length);
            const { offset, length, fin } = inFlight[index];
            if (random.chance(0.3)) stream.onLost(offset, length, fin); // declared lost, acknowledged later perhaps
            else {
              inFlight.splice(index, 1);
              const before = stream.bufferedBytes;
              const freed = stream.onAcked(offset, length, fin);
              assert.equal(stream.bufferedBytes, before - freed);
            }
            break;
          }
        }
      }
      assert.equal(newBytes, total, "every byte counts once against the connection's credit");
      assert.ok(finDelivered);
      assert.deepEqual(delivered, new Uint8Array(total).fill(1));
      assert.deepEqual(received, expected);
      assert.equal(stream.bufferedBytes, 0);
      assert.equal(stream.retainedPieces, 0);
      assert.equal(stream.hasPending(MUCH), false);
    }),
    property(100),
  );
});

test("the last piece is what is left once the end is written, all of it is new and all of it is allowed", () => {
  const stream = makeStream({ maxData: 10 });
  stream.write(bytes(1, 2, 3, 4), false);
  assert.equal(stream.lastPiece, 0);
  stream.write(bytes(5, 6), true);
  assert.equal(stream.lastPiece, 6);
  take(stream, 4);
  assert.equal(stream.lastPiece, 2);
  stream.onLost(0, 4, false);
  assert.equal(stream.lastPiece, 0);
  take(stream, 4);
  assert.equal(stream.lastPiece, 2);
  take(stream);
  assert.equal(stream.lastPiece, 0);

  const blocked = makeStream({ maxData: 5 });
  blocked.write(bytes(1, 2, 3, 4, 5, 6), true);
  assert.equal(blocked.lastPiece, 0);
});
