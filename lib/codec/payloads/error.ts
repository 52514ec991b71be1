/**
 * Error (SPEC §2.5.14).
 *
 * @module
 */

import type { CodecError } from "../codec_error.ts";
import { PayloadReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";

/** Says that something failed. */
export interface ErrorPayload {
  /** One of the codes in SPEC §2.7, or an application's from 0x8000 on. */
  readonly code: number;
  /** Whether the same request may succeed if it is tried again. */
  readonly retryable: boolean;
  /** For people. */
  readonly text: string;
}

function layOut(writer: PayloadWriter, { code, retryable, text }: ErrorPayload): void {
  writer.u16(code, "code");
  writer.u8(retryable ? 1 : 0, "retryable");
  writer.text(text);
}

/** How many bytes it takes. */
export function sizeOfError(error: ErrorPayload): number {
  return measure(layOut, error);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeError(out: Uint8Array, at: number, error: ErrorPayload): number {
  return write(layOut, error, out, at);
}

/** Decodes `bytes[at, end)`. Everything is copied. */
export function decodeError(bytes: Uint8Array, at = 0, end: number = bytes.length): ErrorPayload | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const code = reader.u16("code");
  const retryable = reader.boolean("retryable");
  const text = reader.restText("text");
  return reader.error ?? { code, retryable, text };
}
