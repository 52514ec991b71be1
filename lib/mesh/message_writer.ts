/**
 * Memory and headers for messages that are to be sent: each message lies whole in one piece of memory that the transport
 * can keep until it is acknowledged.
 *
 * @module
 */

import { type MessageCodec, messageLength } from "../codec/message.ts";
import { MESSAGE_HEADER_BYTES } from "../codec/message_header.ts";
import { MessageType } from "../codec/message_type.ts";
import { encodeMetadata, type Metadata, sizeOfMetadata } from "../codec/payloads/metadata.ts";

/**
 * Small messages share memory, because a buffer of their own costs more than all the rest of the encoding. A slab lives
 * until the last message in it is acknowledged.
 */
const SLAB_BYTES = 65_536;
/** Larger messages get a buffer of their own. */
const MAX_SHARED_BYTES = 8_192;
/** Longest text of an Error or StreamClose; longer ones are cut. */
const MAX_TEXT = 1_024;

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

/** What writers of messages share. One for a driver; knows no connection. */
export class MessageWriter {
  readonly codec: MessageCodec;
  readonly #header: Header = { type: 0, flags: 0, idLow: 0, idHigh: 0, traceLow: 0, traceHigh: 0 };
  #slab = new Uint8Array(0);
  #at = 0;

  constructor(codec: MessageCodec) {
    this.codec = codec;
  }

  /** Room for whole messages of so many bytes altogether. */
  allocate(length: number): Uint8Array {
    if (length > MAX_SHARED_BYTES) return new Uint8Array(length);
    if (this.#at + length > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#at = 0;
    }
    const at = this.#at;
    this.#at = at + length;
    return this.#slab.subarray(at, at + length);
  }

  /** Completes the message at `at`, whose payload was written up to `payloadEnd`. */
  seal(out: Uint8Array, at: number, type: number, flags: number, ids: MessageIds, payloadEnd: number): void {
    const header = this.#header;
    header.type = type;
    header.flags = flags;
    header.idLow = ids.idLow;
    header.idHigh = ids.idHigh;
    header.traceLow = ids.traceLow;
    header.traceHigh = ids.traceHigh;
    this.codec.seal(out, at, header, payloadEnd);
  }

  /** A message with this payload, which is copied. @throws RangeError for a type or flags that no receiver would accept. */
  message(type: number, flags: number, ids: MessageIds, payload: Uint8Array): Uint8Array {
    const out = this.allocate(messageLength(payload.length));
    out.set(payload, MESSAGE_HEADER_BYTES);
    this.seal(out, 0, type, flags, ids, MESSAGE_HEADER_BYTES + payload.length);
    return out;
  }

  /** How long a Metadata message is; 0 if there is none. */
  metadataLength(metadata: Metadata | undefined): number {
    return metadata === undefined ? 0 : messageLength(sizeOfMetadata(metadata));
  }

  /** Writes a Metadata message to the beginning of `out`. @throws RangeError for a field out of bounds. */
  metadata(out: Uint8Array, ids: MessageIds, metadata: Metadata): void {
    const end = encodeMetadata(out, MESSAGE_HEADER_BYTES, metadata);
    this.seal(out, 0, MessageType.METADATA, 0, ids, end);
  }
}

/** At most {@link MAX_TEXT} characters, none of them half of a pair. */
export function cutText(text: string): string {
  const short = text.length > MAX_TEXT ? text.slice(0, MAX_TEXT - 1) + "…" : text;
  return short.toWellFormed();
}
