/**
 * The agent streams of one connection, whoever opened them.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { NumberMap } from "../../base/number_map.ts";
import { type Micros, NEVER } from "../../base/time.ts";
import { MessageReader } from "../../codec/message_reader.ts";
import type { Metadata } from "../../codec/payloads/metadata.ts";
import type { AgentStreamKind, StreamOpen } from "../../codec/payloads/stream_open.ts";
import { StreamReceiver, StreamSender } from "../../mesh/agent_streams.ts";
import type { CallMessages } from "../../mesh/call_messages.ts";
import type { MessageIds } from "../../mesh/message_writer.ts";
import { ResumableEnd } from "../../mesh/resumable_end.ts";
import { StreamMessages } from "../../mesh/stream_messages.ts";
import type { StreamStart } from "../../mesh/request_reader.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import { AgentStream, type AgentStreamOwner } from "./agent_stream.ts";
import type { Driver, Link } from "../driver.ts";
import type { IncomingRequest } from "../incoming_request.ts";
import { IncomingStream } from "./incoming_stream.ts";
import { OutgoingStream, type StreamRequest } from "./outgoing_stream.ts";
import type { PeerInfo } from "../peer_info.ts";
import type { Session } from "../session.ts";
import { ResumableCarrier } from "./resumable_carrier.ts";
import { openingOf, ResumableOutgoing, type ResumeOptions } from "./resumable_outgoing.ts";
import { ResumableStream, type ResumableStreamOwner } from "./resumable_stream.ts";
import type { StreamBody } from "./stream_body.ts";
import type { StreamResumer } from "./stream_resumer.ts";
import type { StreamUser } from "./stream_user.ts";

/** Streams that may wait for the peer to allow more of them. */
const MAX_QUEUED = 4_096;

/** Who waits for a transport stream. */
interface Waiting {
  readonly user: StreamUser;
  readonly streamClass: number;
}

/** All agent streams of a connection. */
export class AgentStreams {
  /** Streams that this side has opened: all of them, … */
  opened = 0;
  /** … those that came to a good end in both directions, … */
  ok = 0;
  /** … and those that did not. */
  failed = 0;
  /** The connection as a whole. Set right after construction. */
  session!: Session;
  /** Whether the connection has ended against everybody's will. */
  isLost = false;
  readonly #driver: Driver;
  readonly #link: Link;
  readonly #calls: CallMessages;
  readonly #messages: StreamMessages;
  readonly #peer: () => PeerInfo;
  /** By transport stream. Peers choose ids only within their stream limit. */
  readonly #streams = new NumberMap<StreamUser>();
  /** Those that wait for a transport stream, first come first served. */
  #queue: Waiting[] = [];
  #outgoing = 0;
  #drained: (() => void)[] = [];

  constructor(driver: Driver, link: Link, messages: CallMessages, peer: () => PeerInfo) {
    this.#driver = driver;
    this.#link = link;
    this.#calls = messages;
    this.#messages = new StreamMessages(messages.writer);
    this.#peer = peer;
  }

  /** Streams of either side that are not over and have a transport stream. */
  get size(): number {
    return this.#streams.size;
  }

  /** Streams of this side that are not over, those that wait for a transport stream included. */
  get outgoing(): number {
    return this.#outgoing;
  }

  /** Streams that wait for a transport stream. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Who is at the other end. */
  get peer(): PeerInfo {
    return this.#peer();
  }

  /** The stream on a transport stream. */
  get(id: StreamId): StreamUser | undefined {
    return this.#streams.get(id);
  }

  /** Opens one. @throws {MxpError} `overloaded` if too many wait already. @throws RangeError for bad metadata. */
  open(request: StreamRequest): OutgoingStream {
    if (this.#queue.length >= MAX_QUEUED) throw tooMany();
    const { streamId, target, kind, packing } = request;
    const seal = packing?.seal;
    const opening = this.#messages.open(request, request.metadata, { streamId, target, kind, ...(seal && { seal }) });
    const outgoing = new OutgoingStream(
      this,
      request,
      (owner) => this.make(owner, "opener", { ...request, ids: request }, request.kind),
    );
    if (packing !== undefined) outgoing.stream.packing = packing;
    const { stream } = outgoing;
    this.opened++;
    this.#outgoing++;
    stream.sendOpening(opening);
    this.#openOrQueue({ user: stream, streamClass: request.streamClass });
    return outgoing;
  }

  /** Opens a stream for somebody else, now or when the peer allows it. False if too many wait already. */
  openFor(user: StreamUser, streamClass: number): boolean {
    if (this.#queue.length >= MAX_QUEUED) return false;
    this.#openOrQueue({ user, streamClass });
    return true;
  }

  /** From now on, a stream is somebody else's, … @param stopCode what it means if the peer wants no answer. */
  adopt(id: StreamId, user: StreamUser, stopCode: number = StreamError.CANCELLED): void {
    // The opener may have stopped us before its first bytes arrived; that event has gone by.
    const isStopped = this.#link.connection.writableBytes(id) === 0;
    this.#take(id, user);
    if (isStopped) user.onStopSending(stopCode);
  }

  /** … and from now on nobody's. */
  drop(user: StreamUser): void {
    if (user.id !== -1) this.#streams.delete(user.id);
    else this.#queue = this.#queue.filter((waiting) => waiting.user !== user);
  }

  /** Takes over a stream that began as `request`. Whoever serves it decides what becomes of it. */
  accept(id: StreamId, request: IncomingRequest, start: StreamStart): IncomingStream {
    const incoming = new IncomingStream(this, request, start, this.#driver.now);
    this.adopt(id, incoming.user);
    return incoming;
  }

  /** Opens a stream that outlives this connection. @throws {MxpError} `overloaded`. @throws RangeError for bad metadata. */
  openResumable(request: StreamRequest, resume: ResumeOptions, resumer: StreamResumer): ResumableOutgoing {
    if (this.#queue.length >= MAX_QUEUED) throw tooMany();
    const opening = openingOf(this, request, resume);
    const outgoing = new ResumableOutgoing(this, request, resume, resumer);
    this.opened++;
    this.#outgoing++;
    outgoing.openOn(this, opening);
    return outgoing;
  }

  /** The StreamOpen, with its Metadata in front. @throws RangeError for bad metadata. */
  opening(ids: MessageIds, metadata: Metadata | undefined, open: StreamOpen): Uint8Array {
    return this.#messages.open(ids, metadata, open);
  }

  /** This connection's part of a stream that outlives it. */
  carry(stream: ResumableStream): ResumableCarrier {
    return new ResumableCarrier(this, this.#driver, this.#link, stream);
  }

  /** A stream that outlives this connection. */
  makeResumable(
    owner: ResumableStreamOwner,
    role: "opener" | "answerer",
    request: { readonly streamId: Uint8Array; readonly deadline: Micros; readonly ids: MessageIds },
    kind: AgentStreamKind,
    bufferBytes: number,
    reader?: MessageReader,
  ): ResumableStream {
    const { streamId, deadline, ids } = request;
    const { codec } = this.#calls;
    return new ResumableStream({
      role,
      owner,
      clock: this.#driver.clock,
      deadline,
      end: new ResumableEnd({ codec, messages: this.#messages, ids, streamId, role, kind, bufferBytes }, reader),
      mayWrite: role === "opener" || kind === "bidirectional",
    });
  }

  /** The stream behind an incoming or outgoing one. */
  make(
    owner: AgentStreamOwner,
    role: "opener" | "answerer",
    request: { readonly streamId: Uint8Array; readonly deadline: Micros; readonly ids: MessageIds },
    kind: AgentStreamKind,
    reader: MessageReader = new MessageReader(this.#calls.codec),
  ): AgentStream {
    const isOpener = role === "opener";
    const { streamId, deadline, ids } = request;
    return new AgentStream({
      driver: this.#driver,
      link: this.#link,
      role,
      owner,
      deadline,
      sender: new StreamSender(this.#messages, ids, streamId),
      receiver: new StreamReceiver(reader, streamId, {
        mayChunk: !isOpener || kind === "bidirectional",
        mayRefuse: isOpener,
      }),
      mayWrite: isOpener || kind === "bidirectional",
    });
  }

  /** An Error for a stream. */
  errorMessage(ids: MessageIds, code: number, retryable: boolean, text: string): Uint8Array {
    return this.#calls.error(ids, code, retryable, text);
  }

  /** Milliseconds until a deadline. */
  remainingMs(deadline: Micros): number {
    return deadline === NEVER ? Infinity : Math.max(0, (deadline - this.#driver.clock.now()) / 1000);
  }

  /** A stream is over. */
  remove(stream: StreamBody, failed: boolean): void {
    // One that outlives its connections drops their parts itself.
    if (stream instanceof AgentStream) this.drop(stream);
    if (stream.role === "answerer") return;
    if (failed) this.failed++;
    else this.ok++;
    if (--this.#outgoing > 0) return;
    for (const resolve of this.#drained.splice(0)) resolve();
  }

  /** Settles when no stream of this side is open any more. */
  drained(): Promise<void> {
    if (this.#outgoing === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** The peer allows more transport streams. */
  onStreamsAvailable(): void {
    while (this.#queue.length > 0 && this.#open(this.#queue[0])) this.#queue.shift();
  }

  /** The connection is over. @param isLost whether nobody wanted that, so that streams may go on over another one. */
  close(error: MxpError, isLost: boolean): void {
    this.isLost = isLost;
    for (const { user } of [...this.#queue]) user.onConnectionEnd(error);
    this.#queue = [];
    // A handler's peer has gone, whoever closed the connection.
    const gone = new MxpError("connection_lost", "the connection to who opened the stream has ended");
    for (const stream of this.#streams.values()) stream.onConnectionEnd(stream.role === "opener" ? error : gone);
  }

  #openOrQueue(waiting: Waiting): void {
    if (this.#queue.length > 0 || !this.#open(waiting)) this.#queue.push(waiting);
  }

  #open({ user, streamClass }: Waiting): boolean {
    const id = this.#link.connection.openStream(false, streamClass);
    if (id === -1) return false;
    this.#take(id, user);
    return true;
  }

  #take(id: StreamId, user: StreamUser): void {
    this.#streams.set(id, user);
    // Nobody knows when it is going to be read: calls must not have to wait for that.
    this.#link.connection.leaveCredit(id);
    user.attach(id);
  }
}

function tooMany(): MxpError {
  return new MxpError("overloaded", "too many streams are waiting for the node already", { retryable: true });
}
