/**
 * An agent stream that this side opens.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import type { Micros } from "../../base/time.ts";
import { formatUuid, isNilUuid } from "../../base/uuid.ts";
import type { AgentStreamKind } from "../../codec/payloads/stream_open.ts";
import type { Metadata } from "../../codec/payloads/metadata.ts";
import type { StreamEnding } from "../../mesh/agent_streams.ts";
import { formatId64 } from "../../mesh/id_sequence.ts";
import type { MessageIds } from "../../mesh/message_writer.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { AgentStream, AgentStreamOwner } from "./agent_stream.ts";
import type { StreamBody } from "./stream_body.ts";
import type { AgentStreams } from "./agent_streams.ts";
import { deferred } from "../deferred.ts";
import { unsealedError } from "../packing/request_packing.ts";
import type { OpeningPacking } from "../packing/stream_packing.ts";
import { MxpStream } from "./mxp_stream.ts";
import { endingError, resetError } from "./stream_failure.ts";

/** What a stream is opened with. */
export interface StreamRequest extends MessageIds {
  /** 16 bytes, chosen by us. */
  readonly streamId: Uint8Array;
  /** 16 bytes; nil for the node itself. */
  readonly target: Uint8Array;
  readonly kind: AgentStreamKind;
  readonly metadata: Metadata | undefined;
  readonly streamClass: number;
  readonly deadline: Micros;
  /** The same in milliseconds from when it was opened, for the error. */
  readonly timeoutMs: number;
  /** Names the other side in errors. */
  readonly targetText: string;
  readonly signal: AbortSignal | undefined;
  /** How it is packed; undefined for a stream that goes as it is. */
  readonly packing: OpeningPacking | undefined;
}

/** One stream under way. */
export class OutgoingStream<B extends StreamBody = AgentStream> implements AgentStreamOwner {
  readonly request: StreamRequest;
  readonly mxpStream: MxpStream;
  readonly #streams: AgentStreams;
  readonly #closed = deferred<void>();
  readonly #stream: B;
  readonly #onAbort = (): void => this.#cancel(this.request.signal!.reason);
  #failed = false;

  /** @param make what is behind it; told of its owner, which it must not use yet. */
  constructor(streams: AgentStreams, request: StreamRequest, make: (owner: OutgoingStream<B>) => B) {
    this.#streams = streams;
    this.request = request;
    this.#stream = make(this);
    this.mxpStream = new MxpStream({
      stream: this.#stream,
      id: formatUuid(request.streamId),
      traceId: formatId64(request.traceHigh, request.traceLow),
      closed: this.#closed.promise,
      cancel: (reason) => this.#cancel(reason),
      stopReading: () => this.#cancel(undefined),
    });
    request.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** What is behind it. */
  get stream(): B {
    return this.#stream;
  }

  endingError(ending: StreamEnding): MxpError | undefined {
    const error = endingError(ending, this.request.targetText);
    if (error === undefined) return undefined;
    this.#failed = true;
    const { packing, target } = this.request;
    const isUnsealed = ending.kind === "refused" && packing?.seal !== undefined && !packing.isForPeer;
    return isUnsealed ? unsealedError(error, !isNilUuid(target)) : error;
  }

  resetError(code: number): MxpError {
    return resetError(code);
  }

  onFailed(_error: MxpError): void {
    this.#failed = true;
  }

  onDeadline(): void {
    const { targetText, timeoutMs } = this.request;
    const error = new MxpError("deadline", `the stream to ${targetText} was not over within ${timeoutMs} ms`);
    this.#stream.cancel(StreamError.DEADLINE, error);
  }

  onOver(): void {
    this.request.signal?.removeEventListener("abort", this.#onAbort);
    this.#streams.remove(this.#stream, this.#failed);
    this.#closed.resolve();
  }

  #cancel(reason: unknown): void {
    const error = new MxpError("cancelled", `the stream to ${this.request.targetText} was cancelled`, {
      cause: reason,
    });
    this.#stream.cancel(StreamError.CANCELLED, error);
  }
}
