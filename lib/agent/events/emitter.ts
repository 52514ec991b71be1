/**
 * The events that a client sends.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { nilUuid } from "../../base/uuid.ts";
import { MAX_PAYLOAD_BYTES } from "../../codec/message_header.ts";
import { MessageType } from "../../codec/message_type.ts";
import { sizeOfEvent } from "../../codec/payloads/event.ts";
import type { Metadata } from "../../codec/payloads/metadata.ts";
import { EventMessages } from "../../mesh/event_messages.ts";
import type { MessageIds } from "../../mesh/message_writer.ts";
import { topicProblem } from "../../mesh/topics.ts";
import type { CallOutcome } from "../../mesh/pending_calls.ts";
import { StreamClass } from "../../transport/scheduler.ts";
import { bodyUnlessAborted, type CallBody, eventTooLarge } from "../call_body.ts";
import { newCall, NO_OPTIONS } from "../calls/caller.ts";
import { asMxpError, type ClientCore, DEFAULT_CALL_TIMEOUT_MS } from "../client_core.ts";
import type { EventOptions } from "../client_types.ts";
import type { OutgoingCall } from "../calls/outgoing_calls.ts";
import { streamClassOf } from "../priority.ts";
import { quote } from "../quote.ts";
import { type Packed, RequestPacking } from "../packing/request_packing.ts";
import { metadataOf } from "../request_metadata.ts";
import { checkTimeout } from "../time_limit.ts";

const encoder = new TextEncoder();

/** @throws {MxpError} `usage` for what nothing can be published under. */
export function checkTopic(topic: string): void {
  if (typeof topic !== "string") throw new MxpError("usage", `a topic is text, got ${typeof topic}`);
  const problem = topicProblem(topic);
  if (problem !== undefined) throw new MxpError("usage", `the topic ${quote(topic)} ${problem}`);
}

/** Sends events. One for a client. */
export class Emitter {
  readonly #core: ClientCore;
  readonly #events: EventMessages;

  constructor(core: ClientCore) {
    this.#core = core;
    this.#events = new EventMessages(core.messages.writer);
  }

  /** See `Client.emit`. */
  async emit(topic: string, data: CallBody | undefined, options: EventOptions): Promise<void> {
    const core = this.#core;
    const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal, ack = false, capability } = options;
    checkTopic(topic);
    checkTimeout(timeoutMs);
    if (capability !== undefined && options.agent !== undefined) {
      throw new MxpError("usage", "an event goes to an agent or to a capability; give one of them");
    }
    const agent = capability === undefined ? options.agent ?? core.url.agent : undefined;
    core.checkOpen();
    const collected = bodyUnlessAborted(
      data,
      MAX_PAYLOAD_BYTES,
      "the event",
      signal,
      (onEnd) => core.session.watchEnd(onEnd),
    );
    const bytes = collected instanceof Promise ? await collected : collected;
    if (bytes === undefined) {
      core.checkOpen();
      throw core.failure({ kind: "aborted" }, agent, timeoutMs, signal, "event");
    }
    const packing = options === NO_OPTIONS ? undefined : RequestPacking.of(core.platform, core.identity, options);
    if (packing?.isSealed && ack) {
      throw new MxpError("usage", "an Ack is not sealed, so a sealed event has none; call the agent to be sure of it");
    }
    if (packing?.isSealed && agent === undefined && capability === undefined && !packing.isFor(core.url.publicKey)) {
      throw new MxpError(
        "usage",
        "a sealed event needs an agent that it is for: it cannot be sealed to subscribers, whom nobody knows",
      );
    }
    const target = agent === undefined ? nilUuid() : core.target(agent);
    const clear = this.#metadata(options, agent, ack ? timeoutMs : 0);
    const trace = core.trace(clear, options.traceId);
    const event = packing === undefined
      ? { data: bytes, flags: 0, metadata: clear }
      : await packing.pack({ type: MessageType.EVENT, ...trace, more: encoder.encode(topic) }, target, clear, bytes);
    core.checkOpen();
    if (signal?.aborted) throw core.failure({ kind: "aborted" }, agent, timeoutMs, signal, "event");
    core.session.begin();
    if (!ack || options.unreliable === true) {
      if (ack) throw new MxpError("usage", "an event is either unreliable or acknowledged");
      core.ids.next();
      const { high: idHigh, low: idLow } = core.ids;
      const message = this.#event({ idHigh, idLow, ...trace }, topic, event, false);
      const streamClass = streamClassOf(options.priority, StreamClass.BULK);
      if (options.unreliable !== true) return await core.session.events.emit(message, streamClass, signal);
      return core.session.events.emitUnreliable(message, streamClass);
    }
    let call!: OutgoingCall;
    const outcome = await new Promise<CallOutcome>((resolve) => {
      call = newCall(core, timeoutMs, resolve);
      call.expected = MessageType.ACK;
      call.streamClass = streamClassOf(options.priority, StreamClass.INTERACTIVE);
      try {
        call.traceHigh = trace.traceHigh;
        call.traceLow = trace.traceLow;
        if (signal !== undefined) core.follow(signal, call);
        core.send(call, this.#event(call, topic, event, true));
      } catch (error) {
        core.session.outgoing.fail(call, error);
      }
    });
    if (outcome.kind === "response") return;
    if (call.problem !== undefined) throw asMxpError(call.problem);
    throw core.failure(outcome, agent, timeoutMs, signal, "event", !call.isBegun);
  }

  #metadata(options: EventOptions, agent: string | undefined, timeoutMs: number): Metadata | undefined {
    const metadata = options === NO_OPTIONS ? undefined : metadataOf(options, undefined, timeoutMs);
    return agent === undefined ? metadata : { ...metadata, target: this.#core.target(agent) };
  }

  /** An encoded Event. @throws {MxpError} `too_large`, `usage`. */
  #event(
    ids: MessageIds,
    topic: string,
    { data, flags, metadata }: Packed & { readonly metadata: Metadata | undefined },
    requiresAck: boolean,
  ): Uint8Array {
    const size = sizeOfEvent({ topic, data });
    if (size > MAX_PAYLOAD_BYTES) throw eventTooLarge(size - data.length);
    try {
      return this.#events.event(ids, metadata, { topic, data }, requiresAck, flags);
    } catch (error) {
      throw asMxpError(error);
    }
  }
}
