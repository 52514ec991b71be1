/**
 * What a peer asks of this side, whatever it is: what handlers see of it, and how they are told that it is off.
 *
 * @module
 */

import { MxpError, type MxpErrorCode } from "../base/errors.ts";
import { type Micros, NEVER } from "../base/time.ts";
import { formatUuid, isNilUuid } from "../base/uuid.ts";
import type { WheelEntry } from "../mesh/deadline_wheel.ts";
import type { MessageIds } from "../mesh/message_writer.ts";
import {
  type CallDetails,
  type ExtensionMessage,
  NO_DETAILS,
  type NodeRequestKind,
  type RequestTarget,
} from "../mesh/request_reader.ts";
import type { AnswerPacking } from "./packing/answer_packing.ts";
import { CallContext } from "./call_context.ts";
import type { Onward } from "./onward/onward.ts";
import type { PeerInfo } from "./peer_info.ts";
import type { Session } from "./session.ts";

const EMPTY = new Uint8Array(0);
const NO_EXTENSIONS: readonly ExtensionMessage[] = [];

/** A call, an agent stream or an event that came in. Handlers see it through {@link CallContext}. */
export abstract class IncomingRequest implements WheelEntry, MessageIds, RequestTarget {
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
  extensions: readonly ExtensionMessage[] = NO_EXTENSIONS;
  /** What an event is about; undefined for everything else. */
  topic: string | undefined = undefined;
  /** Who an event is from, as the node says that passed it on; undefined where nobody's word on that is taken. */
  publisher: Uint8Array | undefined = undefined;
  /** What is wanted of the node; undefined for everything else. */
  lifecycle: NodeRequestKind | undefined = undefined;
  /** Told once that it is off, and why; for whoever passes it on. */
  onAbort: ((code: MxpErrorCode) => void) | undefined = undefined;
  packed = 0;
  /** Who sealed it, end to end; undefined for what came in the clear. */
  sealedBy: Uint8Array | undefined = undefined;
  /** How its answer is packed; undefined for one that goes as it is. */
  answerPacking: AnswerPacking | undefined = undefined;
  /** Whether the peer waits for an answer. */
  readonly isAnswered: boolean = true;
  /** The handler's name for the agent, once it is routed. */
  agentName: string | undefined = undefined;
  #controller: AbortController | undefined;
  #abortReason: MxpError | undefined;

  /** Who asks. */
  abstract get peer(): PeerInfo;

  /** The connection that it came over; undefined if there is none that leads back. */
  abstract get session(): Session | undefined;

  /** Whether it came in a DATAGRAM frame. */
  get isUnreliable(): boolean {
    return false;
  }

  /** Whether whoever handles it was told that it is off. */
  get isAborted(): boolean {
    return this.#abortReason !== undefined;
  }

  /** Whether it came with the first UDP datagram of a resumed connection. */
  get early(): boolean {
    return false;
  }

  /** Milliseconds until the deadline of the caller. */
  abstract remainingMs(): number;

  /** The deadline of whatever it is doing has passed. */
  abstract expired(now: Micros): void;

  /** For the handler, with the ways that are open to it. */
  context(onward: Onward): CallContext {
    return new CallContext(this, onward);
  }

  /** Made when it is first asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  /** Tells the handler, if it listens, that it is off. The first reason counts; false if there was one before. */
  abort(code: MxpErrorCode, text: string): boolean {
    if (this.#abortReason !== undefined) return false;
    this.#abortReason = new MxpError(code, text);
    this.#controller?.abort(this.#abortReason);
    this.onAbort?.(code);
    return true;
  }

  /** Whom the caller meant. */
  get agent(): string | undefined {
    if (this.agentName !== undefined) return this.agentName;
    return this.target.length === 0 || isNilUuid(this.target) ? undefined : formatUuid(this.target);
  }
}
