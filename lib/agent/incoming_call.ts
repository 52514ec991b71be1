/**
 * One call that a peer makes, from its first byte to the last one of the answer.
 *
 * @module
 */

import type { MxpErrorCode } from "../base/errors.ts";
import type { Micros } from "../base/time.ts";
import type { RequestReader } from "../mesh/request_reader.ts";
import type { StreamId } from "../wire/stream_id.ts";
import type { IncomingCalls } from "./incoming_calls.ts";
import { IncomingRequest } from "./incoming_request.ts";
import type { PeerInfo } from "./peer_info.ts";

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
  /** The next message, if there is one now; the last one ends the answer. */
  next(): { readonly message: Uint8Array; readonly isLast: boolean } | undefined;
  /** The call is over, whoever ended it. Called once. */
  stop(): void;
}

/** One incoming call, or event that is answered with an Ack. `IncomingCalls` moves it on. */
export class IncomingCall extends IncomingRequest {
  readonly calls: IncomingCalls;
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
  /** Ends the collecting of an answer that the handler yields. */
  stopAnswer: (() => void) | undefined = undefined;
  /** Whether the handler has the call and has not come back. */
  handling = false;

  constructor(calls: IncomingCalls, stream: StreamId) {
    super();
    this.calls = calls;
    this.stream = stream;
  }

  override get peer(): PeerInfo {
    return this.calls.peer;
  }

  override get early(): boolean {
    return this.calls.isEarly(this.stream);
  }

  override abort(code: MxpErrorCode, text: string): boolean {
    if (!super.abort(code, text)) return false;
    this.stopAnswer?.();
    return true;
  }

  override remainingMs(): number {
    return this.calls.remainingMs(this);
  }

  override expired(now: Micros): void {
    this.calls.onExpired(this, now);
  }
}
