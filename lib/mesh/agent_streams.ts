/**
 * Agent streams as messages: what each side may send in which order, and whether it did (SPEC §8.6). One half sends, one
 * receives; they share nothing but the ids.
 *
 * @module
 */

import { bytesEqual, concatBytes } from "../base/bytes.ts";
import { UUID_BYTES } from "../base/uuid.ts";
import { CodecError } from "../codec/codec_error.ts";
import { ErrorCode } from "../codec/error_codes.ts";
import type { MessageView } from "../codec/message.ts";
import { MessageFlag } from "../codec/message_header.ts";
import type { MessageReader } from "../codec/message_reader.ts";
import { isExtensionType, MessageType, messageTypeName } from "../codec/message_type.ts";
import { decodeError } from "../codec/payloads/error.ts";
import { decodeStreamChunk, STREAM_CHUNK_PREFIX_BYTES } from "../codec/payloads/stream_chunk.ts";
import { decodeStreamClose } from "../codec/payloads/stream_close.ts";
import type { MessageIds } from "./message_writer.ts";
import { StreamMessages } from "./stream_messages.ts";
import type { StreamPacker, StreamUnpacker } from "./stream_packing.ts";

/**
 * Most bytes of data in one chunk. Bounds what a receiver holds of a chunk that is not whole yet, so that no stream needs a
 * share of the memory budget; longer pieces are sent as several chunks.
 */
export const MAX_CHUNK_BYTES = 65_536;
/** Largest payload of any message of a stream. */
export const MAX_STREAM_PAYLOAD = MAX_CHUNK_BYTES + STREAM_CHUNK_PREFIX_BYTES;
const PACKED = MessageFlag.COMPRESSED | MessageFlag.ENCRYPTED;
/** What compressing and sealing may add to a chunk. */
const PACKING_BYTES = 1_024;

/** The half that sends: StreamChunk with ascending sequence, StreamClose at the end. */
export class StreamSender {
  readonly #messages: StreamMessages;
  readonly #ids: MessageIds;
  readonly #streamId: Uint8Array;
  #sequence = 0;
  #ended = false;
  /** Packs what is sent, if anything does. */
  packer: StreamPacker | undefined = undefined;

  /** @param ids those of the StreamOpen: every message of the stream, in both directions, has them. */
  constructor(messages: StreamMessages, ids: MessageIds, streamId: Uint8Array) {
    this.#messages = messages;
    this.#ids = ids;
    this.#streamId = streamId;
  }

  /** Chunks so far. */
  get chunks(): number {
    return this.#sequence;
  }

  /** Whether the StreamClose has been written. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The next chunk. The data is copied. @throws RangeError behind the end, and for more than {@link MAX_CHUNK_BYTES}. */
  chunk(data: Uint8Array): Uint8Array {
    if (this.#ended) throw new RangeError("the stream was ended");
    if (data.length > MAX_CHUNK_BYTES) {
      throw new RangeError(`a chunk holds ${MAX_CHUNK_BYTES} bytes, not ${data.length}`);
    }
    const packed = this.packer?.pack(MessageType.STREAM_CHUNK, data);
    const { data: bytes, flags } = packed ?? { data, flags: 0 };
    return this.#sealed(this.#messages.chunk(this.#ids, this.#streamId, this.#sequence++, bytes, flags));
  }

  /** The last message. @throws RangeError if there was one already. */
  end(code: number, reason: string): Uint8Array {
    if (this.#ended) throw new RangeError("the stream was ended");
    this.#ended = true;
    const packed = this.packer?.pack(MessageType.STREAM_CLOSE, StreamMessages.closing(code, reason));
    if (packed === undefined || packed.flags === 0) {
      return this.#messages.close(this.#ids, this.#streamId, code, reason);
    }
    return this.#sealed(this.#messages.packedClose(this.#ids, this.#streamId, packed));
  }

  /** With what begins the seal in front, where it is needed. */
  #sealed(message: Uint8Array): Uint8Array {
    const seal = this.packer?.takeSeal();
    return seal === undefined ? message : concatBytes(this.#messages.seal(this.#ids, seal), message);
  }
}

/** How the receiving half ended. Texts come from the peer where the kind says so: escape before showing them. */
export type StreamEnding =
  /** The peer's StreamClose: 0 is a good end. */
  | { readonly kind: "closed"; readonly code: number; readonly reason: string }
  /** An Error instead of an answer. */
  | { readonly kind: "refused"; readonly code: number; readonly retryable: boolean; readonly text: string }
  /** The peer broke a rule: the code that it is to be told, and what, in our words. */
  | { readonly kind: "violation"; readonly code: number; readonly text: string };

/** What a receiving half expects. */
export interface StreamReceiverOptions {
  /** False for the answers to a unidirectional stream, which has none but its end. */
  readonly mayChunk: boolean;
  /** Whether an Error may come instead of chunks: to who opened the stream. */
  readonly mayRefuse: boolean;
  /**
   * Takes the extension messages of a resumable stream, which may also follow its StreamClose; the ending if one breaks a
   * rule. Without it they are skipped.
   */
  readonly onExtension?: (message: MessageView) => StreamEnding | undefined;
}

/** The half that receives. After {@link push}, call {@link next} until it says undefined. */
export class StreamReceiver {
  #reader: MessageReader;
  readonly #streamId: Uint8Array;
  readonly #options: StreamReceiverOptions;
  #piece: Uint8Array | undefined;
  #expected = 0;
  #ending: StreamEnding | undefined;
  /** Whether the chunk that was taken last was compressed: it may be far larger than what has arrived. */
  hasExpanded = false;
  /** Unpacks what comes, if anything does. */
  unpacker: StreamUnpacker | undefined = undefined;

  /** @param reader may hold what followed the StreamOpen already: call {@link next} before the first {@link push}. */
  constructor(reader: MessageReader, streamId: Uint8Array, options: StreamReceiverOptions) {
    this.#reader = reader;
    this.#streamId = streamId;
    this.#options = options;
  }

  /** Chunks so far. */
  get chunks(): number {
    return this.#expected;
  }

  /** How it ended, once it has. */
  get ending(): StreamEnding | undefined {
    return this.#ending;
  }

  /**
   * Goes on with another connection's bytes, where the last whole message left off.
   *
   * @param piece what the reader has been given last, of which there may be more.
   */
  goOn(reader: MessageReader, piece: Uint8Array | undefined): void {
    this.#reader = reader;
    this.#piece = piece;
  }

  /** Takes the next bytes, which must not change as long as chunks of them are in use. */
  push(piece: Uint8Array): void {
    if (this.#ending !== undefined && this.#options.onExtension === undefined) return;
    this.#piece = piece;
    this.#reader.push(piece);
  }

  /** The data of the next chunk, which the caller may keep; the ending, from then on; undefined if more bytes are needed. */
  next(): Uint8Array | StreamEnding | undefined {
    while (this.#ending === undefined) {
      const message = this.#reader.next();
      if (message === undefined) {
        const pending = this.#reader.pending;
        if (pending !== undefined && pending.payloadLength > maxPayload(pending)) return this.#end(tooLarge());
        return undefined;
      }
      if (message instanceof CodecError) {
        return this.#end(message.code === "payload_too_large" ? tooLarge() : bad(message.message));
      }
      if (message.payloadLength > maxPayload(message)) return this.#end(tooLarge());
      if (isExtensionType(message.type)) {
        const seal = message.type === MessageType.SEAL ? this.unpacker?.onSeal(message.payload) : undefined;
        if (seal !== undefined) return this.#end({ kind: "violation", ...seal });
        const problem = this.#options.onExtension?.(message);
        if (problem !== undefined) return this.#end(problem);
        continue;
      }
      const result = this.#take(message);
      return result instanceof Uint8Array ? result : this.#end(result);
    }
    return this.#ending;
  }

  /** What is wrong with what has come behind the end of a resumable stream, where only extension messages may be. */
  readBehindEnd(): StreamEnding | undefined {
    for (let message = this.#reader.next(); message !== undefined; message = this.#reader.next()) {
      if (message instanceof CodecError) return bad(message.message);
      if (!isExtensionType(message.type)) return disorder("more than extension messages follow the StreamClose");
      const problem = this.#options.onExtension?.(message);
      if (problem !== undefined) return problem;
    }
    return (this.#reader.pending?.payloadLength ?? 0) > MAX_STREAM_PAYLOAD ? tooLarge() : undefined;
  }

  /** The transport stream has ended. */
  finish(): StreamEnding {
    return this.#ending ?? this.#end(disorder("the stream ended without a StreamClose"));
  }

  #end(ending: StreamEnding): StreamEnding {
    this.#piece = undefined;
    return this.#ending = ending;
  }

  #take(message: MessageView): Uint8Array | StreamEnding {
    const mayBePacked = this.unpacker !== undefined && message.type !== MessageType.ERROR;
    if ((message.flags & PACKED) !== 0 && !mayBePacked) {
      const text = "compressed and encrypted streams are not supported here";
      return { kind: "violation", code: ErrorCode.UNSUPPORTED_TYPE, text };
    }
    switch (message.type) {
      case MessageType.STREAM_CHUNK:
        return this.#takeChunk(message);
      case MessageType.STREAM_CLOSE:
        return this.#takeClose(message);
      case MessageType.ERROR: {
        if (!this.#options.mayRefuse || this.#expected > 0) break;
        const error = decodeError(message.bytes, message.payloadStart, message.payloadEnd);
        return error instanceof CodecError ? bad(error.message) : { kind: "refused", ...error };
      }
    }
    return disorder(`a ${messageTypeName(message.type)} message inside a stream`);
  }

  #takeChunk(message: MessageView): Uint8Array | StreamEnding {
    const { bytes } = message;
    const chunk = decodeStreamChunk(bytes, message.payloadStart, message.payloadEnd);
    if (chunk instanceof CodecError) return bad(chunk.message);
    if (!this.#options.mayChunk) return disorder("a chunk against the direction of a unidirectional stream");
    if (!isSame(this.#streamId, bytes, chunk.start)) return disorder("a chunk of another stream");
    if (chunk.sequence !== this.#expected) {
      return disorder(`chunk ${chunk.sequence} came where chunk ${this.#expected} was expected`);
    }
    if (this.unpacker !== undefined) {
      const data = this.unpacker.unpack(message.type, message.flags & PACKED, chunk.data, MAX_CHUNK_BYTES);
      if (!(data instanceof Uint8Array)) return { kind: "violation", ...data };
      if (data.length > MAX_CHUNK_BYTES) return tooLarge();
      this.hasExpanded = (message.flags & MessageFlag.COMPRESSED) !== 0;
      this.#expected++;
      return (message.flags & PACKED) !== 0 || bytes === this.#piece ? data : data.slice();
    }
    this.#expected++;
    // A message that came in pieces lies in the reader's own buffer, which is used again.
    return bytes === this.#piece ? chunk.data : chunk.data.slice();
  }

  #takeClose(message: MessageView): StreamEnding {
    const payload = this.#unpackClose(message);
    if (!(payload instanceof Uint8Array)) return payload;
    const close = decodeStreamClose(payload, 0, payload.length);
    if (close instanceof CodecError) return bad(close.message);
    if (!bytesEqual(close.streamId, this.#streamId)) return disorder("a StreamClose of another stream");
    if ((message.flags & MessageFlag.FINAL) === 0) return disorder("a StreamClose without FINAL");
    const mayGoOn = this.#options.onExtension !== undefined;
    if (!mayGoOn && (this.#reader.next() !== undefined || this.#reader.finish() !== undefined)) {
      return disorder("more bytes follow the StreamClose");
    }
    return { kind: "closed", code: close.code, reason: close.reason };
  }

  /** The payload of a StreamClose as it was before it was packed; how the stream ends where that cannot be. */
  #unpackClose(message: MessageView): Uint8Array | StreamEnding {
    const { payload } = message;
    const packed = message.flags & PACKED;
    const { unpacker } = this;
    if (unpacker === undefined || (packed === 0 && !unpacker.isSealed)) return payload;
    if (packed === 0 && this.#options.mayRefuse) {
      // A node on the way may end a stream, too; a good end has to come from the agent.
      const close = decodeStreamClose(payload, 0, payload.length);
      if (close instanceof CodecError) return bad(close.message);
      if (close.code !== ErrorCode.UNSPECIFIED) {
        return { kind: "refused", code: close.code, retryable: false, text: close.reason };
      }
    }
    if (payload.length < UUID_BYTES) return bad("a StreamClose without a stream id");
    const data = unpacker.unpack(message.type, packed, payload.subarray(UUID_BYTES), MAX_CHUNK_BYTES);
    return data instanceof Uint8Array
      ? concatBytes(payload.subarray(0, UUID_BYTES), data)
      : { kind: "violation", ...data };
  }
}

/** Packed data may be a little larger than it is. */
function maxPayload({ flags }: { readonly flags: number }): number {
  return (flags & PACKED) === 0 ? MAX_STREAM_PAYLOAD : MAX_STREAM_PAYLOAD + PACKING_BYTES;
}

function isSame(id: Uint8Array, bytes: Uint8Array, at: number): boolean {
  let difference = 0;
  for (let i = 0; i < id.length; i++) difference |= id[i] ^ bytes[at + i];
  return difference === 0;
}

/** The ending for a message that has no business where it is. */
export function disorder(text: string): StreamEnding {
  return { kind: "violation", code: ErrorCode.STREAM_PROTOCOL, text };
}

/** The ending for a message that does not decode. */
export function bad(text: string): StreamEnding {
  return { kind: "violation", code: ErrorCode.BAD_REQUEST, text };
}

/** The ending for a message that is larger than any of a stream. */
export function tooLarge(): StreamEnding {
  const text = `a chunk holds more than ${MAX_CHUNK_BYTES} bytes`;
  return { kind: "violation", code: ErrorCode.PAYLOAD_TOO_LARGE, text };
}
