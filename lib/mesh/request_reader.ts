/**
 * What a peer sends on a stream that it opens: [Metadata] and a Call, an Event, a StreamOpen, or one of the messages about
 * agents (SPEC §8).
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
import { decodePublisher } from "../codec/payloads/delivery.ts";
import { decodeEvent } from "../codec/payloads/event.ts";
import { decodeMetadata, type Metadata } from "../codec/payloads/metadata.ts";
import { decodeStreamOpen, type StreamOpen } from "../codec/payloads/stream_open.ts";
import { topicProblem } from "./topics.ts";

/** Extension messages that may precede a request. */
const MAX_EXTENSIONS = 8;
/** Largest payload of all of them together: those that are not known are kept, for whoever passes the request on. */
const MAX_EXTENSION_BYTES = 65_536;
/** Largest payload of a StreamOpen: whoever passes the stream on keeps it, what is not known of it included. */
const MAX_STREAM_OPEN_BYTES = 131_072;
const PACKED = MessageFlag.COMPRESSED | MessageFlag.ENCRYPTED;
/** The target of nearly all calls, once for all of them. Read only. */
const NODE: Uint8Array = nilUuid();

/** What the Metadata message said. */
export interface CallDetails extends Metadata {
  /** The application's keys and values; of a repeated key the last value. */
  readonly values: Readonly<Record<string, string>>;
}

/** For calls without Metadata. */
export const NO_DETAILS: CallDetails = Object.freeze({ values: Object.freeze({}) });

/** What agents say to a registry, and what is asked of it. */
export type LifecycleKind = "register" | "heartbeat" | "deregister" | "discover";
/** What is asked of the node itself: its registry, or to be told of events. */
export type NodeRequestKind = LifecycleKind | "subscribe";

/** A message of a type that is not known here, as it came. */
export interface ExtensionMessage {
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

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
  /** What came in front of it beside Metadata. */
  extensions: readonly ExtensionMessage[];
  /** What an Event is about; undefined for everything else. */
  topic: string | undefined;
  /** Who an Event is from, as whoever passed it on says: 32 bytes. */
  publisher: Uint8Array | undefined;
  /** What is wanted of the node; undefined for everything else. */
  lifecycle: NodeRequestKind | undefined;
  /** The flags COMPRESSED and ENCRYPTED of a Call or Event: how its data has to be unpacked before a handler sees it. */
  packed: number;
  /** Whether the other side waits for an answer: false where there is no way back. */
  readonly isAnswered: boolean;
}

/** A StreamOpen: what follows it is for whoever takes the stream over. */
export class StreamStart {
  readonly open: StreamOpen;
  /** The payload as it came, for whoever passes it on: a copy. */
  readonly payload: Uint8Array;
  readonly flags: number;
  /** Holds what has arrived behind it. */
  readonly reader: MessageReader;

  constructor(open: StreamOpen, message: MessageView, reader: MessageReader) {
    this.open = open;
    this.payload = message.payload.slice();
    this.flags = message.flags;
    this.reader = reader;
  }
}

/** Why a request was turned away: what its Error says. */
export interface RequestProblem {
  readonly code: number;
  readonly retryable: boolean;
  readonly text: string;
}

/**
 * Reads a request that lies whole in its first chunk, as nearly all do. Fills in the target and gives the data of the Call
 * or Event, or the payload of whatever else it is; undefined if there is more to it, for {@link RequestReader} to collect.
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
  if (isInFront(message.type) || message.type === MessageType.STREAM_OPEN) return undefined;
  if (message.end !== chunk.length) return surplus(message, into);
  return readBody(message, into);
}

/** Reads a request that arrives in pieces, or with other messages in front. */
export class RequestReader {
  readonly #reader: MessageReader;
  readonly #reserve: (bytes: number) => boolean;
  readonly #into: RequestTarget;
  readonly #maxPayload: number;
  #extensions = 0;
  #extensionBytes = 0;
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

  /**
   * Takes the next bytes; gives the data of the Call or Event once it is complete, the beginning of a stream, or a problem
   * as soon as there is one.
   */
  push(chunk: Uint8Array): Uint8Array | StreamStart | RequestProblem | undefined {
    this.#reader.push(chunk);
    for (;;) {
      const message = this.#reader.next();
      if (message === undefined) return this.#checkPending();
      if (message instanceof CodecError) return problemOf(message, this.#maxPayload);
      if (!isInFront(message.type)) {
        if (message.type === MessageType.STREAM_OPEN) return readOpen(message, this.#reader, this.#into);
        const isLast = this.#reader.finish() === undefined;
        return isLast ? readBody(message, this.#into) : surplus(message, this.#into);
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
    if (isExtensionType(header.type) && this.#extensionBytes + payloadLength > MAX_EXTENSION_BYTES) {
      return largeExtension();
    }
    if (header.type === MessageType.STREAM_OPEN && payloadLength > MAX_STREAM_OPEN_BYTES) {
      takeIds(header, this.#into);
      return largeOpen();
    }
    this.#reserved = Math.max(1, payloadLength);
    if (this.#reserve(payloadLength)) return undefined;
    takeIds(header, this.#into);
    return { code: ErrorCode.OVERLOADED, retryable: true, text: "no memory for a request of this size now" };
  }

  #onExtension(message: MessageView): RequestProblem | undefined {
    this.#reserved = 0;
    if (++this.#extensions > MAX_EXTENSIONS) return bad("too many messages before the Call");
    this.#extensionBytes += message.payloadLength;
    if (this.#extensionBytes > MAX_EXTENSION_BYTES) return largeExtension();
    if (message.type === MessageType.PUBLISHER) return readPublisher(message, this.#into);
    if (message.type !== MessageType.METADATA) {
      const { type, flags } = message;
      this.#into.extensions = [...this.#into.extensions, { type, flags, payload: message.payload.slice() }];
      return undefined;
    }
    takeIds(message, this.#into);
    if ((message.flags & PACKED) !== 0) return unreadable(message);
    if (this.#into.details !== NO_DETAILS) return bad("two Metadata messages");
    const metadata = decodeMetadata(message.bytes, message.payloadStart, message.payloadEnd);
    if (metadata instanceof CodecError) return bad(metadata.message);
    // No prototype: a peer chooses the keys.
    const values: Record<string, string> = Object.create(null);
    for (const [key, value] of metadata.application ?? []) values[key] = value;
    this.#into.details = withoutEmptyKey({ ...metadata, values });
    return undefined;
  }
}

/** An idempotency key of no characters is none: requests that say nothing of themselves are not all the same one. */
export function withoutEmptyKey(details: CallDetails): CallDetails {
  if (details.idempotencyKey !== "") return details;
  const { idempotencyKey: _, ...rest } = details;
  return rest;
}

/** Whether a message only says something about the one that follows. */
function isInFront(type: number): boolean {
  return isExtensionType(type) && type !== MessageType.SUBSCRIBE;
}

/** The ids are taken; a problem if the message cannot be what it says, whatever its type. */
function takeHead(message: MessageView, into: RequestTarget): RequestProblem | undefined {
  const isOthers = into.details !== NO_DETAILS && (message.idLow !== into.idLow || message.idHigh !== into.idHigh);
  takeIds(message, into);
  if (isOthers) return bad("the Metadata message belongs to another message");
  into.packed = message.flags & PACKED;
  const mayBePacked = message.type === MessageType.CALL || message.type === MessageType.EVENT;
  return into.packed !== 0 && !mayBePacked ? unreadable(message) : undefined;
}

function readBody(message: MessageView, into: RequestTarget): Uint8Array | RequestProblem {
  const problem = takeHead(message, into);
  if (problem !== undefined) return problem;
  if (message.type === MessageType.EVENT) return readEvent(message, into);
  into.lifecycle = into.isAnswered ? lifecycleOf(message) : undefined;
  if (into.lifecycle !== undefined) {
    into.target = NODE;
    return message.payload;
  }
  if (message.type !== MessageType.CALL || !into.isAnswered) {
    const text = `${messageTypeName(message.type)} messages are not supported here`;
    return { code: ErrorCode.UNSUPPORTED_TYPE, retryable: false, text };
  }
  const { bytes, payloadStart: at, payloadEnd: end } = message;
  if (end - at < CALL_PREFIX_BYTES) return bad(`a Call has at least ${CALL_PREFIX_BYTES} bytes, got ${end - at}`);
  into.target = isNilUuid(bytes, at) ? NODE : bytes.subarray(at, at + UUID_BYTES);
  into.timeoutSeconds = readU32(bytes, at + UUID_BYTES);
  const data = bytes.subarray(at + CALL_PREFIX_BYTES, end);
  const { head } = into.details;
  return head === undefined ? data : concatBytes(head, data);
}

function lifecycleOf({ type, flags }: MessageHeader): NodeRequestKind | undefined {
  switch (type) {
    case MessageType.AGENT_REGISTER:
      return "register";
    case MessageType.AGENT_DISCOVER:
      return "discover";
    case MessageType.SUBSCRIBE:
      return "subscribe";
    case MessageType.AGENT_HEARTBEAT:
      return (flags & MessageFlag.FINAL) === 0 ? "heartbeat" : "deregister";
    default:
      return undefined;
  }
}

function readEvent(message: MessageView, into: RequestTarget): Uint8Array | RequestProblem {
  const requiresAck = (message.flags & MessageFlag.REQUIRES_ACK) !== 0;
  // SPEC §8.7: the carrier says whether there is an answer, and the flag has to agree.
  if (requiresAck !== into.isAnswered) {
    return bad(requiresAck ? "an Event that requires an Ack needs a way back" : "an Event without REQUIRES_ACK here");
  }
  const event = decodeEvent(message.bytes, message.payloadStart, message.payloadEnd);
  if (event instanceof CodecError) return bad(event.message);
  const problem = topicProblem(event.topic);
  if (problem !== undefined) return { code: ErrorCode.BAD_TOPIC, retryable: false, text: `the topic ${problem}` };
  into.topic = event.topic;
  const { target } = into.details;
  into.target = target === undefined || isNilUuid(target) ? NODE : target;
  return event.data;
}

function readPublisher(message: MessageView, into: RequestTarget): RequestProblem | undefined {
  if (into.publisher !== undefined) return bad("two Publisher messages");
  const publisher = decodePublisher(message.bytes, message.payloadStart, message.payloadEnd);
  if (publisher instanceof CodecError) return bad(publisher.message);
  into.publisher = publisher.publicKey;
  return undefined;
}

function readOpen(message: MessageView, reader: MessageReader, into: RequestTarget): StreamStart | RequestProblem {
  const problem = takeHead(message, into);
  if (problem !== undefined) return problem;
  if (!into.isAnswered) return bad("an agent stream on a one-way stream");
  if (message.payloadLength > MAX_STREAM_OPEN_BYTES) return largeOpen();
  const open = decodeStreamOpen(message.bytes, message.payloadStart, message.payloadEnd);
  if (open instanceof CodecError) return bad(open.message);
  into.target = isNilUuid(open.target) ? NODE : open.target;
  return new StreamStart(open, message, reader);
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

function unreadable({ type }: MessageHeader): RequestProblem {
  const text = `a ${messageTypeName(type)} message is never compressed or encrypted`;
  return { code: ErrorCode.UNSUPPORTED_TYPE, retryable: false, text };
}

function problemOf(error: CodecError, maxPayload: number): RequestProblem {
  if (error.code !== "payload_too_large") return bad(error.message);
  return {
    code: ErrorCode.PAYLOAD_TOO_LARGE,
    retryable: false,
    text: `the request is larger than ${maxPayload - CALL_PREFIX_BYTES} bytes`,
  };
}

function largeOpen(): RequestProblem {
  const text = `a StreamOpen is larger than ${MAX_STREAM_OPEN_BYTES} bytes`;
  return { code: ErrorCode.PAYLOAD_TOO_LARGE, retryable: false, text };
}

function largeExtension(): RequestProblem {
  const text = `metadata and the like are larger than ${MAX_EXTENSION_BYTES} bytes`;
  return { code: ErrorCode.PAYLOAD_TOO_LARGE, retryable: false, text };
}
