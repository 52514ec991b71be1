/**
 * Opens and decompresses what peers send, before a handler sees it.
 *
 * @module
 */

import { bytesEqual } from "../../base/bytes.ts";
import { isNilUuid } from "../../base/uuid.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { MessageFlag } from "../../codec/message_header.ts";
import { MessageType } from "../../codec/message_type.ts";
import { Accept, type Metadata } from "../../codec/payloads/metadata.ts";
import { agentTarget } from "../../mesh/agent_target.ts";
import { type ReplayVerdict, ReplayWindow, SEAL_WINDOW_MS } from "../../mesh/replay_window.ts";
import { type CallDetails, type RequestProblem, withoutEmptyKey } from "../../mesh/request_reader.ts";
import { AgentStream } from "../streams/agent_stream.ts";
import { AnswerPacking, type AnswerSeal } from "./answer_packing.ts";
import { decompressed } from "./compression.ts";
import { type Identity, sealMemoryOf } from "../identity.ts";
import type { IncomingStream } from "../streams/incoming_stream.ts";
import type { IncomingRequest } from "../incoming_request.ts";
import type { Platform } from "../platform.ts";
import { type OpenedRequest, type SealContext, Sealer, splitMetadata } from "./sealing.ts";
import { Turns } from "../turns.ts";
import { answeringPacking } from "./stream_packing.ts";

/** What is counted about packed requests. */
export interface PackingStats {
  /** Calls and events that were decompressed. */
  readonly decompressed: number;
  /** Calls and events that were opened. */
  readonly opened: number;
  /** Turned away: no zstd here, or not one good zstd frame, or too large when decompressed. */
  readonly notDecompressed: number;
  /** Turned away: not sealed to our key, or changed on the way. */
  readonly notOpened: number;
  /** Turned away: sealed, and here before. */
  readonly repeated: number;
  /** Turned away: sealed too long ago, too far ahead, or before what is remembered begins. */
  readonly outOfTime: number;
  /** Turned away: sealed for another agent of the same key. */
  readonly misdirected: number;
  /** Turned away: no memory for the data, or too many sealed messages to remember. */
  readonly noRoom: number;
}

type Counters = { -readonly [Name in keyof PackingStats]: PackingStats[Name] };
type Result = Uint8Array | RequestProblem;

const encoder = new TextEncoder();
/** Opening a message takes two key agreements, some hundred microseconds, also if it is nonsense. */
const OPENINGS = { perTurn: 8, maxWaiting: 1_024 };
/** A small frame takes some ten microseconds, and up to 200 where 64 KiB come out of it. */
const FRAMES = { perTurn: 64, maxWaiting: 1_024 };
/** Streams cannot wait; so many times as many of them are opened in a turn. */
const STREAMS_PER_TURN = 8;

/** One for the handlers of an identity. */
export class Unpacker {
  readonly #platform: Platform;
  readonly #sealer: Sealer;
  readonly #window: ReplayWindow;
  readonly #hasCapability: (target: Uint8Array, capability: string) => boolean | undefined;
  readonly #turns = new Turns(OPENINGS);
  readonly #frames = new Turns(FRAMES);
  readonly counters: Counters = {
    decompressed: 0,
    opened: 0,
    notDecompressed: 0,
    notOpened: 0,
    repeated: 0,
    outOfTime: 0,
    misdirected: 0,
    noRoom: 0,
  };

  /** @param hasCapability whether a target has a capability; undefined where nobody has said what it has. */
  constructor(
    platform: Platform,
    identity: Identity,
    hasCapability: (target: Uint8Array, capability: string) => boolean | undefined = () => undefined,
  ) {
    this.#platform = platform;
    this.#hasCapability = hasCapability;
    this.#sealer = new Sealer(platform.crypto, platform.random, identity);
    const { clock, random } = platform;
    // Wherever the same key serves, what was taken in one place is not taken in another.
    this.#window = sealMemoryOf(identity).window ??= new ReplayWindow(clock.now(), Date.now(), random);
  }

  /**
   * The data of a request as its sender had it. Fills in who sealed it, what its seal has hidden, and how it is answered.
   *
   * @param maxBytes most bytes of decompressed data. @param reserve is asked for memory.
   */
  unpack(
    request: IncomingRequest,
    payload: Uint8Array,
    maxBytes: number,
    reserve: (bytes: number) => boolean,
  ): Result | Promise<Result> {
    const isSealed = (request.packed & MessageFlag.ENCRYPTED) !== 0;
    const opened = isSealed
      ? this.#turns.run(() => this.#open(request, payload, reserve)) ?? this.#noRoom("too many sealed messages wait")
      : payload;
    if (opened instanceof Promise) return opened.then((data) => this.#decompress(request, data, maxBytes, reserve));
    return this.#decompress(request, opened, maxBytes, reserve);
  }

  /** Decides about the answer to a request in the clear, or whose seal was opened. */
  prepareAnswer(request: IncomingRequest, seal?: AnswerSeal): void {
    const accept = request.details.accept ?? 0;
    const compressor = (accept & Accept.ZSTD) === 0 ? undefined : this.#platform.compressor;
    if (compressor === undefined && seal === undefined) return;
    request.answerPacking = new AnswerPacking(compressor, seal);
  }

  /** Opens a stream, if it is sealed, and prepares its messages. Fills in what {@link unpack} does. */
  unpackStream(stream: IncomingStream, seal: Uint8Array | undefined): RequestProblem | undefined {
    const { compressor } = this.#platform;
    const body = stream.stream;
    if (!(body instanceof AgentStream)) {
      if (seal === undefined) return undefined;
      this.counters.notOpened++;
      return { code: ErrorCode.BAD_REQUEST, retryable: false, text: "a resumable stream cannot be sealed" };
    }
    if (seal === undefined) {
      body.packing = answeringPacking(compressor, stream.details.accept, undefined);
      return undefined;
    }
    if (!this.#turns.take(STREAMS_PER_TURN)) return this.#noRoom("too many sealed streams at once");
    const { traceHigh, traceLow } = stream;
    const context = { type: MessageType.STREAM_OPEN, traceHigh, traceLow };
    const result = this.#admit(stream, context, MessageFlag.ENCRYPTED, seal, (opened) => {
      const sealed = { sealer: this.#sealer, trace: stream, opened };
      body.packing = answeringPacking(compressor, stream.details.accept, sealed);
    });
    if ("code" in result) return result;
    this.counters.opened++;
    return undefined;
  }

  /** Opens a head, and decides whether it may be taken. */
  #admit(
    request: IncomingRequest,
    context: SealContext,
    packed: number,
    sealed: Uint8Array,
    onOpened: (opened: OpenedRequest) => void,
  ): OpenedRequest | RequestProblem {
    const opened = this.#sealer.openRequest(context, packed, sealed);
    const mayHaveBody = context.type !== MessageType.STREAM_OPEN;
    if (opened === undefined || (!mayHaveBody && opened.bodyLength > 0)) return this.#notOpened();
    const { sender, hash, head } = opened;
    // From here on the sender is known, and errors are for its eyes only.
    request.sealedBy = sender;
    request.details = mergedDetails(request.details, head.metadata);
    onOpened(opened);
    const now = Date.now();
    const verdict = this.#window.admit(this.#platform.clock.now(), now, head.timeMillis, sender, hash);
    if (verdict !== "fresh") return this.#notFresh(verdict, head.timeMillis - now);
    const { capability } = head.metadata;
    const lacks = capability !== undefined && this.#hasCapability(request.target, capability) === false;
    if (!lacks && this.#isMeant(request, head.target, capability)) return opened;
    this.counters.misdirected++;
    return refused("the message was sealed for another agent than the one that it was brought to");
  }

  #open(
    request: IncomingRequest,
    payload: Uint8Array,
    reserve: (bytes: number) => boolean,
  ): Result | Promise<Result> {
    if (request.isAborted) return { code: ErrorCode.CANCELLED, retryable: false, text: "nobody waits any more" };
    const { topic, traceHigh, traceLow, packed } = request;
    const type = topic === undefined ? MessageType.CALL : MessageType.EVENT;
    const more = topic === undefined ? undefined : encoder.encode(topic);
    const context = { type, traceHigh, traceLow, ...(more && { more }) };
    const opened = this.#admit(request, context, packed, payload, ({ sender, hash }) => {
      this.prepareAnswer(request, AnswerPacking.sealFor(this.#sealer, request, sender, hash));
    });
    if ("code" in opened) return opened;
    const { bodyLength } = opened;
    if (!reserve(bodyLength)) return this.#noRoom("no memory for a sealed message of this size now");
    const body = opened.body();
    const done = (data: Uint8Array | undefined): Result => {
      if (data === undefined) return this.#notOpened();
      this.counters.opened++;
      return data;
    };
    return body instanceof Promise ? body.then(done) : done(body);
  }

  #decompress(
    request: IncomingRequest,
    data: Result,
    maxBytes: number,
    reserve: (bytes: number) => boolean,
  ): Result | Promise<Result> {
    if (!(data instanceof Uint8Array)) return data;
    const isCompressed = (request.packed & MessageFlag.COMPRESSED) !== 0;
    request.packed = 0;
    if (!isCompressed) return data;
    const result = this.#frames.run(() => decompressed(this.#platform.compressor, data, maxBytes, reserve)) ??
      { code: ErrorCode.OVERLOADED, retryable: true, text: "too many compressed messages wait" };
    const count = (result: Result): Result => {
      if (result instanceof Uint8Array) this.counters.decompressed++;
      else if (result.code === ErrorCode.OVERLOADED) this.counters.noRoom++;
      else this.counters.notDecompressed++;
      return result;
    };
    return result instanceof Promise ? result.then(count) : count(result);
  }

  /** Whether the sender meant whom the message was brought to: a key may have several agents. */
  #isMeant({ target, agentName }: IncomingRequest, meant: Uint8Array, capability: string | undefined): boolean {
    if (bytesEqual(meant, target)) return capability === undefined || !isNilUuid(target);
    if (isNilUuid(meant)) return capability !== undefined;
    if (agentName === undefined) return false;
    const { sha256 } = this.#platform.crypto;
    return bytesEqual(meant, agentTarget((bytes) => sha256.hash(bytes), agentName));
  }

  #notFresh(verdict: Exclude<ReplayVerdict, "fresh">, offMs: number): RequestProblem {
    const off = `${Math.round(Math.abs(offMs) / 1000)} s ${offMs < 0 ? "behind" : "ahead of"} the agent's`;
    switch (verdict) {
      case "repeated":
        this.counters.repeated++;
        return refused("the sealed message was here before");
      case "full":
        return this.#noRoom("too many sealed messages came lately");
      case "before_memory":
        this.counters.outOfTime++;
        return refused(`the message was sealed before the agent was started, by clocks (the sender's is ${off})`, true);
      case "too_old":
      case "too_new": {
        this.counters.outOfTime++;
        const text = `the message was sealed by a clock that is ${off}; at most ${SEAL_WINDOW_MS / 1000} s are allowed`;
        return refused(text);
      }
    }
  }

  #notOpened(): RequestProblem {
    this.counters.notOpened++;
    const text = "the message is not sealed to this agent's key, or was changed on the way";
    return { code: ErrorCode.CANNOT_DECRYPT, retryable: false, text };
  }

  #noRoom(text: string): RequestProblem {
    this.counters.noRoom++;
    return { code: ErrorCode.OVERLOADED, retryable: true, text };
  }
}

function refused(text: string, retryable = false): RequestProblem {
  return { code: ErrorCode.SEAL_REFUSED, retryable, text };
}

/** What was sealed counts; of what came in the clear only what nodes need. */
function mergedDetails(clear: CallDetails, sealed: Metadata): CallDetails {
  const { capability: _, ...inner } = splitMetadata(sealed).inner;
  const { outer } = splitMetadata(clear);
  const values: Record<string, string> = Object.create(null);
  for (const [key, value] of inner.application ?? []) values[key] = value;
  return withoutEmptyKey({ ...outer, ...inner, values });
}
