/**
 * An agent stream that a peer opens.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { type Micros, NEVER } from "../../base/time.ts";
import { formatUuid } from "../../base/uuid.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import type { StreamEnding } from "../../mesh/agent_streams.ts";
import { formatId64 } from "../../mesh/id_sequence.ts";
import type { StreamStart } from "../../mesh/request_reader.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { ResumeRequest } from "../../codec/payloads/stream_open.ts";
import { LEAST_BUFFER_BYTES } from "../../mesh/resumable_end.ts";
import type { AgentStreams } from "./agent_streams.ts";
import { deferred } from "../deferred.ts";
import { IncomingRequest } from "../incoming_request.ts";
import { MxpStream } from "./mxp_stream.ts";
import type { PeerInfo } from "../peer_info.ts";
import type { Session } from "../session.ts";
import type { ResumableStreamOwner } from "./resumable_stream.ts";
import type { StreamBody } from "./stream_body.ts";
import { endingError, resetError } from "./stream_failure.ts";
import type { StreamUser } from "./stream_user.ts";

/** How a stream ended, for the counters. */
export type StreamOutcome = "ok" | "failed" | "refused" | "cancelled";

/** Who keeps a resumable stream while there is no connection for it. */
export interface StreamKeeper {
  /** The connection is lost; false if nobody waits for another one. */
  park(): boolean;
  /** The stream is over. */
  release(): void;
}

/** One incoming stream. Its handler sees the {@link MxpStream} and a context. */
export class IncomingStream extends IncomingRequest implements ResumableStreamOwner {
  readonly stream: StreamBody;
  /** Who has the transport stream at first. */
  readonly user: StreamUser;
  /** The agent stream's id, 16 bytes. */
  readonly streamId: Uint8Array;
  /** What its opener wants in case that the connection is lost. */
  readonly resume: ResumeRequest | undefined;
  keeper: StreamKeeper | undefined = undefined;
  readonly mxpStream: MxpStream;
  /** Called once when the opener has gone, before the handler has come back. */
  onAbandoned: (() => void) | undefined = undefined;
  /** How it ended, as soon as that is settled. */
  outcome: StreamOutcome | undefined = undefined;
  readonly #streams: AgentStreams;
  readonly #closed = deferred<void>();

  /** Takes over what `request` has learned of the stream's beginning. */
  constructor(streams: AgentStreams, request: IncomingRequest, start: StreamStart, now: Micros) {
    super();
    this.#streams = streams;
    this.idHigh = request.idHigh;
    this.idLow = request.idLow;
    this.traceHigh = request.traceHigh;
    this.traceLow = request.traceLow;
    this.target = request.target;
    this.details = request.details;
    const wait = request.details.deadlineMillis ?? 0;
    this.deadline = wait === 0 ? NEVER : (now + wait * 1000) as Micros;
    const { streamId, kind, resume } = start.open;
    this.streamId = streamId;
    this.resume = resume;
    const parts = { streamId, deadline: this.deadline, ids: this };
    if (resume !== undefined && resume.at === undefined) {
      const stream = streams.makeResumable(this, "answerer", parts, kind, LEAST_BUFFER_BYTES, start.reader);
      this.stream = stream;
      this.user = stream.carryOn(streams);
    } else this.stream = this.user = streams.make(this, "answerer", parts, kind, start.reader);
    this.mxpStream = new MxpStream({
      stream: this.stream,
      id: formatUuid(streamId),
      traceId: formatId64(this.traceHigh, this.traceLow),
      closed: this.#closed.promise,
      cancel: (reason) => this.#cancel(reason),
      stopReading: () => this.stream.stopReading(StreamError.NO_ERROR),
    });
  }

  override get peer(): PeerInfo {
    return this.#streams.peer;
  }

  override get session(): Session {
    return this.#streams.session;
  }

  override remainingMs(): number {
    return this.#streams.remainingMs(this.deadline);
  }

  override expired(): void {
    // The stream itself is on the wheel.
  }

  /** Turns the stream away before any handler has it. */
  refuse(code: number, retryable: boolean, text: string): void {
    this.outcome = "refused";
    // Who has sealed it is told under the seal, which an Error has no room for.
    if (this.sealedBy !== undefined) return this.stream.finish(code, text);
    this.stream.refuse(this.#streams.errorMessage(this, code, retryable, text), StreamError.REFUSED);
  }

  /** The handler has come back well. */
  finish(): void {
    this.outcome ??= "ok";
    this.stream.finish(ErrorCode.UNSPECIFIED, "");
  }

  /** The handler has failed. */
  fail(code: number, text: string): void {
    this.outcome ??= "failed";
    this.stream.finish(code, text);
  }

  endingError(ending: StreamEnding): MxpError | undefined {
    return endingError(ending, this.peer.address);
  }

  resetError(code: number): MxpError {
    return code === StreamError.DEADLINE
      ? new MxpError("deadline", "the deadline of who opened the stream has passed")
      : code === StreamError.CANCELLED || code === StreamError.NO_ERROR
      ? new MxpError("cancelled", "the stream was cancelled by who opened it")
      : resetError(code);
  }

  onFailed(error: MxpError): void {
    this.outcome ??= error.code === "cancelled" || error.code === "connection_lost" ? "cancelled" : "failed";
    this.abort(error.code, error.message);
    this.onAbandoned?.();
  }

  onDeadline(): void {
    const error = new MxpError("deadline", "the deadline of who opened the stream has passed");
    this.outcome ??= "failed";
    this.abort(error.code, error.message);
    this.stream.finish(ErrorCode.DEADLINE_EXCEEDED, "the deadline passed before the stream was over");
    this.onAbandoned?.();
  }

  onLost(_error: MxpError): boolean {
    return this.keeper?.park() ?? false;
  }

  onState(): void {
    // Only openers are told.
  }

  onRefused(): MxpError | undefined {
    return undefined;
  }

  onOver(): void {
    this.keeper?.release();
    this.#streams.remove(this.stream, false);
    this.#closed.resolve();
  }

  #cancel(reason: unknown): void {
    const error = new MxpError("cancelled", "the stream was cancelled here", { cause: reason });
    this.outcome ??= "failed";
    this.stream.cancel(StreamError.CANCELLED, error);
  }
}
