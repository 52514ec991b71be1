/**
 * Metadata, extension type 0x80 (SPEC §2.5.15). It precedes a Call, Event or StreamOpen on the same transport stream and
 * applies to that message alone. All of it is TLVs; a peer that does not know it ignores it.
 *
 * @module
 */

import { concatBytes, readU32 } from "../../base/bytes.ts";
import { UUID_BYTES } from "../../base/uuid.ts";
import type { CodecError } from "../codec_error.ts";
import { PayloadReader, TlvReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";
import { isTraceparent } from "../traceparent.ts";
import { CALL_PREFIX_BYTES } from "./call.ts";

/** Longest head: as long as a Call's own fields. */
export const MAX_HEAD_BYTES: number = CALL_PREFIX_BYTES;
/** Bytes that stand for whoever made a call that was passed on. */
export const ORIGIN_BYTES = 16;
/** A number and a message id. */
const ATTEMPT_BYTES = 9;
/** The most application entries. */
export const MAX_APPLICATION_ENTRIES = 128;

/** How urgent a message is. Nothing in between: the transport has one class for each. */
export type Priority = "interactive" | "bulk";

/** About an attempt behind the first at the same call. */
export interface AttemptInfo {
  /** Counted from 1; 255 stands for all beyond, too. */
  readonly number: number;
  /** The message id of the first attempt, upper half; 0 in both where that was never sent. */
  readonly firstHigh: number;
  /** Its lower half. */
  readonly firstLow: number;
}

/** About the message that follows. */
export interface Metadata {
  /** What the agent is to do. */
  readonly method?: string;
  /** How long the sender waits from when it sent this, in milliseconds. */
  readonly deadlineMillis?: number;
  /** W3C trace context, 55 characters. */
  readonly traceparent?: string;
  /** MIME type of the data. */
  readonly contentType?: string;
  /** Two messages with the same key are one request. */
  readonly idempotencyKey?: string;
  /** Route to an agent that has this, instead of to the target in the payload, which is then the nil UUID. */
  readonly capability?: string;
  /** The application's own keys (at most 255 bytes as UTF-8) and values, in order; a key may repeat. */
  readonly application?: readonly (readonly [string, string])[];
  /** How often the message may still be passed on. */
  readonly hopLimit?: number;
  /**
   * The first bytes of the Call's data, at most {@link MAX_HEAD_BYTES}; the Call itself goes on behind them. Lets a call carry 16 MiB, although the
   * Call's own fields count against the largest payload.
   */
  readonly head?: Uint8Array;
  /** TLVs of types that this version does not know, back to back as they came: whoever passes the message on passes them on, too. */
  readonly unknown?: Uint8Array;
  /** The class in which it travels wherever it is passed on, and its answer back. Without it: what is usual for its kind. */
  readonly priority?: Priority;
  /** Of an Event: the agent that it is for, 16 bytes; without it, it is for the node and whoever has subscribed there. */
  readonly target?: Uint8Array;
  /** What the sender can make of an answer: {@link Accept}, ORed. */
  readonly accept?: number;
  /** Which attempt at the same call it is; absent for the first. */
  readonly attempt?: AttemptInfo;
  /** Written by whoever passes the call on: stands for the one who made it, {@link ORIGIN_BYTES} bytes. */
  readonly origin?: Uint8Array;
}

/** What a sender takes as an answer, besides what everybody does. Bits that are not listed are for later. */
export const Accept = {
  /** Compressed ones. */
  ZSTD: 0x01,
} as const;

const TLV = {
  METHOD: 0x01,
  DEADLINE: 0x02,
  TRACEPARENT: 0x03,
  CONTENT_TYPE: 0x04,
  IDEMPOTENCY_KEY: 0x05,
  CAPABILITY: 0x06,
  APPLICATION: 0x07,
  HOP_LIMIT: 0x08,
  HEAD: 0x09,
  TARGET: 0x0a,
  PRIORITY: 0x0b,
  ACCEPT: 0x0c,
  ATTEMPT: 0x0f,
  ORIGIN: 0x10,
} as const;

/** The same numbers as the classes of the transport. */
const PRIORITIES: Readonly<Record<Priority, number>> = { interactive: 1, bulk: 2 };

function layOut(writer: PayloadWriter, metadata: Metadata): void {
  const { traceparent, application = [], head, priority, target, attempt, origin } = metadata;
  if (traceparent !== undefined && !isTraceparent(traceparent)) {
    throw new RangeError(`not a traceparent: ${JSON.stringify(traceparent)}`);
  }
  if (application.length > MAX_APPLICATION_ENTRIES) {
    throw new RangeError(`${application.length} application entries, at most ${MAX_APPLICATION_ENTRIES} allowed`);
  }
  writer.tlvText(TLV.METHOD, metadata.method, "method");
  writer.tlvU32(TLV.DEADLINE, metadata.deadlineMillis, "deadline");
  writer.tlvText(TLV.TRACEPARENT, traceparent, "traceparent");
  writer.tlvText(TLV.CONTENT_TYPE, metadata.contentType, "content type");
  writer.tlvText(TLV.IDEMPOTENCY_KEY, metadata.idempotencyKey, "idempotency key");
  writer.tlvText(TLV.CAPABILITY, metadata.capability, "capability");
  for (const [key, value] of application) writer.tlvPair(TLV.APPLICATION, key, value, "application entry");
  writer.tlvU8(TLV.HOP_LIMIT, metadata.hopLimit, "hop limit");
  if (head !== undefined && (head.length < 1 || head.length > MAX_HEAD_BYTES)) {
    throw new RangeError(`the head has ${head.length} bytes, expected 1 to ${MAX_HEAD_BYTES}`);
  }
  writer.tlvBytes(TLV.HEAD, head, "head");
  if (target !== undefined && target.length !== UUID_BYTES) {
    throw new RangeError(`the target has ${target.length} bytes, expected ${UUID_BYTES}`);
  }
  writer.tlvBytes(TLV.TARGET, target, "target");
  writer.tlvU8(TLV.PRIORITY, priority === undefined ? undefined : PRIORITIES[priority], "priority");
  writer.tlvU8(TLV.ACCEPT, metadata.accept, "accept");
  if (attempt !== undefined) {
    writer.tlv(TLV.ATTEMPT, ATTEMPT_BYTES, "attempt");
    writer.u8(attempt.number, "attempt");
    writer.u32(attempt.firstLow, "first attempt");
    writer.u32(attempt.firstHigh, "first attempt");
  }
  if (origin !== undefined && origin.length !== ORIGIN_BYTES) {
    throw new RangeError(`the origin has ${origin.length} bytes, expected ${ORIGIN_BYTES}`);
  }
  writer.tlvBytes(TLV.ORIGIN, origin, "origin");
  if (metadata.unknown !== undefined) writer.bytes(metadata.unknown);
}

/** How many bytes it takes. */
export function sizeOfMetadata(metadata: Metadata): number {
  return measure(layOut, metadata);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 *
 * @example
 * ```ts
 * import { encodeMetadata, type Metadata, sizeOfMetadata } from "./metadata.ts";
 *
 * const metadata: Metadata = { method: "summarise", deadlineMillis: 1500, application: [["tenant", "a"]] };
 * const out = new Uint8Array(sizeOfMetadata(metadata));
 * encodeMetadata(out, 0, metadata);
 * ```
 */
export function encodeMetadata(out: Uint8Array, at: number, metadata: Metadata): number {
  return write(layOut, metadata, out, at);
}

/** Decodes `bytes[at, end)`. Everything is copied. */
export function decodeMetadata(bytes: Uint8Array, at = 0, end: number = bytes.length): Metadata | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const application: (readonly [string, string])[] = [];
  const unknown: Uint8Array[] = [];
  const metadata: { -readonly [K in keyof Metadata]: Metadata[K] } = { application };
  const tlvs = new TlvReader(reader);
  while (tlvs.next()) {
    switch (tlvs.type) {
      case TLV.METHOD:
        metadata.method = tlvs.text("method");
        break;
      case TLV.DEADLINE:
        metadata.deadlineMillis = tlvs.u32("deadline");
        break;
      case TLV.TRACEPARENT:
        metadata.traceparent = tlvs.text("traceparent");
        if (!isTraceparent(metadata.traceparent)) reader.fail("bad_value", "traceparent");
        break;
      case TLV.CONTENT_TYPE:
        metadata.contentType = tlvs.text("content type");
        break;
      case TLV.IDEMPOTENCY_KEY:
        metadata.idempotencyKey = tlvs.text("idempotency key");
        break;
      case TLV.CAPABILITY:
        metadata.capability = tlvs.text("capability");
        break;
      case TLV.APPLICATION:
        if (application.length < MAX_APPLICATION_ENTRIES) application.push(tlvs.repeatedPair("application entry"));
        else reader.fail("too_many", "application entries", undefined, MAX_APPLICATION_ENTRIES);
        break;
      case TLV.HOP_LIMIT:
        metadata.hopLimit = tlvs.u8("hop limit");
        break;
      case TLV.HEAD:
        metadata.head = tlvs.opaque(MAX_HEAD_BYTES, "head");
        break;
      case TLV.TARGET:
        metadata.target = tlvs.fixed(UUID_BYTES, "target");
        break;
      case TLV.PRIORITY:
        // What is not known is the least urgent, as in the transport.
        metadata.priority = tlvs.u8("priority") === PRIORITIES.interactive ? "interactive" : "bulk";
        break;
      case TLV.ACCEPT:
        metadata.accept = tlvs.u8("accept");
        break;
      case TLV.ATTEMPT: {
        const bytes = tlvs.fixed(ATTEMPT_BYTES, "attempt");
        if (bytes.length === ATTEMPT_BYTES) {
          metadata.attempt = { number: bytes[0], firstLow: readU32(bytes, 1), firstHigh: readU32(bytes, 5) };
        }
        break;
      }
      case TLV.ORIGIN:
        metadata.origin = tlvs.fixed(ORIGIN_BYTES, "origin");
        break;
      default:
        unknown.push(tlvs.raw);
    }
  }
  if (unknown.length > 0) metadata.unknown = concatBytes(...unknown);
  return reader.error ?? metadata;
}
