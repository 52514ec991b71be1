/**
 * Messages out of a stream of bytes that arrives in arbitrary pieces (SPEC §3.1).
 *
 * @module
 */

import { readU32 } from "../base/bytes.ts";
import { CodecError } from "./codec_error.ts";
import type { MessageCodec, MessageView } from "./message.ts";
import {
  checkMessageHeader,
  MAX_PAYLOAD_BYTES,
  MESSAGE_HEADER_BYTES,
  MESSAGE_OVERHEAD_BYTES,
  MessageHeaderView,
} from "./message_header.ts";

/** The first buffer for a message that does not come in one piece. */
const SMALLEST_BUFFER = 512;
/** A larger one is given up as soon as its message was taken. */
const LARGEST_KEPT_BUFFER = 65_536;

const EMPTY = new Uint8Array(0);

/** Bounds of a reader. */
export interface MessageReaderOptions {
  /** The largest payload to accept; 16 MiB, which is also the protocol's own limit, by default. */
  readonly maxPayload?: number;
}

/**
 * Cuts a stream into messages. A message that lies whole in one piece is decoded where it lies, without a copy; others are
 * put together in a buffer that grows with what has arrived, never with what was only announced. At most one message is held.
 *
 * After {@link push}, call {@link next} until it says undefined; only then is the piece used up and its buffer free again.
 * A message is valid until the next call of `next` or `push`. After an error `next` keeps returning that error: there is no
 * way to find the beginning of a next message.
 *
 * @example
 * ```ts
 * import { CodecError } from "./codec_error.ts";
 * import { MessageCodec, type MessageView } from "./message.ts";
 * import { MessageReader } from "./message_reader.ts";
 *
 * // Says why the stream has to be given up, if it has.
 * function take(reader: MessageReader, piece: Uint8Array, handle: (message: MessageView) => void): string | undefined {
 *   reader.push(piece);
 *   for (let message = reader.next(); message !== undefined; message = reader.next()) {
 *     if (message instanceof CodecError) return message.message;
 *     handle(message);
 *   }
 *   return (reader.pending?.payloadLength ?? 0) > 1_000_000 ? "no room" : undefined;
 * }
 *
 * take(new MessageReader(new MessageCodec()), new Uint8Array(10), () => {});
 * ```
 */
export class MessageReader {
  readonly #codec: MessageCodec;
  readonly #maxPayload: number;
  /** The piece that is being cut, and where. */
  #piece: Uint8Array = EMPTY;
  #at = 0;
  /** The beginning of a message that did not come in one piece. */
  #held: Uint8Array = EMPTY;
  #heldLength = 0;
  /** Length of the message in `#held`; 0 as long as its header is not whole. */
  #wanted = 0;
  /** Whether the message in `#held` was returned. */
  #taken = false;
  #error: CodecError | undefined = undefined;

  /**
   * A reader for one stream. Readers may share a codec.
   *
   * @throws RangeError if the bound is over 16 MiB or negative.
   */
  constructor(codec: MessageCodec, options: MessageReaderOptions = {}) {
    const maxPayload = options.maxPayload ?? MAX_PAYLOAD_BYTES;
    if (!(maxPayload >= 0 && maxPayload <= MAX_PAYLOAD_BYTES)) {
      throw new RangeError(`maxPayload is ${maxPayload}, expected 0 to ${MAX_PAYLOAD_BYTES}`);
    }
    this.#codec = codec;
    this.#maxPayload = maxPayload;
  }

  /**
   * Takes the next piece. It must stay untouched until {@link next} has said undefined.
   *
   * @throws RangeError if the piece before it was not used up.
   */
  push(piece: Uint8Array): void {
    if (this.#error !== undefined) return;
    if (this.#at < this.#piece.length) throw new RangeError("a piece was pushed before the last one was used up");
    this.#piece = piece;
    this.#at = 0;
  }

  /** The next whole message; undefined when more bytes are needed; the error once there is one. */
  next(): MessageView | CodecError | undefined {
    if (this.#error !== undefined) return this.#error;
    if (this.#taken) this.#release();
    const result = this.#heldLength > 0 ? this.#continueHeld() : this.#readInPlace();
    if (result instanceof CodecError) {
      this.#error = result;
      this.#piece = this.#held = EMPTY;
      this.#at = this.#heldLength = this.#wanted = 0;
    } else if (this.#at === this.#piece.length && result === undefined) {
      this.#piece = EMPTY;
      this.#at = 0;
    }
    return result;
  }

  /**
   * The header of the message that has begun to arrive and is not whole yet, as soon as it is known: for saying no to it
   * before it takes up room. Valid until the next call of `next` or `push`.
   */
  get pending(): MessageHeaderView | undefined {
    if (this.#wanted === 0 || this.#taken) return undefined;
    return new MessageHeaderView(this.#held, 0, this.#wanted - MESSAGE_OVERHEAD_BYTES);
  }

  /** How many bytes of an unfinished message are held. */
  get heldBytes(): number {
    return this.#taken ? 0 : this.#heldLength;
  }

  /** How many bytes of memory are set aside for it. */
  get reservedBytes(): number {
    return this.#held.length;
  }

  /** What it means that the stream ends here: nothing between two messages, else `short_buffer`. */
  finish(): CodecError | undefined {
    if (this.#error !== undefined) return this.#error;
    const held = this.heldBytes + this.#piece.length - this.#at;
    if (held === 0) return undefined;
    return new CodecError("short_buffer", { seen: held, expected: this.#wanted || MESSAGE_OVERHEAD_BYTES });
  }

  /** Nothing is held: the message begins in the piece. */
  #readInPlace(): MessageView | CodecError | undefined {
    const piece = this.#piece;
    const left = piece.length - this.#at;
    if (left >= MESSAGE_HEADER_BYTES) {
      const message = this.#codec.decode(piece, this.#at, piece.length, this.#maxPayload);
      if (!(message instanceof CodecError)) {
        this.#at = message.end;
        return message;
      }
      if (message.code !== "short_buffer") return message;
      // The header was good, or it would have been the error.
      this.#wanted = readU32(piece, this.#at + 24) + MESSAGE_OVERHEAD_BYTES;
    }
    if (left > 0) this.#hold(left);
    return undefined;
  }

  /** Adds to the message whose beginning is held. */
  #continueHeld(): MessageView | CodecError | undefined {
    if (this.#wanted === 0) {
      this.#hold(Math.min(MESSAGE_HEADER_BYTES - this.#heldLength, this.#piece.length - this.#at));
      if (this.#heldLength < MESSAGE_HEADER_BYTES) return undefined;
      const error = checkMessageHeader(this.#held, 0, this.#maxPayload);
      if (error !== undefined) return error;
      this.#wanted = readU32(this.#held, 24) + MESSAGE_OVERHEAD_BYTES;
    }
    this.#hold(Math.min(this.#wanted - this.#heldLength, this.#piece.length - this.#at));
    if (this.#heldLength < this.#wanted) return undefined;
    const message = this.#codec.decode(this.#held, 0, this.#wanted, this.#maxPayload);
    this.#taken = true;
    return message;
  }

  /** Moves `count` bytes from the piece to what is held. */
  #hold(count: number): void {
    const needed = this.#heldLength + count;
    if (needed > this.#held.length) {
      const doubled = Math.max(needed, 2 * this.#held.length, SMALLEST_BUFFER);
      const larger = new Uint8Array(this.#wanted === 0 ? doubled : Math.min(doubled, this.#wanted));
      larger.set(this.#held.subarray(0, this.#heldLength));
      this.#held = larger;
    }
    this.#held.set(this.#piece.subarray(this.#at, this.#at + count), this.#heldLength);
    this.#heldLength = needed;
    this.#at += count;
  }

  /** Forgets the message that was returned from the buffer. */
  #release(): void {
    this.#taken = false;
    this.#heldLength = 0;
    this.#wanted = 0;
    if (this.#held.length > LARGEST_KEPT_BUFFER) this.#held = EMPTY;
  }
}
