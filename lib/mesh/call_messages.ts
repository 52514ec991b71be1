/**
 * Writes the messages of calls, each whole into one piece of memory that the transport can keep until it is
 * acknowledged.
 *
 * @module
 */

import { ErrorCode } from "../codec/error_codes.ts";
import { type MessageCodec, messageLength } from "../codec/message.ts";
import { MAX_PAYLOAD_BYTES, MESSAGE_HEADER_BYTES } from "../codec/message_header.ts";
import { MessageType } from "../codec/message_type.ts";
import { CALL_PREFIX_BYTES, encodeCallPrefix } from "../codec/payloads/call.ts";
import { encodeError, sizeOfError } from "../codec/payloads/error.ts";
import { encodeMetadata, type Metadata, sizeOfMetadata } from "../codec/payloads/metadata.ts";

/** Most bytes of data of a call, 16 MiB: what does not fit beside the Call's own fields goes ahead in Metadata. */
export const MAX_CALL_DATA_BYTES: number = MAX_PAYLOAD_BYTES;
/**
 * Small messages share memory, because a buffer of their own costs more than all the rest of the encoding. A slab lives
 * until the last message in it is acknowledged.
 */
const SLAB_BYTES = 65_536;
/** Larger messages get a buffer of their own. */
const MAX_SHARED_BYTES = 8_192;
/** Longest text of an Error message; longer ones are cut. */
const MAX_ERROR_TEXT = 1_024;

/** Message and trace ids of what is to be written. */
export interface MessageIds {
  readonly idHigh: number;
  readonly idLow: number;
  readonly traceHigh: number;
  readonly traceLow: number;
}

/** The header that is being written; one object for all. */
interface Header {
  type: number;
  flags: number;
  idLow: number;
  idHigh: number;
  traceLow: number;
  traceHigh: number;
}

/** Writes messages. One for a driver; knows no connection. */
export class CallMessages {
  readonly codec: MessageCodec;
  readonly #header: Header = { type: 0, flags: 0, idLow: 0, idHigh: 0, traceLow: 0, traceHigh: 0 };
  #slab = new Uint8Array(0);
  #at = 0;

  constructor(codec: MessageCodec) {
    this.codec = codec;
  }

  /**
   * A Call, with a Metadata message in front if there is anything for it.
   *
   * @throws RangeError if the data is over {@link MAX_CALL_DATA_BYTES}, or a field of the metadata is out of bounds.
   */
  call(
    ids: MessageIds,
    metadata: Metadata | undefined,
    target: Uint8Array,
    timeoutSeconds: number,
    data: Uint8Array,
  ): Uint8Array {
    if (data.length > MAX_CALL_DATA_BYTES) {
      throw new RangeError(`a Call holds ${MAX_CALL_DATA_BYTES} bytes, not ${data.length}`);
    }
    const excess = data.length - (MAX_PAYLOAD_BYTES - CALL_PREFIX_BYTES);
    if (excess > 0) {
      metadata = { ...metadata, head: data.subarray(0, excess) };
      data = data.subarray(excess);
    }
    const metadataLength = metadata === undefined ? 0 : messageLength(sizeOfMetadata(metadata));
    const length = metadataLength + messageLength(CALL_PREFIX_BYTES + data.length);
    const out = this.#allocate(length);
    if (metadata !== undefined) {
      const end = encodeMetadata(out, MESSAGE_HEADER_BYTES, metadata);
      this.codec.seal(out, 0, this.#headerOf(MessageType.METADATA, ids), end);
    }
    const dataAt = encodeCallPrefix(out, metadataLength + MESSAGE_HEADER_BYTES, target, timeoutSeconds);
    if (data.length > 0) out.set(data, dataAt);
    this.codec.seal(out, metadataLength, this.#headerOf(MessageType.CALL, ids), dataAt + data.length);
    return out;
  }

  /** A Response to the message with these ids. @throws RangeError if it is over 16 MiB. */
  response(ids: MessageIds, data: Uint8Array): Uint8Array {
    if (data.length > MAX_PAYLOAD_BYTES) {
      throw new RangeError(`a Response holds ${MAX_PAYLOAD_BYTES} bytes, not ${data.length}`);
    }
    const out = this.#allocate(messageLength(data.length));
    if (data.length > 0) out.set(data, MESSAGE_HEADER_BYTES);
    this.codec.seal(out, 0, this.#headerOf(MessageType.RESPONSE, ids), MESSAGE_HEADER_BYTES + data.length);
    return out;
  }

  /** An Error in answer to the message with these ids. Long texts are cut. */
  error(ids: MessageIds, code: number, retryable: boolean, text: string): Uint8Array {
    const error = { code: code & 0xffff || ErrorCode.UNSPECIFIED, retryable, text: cut(text) };
    const out = this.#allocate(messageLength(sizeOfError(error)));
    const end = encodeError(out, MESSAGE_HEADER_BYTES, error);
    this.codec.seal(out, 0, this.#headerOf(MessageType.ERROR, ids), end);
    return out;
  }

  #headerOf(type: number, ids: MessageIds): Header {
    const header = this.#header;
    header.type = type;
    header.idLow = ids.idLow;
    header.idHigh = ids.idHigh;
    header.traceLow = ids.traceLow;
    header.traceHigh = ids.traceHigh;
    return header;
  }

  #allocate(length: number): Uint8Array {
    if (length > MAX_SHARED_BYTES) return new Uint8Array(length);
    if (this.#at + length > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#at = 0;
    }
    const at = this.#at;
    this.#at = at + length;
    return this.#slab.subarray(at, at + length);
  }
}

/** At most {@link MAX_ERROR_TEXT} characters, none of them half of a pair. */
function cut(text: string): string {
  const short = text.length > MAX_ERROR_TEXT ? text.slice(0, MAX_ERROR_TEXT - 1) + "…" : text;
  return short.toWellFormed();
}
