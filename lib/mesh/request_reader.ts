/**
 * What a peer sends on a stream that it opens: [Metadata] Call, and the end (SPEC §8).
 *
 * @module
 */

import { isNilUuid, nilUuid, UUID_BYTES } from "../base/uuid.ts";
import { concatBytes, readU32 } from "../base/bytes.ts";
import { CodecError } from "../codec/codec_error.ts";
import { ErrorCode } from "../codec/error_codes.ts";
import type { MessageCodec, MessageView } from "../codec/message.ts";
import { MessageFlag, type MessageHeader } from "../codec/message_header.ts";
import { MessageReader } from "../codec/message_reader.ts";
import { isExtensionType, MessageType, messageTypeName } from "../codec/message_type.ts";
import { CALL_PREFIX_BYTES } from "../codec/payloads/call.ts";
import { decodeMetadata, type Metadata } from "../codec/payloads/metadata.ts";

/** Extension messages that may precede a Call. */
const MAX_EXTENSIONS = 8;
/** Largest payload of each of them. */
const MAX_EXTENSION_BYTES = 65_536;
const UNREADABLE = MessageFlag.COMPRESSED | MessageFlag.ENCRYPTED;
/** The target of nearly all calls, once for all of them. Read only. */
const NODE: Uint8Array = nilUuid();

/** What the Metadata message said. */
export interface CallDetails extends Metadata {
  /** The application's keys and values; of a repeated key the last value. */
  readonly values: Readonly<Record<string, string>>;
}

/** For calls without Metadata. */
export const NO_DETAILS: CallDetails = Object.freeze({ values: Object.freeze({}) });

/** What reading a request fills in. */
export interface RequestTarget {
  idHigh: number;
  idLow: number;
  traceHigh: number;
  traceLow: number;
  /** 16 bytes; nil for the node itself. */
  target: Uint8Array;
  /** Whole seconds; 0 = the caller does not say. */
  timeoutSeconds: number;
  details: CallDetails;
}

/** Why a request was turned away: what its Error says. */
export interface RequestProblem {
  readonly code: number;
  readonly retryable: boolean;
  readonly text: string;
}

/**
 * Reads a request that lies whole in its first chunk, as nearly all do. Fills in the target and gives the Call's data;
 * undefined if more is to come, for {@link RequestReader} to collect.
 */
export function readRequest(
  codec: MessageCodec,
  chunk: Uint8Array,
  into: RequestTarget,
  maxPayload: number,
): Uint8Array | RequestProblem | undefined {
  const message = codec.decode(chunk, 0, chunk.length, maxPayload);
  if (message instanceof CodecError) {
    return message.code === "short_buffer" ? undefined : problemOf(message, maxPayload);
  }
  if (isExtensionType(message.type)) return undefined;
  if (message.end !== chunk.length) return surplus(message, into);
  return readCall(message, into);
}

/** Reads a request that arrives in pieces, or with other messages in front. */
export class RequestReader {
  readonly #reader: MessageReader;
  readonly #reserve: (bytes: number) => boolean;
  readonly #into: RequestTarget;
  readonly #maxPayload: number;
  #extensions = 0;
  /** Payload bytes of the unfinished message that were agreed to. */
  #reserved = 0;

  /**
   * @param reserve is asked for the payload of a message that does not come in one piece, as soon as its header is
   * there.
   */
  constructor(codec: MessageCodec, into: RequestTarget, maxPayload: number, reserve: (bytes: number) => boolean) {
    this.#reader = new MessageReader(codec, { maxPayload });
    this.#reserve = reserve;
    this.#into = into;
    this.#maxPayload = maxPayload;
  }

  /** Takes the next bytes; gives the Call's data once it is complete, a problem as soon as there is one. */
  push(chunk: Uint8Array): Uint8Array | RequestProblem | undefined {
    this.#reader.push(chunk);
    for (;;) {
      const message = this.#reader.next();
      if (message === undefined) return this.#checkPending();
      if (message instanceof CodecError) return problemOf(message, this.#maxPayload);
      if (!isExtensionType(message.type)) {
        const isLast = this.#reader.finish() === undefined;
        return isLast ? readCall(message, this.#into) : surplus(message, this.#into);
      }
      const problem = this.#onExtension(message);
      if (problem !== undefined) return problem;
    }
  }

  /** Whether the message under way may take the room that it asks for. */
  #checkPending(): RequestProblem | undefined {
    const header = this.#reader.pending;
    if (header === undefined || this.#reserved > 0) return undefined;
    const { payloadLength } = header;
    if (payloadLength > MAX_EXTENSION_BYTES && isExtensionType(header.type)) return largeExtension();
    this.#reserved = Math.max(1, payloadLength);
    if (this.#reserve(payloadLength)) return undefined;
    takeIds(header, this.#into);
    return { code: ErrorCode.OVERLOADED, retryable: true, text: "no memory for a request of this size now" };
  }

  #onExtension(message: MessageView): RequestProblem | undefined {
    this.#reserved = 0;
    if (++this.#extensions > MAX_EXTENSIONS) return bad("too many messages before the Call");
    if (message.payloadLength > MAX_EXTENSION_BYTES) return largeExtension();
    if (message.type !== MessageType.METADATA) return undefined;
    takeIds(message, this.#into);
    if ((message.flags & UNREADABLE) !== 0) return unreadable();
    if (this.#into.details !== NO_DETAILS) return bad("two Metadata messages");
    const metadata = decodeMetadata(message.bytes, message.payloadStart, message.payloadEnd);
    if (metadata instanceof CodecError) return bad(metadata.message);
    // No prototype: a peer chooses the keys.
    const values: Record<string, string> = Object.create(null);
    for (const [key, value] of metadata.application ?? []) values[key] = value;
    this.#into.details = { ...metadata, values };
    return undefined;
  }
}

function readCall(message: MessageView, into: RequestTarget): Uint8Array | RequestProblem {
  const isOthers = into.details !== NO_DETAILS && (message.idLow !== into.idLow || message.idHigh !== into.idHigh);
  takeIds(message, into);
  if (isOthers) return bad("the Metadata message belongs to another message");
  if (message.type !== MessageType.CALL) {
    const text = `${messageTypeName(message.type)} messages are not supported here`;
    return { code: ErrorCode.UNSUPPORTED_TYPE, retryable: false, text };
  }
  if ((message.flags & UNREADABLE) !== 0) return unreadable();
  const { bytes, payloadStart: at, payloadEnd: end } = message;
  if (end - at < CALL_PREFIX_BYTES) return bad(`a Call has at least ${CALL_PREFIX_BYTES} bytes, got ${end - at}`);
  into.target = isNilUuid(bytes, at) ? NODE : bytes.subarray(at, at + UUID_BYTES);
  into.timeoutSeconds = readU32(bytes, at + UUID_BYTES);
  const data = bytes.subarray(at + CALL_PREFIX_BYTES, end);
  const { head } = into.details;
  return head === undefined ? data : concatBytes(head, data);
}

function takeIds(message: MessageHeader, into: RequestTarget): void {
  into.idHigh = message.idHigh;
  into.idLow = message.idLow;
  into.traceHigh = message.traceHigh;
  into.traceLow = message.traceLow;
}

function surplus(message: MessageView, into: RequestTarget): RequestProblem {
  takeIds(message, into);
  return bad("more bytes follow the request");
}

function bad(text: string): RequestProblem {
  return { code: ErrorCode.BAD_REQUEST, retryable: false, text };
}

function unreadable(): RequestProblem {
  return {
    code: ErrorCode.UNSUPPORTED_TYPE,
    retryable: false,
    text: "compressed and encrypted calls are not supported here",
  };
}

function problemOf(error: CodecError, maxPayload: number): RequestProblem {
  if (error.code !== "payload_too_large") return bad(error.message);
  return {
    code: ErrorCode.PAYLOAD_TOO_LARGE,
    retryable: false,
    text: `the request is larger than ${maxPayload - CALL_PREFIX_BYTES} bytes`,
  };
}

function largeExtension(): RequestProblem {
  const text = `metadata is larger than ${MAX_EXTENSION_BYTES} bytes`;
  return { code: ErrorCode.PAYLOAD_TOO_LARGE, retryable: false, text };
}
