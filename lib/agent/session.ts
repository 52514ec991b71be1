/**
 * One connection as the agent layer sees it: the calls that go out on it, the calls that come in, agent streams, pings, and
 * its end.
 *
 * @module
 */

import type { Micros } from "../base/time.ts";
import type { CallMessages } from "../mesh/call_messages.ts";
import type { ConnectionEvent } from "../transport/events.ts";
import type { ResumptionTicket } from "../transport/resumed_handshake.ts";
import { StreamError, TransportError } from "../wire/error_codes.ts";
import { isResponderInitiated, isUnidirectional, type StreamId } from "../wire/stream_id.ts";
import { AgentStreams } from "./streams/agent_streams.ts";
import { type ConnectionEnd, connectionEnded, isLost } from "./calls/call_failure.ts";
import type { ConnectionUser, Driver, Link } from "./driver.ts";
import { type CallService, IncomingCalls } from "./calls/incoming_calls.ts";
import { IncomingEvents } from "./events/incoming_events.ts";
import type { MigrationOutcome } from "./migration.ts";
import { OutgoingCalls } from "./calls/outgoing_calls.ts";
import { OutgoingEvents } from "./events/outgoing_events.ts";
import { type LongAnswer, LongAnswers } from "./registry/long_answers.ts";
import type { PeerInfo } from "./peer_info.ts";
import type { StreamUser } from "./streams/stream_user.ts";

/** What a session tells its owner. */
export interface SessionOwner {
  /** The peer is authenticated; calls can be made. */
  onEstablished(session: Session): void;
  /** The connection ended; every call has been settled by then. Exactly once. */
  onClosed(session: Session, reason: ConnectionEnd): void;
}

/** What a session is made from. */
export interface SessionOptions {
  readonly driver: Driver;
  readonly messages: CallMessages;
  readonly owner: SessionOwner;
  /** Largest payload of an answer. */
  readonly maxAnswerBytes: number;
  /** Serves the peer's calls; without it they are refused. */
  readonly service?: CallService;
  /** Takes the tickets that the peer gives. */
  readonly onTicket?: (ticket: ResumptionTicket, lifetime: Micros) => void;
  /** Describes the peer, once its key is known. */
  readonly peer: (session: Session) => PeerInfo;
}

/** A connection in use. */
export class Session implements ConnectionUser {
  readonly driver: Driver;
  /** Set right after construction, by {@link attach}. */
  link!: Link;
  outgoing!: OutgoingCalls;
  incoming: IncomingCalls | undefined = undefined;
  streams!: AgentStreams;
  longAnswers!: LongAnswers;
  events!: OutgoingEvents;
  #incomingEvents: IncomingEvents | undefined;
  closeReason: ConnectionEnd | undefined = undefined;
  /** Told before anything else that the connection has ended. */
  onEnd: (() => void) | undefined = undefined;
  /** Asked first about what has come in a DATAGRAM frame; true if it was for whoever is asked. */
  onDatagram: ((data: Uint8Array) => boolean) | undefined = undefined;
  /** Whether streams can be used. */
  established = false;
  /** Told how a move has ended, while there is one. */
  onPath: ((outcome: MigrationOutcome) => void) | undefined = undefined;
  readonly #options: SessionOptions;
  /** Told that the connection has ended, while they care. */
  #watchers: Set<() => void> | undefined;
  readonly #pings = new Map<number, (rttMicros: number | undefined) => void>();

  constructor(options: SessionOptions) {
    this.#options = options;
    this.driver = options.driver;
  }

  /** Ties the session to its connection. */
  attach(link: Link): this {
    const { driver, messages, service, maxAnswerBytes, peer } = this.#options;
    this.link = link;
    this.outgoing = new OutgoingCalls(driver, link, messages, maxAnswerBytes);
    this.events = new OutgoingEvents(driver, link);
    this.longAnswers = new LongAnswers(driver, link, messages.codec);
    this.streams = new AgentStreams(driver, link, messages, () => this.incoming?.peer ?? peer(this));
    this.streams.session = this;
    if (service !== undefined) this.serve(service);
    return this;
  }

  /** Who is at the other end, once its key is known. */
  get peer(): PeerInfo {
    return this.incoming?.peer ?? this.#options.peer(this);
  }

  /** Serves the peer's calls from now on. Once. */
  serve(service: CallService): void {
    const { driver, messages, peer } = this.#options;
    this.incoming = new IncomingCalls(driver, this.link, messages, service, () => peer(this), (call, start) => {
      service.dispatchStream(this.streams, call, start);
    });
    this.incoming.session = this;
    this.#incomingEvents = new IncomingEvents(driver, this.link, messages.codec, service, () => this.incoming!.peer);
    this.#incomingEvents.session = this;
  }

  onEvent(event: ConnectionEvent): void {
    if ("id" in event) {
      if (isUnidirectional(event.id)) return this.#onOneWay(event);
      const stream = this.streams.size > 0 ? this.streams.get(event.id) : undefined;
      if (stream !== undefined) return onStreamEvent(stream, event);
      const answer = this.longAnswers.size > 0 ? this.longAnswers.get(event.id) : undefined;
      if (answer !== undefined) return onAnswerEvent(answer, event);
    }
    switch (event.type) {
      case "readable":
        if (this.#isOwn(event.id)) this.outgoing.onReadable(event.id);
        else if (this.incoming !== undefined) this.incoming.onReadable(event.id);
        else this.#turnAway(event.id);
        return;
      case "writable":
        if (this.#isOwn(event.id)) this.outgoing.onWritable(event.id);
        else this.incoming?.onWritable(event.id);
        return;
      case "stream_reset":
        if (this.#isOwn(event.id)) this.outgoing.onReset(event.id, event.code);
        else this.incoming?.onReset(event.id, event.code);
        return;
      case "stop_sending":
        if (this.#isOwn(event.id)) this.outgoing.onStopSending(event.id);
        else this.incoming?.onStopSending(event.id, event.code);
        return;
      case "streams_available":
        if (event.unidirectional) return this.events.onStreamsAvailable();
        // There are fewer of them, and each lives longer: a backlog of calls must not keep them waiting for good.
        this.streams.onStreamsAvailable();
        this.longAnswers.onStreamsAvailable();
        this.outgoing.onStreamsAvailable();
        return;
      case "datagram":
        this.#readDatagrams();
        return;
      case "pong": {
        const settle = this.#pings.get(event.token);
        this.#pings.delete(event.token);
        settle?.(event.rtt);
        return;
      }
      case "delivered":
        return;
      case "ticket":
        this.#options.onTicket?.(event.ticket, event.lifetime);
        return;
      case "established":
        this.established = true;
        this.outgoing.onEstablished();
        this.#options.owner.onEstablished(this);
        this.#startWaiting();
        return;
      case "path_validated":
        this.incoming?.onPeerMoved();
        this.onPath?.("moved");
        return;
      case "path_failed":
        this.onPath?.("unanswered");
        return;
      case "confirmed":
        return;
      case "closed":
        this.#onClosed(event.reason);
        return;
    }
  }

  /**
   * Sends a PING; calls back with the round trip in microseconds once it is answered, or with undefined if the
   * connection ends before. The result takes it back.
   */
  ping(onPong: (rttMicros: number | undefined) => void): () => void {
    const token = this.link.connection.ping();
    this.#pings.set(token, onPong);
    this.driver.touch(this.link);
    return () => this.#pings.delete(token);
  }

  /** Calls back when the connection ends; the result takes it back. */
  watchEnd(onEnd: () => void): () => void {
    const watchers = this.#watchers ??= new Set();
    watchers.add(onEnd);
    return () => watchers.delete(onEnd);
  }

  /** Lets a connection begin that was held back to take a call along. Does nothing to others. */
  begin(): void {
    const { connection } = this.link;
    if (!connection.isHeld) return;
    connection.begin(this.driver.clock.now());
    this.driver.touch(this.link);
  }

  /** Ends the connection; the owner is told through `onClosed`. Idempotent. */
  close(code: number = TransportError.NO_ERROR, reason = ""): void {
    if (this.closeReason !== undefined) return;
    this.link.connection.close(this.driver.clock.now(), code, reason);
    this.driver.touch(this.link);
    // The event would come with the next run; whoever closes wants to be rid of it now.
    for (let event = this.link.connection.pollEvent(); event !== undefined; event = this.link.connection.pollEvent()) {
      if (event.type === "closed") this.#onClosed(event.reason);
    }
  }

  /** The socket is gone: nothing can be sent or heard any more. */
  abandon(message: string): void {
    this.#onClosed({ by: "socket", code: TransportError.INTERNAL, message });
  }

  #onClosed(reason: ConnectionEnd): void {
    if (this.closeReason !== undefined) return;
    this.closeReason = reason;
    this.established = false;
    this.onEnd?.();
    for (const watcher of this.#watchers ?? []) watcher();
    this.onPath?.("ended");
    this.outgoing.close();
    this.incoming?.close();
    this.streams.close(connectionEnded(reason, "the stream"), isLost(reason));
    this.longAnswers.close();
    this.#incomingEvents?.close();
    this.events.close(connectionEnded(reason, "the event"));
    const pings = [...this.#pings.values()];
    this.#pings.clear();
    for (const onPong of pings) onPong(undefined);
    this.#options.owner.onClosed(this, reason);
  }

  /** What was asked for before the connection stood goes out now. */
  #startWaiting(): void {
    if (this.link.connection.role !== "initiator") return;
    this.events.onStreamsAvailable();
    this.streams.onStreamsAvailable();
    this.longAnswers.onStreamsAvailable();
    this.outgoing.onStreamsAvailable();
  }

  /** A stream that only one side writes to. */
  #onOneWay(event: StreamEvent): void {
    switch (event.type) {
      case "readable":
        if (this.#incomingEvents === undefined) this.#turnAway(event.id);
        else this.#incomingEvents.onReadable(event.id);
        return;
      case "stream_reset":
        return this.#incomingEvents?.onReset(event.id);
      case "writable":
        return this.events.onWritable(event.id);
      case "delivered":
        return this.events.onDelivered(event.id);
      case "stop_sending":
        return this.events.onStopSending(event.id, event.code);
    }
  }

  #readDatagrams(): void {
    const { datagrams } = this.link.connection;
    const { onDatagram } = this;
    const events = this.#incomingEvents;
    if (onDatagram !== undefined || events !== undefined) {
      for (let data = datagrams.read(); data !== undefined; data = datagrams.read()) {
        if (onDatagram === undefined || !onDatagram(data)) events?.onDatagram(data);
      }
    }
    datagrams.drop();
  }

  #isOwn(id: StreamId): boolean {
    return isResponderInitiated(id) === (this.link.connection.role === "responder");
  }

  /** A stream that nobody here has a use for. */
  #turnAway(id: StreamId): void {
    const { connection } = this.link;
    connection.stopSending(id, StreamError.REFUSED);
    if (!isUnidirectional(id)) connection.resetStream(id, StreamError.REFUSED);
    this.driver.touch(this.link);
  }
}

/** An event about one stream. */
type StreamEvent = Extract<ConnectionEvent, { readonly id: StreamId }>;

function onStreamEvent(stream: StreamUser, event: StreamEvent): void {
  switch (event.type) {
    case "readable":
      return stream.onReadable();
    case "writable":
      return stream.onWritable();
    case "stream_reset":
      return stream.onReset(event.code);
    case "stop_sending":
      return stream.onStopSending(event.code);
  }
}

function onAnswerEvent(answer: LongAnswer<object>, event: StreamEvent): void {
  switch (event.type) {
    case "readable":
      return answer.onReadable();
    case "writable":
      return answer.onWritable();
    case "stream_reset":
      return answer.onReset(event.code);
  }
}
