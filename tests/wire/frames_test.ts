import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { concatBytes, fromHex, toHex } from "../../lib/base/bytes.ts";
import { RangeSet } from "../../lib/base/range_set.ts";
import {
  ackRangesThatFit,
  ackSize,
  encodeCloseReason,
  writeAck,
  writeClose,
  writePathChallenge,
  writeStreamDataHeader,
} from "../../lib/wire/frame_writer.ts";
import { decodeFrames, encodeFrame, type Frame, frameSize } from "../../lib/wire/frames.ts";
import type { StreamId } from "../../lib/wire/stream_id.ts";
import { property } from "../support/seed.ts";
import { someFrame } from "./some_frame.ts";

const id = 0x0102030405 as StreamId;
const ID = "0504030201000000";
const data = Uint8Array.of(0xd1, 0xd2, 0xd3);

/** Every frame with its bytes, written out by hand from SPEC §7. */
const GOLDEN: [Frame, string][] = [
  [{ type: "padding", length: 3 }, "000000"],
  [{ type: "stream_open", streamId: id, streamClass: 2 }, "01" + ID + "02"],
  [
    { type: "stream_data", streamId: id, offset: 0x1122, data, fin: false, openClass: undefined },
    "02" + ID + "2211000000000000" + "0300" + "d1d2d3",
  ],
  [
    { type: "stream_data", streamId: id, offset: 0, data, fin: true, openClass: undefined },
    "12" + ID + "0000000000000000" + "0300" + "d1d2d3",
  ],
  [
    { type: "stream_data", streamId: id, offset: 0, data, fin: false, openClass: 1 },
    "22" + ID + "0000000000000000" + "0300" + "01" + "d1d2d3",
  ],
  [
    { type: "stream_data", streamId: id, offset: 0, data: new Uint8Array(0), fin: true, openClass: 0 },
    "32" + ID + "0000000000000000" + "0000" + "00",
  ],
  [{ type: "stream_fin", streamId: id, finalSize: 7 }, "03" + ID + "0700000000000000"],
  [{ type: "datagram", data }, "04" + "0300" + "d1d2d3"],
  [
    { type: "ack", largest: 9, delay: 0x0a0b, ranges: [{ start: 8, end: 9 }, { start: 0, end: 6 }] },
    "05" + "0900000000000000" + "0b0a000000000000" + "0200" + "0800000000000000" + "0900000000000000" +
    "0000000000000000" + "0600000000000000",
  ],
  [{ type: "crypto", offset: 1, data }, "06" + "0100000000000000" + "0300" + "d1d2d3"],
  [{ type: "stream_max_data", streamId: id, limit: Number.MAX_SAFE_INTEGER }, "08" + ID + "ffffffffffff1f00"],
  [{ type: "connection_max_data", limit: 1 }, "09" + "0100000000000000"],
  [{ type: "ping" }, "07010000"],
  [{ type: "close", code: 0x0102, reason: data }, "07020500" + "0201" + "d1d2d3"],
  [
    { type: "reset_stream", streamId: id, code: 0x0304, finalSize: 5 },
    "07031200" + ID + "0403" + "0500000000000000",
  ],
  [{ type: "stop_sending", streamId: id, code: 0x0304 }, "07040a00" + ID + "0403"],
  [{ type: "max_streams", kind: 1, limit: 100 }, "07050900" + "01" + "6400000000000000"],
  [{ type: "path_challenge", data: fromHex("a0a1a2a3a4a5a6a7")! }, "07080800" + "a0a1a2a3a4a5a6a7"],
  [{ type: "path_response", data: fromHex("a0a1a2a3a4a5a6a7")! }, "07090800" + "a0a1a2a3a4a5a6a7"],
  [{ type: "data_blocked", limit: 3 }, "070b0800" + "0300000000000000"],
  [{ type: "stream_data_blocked", streamId: id, limit: 3 }, "070c1000" + ID + "0300000000000000"],
  [{ type: "streams_blocked", kind: 0, limit: 3 }, "070d0900" + "00" + "0300000000000000"],
  [{ type: "handshake_done" }, "070e0000"],
  [{ type: "ticket", lifetime: 3600, number: 1, ticket: data }, "070a0b00" + "100e0000" + "01000000" + "d1d2d3"],
  [{ type: "control", op: 0x10, body: data }, "07100300" + "d1d2d3"],
  [{ type: "control", op: 0xff, body: new Uint8Array(0) }, "07ff0000"],
];

for (const [frame, hex] of GOLDEN) {
  test(`${hex.slice(0, 24)}… is ${frame.type} in both directions`, () => {
    assert.equal(toHex(encodeFrame(frame)), hex);
    assert.equal(frameSize(frame), hex.length / 2);
    assert.deepEqual(decodeFrames(fromHex(hex)!), { frames: [frame], error: undefined, end: hex.length / 2 });
  });
}

test("any sequence of frames survives the way there and back", () => {
  fc.assert(
    fc.property(fc.array(someFrame, { maxLength: 8 }), (frames) => {
      const bytes = concatBytes(...frames.map(encodeFrame));
      // Runs of PADDING have no seams.
      const expected: Frame[] = [];
      for (const frame of frames) {
        const last = expected.at(-1);
        if (frame.type === "padding" && last?.type === "padding") {
          expected[expected.length - 1] = { type: "padding", length: last.length + frame.length };
        } else expected.push(frame);
      }
      assert.deepEqual(decodeFrames(bytes), { frames: expected, error: undefined, end: bytes.length });
    }),
    property(300),
  );
});

test("decoding keeps the frames before a broken one, and says where that one begins", () => {
  const ping = encodeFrame({ type: "ping" });
  const { frames, error, end } = decodeFrames(concatBytes(ping, ping, Uint8Array.of(0x0f)));
  assert.deepEqual(frames, [{ type: "ping" }, { type: "ping" }]);
  assert.equal(error, "unknown frame type");
  assert.equal(end, 8);
});

test("a frame value whose numbers do not fit their fields is the caller's mistake", () => {
  const bad: Frame[] = [
    { type: "connection_max_data", limit: 2 ** 53 },
    { type: "connection_max_data", limit: -1 },
    { type: "stream_open", streamId: id, streamClass: 256 },
    { type: "stop_sending", streamId: id, code: 0x10000 },
    { type: "datagram", data: new Uint8Array(0x10000) },
    { type: "close", code: 0, reason: new Uint8Array(257) },
    { type: "path_challenge", data },
    { type: "ack", largest: 1, delay: 0, ranges: [] },
    { type: "ack", largest: 2, delay: 0, ranges: [{ start: 0, end: 1 }] },
    { type: "ack", largest: 2, delay: 0, ranges: [{ start: 2, end: 2 }, { start: 1, end: 1 }] },
  ];
  for (const frame of bad) assert.throws(() => encodeFrame(frame), RangeError, frame.type);
});

test("an ack leaves out the lowest ranges when it may not have them all", () => {
  const received = new RangeSet();
  for (const n of [1, 3, 5, 7]) received.insert(n);
  const out = new Uint8Array(100);
  const end = writeAck(out, 0, 12.9, received, 2);
  assert.equal(end, ackSize(2));
  const expected: Frame = { type: "ack", largest: 7, delay: 12, ranges: [{ start: 7, end: 7 }, { start: 5, end: 5 }] };
  assert.deepEqual(decodeFrames(out.subarray(0, end)).frames, [expected]);
  assert.throws(() => writeAck(out, 0, 0, received, 0), RangeError);
  assert.throws(() => writeAck(out, 0, 0, new RangeSet(), 5), RangeError);
});

test("the ranges that fit into a room fill it and not more", () => {
  for (let room = 0; room < 200; room++) {
    const count = ackRangesThatFit(room);
    if (count >= 1) assert.ok(ackSize(count) <= room);
    assert.ok(ackSize(Math.max(count, 0) + 1) > room);
  }
});

test("the header of stream data leaves the place of its data to the caller", () => {
  const out = new Uint8Array(40).fill(0xee);
  assert.equal(writeStreamDataHeader(out, 1, id, 2, 5, false, -1), 20);
  assert.deepEqual([...out.subarray(20, 25)], [0xee, 0xee, 0xee, 0xee, 0xee]);
  assert.equal(writeStreamDataHeader(out, 1, id, 2, 5, false, 0), 21);
});

test("a close reason is cut between characters", () => {
  assert.equal(toHex(encodeCloseReason("aé")), "61c3a9");
  assert.equal(toHex(encodeCloseReason("aé", 2)), "61");
  assert.equal(toHex(encodeCloseReason("€", 2)), "");
  assert.equal(toHex(encodeCloseReason("€€", 5)), "e282ac");
  assert.equal(encodeCloseReason("x".repeat(1000), 5000).length, 256);
  assert.equal(encodeCloseReason("abc", 0).length, 0);
});

test("a reason or a challenge of a wrong length is the caller's mistake", () => {
  assert.throws(() => writeClose(new Uint8Array(400), 0, 0, new Uint8Array(257)), RangeError);
  assert.throws(() => writePathChallenge(new Uint8Array(40), 0, new Uint8Array(7)), RangeError);
});
