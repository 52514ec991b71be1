/**
 * Writes the messages of calls.
 *
 * @module
 */

import { ErrorCode } from "../codec/error_codes.ts";
import { type MessageCodec, messageLength } from "../codec/message.ts";
import { MAX_PAYLOAD_BYTES, MESSAGE_HEADER_BYTES } from "../codec/message_header.ts";
import { MessageType } from "../codec/message_type.ts";
import { CALL_PREFIX_BYTES, encodeCallPrefix } from "../codec/payloads/call.ts";
import { encodeError, sizeOfError } from "../codec/payloads/error.ts";
import type { Metadata } from "../codec/payloads/metadata.ts";
import { cutText, type MessageIds, MessageWriter } from "./message_writer.ts";

/** Most bytes of data of a call, 16 MiB: what does not fit beside the Call's own fields goes ahead in Metadata. */
export const MAX_CALL_DATA_BYTES: number = MAX_PAYLOAD_BYTES;
/** Writes messages. One for a driver; knows no connection. */
export class CallMessages {
  /** Shared with whoever writes other messages for the same driver. */
  readonly writer: MessageWriter;

  constructor(codec: MessageCodec) {
    this.writer = new MessageWriter(codec);
  }

  /** Encodes and decodes. */
  get codec(): MessageCodec {
    return this.writer.codec;
  }

  /**
   * A Call, with a Metadata message in front if there is anything for it.
   *
   * @param flags COMPRESSED and ENCRYPTED, if the data is.
   * @throws RangeError if the data is over {@link MAX_CALL_DATA_BYTES}, or a field of the metadata is out of bounds.
   */
  call(
    ids: MessageIds,
    metadata: Metadata | undefined,
    target: Uint8Array,
    timeoutSeconds: number,
    data: Uint8Array,
    flags = 0,
  ): Uint8Array {
    if (data.length > MAX_CALL_DATA_BYTES) {
      throw new RangeError(`a Call holds ${MAX_CALL_DATA_BYTES} bytes, not ${data.length}`);
    }
    const excess = data.length - (MAX_PAYLOAD_BYTES - CALL_PREFIX_BYTES);
    if (excess > 0) {
      metadata = { ...metadata, head: data.subarray(0, excess) };
      data = data.subarray(excess);
    }
    const { writer } = this;
    const at = writer.metadataLength(metadata);
    const out = writer.allocate(at + messageLength(CALL_PREFIX_BYTES + data.length));
    if (metadata !== undefined) writer.metadata(out, ids, metadata);
    const dataAt = encodeCallPrefix(out, at + MESSAGE_HEADER_BYTES, target, timeoutSeconds);
    if (data.length > 0) out.set(data, dataAt);
    writer.seal(out, at, MessageType.CALL, flags, ids, dataAt + data.length);
    return out;
  }

  /** A Response to the message with these ids; `flags` as for a Call. @throws RangeError if it is over 16 MiB. */
  response(ids: MessageIds, data: Uint8Array, flags = 0): Uint8Array {
    if (data.length > MAX_PAYLOAD_BYTES) {
      throw new RangeError(`a Response holds ${MAX_PAYLOAD_BYTES} bytes, not ${data.length}`);
    }
    const out = this.writer.allocate(messageLength(data.length));
    if (data.length > 0) out.set(data, MESSAGE_HEADER_BYTES);
    this.writer.seal(out, 0, MessageType.RESPONSE, flags, ids, MESSAGE_HEADER_BYTES + data.length);
    return out;
  }

  /** An Error in answer to the message with these ids. Long texts are cut. */
  error(ids: MessageIds, code: number, retryable: boolean, text: string): Uint8Array {
    const error = { code: code & 0xffff || ErrorCode.UNSPECIFIED, retryable, text: cutText(text) };
    const out = this.writer.allocate(messageLength(sizeOfError(error)));
    const end = encodeError(out, MESSAGE_HEADER_BYTES, error);
    this.writer.seal(out, 0, MessageType.ERROR, 0, ids, end);
    return out;
  }
}
