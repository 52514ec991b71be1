/**
 * Reads what a node sends to a subscriber (SPEC §8.12).
 *
 * @module
 */

import { CodecError } from "../codec/codec_error.ts";
import type { MessageCodec, MessageView } from "../codec/message.ts";
import { MessageFlag } from "../codec/message_header.ts";
import { MessageReader } from "../codec/message_reader.ts";
import { isExtensionType, MessageType, messageTypeName } from "../codec/message_type.ts";
import { decodeMissed, decodePublisher } from "../codec/payloads/delivery.ts";
import { decodeEvent } from "../codec/payloads/event.ts";
import { decodeMetadata, type Metadata } from "../codec/payloads/metadata.ts";

const UNREADABLE = MessageFlag.COMPRESSED | MessageFlag.ENCRYPTED;
const NOTHING: Metadata = Object.freeze({});

/** An event as its subscriber gets it. */
export interface Delivery {
  readonly topic: string;
  /** The subscriber's to keep. */
  readonly data: Uint8Array;
  /** Who has sent it: 32 bytes. */
  readonly publisher: Uint8Array;
  readonly metadata: Metadata;
  readonly traceHigh: number;
  readonly traceLow: number;
}

/** Says that the node has dropped events at this place. */
export interface DroppedEvents {
  readonly missed: number;
}

/** Puts an event and what stands in front of it together. One for each stream of messages. */
export class DeliveryReader {
  #metadata: Metadata = NOTHING;
  #publisher: Uint8Array | undefined;

  /** Takes the next message: undefined if more belong to it, a text that says what is wrong. */
  take(message: MessageView): Delivery | DroppedEvents | string | undefined {
    const { type, bytes, payloadStart: at, payloadEnd: end } = message;
    switch (type) {
      case MessageType.METADATA: {
        const metadata = decodeMetadata(bytes, at, end);
        if (metadata instanceof CodecError) return metadata.message;
        this.#metadata = metadata;
        return undefined;
      }
      case MessageType.PUBLISHER: {
        const publisher = decodePublisher(bytes, at, end);
        if (publisher instanceof CodecError) return publisher.message;
        this.#publisher = publisher.publicKey;
        return undefined;
      }
      case MessageType.MISSED: {
        const missed = decodeMissed(bytes, at, end);
        return missed instanceof CodecError ? missed.message : { missed: missed.count };
      }
      case MessageType.EVENT:
        return this.#event(message);
      default:
        return isExtensionType(type) ? undefined : `it has a ${messageTypeName(type)} message`;
    }
  }

  #event(message: MessageView): Delivery | string {
    const publisher = this.#publisher;
    const metadata = this.#metadata;
    this.#publisher = undefined;
    this.#metadata = NOTHING;
    if (publisher === undefined) return "it has an event that is from nobody";
    if ((message.flags & UNREADABLE) !== 0) return "it has an event that is compressed or encrypted";
    const event = decodeEvent(message.bytes, message.payloadStart, message.payloadEnd);
    if (event instanceof CodecError) return event.message;
    const { topic, data } = event;
    const { traceHigh, traceLow } = message;
    return { topic, data: data.slice(), publisher, metadata, traceHigh, traceLow };
  }
}

/** The event in a DATAGRAM frame; undefined if that is not a published event, or not only one. */
export function readDatagramDelivery(codec: MessageCodec, data: Uint8Array): Delivery | undefined {
  const messages = new MessageReader(codec, { maxPayload: data.length });
  messages.push(data);
  const reader = new DeliveryReader();
  for (let message = messages.next(); message !== undefined; message = messages.next()) {
    if (message instanceof CodecError) return undefined;
    const part = reader.take(message);
    if (part === undefined) continue;
    if (typeof part === "string" || "missed" in part || part.metadata.target !== undefined) return undefined;
    return message.end === data.length ? part : undefined;
  }
  return undefined;
}
