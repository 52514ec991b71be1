/**
 * One call that a peer makes, from its first byte to the last one of the answer.
 *
 * @module
 */

import { MxpError, type MxpErrorCode } from "../base/errors.ts";
import { type Micros, NEVER } from "../base/time.ts";
import { formatUuid, isNilUuid } from "../base/uuid.ts";
import type { WheelEntry } from "../mesh/deadline_wheel.ts";
import type { MessageIds } from "../mesh/call_messages.ts";
import type { CallDetails, RequestReader } from "../mesh/request_reader.ts";
import { NO_DETAILS } from "../mesh/request_reader.ts";
import type { StreamId } from "../wire/stream_id.ts";
import { CallContext } from "./call_context.ts";
import type { IncomingCalls } from "./incoming_calls.ts";
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
  | "done";

const EMPTY = new Uint8Array(0);

/** One incoming call. `IncomingCalls` moves it on; handlers see it through {@link CallContext}. */
export class IncomingCall implements WheelEntry, MessageIds {
  readonly calls: IncomingCalls;
  readonly stream: StreamId;
  state: IncomingCallState = "receiving";
  deadline: Micros = NEVER;
  wheelSlot = -1;
  wheelNext: WheelEntry | undefined = undefined;
  wheelPrevious: WheelEntry | undefined = undefined;
  idHigh = 0;
  idLow = 0;
  traceHigh = 0;
  traceLow = 0;
  /** 16 bytes; nil for the node itself. */
  target: Uint8Array = EMPTY;
  /** Whole seconds; 0 = the caller does not say. */
  timeoutSeconds = 0;
  /** What the Metadata message said. */
  details: CallDetails = NO_DETAILS;
  /** The handler's name for the agent, once it is routed. */
  agentName: string | undefined = undefined;
  /** Collects the request while it is incomplete. */
  reader: RequestReader | undefined = undefined;
  /** The encoded answer, as far as it was not written. */
  message: Uint8Array | undefined = undefined;
  /** Bytes reserved of the server's budget. */
  reserved = 0;
  /** Ends the collecting of an answer that the handler yields. */
  stopAnswer: (() => void) | undefined = undefined;
  /** Whether the handler has the call and has not come back. */
  handling = false;
  #controller: AbortController | undefined;
  #abortReason: MxpError | undefined;

  constructor(calls: IncomingCalls, stream: StreamId) {
    this.calls = calls;
    this.stream = stream;
  }

  /** For the handler. */
  context(): CallContext {
    return new CallContext(this);
  }

  /** Made when it is first asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  /** Tells the handler, if it listens, that nobody waits for its answer any more. */
  abort(code: MxpErrorCode, text: string): void {
    if (this.#abortReason !== undefined) return;
    this.#abortReason = new MxpError(code, text);
    this.#controller?.abort(this.#abortReason);
    this.stopAnswer?.();
  }

  /** Milliseconds until the deadline of the caller. */
  remainingMs(): number {
    return this.calls.remainingMs(this);
  }

  get peer(): PeerInfo {
    return this.calls.peer;
  }

  /** Whom the caller meant. */
  get agent(): string | undefined {
    if (this.agentName !== undefined) return this.agentName;
    return isNilUuid(this.target) ? undefined : formatUuid(this.target);
  }

  /** The deadline of whatever it is doing has passed. */
  expired(now: Micros): void {
    this.calls.onExpired(this, now);
  }
}
