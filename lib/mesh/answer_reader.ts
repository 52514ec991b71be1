/**
 * What comes back on a call's stream: one Response (to an event one Ack) or one Error, and nothing else (SPEC §8).
 *
 * @module
 */

import { CodecError } from "../codec/codec_error.ts";
import type { MessageCodec, MessageView } from "../codec/message.ts";
import { isExtensionType, MessageType, messageTypeName } from "../codec/message_type.ts";
import { MESSAGE_OVERHEAD_BYTES, MessageFlag } from "../codec/message_header.ts";
import { MessageReader } from "../codec/message_reader.ts";
import { decodeAck } from "../codec/payloads/ack.ts";
import { decodeError } from "../codec/payloads/error.ts";
import type { CallOutcome } from "./pending_calls.ts";

/** Messages of unknown extension types that are skipped in front of an answer. */
const MAX_SKIPPED = 8;
/** What answers a request, if it is no Error. */
export type AnswerType = typeof MessageType.RESPONSE | typeof MessageType.ACK;

const EMPTY = new Uint8Array(0);
/** Flags that change how a payload reads. */
export const PACKED_FLAGS: number = MessageFlag.COMPRESSED | MessageFlag.ENCRYPTED;

/**
 * The answer if the chunk holds exactly one whole answer, as nearly all first chunks do; undefined in every other case,
 * for {@link AnswerReader} to look into.
 */
export function readWholeAnswer(
  codec: MessageCodec,
  chunk: Uint8Array,
  idHigh: number,
  idLow: number,
  maxPayload: number,
  expected: AnswerType = MessageType.RESPONSE,
  accepted = 0,
): CallOutcome | undefined {
  const message = codec.decode(chunk, 0, chunk.length, maxPayload);
  if (message instanceof CodecError || message.end !== chunk.length || isExtensionType(message.type)) return undefined;
  return toOutcome(message, idHigh, idLow, expected, accepted);
}

/** Reads an answer that arrives in pieces. */
export class AnswerReader {
  readonly #reader: MessageReader;
  readonly #idHigh: number;
  readonly #idLow: number;
  readonly #expected: AnswerType;
  readonly #accepted: number;
  #received = 0;
  #skipped = 0;

  /** @param idHigh @param idLow the call's message id. @param accepted which of {@link PACKED_FLAGS} a Response may have. */
  constructor(
    codec: MessageCodec,
    idHigh: number,
    idLow: number,
    maxPayload: number,
    expected: AnswerType = MessageType.RESPONSE,
    accepted = 0,
  ) {
    this.#reader = new MessageReader(codec, { maxPayload });
    this.#idHigh = idHigh;
    this.#idLow = idLow;
    this.#expected = expected;
    this.#accepted = accepted;
  }

  /** Bytes so far. */
  get received(): number {
    return this.#received;
  }

  /** Bytes of the whole answer, once its header is there. */
  get total(): number | undefined {
    const header = this.#reader.pending;
    return header && header.payloadLength + MESSAGE_OVERHEAD_BYTES;
  }

  /** Takes the next bytes; says how the call ended, once it has. */
  push(chunk: Uint8Array): CallOutcome | undefined {
    this.#received += chunk.length;
    this.#reader.push(chunk);
    for (;;) {
      const message = this.#reader.next();
      if (message === undefined) return undefined;
      if (message instanceof CodecError) return { kind: "malformed", what: message.message };
      if (isExtensionType(message.type)) {
        if (++this.#skipped > MAX_SKIPPED) return { kind: "malformed", what: "too many extension messages before it" };
        continue;
      }
      if (this.#reader.finish() !== undefined) return { kind: "malformed", what: "more bytes follow it" };
      return toOutcome(message, this.#idHigh, this.#idLow, this.#expected, this.#accepted);
    }
  }
}

function toOutcome(
  message: MessageView,
  idHigh: number,
  idLow: number,
  expected: AnswerType,
  accepted: number,
): CallOutcome {
  const isError = message.type === MessageType.ERROR;
  if (!isError && message.type !== expected) {
    return { kind: "malformed", what: `it is a ${messageTypeName(message.type)} message` };
  }
  // A peer that could not read our header answers with the id 0.
  const isOurs = message.idLow === idLow && message.idHigh === idHigh;
  if (!isOurs && !(isError && message.idLow === 0 && message.idHigh === 0)) {
    return { kind: "malformed", what: "it answers another message" };
  }
  const packed = message.flags & PACKED_FLAGS;
  if (packed !== 0 && (isError || (packed & ~accepted) !== 0)) {
    return { kind: "malformed", what: "it is compressed or encrypted, which was not asked for" };
  }
  if (expected === MessageType.ACK && !isError) {
    const ack = decodeAck(message.bytes, message.payloadStart, message.payloadEnd);
    if (ack instanceof CodecError) return { kind: "malformed", what: ack.message };
    // An empty one is for the message that its header names, and that is ours.
    if (ack !== undefined && (ack.idLow !== idLow || ack.idHigh !== idHigh)) {
      return { kind: "malformed", what: "it acknowledges another message" };
    }
    return { kind: "response", payload: EMPTY, packed: 0 };
  }
  if (!isError) return { kind: "response", payload: message.payload, packed };
  const error = decodeError(message.bytes, message.payloadStart, message.payloadEnd);
  if (error instanceof CodecError) return { kind: "malformed", what: error.message };
  return { kind: "error", ...error };
}
