/**
 * An event as its subscriber sees it.
 *
 * @module
 */

import { toBase64Url } from "../../base/bytes.ts";
import type { Delivery } from "../../mesh/delivery_reader.ts";
import { formatId64 } from "../../mesh/id_sequence.ts";

/** Something that was published, and that was subscribed to. */
export class ReceivedEvent {
  /** What it is about, such as `orders.created`. Its publisher has chosen it: escape it before a terminal or a log sees it. */
  readonly topic: string;
  /** What happened; the subscriber's to keep. */
  readonly data: Uint8Array<ArrayBuffer>;
  /**
   * How many events the node has dropped in front of this one, because they were not taken fast enough. `Infinity` if the connection was lost
   * meanwhile, so that nobody knows.
   */
  readonly missed: number;
  /** Whether it came in a DATAGRAM frame: then others like it may have been lost. */
  readonly unreliable: boolean;
  readonly #delivery: Delivery;

  /** Events are made by a subscription. */
  constructor(delivery: Delivery, missed: number, unreliable: boolean) {
    this.topic = delivery.topic;
    this.data = delivery.data as Uint8Array<ArrayBuffer>;
    this.missed = missed;
    this.unreliable = unreliable;
    this.#delivery = delivery;
  }

  /** The data as UTF-8. */
  text(): string {
    return new TextDecoder().decode(this.data);
  }

  /** The key of who has published it, as it stands in URLs. The node has checked it. */
  get from(): string {
    return toBase64Url(this.#delivery.publisher);
  }

  /** The same as 32 bytes. */
  get publicKey(): Uint8Array {
    return this.#delivery.publisher;
  }

  /** Ties log lines on all sides together: 16 hex digits. */
  get traceId(): string {
    return formatId64(this.#delivery.traceHigh, this.#delivery.traceLow);
  }

  /** W3C trace context of the publisher. */
  get traceparent(): string | undefined {
    return this.#delivery.metadata.traceparent;
  }

  /** The publisher's key/value pairs; empty if there are none. */
  get metadata(): Readonly<Record<string, string>> {
    // No prototype: a publisher chooses the keys.
    const values: Record<string, string> = Object.create(null);
    for (const [key, value] of this.#delivery.metadata.application ?? []) values[key] = value;
    return values;
  }

  /** Media type of the data. */
  get contentType(): string | undefined {
    return this.#delivery.metadata.contentType;
  }

  /** Two events of one publisher with the same key are one that was sent twice. */
  get idempotencyKey(): string | undefined {
    return this.#delivery.metadata.idempotencyKey;
  }
}
