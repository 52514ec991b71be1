/**
 * An agent stream that outlives its connection, of either side. What has to be sent again is the business of
 * `lib/mesh/resumable_end.ts`; here it is promises, and connections that come and go.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { type Clock, type Micros, NEVER } from "../../base/time.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import type { MessageReader } from "../../codec/message_reader.ts";
import type { ResumeState } from "../../codec/payloads/resume_state.ts";
import { MAX_CHUNK_BYTES, type StreamEnding } from "../../mesh/agent_streams.ts";
import type { ResumableEnd, ResumeGrant, ResumeRefusal } from "../../mesh/resumable_end.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import type { AgentStreamOwner } from "./agent_stream.ts";
import type { AgentStreams } from "./agent_streams.ts";
import type { ResumableCarrier } from "./resumable_carrier.ts";
import type { StreamBody } from "./stream_body.ts";

/** What whoever made the stream adds to it. */
export interface ResumableStreamOwner extends AgentStreamOwner {
  /** The connection is lost. Whether the stream may go on; if not, it fails with this error. */
  onLost(error: MxpError): boolean;
  /** Of an opener: the answerer has said where to go on. */
  onState(state: ResumeState): void;
  /** Of an opener: the answerer has turned the stream away. The error to fail with; undefined if it may be tried again. */
  onRefused(refusal: ResumeRefusal): MxpError | undefined;
}

/** What a stream is made of. */
export interface ResumableStreamParts {
  readonly role: "opener" | "answerer";
  readonly end: ResumableEnd;
  readonly owner: ResumableStreamOwner;
  readonly clock: Clock;
  readonly deadline: Micros;
  /** False for the answerer of a unidirectional stream. */
  readonly mayWrite: boolean;
}

/** A chunk that waits for room, or the end of our half behind it. */
interface PendingWrite {
  data: Uint8Array | undefined;
  readonly code: number;
  readonly reason: string;
  readonly resolve: () => void;
  readonly reject: (error: MxpError) => void;
}

interface PendingRead {
  readonly resolve: (chunk: Uint8Array | undefined) => void;
  readonly reject: (error: MxpError) => void;
}

const DONE: Promise<void> = Promise.resolve();
/** In place of an error: a half that came to a good end. */
const GOOD_END = Symbol("end");

/** A stream that can be read and written whether or not there is a connection for it. */
export class ResumableStream implements StreamBody {
  readonly role: "opener" | "answerer";
  readonly mayWrite: boolean;
  /** What is sent and what has come; for the connection's part of the stream. */
  readonly core: ResumableEnd;
  readonly #owner: ResumableStreamOwner;
  readonly #cancelDeadline: () => void;
  #carrier: ResumableCarrier | undefined;
  /** What the answerer said last. */
  #state: ResumeState | undefined;
  /** Connections over which both sides have agreed to go on. */
  #connections = 0;
  #reads: PendingRead[] = [];
  #writes: PendingWrite[] = [];
  #readEnd: typeof GOOD_END | MxpError | undefined;
  #writeEnd: typeof GOOD_END | MxpError | undefined;
  #bytesRead = 0;
  #bytesWritten = 0;
  #over = false;

  constructor(parts: ResumableStreamParts) {
    this.role = parts.role;
    this.mayWrite = parts.mayWrite;
    this.core = parts.end;
    this.#owner = parts.owner;
    // Not on the connection's wheel of deadlines, which ends with the connection.
    this.#cancelDeadline = parts.deadline === NEVER
      ? () => {}
      : parts.clock.wakeAt(parts.deadline, () => this.#owner.onDeadline());
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  get resumptions(): number {
    return Math.max(0, this.#connections - 1);
  }

  /** Whether there is a connection for it. */
  get isCarried(): boolean {
    return this.#carrier !== undefined;
  }

  // What the application does.

  read(): Promise<Uint8Array | undefined> {
    if (this.#reads.length === 0) {
      const wasHeldUp = !this.core.wantsBytes;
      const chunk = this.core.read();
      if (chunk !== undefined) {
        if (wasHeldUp) this.#carrier?.readOn();
        this.update();
        return Promise.resolve(this.#handOut(chunk));
      }
      if (this.#readEnd === GOOD_END) return Promise.resolve(undefined);
      if (this.#readEnd !== undefined) return Promise.reject(this.#readEnd);
    }
    return new Promise((resolve, reject) => this.#reads.push({ resolve, reject }));
  }

  /** Settles when there is room for more: at once, as long as the other side's application keeps up. */
  write(data: Uint8Array): Promise<void> {
    if (this.#writeEnd !== undefined) return Promise.reject(this.#writeRefusal());
    if (!this.mayWrite) {
      return Promise.reject(new MxpError("usage", "the stream is unidirectional: only who opened it sends chunks"));
    }
    this.#bytesWritten += data.length;
    let at = 0;
    if (this.#writes.length === 0 && this.core.hasRoom) {
      do {
        this.core.write(data.subarray(at, at + MAX_CHUNK_BYTES));
        at += MAX_CHUNK_BYTES;
      } while (at < data.length && this.core.hasRoom);
      this.update();
      if (at >= data.length) return DONE;
    }
    // The caller may use its memory again before there is room.
    return this.#wait(data.slice(at), 0, "");
  }

  end(code: number, reason: string): Promise<void> {
    if (this.#writeEnd !== undefined) {
      return this.#writeEnd === GOOD_END ? DONE : Promise.reject(this.#writeEnd);
    }
    this.#writeEnd = GOOD_END;
    const ended = this.#wait(undefined, code, reason);
    this.update();
    return ended;
  }

  cancel(code: number, error: MxpError): void {
    this.core.stopReading();
    this.#fail(error, code);
  }

  // What an answerer does.

  finish(code: number, reason: string): void {
    this.end(code, reason).catch(ignore);
    this.stopReading(code === ErrorCode.UNSPECIFIED ? StreamError.NO_ERROR : StreamError.INTERNAL);
  }

  refuse(message: Uint8Array, code: number): void {
    if (this.#over) return;
    const error = new MxpError("refused", "the stream was turned away");
    const carrier = this.#carrier;
    this.#carrier = undefined;
    carrier?.refuse(message, code);
    this.#readEnd ??= error;
    this.#writeEnd ??= error;
    this.#finishOver();
  }

  stopReading(_code: number): void {
    if (this.#over) return;
    this.#readEnd ??= new MxpError("closed", "nobody reads this stream any more");
    this.core.stopReading();
    this.#settleReads();
    this.update();
  }

  /** The connection's first part of it, before {@link begin}. */
  carryOn(streams: AgentStreams): ResumableCarrier {
    return this.#carrier = streams.carry(this);
  }

  /** The stream is taken: the opener is told what it may send. */
  begin(grant: ResumeGrant): void {
    if (this.#over) return;
    this.core.attachAnswerer(grant);
    this.#connections = 1;
    this.update();
  }

  /** The opener goes on over another connection; false if it asks for what is not here any more. */
  goOn(streams: AgentStreams, id: StreamId, grant: ResumeGrant, at: number, reader: MessageReader): boolean {
    if (this.#over || !this.core.attachAnswerer(grant, at, reader)) return false;
    // The opener may know before us that the old connection is lost.
    this.#carrier?.reset(StreamError.GONE);
    const carrier = this.carryOn(streams);
    this.#connections++;
    streams.adopt(id, carrier, StreamError.GONE);
    this.update();
    return true;
  }

  // What an opener does.

  /** Opens it on a connection, at first or again. False if that has too many waiting. @param opening the StreamOpen. */
  openOn(streams: AgentStreams, opening: Uint8Array, streamClass: number): boolean {
    this.core.attachOpener(opening);
    this.#state = undefined;
    const carrier = this.carryOn(streams);
    if (streams.openFor(carrier, streamClass)) return true;
    this.#carrier = undefined;
    this.core.detach();
    return false;
  }

  // Events of the connection.

  /** Something has come, or there is room: whoever waits is served, and what there is to send leaves. */
  update(): void {
    if (this.#over) return;
    this.#takeState();
    this.#takeWrites();
    this.#serveReads();
    const { refusal, ending } = this.core;
    if (refusal !== undefined) return this.#onRefusal(refusal);
    if (ending?.kind === "violation") return this.#fail(this.#endingError(ending), StreamError.MALFORMED);
    this.#carrier?.pump();
    if (this.core.isOver && this.#writes.length === 0) this.#finishOver();
  }

  /** The connection is lost; the stream may go on without it. */
  lose(error: MxpError): void {
    this.#carrier = undefined;
    this.core.detach();
    this.update();
    if (!this.#over && !this.#owner.onLost(error)) this.fail(error);
  }

  /** The stream has failed; what had arrived can still be read. */
  fail(error: MxpError, code: number = StreamError.GONE): void {
    this.#fail(error, code);
  }

  /** The error for a stream that the other side gave up. */
  resetError(code: number): MxpError {
    return this.#owner.resetError(code);
  }

  #wait(data: Uint8Array | undefined, code: number, reason: string): Promise<void> {
    return new Promise((resolve, reject) => this.#writes.push({ data, code, reason, resolve, reject }));
  }

  #writeRefusal(): MxpError {
    return this.#writeEnd instanceof MxpError
      ? this.#writeEnd
      : new MxpError("usage", "the stream was closed for writing");
  }

  #handOut(chunk: Uint8Array): Uint8Array {
    this.#bytesRead += chunk.length;
    return chunk;
  }

  #takeState(): void {
    const { state } = this.core;
    if (state === undefined || state === this.#state) return;
    this.#state = state;
    this.#connections++;
    this.#owner.onState(state);
  }

  #takeWrites(): void {
    if (this.core.isEnough) return this.#stopWriting();
    while (this.#writes.length > 0) {
      const write = this.#writes[0];
      if (write.data === undefined) this.core.end(write.code, write.reason);
      else {
        if (!this.core.hasRoom) return;
        this.core.write(write.data.subarray(0, MAX_CHUNK_BYTES));
        write.data = write.data.subarray(MAX_CHUNK_BYTES);
        if (write.data.length > 0) continue;
      }
      this.#writes.shift();
      write.resolve();
    }
  }

  /** The other side wants no more, and that is all: what it says is still of interest. */
  #stopWriting(): void {
    const reason = this.#readEnd instanceof MxpError ? this.#readEnd : undefined;
    const error = reason ?? new MxpError("closed", "the other side wants no more of this stream");
    this.#writeEnd ??= error;
    for (const { data, resolve, reject } of this.#writes.splice(0)) {
      if (data === undefined) resolve();
      else reject(error);
    }
  }

  #serveReads(): void {
    while (this.#reads.length > 0) {
      const chunk = this.core.read();
      if (chunk === undefined) break;
      this.#reads.shift()!.resolve(this.#handOut(chunk));
    }
    const { ending } = this.core;
    if (ending?.kind === "closed") this.#readEnd ??= this.#owner.endingError(ending) ?? GOOD_END;
    this.#settleReads();
  }

  #settleReads(): void {
    const end = this.#readEnd;
    if (end === undefined) return;
    for (const { resolve, reject } of this.#reads.splice(0)) {
      if (end === GOOD_END) resolve(undefined);
      else reject(end as MxpError);
    }
  }

  #onRefusal(refusal: ResumeRefusal): void {
    const error = this.#owner.onRefused(refusal);
    if (error !== undefined) return this.#fail(error, StreamError.NO_ERROR);
    this.#carrier?.reset(StreamError.NO_ERROR);
    this.#carrier = undefined;
    this.core.detach();
  }

  #endingError(ending: StreamEnding): MxpError {
    return this.#owner.endingError(ending)!;
  }

  #fail(error: MxpError, code: number): void {
    if (this.#over) return;
    this.#carrier?.reset(code);
    this.#carrier = undefined;
    this.core.detach();
    // Of a stream that was over but for the last acknowledgement nothing is lost.
    const isWhole = this.#readEnd === GOOD_END && this.#writeEnd === GOOD_END && this.#writes.length === 0;
    this.#readEnd ??= error;
    this.#writeEnd ??= error;
    for (const { reject } of this.#writes.splice(0)) reject(error);
    this.#settleReads();
    if (!isWhole) this.#owner.onFailed(error);
    this.#finishOver();
  }

  #finishOver(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelDeadline();
    this.#carrier?.release();
    this.#carrier = undefined;
    this.#owner.onOver();
  }
}

function ignore(): void {}
