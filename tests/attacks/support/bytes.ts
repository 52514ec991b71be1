/**
 * Frames as honest peers never send them.
 *
 * @module
 */

import { concatBytes, writeSafeU64, writeU16, writeU32 } from "../../../lib/base/bytes.ts";
import { FrameType } from "../../../lib/wire/constants.ts";
import type { Frame } from "../../../lib/wire/frames.ts";
import { makeStreamId, type StreamId, StreamKind, StreamRole } from "../../../lib/wire/stream_id.ts";
import type { AttackerRole } from "./scene.ts";

/** An ACK with any ranges, also impossible ones. */
export function ackBytes(largest: number, delay: number, ranges: readonly (readonly [number, number])[]): Uint8Array {
  const bytes = new Uint8Array(19 + 16 * ranges.length);
  bytes[0] = FrameType.ACK;
  writeSafeU64(bytes, 1, largest);
  writeSafeU64(bytes, 9, delay);
  writeU16(bytes, 17, ranges.length);
  ranges.forEach(([start, end], i) => {
    writeSafeU64(bytes, 19 + 16 * i, start);
    writeSafeU64(bytes, 27 + 16 * i, end);
  });
  return bytes;
}

/** A CONTROL frame with any body. */
export function controlBytes(op: number, body: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(FrameType.CONTROL, op, body.length & 0xff, body.length >> 8), body);
}

/** A stream that an attacker opens. */
export function theirStream(role: AttackerRole, index: number, kind: StreamKind = StreamKind.BIDIRECTIONAL): StreamId {
  return makeStreamId(index, role === "responder" ? StreamRole.RESPONDER : StreamRole.INITIATOR, kind);
}

/** A stream that the victim opens. */
export function ourStream(role: AttackerRole, index: number): StreamId {
  const own = role === "responder" ? StreamRole.INITIATOR : StreamRole.RESPONDER;
  return makeStreamId(index, own, StreamKind.BIDIRECTIONAL);
}

/** STREAM_DATA. */
export function dataFrame(streamId: StreamId, offset: number, length: number, fin = false, byte = 0): Frame {
  return { type: "stream_data", streamId, offset, data: new Uint8Array(length).fill(byte), fin, openClass: undefined };
}

/** Both halves of values of a u64 around which mistakes live. */
export const EDGES: readonly (readonly [high: number, low: number])[] = [
  [0x1f_ffff, 0xffff_fffe],
  [0x1f_ffff, 0xffff_ffff],
  [0x20_0000, 0],
  [0x20_0000, 1],
  [0x7fff_ffff, 0xffff_ffff],
  [0x8000_0000, 0],
  [0xffff_ffff, 0xffff_ffff],
  [0, 0xffff_ffff],
  [0, 0x8000_0000],
];

/** The bytes with a u64 at `at` in place of what was there. */
export function withU64(bytes: Uint8Array, at: number, [high, low]: readonly [number, number]): Uint8Array {
  const changed = bytes.slice();
  writeU32(changed, at, low);
  writeU32(changed, at + 4, high);
  return changed;
}
