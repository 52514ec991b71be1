import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { concatBytes, fromHex, writeSafeU64, writeU16 } from "../../lib/base/bytes.ts";
import { ControlOp, FrameType } from "../../lib/wire/constants.ts";
import { FrameReader, FRAMES_END, FRAMES_ERROR } from "../../lib/wire/frame_reader.ts";
import { currentFrame, encodeFrame, type Frame } from "../../lib/wire/frames.ts";
import { property } from "../support/seed.ts";
import { someFrame } from "./some_frame.ts";

const MAX = "ffffffffffff1f00", ABOVE = "0000000000002000", ZERO = "0000000000000000", ONE = "0100000000000000";

function u64(value: number): string {
  const bytes = new Uint8Array(8);
  writeSafeU64(bytes, 0, value);
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The error that some bytes end with; empty if they are all frames. */
function errorOf(bytes: Uint8Array): string {
  const reader = new FrameReader();
  reader.reset(bytes, 0, bytes.length);
  let type = reader.next();
  while (type >= 0) type = reader.next();
  assert.equal(reader.next(), type, "the end is final");
  assert.equal(type === FRAMES_ERROR, reader.error !== "");
  return reader.error;
}

const refuses = (hex: string, pattern: RegExp): void => assert.match(errorOf(fromHex(hex)!), pattern, hex);
const accepts = (hex: string): void => assert.equal(errorOf(fromHex(hex)!), "", hex);

test("frames are read between the given borders and not beyond", () => {
  const reader = new FrameReader();
  reader.reset(fromHex("0f 07010000 0f".replaceAll(" ", ""))!, 1, 5);
  assert.equal(reader.next(), FrameType.CONTROL);
  assert.equal(reader.op, ControlOp.PING);
  assert.deepEqual([reader.frameStart, reader.frameEnd], [1, 5]);
  assert.equal(reader.next(), FRAMES_END);
  assert.equal(reader.next(), FRAMES_END);
});

test("no bytes are no frames, and not an error: that a packet is not empty is the packet's rule", () => {
  const reader = new FrameReader();
  reader.reset(new Uint8Array(4), 2, 2);
  assert.equal(reader.next(), FRAMES_END);
});

test("the first broken frame ends the reading until the reader is reset", () => {
  const reader = new FrameReader();
  reader.reset(fromHex("0a07010000")!, 0, 5);
  assert.equal(reader.next(), FRAMES_ERROR);
  assert.equal(reader.next(), FRAMES_ERROR);
  reader.reset(fromHex("0a07010000")!, 1, 5);
  assert.equal(reader.error, "");
  assert.equal(reader.next(), FrameType.CONTROL);
});

test("the six types that do not exist are refused", () => {
  for (let type = 0xa; type <= 0xf; type++) refuses(`0${type.toString(16)}` + "00".repeat(30), /unknown frame type/);
});

test("no flag is allowed on any frame but FIN and OPEN on stream data", () => {
  for (let first = 0x10; first < 0x100; first++) {
    const bytes = new Uint8Array(64);
    bytes[0] = first;
    if ((first & 0x0f) === 2 && (first & 0xc0) === 0) assert.equal(errorOf(bytes), "", first.toString(16));
    else assert.match(errorOf(bytes), /unknown frame flag/, first.toString(16));
  }
});

test("every frame is refused when it is cut short anywhere", () => {
  fc.assert(
    fc.property(someFrame.filter((frame) => frame.type !== "padding"), fc.nat(), (frame, cut) => {
      const bytes = encodeFrame(frame);
      const shortened = bytes.subarray(0, 1 + cut % (bytes.length - 1));
      assert.match(errorOf(shortened), /past the end/);
      // Not even bytes that lie behind the border are looked at.
      const reader = new FrameReader();
      reader.reset(bytes, 0, shortened.length);
      assert.equal(reader.next(), FRAMES_ERROR);
    }),
    property(300),
  );
});

test("every u64 above 2^53 - 1 is refused, and 2^53 - 1 itself is not", () => {
  const cases = [
    (n: string) => `01${n}00`,
    (n: string) => `02${n}${ZERO}0000`,
    (n: string) => `02${ZERO}${n}0000`,
    (n: string) => `03${n}${ZERO}`,
    (n: string) => `03${ZERO}${n}`,
    (n: string) => `05${n}${ZERO}0100${n}${n}`,
    (n: string) => `05${ONE}${n}0100${ONE}${ONE}`,
    (n: string) => `06${n}0000`,
    (n: string) => `08${n}${ZERO}`,
    (n: string) => `08${ZERO}${n}`,
    (n: string) => `09${n}`,
    (n: string) => `07031200${n}0000${ZERO}`,
    (n: string) => `07031200${ZERO}0000${n}`,
    (n: string) => `07040a00${n}0000`,
    (n: string) => `070b0800${n}`,
    (n: string) => `070c1000${n}${ZERO}`,
    (n: string) => `070c1000${ZERO}${n}`,
  ];
  for (const make of cases) {
    accepts(make(MAX));
    for (const above of [ABOVE, "ffffffffffffffff", "0000000000000080"]) refuses(make(above), /above 2\^53 - 1/);
  }
  refuses(`05${ONE}${ZERO}0100${ABOVE}${ONE}`, /above/);
});

test("stream data may end at 2^53 - 1 but not behind it", () => {
  const last = u64(Number.MAX_SAFE_INTEGER - 1);
  accepts(`02${ZERO}${last}0100aa`);
  refuses(`02${ZERO}${last}0200aaaa`, /ends above/);
  accepts(`06${last}0100aa`);
  refuses(`06${last}0200aaaa`, /ends above/);
});

test("an ack without ranges, or whose ranges break an order rule, is refused", () => {
  const ack = (largest: number, ...ranges: [number, number][]): string => {
    const count = new Uint8Array(2);
    writeU16(count, 0, ranges.length);
    const hex = [...count].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return `05${u64(largest)}${ZERO}${hex}${ranges.map(([start, end]) => u64(start) + u64(end)).join("")}`;
  };
  accepts(ack(9, [9, 9]));
  accepts(ack(9, [8, 9], [5, 6], [0, 3]));
  accepts(ack(0, [0, 0]));
  refuses(ack(9), /without a range/);
  refuses(ack(9, [8, 8]), /does not end at largest/);
  refuses(ack(9, [8, 10]), /does not end at largest/);
  refuses(ack(9, [10, 9]), /out of order/);
  refuses(ack(9, [8, 9], [6, 7]), /out of order/);
  refuses(ack(9, [8, 9], [5, 8]), /out of order/);
  refuses(ack(9, [8, 9], [20, 21]), /out of order/);
  refuses(ack(9, [8, 9], [6, 5]), /out of order/);
  refuses(ack(9, [0, 9], [0, 0]), /out of order/);
  refuses(ack(9, [1, 9], [0, 0]), /out of order/);
});

test("an ack that promises more ranges than there are bytes reserves nothing for them", () => {
  const reader = new FrameReader();
  const before = reader.ackRanges;
  const bytes = fromHex(`05${ONE}${ZERO}ffff${ONE}${ONE}`)!;
  reader.reset(bytes, 0, bytes.length);
  assert.equal(reader.next(), FRAMES_ERROR);
  assert.equal(reader.ackRanges, before);
});

test("an ack of thousands of ranges is read in full, and a later small one as well", () => {
  const ranges = Array.from({ length: 4000 }, (_, i) => ({ start: 3 * (4000 - i), end: 3 * (4000 - i) + 1 }));
  const large: Frame = { type: "ack", largest: ranges[0].end, delay: 5, ranges };
  const small: Frame = { type: "ack", largest: 4, delay: 5, ranges: [{ start: 4, end: 4 }] };
  const bytes = concatBytes(encodeFrame(large), encodeFrame(small));
  const reader = new FrameReader();
  reader.reset(bytes, 0, bytes.length);
  assert.deepEqual(currentFrame(reader, reader.next()), large);
  assert.deepEqual(currentFrame(reader, reader.next()), small);
});

test("a control frame that is known must have the length of its op", () => {
  const lengths: [number, number][] = [
    [ControlOp.PING, 0],
    [ControlOp.RESET_STREAM, 18],
    [ControlOp.STOP_SENDING, 10],
    [ControlOp.MAX_STREAMS, 9],
    [ControlOp.NEW_CONNECTION_ID, 40],
    [ControlOp.RETIRE_CONNECTION_ID, 8],
    [ControlOp.PATH_CHALLENGE, 8],
    [ControlOp.PATH_RESPONSE, 8],
    [ControlOp.DATA_BLOCKED, 8],
    [ControlOp.STREAM_DATA_BLOCKED, 16],
    [ControlOp.STREAMS_BLOCKED, 9],
    [ControlOp.HANDSHAKE_DONE, 0],
    [ControlOp.ACK_FREQUENCY, 1],
  ];
  for (const [op, right] of lengths) {
    for (let length = 0; length < 48; length++) {
      const bytes = new Uint8Array(4 + length);
      bytes.set([0x07, op, length, 0]);
      if (length === right) assert.equal(errorOf(bytes), "", `op ${op}, ${length} bytes`);
      else assert.match(errorOf(bytes), /wrong length/, `op ${op}, ${length} bytes`);
    }
  }
});

test("a close has a code and at most 256 bytes of reason", () => {
  const close = (length: number): Uint8Array => {
    const bytes = new Uint8Array(4 + length);
    bytes.set([0x07, 0x02]);
    writeU16(bytes, 2, length);
    return bytes;
  };
  for (const length of [2, 3, 258]) assert.equal(errorOf(close(length)), "");
  for (const length of [0, 1, 259, 1000]) assert.match(errorOf(close(length)), /wrong length/);
});

test("a ticket has 1 to 256 bytes behind its lifetime and number", () => {
  const ticket = (length: number): Uint8Array => {
    const bytes = new Uint8Array(4 + length);
    bytes.set([0x07, ControlOp.TICKET]);
    writeU16(bytes, 2, length);
    return bytes;
  };
  for (const length of [9, 10, 264]) assert.equal(errorOf(ticket(length)), "");
  for (const length of [0, 7, 8, 265, 1000]) assert.match(errorOf(ticket(length)), /wrong length/);
});

test("control ops that are unknown or reserved are passed over, whatever they hold", () => {
  for (const op of [0x00, 0x10, 0x80, 0xff]) {
    const reader = new FrameReader();
    const bytes = Uint8Array.of(0x07, op, 3, 0, 0xff, 0xff, 0xff, 0x07, 0x01, 0, 0);
    reader.reset(bytes, 0, bytes.length);
    assert.equal(reader.next(), FrameType.CONTROL);
    assert.deepEqual([reader.op, reader.dataStart, reader.dataEnd], [op, 4, 7]);
    assert.equal(reader.next(), FrameType.CONTROL);
    assert.equal(reader.op, ControlOp.PING);
    assert.equal(reader.next(), FRAMES_END);
  }
});

test("stream limits have a kind of 0 or 1 and are at most 2^51", () => {
  for (const op of ["05", "0d"]) {
    accepts(`07${op}0900` + "01" + "0000000000000800");
    refuses(`07${op}0900` + "01" + "0100000000000800", /above 2\^51/);
    refuses(`07${op}0900` + "00" + ABOVE, /above 2\^53/);
    refuses(`07${op}0900` + "02" + ZERO, /unknown stream kind/);
  }
});

test("random and mutated bytes never throw, frames lie side by side, and what is read can be written again", () => {
  const mutated = fc.tuple(
    fc.array(someFrame, { maxLength: 4 }),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
  )
    .map(([frames, changes]) => {
      const bytes = concatBytes(...frames.map(encodeFrame));
      if (bytes.length > 0) { for (const [at, value] of changes) bytes[at % bytes.length] = value; }
      return bytes;
    });
  const reader = new FrameReader();
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), mutated), (bytes) => {
      reader.reset(bytes, 0, bytes.length);
      let at = 0;
      for (let type = reader.next(); type >= 0; type = reader.next()) {
        assert.equal(reader.frameStart, at);
        assert.ok(reader.frameEnd > at && reader.frameEnd <= bytes.length);
        assert.deepEqual(encodeFrame(currentFrame(reader, type)), bytes.slice(at, reader.frameEnd));
        at = reader.frameEnd;
      }
      if (reader.error === "") assert.equal(at, bytes.length);
    }),
    property(1000),
  );
});
