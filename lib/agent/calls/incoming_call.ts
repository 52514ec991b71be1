/**
 * One call that a peer makes, from its first byte to the last one of the answer.
 *
 * @module
 */

import type { MxpErrorCode } from "../../base/errors.ts";
import type { Micros } from "../../base/time.ts";
import type { RequestReader } from "../../mesh/request_reader.ts";
import type { StreamId } from "../../wire/stream_id.ts";
import { IncomingRequest } from "../incoming_request.ts";
import type { PeerInfo } from "../peer_info.ts";
import type { Session } from "../session.ts";

/** Where a call stands. */
export type IncomingCallState =
  /** Its messages are arriving. */
  | "receiving"
  /** The handler has it. */
  | "running"
  /** The answer waits for the peer to take it. */
  | "sending"
  /** Nothing more will be sent. The handler may still be running if it does not heed its signal. */
  | "done"
  /** It turned out to be an agent stream, which others look after. */
  | "passed_on";

/** An answer in several messages, each of which is asked for when the one before has been taken. */
export interface AnswerSource {
  /** Whether the peer may take as long as it likes with what it has begun to read: who says so bounds what waits meanwhile. */
  readonly mayStall?: boolean;
  /** Bytes that may wait in the transport to be sent for the first time, if it is the source that decides what becomes of what has to wait. */
  readonly ahead?: number;
  /** The next message, if there is one now; the last one ends the answer. */
  next(): { readonly message: Uint8Array; readonly isLast: boolean } | undefined;
  /** The call is over, whoever ended it. Called once. */
  stop(): void;
}

/** Whoever brought a call, and takes its answer back: the calls of a connection, or those of the plain carrier. */
export interface CallAnswers {
  /** Who calls. */
  readonly peer: PeerInfo;
  /** The connection, if it is one: whoever calls there can be called, too. */
  readonly session: Session | undefined;
  /** Whether a stream's data came with the hello. */
  isEarly(id: StreamId): boolean;
  /**
   * The answer, to an event an Ack. Nothing happens if nobody waits for it any more.
   *
   * @param packed COMPRESSED and ENCRYPTED, where the agent that a call was passed on to has packed it.
   */
  respond(call: IncomingCall, data: Uint8Array, packed?: number): void;
  /** An Error instead of an answer. */
  fail(call: IncomingCall, code: number, retryable: boolean, text: string): void;
  /** A refusal before any handler was asked; the rest of the request is not wanted. */
  refuse(call: IncomingCall, code: number, retryable: boolean, text: string, streamCode: number): void;
  /** An answer in several messages. {@link pump} sends what the source has; call it when there is more. */
  answerFrom(call: IncomingCall, source: AnswerSource): void;
  /** See {@link answerFrom}. */
  pump(call: IncomingCall): void;
  /** Takes room in memory for a call, until {@link release}. */
  reserve(call: IncomingCall, bytes: number): boolean;
  /** Gives a call's memory back, once neither the handler nor the transport needs it. */
  release(call: IncomingCall): void;
  /** Milliseconds until the caller's deadline. */
  remainingMs(call: IncomingCall): number;
  /** The deadline of whatever the call is doing has passed. */
  onExpired(call: IncomingCall, now: Micros): void;
}

/** One incoming call, or event that is answered with an Ack. Its {@link CallAnswers} move it on. */
export class IncomingCall extends IncomingRequest {
  readonly calls: CallAnswers;
  readonly stream: StreamId;
  state: IncomingCallState = "receiving";
  /** Collects the request while it is incomplete. */
  reader: RequestReader | undefined = undefined;
  /** The encoded answer, as far as it was not written. */
  message: Uint8Array | undefined = undefined;
  /** Whether nothing follows it. */
  isLast = true;
  /** Where an answer of several messages comes from. */
  source: AnswerSource | undefined = undefined;
  /** Bytes reserved of the server's budget. */
  reserved = 0;
  /** Whether the answer is among them already. */
  answerReserved = false;
  /** Told why nobody waits for the answer any more: ends the collecting of one that the handler yields, or the waiting elsewhere. */
  stopAnswer: ((code: MxpErrorCode) => void) | undefined = undefined;
  /** Whether the handler has the call and has not come back. */
  handling = false;

  constructor(calls: CallAnswers, stream: StreamId) {
    super();
    this.calls = calls;
    this.stream = stream;
  }

  override get peer(): PeerInfo {
    return this.calls.peer;
  }

  override get session(): Session | undefined {
    return this.calls.session;
  }

  override get early(): boolean {
    return this.calls.isEarly(this.stream);
  }

  override abort(code: MxpErrorCode, text: string): boolean {
    if (!super.abort(code, text)) return false;
    this.stopAnswer?.(code);
    return true;
  }

  override remainingMs(): number {
    return this.calls.remainingMs(this);
  }

  override expired(now: Micros): void {
    this.calls.onExpired(this, now);
  }
}
