/**
 * What can be wrong with bytes from a peer, by name (SPEC §2.4). Decoders return these; they never throw.
 *
 * @module
 */

/** The name of an error. The first eight are about messages, the others about payloads. */
export type CodecErrorCode =
  | "short_buffer"
  | "wrong_magic"
  | "unknown_type"
  | "bad_flags"
  | "reserved_not_zero"
  | "payload_too_large"
  | "checksum_mismatch"
  | "trailing_bytes"
  | "truncated_payload"
  | "bad_utf8"
  | "bad_value"
  | "duplicate_field"
  | "too_many"
  | "bad_json";

/**
 * Why bytes were refused. Not an `Error`: making one costs no stack trace, because peers decide how many there are.
 *
 * @example
 * ```ts
 * import { CodecError } from "./codec_error.ts";
 * import { MessageCodec } from "./message.ts";
 *
 * const message = new MessageCodec().decode(new Uint8Array(10));
 * if (!(message instanceof CodecError)) throw new Error("that was no message");
 * message.code; // "short_buffer"
 * message.message; // "short buffer: 10 bytes, 40 needed"
 * ```
 */
export class CodecError {
  /** What is wrong, for programs. */
  readonly code: CodecErrorCode;
  /** The field that is wrong, where that says more than the code. */
  readonly field: string | undefined;
  /** What was seen: a value, a length, a count. */
  readonly seen: number | undefined;
  /** What was expected, or the largest or smallest that would do. */
  readonly expected: number | undefined;

  /** For decoders. */
  constructor(code: CodecErrorCode, details: { field?: string; seen?: number; expected?: number } = {}) {
    this.code = code;
    this.field = details.field;
    this.seen = details.seen;
    this.expected = details.expected;
  }

  /** One lower-case line for people. Holds nothing that the peer chose but numbers. */
  get message(): string {
    return describe(this);
  }

  /** Code and message, for logs. */
  toString(): string {
    return `${this.code}: ${this.message}`;
  }
}

function describe({ code, field, seen, expected }: CodecError): string {
  switch (code) {
    case "short_buffer":
      return `short buffer: ${seen} bytes, ${expected} needed`;
    case "wrong_magic":
      return `wrong magic ${hex(seen)}, expected ${hex(expected)}`;
    case "unknown_type":
      return `unknown message type ${hex(seen)}`;
    case "bad_flags":
      return `bad flags ${hex(seen)}: bits 4 to 7 must be 0`;
    case "reserved_not_zero":
      return `reserved field is ${hex(seen)}, expected 0`;
    case "payload_too_large":
      return `payload of ${seen} bytes, at most ${expected} allowed`;
    case "checksum_mismatch":
      return "checksum mismatch";
    case "trailing_bytes":
      return `trailing bytes: ${seen} behind the end of ${field ?? "the message"}`;
    case "truncated_payload":
      return `${field ?? "a field"} runs past the end of the payload`;
    case "bad_utf8":
      return `${field ?? "text"} is not valid UTF-8`;
    case "bad_value":
      return `bad value for ${field ?? "a field"}${seen === undefined ? "" : `: ${seen}`}`;
    case "duplicate_field":
      return `${field ?? "a field"} is there twice`;
    case "too_many":
      return `too many of ${field ?? "a field"}${seen === undefined ? "" : `: ${seen}`}, at most ${expected} allowed`;
    case "bad_json":
      return `not the JSON that was expected: ${field ?? "unreadable"}`;
  }
}

function hex(value: number | undefined): string {
  return value === undefined ? "?" : `0x${value.toString(16).padStart(2, "0")}`;
}
