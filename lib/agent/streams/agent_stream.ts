/**
 * One agent stream on a connection, of either side: chunks as far as the peer lets us, chunks as somebody asks for them,
 * and an end for each half. What may be sent when is the business of `lib/mesh/agent_streams.ts`.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { type Micros, NEVER } from "../../base/time.ts";
import { MAX_CHUNK_BYTES, type StreamEnding, StreamReceiver, type StreamSender } from "../../mesh/agent_streams.ts";
import type { WheelEntry } from "../../mesh/deadline_wheel.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import type { Driver, Link } from "../driver.ts";
import type { StreamBody } from "./stream_body.ts";
import type { StreamPacking } from "../packing/stream_packing.ts";
import type { StreamUser } from "./stream_user.ts";

/** What whoever made the stream adds to it: words for errors, and what else an end means. */
export interface AgentStreamOwner {
  /** The error for the receiving half's ending; undefined for a good end. */
  endingError(ending: StreamEnding): MxpError | undefined;
  /** The error for a stream that the peer reset. */
  resetError(code: number): MxpError;
  /** The stream failed as a whole, by this error: nobody may write or read any more. */
  onFailed(error: MxpError): void;
  /** The deadline has passed. */
  onDeadline(): void;
  /** Both halves are over; called once. */
  onOver(): void;
}

/** What a stream is made of. */
export interface AgentStreamParts {
  readonly driver: Driver;
  readonly link: Link;
  readonly role: "opener" | "answerer";
  readonly sender: StreamSender;
  readonly receiver: StreamReceiver;
  readonly owner: AgentStreamOwner;
  readonly deadline: Micros;
  /** False for the answerer of a unidirectional stream. */
  readonly mayWrite: boolean;
}

/** Bytes that wait for the transport to take them. */
interface PendingWrite {
  bytes: Uint8Array;
  readonly fin: boolean;
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

/** An agent stream. Errors are what {@link AgentStreamOwner} makes of them; the first one counts. */
export class AgentStream implements StreamBody, StreamUser, WheelEntry {
  readonly deadline: Micros;
  wheelSlot = -1;
  wheelNext: WheelEntry | undefined = undefined;
  wheelPrevious: WheelEntry | undefined = undefined;
  /** −1 while it waits for the peer to allow one more stream. */
  id: StreamId | -1 = -1;
  readonly role: "opener" | "answerer";
  readonly #sender: StreamSender;
  readonly #driver: Driver;
  readonly #link: Link;
  readonly #receiver: StreamReceiver;
  readonly #owner: AgentStreamOwner;
  /** False for the answerer of a unidirectional stream. */
  readonly mayWrite: boolean;
  /** Chunks that were decoded together with one that somebody asked for. */
  #chunks: Uint8Array[] = [];
  #reads: PendingRead[] = [];
  #writes: PendingWrite[] = [];
  #readEnd: typeof GOOD_END | MxpError | undefined;
  #writeEnd: typeof GOOD_END | MxpError | undefined;
  /** Whether the transport has nothing more to do for each half. */
  #readOver = false;
  #writeOver = false;
  /** The peer reads no more, and may be about to say why. */
  #awaitsReason = false;
  /** Why the connection has ended; what had arrived by then can still be read. */
  #lost: MxpError | undefined;
  #bytesRead = 0;
  #bytesWritten = 0;
  #failed = false;
  #over = false;

  constructor(parts: AgentStreamParts) {
    this.#driver = parts.driver;
    this.#link = parts.link;
    this.role = parts.role;
    this.#sender = parts.sender;
    this.#receiver = parts.receiver;
    this.#owner = parts.owner;
    this.deadline = parts.deadline;
    this.mayWrite = parts.mayWrite;
    if (parts.deadline !== NEVER) {
      parts.driver.deadlines.add(this);
      parts.driver.armDeadlines();
    }
  }

  /** Bytes of chunks that were handed out. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes of chunks that were taken for sending. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** It ends with its connection. */
  get resumptions(): number {
    return 0;
  }

  /** Whether both halves are over. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Packs what goes and comes from now on. */
  set packing({ packer, unpacker }: StreamPacking) {
    this.#sender.packer = packer;
    this.#receiver.unpacker = unpacker;
  }

  // What the application does.

  /** The next chunk; undefined at a good end. Nothing is read ahead of this: the peer's credit waits for it. */
  read(): Promise<Uint8Array | undefined> {
    if (this.#reads.length > 0) return this.#waitForChunk();
    if (this.#chunks.length === 0) this.#fill();
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) return Promise.resolve(this.#handOut(chunk));
    if (this.#readEnd === GOOD_END) return Promise.resolve(undefined);
    if (this.#readEnd !== undefined) return Promise.reject(this.#readEnd);
    return this.#waitForChunk();
  }

  /** Sends data, as one chunk if it is not too long for one. Settles when the transport has taken all of it. */
  write(data: Uint8Array): Promise<void> {
    if (this.#writeEnd !== undefined) return Promise.reject(this.#writeRefusal());
    if (!this.mayWrite) {
      return Promise.reject(new MxpError("usage", "the stream is unidirectional: only who opened it sends chunks"));
    }
    this.#bytesWritten += data.length;
    let taken = DONE;
    let at = 0;
    do {
      const end = Math.min(at + MAX_CHUNK_BYTES, data.length);
      taken = this.#send(this.#sender.chunk(data.subarray(at, end)), false);
      at = end;
      // What is behind a piece that waits settles after it; only the last one is looked at.
      if (at < data.length) taken.catch(ignore);
    } while (at < data.length);
    return taken;
  }

  /** Sends what is not a chunk: what opens a stream. */
  sendOpening(bytes: Uint8Array): void {
    this.#send(bytes, false).catch(ignore);
  }

  /** Ends our half. Settles when the transport has taken it. */
  end(code: number, reason: string): Promise<void> {
    if (this.#writeEnd !== undefined) {
      return this.#writeEnd === GOOD_END ? DONE : Promise.reject(this.#writeEnd);
    }
    return this.#sendEnd(this.#sender.end(code, reason), GOOD_END);
  }

  /** Gives the whole stream up: both halves are reset with this code, whoever waits here gets the error. */
  cancel(code: number, error: MxpError): void {
    this.#chunks = [];
    this.#fail(error, code);
  }

  // What an answerer does.

  /** The handler has come back: our half ends, if it has not yet, and nothing more is read. */
  finish(code: number, reason: string): void {
    this.end(code, reason).catch(ignore);
    this.stopReading(code === ErrorCode.UNSPECIFIED ? StreamError.NO_ERROR : StreamError.INTERNAL);
  }

  /** An Error instead of everything else. */
  refuse(message: Uint8Array, code: number): void {
    if (this.#writeEnd !== undefined) return;
    const error = new MxpError("refused", "the stream was turned away");
    this.#sendEnd(message, error).catch(ignore);
    this.stopReading(code);
  }

  /** Nobody here reads on. */
  stopReading(code: number): void {
    if (this.#readEnd === undefined) this.#endReading(new MxpError("closed", "nobody reads this stream any more"));
    this.#stopPeer(code);
    this.#checkOver();
  }

  // Events of the connection.

  /** There is a transport stream for it: what waits goes out. */
  attach(id: StreamId): void {
    this.id = id;
    this.onWritable();
  }

  onReadable(): void {
    if (this.#readEnd !== undefined) this.#drainBehindEnd();
    else if (this.#reads.length > 0 || this.#awaitsReason) {
      this.#fill();
      if (this.#awaitsReason && (this.#chunks.length > 0 || this.#readEnd !== undefined)) this.#stopWriting();
      this.#serveReads();
    }
    this.#checkOver();
  }

  onWritable(): void {
    const { connection } = this.#link;
    while (this.#writes.length > 0 && this.id !== -1) {
      const write = this.#writes[0];
      const accepted = connection.write(this.id, write.bytes, write.fin);
      this.#driver.touch(this.#link);
      if (accepted < write.bytes.length) {
        write.bytes = write.bytes.subarray(accepted);
        return;
      }
      this.#writes.shift();
      if (write.fin) this.#writeOver = true;
      write.resolve();
    }
    this.#checkOver();
  }

  /** The peer gave its half up. */
  onReset(code: number): void {
    this.#readOver = true;
    // Whoever gives up its half does not wait for ours; an opener that does has cancelled the stream (SPEC §8.6).
    this.#fail(this.#owner.resetError(code), code);
  }

  /** The peer reads no more; the transport has reset our half. */
  onStopSending(code: number): void {
    this.#writeOver = true;
    if (this.role === "answerer") {
      this.#fail(this.#owner.resetError(code), code);
      return;
    }
    // An Error may follow that says why. Once anything else has come, it cannot.
    this.#awaitsReason = this.#readEnd === undefined && this.#receiver.chunks === 0 && code !== StreamError.NO_ERROR;
    if (this.#awaitsReason) this.onReadable();
    else this.#stopWriting();
    this.#checkOver();
  }

  /** The connection is over. */
  onConnectionEnd(error: MxpError): void {
    this.#lost = error;
    this.#writeOver = true;
    this.#awaitsReason = false;
    this.#endWriting(error);
    this.#serveReads();
    this.#readOver = true;
    this.#reportFailure(error);
    this.#checkOver();
  }

  expired(_now: Micros): void {
    this.#owner.onDeadline();
  }

  #waitForChunk(): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => this.#reads.push({ resolve, reject }));
  }

  #handOut(chunk: Uint8Array): Uint8Array {
    this.#bytesRead += chunk.length;
    return chunk;
  }

  /** Reads from the transport until there is a chunk, or the end, or nothing more. */
  #fill(): void {
    if (this.id === -1) {
      this.#readEnd ??= this.#lost;
      return;
    }
    const { connection } = this.#link;
    // What came together with the StreamOpen is with the receiver already.
    this.#decode();
    while (this.#chunks.length === 0 && this.#readEnd === undefined) {
      const piece = connection.read(this.id);
      if (piece === undefined) {
        if (connection.readFinished(this.id)) this.#onEnding(this.#receiver.finish());
        else this.#readEnd = this.#lost;
        break;
      }
      this.#receiver.push(piece);
      this.#decode();
    }
    this.#driver.touch(this.#link);
    if (this.#readEnd !== undefined) this.#drainBehindEnd();
    this.#checkOver();
  }

  #decode(): void {
    if (this.#readEnd !== undefined) return;
    for (let next = this.#receiver.next(); next !== undefined; next = this.#receiver.next()) {
      if (next instanceof Uint8Array) {
        this.#chunks.push(next);
        // A piece of a few bytes could hold hundreds of such chunks; the others wait as they are.
        if (this.#receiver.hasExpanded) return;
      } else {
        this.#onEnding(next);
        return;
      }
    }
  }

  #onEnding(ending: StreamEnding): void {
    const error = this.#owner.endingError(ending);
    this.#readEnd = error ?? GOOD_END;
    if (ending.kind === "closed") return;
    // After an Error or nonsense there is nothing to be said for the other half either.
    const code = ending.kind === "violation" ? StreamError.MALFORMED : StreamError.NO_ERROR;
    if (this.role === "answerer" && ending.kind === "violation") {
      if (this.#writeEnd === undefined) this.#sendEnd(this.#sender.end(ending.code, ending.text), error!).catch(ignore);
      this.#stopPeer(code);
      this.#reportFailure(error!);
    } else this.#fail(error!, code);
  }

  /** The end was read, but for what the transport has behind it: its own end, as a rule. */
  #drainBehindEnd(): void {
    if (this.#readOver || this.id === -1) return;
    const { connection } = this.#link;
    while (connection.read(this.id) !== undefined) connection.stopSending(this.id, StreamError.MALFORMED);
    if (connection.readFinished(this.id)) this.#readOver = true;
    this.#driver.touch(this.#link);
  }

  #serveReads(): void {
    while (this.#reads.length > 0) {
      if (this.#chunks.length === 0) this.#fill();
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) this.#reads.shift()!.resolve(this.#handOut(chunk));
      else if (this.#readEnd !== undefined) this.#settleReads();
      else return;
    }
  }

  #settleReads(): void {
    const end = this.#readEnd!;
    for (const { resolve, reject } of this.#reads.splice(0)) {
      if (end === GOOD_END) resolve(undefined);
      else reject(end as MxpError);
    }
  }

  #endReading(error: MxpError): void {
    this.#readEnd ??= error;
    if (this.#chunks.length === 0) this.#settleReads();
    else this.#serveReads();
  }

  #stopPeer(code: number): void {
    if (this.#readOver) return;
    this.#readOver = true;
    if (this.id === -1) return;
    this.#link.connection.stopSending(this.id, code);
    this.#driver.touch(this.#link);
  }

  #writeRefusal(): MxpError {
    return this.#writeEnd instanceof MxpError
      ? this.#writeEnd
      : new MxpError("usage", "the stream was closed for writing");
  }

  #send(bytes: Uint8Array, fin: boolean): Promise<void> {
    if (this.#writes.length === 0 && this.id !== -1) {
      const accepted = this.#link.connection.write(this.id, bytes, fin);
      this.#driver.touch(this.#link);
      if (accepted === bytes.length) {
        if (fin) this.#writeOver = true;
        return DONE;
      }
      bytes = bytes.subarray(accepted);
    }
    return new Promise((resolve, reject) => this.#writes.push({ bytes, fin, resolve, reject }));
  }

  #sendEnd(message: Uint8Array, end: typeof GOOD_END | MxpError): Promise<void> {
    const sent = this.#send(message, true);
    this.#writeEnd = end;
    this.#checkOver();
    return sent;
  }

  /** The peer reads no more, and that is all: what it says is still of interest. */
  #stopWriting(): void {
    this.#awaitsReason = false;
    const reason = this.#readEnd instanceof MxpError ? this.#readEnd : undefined;
    this.#endWriting(reason ?? new MxpError("closed", "the other side wants no more of this stream"));
  }

  #endWriting(error: MxpError): void {
    if (this.#writeEnd === undefined) this.#writeEnd = error;
    for (const { reject } of this.#writes.splice(0)) reject(error);
  }

  #fail(error: MxpError, code: number): void {
    if (this.#over) return;
    this.#awaitsReason = false;
    if (this.id !== -1) {
      // Also if its end was written: what of it is on its way, or was lost, would arrive after the cancellation.
      this.#link.connection.resetStream(this.id, code);
      this.#driver.touch(this.#link);
    }
    this.#writeOver = true;
    this.#stopPeer(code);
    this.#endWriting(error);
    this.#endReading(error);
    this.#reportFailure(error);
    this.#checkOver();
  }

  #reportFailure(error: MxpError): void {
    if (this.#failed || this.#over) return;
    this.#failed = true;
    this.#owner.onFailed(error);
  }

  #checkOver(): void {
    if (this.#over || !this.#readOver || !this.#writeOver) return;
    this.#over = true;
    this.#driver.deadlines.remove(this);
    this.#owner.onOver();
  }
}

function ignore(): void {}
