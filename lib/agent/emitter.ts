/**
 * The events that a client sends.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import { MAX_PAYLOAD_BYTES } from "../codec/message_header.ts";
import { MessageType } from "../codec/message_type.ts";
import { sizeOfEvent } from "../codec/payloads/event.ts";
import type { Metadata } from "../codec/payloads/metadata.ts";
import { EventMessages } from "../mesh/event_messages.ts";
import type { MessageIds } from "../mesh/message_writer.ts";
import type { CallOutcome } from "../mesh/pending_calls.ts";
import { StreamClass } from "../transport/scheduler.ts";
import { bodyUnlessAborted, type CallBody, eventTooLarge } from "./call_body.ts";
import { newCall, NO_OPTIONS } from "./caller.ts";
import { asMxpError, type ClientCore, DEFAULT_CALL_TIMEOUT_MS } from "./client_core.ts";
import type { EventOptions } from "./client_types.ts";
import type { OutgoingCall } from "./outgoing_calls.ts";
import { streamClassOf } from "./priority.ts";
import { metadataOf } from "./request_metadata.ts";
import { checkTimeout } from "./time_limit.ts";

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
    const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal, ack = false } = options;
    if (typeof topic !== "string") throw new MxpError("usage", `a topic is text, got ${typeof topic}`);
    checkTimeout(timeoutMs);
    core.checkOpen();
    const collected = bodyUnlessAborted(data, MAX_PAYLOAD_BYTES, "the event", signal);
    const bytes = collected instanceof Promise ? await collected : collected;
    if (bytes === undefined) throw core.failure({ kind: "aborted" }, undefined, timeoutMs, signal, "event");
    core.checkOpen();
    core.session.begin();
    if (!ack || options.unreliable === true) {
      if (ack) throw new MxpError("usage", "an event is either unreliable or acknowledged");
      core.ids.next();
      const { high: idHigh, low: idLow } = core.ids;
      const metadata = options === NO_OPTIONS ? undefined : metadataOf(options, undefined, 0);
      const ids = { idHigh, idLow, ...core.trace(metadata, options.traceId) };
      const message = this.#event(ids, metadata, topic, bytes, false);
      const streamClass = streamClassOf(options.priority, StreamClass.BULK);
      if (options.unreliable !== true) return await core.session.events.emit(message, streamClass);
      return core.session.events.emitUnreliable(message, streamClass);
    }
    let call!: OutgoingCall;
    const outcome = await new Promise<CallOutcome>((resolve) => {
      call = newCall(core, timeoutMs, resolve);
      call.expected = MessageType.ACK;
      call.streamClass = streamClassOf(options.priority, StreamClass.INTERACTIVE);
      try {
        const metadata = metadataOf(options, undefined, timeoutMs);
        const { traceHigh, traceLow } = core.trace(metadata, options.traceId);
        call.traceHigh = traceHigh;
        call.traceLow = traceLow;
        if (signal !== undefined) core.follow(signal, call);
        core.send(call, this.#event(call, metadata, topic, bytes, true));
      } catch (error) {
        core.session.outgoing.fail(call, error);
      }
    });
    if (outcome.kind === "response") return;
    if (call.problem !== undefined) throw asMxpError(call.problem);
    throw core.failure(outcome, undefined, timeoutMs, signal, "event");
  }

  /** An encoded Event. @throws {MxpError} `too_large`, `usage`. */
  #event(
    ids: MessageIds,
    metadata: Metadata | undefined,
    topic: string,
    data: Uint8Array,
    requiresAck: boolean,
  ): Uint8Array {
    const size = sizeOfEvent({ topic, data });
    if (size > MAX_PAYLOAD_BYTES) throw eventTooLarge(size - data.length);
    try {
      return this.#events.event(ids, metadata, { topic, data }, requiresAck);
    } catch (error) {
      throw asMxpError(error);
    }
  }
}
