/**
 * Passes agent streams on to agents that registered over their own connections (SPEC §8.11).
 *
 * @module
 */

import { concatBytes } from "../../base/bytes.ts";
import type { Random } from "../../base/random.ts";
import { UUID_BYTES } from "../../base/uuid.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { MessageType } from "../../codec/message_type.ts";
import type { CallMessages } from "../../mesh/call_messages.ts";
import { IdSequence } from "../../mesh/id_sequence.ts";
import type { MessageWriter } from "../../mesh/message_writer.ts";
import type { RegisteredAgent } from "../../mesh/registered_agent.ts";
import type { RequestProblem, StreamStart } from "../../mesh/request_reader.ts";
import { StreamMessages } from "../../mesh/stream_messages.ts";
import type { StreamClass } from "../../transport/scheduler.ts";
import type { AgentLinks, Wanted } from "./agent_links.ts";
import type { IncomingCall } from "../calls/incoming_call.ts";
import type { StreamOutcome } from "../streams/incoming_stream.ts";
import { DEFAULT_HOPS } from "../onward/hops.ts";
import { streamClassOf } from "../priority.ts";
import { notOnPlain, type OnOver, relayedMetadata, wantedBy, withExtensions } from "./relayed_request.ts";
import { RelayedStream } from "./relayed_stream.ts";

/** Agent streams that were passed on. */
export interface StreamRelayStats {
  /** Streams that were passed on and are not over. */
  readonly running: number;
  /** Streams that were passed on. */
  readonly total: number;
  /** Those that ended because their agent had gone, or because nobody could be reached any more. */
  readonly failed: number;
  /** Times that a stream went to another agent, because one had gone before it said anything. */
  readonly failovers: number;
  /** Bytes of data in chunks, from who opened the streams to agents, … */
  readonly toAgents: number;
  /** … and back. */
  readonly fromAgents: number;
}

/** Bytes with which a stream may begin that nobody counts. */
const FREE_BEGINNING = 16_384;

/** What it works with. */
export interface StreamRouterParts {
  readonly links: AgentLinks;
  readonly random: Random;
  readonly messages: CallMessages;
  readonly onOver?: OnOver | undefined;
}

/** Finds agents for streams. One for a node. */
export class StreamRouter {
  readonly links: AgentLinks;
  readonly calls: CallMessages;
  readonly streams: StreamMessages;
  readonly counters = { running: 0, total: 0, failed: 0, failovers: 0, toAgents: 0, fromAgents: 0 };
  readonly #parts: StreamRouterParts;
  readonly #ids: IdSequence;

  constructor(parts: StreamRouterParts) {
    this.#parts = parts;
    this.links = parts.links;
    this.calls = parts.messages;
    this.streams = new StreamMessages(parts.messages.writer);
    this.#ids = new IdSequence(parts.random);
  }

  /** Writes the messages of all connections. */
  get writer(): MessageWriter {
    return this.calls.writer;
  }

  /**
   * Passes a stream on. False if no agent is meant by it.
   *
   * @param ended called once, when it is over; not if it is refused.
   */
  route(request: IncomingCall, start: StreamStart, ended: (outcome: StreamOutcome) => void): boolean | RequestProblem {
    const { capability, hopLimit = DEFAULT_HOPS, priority } = request.details;
    const meant = this.links.meant(wantedBy(request));
    if (meant === undefined) return false;
    if (meant.isPlain) return notOnPlain(meant, "agent streams");
    if (hopLimit === 0) {
      return { code: ErrorCode.HOP_LIMIT, retryable: false, text: "the stream was passed on too often" };
    }
    const session = request.calls.session!;
    const { budget } = session.incoming!;
    const weight = this.#weightOf(request, start);
    if (weight > 0 && !budget.reserve(weight)) {
      return { code: ErrorCode.OVERLOADED, retryable: true, text: "no memory for the beginning of the stream now" };
    }
    if (capability === undefined) request.agentName = meant.register.name;
    this.counters.running++;
    this.counters.total++;
    this.#ids.next();
    const { high: idHigh, low: idLow } = this.#ids;
    const { traceHigh, traceLow, stream } = request;
    const streamClass = streamClassOf(priority, session.link.connection.streamClass(stream) as StreamClass);
    const ids = { idHigh, idLow, traceHigh, traceLow };
    new RelayedStream(this, request, start, hopLimit - 1, ids, streamClass, (outcome) => {
      if (weight > 0) budget.release(weight);
      ended(outcome);
    }).begin();
    return true;
  }

  /** What is set aside of the memory budget for what begins a stream: nothing as long as it is little. */
  #weightOf({ details, extensions }: IncomingCall, { payload }: StreamStart): number {
    const messages = extensions.reduce((sum, extension) => sum + extension.payload.length, payload.length);
    const weight = messages + this.writer.metadataLength(details);
    return weight > FREE_BEGINNING ? weight : 0;
  }

  /** Whom a stream is for. */
  wanted(request: IncomingCall): Wanted {
    return wantedBy(request);
  }

  /** What begins a stream to an agent: as it came, but for its target, its ids, and what Metadata says of the way. */
  opening(stream: RelayedStream, agent: RegisteredAgent): Uint8Array {
    const { request, start, ids } = stream;
    const { writer } = this;
    const payload = start.payload.slice();
    payload.set(agent.stored.agentId, UUID_BYTES);
    const metadata = relayedMetadata(request, stream.hops, stream.remainingMs());
    const head = new Uint8Array(writer.metadataLength(metadata));
    writer.metadata(head, ids, metadata);
    const open = writer.message(MessageType.STREAM_OPEN, start.flags, ids, payload);
    return withExtensions(writer, request, ids, concatBytes(head, open));
  }

  /** A stream is over. */
  onOver({ request }: RelayedStream, agent: RegisteredAgent | undefined, outcome: StreamOutcome): void {
    this.counters.running--;
    this.#parts.onOver?.(request, agent, outcome);
  }
}
