/**
 * Writes payloads field by field. The same description of a payload serves to measure it and to write it, so that the two
 * cannot disagree.
 *
 * @module
 */

import { writeSafeU64, writeU16, writeU32 } from "../base/bytes.ts";
import { utf8Length, writeUtf8 } from "./utf8.ts";

const MAX_U16 = 0xffff;
const MAX_U32 = 0xffff_ffff;

/** A list of fields: calls the writer's methods in the order of the layout. */
export type PayloadLayout<T> = (writer: PayloadWriter, value: T) => void;

/** How many bytes a value takes. */
export function measure<T>(layout: PayloadLayout<T>, value: T): number {
  const writer = new PayloadWriter(undefined, 0);
  layout(writer, value);
  return writer.at;
}

/**
 * Writes a value to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit, or a field is out of its bounds.
 */
export function write<T>(layout: PayloadLayout<T>, value: T, out: Uint8Array, at: number): number {
  const size = measure(layout, value);
  checkPayloadRoom(out, at, size);
  const writer = new PayloadWriter(out, at);
  layout(writer, value);
  return writer.at;
}

/** Refuses a place that has no room. */
export function checkPayloadRoom(out: Uint8Array, at: number, size: number): void {
  if (!(at >= 0 && at + size <= out.length)) {
    throw new RangeError(`a payload of ${size} bytes does not fit at ${at} into ${out.length} bytes`);
  }
}

/** Writes fields, or only counts their bytes. Bounds are checked in both cases; room is not. */
export class PayloadWriter {
  /** The position behind what was written. */
  at: number;
  readonly #out: Uint8Array | undefined;

  /** Without `out` it counts. */
  constructor(out: Uint8Array | undefined, at: number) {
    this.#out = out;
    this.at = at;
  }

  u8(value: number, field: string): void {
    checkWhole(value, 0xff, field);
    if (this.#out !== undefined) this.#out[this.at] = value;
    this.at++;
  }

  u16(value: number, field: string): void {
    checkWhole(value, MAX_U16, field);
    if (this.#out !== undefined) writeU16(this.#out, this.at, value);
    this.at += 2;
  }

  u32(value: number, field: string): void {
    checkWhole(value, MAX_U32, field);
    if (this.#out !== undefined) writeU32(this.#out, this.at, value);
    this.at += 4;
  }

  /** A u64 that is a safe integer. */
  u64(value: number, field: string): void {
    checkWhole(value, Number.MAX_SAFE_INTEGER, field);
    if (this.#out !== undefined) writeSafeU64(this.#out, this.at, value);
    this.at += 8;
  }

  /** Bytes that must be as many as the layout says. */
  fixed(bytes: Uint8Array, length: number, field: string): void {
    if (bytes.length !== length) throw new RangeError(`${field} has ${bytes.length} bytes, expected ${length}`);
    this.bytes(bytes);
  }

  bytes(bytes: Uint8Array): void {
    this.#out?.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** A text up to the end of its container, so without a length. */
  text(text: string): void {
    if (this.#out === undefined) this.at += utf8Length(text);
    else this.at = writeUtf8(this.#out, this.at, text);
  }

  /** A text with its length as u16 in front. */
  text16(text: string, field: string): void {
    this.u16(utf8Length(text), `${field} length`);
    this.text(text);
  }

  /** Type and length of a TLV; its value has to follow. */
  tlv(type: number, length: number, field: string): void {
    this.u8(type, field);
    this.u16(length, `${field} length`);
  }

  tlvU8(type: number, value: number | undefined, field: string): void {
    if (value === undefined) return;
    this.tlv(type, 1, field);
    this.u8(value, field);
  }

  tlvU16(type: number, value: number | undefined, field: string): void {
    if (value === undefined) return;
    this.tlv(type, 2, field);
    this.u16(value, field);
  }

  tlvU32(type: number, value: number | undefined, field: string): void {
    if (value === undefined) return;
    this.tlv(type, 4, field);
    this.u32(value, field);
  }

  tlvU64(type: number, value: number | undefined, field: string): void {
    if (value === undefined) return;
    this.tlv(type, 8, field);
    this.u64(value, field);
  }

  tlvText(type: number, text: string | undefined, field: string): void {
    if (text === undefined) return;
    this.tlv(type, utf8Length(text), field);
    this.text(text);
  }

  tlvBytes(type: number, bytes: Uint8Array | undefined, field: string): void {
    if (bytes === undefined) return;
    this.tlv(type, bytes.length, field);
    this.bytes(bytes);
  }

  /** A key and a value: the key's length as u8, the key, the value. */
  tlvPair(type: number, key: string, value: string, field: string): void {
    const keyLength = utf8Length(key);
    this.tlv(type, 1 + keyLength + utf8Length(value), field);
    this.u8(keyLength, `${field} key length`);
    this.text(key);
    this.text(value);
  }
}

function checkWhole(value: number, max: number, field: string): void {
  if (!(Number.isInteger(value) && value >= 0 && value <= max)) {
    throw new RangeError(`${field} is ${value}, expected a whole number from 0 to ${max}`);
  }
}
