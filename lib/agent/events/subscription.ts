/**
 * What a client has subscribed to.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import type { MessageCodec, MessageView } from "../../codec/message.ts";
import { CodecError } from "../../codec/codec_error.ts";
import { MAX_PAYLOAD_BYTES } from "../../codec/message_header.ts";
import { isExtensionType, MessageType, messageTypeName } from "../../codec/message_type.ts";
import {
  decodeSubscribeResponse,
  MAX_PATTERNS,
  SLOW_POLICIES,
  type SlowPolicy,
  type Subscribe,
  type SubscribeResponse,
} from "../../codec/payloads/subscribe.ts";
import { type Delivery, DeliveryReader, type DroppedEvents, readDatagramDelivery } from "../../mesh/delivery_reader.ts";
import { EventMessages } from "../../mesh/event_messages.ts";
import { TopicTrie } from "../../mesh/topic_trie.ts";
import { patternProblem } from "../../mesh/topics.ts";
import { StreamClass } from "../../transport/scheduler.ts";
import { asMxpError, type ClientCore } from "../client_core.ts";
import { deferred } from "../deferred.ts";
import type { AnswerEnd, LongAnswer } from "../registry/long_answers.ts";
import { isLoss, pauseBefore } from "../pause.ts";
import { quote } from "../quote.ts";
import { ReceivedEvent } from "./received_event.ts";

export type { SlowPolicy } from "../../codec/payloads/subscribe.ts";

/** Unreliable events that may wait for their consumer here, and their bytes. */
const MAX_UNRELIABLE = 1_024;
const MAX_UNRELIABLE_BYTES = 1 << 20;

/** What a subscription may be told. */
export interface SubscribeOptions {
  /**
   * What becomes of events if they are not taken fast enough, so that too many wait at the node: those that have waited longest are dropped
   * (`drop_oldest`, the default), or those that come (`drop_newest`), or the subscription ends with `overloaded` (`close`).
   */
  readonly slow?: SlowPolicy;
  /** Events that may wait at the node. Default and upper limit are the node's: 1 024 and 65 536 if it is not told otherwise. */
  readonly maxEvents?: number;
  /** Their bytes. Default and upper limit are the node's: 1 MiB and 16 MiB if it is not told otherwise. */
  readonly maxBytes?: number;
  /** Takes events that were sent unreliably as they were sent: quickly, or not at all. Default: the node makes them reliable. */
  readonly unreliable?: boolean;
  /** Goes on over a connection of its own when the connection was lost, as often as need be. What was published meanwhile is missed. */
  readonly reconnect?: boolean;
  /** Ends it. */
  readonly signal?: AbortSignal;
  /** Told when the connection was lost and is tried again, and when the subscription stands again. */
  readonly onState?: (state: "reconnecting" | "subscribed") => void;
}

/** What a subscription works with. */
export interface SubscriptionLink {
  readonly core: ClientCore;
  readonly datagrams: DatagramSubscribers;
  /** Makes another connection to the same node. */
  readonly reconnect: (signal: AbortSignal) => Promise<SubscriptionLink>;
  /** Ends the connection, if it is one that {@link reconnect} made. */
  readonly close: () => Promise<void>;
}

/** What a node says on a subscription's stream. */
type Part = SubscribeResponse | Delivery | DroppedEvents;

/**
 * Events as they come. Made by `Client.subscribe`; to be read with `for await`, by one reader. Leaving the loop, {@link close} and the signal end it at
 * the node, too. Nothing is read ahead of the reader: what does not fit between waits at the node.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../../mod.ts";
 * await using server = await serve({ listen: "127.0.0.1:0", pubsub: true }, {});
 * await using client = await connect(server.url);
 * const orders = client.subscribe("orders.*");
 * await orders.ready;
 * await client.emit("orders.created", "4711");
 * for await (const event of orders) {
 *   console.log(event.topic, event.text()); // orders.created 4711
 *   break;
 * }
 * ```
 */
export class Subscription implements AsyncIterable<ReceivedEvent>, AsyncDisposable {
  /** What it is for. */
  readonly patterns: readonly string[];
  /** Settles when the node has it: what is published from then on is told. Rejects if the node refuses. */
  readonly ready: Promise<void>;
  readonly #ready = deferred<void>();
  readonly #options: SubscribeOptions;
  readonly #stop = new AbortController();
  readonly #datagrams: DatagramSubscriber;
  readonly #inbox: Delivery[] = [];
  #inboxBytes = 0;
  #link: SubscriptionLink;
  readonly #first: SubscriptionLink;
  #answer: LongAnswer<Part>;
  #events: AsyncGenerator<ReceivedEvent, void, void> | undefined;
  /** What has come before anybody asked for it. */
  #granted: SubscribeResponse | undefined;
  #missed = 0;
  #gap = 0;
  #losses = 0;
  readonly #onAbort: () => void;

  /** Use `Client.subscribe`. @throws {MxpError} `usage`, `closed`, `connection_lost`, `cancelled`. */
  constructor(link: SubscriptionLink, patterns: string | readonly string[], options: SubscribeOptions) {
    this.patterns = checkPatterns(typeof patterns === "string" ? [patterns] : [...patterns]);
    this.#options = checkOptions(options);
    this.#datagrams = { patterns: this.patterns, offer: (delivery) => this.#offer(delivery) };
    this.#link = this.#first = link;
    this.ready = this.#ready.promise;
    // Who does not wait for it hears of a refusal by reading.
    this.ready.catch(() => {});
    const { signal } = options;
    if (signal?.aborted) throw this.#failure({ kind: "aborted" });
    this.#answer = this.#open(link);
    this.#onAbort = () => this.#end();
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    void this.#begin();
  }

  /** Events that were missed so far, as far as they could be counted. */
  get missed(): number {
    return this.#missed;
  }

  /** How often the connection was lost: what was published until it stood again was not counted. */
  get losses(): number {
    return this.#losses;
  }

  /** How much the node lets wait; undefined until it has said so. */
  get granted(): { readonly maxEvents: number; readonly maxBytes: number } | undefined {
    return this.#granted;
  }

  /** Ends it. Who reads comes to the end. */
  async close(): Promise<void> {
    this.#end();
    if (this.#link !== this.#first) await this.#link.close();
  }

  /** The same as {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The events, for one reader. @throws {MxpError} `connection_lost`, `overloaded`, `cancelled` (the signal), whatever the node refuses with. */
  [Symbol.asyncIterator](): AsyncGenerator<ReceivedEvent, void, void> {
    return this.#events ??= this.#read();
  }

  /** An event that came in a DATAGRAM frame. */
  #offer(delivery: Delivery): void {
    const size = delivery.data.length + delivery.topic.length;
    while (
      this.#inbox.length > 0 &&
      (this.#inbox.length >= MAX_UNRELIABLE || this.#inboxBytes + size > MAX_UNRELIABLE_BYTES)
    ) {
      this.#takeUnreliable();
      this.#miss(1);
    }
    this.#inbox.push(delivery);
    this.#inboxBytes += size;
    this.#answer.wakeUp();
  }

  /** Reads the node's first word. */
  async #begin(): Promise<void> {
    const part = await this.#answer.next();
    if ("kind" in part) {
      const failure = this.#failure(part);
      // Whoever reads tries on, and the signal has to end that, too.
      if (!this.#options.reconnect || !isLoss(failure)) {
        this.#options.signal?.removeEventListener("abort", this.#onAbort);
      }
      this.#ready.reject(failure);
    } else {
      this.#granted = part as SubscribeResponse;
      this.#ready.resolve();
    }
  }

  async *#read(): AsyncGenerator<ReceivedEvent, void, void> {
    const { signal } = this.#stop;
    try {
      await this.ready.catch(() => {});
      for (;;) {
        const delivery = this.#takeUnreliable();
        if (delivery !== undefined) {
          yield this.#received(delivery, true);
          continue;
        }
        const part = this.#answer.poll();
        if (part === undefined) await this.#answer.wait();
        else if ("topic" in part) yield this.#received(part, false);
        else if ("missed" in part) this.#miss(part.missed);
        else if ("kind" in part) {
          if (signal.aborted) {
            if (this.#options.signal?.aborted) throw this.#failure({ kind: "aborted" });
            return;
          }
          const failure = this.#failure(part);
          if (!this.#options.reconnect || !isLoss(failure)) throw failure;
          await this.#reconnect();
        }
      }
    } finally {
      await this.close();
    }
  }

  #takeUnreliable(): Delivery | undefined {
    const delivery = this.#inbox.shift();
    if (delivery !== undefined) this.#inboxBytes -= delivery.data.length + delivery.topic.length;
    return delivery;
  }

  #received(delivery: Delivery, unreliable: boolean): ReceivedEvent {
    const missed = this.#gap;
    this.#gap = 0;
    return new ReceivedEvent(delivery, missed, unreliable);
  }

  #miss(count: number): void {
    this.#missed += count;
    this.#gap += count;
  }

  /** Gets back, however long it takes. @throws {MxpError} if there is no point in trying on. */
  async #reconnect(): Promise<void> {
    const { signal } = this.#stop;
    this.#losses++;
    this.#gap = Infinity;
    this.#tell("reconnecting");
    for (let attempt = 0; !signal.aborted; attempt++) {
      await pauseBefore(attempt, this.#link.core.platform.random, signal);
      if (signal.aborted) return;
      let link: SubscriptionLink | undefined;
      try {
        link = await this.#first.reconnect(signal);
        // It may have been closed just before the connection stood.
        if (signal.aborted) return await link.close();
        const before = this.#link;
        const answer = this.#open(link);
        this.#link = link;
        this.#answer = answer;
        if (before !== this.#first) await before.close();
        const part = await answer.next();
        if ("kind" in part) throw this.#failure(part);
        this.#granted = part as SubscribeResponse;
        this.#tell("subscribed");
        return;
      } catch (error) {
        await link?.close();
        if (signal.aborted) return;
        if (!isLoss(asMxpError(error))) throw error;
      }
    }
  }

  #tell(state: "reconnecting" | "subscribed"): void {
    try {
      this.#options.onState?.(state);
    } catch {
      // A listener that fails must not end the subscription.
    }
  }

  #open({ core, datagrams }: SubscriptionLink): LongAnswer<Part> {
    core.checkOpen();
    core.session.begin();
    core.ids.next();
    core.traces.next();
    const ids = {
      idHigh: core.ids.high,
      idLow: core.ids.low,
      traceHigh: core.traces.high,
      traceLow: core.traces.low,
    };
    const { slow = SLOW_POLICIES[0], maxEvents = 0, maxBytes = 0, unreliable = false } = this.#options;
    const wish: Subscribe = { patterns: this.patterns, policy: slow, unreliable, maxEvents, maxBytes };
    const reader = new DeliveryReader();
    let isGranted = false;
    const take = (message: MessageView): Part | string | undefined => {
      if (isGranted) return reader.take(message);
      if (isExtensionType(message.type)) return undefined;
      if (message.type !== MessageType.RESPONSE) return `it begins with a ${messageTypeName(message.type)} message`;
      if (message.idLow !== ids.idLow || message.idHigh !== ids.idHigh) return "it answers another message";
      const response = decodeSubscribeResponse(message.bytes, message.payloadStart, message.payloadEnd);
      if (response instanceof CodecError) return response.message;
      isGranted = true;
      return response;
    };
    const answer = core.session.longAnswers.open<Part>({
      message: messagesOf(core).subscribe(ids, wish),
      streamClass: StreamClass.BULK,
      maxPayload: MAX_PAYLOAD_BYTES,
      take,
    });
    if (unreliable) datagrams.add(this.#datagrams);
    return answer;
  }

  #end(): void {
    this.#stop.abort();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#link.datagrams.delete(this.#datagrams);
    this.#answer.cancel();
  }

  #failure(end: AnswerEnd): MxpError {
    return this.#link.core.failure(end, undefined, 0, this.#options.signal, "subscription");
  }
}

/** Who takes events in DATAGRAM frames. */
interface DatagramSubscriber {
  readonly patterns: readonly string[];
  readonly offer: (delivery: Delivery) => void;
}

/** All of them on one connection. */
export class DatagramSubscribers {
  readonly #codec: MessageCodec;
  readonly #random: Random;
  readonly #subscribers = new Set<DatagramSubscriber>();
  #trie: TopicTrie<DatagramSubscriber> | undefined;

  constructor(codec: MessageCodec, random: Random) {
    this.#codec = codec;
    this.#random = random;
  }

  add(subscriber: DatagramSubscriber): void {
    this.#trie ??= new TopicTrie(this.#random);
    this.#subscribers.add(subscriber);
    for (const pattern of subscriber.patterns) this.#trie.add(pattern, subscriber);
  }

  delete(subscriber: DatagramSubscriber): void {
    if (!this.#subscribers.delete(subscriber)) return;
    for (const pattern of subscriber.patterns) this.#trie!.remove(pattern, subscriber);
  }

  /** Takes what has come in a DATAGRAM frame; false if it is no event that was subscribed to. */
  take(data: Uint8Array): boolean {
    if (this.#subscribers.size === 0) return false;
    const delivery = readDatagramDelivery(this.#codec, data);
    if (delivery === undefined) return false;
    const matched = new Set<DatagramSubscriber>();
    this.#trie!.match(delivery.topic, (subscriber) => void matched.add(subscriber));
    for (const subscriber of matched) subscriber.offer(delivery);
    return true;
  }
}

function messagesOf(core: ClientCore): EventMessages {
  return new EventMessages(core.messages.writer);
}

function checkPatterns(patterns: readonly string[]): readonly string[] {
  if (patterns.length < 1 || patterns.length > MAX_PATTERNS) {
    throw new MxpError("usage", `a subscription has 1 to ${MAX_PATTERNS} patterns, got ${patterns.length}`);
  }
  for (const pattern of patterns) {
    if (typeof pattern !== "string") throw new MxpError("usage", `a pattern is text, got ${typeof pattern}`);
    const problem = patternProblem(pattern);
    if (problem !== undefined) throw new MxpError("usage", `the pattern ${quote(pattern)} ${problem}`);
  }
  return [...new Set(patterns)];
}

function checkOptions(options: SubscribeOptions): SubscribeOptions {
  const { slow, maxEvents, maxBytes } = options;
  if (slow !== undefined && !SLOW_POLICIES.includes(slow)) {
    throw new MxpError("usage", `slow is ${SLOW_POLICIES.join(", ")}, not ${quote(String(slow))}`);
  }
  for (const [name, value] of Object.entries({ maxEvents, maxBytes })) {
    if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= 0xffff_ffff)) continue;
    throw new MxpError("usage", `${name} must be a whole number from 1 to 4294967295, got ${value}`);
  }
  return options;
}
