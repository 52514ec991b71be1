/**
 * One end of an agent stream that outlives its connection (SPEC §8.13): what it has to send again, what it has received, and
 * how both sides agree where to go on. Knows no connection; whoever has one attaches it, and detaches it when it is lost.
 *
 * @module
 */

import { bytesEqual } from "../base/bytes.ts";
import { CodecError } from "../codec/codec_error.ts";
import type { MessageCodec, MessageView } from "../codec/message.ts";
import { MessageReader } from "../codec/message_reader.ts";
import { isExtensionType, MessageType, messageTypeName } from "../codec/message_type.ts";
import { decodeError } from "../codec/payloads/error.ts";
import { decodeResumeState, type ResumeState } from "../codec/payloads/resume_state.ts";
import type { AgentStreamKind } from "../codec/payloads/stream_open.ts";
import { decodeStreamProgress } from "../codec/payloads/stream_progress.ts";
import {
  bad,
  disorder,
  MAX_CHUNK_BYTES,
  MAX_STREAM_PAYLOAD,
  type StreamEnding,
  StreamReceiver,
  StreamSender,
  tooLarge,
} from "./agent_streams.ts";
import type { MessageIds } from "./message_writer.ts";
import type { StreamMessages } from "./stream_messages.ts";
import { Unacknowledged } from "./unacknowledged.ts";

/** What a chunk counts beside its data: about what it takes in memory. Fixed by SPEC §8.13. */
export const CHUNK_OVERHEAD = 256;
/** What an opener may have sent before it knows how much the answerer allows; no answerer allows less. */
export const LEAST_BUFFER_BYTES = 65_536;
/** The part of the buffer after which the other side is told how far its chunks were taken. */
const PROGRESS_PARTS = 4;
/** Unread chunks that cost less than this together may be views of larger memory. */
const FREE_UNREAD = 16_384;
const EMPTY = new Uint8Array(0);
const FIN_ALONE: Outbound = { bytes: EMPTY, fin: true };

/** What an end is made of. */
export interface ResumableEndOptions {
  readonly codec: MessageCodec;
  readonly messages: StreamMessages;
  readonly ids: MessageIds;
  /** 16 bytes. */
  readonly streamId: Uint8Array;
  readonly role: "opener" | "answerer";
  readonly kind: AgentStreamKind;
  /** The most that an opener wants to have on its way to the other side's application. An answerer says with its grant. */
  readonly bufferBytes: number;
}

/** Bytes for the connection. */
export interface Outbound {
  readonly bytes: Uint8Array;
  /** Nothing comes behind them on this connection. */
  readonly fin: boolean;
}

/** What an answerer allows. */
export type ResumeGrant = Pick<ResumeState, "agentId" | "windowMillis" | "bufferBytes">;

/** An Error in place of a ResumeState. The text is the peer's. */
export interface ResumeRefusal {
  readonly code: number;
  readonly retryable: boolean;
  readonly text: string;
}

/** The state of one end. Every method is synchronous; after each, {@link poll} may have something to send. */
export class ResumableEnd {
  readonly #options: ResumableEndOptions;
  readonly #sender: StreamSender;
  readonly #receiver: StreamReceiver;
  readonly #kept = new Unacknowledged();
  #bufferBytes: number;
  /** The other side wants no more of what we send. */
  #isEnough = false;
  /** Chunks that nobody has asked for yet. */
  #unread: Uint8Array[] = [];
  #unreadCost = 0;
  /** Messages that were taken; the StreamClose counts. */
  #taken = 0;
  #sinceProgress = 0;
  #progressDue = false;
  #readsNoMore = false;
  #violation: StreamEnding | undefined;

  // Of the connection.
  #isAttached = false;
  /** What goes first. */
  #opening: Uint8Array | undefined;
  /** Number of the next message to send; −1 until it is known what the other side has. */
  #next = -1;
  #finSent = false;
  /** Reads what comes before the ResumeState. */
  #stateReader: MessageReader | undefined;
  #refusal: ResumeRefusal | undefined;
  #state: ResumeState | undefined;
  /** Whether the answerer has ever said what it has: from then on, both sides have to agree where to go on. */
  #wasAnswered = false;

  /** @param reader an answerer's: may hold what has come behind the StreamOpen. */
  constructor(options: ResumableEndOptions, reader: MessageReader = new MessageReader(options.codec)) {
    const { messages, ids, streamId, role, kind } = options;
    this.#options = options;
    this.#bufferBytes = role === "opener" ? Math.min(options.bufferBytes, LEAST_BUFFER_BYTES) : options.bufferBytes;
    this.#sender = new StreamSender(messages, ids, streamId);
    this.#receiver = new StreamReceiver(reader, streamId, {
      mayChunk: role === "answerer" || kind === "bidirectional",
      mayRefuse: false,
      onExtension: (message) => this.#onExtension(message),
    });
  }

  // For the application.

  /** Whether one more chunk may be written. */
  get hasRoom(): boolean {
    return this.#kept.cost < this.#bufferBytes;
  }

  /** Whether the other side has said that it wants no more. */
  get isEnough(): boolean {
    return this.#isEnough;
  }

  /** Takes a chunk. @throws RangeError behind the end, and for one that is too long. */
  write(data: Uint8Array): void {
    const message = this.#sender.chunk(data);
    if (!this.#isEnough) this.#kept.add(own(message), data.length + CHUNK_OVERHEAD);
  }

  /** Takes the end of our half. @throws RangeError if there was one already. */
  end(code: number, reason: string): void {
    const message = this.#sender.end(code, reason);
    if (!this.#isEnough) this.#kept.add(own(message), CHUNK_OVERHEAD);
  }

  /** The next chunk, if there is one. */
  read(): Uint8Array | undefined {
    const chunk = this.#unread.shift();
    if (chunk === undefined) return undefined;
    this.#unreadCost -= chunk.length + CHUNK_OVERHEAD;
    this.#take(chunk.length);
    this.#takeEnd();
    return chunk;
  }

  /** How the other side's half has ended, once every chunk before that was read. A violation is there at once. */
  get ending(): StreamEnding | undefined {
    return this.#violation ?? (this.#unread.length === 0 ? this.#receiver.ending : undefined);
  }

  /** Nobody reads on: what comes is dropped, and the other side is told. */
  stopReading(): void {
    if (this.#isReadOver) return;
    this.#readsNoMore = true;
    this.#progressDue = true;
    this.#taken += this.#unread.length;
    this.#unread = [];
    this.#unreadCost = 0;
    this.#takeEnd();
  }

  /** Whether both halves are over, and the other side knows what it has to. */
  get isOver(): boolean {
    const isSent = this.#isEnough || (this.#sender.ended && this.#kept.first === this.#kept.end);
    return isSent && this.#isReadOver && (!this.#isAttached || this.#finSent);
  }

  /** Bytes in memory, as SPEC §8.13 counts them: what may have to be sent again, and what was not read. */
  get heldBytes(): number {
    return this.#kept.cost + this.#unreadCost;
  }

  /** Messages of the other side that were received, its StreamClose included: where it is to go on. */
  get received(): number {
    return this.#receiver.chunks + (this.#receiver.ending?.kind === "closed" ? 1 : 0);
  }

  // For the connection.

  /** What the answerer has said of this connection; undefined until it has. */
  get state(): ResumeState | undefined {
    return this.#state;
  }

  /** Why the answerer did not take the stream, on this connection. */
  get refusal(): ResumeRefusal | undefined {
    return this.#refusal;
  }

  /** An opener has a connection. @param opening the StreamOpen. */
  attachOpener(opening: Uint8Array): void {
    this.#attach(opening);
    this.#stateReader = new MessageReader(this.#options.codec);
    // The first time, nothing has to be agreed on before the chunks may follow.
    this.#next = this.#wasAnswered ? -1 : 0;
    this.#state = this.#refusal = undefined;
  }

  /**
   * An answerer has a connection.
   *
   * @param grant what it allows; the buffer stays as it was at first.
   * @param at where the opener wants us to go on; undefined at first.
   * @param reader may hold what has come behind the StreamOpen.
   * @returns whether that can be; if not, nothing has changed.
   */
  attachAnswerer(grant: ResumeGrant, at?: number, reader?: MessageReader): boolean {
    if (at !== undefined && !this.#canSendFrom(at)) return false;
    const { messages, ids, streamId } = this.#options;
    this.#bufferBytes = grant.bufferBytes;
    this.#attach(messages.resumeState(ids, { ...grant, streamId, next: this.received }));
    this.#next = this.#isEnough ? this.#kept.end : at ?? 0;
    if (reader !== undefined) this.#receiver.goOn(reader, undefined);
    this.#decode();
    return true;
  }

  /** The connection is lost. */
  detach(): void {
    this.#isAttached = false;
    this.#stateReader = undefined;
    this.#next = -1;
  }

  /** Whether bytes of the connection may be pushed: false while the other side has sent more than it may. */
  get wantsBytes(): boolean {
    return this.#unreadCost < this.#bufferBytes + MAX_CHUNK_BYTES + CHUNK_OVERHEAD;
  }

  /** Takes bytes of the connection, which must not change as long as chunks of them are in use. */
  push(piece: Uint8Array): void {
    if (this.#violation !== undefined || this.#refusal !== undefined) return;
    if (this.#stateReader === undefined) this.#receiver.push(piece);
    else {
      this.#stateReader.push(piece);
      if (!this.#readState(this.#stateReader, piece)) return;
    }
    this.#decode();
  }

  /** The other side sends no more on this connection. */
  finish(): void {
    if (this.#violation !== undefined || this.#refusal !== undefined) return;
    if (this.#stateReader !== undefined) this.#violation = disorder("the stream ended without a ResumeState");
    else if (!this.#readsNoMore && this.#receiver.ending === undefined) this.#violation = this.#receiver.finish();
  }

  /** What is to be sent next, on the connection that is attached. */
  poll(): Outbound | undefined {
    if (!this.#isAttached || this.#finSent) return undefined;
    const bytes = this.#nextMessage();
    const fin = this.#isLast();
    if (fin) this.#finSent = true;
    return bytes === undefined ? (fin ? FIN_ALONE : undefined) : { bytes, fin };
  }

  /** Whether nothing more will come from the other side that matters. */
  get #isReadOver(): boolean {
    return this.#readsNoMore || (this.#unread.length === 0 && this.#receiver.ending !== undefined);
  }

  #attach(opening: Uint8Array): void {
    this.#isAttached = true;
    this.#finSent = false;
    this.#opening = opening;
    // What was told before may have been lost.
    this.#progressDue = this.#taken > 0 || this.#readsNoMore;
  }

  #nextMessage(): Uint8Array | undefined {
    if (this.#opening !== undefined) {
      const opening = this.#opening;
      this.#opening = undefined;
      return opening;
    }
    // Before the ResumeState only an opener's very first chunks may be under way.
    if (this.#progressDue && this.#stateReader === undefined) {
      const { messages, ids, streamId } = this.#options;
      this.#progressDue = false;
      this.#sinceProgress = 0;
      return messages.progress(ids, { streamId, next: this.#taken, isEnough: this.#readsNoMore });
    }
    if (this.#next === -1 || this.#next >= this.#kept.end) return undefined;
    // What was acknowledged meanwhile need not be repeated.
    this.#next = Math.max(this.#next, this.#kept.first);
    return this.#next < this.#kept.end ? this.#kept.at(this.#next++) : undefined;
  }

  /** Whether all was sent that will ever be on this connection. */
  #isLast(): boolean {
    const isSent = this.#isEnough || (this.#sender.ended && this.#next !== -1 && this.#next >= this.#kept.end);
    return isSent && this.#isReadOver && !this.#progressDue && this.#opening === undefined &&
      this.#stateReader === undefined;
  }

  #canSendFrom(number: number): boolean {
    return this.#isEnough || (number >= this.#kept.first && number <= this.#kept.end);
  }

  /** Reads until the answerer has said what it has; false if it has not, or has refused. */
  #readState(reader: MessageReader, piece: Uint8Array): boolean {
    for (let message = reader.next(); message !== undefined; message = reader.next()) {
      if (message instanceof CodecError) {
        this.#violation = message.code === "payload_too_large" ? tooLarge() : bad(message.message);
        return false;
      }
      if (message.type === MessageType.RESUME_STATE) {
        this.#violation = this.#onState(message);
        if (this.#violation !== undefined) return false;
        this.#stateReader = undefined;
        this.#receiver.goOn(reader, piece);
        return true;
      }
      if (message.type === MessageType.ERROR) {
        const error = decodeError(message.bytes, message.payloadStart, message.payloadEnd);
        if (error instanceof CodecError) this.#violation = bad(error.message);
        else this.#refusal = error;
        return false;
      }
      if (isExtensionType(message.type)) continue;
      this.#violation = disorder(`a ${messageTypeName(message.type)} message before the ResumeState`);
      return false;
    }
    if ((reader.pending?.payloadLength ?? 0) > MAX_STREAM_PAYLOAD) this.#violation = tooLarge();
    return false;
  }

  #onState(message: MessageView): StreamEnding | undefined {
    const state = decodeResumeState(message.bytes, message.payloadStart, message.payloadEnd);
    if (state instanceof CodecError) return bad(state.message);
    if (!bytesEqual(state.streamId, this.#options.streamId)) return disorder("a ResumeState of another stream");
    if (!this.#canSendFrom(state.next) || state.bufferBytes === 0) {
      return disorder(`a ResumeState that asks for message ${state.next} of ${this.#kept.end}`);
    }
    this.#state = state;
    this.#wasAnswered = true;
    this.#bufferBytes = Math.min(this.#options.bufferBytes, state.bufferBytes);
    // At first the chunks are on their way already.
    if (this.#next === -1) this.#next = this.#isEnough ? this.#kept.end : state.next;
    return undefined;
  }

  #onExtension(message: MessageView): StreamEnding | undefined {
    if (message.type !== MessageType.STREAM_PROGRESS) return undefined;
    const progress = decodeStreamProgress(message.bytes, message.payloadStart, message.payloadEnd);
    if (progress instanceof CodecError) return bad(progress.message);
    if (!bytesEqual(progress.streamId, this.#options.streamId)) return disorder("a StreamProgress of another stream");
    if (this.#isEnough) return undefined;
    if (progress.next > this.#kept.end) {
      return disorder(`a StreamProgress for ${progress.next} messages of ${this.#kept.end}`);
    }
    this.#isEnough = progress.isEnough;
    this.#kept.acknowledge(progress.isEnough ? this.#kept.end : progress.next);
    return undefined;
  }

  /** Takes the chunks and the end out of what was pushed. */
  #decode(): void {
    while (this.#receiver.ending === undefined) {
      const next = this.#receiver.next();
      if (next === undefined) return;
      if (!(next instanceof Uint8Array)) break;
      if (this.#readsNoMore) this.#taken++;
      else {
        // What is soon read may be a view of what came.
        this.#unread.push(this.#unreadCost < FREE_UNREAD ? next : own(next, CHUNK_OVERHEAD));
        this.#unreadCost += next.length + CHUNK_OVERHEAD;
      }
    }
    const { ending } = this.#receiver;
    this.#violation ??= ending?.kind === "closed" ? this.#receiver.readBehindEnd() : ending;
    this.#takeEnd();
  }

  /** The application has taken a chunk. */
  #take(bytes: number): void {
    this.#taken++;
    this.#sinceProgress += bytes + CHUNK_OVERHEAD;
    if (this.#sinceProgress >= this.#bufferBytes / PROGRESS_PARTS) this.#progressDue = true;
  }

  /** The end is taken as soon as the last chunk before it was. */
  #takeEnd(): void {
    if (this.#unread.length > 0 || this.#receiver.ending?.kind !== "closed" || this.#taken === this.received) return;
    this.#taken = this.received;
    this.#progressDue = true;
  }
}

/** Bytes in memory of their own, but for a few: what is kept for long must not keep others' memory. */
function own(bytes: Uint8Array, tolerated = 0): Uint8Array {
  return bytes.buffer.byteLength <= bytes.length + tolerated ? bytes : bytes.slice();
}
