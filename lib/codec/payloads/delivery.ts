/**
 * What a node puts in front of events that it passes on: Publisher, extension type 0x82, and Missed, 0x83 (SPEC §2.5.17).
 *
 * @module
 */

import type { CodecError } from "../codec_error.ts";
import { PayloadReader, TlvReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";
import { PUBLIC_KEY_BYTES } from "./agent_record.ts";

/** Who an event is from. */
export interface Publisher {
  /** The static key that the node has authenticated, 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** Says that events are missing. */
export interface Missed {
  /** How many were dropped at this place, at least 1. */
  readonly count: number;
}

function layOutPublisher(writer: PayloadWriter, { publicKey }: Publisher): void {
  writer.fixed(publicKey, PUBLIC_KEY_BYTES, "public key");
}

/** How many bytes it takes. */
export function sizeOfPublisher(publisher: Publisher): number {
  return measure(layOutPublisher, publisher);
}

/** Writes it to `out` from `at` on; returns the position behind it. @throws RangeError if it does not fit. */
export function encodePublisher(out: Uint8Array, at: number, publisher: Publisher): number {
  return write(layOutPublisher, publisher, out, at);
}

/** Decodes `bytes[at, end)`. The key is a copy. */
export function decodePublisher(bytes: Uint8Array, at = 0, end: number = bytes.length): Publisher | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const publicKey = reader.copy(PUBLIC_KEY_BYTES, "public key");
  skipTlvs(reader);
  return reader.error ?? { publicKey };
}

function layOutMissed(writer: PayloadWriter, { count }: Missed): void {
  if (count === 0) throw new RangeError("count is 0, expected at least 1");
  writer.u64(count, "count");
}

/** How many bytes it takes. */
export function sizeOfMissed(missed: Missed): number {
  return measure(layOutMissed, missed);
}

/** Writes it to `out` from `at` on; returns the position behind it. @throws RangeError if it does not fit. */
export function encodeMissed(out: Uint8Array, at: number, missed: Missed): number {
  return write(layOutMissed, missed, out, at);
}

/** Decodes `bytes[at, end)`. */
export function decodeMissed(bytes: Uint8Array, at = 0, end: number = bytes.length): Missed | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const count = reader.u64("count");
  if (count === 0) reader.fail("bad_value", "count", count);
  skipTlvs(reader);
  return reader.error ?? { count };
}

/** None is defined yet. */
function skipTlvs(reader: PayloadReader): void {
  const tlvs = new TlvReader(reader);
  while (tlvs.next());
}
