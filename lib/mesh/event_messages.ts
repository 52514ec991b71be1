/**
 * Writes the messages of events (SPEC §8.7).
 *
 * @module
 */

import { messageLength } from "../codec/message.ts";
import { MAX_PAYLOAD_BYTES, MESSAGE_HEADER_BYTES, MessageFlag } from "../codec/message_header.ts";
import { MessageType } from "../codec/message_type.ts";
import { ACK_BYTES, encodeAck } from "../codec/payloads/ack.ts";
import { PUBLIC_KEY_BYTES } from "../codec/payloads/agent_record.ts";
import { encodeMissed, encodePublisher, sizeOfMissed } from "../codec/payloads/delivery.ts";
import { encodeEvent, type EventPayload, sizeOfEvent } from "../codec/payloads/event.ts";
import type { Metadata } from "../codec/payloads/metadata.ts";
import { encodeSubscribe, sizeOfSubscribe, type Subscribe } from "../codec/payloads/subscribe.ts";
import type { MessageIds, MessageWriter } from "./message_writer.ts";

/** Writes messages. One for a driver; knows no connection. */
export class EventMessages {
  readonly #writer: MessageWriter;

  constructor(writer: MessageWriter) {
    this.#writer = writer;
  }

  /**
   * An Event, with a Metadata message in front if there is anything for it.
   *
   * @param packed COMPRESSED and ENCRYPTED, if the data is.
   * @throws RangeError if topic and data are over 16 MiB together, the topic is too long, or metadata is out of bounds.
   */
  event(
    ids: MessageIds,
    metadata: Metadata | undefined,
    event: EventPayload,
    requiresAck: boolean,
    packed = 0,
  ): Uint8Array {
    const size = sizeOfEvent(event);
    if (size > MAX_PAYLOAD_BYTES) throw new RangeError(`an Event holds ${MAX_PAYLOAD_BYTES} bytes, not ${size}`);
    const writer = this.#writer;
    const at = writer.metadataLength(metadata);
    const out = writer.allocate(at + messageLength(size));
    if (metadata !== undefined) writer.metadata(out, ids, metadata);
    const end = encodeEvent(out, at + MESSAGE_HEADER_BYTES, event);
    writer.seal(out, at, MessageType.EVENT, packed | (requiresAck ? MessageFlag.REQUIRES_ACK : 0), ids, end);
    return out;
  }

  /**
   * An Event that a node passes on, with a Publisher message in front, and a Metadata message before that if there is anything for it.
   * The bytes are the same for everybody who gets it.
   *
   * @param publisher the key of who has sent it, 32 bytes.
   * @throws RangeError as {@link event}.
   */
  passedOn(
    ids: MessageIds,
    metadata: Metadata | undefined,
    publisher: Uint8Array,
    event: EventPayload,
    requiresAck: boolean,
    packed = 0,
  ): Uint8Array {
    const writer = this.#writer;
    const at = writer.metadataLength(metadata);
    const eventAt = at + messageLength(PUBLIC_KEY_BYTES);
    const out = writer.allocate(eventAt + messageLength(sizeOfEvent(event)));
    if (metadata !== undefined) writer.metadata(out, ids, metadata);
    writer.seal(
      out,
      at,
      MessageType.PUBLISHER,
      0,
      ids,
      encodePublisher(out, at + MESSAGE_HEADER_BYTES, { publicKey: publisher }),
    );
    const end = encodeEvent(out, eventAt + MESSAGE_HEADER_BYTES, event);
    writer.seal(out, eventAt, MessageType.EVENT, packed | (requiresAck ? MessageFlag.REQUIRES_ACK : 0), ids, end);
    return out;
  }

  /** A wish to be told of events. @throws RangeError for fields out of bounds. */
  subscribe(ids: MessageIds, subscribe: Subscribe): Uint8Array {
    const out = this.#writer.allocate(messageLength(sizeOfSubscribe(subscribe)));
    const end = encodeSubscribe(out, MESSAGE_HEADER_BYTES, subscribe);
    this.#writer.seal(out, 0, MessageType.SUBSCRIBE, 0, ids, end);
    return out;
  }

  /** Says how many events are missing. */
  missed(ids: MessageIds, count: number): Uint8Array {
    const missed = { count };
    const out = this.#writer.allocate(messageLength(sizeOfMissed(missed)));
    this.#writer.seal(out, 0, MessageType.MISSED, 0, ids, encodeMissed(out, MESSAGE_HEADER_BYTES, missed));
    return out;
  }

  /** The Ack for the message with these ids. */
  ack(ids: MessageIds): Uint8Array {
    const out = this.#writer.allocate(messageLength(ACK_BYTES));
    const end = encodeAck(out, MESSAGE_HEADER_BYTES, ids);
    this.#writer.seal(out, 0, MessageType.ACK, 0, ids, end);
    return out;
  }
}
