/**
 * Transport stream ids: `index << 2 | role << 1 | kind`, below 2^53.
 *
 * @module
 */

import { MAX_STREAMS_LIMIT } from "./constants.ts";

/** Id of a transport stream. */
export type StreamId = number & { readonly __unit: "stream-id" };

/** Which side opened the stream: the connection's initiator or its responder. */
export const StreamRole = { INITIATOR: 0, RESPONDER: 1 } as const;
/** Which side opened the stream. */
export type StreamRole = typeof StreamRole[keyof typeof StreamRole];

/** Whether both sides send on the stream, or only the one that opened it. */
export const StreamKind = { BIDIRECTIONAL: 0, UNIDIRECTIONAL: 1 } as const;
/** Whether both sides send on the stream, or only the one that opened it. */
export type StreamKind = typeof StreamKind[keyof typeof StreamKind];

/** Makes an id. `index` counts the streams of one role and kind from 0; a RangeError beyond 2^51 − 1. */
export function makeStreamId(index: number, role: StreamRole, kind: StreamKind): StreamId {
  if (!Number.isSafeInteger(index) || index < 0 || index >= MAX_STREAMS_LIMIT) {
    throw new RangeError(`a stream index is an integer from 0 to 2^51 - 1, got ${index}`);
  }
  return (index * 4 + role * 2 + kind) as StreamId;
}

/** How many streams of the same role and kind have smaller ids. */
export function streamIndex(id: StreamId): number {
  return Math.floor(id / 4);
}

/** Which side opened it. */
export function streamRole(id: StreamId): StreamRole {
  return ((id >>> 1) & 1) as StreamRole;
}

/** One-way or both ways. */
export function streamKind(id: StreamId): StreamKind {
  return (id & 1) as StreamKind;
}

/** Whether only the side that opened it sends. */
export function isUnidirectional(id: StreamId): boolean {
  return (id & 1) !== 0;
}

/** Whether the responder opened it. */
export function isResponderInitiated(id: StreamId): boolean {
  return (id & 2) !== 0;
}
