/**
 * Event (SPEC §2.5.9).
 *
 * @module
 */

import { readU16, writeU16 } from "../../base/bytes.ts";
import { CodecError } from "../codec_error.ts";
import { checkPayloadRange } from "../payload_reader.ts";
import { checkPayloadRoom } from "../payload_writer.ts";
import { readUtf8, utf8Length, writeUtf8 } from "../utf8.ts";

/** The longest topic, as UTF-8. */
export const MAX_TOPIC_BYTES = 0xffff;

/** Something that happened. */
export interface EventPayload {
  /** What it is about, such as `orders.created`. */
  readonly topic: string;
  /** What happened. */
  readonly data: Uint8Array;
}

/** How many bytes it takes. */
export function sizeOfEvent(event: EventPayload): number {
  return 2 + utf8Length(event.topic) + event.data.length;
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or the topic is too long.
 */
export function encodeEvent(out: Uint8Array, at: number, event: EventPayload): number {
  const { topic, data } = event;
  const topicLength = utf8Length(topic);
  if (topicLength > MAX_TOPIC_BYTES) throw new RangeError(`topic has ${topicLength} bytes, at most 65535 allowed`);
  checkPayloadRoom(out, at, 2 + topicLength + data.length);
  const dataAt = writeUtf8(out, writeU16(out, at, topicLength), topic);
  out.set(data, dataAt);
  return dataAt + data.length;
}

/** Decodes `bytes[at, end)`. The data is a view. */
export function decodeEvent(bytes: Uint8Array, at = 0, end: number = bytes.length): EventPayload | CodecError {
  checkPayloadRange(bytes, at, end);
  const dataAt = end - at < 2 ? Infinity : at + 2 + readU16(bytes, at);
  if (dataAt > end) return new CodecError("truncated_payload", { field: "topic" });
  const topic = readUtf8(bytes, at + 2, dataAt);
  if (topic === undefined) return new CodecError("bad_utf8", { field: "topic" });
  return { topic, data: bytes.subarray(dataAt, end) };
}
