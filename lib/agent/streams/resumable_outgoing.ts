/**
 * An agent stream that this side opens, and opens again when its connection was lost (SPEC §8.13).
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { type Clock, type Micros, millis, NEVER } from "../../base/time.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import type { Metadata } from "../../codec/payloads/metadata.ts";
import type { ResumeState } from "../../codec/payloads/resume_state.ts";
import type { ResumeRequest } from "../../codec/payloads/stream_open.ts";
import type { ResumeRefusal } from "../../mesh/resumable_end.ts";
import type { AgentStreams } from "./agent_streams.ts";
import { OutgoingStream, type StreamRequest } from "./outgoing_stream.ts";
import type { ResumableStream, ResumableStreamOwner } from "./resumable_stream.ts";
import { endingError } from "./stream_failure.ts";
import type { StreamResumer } from "./stream_resumer.ts";

/** What the opener of a resumable stream has chosen. */
export interface ResumeOptions {
  /** 16 secret bytes. */
  readonly token: Uint8Array;
  /** Bytes that may be on their way to the other side's application. */
  readonly bufferBytes: number;
  /** How long the answerer is asked to keep the stream without a connection; 0: as long as it likes. */
  readonly windowMs: number;
  readonly clock: Clock;
}

/** The first StreamOpen of a stream, with its Metadata in front. @throws RangeError for bad metadata. */
export function openingOf(streams: AgentStreams, request: StreamRequest, resume: ResumeOptions): Uint8Array {
  const { streamId, target, kind, metadata } = request;
  const { token, bufferBytes, windowMs } = resume;
  const wish: ResumeRequest = { token, bufferBytes, ...(windowMs > 0 && { windowMillis: windowMs }) };
  return streams.opening(request, metadata, { streamId, target, kind, resume: wish });
}

/** One stream under way. */
export class ResumableOutgoing extends OutgoingStream<ResumableStream> implements ResumableStreamOwner {
  readonly #resume: ResumeOptions;
  readonly #resumer: StreamResumer;
  /** What the answerer said last; undefined as long as it has not taken the stream. */
  #state: ResumeState | undefined;
  /** Why there is no connection. */
  #lost: MxpError | undefined;
  #cancelWindow: (() => void) | undefined;

  constructor(streams: AgentStreams, request: StreamRequest, resume: ResumeOptions, resumer: StreamResumer) {
    super(streams, request, (owner) => {
      const { streamId, deadline, kind } = request;
      // Asks nothing of its owner before there is a connection.
      const self = owner as ResumableOutgoing;
      return streams.makeResumable(self, "opener", { streamId, deadline, ids: request }, kind, resume.bufferBytes);
    });
    this.#resume = resume;
    this.#resumer = resumer;
  }

  /** Opens it for the first time. @param opening see {@link openingOf}. */
  openOn(streams: AgentStreams, opening: Uint8Array): void {
    this.#resumer.add(this);
    this.stream.openOn(streams, opening, this.request.streamClass);
  }

  /** Opens it again where it was. */
  tryAgain(streams: AgentStreams): void {
    if (this.#state === undefined) return;
    const { streamId, kind, streamClass, metadata, deadline } = this.request;
    const { traceparent, priority } = metadata ?? {};
    const left = (deadline - this.#resume.clock.now()) / 1000;
    const again: Metadata = {
      ...(traceparent !== undefined && { traceparent }),
      ...(priority !== undefined && { priority }),
      ...(deadline !== NEVER && { deadlineMillis: Math.max(1, Math.ceil(left)) }),
    };
    const resume: ResumeRequest = { token: this.#resume.token, at: this.stream.core.received };
    // The same answerer, however it was found at first.
    const opening = streams.opening(this.request, again, { streamId, target: this.#state.agentId, kind, resume });
    if (!this.stream.openOn(streams, opening, streamClass)) this.#resumer.onLost(this);
  }

  onState(state: ResumeState): void {
    this.#state = state;
    this.#cancelWindow?.();
    this.#cancelWindow = this.#lost = undefined;
    this.#resumer.onResumed();
  }

  onLost(error: MxpError): boolean {
    // Before the answerer has taken it, nobody knows whether there is anything to go on with.
    if (this.#state === undefined || this.#state.windowMillis === 0 || !this.#resumer.onLost(this)) return false;
    this.#lost = error;
    if (this.#cancelWindow !== undefined) return true;
    const { clock } = this.#resume;
    const { windowMillis } = this.#state;
    this.#cancelWindow = clock.wakeAt((clock.now() + millis(windowMillis)) as Micros, () => {
      const text = `the stream to ${this.request.targetText} could not go on within ${windowMillis} ms: ${
        this.#lost!.message
      }`;
      this.stream.fail(new MxpError("connection_lost", text, { retryable: true }));
    });
    return true;
  }

  onRefused(refusal: ResumeRefusal): MxpError | undefined {
    const { targetText } = this.request;
    if (this.#state === undefined) return endingError({ kind: "refused", ...refusal }, targetText);
    if (refusal.code === ErrorCode.CANNOT_RESUME) {
      const text = `the stream to ${targetText} cannot go on: the other side does not know it any more`;
      return new MxpError("connection_lost", text, { retryable: true, remoteCode: refusal.code });
    }
    const error = endingError({ kind: "refused", ...refusal }, targetText)!;
    // An agent that has lost its node comes back, and until then nobody here knows it.
    const mayPass = refusal.retryable || refusal.code === ErrorCode.NO_SUCH_AGENT;
    if (!mayPass || !this.#resumer.onLost(this)) return error;
    this.#lost = error;
    return undefined;
  }

  override onOver(): void {
    this.#cancelWindow?.();
    this.#resumer.remove(this);
    super.onOver();
  }
}
