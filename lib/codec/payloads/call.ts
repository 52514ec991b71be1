/**
 * Call (SPEC §2.5.7).
 *
 * @module
 */

import { readU32, writeU32 } from "../../base/bytes.ts";
import { isNilUuid, UUID_BYTES } from "../../base/uuid.ts";
import { CodecError } from "../codec_error.ts";
import { checkPayloadRange } from "../payload_reader.ts";
import { checkPayloadRoom } from "../payload_writer.ts";

/** What stands in front of a Call's data: target and time-out. */
export const CALL_PREFIX_BYTES = 20;

/**
 * The longest time-out in seconds, four and three quarter years: a larger one could read as text, and the whole Call as
 * JSON (SPEC §2.6).
 */
export const MAX_CALL_TIMEOUT_SECONDS = 0x0909_0908;

/** A question to an agent. */
export interface Call {
  /** 16 bytes; the nil UUID is the node itself. */
  readonly target: Uint8Array;
  /** How long the caller waits, in whole seconds; 0: it does not say. A finer deadline travels in Metadata. */
  readonly timeoutSeconds: number;
  /** What the agent gets. */
  readonly data: Uint8Array;
}

/** A decoded Call. Nothing is copied; valid for as long as the bytes are. */
export class CallView implements Call {
  // `declare`: cheaper on V8 than fields that are defined and then assigned.
  /** The buffer that holds the payload. */
  declare readonly bytes: Uint8Array;
  /** Where in it the payload begins. */
  declare readonly start: number;
  /** Where it ends. */
  declare readonly end: number;

  /** For {@link decodeCall}: takes the range on trust. */
  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  /** A view of the 16 bytes. */
  get target(): Uint8Array {
    return this.bytes.subarray(this.start, this.start + UUID_BYTES);
  }

  /** Whether the Call is for the node itself. */
  get isForNode(): boolean {
    return isNilUuid(this.bytes, this.start);
  }

  /** How long the caller waits; 0: it does not say. */
  get timeoutSeconds(): number {
    return readU32(this.bytes, this.start + UUID_BYTES);
  }

  /** A view of the data. */
  get data(): Uint8Array {
    return this.bytes.subarray(this.start + CALL_PREFIX_BYTES, this.end);
  }
}

/** How many bytes it takes. */
export function sizeOfCall(call: Call): number {
  return CALL_PREFIX_BYTES + call.data.length;
}

/**
 * Writes it to `out` from `at` on; returns the position behind it. Straight into a message's buffer this is the only copy
 * that is made of the data.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 *
 * @example
 * ```ts
 * import { encodeCall, sizeOfCall } from "./call.ts";
 *
 * const call = { target: new Uint8Array(16), timeoutSeconds: 5, data: Uint8Array.of(1, 2, 3) };
 * const out = new Uint8Array(sizeOfCall(call));
 * encodeCall(out, 0, call);
 * ```
 */
export function encodeCall(out: Uint8Array, at: number, call: Call): number {
  const { target, data } = call;
  checkPayloadRoom(out, at, CALL_PREFIX_BYTES + data.length);
  const dataAt = encodeCallPrefix(out, at, target, call.timeoutSeconds);
  out.set(data, dataAt);
  return dataAt + data.length;
}

/**
 * Writes what stands in front of the data; returns where the data goes. With `MessageCodec.encodeParts` the prefix can
 * live in a small buffer of its own.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeCallPrefix(out: Uint8Array, at: number, target: Uint8Array, timeoutSeconds: number): number {
  checkPayloadRoom(out, at, CALL_PREFIX_BYTES);
  if (target.length !== UUID_BYTES) throw new RangeError(`target has ${target.length} bytes, expected ${UUID_BYTES}`);
  if (!(Number.isInteger(timeoutSeconds) && timeoutSeconds >= 0 && timeoutSeconds <= MAX_CALL_TIMEOUT_SECONDS)) {
    throw new RangeError(`time-out is ${timeoutSeconds}, expected 0 to ${MAX_CALL_TIMEOUT_SECONDS} whole seconds`);
  }
  out.set(target, at);
  return writeU32(out, at + UUID_BYTES, timeoutSeconds);
}

/** Decodes `bytes[at, end)` without copying. */
export function decodeCall(bytes: Uint8Array, at = 0, end: number = bytes.length): CallView | CodecError {
  checkPayloadRange(bytes, at, end);
  if (end - at < CALL_PREFIX_BYTES) {
    return new CodecError("truncated_payload", { field: "call", seen: end - at, expected: CALL_PREFIX_BYTES });
  }
  return new CallView(bytes, at, end);
}
