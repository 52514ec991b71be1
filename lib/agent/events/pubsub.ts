/**
 * Publish and subscribe at a node: who wants which events, and what waits for them (SPEC §8.12).
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import { CodecError } from "../../codec/codec_error.ts";
import { ErrorCode, errorCodeName } from "../../codec/error_codes.ts";
import type { Metadata } from "../../codec/payloads/metadata.ts";
import { decodeSubscribe, encodeSubscribeResponse, sizeOfSubscribeResponse } from "../../codec/payloads/subscribe.ts";
import type { CallMessages } from "../../mesh/call_messages.ts";
import { EventMessages } from "../../mesh/event_messages.ts";
import { IdSequence } from "../../mesh/id_sequence.ts";
import { MemoryBudget } from "../../mesh/memory_budget.ts";
import { type QueueLimits, SharedEvent, SubscriberQueue } from "../../mesh/subscriber_queue.ts";
import { TopicTrie } from "../../mesh/topic_trie.ts";
import { MAX_TOPIC_TOKENS, patternProblem, tokensOf } from "../../mesh/topics.ts";
import { StreamClass } from "../../transport/scheduler.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { AnswerSource, CallAnswers, IncomingCall } from "../calls/incoming_call.ts";
import type { IncomingRequest } from "../incoming_request.ts";
import { quote } from "../quote.ts";

/** How much may wait for a subscriber that does not say. */
const DEFAULT_EVENTS = 1_024;
const DEFAULT_BYTES = 1 << 20;
/** Tokens that patterns may have, for each of them that there may be. */
const TOKENS_EACH = 4;
/** One connection may have this part of all that waits. */
const CONNECTION_SHARES = 4;

/** What publish and subscribe may take at a node. */
export interface PubSubOptions {
  /** Subscriptions that may be open at once. Default 10 000. */
  readonly maxSubscriptions?: number;
  /** The same for one connection. Default 64. */
  readonly maxSubscriptionsPerConnection?: number;
  /** Patterns of all subscriptions together, and four times as many tokens in them. Default 65 536. */
  readonly maxPatterns?: number;
  /** The same for one connection: what an event costs the node grows with the tokens that it meets. Default 1 024. */
  readonly maxPatternsPerConnection?: number;
  /** The most events that a subscriber may let wait. Default 65 536; who does not say gets 1 024. */
  readonly maxQueuedEvents?: number;
  /** The most bytes that a subscriber may let wait; a single event may be larger. Default 16 MiB; who does not say gets 1 MiB. */
  readonly maxQueuedBytes?: number;
  /**
   * Bytes that all waiting events may take in memory together; one that waits for several subscribers counts once. Default 64 MiB; a
   * connection gets at most a quarter.
   */
  readonly memoryBudget?: number;
}

/** All of {@link PubSubOptions}. */
type Limits = Required<PubSubOptions>;

const DEFAULTS: Limits = {
  maxSubscriptions: 10_000,
  maxSubscriptionsPerConnection: 64,
  maxPatterns: 65_536,
  maxPatternsPerConnection: 1_024,
  maxQueuedEvents: 65_536,
  maxQueuedBytes: 16 << 20,
  memoryBudget: 64 << 20,
};

/** Numbers about publish and subscribe. */
export interface PubSubStats {
  /** Subscriptions that are open. */
  readonly subscriptions: number;
  /** Their patterns. */
  readonly patterns: number;
  /** Subscriptions since the node was started. */
  readonly subscribed: number;
  /** Those that were refused, by the name of the code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Events that were published, … */
  readonly published: number;
  /** … and those of them that nobody wanted. */
  readonly unwanted: number;
  /** Times that an event was handed on to a subscriber: reliably, … */
  readonly delivered: number;
  /** … and in a DATAGRAM frame, once for each connection. */
  readonly unreliable: number;
  /** Times that an event was dropped because a subscriber was too slow, or there was no memory. */
  readonly dropped: number;
  /** Subscriptions that were ended because their subscribers were too slow, and wanted it so. */
  readonly tooSlow: number;
  /** Bytes of events that wait. */
  readonly queuedBytes: number;
}

/** What a node gives it. */
export interface PubSubParts {
  readonly messages: CallMessages;
  readonly random: Random;
  readonly budget: MemoryBudget;
}

/** What one connection has. */
interface Subscriber {
  subscriptions: number;
  patterns: number;
  /** Of its patterns. */
  tokens: number;
  readonly budget: MemoryBudget;
  /** The last event that it got in a DATAGRAM frame. */
  event: number;
}

/** All subscriptions of a node. */
export class PubSub {
  readonly #limits: Limits;
  readonly #messages: CallMessages;
  readonly #events: EventMessages;
  readonly #ids: IdSequence;
  readonly #budget: MemoryBudget;
  readonly #trie: TopicTrie<Subscription>;
  readonly #subscribers = new WeakMap<CallAnswers, Subscriber>();
  readonly #subscriptions = new Set<Subscription>();
  readonly #refused: Record<string, number> = {};
  /** Those that the event at hand goes to; kept for the next one. */
  readonly #matched: Subscription[] = [];
  #subscribed = 0;
  #published = 0;
  #unwanted = 0;
  #delivered = 0;
  #unreliable = 0;
  #dropped = 0;
  #tooSlow = 0;

  /** What `ServeOptions.pubsub` asks for. @throws {MxpError} `usage` for limits that make no sense. */
  static of(options: boolean | PubSubOptions | undefined, parts: PubSubParts): PubSub | undefined {
    if (options === undefined || options === false) return undefined;
    return new PubSub(options === true ? {} : options, parts);
  }

  private constructor(options: PubSubOptions, { messages, random, budget }: PubSubParts) {
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    this.#limits = { ...DEFAULTS, ...Object.fromEntries(given) };
    for (const [name, value] of Object.entries(this.#limits)) {
      if (!(value >= 1)) throw new MxpError("usage", `pubsub: ${name} must be at least 1, got ${value}`);
    }
    this.#messages = messages;
    this.#events = new EventMessages(messages.writer);
    this.#ids = new IdSequence(random);
    this.#budget = budget.share(Math.min(this.#limits.memoryBudget, budget.limit));
    this.#trie = new TopicTrie(random);
  }

  /** A snapshot. */
  stats(): PubSubStats {
    return {
      subscriptions: this.#subscriptions.size,
      patterns: this.#trie.patterns,
      subscribed: this.#subscribed,
      refused: { ...this.#refused },
      published: this.#published,
      unwanted: this.#unwanted,
      delivered: this.#delivered,
      unreliable: this.#unreliable,
      dropped: this.#dropped,
      tooSlow: this.#tooSlow,
      queuedBytes: this.#budget.used,
    };
  }

  /** Ends all subscriptions: the node is going down. */
  close(reason: string): void {
    for (const subscription of [...this.#subscriptions]) subscription.end(ErrorCode.UNAVAILABLE, reason);
  }

  /** A peer wants to be told of events. */
  subscribe(call: IncomingCall, payload: Uint8Array): void {
    const wish = decodeSubscribe(payload);
    if (wish instanceof CodecError) return this.#refuse(call, ErrorCode.BAD_REQUEST, false, wish.message);
    for (const pattern of wish.patterns) {
      const problem = patternProblem(pattern);
      if (problem === undefined) continue;
      return this.#refuse(call, ErrorCode.BAD_TOPIC, false, `the pattern ${quote(pattern)} ${problem}`);
    }
    const limits = this.#limits;
    const patterns = new Set(wish.patterns);
    let tokens = 0;
    for (const pattern of patterns) tokens += tokensOf(pattern).length;
    // One pattern of the longest that there are is always among them.
    const maxTokens = Math.max(MAX_TOPIC_TOKENS, TOKENS_EACH * limits.maxPatternsPerConnection);
    const subscriber = this.#subscriberOf(call.calls);
    const ofConnection = subscriber.subscriptions >= limits.maxSubscriptionsPerConnection
      ? `a connection may have ${limits.maxSubscriptionsPerConnection} subscriptions at once`
      : subscriber.patterns + patterns.size > limits.maxPatternsPerConnection
      ? `a connection may have ${limits.maxPatternsPerConnection} patterns at once`
      : subscriber.tokens + tokens > maxTokens
      ? `the patterns of a connection may have ${maxTokens} tokens together`
      : undefined;
    if (ofConnection !== undefined) return this.#refuse(call, ErrorCode.LIMIT_REACHED, false, ofConnection);
    const ofNode = this.#subscriptions.size >= limits.maxSubscriptions
      ? `${limits.maxSubscriptions} subscriptions are open, which is all this node takes at once`
      : this.#trie.patterns + patterns.size > limits.maxPatterns ||
          this.#trie.branches >= TOKENS_EACH * limits.maxPatterns
      ? `the patterns of ${this.#subscriptions.size} subscriptions are all that this node takes at once`
      : undefined;
    if (ofNode !== undefined) return this.#refuse(call, ErrorCode.OVERLOADED, true, ofNode);
    const queue: QueueLimits = {
      policy: wish.policy,
      maxEvents: Math.min(wish.maxEvents || DEFAULT_EVENTS, limits.maxQueuedEvents),
      maxBytes: Math.min(wish.maxBytes || DEFAULT_BYTES, limits.maxQueuedBytes),
    };
    const subscription: Subscription = new Subscription(
      call,
      new SubscriberQueue(queue, subscriber.budget),
      subscriber,
      wish.unreliable,
      this.#messages,
      this.#events,
      () => {
        for (const pattern of patterns) this.#trie.remove(pattern, subscription);
        this.#subscriptions.delete(subscription);
        subscriber.subscriptions--;
        subscriber.patterns -= patterns.size;
        subscriber.tokens -= tokens;
      },
    );
    for (const pattern of patterns) this.#trie.add(pattern, subscription);
    this.#subscriptions.add(subscription);
    this.#subscribed++;
    subscriber.subscriptions++;
    subscriber.patterns += patterns.size;
    subscriber.tokens += tokens;
    call.calls.answerFrom(call, subscription);
  }

  /** An event has come: everybody gets it who wants it. Waits for nobody. */
  publish(request: IncomingRequest, data: Uint8Array): void {
    const number = ++this.#published;
    const topic = request.topic!;
    const matched = this.#matched;
    // Who overflows ends, and the trie must not change while it is asked.
    this.#trie.match(topic, (subscription) => {
      if (subscription.event === number) return;
      subscription.event = number;
      matched.push(subscription);
    });
    if (matched.length === 0) {
      this.#unwanted++;
      return;
    }
    const { isUnreliable } = request;
    const shared = new SharedEvent(this.#encode(request, topic, data), this.#budget);
    for (const subscription of matched) {
      if (!isUnreliable || !subscription.unreliable || !this.#sendUnreliably(subscription, shared.bytes, number)) {
        this.#deliver(subscription, shared);
      }
    }
    matched.length = 0;
  }

  #deliver(subscription: Subscription, event: SharedEvent): void {
    const before = subscription.queue.dropped;
    if (subscription.push(event)) this.#delivered++;
    else this.#tooSlow++;
    const dropped = subscription.queue.dropped - before;
    this.#dropped += dropped;
    this.#delivered -= dropped;
  }

  /** In one DATAGRAM frame, for all subscriptions of a connection. False if it has to go reliably. */
  #sendUnreliably({ call, subscriber }: Subscription, bytes: Uint8Array, number: number): boolean {
    if (subscriber.event === number) return true;
    const { session } = call.calls;
    if (session === undefined || !session.events.tryUnreliable(bytes, StreamClass.BULK)) return false;
    subscriber.event = number;
    this.#unreliable++;
    return true;
  }

  #encode(request: IncomingRequest, topic: string, data: Uint8Array): Uint8Array {
    this.#ids.next();
    const { high: idHigh, low: idLow } = this.#ids;
    const { traceHigh, traceLow, details, peer } = request;
    const ids = { idHigh, idLow, traceHigh, traceLow };
    return this.#events.passedOn(ids, passedOnMetadata(details), peer.publicKey, { topic, data }, false);
  }

  #subscriberOf(calls: CallAnswers): Subscriber {
    const known = this.#subscribers.get(calls);
    if (known !== undefined) return known;
    const { memoryBudget, maxQueuedBytes } = this.#limits;
    const share = Math.max(Math.ceil(memoryBudget / CONNECTION_SHARES), Math.min(memoryBudget, maxQueuedBytes));
    const subscriber: Subscriber = {
      subscriptions: 0,
      patterns: 0,
      tokens: 0,
      budget: new MemoryBudget(share),
      event: 0,
    };
    this.#subscribers.set(calls, subscriber);
    return subscriber;
  }

  #refuse(call: IncomingCall, code: number, retryable: boolean, text: string): void {
    const name = errorCodeName(code);
    this.#refused[name] = (this.#refused[name] ?? 0) + 1;
    call.calls.refuse(call, code, retryable, text, StreamError.REFUSED);
  }
}

/** Bytes of a subscription that may wait in the transport: what waits there cannot be dropped any more, and is not counted. */
const AHEAD = 65_536;

/** One subscription: the answer to it goes on for as long as both sides like. */
class Subscription implements AnswerSource {
  readonly call: IncomingCall;
  readonly queue: SubscriberQueue;
  readonly subscriber: Subscriber;
  /** Whether it takes events in DATAGRAM frames. */
  readonly unreliable: boolean;
  readonly ahead = AHEAD;
  /** The last event that it was found to want. */
  event = 0;
  readonly #messages: CallMessages;
  readonly #events: EventMessages;
  readonly #onLeave: () => void;
  #answered = false;
  #hasLeft = false;
  #ending: { readonly code: number; readonly text: string } | undefined;

  constructor(
    call: IncomingCall,
    queue: SubscriberQueue,
    subscriber: Subscriber,
    unreliable: boolean,
    messages: CallMessages,
    events: EventMessages,
    onLeave: () => void,
  ) {
    this.call = call;
    this.queue = queue;
    this.subscriber = subscriber;
    this.unreliable = unreliable;
    this.#messages = messages;
    this.#events = events;
    this.#onLeave = onLeave;
  }

  /** A subscriber may pause for as long as it likes: what waits for it is bounded, and it has said what becomes of the rest. */
  get mayStall(): boolean {
    return this.#ending === undefined;
  }

  /** An event for it. False if the subscription has ended with it. */
  push(event: SharedEvent): boolean {
    if (this.queue.push(event) === "overflow") {
      this.end(ErrorCode.TOO_SLOW, `more than ${this.queue.length} events were waiting`);
      return false;
    }
    // What was begun has to be finished first, and whoever finishes it goes on by itself.
    if (this.call.message === undefined) this.call.calls.pump(this.call);
    return true;
  }

  next(): { readonly message: Uint8Array; readonly isLast: boolean } | undefined {
    if (!this.#answered) {
      this.#answered = true;
      const { limits } = this.queue;
      const response = new Uint8Array(sizeOfSubscribeResponse(limits));
      encodeSubscribeResponse(response, 0, limits);
      return { message: this.#messages.response(this.call, response), isLast: false };
    }
    const gap = this.queue.takeGap();
    if (gap > 0) return { message: this.#events.missed(this.call, gap), isLast: false };
    const event = this.queue.shift();
    if (event !== undefined) return { message: event.bytes, isLast: false };
    if (this.#ending === undefined) return undefined;
    const { code, text } = this.#ending;
    return { message: this.#messages.error(this.call, code, true, text), isLast: true };
  }

  /** Takes no more, and says why behind what waits. */
  end(code: number, text: string): void {
    if (this.#ending !== undefined) return;
    this.#ending = { code, text };
    this.#leave();
    // From now on it has to make progress.
    this.call.calls.pump(this.call);
  }

  stop(): void {
    this.queue.clear();
    this.#leave();
  }

  #leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#onLeave();
  }
}

/** What of an event's metadata goes on to whoever gets it; undefined if that is nothing. */
function passedOnMetadata(details: Metadata): Metadata | undefined {
  const { traceparent, contentType, idempotencyKey, application } = details;
  const hasValues = application !== undefined && application.length > 0;
  if ((traceparent ?? contentType ?? idempotencyKey) === undefined && !hasValues) return undefined;
  return {
    ...(traceparent !== undefined && { traceparent }),
    ...(contentType !== undefined && { contentType }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(hasValues && { application }),
  };
}
