/**
 * Arbitrary valid frames for property tests.
 *
 * @module
 */

import fc from "fast-check";
import { ConnectionId } from "../../lib/wire/connection_id.ts";
import { ControlOp } from "../../lib/wire/constants.ts";
import type { AckRange, Frame } from "../../lib/wire/frames.ts";
import type { StreamId, StreamKind } from "../../lib/wire/stream_id.ts";

const MAX = Number.MAX_SAFE_INTEGER;
const u8 = fc.nat(0xff), u16 = fc.nat(0xffff), u64 = fc.oneof(fc.nat(300), fc.maxSafeNat());
const streamId: fc.Arbitrary<StreamId> = u64.map((n) => n as StreamId);
const kind: fc.Arbitrary<StreamKind> = fc.constantFrom(0, 1);
const streams = u64.map((n) => n % (2 ** 51 + 1));
const data = fc.uint8Array({ maxLength: 40 });
const eight = fc.uint8Array({ minLength: 8, maxLength: 8 });
const known: number[] = Object.values(ControlOp);
const skippedOp = u8.filter((op) => !known.includes(op));

/** From the highest down, with at least one missing number between any two. */
const ranges: fc.Arbitrary<AckRange[]> = fc.tuple(
  fc.integer({ min: 1000, max: MAX }),
  fc.array(fc.tuple(fc.nat(5), fc.nat(5)), { minLength: 1, maxLength: 90 }),
).map(([largest, steps]) => {
  const out: AckRange[] = [];
  let end = largest;
  for (const [length, gap] of steps) {
    if (end < length) break;
    out.push({ start: end - length, end });
    end -= length + 2 + gap;
  }
  return out;
});

function frame<T extends Frame["type"]>(
  type: T,
  fields: { [K in keyof Omit<Extract<Frame, { type: T }>, "type">]: fc.Arbitrary<Extract<Frame, { type: T }>[K]> },
): fc.Arbitrary<Frame> {
  return fc.record({ type: fc.constant(type), ...fields }, { noNullPrototype: true }) as unknown as fc.Arbitrary<Frame>;
}

/** Any valid frame. Two PADDING frames in a row decode as one. */
export const someFrame: fc.Arbitrary<Frame> = fc.oneof(
  frame("padding", { length: fc.integer({ min: 1, max: 20 }) }),
  frame("stream_open", { streamId, streamClass: u8 }),
  frame("stream_data", {
    streamId,
    offset: u64.map((n) => Math.min(n, MAX - 40)),
    data,
    fin: fc.boolean(),
    openClass: fc.option(u8, { nil: undefined }),
  }),
  frame("stream_fin", { streamId, finalSize: u64 }),
  frame("datagram", { data }),
  ranges.chain((ranges) =>
    frame("ack", { largest: fc.constant(ranges[0].end), delay: u64, ranges: fc.constant(ranges) })
  ),
  frame("crypto", { offset: u64.map((n) => Math.min(n, MAX - 40)), data }),
  frame("stream_max_data", { streamId, limit: u64 }),
  frame("connection_max_data", { limit: u64 }),
  frame("ping", {}),
  frame("close", { code: u16, reason: fc.uint8Array({ maxLength: 256 }) }),
  frame("reset_stream", { streamId, code: u16, finalSize: u64 }),
  frame("stop_sending", { streamId, code: u16 }),
  frame("max_streams", { kind, limit: streams }),
  frame("new_connection_id", {
    sequence: u64,
    retirePriorTo: u64,
    id: eight.map((bytes) => new ConnectionId(bytes)),
    resetToken: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  }),
  frame("retire_connection_id", { sequence: u64 }),
  frame("path_challenge", { data: eight }),
  frame("path_response", { data: eight }),
  frame("data_blocked", { limit: u64 }),
  frame("stream_data_blocked", { streamId, limit: u64 }),
  frame("streams_blocked", { kind, limit: streams }),
  frame("handshake_done", {}),
  frame("ack_frequency", { threshold: fc.integer({ min: 1, max: 255 }) }),
  frame("ticket", {
    lifetime: fc.nat(0xffff_ffff),
    number: fc.nat(0xffff_ffff),
    ticket: fc.uint8Array({ minLength: 1, maxLength: 256 }),
  }),
  frame("control", { op: skippedOp, body: data }),
);
