/**
 * Whole messages: header, payload, checksum (SPEC §2.1), into and out of buffers that the caller owns.
 *
 * @module
 */

import { CodecError } from "./codec_error.ts";
import {
  checkMessageHeader,
  checkMessageHeaderView,
  MAX_PAYLOAD_BYTES,
  MESSAGE_HEADER_BYTES,
  MESSAGE_OVERHEAD_BYTES,
  type MessageHeader,
  MessageHeaderView,
  writeMessageHeader,
  writeMessageHeaderView,
} from "./message_header.ts";
import { readU32 } from "../base/bytes.ts";
import { createXxh3 } from "./xxh3/create.ts";
import type { Xxh3 } from "./xxh3/xxh3.ts";

/** Length of a message with a payload of `payloadLength` bytes. */
export function messageLength(payloadLength: number): number {
  return payloadLength + MESSAGE_OVERHEAD_BYTES;
}

/** A message whose header and checksum were found good. Nothing is copied; valid for as long as the bytes are. */
export class MessageView extends MessageHeaderView {
  /** Where the payload begins in {@link bytes}. */
  get payloadStart(): number {
    return this.at + MESSAGE_HEADER_BYTES;
  }

  /** Where the payload ends in {@link bytes}. */
  get payloadEnd(): number {
    return this.at + MESSAGE_HEADER_BYTES + this.payloadLength;
  }

  /** Where the message ends in {@link bytes}; the next one may begin here. */
  get end(): number {
    return this.at + this.payloadLength + MESSAGE_OVERHEAD_BYTES;
  }

  /** The payload, as a view. Made anew at every call: decoders that take a range are cheaper. */
  get payload(): Uint8Array {
    return this.bytes.subarray(this.payloadStart, this.payloadEnd);
  }
}

/**
 * Encodes and decodes messages. One for a driver or a connection: it owns the hash kernel and its memory.
 *
 * @example
 * ```ts
 * import { CodecError } from "./codec_error.ts";
 * import { MessageCodec } from "./message.ts";
 * import { MessageType } from "./message_type.ts";
 *
 * const codec = new MessageCodec();
 * const out = new Uint8Array(1500);
 * const header = { type: MessageType.RESPONSE, flags: 0, idLow: 1, idHigh: 0, traceLow: 7, traceHigh: 0 };
 * const end = codec.encode(out, 0, header, Uint8Array.of(1, 2, 3));
 *
 * const message = codec.decode(out, 0, end);
 * if (message instanceof CodecError) throw new Error(message.message);
 * message.messageId; // 1n
 * message.payload; // a view of `out`
 * ```
 */
export class MessageCodec {
  readonly #xxh3: Xxh3;

  /** With a hash of its own unless one is given. */
  constructor(xxh3: Xxh3 = createXxh3()) {
    this.#xxh3 = xxh3;
  }

  /**
   * Writes a whole message to `out` from `at` on; returns the position behind it.
   *
   * @throws RangeError if it does not fit, the payload is over 16 MiB, or the type or flags are not valid.
   */
  encode(out: Uint8Array, at: number, header: MessageHeader, payload: Uint8Array): number {
    const end = checkRoom(out, at, payload.length);
    out.set(payload, at + MESSAGE_HEADER_BYTES);
    return this.#finish(out, at, end, header, payload.length);
  }

  /**
   * The same with a payload in two parts, so that a prefix need not be joined with somebody's data first.
   *
   * @throws RangeError like {@link encode}.
   */
  encodeParts(out: Uint8Array, at: number, header: MessageHeader, first: Uint8Array, second: Uint8Array): number {
    const length = first.length + second.length;
    const end = checkRoom(out, at, length);
    out.set(first, at + MESSAGE_HEADER_BYTES);
    out.set(second, at + MESSAGE_HEADER_BYTES + first.length);
    return this.#finish(out, at, end, header, length);
  }

  /**
   * Completes a message whose payload was written in place, from `at + MESSAGE_HEADER_BYTES` to `payloadEnd`: writes the
   * header before it and the checksum behind it. Returns the position behind the message.
   *
   * @throws RangeError like {@link encode}.
   *
   * @example
   * ```ts
   * import { MessageCodec } from "./message.ts";
   * import { MESSAGE_HEADER_BYTES } from "./message_header.ts";
   * import { MessageType } from "./message_type.ts";
   * import { encodeCall } from "./payloads/call.ts";
   *
   * const codec = new MessageCodec();
   * const out = new Uint8Array(1500);
   * const header = { type: MessageType.CALL, flags: 0, idLow: 1, idHigh: 0, traceLow: 7, traceHigh: 0 };
   * const call = { target: new Uint8Array(16), timeoutSeconds: 5, data: Uint8Array.of(1, 2, 3) };
   * const end = codec.seal(out, 0, header, encodeCall(out, MESSAGE_HEADER_BYTES, call));
   * ```
   */
  seal(out: Uint8Array, at: number, header: MessageHeader, payloadEnd: number): number {
    const length = payloadEnd - at - MESSAGE_HEADER_BYTES;
    if (!(length >= 0)) throw new RangeError(`payload ends at ${payloadEnd}, before it begins`);
    const end = checkRoom(out, at, length);
    return this.#finish(out, at, end, header, length);
  }

  /**
   * Decodes the message that begins at `at`; more may follow before `end`. `short_buffer` means that more bytes are needed.
   *
   * @throws RangeError if `at` and `end` do not lie within `bytes`.
   */
  decode(
    bytes: Uint8Array,
    at = 0,
    end: number = bytes.length,
    maxPayload: number = MAX_PAYLOAD_BYTES,
  ): MessageView | CodecError {
    if (!(at >= 0 && at <= end && end <= bytes.length)) {
      throw new RangeError(`${at} to ${end} do not lie within ${bytes.length} bytes`);
    }
    const available = end - at;
    if (available < MESSAGE_HEADER_BYTES) {
      return new CodecError("short_buffer", { seen: available, expected: MESSAGE_OVERHEAD_BYTES });
    }
    const memory = this.#xxh3.memoryOf(bytes);
    const error = memory === undefined
      ? checkMessageHeader(bytes, at, maxPayload)
      : checkMessageHeaderView(memory.view, bytes.byteOffset + at, bytes, at, maxPayload);
    if (error !== undefined) return error;
    const payloadLength = readU32(bytes, at + 24);
    if (available - MESSAGE_OVERHEAD_BYTES < payloadLength) {
      return new CodecError("short_buffer", { seen: available, expected: payloadLength + MESSAGE_OVERHEAD_BYTES });
    }
    const intact = memory === undefined
      ? this.#xxh3.matches(bytes, at, at + MESSAGE_HEADER_BYTES + payloadLength)
      : memory.matches(bytes.byteOffset + at, MESSAGE_HEADER_BYTES + payloadLength) !== 0;
    if (!intact) return new CodecError("checksum_mismatch");
    return new MessageView(bytes, at, payloadLength);
  }

  /**
   * Decodes bytes that are exactly one message, as in a UDP datagram of the plain carrier. `trailing_bytes` if more follow.
   *
   * @throws RangeError like {@link decode}.
   */
  decodeExact(
    bytes: Uint8Array,
    at = 0,
    end: number = bytes.length,
    maxPayload: number = MAX_PAYLOAD_BYTES,
  ): MessageView | CodecError {
    const message = this.decode(bytes, at, end, maxPayload);
    if (message instanceof CodecError || message.end === end) return message;
    return new CodecError("trailing_bytes", { seen: end - message.end });
  }

  #finish(out: Uint8Array, at: number, end: number, header: MessageHeader, length: number): number {
    const memory = this.#xxh3.memoryOf(out);
    if (memory === undefined) {
      writeMessageHeader(out, at, header, length);
      this.#xxh3.seal(out, at, at + MESSAGE_HEADER_BYTES + length);
    } else {
      const address = out.byteOffset + at;
      writeMessageHeaderView(memory.view, address, header, length);
      memory.seal(address, MESSAGE_HEADER_BYTES + length);
    }
    return end;
  }
}

/** Where a message with such a payload ends. */
function checkRoom(out: Uint8Array, at: number, payloadLength: number): number {
  if (payloadLength > MAX_PAYLOAD_BYTES) {
    throw new RangeError(`payload of ${payloadLength} bytes, at most ${MAX_PAYLOAD_BYTES} allowed`);
  }
  const end = at + payloadLength + MESSAGE_OVERHEAD_BYTES;
  if (!(at >= 0 && end <= out.length)) {
    throw new RangeError(`a message of ${end - at} bytes does not fit at ${at} into ${out.length} bytes`);
  }
  return end;
}
