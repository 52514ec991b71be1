/**
 * One direction of an agent stream that a node passes on (SPEC §8.11): every message is checked, gets the ids of the connection
 * that it goes on to, and is otherwise left as it came.
 *
 * @module
 */

import { CodecError } from "../codec/codec_error.ts";
import { ErrorCode } from "../codec/error_codes.ts";
import { messageLength, type MessageView } from "../codec/message.ts";
import { MESSAGE_HEADER_BYTES, MessageFlag } from "../codec/message_header.ts";
import type { MessageReader } from "../codec/message_reader.ts";
import { isExtensionType, MessageType, messageTypeName } from "../codec/message_type.ts";
import { decodeError } from "../codec/payloads/error.ts";
import { decodeStreamChunk, STREAM_CHUNK_PREFIX_BYTES } from "../codec/payloads/stream_chunk.ts";
import { decodeStreamClose } from "../codec/payloads/stream_close.ts";
import { MAX_CHUNK_BYTES, type StreamEnding, type StreamReceiverOptions } from "./agent_streams.ts";
import type { MessageIds, MessageWriter } from "./message_writer.ts";

/** What compression and encryption may add to the payload of a chunk. */
const SEALING_BYTES = 1_024;
const MAX_PAYLOAD = MAX_CHUNK_BYTES + STREAM_CHUNK_PREFIX_BYTES + SEALING_BYTES;
/** Largest payload of a message of a type that is not known here. */
const MAX_EXTENSION_BYTES = 65_536;
/** What is in such a message is for the other end alone. */
const SEALED = MessageFlag.COMPRESSED | MessageFlag.ENCRYPTED;

/** A message whose place in the order cannot be seen has come, or none has: the next one may have any. */
const ANY_SEQUENCE = -1;

/** What a direction may have in it. */
export interface StreamRelayOptions extends StreamReceiverOptions {
  /** Of a resumable stream (SPEC §8.13): extension messages may follow its StreamClose, and it may end without one. */
  readonly isResumable: boolean;
}

/**
 * Passes messages on. After {@link push}, call {@link next} until it says undefined, and then look at {@link ending}.
 *
 * Whether the first chunk is the first one of the stream is for the ends of the stream to judge: it may go on from an earlier connection.
 */
export class StreamRelay {
  readonly #reader: MessageReader;
  readonly #writer: MessageWriter;
  readonly #streamId: Uint8Array;
  readonly #ids: MessageIds;
  readonly #options: StreamRelayOptions;
  #piece: Uint8Array | undefined;
  #expected = ANY_SEQUENCE;
  /** What the StreamClose of a resumable stream has said. */
  #closed: Extract<StreamEnding, { readonly kind: "closed" }> | undefined;
  #ending: StreamEnding | undefined;
  /** Whether anything was passed on. */
  hasBegun = false;
  #bytes = 0;

  /**
   * @param reader may hold bytes already: call {@link next} before the first {@link push}.
   * @param ids what every message has from here on.
   */
  constructor(
    reader: MessageReader,
    writer: MessageWriter,
    streamId: Uint8Array,
    ids: MessageIds,
    options: StreamRelayOptions,
  ) {
    this.#reader = reader;
    this.#writer = writer;
    this.#streamId = streamId;
    this.#ids = ids;
    this.#options = options;
  }

  /** How the direction ended, once it has. What {@link next} gave goes on all the same, a StreamClose at its end included. */
  get ending(): StreamEnding | undefined {
    return this.#ending;
  }

  /** Takes the next bytes, which belong to the relay from then on. */
  push(piece: Uint8Array): void {
    if (this.#ending !== undefined) return;
    this.#piece = piece;
    this.#reader.push(piece);
  }

  /** Whole messages, back to back, that can go on; undefined if there are none now. */
  next(): Uint8Array | undefined {
    // Messages that lie whole in a piece are changed and go on where they lie.
    let start = -1, end = -1;
    while (this.#ending === undefined) {
      const message = this.#reader.next();
      if (message === undefined) {
        const pending = this.#reader.pending;
        if (pending !== undefined && pending.payloadLength > MAX_PAYLOAD) this.#ending = tooLarge();
        break;
      }
      if (message instanceof CodecError) {
        this.#ending = message.code === "payload_too_large" ? tooLarge() : bad(message.message);
        break;
      }
      const ending = this.#check(message);
      if (ending !== undefined && ending.kind !== "closed") {
        this.#ending = ending;
        break;
      }
      const isInPlace = message.bytes === this.#piece;
      const whole = isInPlace ? message.bytes : this.#copy(message);
      const at = isInPlace ? message.at : 0;
      const { type, flags, payloadLength } = message;
      this.#writer.seal(whole, at, type, flags, this.#ids, at + MESSAGE_HEADER_BYTES + payloadLength);
      if (ending?.kind === "closed" && this.#options.isResumable) this.#closed = ending;
      else if (ending !== undefined) {
        const isLast = this.#reader.next() === undefined && this.#reader.finish() === undefined;
        this.#ending = isLast ? ending : disorder("more bytes follow the StreamClose");
        if (!isLast) break;
      }
      this.hasBegun = true;
      if (!isInPlace) return whole;
      if (start < 0) start = at;
      end = at + messageLength(payloadLength);
    }
    return start < 0 ? undefined : this.#piece!.subarray(start, end);
  }

  /** Bytes of data in the chunks that were passed on since this was asked last. */
  takeCount(): number {
    const bytes = this.#bytes;
    this.#bytes = 0;
    return bytes;
  }

  /** The transport stream has ended. */
  finish(): void {
    if (this.#ending !== undefined) return;
    if (!this.#options.isResumable) this.#ending = disorder("the stream ended without a StreamClose");
    else if (this.#reader.finish() !== undefined) this.#ending = disorder("the stream ended inside a message");
    else this.#ending = this.#closed ?? { kind: "closed", code: 0, reason: "" };
  }

  /** A message that came in pieces lies in the reader's own buffer, which is used again. */
  #copy({ bytes, at, end }: MessageView): Uint8Array {
    const copy = this.#writer.allocate(end - at);
    copy.set(bytes.subarray(at, end));
    return copy;
  }

  /** How the direction ends with a message, if it does. */
  #check(message: MessageView): StreamEnding | undefined {
    if (isExtensionType(message.type)) {
      return message.payloadLength > MAX_EXTENSION_BYTES ? tooLarge() : undefined;
    }
    if (message.payloadLength > MAX_PAYLOAD) return tooLarge();
    if (this.#closed !== undefined) return disorder("more than extension messages follow the StreamClose");
    switch (message.type) {
      case MessageType.STREAM_CHUNK:
        return this.#checkChunk(message);
      case MessageType.STREAM_CLOSE:
        return this.#checkClose(message);
      case MessageType.ERROR: {
        if (!this.#options.mayRefuse || this.hasBegun) break;
        const error = decodeError(message.bytes, message.payloadStart, message.payloadEnd);
        return error instanceof CodecError ? bad(error.message) : { kind: "refused", ...error };
      }
    }
    return disorder(`a ${messageTypeName(message.type)} message inside a stream`);
  }

  #checkChunk(message: MessageView): StreamEnding | undefined {
    if (!this.#options.mayChunk) return disorder("a chunk against the direction of a unidirectional stream");
    if ((message.flags & SEALED) !== 0) {
      this.#expected = ANY_SEQUENCE;
      this.#bytes += message.payloadLength;
      return undefined;
    }
    const { bytes, payloadStart, payloadEnd } = message;
    const chunk = decodeStreamChunk(bytes, payloadStart, payloadEnd);
    if (chunk instanceof CodecError) return bad(chunk.message);
    const length = message.payloadLength - STREAM_CHUNK_PREFIX_BYTES;
    if (length > MAX_CHUNK_BYTES) return tooLarge();
    if (!isSame(this.#streamId, bytes, payloadStart)) return disorder("a chunk of another stream");
    if (this.#expected !== ANY_SEQUENCE && chunk.sequence !== this.#expected) {
      return disorder(`chunk ${chunk.sequence} came where chunk ${this.#expected} was expected`);
    }
    this.#expected = chunk.sequence + 1;
    this.#bytes += length;
    return undefined;
  }

  #checkClose(message: MessageView): StreamEnding {
    if ((message.flags & MessageFlag.FINAL) === 0) return disorder("a StreamClose without FINAL");
    let code: number = ErrorCode.UNSPECIFIED, reason = "";
    if ((message.flags & SEALED) === 0) {
      const { bytes, payloadStart, payloadEnd } = message;
      const close = decodeStreamClose(bytes, payloadStart, payloadEnd);
      if (close instanceof CodecError) return bad(close.message);
      if (!isSame(this.#streamId, bytes, payloadStart)) return disorder("a StreamClose of another stream");
      ({ code, reason } = close);
    }
    return { kind: "closed", code, reason };
  }
}

function isSame(id: Uint8Array, bytes: Uint8Array, at: number): boolean {
  let difference = 0;
  for (let i = 0; i < id.length; i++) difference |= id[i] ^ bytes[at + i];
  return difference === 0;
}

function disorder(text: string): StreamEnding {
  return { kind: "violation", code: ErrorCode.STREAM_PROTOCOL, text };
}

function bad(text: string): StreamEnding {
  return { kind: "violation", code: ErrorCode.BAD_REQUEST, text };
}

function tooLarge(): StreamEnding {
  const text = `a chunk holds more than ${MAX_CHUNK_BYTES} bytes`;
  return { kind: "violation", code: ErrorCode.PAYLOAD_TOO_LARGE, text };
}
