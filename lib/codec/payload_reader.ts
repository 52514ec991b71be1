/**
 * Reads payloads field by field. The first error sticks: later reads give empty values, and the decoder looks at
 * {@link PayloadReader.error} once, at the end. Nothing is allocated by a length that has not been compared with what is there.
 *
 * @module
 */

import { readSafeU64, readU16, readU32 } from "../base/bytes.ts";
import { CodecError, type CodecErrorCode } from "./codec_error.ts";
import { readUtf8 } from "./utf8.ts";

const EMPTY = new Uint8Array(0);
/** Type and length of a TLV. */
const TLV_HEADER_BYTES = 3;
/** More TLVs than any payload has use for. */
const MAX_TLVS = 8192;

/** Reads fields from `bytes[at, end)`. */
export class PayloadReader {
  readonly bytes: Uint8Array;
  /** The next byte to read. */
  at: number;
  readonly end: number;
  /** The first thing that was wrong. */
  error: CodecError | undefined = undefined;

  /** @throws RangeError if the range does not lie within `bytes`. */
  constructor(bytes: Uint8Array, at: number, end: number) {
    checkPayloadRange(bytes, at, end);
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  /** How many bytes are left. */
  get left(): number {
    return this.end - this.at;
  }

  /** Notes an error, if it is the first, and ends reading. */
  fail(code: CodecErrorCode, field: string, seen?: number, expected?: number): void {
    this.error ??= new CodecError(code, { field, seen, expected });
    this.at = this.end;
  }

  /** Takes `length` bytes and says where they begin; −1 if they are not there, or something was wrong before. */
  take(length: number, field: string): number {
    if (this.error !== undefined || length > this.end - this.at) {
      this.fail("truncated_payload", field);
      return -1;
    }
    const start = this.at;
    this.at += length;
    return start;
  }

  u8(field: string): number {
    const at = this.take(1, field);
    return at < 0 ? 0 : this.bytes[at];
  }

  u16(field: string): number {
    const at = this.take(2, field);
    return at < 0 ? 0 : readU16(this.bytes, at);
  }

  u32(field: string): number {
    const at = this.take(4, field);
    return at < 0 ? 0 : readU32(this.bytes, at);
  }

  /** A u64; above 2^53 − 1 it is a bad value. */
  u64(field: string): number {
    const at = this.take(8, field);
    if (at < 0) return 0;
    const value = readSafeU64(this.bytes, at);
    if (value < 0) this.fail("bad_value", field);
    return value < 0 ? 0 : value;
  }

  /** 0 or 1; anything else is a bad value. */
  boolean(field: string): boolean {
    const value = this.u8(field);
    if (value > 1) this.fail("bad_value", field, value);
    return value === 1;
  }

  /** A copy of `length` bytes. */
  copy(length: number, field: string): Uint8Array {
    const at = this.take(length, field);
    return at < 0 ? EMPTY : this.bytes.slice(at, at + length);
  }

  /** A text of `length` bytes. */
  text(length: number, field: string): string {
    const at = this.take(length, field);
    if (at < 0) return "";
    const text = readUtf8(this.bytes, at, at + length);
    if (text === undefined) this.fail("bad_utf8", field);
    return text ?? "";
  }

  /** A text with its length as u16 in front. */
  text16(field: string): string {
    return this.text(this.u16(field), field);
  }

  /** The text up to the end. */
  restText(field: string): string {
    return this.text(this.left, field);
  }
}

/**
 * Reads the TLVs that end a payload. Unknown types are skipped by not looking at them. Types that may not repeat must be
 * below 32.
 *
 * @example
 * ```ts
 * import { PayloadReader, TlvReader } from "./payload_reader.ts";
 *
 * const reader = new PayloadReader(Uint8Array.of(0x07, 1, 0, 42), 0, 4);
 * const tlvs = new TlvReader(reader);
 * let hops = 0;
 * while (tlvs.next()) {
 *   if (tlvs.type === 0x07) hops = tlvs.u8("hops");
 * }
 * hops; // 42, if reader.error is undefined
 * ```
 */
export class TlvReader {
  /** Type of the current TLV. */
  type = 0;
  readonly #reader: PayloadReader;
  /** The current value. */
  #start = 0;
  #length = 0;
  #count = 0;
  /** Which of the types 0–31 were read as one that may not repeat. */
  #seen = 0;

  constructor(reader: PayloadReader) {
    this.#reader = reader;
  }

  /** Goes to the next TLV; false at the end or at an error, which the {@link PayloadReader} then holds. */
  next(): boolean {
    const reader = this.#reader;
    if (reader.error !== undefined || reader.left === 0) return false;
    if (++this.#count > MAX_TLVS) {
      reader.fail("too_many", "TLVs", undefined, MAX_TLVS);
      return false;
    }
    this.type = reader.u8("TLV type");
    this.#length = reader.u16("TLV length");
    this.#start = reader.take(this.#length, "TLV value");
    return reader.error === undefined;
  }

  /** A view of the whole TLV, type and length included. */
  get raw(): Uint8Array {
    return this.#reader.bytes.subarray(this.#start - TLV_HEADER_BYTES, this.#start + this.#length);
  }

  /** A u8, once. */
  u8(field: string): number {
    return this.#once(field, 1) ? this.#reader.bytes[this.#start] : 0;
  }

  /** A u16, once. */
  u16(field: string): number {
    return this.#once(field, 2) ? readU16(this.#reader.bytes, this.#start) : 0;
  }

  /** A u32, once. */
  u32(field: string): number {
    return this.#once(field, 4) ? readU32(this.#reader.bytes, this.#start) : 0;
  }

  /** A u64 that is a safe integer, once. */
  u64(field: string): number {
    if (!this.#once(field, 8)) return 0;
    const value = readSafeU64(this.#reader.bytes, this.#start);
    if (value < 0) this.#reader.fail("bad_value", field);
    return value < 0 ? 0 : value;
  }

  /** An empty value, once. */
  flag(field: string): boolean {
    return this.#once(field, 0);
  }

  /** A copy of exactly `length` bytes, once. */
  fixed(length: number, field: string): Uint8Array {
    return this.#once(field, length) ? this.#copy() : EMPTY;
  }

  /** A copy of 1 to `max` bytes, once. */
  opaque(max: number, field: string): Uint8Array {
    if (!this.#once(field, this.#length)) return EMPTY;
    if (this.#length < 1 || this.#length > max) this.#reader.fail("bad_value", field, this.#length);
    return this.#copy();
  }

  /** A text, once. */
  text(field: string): string {
    return this.#once(field, this.#length) ? this.repeatedText(field) : "";
  }

  /** A text that may be there more often. */
  repeatedText(field: string): string {
    return this.#textAt(this.#start, this.#start + this.#length, field);
  }

  /** A key and a value (the key's length as u8, the key, the value) that may be there more often. */
  repeatedPair(field: string): readonly [string, string] {
    const { bytes } = this.#reader;
    const end = this.#start + this.#length;
    const keyEnd = this.#length === 0 ? end + 1 : this.#start + 1 + bytes[this.#start];
    if (keyEnd > end) {
      this.#reader.fail("truncated_payload", `${field} key`);
      return ["", ""];
    }
    return [this.#textAt(this.#start + 1, keyEnd, field), this.#textAt(keyEnd, end, field)];
  }

  /** Notes that the current type was read, and compares its length. */
  #once(field: string, length: number): boolean {
    const bit = 1 << this.type;
    if ((this.#seen & bit) !== 0) {
      this.#reader.fail("duplicate_field", field);
      return false;
    }
    this.#seen |= bit;
    if (this.#length !== length) {
      this.#reader.fail("bad_value", `${field} length`, this.#length);
      return false;
    }
    return true;
  }

  #copy(): Uint8Array {
    return this.#reader.bytes.slice(this.#start, this.#start + this.#length);
  }

  #textAt(start: number, end: number, field: string): string {
    const text = readUtf8(this.#reader.bytes, start, end);
    if (text === undefined) this.#reader.fail("bad_utf8", field);
    return text ?? "";
  }
}

/** Refuses a range that does not lie within `bytes`. */
export function checkPayloadRange(bytes: Uint8Array, at: number, end: number): void {
  if (!(at >= 0 && at <= end && end <= bytes.length)) {
    throw new RangeError(`${at} to ${end} do not lie within ${bytes.length} bytes`);
  }
}
